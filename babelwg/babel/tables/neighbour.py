"""The neighbour table (RFC 8966, section 3.2.4)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from babelwg.babel.events import Origin
from babelwg.babel.parameters import HISTORY_LENGTH
from babelwg.babel.tables.account import Account
from babelwg.babel.tables.delay import RoundTrip
from babelwg.babel.tables.outbox import Outbox
from babelwg.babel.tables.presence import Presence
from babelwg.babel.timers import Timer
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.recognition import Known
from babelwg.babel.wire.seqno import seqno_add, seqno_difference
from babelwg.babel.wire.tlv import INFINITY

if TYPE_CHECKING:
    from babelwg.babel.tables.interface import Interface
    from babelwg.babel.tables.route import Route


# Implementation constants
MAX_REFUSED = 256  # refused updates that are remembered of one neighbour
OUTAGE = 0b1111  # Hellos; more missed ones in a row than loss alone makes likely


class HelloHistory:
    """The latest Hellos of one kind, newest in the lowest bit (appendix A.1)."""

    __slots__ = (
        "_passed",
        "bits",
        "expected",
        "interleaved",
        "interval",
        "length",
        "presumed",
        "timer",
        "until",
        "vouched",
    )

    def __init__(self, action: Callable[[float], None]) -> None:
        self.bits = 0
        self.length = 0  # entries since the first Hello heard, at most HISTORY_LENGTH
        self.expected: int | None = None
        self.interval = 0.0  # seconds, as the neighbour last promised
        self.interleaved = False  # whether unscheduled Hellos came between the promised ones
        # Whether, when one was last missed, unscheduled ones had come instead, and before too
        self.vouched = False
        self._passed = False  # whether one came since then
        self.presumed = False  # known from an earlier life of ours, and not heard in this one
        self.until = 0.0  # when a neighbour of which nothing more comes is silent, in seconds
        self.timer = Timer(action)

    def jump(self, seqno: int) -> int:
        """Return how far a Hello's seqno is ahead of the expected one; 0 for the first Hello."""
        return 0 if self.expected is None else seqno_difference(seqno, self.expected)

    def receive(self, seqno: int) -> None:
        """Record a received Hello, after undoing or filling up what the seqno shows to be wrong."""
        if self.presumed:
            # What we were not there to hear was not lost on the link.
            self.bits, self.length, self.expected, self.presumed = 0, 0, seqno, False
        if (jump := self.jump(seqno)) < 0:
            # Of those that came between, none is an entry; only what was missed before this one may be undone.
            missed = (self.bits & -self.bits).bit_length() - 1 if self.bits else self.length
            undone = min(-jump, missed) if self.interleaved else -jump
            self.bits >>= undone
            self.length = max(0, self.length - undone)
        elif not self.interleaved:
            self._append(0, jump)
        if not (self.bits & OUTAGE or self.vouched):
            # The link was down, which is over; what was lost then says nothing about its quality now.
            self.length = 0
        self._append(1, 1)
        self.expected, self._passed = seqno_add(seqno, 1), False

    def presume(self, expected: int, interval: float, until: float) -> None:
        """Begin as if the last Hello that an earlier life of ours heard were the only one."""
        self.bits = self.length = 1
        self.expected, self.interval, self.until, self.presumed = expected, interval, until, True

    def pass_over(self, seqno: int) -> None:
        """Take note of a Hello that was not promised; from then on only broken promises count as loss."""
        # Departs from appendix A.1: unscheduled Hellos, of which many may come in a short time, are no entries, or the
        # history would say how the last seconds were, and the loss of two of them in a row would end the link.
        self.interleaved = self._passed = True
        self.expected = seqno_add(seqno, 1)

    def miss(self) -> None:
        """Record a Hello that did not come in time."""
        assert self.expected is not None, "only a neighbour that was heard can miss a Hello"
        if self.presumed:
            self.bits = 0
        # What was silent for two Hellos was down, whatever comes later.
        was_heard = self.vouched or self.ones(2) > 0
        self.vouched, self._passed = self._passed and was_heard, False
        self._append(0, 1)
        self.expected = seqno_add(self.expected, 1)

    def forgive(self) -> None:
        """Forget what was missed: the link was down, and was seen to be up again."""
        # Departs from appendix A.1: what counts is the answer that the link itself gave to the shell.
        if self.expected is not None:
            self.bits, self.length = 1, 1

    def ones(self, window: int) -> int:
        """Return how many of the latest `window` Hellos were received."""
        return (self.bits & ((1 << window) - 1)).bit_count()

    def _append(self, bit: int, count: int) -> None:
        mask = (1 << HISTORY_LENGTH) - 1
        self.bits = ((self.bits << count) | bit) & mask
        self.length = min(self.length + count, HISTORY_LENGTH)


class RefusedUpdate(NamedTuple):
    """A finite update that was not believed, for those who ask why there is no route; `at` in seconds."""

    reason: str
    router_id: bytes | None
    seqno: int
    metric: int
    at: float


class NeighbourActions(NamedTuple):
    """What a neighbour's timers do."""

    multicast_missed: Callable[[float], None]
    unicast_missed: Callable[[float], None]
    ihu_expired: Callable[[float], None]
    send: Callable[[float], None]
    dump: Callable[[float], None]
    purge: Callable[[float], None]
    link: Callable[[float], None]
    delay: Callable[[float], None]


class Neighbour:
    """A speaker heard on an interface, known by its address there and never by its router-id."""

    __slots__ = (
        "account",
        "address",
        "asked_at",
        "asked_twice",
        "cost",
        "dump_timer",
        "finite",
        "former_txcost",
        "has_asked",
        "has_heard_us",
        "heard",
        "holds",
        "ihu_timer",
        "interface",
        "last_heard",
        "link_timer",
        "multicast",
        "outbox",
        "presence",
        "purge_attempts",
        "purge_is_early",
        "purge_nonces",
        "purge_timer",
        "purged",
        "refused",
        "restarted",
        "round_trip",
        "routes",
        "rxcost",
        "trusted_at",
        "txcost",
        "unicast",
        "untold",
    )

    def __init__(self, interface: "Interface", address: bytes, actions: NeighbourActions) -> None:
        self.interface = interface
        self.address = address
        # One peer on a tunnel has as many addresses as it likes, and no more of anything for that.
        self.account = interface.account if interface.parameters.point_to_point else Account()
        self.multicast = HelloHistory(actions.multicast_missed)
        self.unicast = HelloHistory(actions.unicast_missed)
        self.txcost = INFINITY
        self.former_txcost: int | None = None  # before the link failed, until an IHU says what it is now
        self.trusted_at = 0.0  # when the former one is taken for that of now, in seconds
        self.has_asked = False  # for everything, or need not do so
        self.has_heard_us = False  # whether any IHU of it was for us
        self.rxcost = INFINITY
        self.cost = INFINITY
        self.asked_at: float | None = None  # when it was asked for everything, until it announces something
        self.asked_twice = False  # for it, since the link is there
        self.last_heard = 0.0  # when its last Hello came, in monotonic seconds
        self.presence = Presence()
        self.round_trip = RoundTrip(actions.delay)
        self.restarted = float("-inf")  # when a jump of its Hello seqno made this entry
        self.ihu_timer = Timer(actions.ihu_expired)
        self.outbox = Outbox(address, actions.send)
        self.routes: dict[Prefix, Route] = {}
        self.heard = Known()  # what still holds of its Updates, each by its octets
        # What a wildcard retraction concerns, so that a repeated one finds nothing to do.
        self.finite: dict[Prefix, None] = {}  # prefixes it announces and has not retracted
        self.untold: dict[Prefix, None] = {}  # what was retracted, and perhaps not heard there
        self.holds: dict[Prefix, None] = {}  # prefixes that stay unreachable until it has heard of it
        self.refused: dict[Prefix, RefusedUpdate] = {}  # the latest last
        self.link_timer = Timer(actions.link)  # for a change of cost that was put off
        # Full dumps are paid out at most so often (§3.8.1.1).
        self.dump_timer = Timer(actions.dump)
        # False while it may still hold routes through a former life of ours.
        self.purged = True
        self.purge_attempts = 0
        self.purge_is_early = (
            False  # whether the latest attempt left before the neighbour said that it hears us
        )
        self.purge_nonces: list[int] = []
        self.purge_timer = Timer(actions.purge)

    @property
    def reachable(self) -> bool:
        """Whether packets go both ways."""
        return self.cost < INFINITY

    def note_refusal(self, prefix: Prefix, refusal: RefusedUpdate) -> None:
        """Remember that an update was not believed, of the latest ones."""
        self.refused.pop(prefix, None)
        self.refused[prefix] = refusal
        if len(self.refused) > MAX_REFUSED:
            del self.refused[next(iter(self.refused))]

    def timers(self) -> tuple[Timer, ...]:
        """Return the timers that end with the neighbour, except the outbox's and those of its silence."""
        return self.dump_timer, self.link_timer, self.round_trip.timer

    def silences(self) -> tuple[Timer, ...]:
        """Return the timers of what is not heard from it."""
        return self.multicast.timer, self.unicast.timer, self.ihu_timer, self.purge_timer


class Cause(NamedTuple):
    """Why something changed: a word, and the neighbour whose message, link or silence it was."""

    word: str
    neighbour: Neighbour | None = None

    @property
    def origin(self) -> Origin:
        """Return the interface and the address of that neighbour."""
        return None if self.neighbour is None else (self.neighbour.interface.name, self.neighbour.address)
