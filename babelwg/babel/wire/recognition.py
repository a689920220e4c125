"""Updates known by their octets: most of what a neighbour says of a full table it has said before."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import ROUTER_ID_SIZE, AddressEncoding

PREFIX_FLAG = 0x80
ROUTER_ID_FLAG = 0x40
_NO_ROUTER_ID = bytes(ROUTER_ID_SIZE)  # is unusable, so it cannot be meant
_NO_NEXT_HOP = bytes(16)


class Remembered:
    """What remembers an Update that was believed, and stands for one that says the same again."""

    __slots__ = ()
    prefix: Prefix


def octets_of(body: bytes, default: bytes, router_id: bytes | None, next_hop: bytes | None) -> bytes:
    """Return all octets that decide what an Update says: its own, and what it takes from TLVs before it.

    `default` are the octets that it omits from its prefix; its own length stands first, so nothing is ambiguous.
    """
    return b"".join(
        (bytes((len(body),)), body, default, router_id or _NO_ROUTER_ID, next_hop or _NO_NEXT_HOP)
    )


@dataclass(slots=True)
class ParserState:
    """What earlier TLVs of the same packet say about later ones (§4.5)."""

    next_hop6: bytes | None
    next_hop4: bytes | None
    router_id: bytes | None = None
    prefixes: dict[int, bytes] = field(default_factory=dict)
    octets: bytes = b""  # of the Update that is being read
    news: set[Prefix | None] = field(default_factory=set)  # prefixes of which this packet says something new


def recognise(state: ParserState, body: bytes, known: Mapping[bytes, Remembered]) -> Remembered | None:
    """Return what remembers an Update with these octets; None for a new one, of which the octets are noted."""
    if len(body) < 10 or body[1] & ROUTER_ID_FLAG:
        state.octets = b""
        return None
    encoding = body[0]
    default = state.prefixes.get(encoding, b"")[: body[3]] if body[3] else b""
    next_hop = state.next_hop4 if encoding == AddressEncoding.IPV4 else state.next_hop6
    state.octets = octets_of(body, default, state.router_id, next_hop)
    heard = known.get(state.octets)
    # What this very packet has changed before is as it says now.
    if heard is None or (state.news and (heard.prefix in state.news or None in state.news)):
        return None
    if body[1] & PREFIX_FLAG:
        state.prefixes[encoding] = heard.prefix.network
    return heard
