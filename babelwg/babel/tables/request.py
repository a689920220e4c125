"""The table of pending seqno requests (RFC 8966, section 3.2.7)."""

from collections.abc import Iterable
from typing import NamedTuple

from babelwg.babel.tables.neighbour import Neighbour
from babelwg.babel.tables.source import Source
from babelwg.babel.timers import Timer
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.seqno import seqno_lt

HeldRequests = dict[tuple[Neighbour, Prefix], None]


# Implementation constants: how long a speaker may be silent after it was asked, in seconds
SILENCE = 0.25  # at least
UNMEASURED_SILENCE = 0.6  # where its round trip is not known
BESIDE_ROUND_TRIPS, ROUND_TRIPS = 0.1, 2.5  # and this beside so many of it


class Asked(NamedTuple):
    """When a neighbour was asked for a seqno for the first and the last time, in monotonic seconds."""

    first: float
    last: float


class PendingRequest:
    """A seqno that was asked for, by us or by neighbours whose request we passed on."""

    __slots__ = (
        "asked",
        "cause",
        "hop_count",
        "requesters",
        "resends",
        "rounds",
        "sent",
        "seqno",
        "since",
        "source",
        "targets",
        "timer",
    )

    def __init__(self, source: Source, seqno: int, timer: Timer, cause: Neighbour | None, now: float) -> None:
        self.source = source
        self.seqno = seqno
        self.requesters: dict[Neighbour, None] = {}
        self.resends = 0  # still to come; none for a request that was only passed on
        self.sent = now
        self.targets: tuple[Neighbour, ...] = ()  # who was asked last
        self.timer = timer
        self.cause = cause  # the neighbour whose TLV made us ask; None for a loss
        self.begin_anew(now)

    def begin_anew(self, now: float) -> None:
        """Forget who was asked: not for this seqno, or only those so near that it could not go far enough."""
        self.since = now
        self.asked: dict[Neighbour, Asked] = {}
        self.rounds = 0  # how often somebody was asked
        self.hop_count = 0  # with which they were asked at most

    def covers(self, seqno: int, hop_count: int) -> bool:
        """Return whether who was asked was asked for such a seqno, and could pass it on as far."""
        return not seqno_lt(self.seqno, seqno) and hop_count <= self.hop_count

    def note_asked(self, targets: Iterable[Neighbour], hop_count: int, now: float) -> None:
        """Note that neighbours are asked now."""
        if hop_count > self.hop_count:
            self.begin_anew(now)
        self.targets = tuple(dict.fromkeys(targets))
        self.hop_count = max(self.hop_count, hop_count)
        self.rounds += 1
        for neighbour in self.targets:
            known = self.asked.get(neighbour)
            self.asked[neighbour] = Asked(known.first if known is not None else now, now)

    def is_unanswered_by(self, neighbour: Neighbour, now: float) -> bool:
        """Return whether a neighbour has said nothing at all, for longer than it takes, since it was asked for this."""
        asked, trip = self.asked.get(neighbour), neighbour.round_trip.rtt
        if asked is None or neighbour.last_spoke > asked.first:
            return False
        patience = UNMEASURED_SILENCE if trip is None else BESIDE_ROUND_TRIPS + ROUND_TRIPS * trip
        return now >= asked.first + max(SILENCE, patience)
