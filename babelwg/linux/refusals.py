"""What the kernel refuses of our routes, and which ways end where it does not take the next one."""

from collections.abc import Mapping

from babelwg.babel.wire.prefix import Prefix
from babelwg.linux.netlink import Refusal
from babelwg.linux.routes import UNICAST, Place, Route


class Refusals:
    """Why learned prefixes are not in the kernel, each until it takes them or they are forgotten."""

    def __init__(self, counters: dict[str, int]) -> None:
        """Count every refusal in `counters`, the repeated ones too."""
        self.reasons: dict[Prefix, Refusal] = {}
        self._counters = counters
        self._failed: set[Prefix] = set()  # whose ways the kernel refused since somebody asked

    def note(self, prefix: Prefix, refusal: Refusal) -> bool:
        """Take note that a prefix was refused; return whether that is news."""
        known = self.reasons.get(prefix) == refusal
        self.reasons[prefix] = refusal
        self._counters["route_refused"] += 1
        return not known

    def note_way(self, prefix: Prefix, refusal: Refusal) -> bool:
        """Take note that the kernel refused the way that was learned for a prefix; return whether that is news."""
        self._failed.add(prefix)
        return self.note(prefix, refusal)

    def end(self, prefix: Prefix) -> None:
        """Take note that a prefix is refused no more, or wanted no more."""
        self.reasons.pop(prefix, None)

    def take_failed(self) -> set[Prefix]:
        """Return the prefixes whose ways the kernel refused since the last call."""
        failed, self._failed = self._failed, set()
        return failed

    def former_ways(self, learned: Mapping[Prefix, Route], installed: Mapping[Place, Route]) -> list[Prefix]:
        """Return the prefixes for which the kernel still follows a way that it would not replace.

        Packets could go in a circle there: neighbours hear that we use another one, or none.
        """
        failed = [(prefix, learned[prefix]) for prefix in self._failed if prefix in learned]
        return [p for p, r in failed if r.kind == UNICAST and installed.get(r.place, r) != r]
