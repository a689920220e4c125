"""How long answers take: a smoothed round trip and its variation (RFC 6298, section 2)."""

# Specification constants (RFC 6298, section 2)
ALPHA, BETA = 1 / 8, 1 / 4


class RoundTripEstimate:
    """Seconds; 0.0 before the first answer."""

    def __init__(self) -> None:
        self.smoothed = 0.0
        self.variation = 0.0
        self._known = False

    def add(self, sample: float) -> None:
        """Take in how long one answer took, in seconds."""
        if not self._known:
            self._known, self.smoothed, self.variation = True, sample, sample / 2
            return
        self.variation += BETA * (abs(sample - self.smoothed) - self.variation)
        self.smoothed += ALPHA * (sample - self.smoothed)
