"""Cryptokey routing: which peer an inner address belongs to, by longest match."""

from ipaddress import ip_network
from typing import Generic, NamedTuple, TypeVar

Owner = TypeVar("Owner")

IPV4_HEADER = 20  # octets
IPV6_HEADER = 40  # octets


class Network(NamedTuple):
    """A prefix, with its network address packed."""

    address: bytes
    plen: int

    @classmethod
    def parse(cls, text: str) -> "Network":
        """Return the network of `address/length`, with host bits cleared; raises ValueError."""
        if "/" not in text:
            raise ValueError(f"{text} has no prefix length")
        network = ip_network(text, strict=False)
        if not text.partition("/")[2].isdigit():
            raise ValueError(f"{text} has no numeric prefix length")
        return cls(network.network_address.packed, network.prefixlen)

    def __str__(self) -> str:
        return str(ip_network((self.address, self.plen)))


class AllowedIps(Generic[Owner]):
    """A table from prefix to owner; one prefix has one owner."""

    def __init__(self) -> None:
        self._owners: dict[Network, Owner] = {}
        # Per address size, the tables by prefix length, longest first: at most 33 and 129 steps, in practice one.
        self._tables: dict[int, list[tuple[int, dict[int, Owner]]]] = {4: [], 16: []}
        self._stale = False

    def add(self, network: Network, owner: Owner) -> None:
        """Give a prefix to an owner, taking it from any other."""
        self._owners[network] = owner
        self._stale = True

    def remove(self, network: Network, owner: Owner) -> None:
        """Take a prefix from an owner if it is his."""
        if self._owners.get(network) is owner:
            del self._owners[network]
            self._stale = True

    def remove_all(self, owner: Owner) -> None:
        """Take all prefixes from an owner."""
        self._owners = {network: who for network, who in self._owners.items() if who is not owner}
        self._stale = True

    def of(self, owner: Owner) -> list[Network]:
        """Return the prefixes of an owner, in the order they were given."""
        return [network for network, who in self._owners.items() if who is owner]

    def find(self, address: bytes) -> Owner | None:
        """Return the owner of the longest prefix that holds a packed address."""
        if self._stale:
            self._rebuild()
        value = int.from_bytes(address, "big")
        for shift, table in self._tables[len(address)]:
            owner = table.get(value >> shift)
            if owner is not None:
                return owner
        return None

    def find_destination(self, packet: memoryview) -> Owner | None:
        """Return who an inner packet goes to; None also for what is not an IP packet."""
        version = packet[0] >> 4 if len(packet) else 0
        if version == 4 and len(packet) >= IPV4_HEADER:
            return self.find(bytes(packet[16:20]))
        if version == 6 and len(packet) >= IPV6_HEADER:
            return self.find(bytes(packet[24:40]))
        return None

    def _rebuild(self) -> None:
        self._stale = False
        for size, tables in self._tables.items():
            by_length: dict[int, dict[int, Owner]] = {}
            for network, owner in self._owners.items():
                if len(network.address) == size:
                    shift = size * 8 - network.plen
                    value = int.from_bytes(network.address, "big") >> shift
                    by_length.setdefault(shift, {})[value] = owner
            tables[:] = sorted(by_length.items())
