"""Filter lines turned into the checks that they need, once, before any route is looked at."""

from collections.abc import Callable, Iterable

from babelwg.babel.wire.prefix import Prefix
from babelwg.config.babeld.filters import MAX_PLEN, PROTOCOL_BOOT, Filter, Subject

Check = Callable[[Subject], bool]


class FilterList:
    """Lines of one kind in their order; the first that matches decides."""

    def __init__(self, lines: Iterable[Filter]) -> None:
        self.lines = tuple(lines)
        self._compiled = {family: [(_checks(line), line) for line in self._of(family)] for family in (4, 6)}

    def first_match(self, subject: Subject) -> Filter | None:
        """Return the line that decides, None when none matches."""
        for checks, line in self._compiled[subject.prefix.family]:
            if all(check(subject) for check in checks):
                return line
        return None

    def allowing(self, subject: Subject) -> Filter | None:
        """Return the line that lets a subject in, None when none matches or the first one denies."""
        line = self.first_match(subject)
        return None if line is None or line.denies else line

    def _of(self, family: int) -> list[Filter]:
        return [line for line in self.lines if line.family in (None, family)]


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
