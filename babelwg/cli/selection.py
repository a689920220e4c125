"""The optional filter of `show`: a peer, an interface, an address or a prefix."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

from babelwg.cli.render.layout import Row

Network = IPv4Network | IPv6Network
NAME_KEYS = ("name", "peer", "interface", "origin", "router_id", "public_key", "neighbour", "address")


def select(rows: Sequence[Row], wanted: str) -> list[Row]:
    """Return the rows that a word names, or whose prefix the network lies in or holds."""
    network = _network(wanted)
    return [row for row in rows if _is_named(row, wanted) or _meets(row, network)]


def names_in(rows: Sequence[Row]) -> list[str]:
    """Return the words that would select something, for a suggestion."""
    names = {str(row[key]) for row in rows for key in ("name", "peer", "interface") if row.get(key)}
    return sorted(names)


def _is_named(row: Row, wanted: str) -> bool:
    name = row.get("name")
    # Counters have dotted names, and the front of one stands for all that follow.
    if isinstance(name, str) and name.startswith(f"{wanted}."):
        return True
    return any(row.get(key) == wanted for key in NAME_KEYS)


def _meets(row: Row, network: Network | None) -> bool:
    prefix = _network(str(row.get("prefix", "")).partition(" from ")[0])
    if network is None or prefix is None:
        return False
    if isinstance(prefix, IPv4Network):
        return isinstance(network, IPv4Network) and (prefix.subnet_of(network) or _holds(prefix, network))
    return isinstance(network, IPv6Network) and (prefix.subnet_of(network) or _holds(prefix, network))


def _holds(prefix: Network, host: Network) -> bool:
    # An address selects every prefix that leads to it; a wider network only what lies inside.
    return host.num_addresses == 1 and host.network_address in prefix


def _network(text: str) -> Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None
