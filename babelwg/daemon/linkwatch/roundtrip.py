"""How long answers take: a smoothed round trip and its variation (RFC 6298, section 2)."""

import math
from collections import deque

# Specification constants (RFC 6298, section 2)
ALPHA, BETA = 1 / 8, 1 / 4

# Implementation constants
# A packet may have waited for seconds for the session of its tunnel, once or twice: of one sample no more than so many
# seconds are believed, or so many times what is usual; where all take longer, the next ones are.
BELIEVED, TIMES = 0.25, 4
FIRST_BELIEVED = 0.1  # of the first one, which is most likely to have waited
FIRST_SAMPLES = 4  # of which the fastest tells
# Samples: what is some times as slow as the slowest of the last ones is not to be waited for, once there are so many.
LEAST, LAST = 16, 64
SLOWEST, LONGEST = 1.5, 2.5  # times: for the answer to one probe, and for one to several of them
TOGETHER = 0.05  # seconds within which answers waited for the same thing, and the fastest one tells how long they take


class RoundTripEstimate:
    """Seconds; 0.0 before the first answer."""

    def __init__(self) -> None:
        self.smoothed = 0.0
        self.variation = 0.0
        self._since = -math.inf  # when the first of those that came together did
        self._before = (0.0, 0.0)  # what was known before them
        self._samples = 0  # those that came together counted once
        self._last: deque[float] = deque(maxlen=LAST)  # and of these the last ones, of each the fastest

    @property
    def is_known(self) -> bool:
        """Whether there was an answer."""
        return self._samples > 0

    @property
    def slowest(self) -> float:
        """Seconds after which hardly any answer comes any more."""
        return self._bounded(self.smoothed + 4 * self.variation, SLOWEST)

    @property
    def patience(self) -> float:
        """Seconds within which one of several probes is answered: four round trips and their variation."""
        return self._bounded(4 * self.smoothed + 4 * self.variation, LONGEST)

    def _bounded(self, estimate: float, times: float) -> float:
        """Return an estimate, or as many times the slowest of the last samples where that is less.

        When round trips grow by a step, their variation says for seconds that they grow further.
        """
        return min(estimate, times * max(self._last)) if len(self._last) >= LEAST else estimate

    def add(self, sample: float, now: float) -> None:
        """Take in how long one answer took that comes now, in seconds."""
        if now > self._since + TOGETHER:
            self._before = self.smoothed, self.variation
            self._since = now
            self._samples += 1
            self._last.append(sample)
        elif sample >= self._last[-1]:
            return
        self._last[-1] = sample
        smoothed, variation = self._before
        if self._samples == 1 or (self._samples <= FIRST_SAMPLES and sample < smoothed):
            self.smoothed = min(sample, FIRST_BELIEVED)
            self.variation = self.smoothed / 2
            return
        sample = min(sample, max(BELIEVED, TIMES * smoothed))
        self.variation = variation + BETA * (abs(sample - smoothed) - variation)
        self.smoothed = smoothed + ALPHA * (sample - smoothed)
