"""Whether a check holds: results in a row against thresholds in both directions, without a clock."""

from dataclasses import dataclass


@dataclass(slots=True)
class Health:
    """The state of one check; it begins as failed, with nothing known."""

    fall: int
    rise: int
    healthy: bool = False
    in_a_row: int = 0  # the latest results that were alike
    latest: bool | None = None
    reason: str = "not checked yet"
    ever_failed: bool = False

    def note(self, reason: str | None) -> bool:
        """Take in one result, a reason or None for success; return whether the state changed."""
        good = reason is None
        self.in_a_row = self.in_a_row + 1 if good == self.latest else 1
        self.latest = good
        self.reason = reason or ""
        self.ever_failed = self.ever_failed or not good
        threshold = self.rise if good else self.fall
        if good == self.healthy or self.in_a_row < threshold:
            return False
        self.healthy = good
        return True

    def describe(self) -> str:
        """Return the latest result and how many of its like there were, against the threshold."""
        if self.latest is None:
            return self.reason
        threshold = self.rise if self.latest else self.fall
        shown = min(self.in_a_row, threshold)
        result = "answered" if self.latest else "failed"
        counted = f"{shown} of {threshold} {result}"
        return f"{self.reason}, {counted}" if self.reason else counted
