"""What this node announces: its own addresses and networks, and kernel routes that a redistribute filter lets in."""

from collections.abc import Container

from babelwg.babel.wire.prefix import Prefix, is_link_local
from babelwg.config import BabeldConfig, Config
from babelwg.config.addresses import host_prefix
from babelwg.config.babeld import FilterList, Subject
from babelwg.linux.mirror import IFF_LOOPBACK, Mirror
from babelwg.linux.routes import PROTOCOL_BABEL, UNICAST

Xroutes = dict[Prefix, tuple[int, str]]


def own_xroutes(config: Config) -> Xroutes:
    """Return the node's addresses and announced networks, all with metric 0."""
    xroutes: Xroutes = dict.fromkeys(config.node.announce, (0, "announce"))
    for address in config.node.addresses:
        xroutes[host_prefix(address.address)] = (0, "address")
    return xroutes


def leaf_xroutes(config: Config, disabled: Container[str]) -> Xroutes:
    """Return what the peers without Babel have, except those that are taken down."""
    peers = [peer for peer in config.peers if peer.name not in disabled]
    return {prefix: (0, "leaf") for peer in peers for prefix in peer.leaf_addresses}


def redistributed_xroutes(babeld: BabeldConfig, mirror: Mirror, filters: FilterList | None = None) -> Xroutes:
    """Return the kernel's addresses, and its routes in the imported tables, that the redistribute filters allow.

    `filters` are those lines of the configuration, for whoever wants to know afterwards what each of them decided.
    """
    xroutes: Xroutes = {}
    filters = filters or babeld.redistribution()
    for address in mirror.all_addresses():
        link = mirror.links.get(address.interface)
        if not address.usable or is_link_local(address.address) or link is None:
            continue
        if link.flags & IFF_LOOPBACK and is_loopback(address.address):
            continue
        subject = Subject(host_prefix(address.address), is_local=True, interface=link.name)
        _redistribute(xroutes, filters, subject)
    for table in babeld.import_tables:
        for route in mirror.tables.get(table, {}).values():
            # Never our own routes back, in whatever table they stand.
            if (
                route.protocol == PROTOCOL_BABEL
                or route.kind != UNICAST
                or is_link_local(route.prefix.network)
            ):
                continue
            prefix, name = route.prefix, mirror.name(route.interface)
            subject = Subject(prefix.destination, prefix.source, route.protocol, interface=name)
            _redistribute(xroutes, filters, subject)
    return xroutes


def redistribution_facts(mirror: Mirror) -> object:
    """Return what of links and addresses decides what is announced; equal ones need no second look at all routes."""
    links = {index: (link.name, link.flags & IFF_LOOPBACK) for index, link in mirror.links.items()}
    addresses = {(a.interface, a.address, a.usable) for a in mirror.all_addresses()}
    return links, {address for address in addresses if not is_link_local(address[1])}


def _redistribute(xroutes: Xroutes, filters: FilterList, subject: Subject) -> None:
    line = filters.allowing(subject)
    if line is None:
        return
    source = line.set_source_prefix or subject.source_prefix
    if source is None or source.family == subject.prefix.family:
        # What is nearer comes first: addresses before routes, the first table before the next.
        xroutes.setdefault(subject.prefix.with_source(source), (line.metric, "redistribute"))


def is_loopback(address: bytes) -> bool:
    """Return whether a packed address is 127.0.0.0/8 or ::1."""
    return address[0] == 127 if len(address) == 4 else address == bytes(15) + b"\1"
