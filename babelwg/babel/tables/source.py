"""The source table: the best distance ever announced for each source (RFC 8966, section 3.2.5)."""

from collections.abc import Iterable, Iterator
from itertools import takewhile
from operator import itemgetter
from typing import NamedTuple

from babelwg.babel.memory import SourceRecord
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.seqno import seqno_lt
from babelwg.babel.wire.tlv import INFINITY


class Source(NamedTuple):
    """Who announces what: the key of the source table."""

    prefix: Prefix
    router_id: bytes


class FeasibilityDistance(NamedTuple):
    """The distance that an update must beat (§3.5.1)."""

    seqno: int
    metric: int

    def admits(self, seqno: int, metric: int) -> bool:
        """Return whether an advertised distance is better than this one, or a retraction."""
        if metric == INFINITY or seqno_lt(self.seqno, seqno):
            return True
        return seqno == self.seqno and metric < self.metric


# Stands in the stored table while sources of an earlier life are missing; no router has this id.
INCOMPLETE = Source(Prefix(6, bytes(16), 0), bytes(8))


class Announcement:
    """Sources that are announced together, and when they last were, in seconds."""

    __slots__ = ("at", "sources")

    def __init__(self, sources: tuple[Source, ...], now: float) -> None:
        self.sources = sources
        self.at = now


class SourceTable:
    """Feasibility distances by source, in the order in which they were last used."""

    def __init__(self, records: Iterable[SourceRecord]) -> None:
        self._distances: dict[Source, FeasibilityDistance] = {}
        self._used: dict[Source, float] = {}  # seconds; oldest first
        self._forgotten_until = float("-inf")  # seconds; what was announced no later may be forgotten
        self._repeated: dict[Announcement, None] = {}  # of which the sources do not know yet when it was
        self._changed: dict[Source, None] = {}
        self.incomplete = False
        for prefix, router_id, seqno, metric in records:
            if Source(prefix, router_id) == INCOMPLETE:
                self.incomplete = seqno is not None
            elif seqno is not None and metric is not None:
                self._distances[Source(prefix, router_id)] = FeasibilityDistance(seqno, metric)

    def __len__(self) -> int:
        return len(self._distances)

    def __iter__(self) -> Iterator[tuple[Source, FeasibilityDistance]]:
        return iter(self._distances.items())

    def get(self, prefix: Prefix, router_id: bytes) -> FeasibilityDistance | None:
        """Return the distance of a source, or None when it is not known."""
        # The tuple is what a Source is, and made in a third of the time.
        return self._distances.get((prefix, router_id))  # type: ignore[call-overload, no-any-return]

    def used(self, source: Source) -> float | None:
        """Return when a source was last announced, in seconds."""
        self._settle()
        return self._used.get(source)

    def start(self, now: float) -> None:
        """Count the age of remembered sources from now on, because the time of their use is not known."""
        for source in self._distances:
            self._used.setdefault(source, now)

    def set_incomplete(self, incomplete: bool) -> None:
        """Note in the stored table whether sources are missing, so that a next life knows it too."""
        self.incomplete = incomplete
        self._changed[INCOMPLETE] = None

    def put(self, source: Source, distance: FeasibilityDistance) -> None:
        """Set the distance of a source."""
        self._distances[source] = distance
        self._changed[source] = None

    def touch(self, source: Source, now: float) -> None:
        """Note that a source is being announced."""
        self._used.pop(source, None)
        self._used[source] = now

    def repeat(self, announcement: Announcement, gc_time: float, now: float) -> bool:
        """Note that sources are being announced again; False where one may have been forgotten meanwhile."""
        if announcement.at <= self._forgotten_until or now >= announcement.at + gc_time:
            return False
        announcement.at = now
        self._repeated[announcement] = None
        return True

    def oldest_use(self) -> float | None:
        """Return when the source that rests longest was last announced, or a time before that."""
        return next(iter(self._used.values()), None)

    def collect_garbage(self, gc_time: float, now: float) -> None:
        """Remove the sources that were not announced for `gc_time` seconds (§3.7.3)."""
        self._settle()
        self._forgotten_until = max(self._forgotten_until, now - gc_time)
        old = [source for source, _ in takewhile(lambda item: item[1] + gc_time <= now, self._used.items())]
        for source in old:
            del self._used[source], self._distances[source]
            self._changed[source] = None

    def _settle(self) -> None:
        """Give each source the time of its last announcement."""
        if not self._repeated:
            return
        used = self._used
        for announcement in self._repeated:
            for source in announcement.sources:
                if used.get(source, announcement.at) < announcement.at:
                    used[source] = announcement.at
        self._repeated.clear()
        self._used = dict(sorted(used.items(), key=itemgetter(1)))

    def drain_changes(self) -> list[SourceRecord]:
        """Return what changed since the last call, each source once."""
        records = []
        for source in self._changed:
            if source == INCOMPLETE:
                mark = 0 if self.incomplete else None
                records.append(SourceRecord(source.prefix, source.router_id, mark, mark))
                continue
            seqno, metric = self._distances.get(source, (None, None))
            records.append(SourceRecord(source.prefix, source.router_id, seqno, metric))
        self._changed.clear()
        return records
