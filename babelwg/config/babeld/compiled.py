"""Filter lines turned into the checks that they need, once, before any route is looked at."""

from collections.abc import Callable, Iterable

from babelwg.babel.wire.prefix import Prefix
from babelwg.config.babeld.filters import MAX_PLEN, PROTOCOL_BOOT, Filter, Subject

Check = Callable[[Subject], bool]


class FilterList:
    """Lines of one kind in their order; the first that matches decides.

    `matches` counts for each line how often it decided, `unmatched` how often none did: they live here because the
    lines are frozen and this list is made anew only when they change.
    """

    def __init__(self, lines: Iterable[Filter]) -> None:
        self.lines = tuple(lines)
        self.matches = [0] * len(self.lines)
        self.unmatched = 0
        self._compiled = {family: self._compile(family) for family in (4, 6)}

    def first_match(self, subject: Subject) -> Filter | None:
        """Return the line that would decide, None when none matches; this does not count."""
        number = self._find(subject)
        return None if number is None else self.lines[number]

    def decide(self, subject: Subject) -> Filter | None:
        """Return the line that decides, None when none matches, and count it."""
        number = self._find(subject)
        if number is None:
            self.unmatched += 1
            return None
        self.matches[number] += 1
        return self.lines[number]

    def allowing(self, subject: Subject) -> Filter | None:
        """Return the line that lets a subject in, None when none matches or the first one denies."""
        line = self.decide(subject)
        return None if line is None or line.denies else line

    def _find(self, subject: Subject) -> int | None:
        for checks, number in self._compiled[subject.prefix.family]:
            if all(check(subject) for check in checks):
                return number
        return None

    def _compile(self, family: int) -> list[tuple[tuple[Check, ...], int]]:
        numbered = enumerate(self.lines)
        return [(_checks(line), number) for number, line in numbered if line.family in (None, family)]


def _checks(line: Filter) -> tuple[Check, ...]:
    """Return what has to hold for a line to match a subject of its family, the most telling first."""
    checks: list[Check] = []
    if line.interface is not None:
        checks.append(lambda subject: subject.interface == line.interface)
    if line.neighbour is not None:
        checks.append(lambda subject: subject.neighbour == line.neighbour)
    if line.router_id is not None:
        checks.append(lambda subject: subject.router_id == line.router_id)
    if line.prefix is not None:
        checks.append(_inside(line.prefix, lambda subject: subject.prefix))
    checks += _length(line.min_plen, line.max_plen, lambda subject: subject.prefix)
    if line.source_prefix is not None and line.source_prefix.plen:
        checks.append(_inside(line.source_prefix, lambda subject: subject.source_prefix))
    checks += _length(line.min_source_plen, line.max_source_plen, lambda subject: subject.source_prefix)
    checks.append(_origin(line))
    return tuple(checks)


def _inside(outer: Prefix, of: Callable[[Subject], Prefix | None]) -> Check:
    """Return the check that a prefix lies within another; nothing lies within a source prefix by having none."""
    bits = 8 * len(outer.network) - outer.plen
    start = int.from_bytes(outer.network, "big") >> bits

    def check(subject: Subject) -> bool:
        prefix = of(subject)
        if prefix is None or prefix.plen < outer.plen:
            return False
        return int.from_bytes(prefix.network, "big") >> bits == start

    return check


def _length(low: int, high: int, of: Callable[[Subject], Prefix | None]) -> list[Check]:
    if low == 0 and high == MAX_PLEN:
        return []

    def check(subject: Subject) -> bool:
        # A route without a source prefix is one from everywhere.
        prefix = of(subject)
        return low <= (prefix.plen if prefix is not None else 0) <= high

    return [check]


def _origin(line: Filter) -> Check:
    if line.is_local:
        return lambda subject: subject.is_local
    if line.protocol is not None:
        return lambda subject: not subject.is_local and subject.protocol == line.protocol
    # Whoever names neither `local` nor `proto` does not mean addresses and hand-made routes.
    return lambda subject: not subject.is_local and subject.protocol != PROTOCOL_BOOT
