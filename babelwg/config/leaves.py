"""Addresses for devices without Babel, and what they send into their tunnel."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address

from babelwg.babel.wire.prefix import Prefix
from babelwg.config.addresses import covers, host_prefix
from babelwg.config.keys import Key, node_address
from babelwg.config.model import Config

EVERYTHING = ("0.0.0.0/0", "::/0")
MAX_TRIES = 65_536  # addresses looked at in each network


def free_addresses(config: Config, public_key: Key) -> list[Prefix]:
    """Return an address for a new device: the first free one of each leaf network, else one made from its key.

    Raises ValueError where a network is full.
    """
    if not config.node.leaf_networks:
        return [host_prefix(node_address(public_key))]
    taken = [*config.node.announce, *(address.host for address in config.node.addresses)]
    taken += [prefix for peer in config.peers for prefix in peer.leaf_addresses]
    return [_first_free(network, taken) for network in config.node.leaf_networks]


def allowed_ips(prefixes: Iterable[str], own: Iterable[Prefix]) -> list[str]:
    """Return the fewest networks that hold exactly these prefixes, without defaults, source-specific and own ones."""
    mine = {str(prefix) for prefix in own}
    v4: list[IPv4Network] = []
    v6: list[IPv6Network] = []
    for text in prefixes:
        if text in EVERYTHING or text in mine or " from " in text:
            continue
        if ":" in text:
            v6.append(IPv6Network(text))
        else:
            v4.append(IPv4Network(text))
    return [str(network) for network in (*collapse_addresses(v6), *collapse_addresses(v4))]


def _first_free(network: Prefix, taken: Iterable[Prefix]) -> Prefix:
    octets = len(network.network)
    base, bits = int.from_bytes(network.network, "big"), 8 * octets - network.plen
    # An announced network that holds the whole leaf network does not make its addresses taken.
    used = [prefix for prefix in taken if not covers(prefix, network)]
    # The first address of a network is its own, or that of all its routers.
    for number in range(1 if bits else 0, min(1 << bits, MAX_TRIES)):
        host = host_prefix((base + number).to_bytes(octets, "big"))
        is_broadcast = octets == 4 and bits > 1 and number == (1 << bits) - 1
        if not is_broadcast and not any(covers(prefix, host) for prefix in used):
            return host
    raise ValueError(f"no address is free in {ip_address(network.network)}/{network.plen}")
