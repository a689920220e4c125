"""Message authentication codes, packet counters and challenges as octets (RFC 8967, sections 4.1 and 6)."""

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Literal

from babelwg.babel.wire.tlv import HEADER_SIZE, TlvType

Algorithm = Literal["hmac-sha256", "blake2s128"]
Address = tuple[bytes, int]  # packed, and a port

# Specification constants
MAC_SIZES: dict[Algorithm, int] = {"hmac-sha256": 32, "blake2s128": 16}  # octets
MAX_INDEX = 32  # octets, §6.2
MAX_NONCE = 192  # octets, §6.3
# Implementation constant: octets of our own indices and nonces; 64 random bits suffice (§7)
RANDOM_SIZE = 8


@dataclass(frozen=True, slots=True)
class MacKey:
    """A key shared by all speakers of a link (§3.1); the algorithm goes with it."""

    id: str
    algorithm: Algorithm
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a packet brings along to be accepted (§4.3); None for what it lacks."""

    counter: int | None = None
    index: bytes = b""
    challenge: bytes | None = None  # the nonce that we shall return
    replies: tuple[bytes, ...] = ()  # nonces returned to us


def compute_mac(key: MacKey, packet: bytes, source: Address, destination: Address) -> bytes:
    """Return the MAC of a packet without its trailer, sent between two addresses (§4.1)."""
    text = _pseudo_header(source, destination) + packet
    if key.algorithm == "hmac-sha256":
        return hmac.digest(key.value, text, "sha256")
    return hashlib.blake2s(text, key=key.value, digest_size=MAC_SIZES["blake2s128"]).digest()


def overhead(keys: Sequence[MacKey]) -> int:
    """Return how many octets the packet counter and the MACs add to a packet."""
    if not keys:
        return 0
    return 2 + _COUNTER.size + RANDOM_SIZE + sum(2 + MAC_SIZES[key.algorithm] for key in keys)


def seal(
    packet: bytes, counter: int, index: bytes, keys: Sequence[MacKey], source: Address, destination: Address
) -> bytes:
    """Return a packet with a packet counter at the end of its body and a MAC for each key behind it (§4.2)."""
    body = packet[HEADER_SIZE:] + _tlv(TlvType.PACKET_COUNTER, _COUNTER.pack(counter) + index)
    packet = packet[:2] + len(body).to_bytes(2, "big") + body
    macs = (compute_mac(key, packet, source, destination) for key in keys)
    return packet + b"".join(_tlv(TlvType.MAC, mac) for mac in macs)


def is_authentic(
    packet: bytes, trailer: bytes, keys: Sequence[MacKey], source: Address, destination: Address
) -> bool:
    """Return whether a MAC of the trailer is one that we would have written with any of our keys (§4.3)."""
    claimed = macs_of(trailer)
    for key in keys if claimed else ():
        expected = compute_mac(key, packet, source, destination)
        if any(hmac.compare_digest(expected, mac) for mac in claimed):
            return True
    return False


def macs_of(trailer: bytes) -> list[bytes]:
    """Return the MACs in the trailer of a packet."""
    return [value for tlv_type, value in _tlvs(trailer) if tlv_type == TlvType.MAC]


def read_credentials(body: bytes) -> Credentials:
    """Return the first packet counter, the last challenge and the replies of a packet's body (§4.3)."""
    counter, index, challenge, replies = None, b"", None, []
    for tlv_type, value in _tlvs(body):
        if tlv_type == TlvType.PACKET_COUNTER:
            usable = _COUNTER.size <= len(value) <= _COUNTER.size + MAX_INDEX
            if counter is None and usable:
                counter, index = _COUNTER.unpack_from(value)[0], value[_COUNTER.size :]
        elif tlv_type == TlvType.CHALLENGE_REQUEST and len(value) <= MAX_NONCE:
            challenge = value
        elif tlv_type == TlvType.CHALLENGE_REPLY and len(value) <= MAX_NONCE:
            replies.append(value)
    return Credentials(counter, index, challenge, tuple(replies))


def _pseudo_header(source: Address, destination: Address) -> bytes:
    return b"".join(address + port.to_bytes(2, "big") for address, port in (source, destination))


def _tlvs(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and value of each whole TLV; what runs past the end is left out."""
    position = 0
    while position < len(octets):
        if octets[position] == TlvType.PAD1:
            position += 1
            continue
        start = position + 2
        if start > len(octets) or (end := start + octets[start - 1]) > len(octets):
            return
        yield octets[position], octets[start:end]
        position = end


def _tlv(tlv_type: int, value: bytes) -> bytes:
    return bytes((tlv_type, len(value))) + value


_COUNTER = Struct(">I")
