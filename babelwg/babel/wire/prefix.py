"""Prefixes as hashable keys, and those that are never routed (RFC 8966, appendix C)."""

from ipaddress import IPv4Network, ip_address, ip_network
from typing import NamedTuple


class Prefix(NamedTuple):
    """A destination: address family 4 or 6, packed network with host bits zero, length in bits."""

    family: int
    network: bytes
    plen: int

    @classmethod
    def parse(cls, text: str) -> "Prefix":
        """Return the prefix that a text such as `2001:db8::/32` names; host bits are a ValueError."""
        network = ip_network(text)
        family = 4 if isinstance(network, IPv4Network) else 6
        return cls(family, network.network_address.packed, network.prefixlen)

    def __str__(self) -> str:
        return f"{ip_address(self.network)}/{self.plen}"


def is_martian(prefix: Prefix) -> bool:
    """Return whether a prefix lies in a range that must never be routed (appendix C)."""
    first = prefix.network[0]
    if prefix.family == 6:
        return (first == 0xFF and prefix.plen >= 8) or (
            first == 0xFE and prefix.plen >= 64 and prefix.network[:8] == LINK_LOCAL_NETWORK
        )
    if first == 224:
        return prefix.plen >= 8
    return prefix.plen == 32 and prefix.network in HOST_MARTIANS


LINK_LOCAL_NETWORK = bytes.fromhex("fe80000000000000")
HOST_MARTIANS = frozenset({bytes(4), bytes([127, 0, 0, 1])})
