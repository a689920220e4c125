"""Updates known by their octets: most of what a neighbour says of a full table it has said before."""

from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import ROUTER_ID_SIZE

_NO_ROUTER_ID = bytes(ROUTER_ID_SIZE)  # is unusable, so it cannot be meant
_NO_NEXT_HOP = bytes(16)


class Heard:
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
