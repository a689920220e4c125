"""How much is told of what anybody on a link can cause: so much at once, so much a second, and the rest as a number."""

from collections import Counter

from babelwg.babel.events import LinkCostChanged, NeighbourAcquired, NeighbourLost
from babelwg.babel.tables.allowance import Allowance

ABOUT_LINKS = (NeighbourAcquired, NeighbourLost, LinkCostChanged)
# Implementation constants
MAX_SUBJECTS = 256  # of which it is known how much was told
TELL_PAUSE = 10.0  # seconds until it is told how much was not


class Limits:
    """Decides what is told, for each subject by itself, so that none silences another; an interface is one."""

    def __init__(self, burst: float, rate: float) -> None:
        self._burst, self._rate = burst, rate
        self._allowances: dict[str, Allowance] = {}
        self._unsaid: Counter[str] = Counter()
        self._since = 0.0  # when the first of those was not told, in seconds

    def admits(self, subject: str, now: float) -> bool:
        """Return whether something about a subject is told; what is not is counted."""
        if (allowance := self._allowances.get(subject)) is None:
            if len(self._allowances) >= MAX_SUBJECTS:
                del self._allowances[next(iter(self._allowances))]
            allowance = self._allowances[subject] = Allowance()
        if allowance.spend(1, self._burst, self._rate, now):
            return True
        if not self._unsaid:
            self._since = now
        self._unsaid[subject] += 1
        return False

    def take_unsaid(self, now: float = float("inf")) -> Counter[str]:
        """Return how much was not told, by subject, and forget it; nothing before it is time to tell that."""
        if not self._unsaid or now < self._since + TELL_PAUSE:
            return Counter()
        unsaid, self._unsaid = self._unsaid, Counter()
        return unsaid
