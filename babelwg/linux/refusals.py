"""What the kernel refuses of our routes."""

import errno

from babelwg.babel.wire.prefix import Prefix
from babelwg.linux.netlink import Refusal

# What says nothing of the route: the kernel was short of memory for a moment, or was interrupted.
PASSING = frozenset((errno.EAGAIN, errno.EINTR, errno.ENOBUFS, errno.ENOMEM))


class Refusals:
    """Why learned prefixes are not in the kernel, each until it takes them or they are forgotten."""

    def __init__(self, counters: dict[str, int]) -> None:
        """Count every refusal in `counters`, the repeated ones too."""
        self.reasons: dict[Prefix, Refusal] = {}
        self.postponed = 0  # operations, of the latest attempt
        self._is_patient = True
        self._counters = counters
        self._told: dict[Prefix, Refusal] = {}  # the latest, also where another way was taken then
        self._failed: dict[Prefix, Refusal] = {}  # whose ways the kernel refused since somebody asked

    def begin(self, is_patient: bool) -> None:
        """Take note that another attempt begins: what fails in passing waits for the next, if somebody is patient."""
        self._is_patient, self.postponed = is_patient, 0

    def postpone(self, refusal: Refusal) -> bool:
        """Return whether what the kernel would not do is to be tried once more, and count it then."""
        if not self._is_patient or refusal.errno not in PASSING:
            return False
        self.postponed += 1
        self._counters["route_postponed"] += 1
        return True

    def note(self, prefix: Prefix, refusal: Refusal, is_way: bool = False) -> bool:
        """Take note that a prefix was refused, or the way that was learned for it; return whether that is news."""
        known = self._told.get(prefix) == refusal
        self.reasons[prefix] = self._told[prefix] = refusal
        self._counters["route_refused"] += 1
        if is_way:
            self._failed[prefix] = refusal
        return not known

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
