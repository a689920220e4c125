"""What we know of the kernel's links, addresses and routes, and how its messages tell them (linux/rtnetlink.h)."""

import socket
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from babelwg.babel.wire.prefix import Prefix, is_link_local
from babelwg.linux.netlink import RTM_GETADDR, RTM_GETLINK, Message, RequestSocket, attributes, number_of
from babelwg.linux.routes import FAMILY_NUMBERS, PROTOCOL_BABEL, TABLE_MAIN, Route, dump_routes

# Constants of linux/rtnetlink.h, linux/if.h and linux/if_link.h
IFF_UP, IFF_LOOPBACK, IFF_POINTOPOINT, IFF_RUNNING, IFF_MULTICAST = 0x1, 0x8, 0x10, 0x40, 0x1000
IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_LINKINFO, IFLA_IFALIAS, IFLA_INFO_KIND = 3, 4, 10, 18, 20, 1
IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS = 1, 2, 8
IFA_F_TENTATIVE, IFA_F_DADFAILED = 0x40, 0x08
IFINFO = struct.Struct("=BxHiII")
IFADDR = struct.Struct("=BBBBI")

RouteKey = tuple[Prefix, int, int, bytes]


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface."""

    index: int
    name: str
    mtu: int
    flags: int
    kind: str
    master: int = 0  # the index of the bridge, bond or VRF that it belongs to
    alias: str = ""

    @property
    def up(self) -> bool:
        """Whether packets can go: administratively up, and with a carrier."""
        return bool(self.flags & IFF_UP and self.flags & IFF_RUNNING)

    @property
    def lacks_carrier(self) -> bool:
        """Whether it is only what carries its packets that is away, as the program behind a TUN device."""
        return bool(self.flags & IFF_UP and not self.flags & IFF_RUNNING)


@dataclass(frozen=True, slots=True)
class InterfaceAddress:
    """An address of an interface, packed."""

    interface: int
    address: bytes
    plen: int
    usable: bool


class Mirror:
    """The kernel's links, addresses, and the routes of main and of further tables, as far as it has told us.

    Routes of Babel's protocol are left out: what asks for routes of main asks for those of others.
    """

    def __init__(self) -> None:
        self.links: dict[int, Link] = {}
        self.names: dict[str, int] = {}
        self.addresses: dict[int, dict[tuple[bytes, int], InterfaceAddress]] = {}
        self.tables: dict[int, dict[RouteKey, Route]] = {TABLE_MAIN: {}}

    def become(self, other: "Mirror") -> None:
        """Hold what another mirror holds, which is given away."""
        self.links, self.names, self.addresses = other.links, other.names, other.addresses
        self.tables = other.tables

    @property
    def main(self) -> dict[RouteKey, Route]:
        """The routes of table main."""
        return self.tables[TABLE_MAIN]

    def link(self, name: str) -> Link | None:
        """Return the interface of this name."""
        return self.links.get(self.names.get(name, 0))

    def set_link(self, link: Link) -> None:
        """Take in an interface, which may have been renamed."""
        before = self.links.get(link.index)
        if before is not None and self.names.get(before.name) == link.index:
            del self.names[before.name]
        self.links[link.index] = link
        self.names[link.name] = link.index

    def drop_link(self, index: int) -> bool:
        """Forget an interface with its addresses; return whether it was known."""
        self.addresses.pop(index, None)
        link = self.links.pop(index, None)
        if link is not None and self.names.get(link.name) == index:
            del self.names[link.name]
        return link is not None

    def set_address(self, address: InterfaceAddress) -> bool:
        """Take in an address; return whether that is news."""
        own = self.addresses.setdefault(address.interface, {})
        is_news = own.get((address.address, address.plen)) != address
        own[address.address, address.plen] = address
        return is_news

    def drop_address(self, address: InterfaceAddress) -> None:
        """Forget an address."""
        self.addresses.get(address.interface, {}).pop((address.address, address.plen), None)

    def has_address(self, address: InterfaceAddress) -> bool:
        """Return whether an interface has an address, usable or not."""
        return (address.address, address.plen) in self.addresses.get(address.interface, {})

    def has_ipv4(self, index: int) -> bool:
        """Return whether an interface has an IPv4 address."""
        return any(len(address) == 4 for address, _ in self.addresses.get(index, ()))

    def has_anywhere(self, address: bytes) -> bool:
        """Return whether any interface has an address (packed)."""
        return any(address == own for addresses in self.addresses.values() for own, _ in addresses)

    def all_addresses(self) -> Iterator[InterfaceAddress]:
        """Yield the addresses of all interfaces."""
        for addresses in self.addresses.values():
            yield from addresses.values()

    def name(self, index: int) -> str:
        """Return the name of an interface, or its number where it is gone."""
        link = self.links.get(index)
        return link.name if link else f"#{index}"

    def link_local(self, index: int) -> bytes | None:
        """Return a usable link-local IPv6 address of an interface."""
        own = self.addresses.get(index, {}).values()
        return min((a.address for a in own if a.usable and is_link_local(a.address)), default=None)

    def ipv4(self, index: int) -> bytes | None:
        """Return an IPv4 address of an interface."""
        own = self.addresses.get(index, {}).values()
        return min((a.address for a in own if len(a.address) == 4), default=None)


def read_mirror(requests: RequestSocket, tables: Iterable[int]) -> Mirror:
    """Return what the kernel has now, with the routes of some tables. Raises KernelError."""
    mirror = Mirror()
    for message in requests.dump(RTM_GETLINK, IFINFO.pack(0, 0, 0, 0, 0)):
        if (link := read_link(message)) is not None:
            mirror.set_link(link)
    for message in requests.dump(RTM_GETADDR, IFADDR.pack(0, 0, 0, 0, 0)):
        if (address := read_address(message)) is not None:
            mirror.set_address(address)
    mirror.tables = read_tables(requests, tables)
    return mirror


def read_tables(requests: RequestSocket, tables: Iterable[int]) -> dict[int, dict[RouteKey, Route]]:
    """Return the routes of others in some tables of the kernel. Raises KernelError."""
    return {
        table: {
            route_key(route): route
            for route in dump_routes(requests, table)
            if route.protocol != PROTOCOL_BABEL
        }
        for table in tables
    }


def read_link(message: Message) -> Link | None:
    """Return the interface that a message tells of; None for what concerns only a bridge or a wireless driver."""
    family, _, index, flags, _ = IFINFO.unpack_from(message.payload)
    found = attributes(message.payload[IFINFO.size :])
    if family != socket.AF_UNSPEC or IFLA_MTU not in found or IFLA_IFNAME not in found:
        return None
    info = attributes(found.get(IFLA_LINKINFO, b""))
    return Link(
        index,
        _text(found[IFLA_IFNAME]),
        number_of(found, IFLA_MTU, 0),
        flags,
        _text(info.get(IFLA_INFO_KIND, b"")),
        number_of(found, IFLA_MASTER, 0),
        _text(found.get(IFLA_IFALIAS, b"")),
    )


def read_address(message: Message) -> InterfaceAddress | None:
    """Return the address that a message tells of; None for other families."""
    family, plen, flags, _scope, index = IFADDR.unpack_from(message.payload)
    if family not in FAMILY_NUMBERS:
        return None
    found = attributes(message.payload[IFADDR.size :])
    # For IPv4 on a point-to-point link IFA_ADDRESS is the other end.
    octets = found.get(IFA_LOCAL, found.get(IFA_ADDRESS, b""))
    flags = number_of(found, IFA_FLAGS, flags)
    return InterfaceAddress(index, octets, plen, not flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED))


def route_key(route: Route) -> RouteKey:
    """Return by what a route of the kernel is told from the others of its table."""
    return route.prefix, route.priority, route.interface, route.next_hop


def _text(octets: bytes) -> str:
    return octets.rstrip(b"\0").decode(errors="replace")
