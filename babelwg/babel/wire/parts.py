"""What TLVs have in common: prefixes, addresses, source prefixes and sub-TLVs (RFC 8966, sections 4.1 and 4.4)."""

from babelwg.babel.wire.prefix import LINK_LOCAL_NETWORK, Prefix
from babelwg.babel.wire.tlv import MANDATORY, AddressEncoding, SubTlv, SubTlvType

# As a plain number: to compare with a member of an IntEnum takes four times as long, and this is done for each TLV.
LINK_LOCAL = int(AddressEncoding.LINK_LOCAL)


class MalformedTlv(Exception):
    """A TLV that has to be ignored; the reason is for counters, the message for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def read_prefix(
    encoding: int, plen: int, body: bytes, start: int, default: bytes = b"", omitted: int = 0
) -> tuple[Prefix, int]:
    """Return a prefix whose first `omitted` octets come from `default`, and where it ends (§4.6.9)."""
    if (form := _PREFIX_FORMS.get(encoding)) is None:
        raise MalformedTlv("unknown-ae", f"address encoding {encoding} is not known")
    family, size = form
    if encoding == LINK_LOCAL:
        if omitted:
            raise MalformedTlv("bad-omitted", "a link-local prefix omits octets")
        default, omitted = LINK_LOCAL_NETWORK, 8
    octets = (plen + 7) >> 3
    if octets > size:
        raise MalformedTlv("bad-plen", f"prefix length is {plen}, at most {8 * size} expected")
    if omitted > octets or omitted > len(default):
        raise MalformedTlv(
            "bad-omitted", f"{omitted} octets are omitted without an earlier prefix to take them from"
        )
    end = start + octets - omitted
    if end > len(body):
        raise MalformedTlv("short-prefix", f"a /{plen} prefix is cut off")
    network = default[:omitted] + body[start:end]
    if plen & 7:
        network = network[:-1] + bytes((network[-1] & (0xFF00 >> (plen & 7)) & 0xFF,))
    return Prefix(family, network.ljust(size, b"\0"), plen), end


def read_address(encoding: int, body: bytes, start: int, name: str) -> tuple[bytes, int]:
    """Return the address (packed) that begins at an octet of a body, and where it ends. Raises MalformedTlv."""
    if (size := _ADDRESS_SIZES.get(encoding)) is None:
        raise MalformedTlv("unknown-ae", f"{name} has address encoding {encoding}")
    end = start + size
    if end > len(body):
        raise MalformedTlv("short-tlv", f"the address of {name} is cut off")
    address = body[start:end]
    return (LINK_LOCAL_NETWORK + address if encoding == AddressEncoding.LINK_LOCAL else address), end


def read_source_prefix(
    encoding: int, destination: Prefix | None, body: bytes, start: int
) -> tuple[Prefix | None, tuple[SubTlv, ...]]:
    """Return a destination with the sources that a sub-TLV names, and the other sub-TLVs (RFC 9079, §7.1)."""
    sub_tlvs = read_sub_tlvs(body, start, SubTlvType.SOURCE_PREFIX)
    sources = [sub.body for sub in sub_tlvs if sub.type == SubTlvType.SOURCE_PREFIX]
    if not sources:
        return destination, sub_tlvs
    if len(sources) > 1:
        raise MalformedTlv("repeated-source-prefix", "a TLV has more than one source prefix")
    if destination is None:
        raise MalformedTlv("wildcard-source-prefix", "a TLV for the wildcard prefix has a source prefix")
    if not sources[0] or sources[0][0] == 0:
        raise MalformedTlv("source-bad-plen", "a source prefix has no length, or the length 0")
    try:
        source, _ = read_prefix(encoding, sources[0][0], sources[0], 1)
    except MalformedTlv as error:
        raise MalformedTlv(f"source-{error.reason}", f"source prefix: {error}") from error
    others = tuple(sub for sub in sub_tlvs if sub.type != SubTlvType.SOURCE_PREFIX)
    return destination.with_source(source), others


def read_sub_tlvs(body: bytes, start: int, known: int | None = None) -> tuple[SubTlv, ...]:
    """Return the sub-TLVs from `start` on; a mandatory one that is not `known` condemns its TLV (§4.4)."""
    sub_tlvs: list[SubTlv] = []
    position = start
    while position < len(body):
        sub_type = body[position]
        if sub_type == SubTlvType.PAD1:
            position += 1
            continue
        first = position + 2
        if first > len(body) or (position := first + body[first - 1]) > len(body):
            raise MalformedTlv("truncated-sub-tlv", "a sub-TLV runs past the end of its TLV")
        if sub_type & MANDATORY and sub_type != known:
            raise MalformedTlv("mandatory-sub-tlv", f"mandatory sub-TLV {sub_type} is not known")
        if sub_type != SubTlvType.PADN:
            sub_tlvs.append(SubTlv(sub_type, body[first:position]))
    return tuple(sub_tlvs)


def need(body: bytes, size: int, name: str) -> None:
    """Raise MalformedTlv where a body has fewer octets."""
    if len(body) < size:
        raise MalformedTlv("short-tlv", f"{name} body is {len(body)} octets, expected {size}")


_ADDRESS_SIZES: dict[int, int] = {
    AddressEncoding.IPV4: 4,
    AddressEncoding.IPV6: 16,
    AddressEncoding.LINK_LOCAL: 8,
}
_PREFIX_FORMS: dict[int, tuple[int, int]] = {  # family and octets
    AddressEncoding.IPV4: (4, 4),
    AddressEncoding.IPV6: (6, 16),
    AddressEncoding.LINK_LOCAL: (6, 16),
    AddressEncoding.V4_VIA_V6: (4, 4),
}
