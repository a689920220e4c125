"""The optional filter of `show`: a peer, an interface, an address or a prefix."""

import socket
from collections.abc import Collection, Sequence
from typing import NamedTuple

import click

from babelwg.cli.render.rows import Row

NAME_KEYS = (
    "name",
    "kind",
    "peer",
    "neighbour_name",
    "interface",
    "origin",
    "router_id",
    "public_key",
    "neighbour",
    "address",
    "prefix",
)


class Network(NamedTuple):
    """A network as a number, with the octets of its family."""

    octets: int
    value: int
    plen: int
    source: "Network | None" = None


def select(rows: Sequence[Row], wanted: str, named: Collection[str] = ()) -> list[Row]:
    """Return the rows that a word names, or whose prefix the network lies in or holds.

    `named` are further words that mean the same, such as what the hosts file has another name for.
    """
    network, words = _network(wanted), {wanted, *named}
    return [row for row in rows if _is_named(row, wanted, words) or _meets(row, network)]


def is_network(wanted: str) -> bool:
    """Return whether a word is an address or a prefix, and no name."""
    return _network(wanted) is not None


def check(wanted: str | None) -> None:
    """Refuse what can only be meant as a prefix, and is none."""
    if wanted and "/" in wanted and _network(wanted) is None:
        raise click.UsageError(f'"{wanted}" is not an IPv4 or IPv6 prefix')


def names_in(rows: Sequence[Row]) -> list[str]:
    """Return the words that would select something, for a suggestion."""
    names = {str(row[key]) for row in rows for key in ("name", "peer", "interface", "kind") if row.get(key)}
    return sorted(names)


def _is_named(row: Row, wanted: str, words: Collection[str]) -> bool:
    name = row.get("name")
    # Counters have dotted names, and the front of one stands for all that follow.
    if isinstance(name, str) and name.startswith(f"{wanted}."):
        return True
    return any(row.get(key) in words for key in NAME_KEYS)


def _meets(row: Row, network: Network | None) -> bool:
    prefix = _network(str(row.get("prefix", ""))) if network else None
    if network is None or prefix is None:
        return False
    if network.source is not None and (prefix.source is None or not _are_near(prefix.source, network.source)):
        return False
    return _are_near(prefix, network)


def _are_near(prefix: Network, network: Network) -> bool:
    if prefix.octets != network.octets:
        return False
    # An address selects every prefix that leads to it; a wider network only what lies inside.
    outer, inner = (prefix, network) if network.plen == 8 * network.octets else (network, prefix)
    bits = 8 * outer.octets - outer.plen
    return outer.plen <= inner.plen and outer.value >> bits == inner.value >> bits


def _network(text: str) -> Network | None:
    destination, word, source = text.partition(" from ")
    if word:
        network, sources = _network(destination), _network(source)
        if network is None or sources is None or sources.octets != network.octets:
            return None
        return network._replace(source=sources if sources.plen else None)
    address, _, plen = text.partition("/")
    try:
        # Ten times as fast as the module ipaddress, for tables of ten thousand rows.
        packed = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
        length = int(plen) if plen else 8 * len(packed)
    except (OSError, ValueError):
        return None
    if not 0 <= length <= 8 * len(packed):
        return None
    return Network(len(packed), int.from_bytes(packed, "big"), length)
