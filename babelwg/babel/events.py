"""What a speaker tells its shell: each event is one line of log, and some are work for the kernel."""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import get_args

from babelwg.babel.wire.prefix import Prefix


def address_text(address: bytes, interface: str | None = None) -> str:
    """Return a packed address as people write it, with its interface when it has one."""
    text = str(ip_address(address))
    return text if interface is None else f"{text}%{interface}"


# Whose message, link or silence caused a change: the interface and the address of a neighbour; None for our own doing.
Origin = tuple[str, bytes] | None


def router_id_text(router_id: bytes) -> str:
    """Return a router-id as eight pairs of digits."""
    return router_id.hex(":")


@dataclass(frozen=True, slots=True)
class NeighbourAcquired:
    """A first Hello was heard from an address."""

    interface: str
    address: bytes

    def __str__(self) -> str:
        return f"neighbour-acquired address={address_text(self.address, self.interface)}"


@dataclass(frozen=True, slots=True)
class NeighbourLost:
    """A neighbour was forgotten with all its routes."""

    interface: str
    address: bytes
    reason: str

    def __str__(self) -> str:
        return f"neighbour-lost address={address_text(self.address, self.interface)} reason={self.reason}"


@dataclass(frozen=True, slots=True)
class LinkCostChanged:
    """The cost of the link to a neighbour changed; 65535 is unreachable."""

    interface: str
    address: bytes
    cost: int
    rxcost: int
    txcost: int

    def __str__(self) -> str:
        where = address_text(self.address, self.interface)
        return f"link-cost-changed address={where} cost={self.cost} rxcost={self.rxcost} txcost={self.txcost}"


@dataclass(frozen=True, slots=True)
class LinkFailed:
    """A link was found dead by the packets it does not carry; nothing is sent through it any more."""

    interface: str
    why: str

    def __str__(self) -> str:
        return f"link-failed interface={self.interface} why={self.why!r}"


@dataclass(frozen=True, slots=True)
class LinkRestored:
    """A dead link carries packets both ways again, after so many seconds."""

    interface: str
    after: float

    def __str__(self) -> str:
        return f"link-restored interface={self.interface} after={self.after:.3f}"


# Not frozen, which would take three times as long to make: there may be ten thousand in a second.
@dataclass(slots=True)
class RouteSelected:
    """Packets for a prefix go to a next hop from now on."""

    prefix: Prefix
    next_hop: bytes
    interface: str
    metric: int
    router_id: bytes
    neighbour: bytes
    seqno: int
    refmetric: int
    cause: str
    by: Origin = None
    old_metric: int | None = None  # of the former route as it is now, None where there was none

    def __str__(self) -> str:
        via = address_text(self.next_hop, self.interface)
        return (
            f"route-selected prefix={self.prefix} via={via} metric={self.metric}"
            f" router-id={router_id_text(self.router_id)} seqno={self.seqno} refmetric={self.refmetric}"
            f" cause={self.cause}"
        )


@dataclass(frozen=True, slots=True)
class RouteRetracted:
    """Packets for a prefix are refused from now on, also where a shorter prefix covers it (§3.5.4)."""

    prefix: Prefix
    cause: str
    by: Origin = None

    def __str__(self) -> str:
        return f"route-retracted prefix={self.prefix} cause={self.cause}"


@dataclass(frozen=True, slots=True)
class RouteFlushed:
    """Nothing is known of a prefix any more."""

    prefix: Prefix
    cause: str
    by: Origin = None

    def __str__(self) -> str:
        return f"route-flushed prefix={self.prefix} cause={self.cause}"


@dataclass(frozen=True, slots=True)
class SeqnoIncreased:
    """Our sequence number is about to appear in updates; the shell makes it durable first."""

    seqno: int

    def __str__(self) -> str:
        return f"seqno-increased seqno={self.seqno}"


@dataclass(frozen=True, slots=True)
class SeqnoRequested:
    """A neighbour was asked, for us or for another node, for a newer sequence number."""

    prefix: Prefix
    router_id: bytes
    seqno: int
    interface: str
    neighbour: bytes

    def __str__(self) -> str:
        return (
            f"seqno-requested prefix={self.prefix} router-id={router_id_text(self.router_id)}"
            f" seqno={self.seqno} from={address_text(self.neighbour, self.interface)}"
        )


@dataclass(frozen=True, slots=True)
class PacketDropped:
    """A datagram was refused whole."""

    interface: str
    source: bytes
    reason: str

    def __str__(self) -> str:
        return f"packet-dropped source={address_text(self.source, self.interface)} reason={self.reason}"


@dataclass(frozen=True, slots=True)
class TlvDropped:
    """One TLV of a datagram was ignored."""

    interface: str
    source: bytes
    reason: str
    message: str

    def __str__(self) -> str:
        source = address_text(self.source, self.interface)
        return f"tlv-dropped source={source} reason={self.reason} message={self.message!r}"


@dataclass(frozen=True, slots=True)
class RoutesRefused:
    """A neighbour announces more than there is room for; its further routes are ignored, and counted."""

    interface: str
    neighbour: bytes
    limit: int
    of: str  # "neighbour", or "all" together

    def __str__(self) -> str:
        who = address_text(self.neighbour, self.interface)
        return (
            f"routes-refused neighbour={who} limit={self.limit} of={self.of}: its further routes are ignored"
        )


# Those that the kernel must hear are never suppressed; the number of the others is bounded.
RouteEvent = RouteSelected | RouteRetracted | RouteFlushed
Notice = (
    NeighbourAcquired
    | NeighbourLost
    | LinkCostChanged
    | LinkFailed
    | LinkRestored
    | RoutesRefused
    | SeqnoRequested
    | PacketDropped
    | TlvDropped
)
Event = RouteEvent | SeqnoIncreased | Notice
NOTICES = frozenset(get_args(Notice))  # to look a type up there takes a tenth of what isinstance takes
