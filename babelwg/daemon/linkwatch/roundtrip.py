"""How long answers take: a smoothed round trip and its variation (RFC 6298, section 2)."""

# Specification constants (RFC 6298, section 2)
ALPHA, BETA = 1 / 8, 1 / 4

# Implementation constants
# A packet may have waited for seconds for the session of its tunnel, once: of one sample no more than so many seconds
# are believed, or so many times what was to be expected; where all take longer, the next ones are.
BELIEVED, TIMES = 0.25, 4


class RoundTripEstimate:
    """Seconds; 0.0 before the first answer."""

    def __init__(self) -> None:
        self.smoothed = 0.0
        self.variation = 0.0
        self._known = False

    @property
    def slowest(self) -> float:
        """Seconds after which hardly any answer comes any more."""
        return self.smoothed + 4 * self.variation

    def add(self, sample: float) -> None:
        """Take in how long one answer took, in seconds."""
        sample = min(sample, max(BELIEVED, TIMES * self.slowest))
        if not self._known:
            self._known, self.smoothed, self.variation = True, sample, sample / 2
            return
        self.variation += BETA * (abs(sample - self.smoothed) - self.variation)
        self.smoothed += ALPHA * (sample - self.smoothed)
