"""The TLVs of Babel as values, and the numbers that stand for them (RFC 8966, section 4.6)."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from babelwg.babel.wire.prefix import Prefix

MAGIC = 42
VERSION = 2
HEADER_SIZE = 4  # octets
INFINITY = 0xFFFF  # of metrics and costs
NOT_REPEATED = 655.35  # seconds; the update interval 0xFFFF: not sent again unless asked for
ROUTER_ID_SIZE = 8  # octets
UNUSABLE_ROUTER_IDS = frozenset({bytes(8), b"\xff" * 8})
MANDATORY = 0x80  # bit of a sub-TLV's type


class SubTlvType(IntEnum):
    """The type octet of a sub-TLV (§4.7, RFC 9079, RFC 9616)."""

    PAD1 = 0
    PADN = 1
    TIMESTAMP = 3
    SOURCE_PREFIX = 128


class TlvType(IntEnum):
    """The type octet of a TLV (§4.6)."""

    PAD1 = 0
    PADN = 1
    ACKNOWLEDGMENT_REQUEST = 2
    ACKNOWLEDGMENT = 3
    HELLO = 4
    IHU = 5
    ROUTER_ID = 6
    NEXT_HOP = 7
    UPDATE = 8
    ROUTE_REQUEST = 9
    SEQNO_REQUEST = 10
    MAC = 16  # RFC 8967 §6
    PACKET_COUNTER = 17
    CHALLENGE_REQUEST = 18
    CHALLENGE_REPLY = 19


class AddressEncoding(IntEnum):
    """How an address is written (§4.1.4, RFC 9229)."""

    WILDCARD = 0
    IPV4 = 1
    IPV6 = 2
    LINK_LOCAL = 3
    V4_VIA_V6 = 4


class SubTlv(NamedTuple):
    """A sub-TLV that its TLV's handler may know; padding is left out (§4.7)."""

    type: int
    body: bytes


@dataclass(frozen=True, slots=True)
class AcknowledgmentRequest:
    """Asks for an Acknowledgment with the same opaque value within `interval` seconds (§4.6.3)."""

    opaque: int
    interval: float
    sub_tlvs: tuple[SubTlv, ...] = ()


@dataclass(frozen=True, slots=True)
class Acknowledgment:
    """Answers an Acknowledgment Request (§4.6.4)."""

    opaque: int
    sub_tlvs: tuple[SubTlv, ...] = ()


@dataclass(frozen=True, slots=True)
class Hello:
    """Says that its sender lives; `interval` in seconds, 0 when unscheduled (§4.6.5)."""

    seqno: int
    interval: float
    unicast: bool = False
    sub_tlvs: tuple[SubTlv, ...] = ()


@dataclass(frozen=True, slots=True)
class Ihu:
    """Says how well its sender hears `address`, None for the receiver; `interval` in seconds (§4.6.6)."""

    address: bytes | None
    rxcost: int
    interval: float
    sub_tlvs: tuple[SubTlv, ...] = ()


# Not frozen, which would take three times as long to make: there may be ten thousand in a second.
@dataclass(slots=True)
class Update:
    """Announces a prefix, or retracts it with an infinite metric; prefix None retracts all (§4.6.9).

    `octets` are all that decided what it says, where it was read from a packet.
    """

    prefix: Prefix | None
    router_id: bytes | None
    seqno: int
    metric: int
    interval: float
    next_hop: bytes | None
    sub_tlvs: tuple[SubTlv, ...] = ()
    octets: bytes = field(default=b"", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class RouteRequest:
    """Asks for an update of a prefix, or with prefix None for everything (§4.6.10)."""

    prefix: Prefix | None
    sub_tlvs: tuple[SubTlv, ...] = ()


@dataclass(frozen=True, slots=True)
class SeqnoRequest:
    """Asks for an update that carries at least this sequence number (§4.6.11)."""

    prefix: Prefix
    router_id: bytes
    seqno: int
    hop_count: int
    sub_tlvs: tuple[SubTlv, ...] = ()


@dataclass(frozen=True, slots=True)
class ChallengeRequest:
    """Asks for a Challenge Reply with the same nonce (RFC 8967, section 6.3)."""

    nonce: bytes


@dataclass(frozen=True, slots=True)
class ChallengeReply:
    """Proves that its sender has seen a nonce (RFC 8967, section 6.4)."""

    nonce: bytes


Tlv = AcknowledgmentRequest | Acknowledgment | Hello | Ihu | Update | RouteRequest | SeqnoRequest
