"""What this node announces: its own addresses and networks, and kernel routes that a redistribute filter lets in."""

from babelwg.babel.wire.prefix import Prefix
from babelwg.config import BabeldConfig, Config
from babelwg.config.addresses import host_prefix
from babelwg.linux.monitor import IFF_LOOPBACK, Mirror, is_link_local
from babelwg.linux.routes import PROTOCOL_BABEL, UNICAST

Xroutes = dict[Prefix, tuple[int, str]]


def own_xroutes(config: Config) -> Xroutes:
    """Return the node's addresses and announced networks, all with metric 0."""
    xroutes: Xroutes = dict.fromkeys(config.node.announce, (0, "announce"))
    for address in config.node.addresses:
        xroutes[host_prefix(address.address)] = (0, "address")
    return xroutes


def redistributed_xroutes(babeld: BabeldConfig, mirror: Mirror) -> Xroutes:
    """Return the kernel's addresses and main routes that the redistribute filters allow."""
    xroutes: Xroutes = {}
    for address in mirror.all_addresses():
        link = mirror.links.get(address.interface)
        if not address.usable or is_link_local(address.address) or link is None:
            continue
        prefix = host_prefix(address.address)
        metric = babeld.redistribute_metric(prefix, local=True, protocol=None, interface=link.name)
        if metric is not None and not (link.flags & IFF_LOOPBACK and is_loopback(address.address)):
            xroutes[prefix] = (metric, "redistribute")
    for route in mirror.main.values():
        # Never our own routes back.
        if route.protocol == PROTOCOL_BABEL or route.kind != UNICAST or is_link_local(route.prefix.network):
            continue
        name = mirror.name(route.interface)
        metric = babeld.redistribute_metric(
            route.prefix, local=False, protocol=route.protocol, interface=name
        )
        if metric is not None:
            xroutes.setdefault(route.prefix, (metric, "redistribute"))
    return xroutes


def is_loopback(address: bytes) -> bool:
    """Return whether a packed address is 127.0.0.0/8 or ::1."""
    return address[0] == 127 if len(address) == 4 else address == bytes(15) + b"\1"
