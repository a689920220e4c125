"""The table of pending seqno requests (RFC 8966, section 3.2.7)."""

from babelwg.babel.tables.neighbour import Neighbour
from babelwg.babel.tables.source import Source
from babelwg.babel.timers import Timer
from babelwg.babel.wire.prefix import Prefix

HeldRequests = dict[tuple[Neighbour, Prefix], None]


class PendingRequest:
    """A seqno that was asked for, by us or by neighbours whose request we passed on."""

    __slots__ = (
        "asked",
        "cause",
        "hop_count",
        "requesters",
        "resends",
        "sent",
        "seqno",
        "since",
        "source",
        "targets",
        "timer",
        "told",
    )

    def __init__(self, source: Source, seqno: int, timer: Timer, cause: Neighbour | None, now: float) -> None:
        self.source = source
        self.seqno = seqno
        self.requesters: dict[Neighbour, None] = {}
        self.resends = 0  # still to come; none for a request that was only passed on
        self.sent = self.since = now
        self.targets: tuple[Neighbour, ...] = ()  # who was asked last
        self.asked: dict[Neighbour, float] = {}  # when each was asked last, in monotonic seconds
        self.hop_count = 0  # with which they were asked
        self.told: int | None = None  # the newest seqno that its requesters were told or knew
        self.timer = timer
        self.cause = cause  # the neighbour whose TLV made us ask; None for a loss
