"""The interface table (RFC 8966, section 3.2.3)."""

from collections.abc import Callable
from typing import NamedTuple

from babelwg.babel.parameters import InterfaceParameters
from babelwg.babel.tables.account import Account
from babelwg.babel.tables.allowance import Allowance
from babelwg.babel.tables.association import Association
from babelwg.babel.tables.batch import Batch, Encoding
from babelwg.babel.tables.delay import Probing
from babelwg.babel.tables.neighbour import Neighbour
from babelwg.babel.tables.outbox import Outbox
from babelwg.babel.timers import Timer
from babelwg.babel.wire.mac import overhead
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY

# Implementation constants: seconds of which the octets leave together, or each packet would wake both ends; and further
# seconds for those of a table that is told again
PACING_GRAIN, REPEAT_DELAY = 0.02, 0.08


class Pacer:
    """Spreads octets over time so that the receiver's socket buffer holds them (§3.1)."""

    __slots__ = ("_clear", "extra")

    def __init__(self) -> None:
        self.extra = 0  # octets that may leave at once besides
        self._clear = float("-inf")  # when all that was sent will have left at the chosen pace

    def ready_at(self, parameters: InterfaceParameters) -> float:
        """Return when the next packet may leave, in seconds."""
        return self._clear - max(PACING_GRAIN, (parameters.burst + self.extra) / parameters.pace)

    def spend(self, octets: int, parameters: InterfaceParameters, now: float) -> None:
        """Account for a packet that leaves now."""
        self._clear = max(self._clear, now) + octets / parameters.pace


class InterfaceActions(NamedTuple):
    """What an interface's timers do."""

    hello: Callable[[float], None]
    update: Callable[[float], None]
    send: Callable[[float], None]
    probe: Callable[[float], None]
    introduce: Callable[[float], None]
    retry: Callable[[float], None]


class Introduction:
    """When what a new link needs is said again; seconds."""

    __slots__ = ("since", "sure_until", "timer", "welcomes")

    def __init__(self, action: Callable[[float], None]) -> None:
        self.timer = Timer(action)
        self.welcomes = Allowance()  # for those that neighbours cause
        self.since = float("-inf")
        self.sure_until = float("-inf")  # until then it is said whoever has answered


class Interface:
    """An interface on which the speaker speaks."""

    __slots__ = (
        "account",
        "acquisitions",
        "asked",
        "associations",
        "began",
        "counter",
        "encodings",
        "failed",
        "heard_since",
        "hello_seqno",
        "hello_timer",
        "hellos_since_ihu",
        "index",
        "introduction",
        "link_local",
        "name",
        "neighbours",
        "one_way",
        "outbox",
        "pacer",
        "parameters",
        "pending_acknowledgments",
        "probing",
        "retry_timer",
        "update_interval",
        "update_timer",
    )

    def __init__(
        self,
        name: str,
        parameters: InterfaceParameters,
        link_local: bytes,
        group: bytes,
        hello_seqno: int,
        actions: InterfaceActions,
        now: float,
    ) -> None:
        self.name = name
        self.began = now
        self.parameters = parameters
        self.link_local = link_local
        self.hello_seqno = hello_seqno  # of the last Hello sent
        self.hellos_since_ihu = 0
        self.neighbours: dict[bytes, Neighbour] = {}
        self.account = Account()  # of all neighbours of a point-to-point interface
        self.acquisitions = Allowance()
        self.outbox = Outbox(group, actions.send)
        self.encodings: dict[Batch, Encoding] = {}  # of what was last announced here
        self.pacer = Pacer()
        # Authentication (RFC 8967, section 3.1); the index is drawn anew with each life of the interface.
        self.index = b""
        self.counter = 0  # of the last packet sent
        self.associations: dict[bytes, Association] = {}
        self.pending_acknowledgments = 0  # packets of ours that somebody here has not confirmed
        self.hello_timer = Timer(actions.hello)
        self.probing = Probing(actions.probe)
        self.introduction = Introduction(actions.introduce)
        self.failed: float | None = None  # since when the link is known to be dead, in seconds
        self.one_way = False  # whether it is dead although packets come
        self.heard_since = 0  # promised Hellos since then
        self.retry_timer = Timer(actions.retry)
        self.asked: dict[int, float] = {}  # when the shell asked what is not yet acknowledged, by nonce
        self.update_timer = Timer(actions.update)
        self.update_interval = parameters.update_interval  # as it is promised now: longer under load

    def timers(self) -> tuple[Timer, ...]:
        """Return all timers that end with the interface, except the outbox's and that of its Hellos."""
        return self.update_timer, self.probing.timer, self.introduction.timer, self.retry_timer

    @property
    def capacity(self) -> int:
        """The octets that a packet has for TLVs, beside what authenticates it."""
        return self.parameters.packet_size - overhead(self.parameters.keys)

    def may_carry(self, prefix: Prefix) -> bool:
        """Return whether a prefix may be spoken of here: not all speakers know sources (RFC 9079, §6)."""
        return not (prefix.source_plen and self.parameters.rfc6126_compatible)

    @property
    def has_reachable_neighbour(self) -> bool:
        """Whether packets go both ways to any neighbour."""
        for neighbour in self.neighbours.values():  # noqa: SIM110 - asked for each change, and a third as dear so
            if neighbour.cost < INFINITY:
                return True
        return False

    def reachable_neighbours(self) -> list[Neighbour]:
        """Return the neighbours to which packets go both ways."""
        return [neighbour for neighbour in self.neighbours.values() if neighbour.reachable]

    @property
    def all_stamp(self) -> bool:
        """Whether all neighbours stamp their Hellos (RFC 9616): then they know Hellos that promise nothing."""
        # BIRD 2.0.12 lets go of a neighbour for such a Hello.
        return all(neighbour.round_trip.origin is not None for neighbour in self.neighbours.values())

    @property
    def longest_round_trip(self) -> float:
        """The longest delay measured to a neighbour and back, in seconds; 0.0 where none is known."""
        return max((n.round_trip.rtt or 0.0 for n in self.neighbours.values()), default=0.0)

    def all_outboxes(self) -> list[Outbox]:
        """Return what waits for all at once, and for each neighbour."""
        return [self.outbox, *(neighbour.outbox for neighbour in self.neighbours.values())]

    def listeners(self, destination: bytes) -> dict[Neighbour, None]:
        """Return the reachable neighbours that a packet to `destination` is meant for."""
        if destination == self.outbox.destination:
            return dict.fromkeys(self.reachable_neighbours())
        return {n: None for n in self.reachable_neighbours() if n.address == destination}
