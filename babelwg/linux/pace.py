"""How closely something that takes its time may follow itself: at once after a rest, ever later where it goes on."""

import time

# Implementation constant
SHARE = 2.0  # times as long as it took, others have


class Pace:
    """Says when the next turn is due: each that follows closely comes after a pause twice as long as the last."""

    def __init__(self, first: float, longest: float) -> None:
        """Begin with a pause of `first` seconds, and end at `longest`."""
        self._first, self._longest = first, longest
        self._pause = 0.0
        self._free_at = float("-inf")

    def wait(self) -> float:
        """Return for how many seconds the next turn has to wait, 0.0 for not at all."""
        return max(0.0, self._free_at - time.monotonic())

    def note(self, began: float) -> None:
        """Take note of a turn that began at this moment (monotonic seconds) and has just ended."""
        now = time.monotonic()
        rested = began - self._free_at > self._pause
        self._pause = self._first if rested else min(self._longest, 2 * self._pause)
        self._free_at = now + max(self._pause, SHARE * (now - began))
