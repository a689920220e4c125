"""The latest records: a queue with a bound on their number and on the memory they take."""

from collections import deque
from collections.abc import Iterator

from babelwg.daemon.recorder.about import Entry


class Ring:
    """Keeps the latest entries, and forgets the oldest where there are too many or they are too large."""

    def __init__(self, limit: int, octets: int) -> None:
        self._entries: deque[Entry] = deque()
        self._limit, self._allowed = limit, octets
        self._octets = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def add(self, entry: Entry) -> None:
        """Keep an entry, the newest of all."""
        self._entries.append(entry)
        self._octets += entry.octets
        self._trim()

    def resize(self, limit: int, octets: int) -> None:
        """Have other bounds from now on."""
        self._limit, self._allowed = limit, octets
        self._trim()

    def _trim(self) -> None:
        while len(self._entries) > self._limit or self._octets > self._allowed:
            self._octets -= self._entries.popleft().octets
