"""How often prefixes were lost or announced differently of late."""

from babelwg.babel.wire.prefix import Prefix

# Implementation constants
PERIOD = 20.0  # seconds; what is older than two of them is forgotten
MOST = 65_536  # prefixes of a period, two full tables of a neighbour


class Flaps:
    """Counts changes by prefix, over the present period and the one before."""

    def __init__(self) -> None:
        self._recent: dict[Prefix, int] = {}
        self._older: dict[Prefix, int] = {}
        self._until = 0.0  # when the present period ends, in seconds

    def note(self, prefix: Prefix, now: float) -> None:
        """Take note of a change."""
        self._age(now)
        if len(self._recent) < MOST or prefix in self._recent:
            self._recent[prefix] = self._recent.get(prefix, 0) + 1

    def count(self, prefix: Prefix, now: float) -> int:
        """Return how often a prefix has changed in the last twenty to forty seconds."""
        if not self._recent and not self._older:
            return 0
        self._age(now)
        return self._recent.get(prefix, 0) + self._older.get(prefix, 0)

    def _age(self, now: float) -> None:
        if now < self._until:
            return
        self._older = self._recent if now < self._until + PERIOD else {}
        self._recent = {}
        self._until = now + PERIOD
