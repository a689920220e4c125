"""From TLVs to packets, with prefix compression (RFC 8966, section 4)."""

from collections.abc import Callable
from functools import lru_cache
from struct import Struct

from babelwg.babel.wire.decode import UNICAST_FLAG
from babelwg.babel.wire.prefix import LINK_LOCAL_NETWORK, Prefix
from babelwg.babel.wire.recognition import PREFIX_FLAG
from babelwg.babel.wire.tlv import (
    HEADER_SIZE,
    INFINITY,
    MAGIC,
    UNUSABLE_ROUTER_IDS,
    VERSION,
    Acknowledgment,
    AcknowledgmentRequest,
    AddressEncoding,
    ChallengeReply,
    ChallengeRequest,
    Hello,
    Ihu,
    RouteRequest,
    SeqnoRequest,
    SubTlv,
    SubTlvType,
    Tlv,
    TlvType,
    Update,
)

MAX_CENTISECONDS = 0xFFFF


class PacketWriter:
    """One packet being filled: at most `capacity` octets of UDP payload, sent from `source`."""

    def __init__(self, capacity: int, source: bytes) -> None:
        self.capacity = capacity
        self._pieces: list[bytes] = []
        self._size = HEADER_SIZE
        # What a reader of this packet knows so far (§4.5).
        self._next_hops: dict[int, bytes] = {len(source): source}
        self._router_id: bytes | None = None
        self._prefixes: dict[int, bytes] = {}

    def __bool__(self) -> bool:
        return bool(self._pieces)

    @property
    def size(self) -> int:
        """Octets of UDP payload so far."""
        return self._size

    def add(self, tlv: Tlv | ChallengeRequest | ChallengeReply, spare: int = 0) -> bool:
        """Append a TLV and return True, unless fewer than `spare` octets would stay free."""
        if isinstance(tlv, Update):
            return self._add_update(tlv, spare)
        return self._append(_ENCODERS[type(tlv)](tlv), spare)

    def add_octets(self, octets: bytes, spare: int = 0) -> bool:
        """Append TLVs that lean on none before them, as `octets()` gives them; False when there is no room."""
        if not self._append(octets, spare):
            return False
        self._router_id = None
        self._prefixes.clear()
        return True

    def octets(self) -> bytes:
        """Return the TLVs so far."""
        return b"".join(self._pieces)

    def packet(self) -> bytes:
        """Return the whole packet."""
        return _HEADER.pack(MAGIC, VERSION, self._size - HEADER_SIZE) + self.octets()

    def _append(self, piece: bytes, spare: int) -> bool:
        if self._size + len(piece) + spare > self.capacity:
            return False
        if piece:
            self._pieces.append(piece)
        self._size += len(piece)
        return True

    def _add_update(self, update: Update, spare: int) -> bool:
        before = b""
        finite = update.metric != INFINITY
        if finite and update.router_id != self._router_id:
            before = encode_router_id(update.router_id)
        next_hop = update.next_hop if finite else None
        if next_hop is not None and self._next_hops.get(len(next_hop)) != next_hop:
            before += encode_next_hop(next_hop)
        encoding, piece = self._encode_update(update)
        if not self._append(before + piece, spare):
            return False
        if finite:
            self._router_id = update.router_id
        if next_hop is not None:
            self._next_hops[len(next_hop)] = next_hop
        if piece[3] & PREFIX_FLAG and update.prefix is not None:
            self._prefixes[encoding] = update.prefix.network
        return True

    def _encode_update(self, update: Update) -> tuple[int, bytes]:
        encoding, plen, omitted, flags, network = AddressEncoding.WILDCARD, 0, 0, 0, b""
        if (prefix := update.prefix) is not None:
            encoding, plen = _encoding_of(prefix, update.next_hop), prefix.plen
            octets = (plen + 7) >> 3
            # AE 4 saves three octets at most, and its compression is the newest part of other speakers.
            if octets and encoding != AddressEncoding.V4_VIA_V6:
                omitted = _common_octets(self._prefixes.get(encoding), prefix.network, octets)
                flags = PREFIX_FLAG
            network = prefix.network[omitted:octets]
        rest = _encode_source(prefix)
        if update.sub_tlvs:
            rest += _encode_sub_tlvs(update.sub_tlvs)
        head = _UPDATE.pack(
            TlvType.UPDATE,
            10 + len(network) + len(rest),
            encoding,
            flags,
            plen,
            omitted,
            _centiseconds(update.interval),
            update.seqno,
            update.metric,
        )
        return encoding, head + network + rest


def encode_router_id(router_id: bytes | None) -> bytes:
    """Return a Router-Id TLV (§4.6.7)."""
    assert router_id is not None and router_id not in UNUSABLE_ROUTER_IDS, "a finite update needs a router-id"
    return _SHORT_HEAD.pack(TlvType.ROUTER_ID, 10, 0) + router_id


def encode_next_hop(address: bytes) -> bytes:
    """Return a Next Hop TLV (§4.6.8)."""
    encoding, octets = _encode_address(address)
    return _tlv(TlvType.NEXT_HOP, bytes((encoding, 0)) + octets, ())


def _encode_acknowledgment_request(tlv: AcknowledgmentRequest) -> bytes:
    body = _THREE_SHORTS.pack(0, tlv.opaque, _centiseconds(tlv.interval))
    return _tlv(TlvType.ACKNOWLEDGMENT_REQUEST, body, tlv.sub_tlvs)


def _encode_acknowledgment(tlv: Acknowledgment) -> bytes:
    return _tlv(TlvType.ACKNOWLEDGMENT, tlv.opaque.to_bytes(2, "big"), tlv.sub_tlvs)


def _encode_hello(tlv: Hello) -> bytes:
    interval = _centiseconds(tlv.interval) if tlv.interval else 0
    body = _THREE_SHORTS.pack(UNICAST_FLAG if tlv.unicast else 0, tlv.seqno, interval)
    return _tlv(TlvType.HELLO, body, tlv.sub_tlvs)


def _encode_ihu(tlv: Ihu) -> bytes:
    encoding, octets = (0, b"") if tlv.address is None else _encode_address(tlv.address)
    body = _IHU.pack(encoding, 0, tlv.rxcost, _centiseconds(tlv.interval)) + octets
    return _tlv(TlvType.IHU, body, tlv.sub_tlvs)


def _encode_route_request(tlv: RouteRequest) -> bytes:
    if tlv.prefix is None:
        return _tlv(TlvType.ROUTE_REQUEST, bytes(2), tlv.sub_tlvs)
    encoding = _encoding_of(tlv.prefix, None)
    body = bytes((encoding, tlv.prefix.plen)) + _octets(tlv.prefix)
    return _tlv(TlvType.ROUTE_REQUEST, body + _encode_source(tlv.prefix), tlv.sub_tlvs)


def _encode_seqno_request(tlv: SeqnoRequest) -> bytes:
    assert tlv.hop_count > 0 and tlv.router_id not in UNUSABLE_ROUTER_IDS, "such a request is refused by all"
    encoding = _encoding_of(tlv.prefix, None)
    body = _SEQNO_REQUEST.pack(encoding, tlv.prefix.plen, tlv.seqno, tlv.hop_count, 0, tlv.router_id)
    return _tlv(TlvType.SEQNO_REQUEST, body + _octets(tlv.prefix) + _encode_source(tlv.prefix), tlv.sub_tlvs)


def _encode_challenge_request(tlv: ChallengeRequest) -> bytes:
    return _tlv(TlvType.CHALLENGE_REQUEST, tlv.nonce, ())


def _encode_challenge_reply(tlv: ChallengeReply) -> bytes:
    return _tlv(TlvType.CHALLENGE_REPLY, tlv.nonce, ())


def _tlv(tlv_type: int, body: bytes, sub_tlvs: tuple[SubTlv, ...]) -> bytes:
    payload = body + _encode_sub_tlvs(sub_tlvs)
    return bytes((tlv_type, len(payload))) + payload


def _encode_sub_tlvs(sub_tlvs: tuple[SubTlv, ...]) -> bytes:
    return b"".join(bytes((sub.type, len(sub.body))) + sub.body for sub in sub_tlvs)


def _encode_source(prefix: Prefix | None) -> bytes:
    """Return the sub-TLV that names the sources, nothing for packets from everywhere (RFC 9079, §5)."""
    if prefix is None or not prefix.source_plen:
        return b""
    octets = (prefix.source_plen + 7) >> 3
    head = bytes((SubTlvType.SOURCE_PREFIX, 1 + octets, prefix.source_plen))
    return head + prefix.source_network[:octets]


def _encoding_of(prefix: Prefix, next_hop: bytes | None) -> AddressEncoding:
    """Return AE 4 for IPv4 through an IPv6 next hop; retractions and requests use AE 1 (RFC 9229)."""
    if prefix.family == 6:
        return AddressEncoding.IPV6
    return AddressEncoding.V4_VIA_V6 if next_hop is not None and len(next_hop) == 16 else AddressEncoding.IPV4


def _encode_address(address: bytes) -> tuple[AddressEncoding, bytes]:
    if len(address) == 4:
        return AddressEncoding.IPV4, address
    if address.startswith(LINK_LOCAL_NETWORK):
        return AddressEncoding.LINK_LOCAL, address[8:]
    return AddressEncoding.IPV6, address


def _octets(prefix: Prefix) -> bytes:
    return prefix.network[: (prefix.plen + 7) >> 3]


def _common_octets(default: bytes | None, network: bytes, limit: int) -> int:
    if default is None:
        return 0
    # The octets up to the highest bit in which the two differ.
    different = int.from_bytes(default) ^ int.from_bytes(network)
    return min(limit, len(network) - ((different.bit_length() + 7) >> 3))


@lru_cache(maxsize=64)
def _centiseconds(seconds: float) -> int:
    return min(max(round(seconds * 100), 1), MAX_CENTISECONDS)


_HEADER = Struct(">BBH")
_SHORT_HEAD = Struct(">BBH")
_THREE_SHORTS = Struct(">HHH")
_IHU = Struct(">BBHH")
_UPDATE = Struct(">BBBBBBHHH")
_SEQNO_REQUEST = Struct(">BBHBB8s")
_ENCODERS: dict[type, Callable[..., bytes]] = {
    AcknowledgmentRequest: _encode_acknowledgment_request,
    Acknowledgment: _encode_acknowledgment,
    Hello: _encode_hello,
    Ihu: _encode_ihu,
    RouteRequest: _encode_route_request,
    SeqnoRequest: _encode_seqno_request,
    ChallengeRequest: _encode_challenge_request,
    ChallengeReply: _encode_challenge_reply,
}
