"""Prefixes as hashable keys (RFC 9079), and those that are never routed (RFC 8966, appendix C)."""

from ipaddress import IPv4Network, ip_address, ip_network
from typing import NamedTuple


class Prefix(NamedTuple):
    """A destination and the sources it is for: the index of every table (RFC 9079, section 3).

    Address family 4 or 6, packed networks with host bits zero, lengths in bits. An ordinary prefix is for packets from
    everywhere: its source network is empty and its source length 0.
    """

    family: int
    network: bytes
    plen: int
    source_network: bytes = b""
    source_plen: int = 0

    @classmethod
    def parse(cls, text: str) -> "Prefix":
        """Return what a text such as `2001:db8::/32` or `::/0 from 2001:db8::/32` names.

        Host bits, mixed families and other mistakes are a ValueError.
        """
        destination, word, source = text.partition(" from ")
        network = ip_network(destination)
        family = 4 if isinstance(network, IPv4Network) else 6
        prefix = cls(family, network.network_address.packed, network.prefixlen)
        return prefix.with_source(cls.parse(source)) if word else prefix

    @property
    def destination(self) -> "Prefix":
        """The destination alone."""
        return Prefix(self.family, self.network, self.plen) if self.source_plen else self

    @property
    def source(self) -> "Prefix | None":
        """The source prefix; None for an ordinary prefix."""
        return Prefix(self.family, self.source_network, self.source_plen) if self.source_plen else None

    def with_source(self, source: "Prefix | None") -> "Prefix":
        """Return this destination for packets from `source`; None and a length of 0 mean everywhere."""
        if source is None or not source.plen:
            return self.destination
        if source.family != self.family:
            raise ValueError(f"{self.destination} from {source} mixes address families")
        return self._replace(source_network=source.network, source_plen=source.plen)

    def __str__(self) -> str:
        text = f"{ip_address(self.network)}/{self.plen}"
        return (
            f"{text} from {ip_address(self.source_network)}/{self.source_plen}" if self.source_plen else text
        )


def is_martian(prefix: Prefix) -> bool:
    """Return whether destination or sources lie in a range that must never be routed (appendix C)."""
    if _is_martian(prefix):
        return True
    return prefix.source_plen > 0 and (source := prefix.source) is not None and _is_martian(source)


def _is_martian(prefix: Prefix) -> bool:
    ranges = _BY_FIRST_OCTET.get((prefix.family, prefix.network[0]))
    if ranges is None:
        return False
    value = int.from_bytes(prefix.network, "big")
    bits = 8 * len(prefix.network)
    return any(prefix.plen >= plen and value >> (bits - plen) == start for plen, start in ranges)


def _by_first_octet() -> dict[tuple[int, int], list[tuple[int, int]]]:
    """Return length and leading bits of the martians by family and first octet, as most prefixes have none."""
    found: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for family, network, plen, *_ in MARTIANS:
        start = int.from_bytes(network, "big") >> (8 * len(network) - plen)
        for octet in range(network[0], network[0] + (1 << max(0, 8 - plen))):
            found.setdefault((family, octet), []).append((plen, start))
    return found


def is_link_local(address: bytes) -> bool:
    """Return whether a packed address is in fe80::/10, and means something on one interface only."""
    return len(address) == 16 and address[0] == 0xFE and address[1] & 0xC0 == 0x80


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
