"""From octets to TLVs in one pass that no input can break (RFC 8966, sections 4.2 to 4.6)."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct

from babelwg.babel.wire.parts import (
    LINK_LOCAL,
    MalformedTlv,
    need,
    read_address,
    read_prefix,
    read_source_prefix,
    read_sub_tlvs,
)
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.recognition import (
    PREFIX_FLAG,
    ROUTER_ID_FLAG,
    Known,
    ParserState,
    Passage,
    PassageFinder,
    Remembered,
    recognise,
    recognise_passage,
)
from babelwg.babel.wire.tlv import (
    HEADER_SIZE,
    INFINITY,
    MAGIC,
    ROUTER_ID_SIZE,
    UNUSABLE_ROUTER_IDS,
    VERSION,
    Acknowledgment,
    AcknowledgmentRequest,
    AddressEncoding,
    Hello,
    Ihu,
    RouteRequest,
    SeqnoRequest,
    SubTlv,
    Tlv,
    TlvType,
    Update,
)

# Implementation constant: mistakes in one packet before the rest is left unread; no speaker makes so many
MAX_COMPLAINTS = 100
NOTHING_KNOWN = Known()
Said = Tlv | Remembered | Passage


@dataclass(frozen=True, slots=True)
class Complaint:
    """Why a TLV was left out, or so many: a reason from a small set, and a sentence."""

    reason: str
    message: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Packet:
    """What a datagram says; `refusal` is set, and nothing else, when the whole packet is unusable."""

    tlvs: tuple[Said, ...] = ()
    complaints: tuple[Complaint, ...] = ()
    refusal: str | None = None
    # The MAC extension signs the body and keeps its TLVs here; nothing else is allowed in it (§4.2).
    trailer: bytes = b""
    passages: tuple[Passage, ...] = ()  # that are known from now on, unless what they say has changed


def decode_packet(data: bytes, source: bytes, known: Known = NOTHING_KNOWN) -> Packet:
    """Return the TLVs of a packet from the packed address `source`, with complaints about the others.

    Instead of an Update or a passage whose octets are `known`, what remembers it is returned.
    """
    if len(data) < HEADER_SIZE:
        return Packet(refusal="short-header")
    if data[0] != MAGIC:
        return Packet(refusal="wrong-magic")
    if data[1] != VERSION:
        return Packet(refusal="wrong-version")
    end = HEADER_SIZE + int.from_bytes(data[2:4], "big")
    if end > len(data):
        return Packet(refusal="truncated-body")
    state = ParserState(source if len(source) == 16 else None, source if len(source) == 4 else None)
    finder = PassageFinder(data, state)
    tlvs, complaints = _read_body(state, data, end, known, finder)
    # What this very packet changes may be part of a passage before it.
    passages = () if state.news else tuple(finder.found)
    return Packet(tuple(tlvs), tuple(complaints), trailer=data[end:], passages=passages)


def _read_body(
    state: ParserState, data: bytes, end: int, known: Known, finder: PassageFinder
) -> tuple[list[Said], list[Complaint]]:
    tlvs: list[Said] = []
    complaints: list[Complaint] = []
    position, unknown = HEADER_SIZE, 0
    while position < end:
        if len(complaints) >= MAX_COMPLAINTS:
            complaints.append(Complaint("too-many-mistakes", "the rest of the packet was not read"))
            break
        tlv_type = data[position]
        if tlv_type == _PAD1:
            finder.close(position)
            position = _skip_padding(data, position, end)
            continue
        begin, start = position, position + 2
        if start > end or (position := start + data[start - 1]) > end:
            complaints.append(Complaint("tlv-overruns-body", "a TLV runs past the end of the packet body"))
            finder.close(begin)
            break
        if tlv_type == _UPDATE_TYPE:
            body = data[start:position]
            if (heard := recognise(state, body, known)) is not None:
                tlvs.append(heard)
                finder.add(heard, body)
                continue
            finder.abandon()
        finder.close(begin)
        if tlv_type == _ROUTER_ID:
            passage = recognise_passage(state, data, begin, end, known)
            if passage is not None:
                tlvs.append(passage)
                position = begin + len(passage.octets)
                continue
            finder.open(begin)
        if tlv_type not in READERS:
            unknown += tlv_type not in _IGNORED
            continue
        _read_tlv(state, tlv_type, data[start:position], tlvs, complaints)
    finder.close(position)
    if unknown:
        # Others may send many of these to each other, and each for itself would be dear.
        complaints.append(
            Complaint("unknown-tlv", f"{unknown} TLVs are of types that are not known", unknown)
        )
    return tlvs, complaints


def _read_tlv(
    state: ParserState, tlv_type: int, body: bytes, tlvs: list[Said], complaints: list[Complaint]
) -> None:
    """Add what a TLV says to the others, or why it says nothing."""
    try:
        tlv = READERS[tlv_type](state, body)
    except MalformedTlv as error:
        complaints.append(Complaint(error.reason, str(error)))
        return
    if tlv is not None:
        tlvs.append(tlv)


def _skip_padding(data: bytes, position: int, end: int) -> int:
    """Return where the Pad1s that begin at a position end; there may be thousands."""
    padding = _PAD1S.match(data, position, end)
    assert padding is not None, "a Pad1 is there"
    return padding.end()


def _read_acknowledgment_request(state: ParserState, body: bytes) -> Tlv:
    need(body, 6, "Acknowledgment Request")
    _, opaque, interval = _THREE_SHORTS.unpack_from(body)
    sub_tlvs = read_sub_tlvs(body, 6)
    _refuse_zero(interval, "Acknowledgment Request")
    return AcknowledgmentRequest(opaque, interval / 100, sub_tlvs)


def _read_acknowledgment(state: ParserState, body: bytes) -> Tlv:
    need(body, 2, "Acknowledgment")
    return Acknowledgment(int.from_bytes(body[:2], "big"), read_sub_tlvs(body, 2))


def _read_hello(state: ParserState, body: bytes) -> Tlv:
    need(body, 6, "Hello")
    flags, seqno, interval = _THREE_SHORTS.unpack_from(body)
    return Hello(seqno, interval / 100, bool(flags & UNICAST_FLAG), read_sub_tlvs(body, 6))


def _read_ihu(state: ParserState, body: bytes) -> Tlv:
    need(body, 6, "IHU")
    encoding, _, rxcost, interval = _IHU.unpack_from(body)
    address, end = read_address(encoding, body, 6, "IHU") if encoding else (None, 6)
    sub_tlvs = read_sub_tlvs(body, end)
    _refuse_zero(interval, "IHU")
    return Ihu(address, rxcost, interval / 100, sub_tlvs)


def _read_router_id(state: ParserState, body: bytes) -> None:
    if len(body) < 10:
        state.router_id = None
    need(body, 10, "Router-Id")
    state.router_id = _usable(body[2:10])
    read_sub_tlvs(body, 10)
    if state.router_id is None:
        raise MalformedTlv("unusable-router-id", "Router-Id is all zeros or all ones")


def _read_next_hop(state: ParserState, body: bytes) -> None:
    need(body, 2, "Next Hop")
    encoding = body[0]
    if encoding == AddressEncoding.IPV4:
        state.next_hop4 = None
        state.next_hop4, end = read_address(encoding, body, 2, "Next Hop")
    elif encoding in (AddressEncoding.IPV6, AddressEncoding.LINK_LOCAL):
        state.next_hop6 = None
        state.next_hop6, end = read_address(encoding, body, 2, "Next Hop")
    else:
        raise MalformedTlv("unknown-ae", f"Next Hop has address encoding {encoding}")
    read_sub_tlvs(body, end)


def _read_update(state: ParserState, body: bytes) -> Tlv:
    prefix, end = _read_update_prefix(state, body)
    interval, seqno, metric = _UPDATE.unpack_from(body, 4)
    sub_tlvs: tuple[SubTlv, ...] = ()
    if end < len(body):
        prefix, sub_tlvs = read_source_prefix(body[0], prefix, body, end)
    _refuse_zero(interval, "Update")
    state.news.add(prefix)
    if metric == INFINITY:
        return Update(prefix, None, seqno, metric, interval / 100, None, sub_tlvs)
    if prefix is None:
        raise MalformedTlv("finite-wildcard", "Update for the wildcard prefix has a finite metric")
    if state.router_id is None:
        raise MalformedTlv("no-router-id", "Update is not preceded by a router-id")
    next_hop = state.next_hop4 if body[0] == _IPV4 else state.next_hop6
    if next_hop is None:
        raise MalformedTlv("no-next-hop", "Update is not preceded by a next hop of its family")
    return Update(prefix, state.router_id, seqno, metric, interval / 100, next_hop, sub_tlvs, state.octets)


def _read_update_prefix(state: ParserState, body: bytes) -> tuple[Prefix | None, int]:
    """Return the prefix of an Update and where it ends, having updated the parser state (§4.5)."""
    try:
        need(body, 10, "Update")
        encoding, flags, plen, omitted = body[:4]
        if encoding == _WILDCARD:
            if plen or omitted:
                raise MalformedTlv("wildcard-plen", "Update for the wildcard prefix has a length")
            return None, 10
        default = state.prefixes.get(encoding, b"")
        prefix, end = read_prefix(encoding, plen, body, 10, default, omitted)
    except MalformedTlv:
        _forget_defaults(state, body)
        raise
    if flags & PREFIX_FLAG and encoding != LINK_LOCAL:
        state.prefixes[encoding] = prefix.network
    if flags & ROUTER_ID_FLAG:
        state.router_id = _usable(prefix.network[-ROUTER_ID_SIZE:].rjust(ROUTER_ID_SIZE, b"\0"))
    return prefix, end


def _forget_defaults(state: ParserState, body: bytes) -> None:
    """Forget what an unreadable Update would have set: later TLVs must not use the value before it."""
    encoding, flags = body[0] if body else 0, body[1] if len(body) > 1 else 0
    if flags & PREFIX_FLAG:
        state.prefixes.pop(encoding, None)
    if flags & ROUTER_ID_FLAG:
        state.router_id = None


def _read_route_request(state: ParserState, body: bytes) -> Tlv:
    need(body, 2, "Route Request")
    if body[0] == AddressEncoding.WILDCARD:
        _, sub_tlvs = read_source_prefix(body[0], None, body, 2)
        if body[1]:
            raise MalformedTlv("wildcard-plen", "Route Request for the wildcard prefix has a length")
        return RouteRequest(None, sub_tlvs)
    destination, end = read_prefix(body[0], body[1], body, 2)
    prefix, sub_tlvs = read_source_prefix(body[0], destination, body, end)
    return RouteRequest(prefix, sub_tlvs)


def _read_seqno_request(state: ParserState, body: bytes) -> Tlv:
    need(body, 14, "Seqno Request")
    encoding, plen, seqno, hop_count, _, router_id = _SEQNO_REQUEST.unpack_from(body)
    if encoding == AddressEncoding.WILDCARD:
        raise MalformedTlv("wildcard-seqno-request", "Seqno Request names no prefix")
    destination, end = read_prefix(encoding, plen, body, 14)
    prefix, sub_tlvs = read_source_prefix(encoding, destination, body, end)
    assert prefix is not None, "a source is added to the destination"
    if hop_count == 0:
        raise MalformedTlv("zero-hop-count", "Seqno Request has hop count 0")
    if _usable(router_id) is None:
        raise MalformedTlv("unusable-router-id", "Seqno Request has an unusable router-id")
    return SeqnoRequest(prefix, router_id, seqno, hop_count, sub_tlvs)


def _refuse_zero(interval: int, name: str) -> None:
    if interval == 0:
        raise MalformedTlv("zero-interval", f"{name} has interval 0")


def _usable(router_id: bytes) -> bytes | None:
    return None if router_id in UNUSABLE_ROUTER_IDS else router_id


UNICAST_FLAG = 0x8000
# As plain numbers: to compare with a member of an IntEnum takes four times as long, and this is done for each TLV.
_PAD1, _UPDATE_TYPE, _ROUTER_ID = int(TlvType.PAD1), int(TlvType.UPDATE), int(TlvType.ROUTER_ID)
_PAD1S = re.compile(rb"\0+")
_WILDCARD, _IPV4 = int(AddressEncoding.WILDCARD), int(AddressEncoding.IPV4)
READERS: dict[int, Callable[[ParserState, bytes], Tlv | None]] = {
    TlvType.ACKNOWLEDGMENT_REQUEST: _read_acknowledgment_request,
    TlvType.ACKNOWLEDGMENT: _read_acknowledgment,
    TlvType.HELLO: _read_hello,
    TlvType.IHU: _read_ihu,
    TlvType.ROUTER_ID: _read_router_id,
    TlvType.NEXT_HOP: _read_next_hop,
    TlvType.UPDATE: _read_update,
    TlvType.ROUTE_REQUEST: _read_route_request,
    TlvType.SEQNO_REQUEST: _read_seqno_request,
}
# Padding, and what authentication has looked at before (RFC 8967, section 4.3); a MAC counts in the trailer only.
_IGNORED = frozenset(
    {
        TlvType.PADN,
        TlvType.MAC,
        TlvType.PACKET_COUNTER,
        TlvType.CHALLENGE_REQUEST,
        TlvType.CHALLENGE_REPLY,
    }
)
_THREE_SHORTS = Struct(">HHH")
_IHU = Struct(">BBHH")
_UPDATE = Struct(">HHH")  # behind the octets that say how the prefix is written
_SEQNO_REQUEST = Struct(">BBHBB8s")
