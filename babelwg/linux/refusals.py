"""What the kernel refuses of our routes."""

from babelwg.babel.wire.prefix import Prefix
from babelwg.linux.netlink import Refusal


class Refusals:
    """Why learned prefixes are not in the kernel, each until it takes them or they are forgotten."""

    def __init__(self, counters: dict[str, int]) -> None:
        """Count every refusal in `counters`, the repeated ones too."""
        self.reasons: dict[Prefix, Refusal] = {}
        self._counters = counters
        self._told: dict[Prefix, Refusal] = {}  # the latest, also where another way was taken then
        self._failed: dict[Prefix, Refusal] = {}  # whose ways the kernel refused since somebody asked

    def note(self, prefix: Prefix, refusal: Refusal) -> bool:
        """Take note that a prefix was refused; return whether that is news."""
        known = self._told.get(prefix) == refusal
        self.reasons[prefix] = self._told[prefix] = refusal
        self._counters["route_refused"] += 1
        return not known

    def note_way(self, prefix: Prefix, refusal: Refusal) -> bool:
        """Take note that the kernel refused the way that was learned for a prefix; return whether that is news."""
        self._failed[prefix] = refusal
        return self.note(prefix, refusal)

    def end(self, prefix: Prefix) -> None:
        """Take note that a prefix is refused no more, or wanted no more."""
        self.settle(prefix)
        self._told.pop(prefix, None)

    def settle(self, prefix: Prefix) -> None:
        """Take note that the kernel goes on with a way that it had; the same refusal again will be no news."""
        self.reasons.pop(prefix, None)
        self._failed.pop(prefix, None)

    def take_failed(self) -> dict[Prefix, Refusal]:
        """Return the prefixes whose ways the kernel refused since the last call, and why."""
        failed, self._failed = self._failed, {}
        return failed
