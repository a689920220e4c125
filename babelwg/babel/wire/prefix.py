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
    ranges = _BY_FIRST_OCTET.get((prefix.family, prefix.network[0]))
    if ranges is None:
        return False
    value = int.from_bytes(prefix.network, "big")
    bits = 8 * len(prefix.network)
    return any(prefix.plen >= plen and value >> (bits - plen) == start for plen, start in ranges)


def _by_first_octet() -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Return length and leading bits of the martians by family and first octet, as most prefixes have none."""
    found: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for family, network, plen in MARTIANS:
        start = int.from_bytes(network, "big") >> (8 * len(network) - plen)
        for octet in range(network[0], network[0] + (1 << max(0, 8 - plen))):
            found.setdefault((family, octet), []).append((plen, start))
    return found


LINK_LOCAL_NETWORK = bytes.fromhex("fe80000000000000")
MARTIANS = tuple(
    Prefix.parse(text)
    for text in (
        "0.0.0.0/8",
        "127.0.0.0/8",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/128",
        "::1/128",
        "::ffff:0:0/96",
        "fe80::/10",
        "ff00::/8",
    )
)
_BY_FIRST_OCTET = _by_first_octet()
