"""How long answers take: a smoothed round trip and its variation (RFC 6298, section 2)."""

import math

# Specification constants (RFC 6298, section 2)
ALPHA, BETA = 1 / 8, 1 / 4

# Implementation constants
# A packet may have waited for seconds for the session of its tunnel, once: of one sample no more than so many seconds
# are believed, or so many times what was to be expected; where all take longer, the next ones are.
BELIEVED, TIMES = 0.25, 4
TOGETHER = 0.05  # seconds within which answers waited for the same thing, and the fastest one tells how long they take


class RoundTripEstimate:
    """Seconds; 0.0 before the first answer."""

    def __init__(self) -> None:
        self.smoothed = 0.0
        self.variation = 0.0
        self._since = -math.inf  # when the first of those that came together did
        self._fastest = 0.0  # of them
        self._before: tuple[float, float] | None = None  # what was known before them, None for nothing

    @property
    def slowest(self) -> float:
        """Seconds after which hardly any answer comes any more."""
        return self.smoothed + 4 * self.variation

    def add(self, sample: float, now: float) -> None:
        """Take in how long one answer took that comes now, in seconds."""
        if now > self._since + TOGETHER:
            self._before = None if self._since == -math.inf else (self.smoothed, self.variation)
            self._since, self._fastest = now, sample
        elif sample >= self._fastest:
            return
        self._fastest = sample
        self.smoothed, self.variation = _moved(self._before, sample)


def _moved(known: tuple[float, float] | None, sample: float) -> tuple[float, float]:
    """Return the round trip and its variation after a sample, all in seconds; nothing may be known yet."""
    smoothed, variation = known or (0.0, 0.0)
    sample = min(sample, max(BELIEVED, TIMES * (smoothed + 4 * variation)))
    if known is None:
        return sample, sample / 2
    variation += BETA * (abs(sample - smoothed) - variation)
    return smoothed + ALPHA * (sample - smoothed), variation
