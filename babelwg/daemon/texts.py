"""Addresses and prefixes as text, fast enough for tables of ten thousand rows."""

import socket
from functools import lru_cache
from ipaddress import IPv6Address

from babelwg.babel.wire.prefix import Prefix

KNOWN = 4096  # neighbours and next hops come back in every row


def plain_text(packed: bytes) -> str:
    """Return a packed address as text, the same as `ip_address` gives in a tenth of the time."""
    if len(packed) == 4:
        return socket.inet_ntoa(packed)
    text = socket.inet_ntop(socket.AF_INET6, packed)
    # The system ends some IPv6 addresses as IPv4 ones.
    return str(IPv6Address(packed)) if "." in text else text


ip_text = lru_cache(KNOWN)(plain_text)


def prefix_text(prefix: Prefix) -> str:
    """Return a prefix as text, the same as str() gives."""
    text = f"{plain_text(prefix.network)}/{prefix.plen}"
    if prefix.source_plen:
        return f"{text} from {plain_text(prefix.source_network)}/{prefix.source_plen}"
    return text


@lru_cache(KNOWN)
def router_id_text(router_id: bytes) -> str:
    """Return a router-id as text."""
    return router_id.hex(":")
