"""What a question about the past is about: everything, a name, an address, or a prefix."""

import socket
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from babelwg.babel.wire.prefix import Prefix
from babelwg.config.addresses import covers, near, parse_network

NAME_KEYS = (
    "peer",
    "neighbour_name",
    "old_peer",
    "interface",
    "old_interface",
    "origin",
    "gateway",
    "address",
    "router_id",
)


class Entry(NamedTuple):
    """A record as it is kept: its JSON, and what questions ask for."""

    time: float  # Unix seconds
    seq: int
    of_routes: bool
    prefix: str
    names: tuple[str, ...]
    line: bytes

    @property
    def octets(self) -> int:
        """Return about how much memory it takes."""
        return len(self.line) + 200


class About:
    """The choice of records that a word stands for.

    An address stands for every prefix that leads to it, a prefix for itself and what lies inside, any other word for
    the peer, interface or origin of that name; `also` are other words for the same.
    """

    def __init__(self, text: str, also: Iterable[str] = ()) -> None:
        self.text = text
        self._words = frozenset((text, *also))
        self.network = network_of(text)
        self._exact = " from " in text
        self._is_near = near(self.network) if self.network is not None else None
        self._host = self.network is not None and "/" not in text

    def matches(self, entry: Entry) -> bool:
        """Return whether a record is meant."""
        if entry.prefix in self._words or not self._words.isdisjoint(entry.names):
            return True
        if self.network is None or self._is_near is None or not entry.prefix or self._exact:
            return False
        # To read each of ten thousand prefixes would take longer than all else.
        octets = _octets_of(entry.prefix)
        if octets is not None and not self._is_near(octets):
            return False
        prefix = network_of(entry.prefix)
        if prefix is None:
            return False
        return covers(prefix, self.network) if self._host else covers(self.network, prefix)


def names_in(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names that a record is about."""
    found: dict[str, None] = {}
    for key in NAME_KEYS:
        if isinstance(name := record.get(key), str):
            found[name] = None
    peers = record.get("peers")
    if isinstance(peers, list):
        found |= {name: None for name in peers if isinstance(name, str)}
    return tuple(found)


def _octets_of(prefix: str) -> bytes | None:
    """Return the octets of a prefix without a look at its length, None where it is no prefix."""
    address = prefix.partition("/")[0]
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    except (OSError, ValueError):
        return None


@lru_cache(4096)
def network_of(text: str) -> Prefix | None:
    """Return the destination that a text names, None where it is no address and no prefix."""
    try:
        return parse_network(text.partition(" from ")[0])
    except ValueError:
        return None
