"""What the kernel tells by itself: links, addresses, routes and rules as they change, kept as one mirror."""

import errno
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from babelwg.babel.wire.prefix import Prefix, is_link_local
from babelwg.linux.netlink import (
    NLM_F_REPLACE,
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_DELROUTE,
    RTM_DELRULE,
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWROUTE,
    RTM_NEWRULE,
    Message,
    RequestSocket,
    attributes,
    messages,
    set_receive_buffer,
)
from babelwg.linux.routes import FAMILY_NUMBERS, PROTOCOL_BABEL, TABLE_MAIN, Route, dump_routes, read_route
from babelwg.linux.socketfilter import (
    ALL,
    JUMP_IF_EQUAL,
    LOAD_BYTE,
    LOAD_HALF,
    LOAD_WORD,
    NOTHING,
    Step,
    attach_filter,
)

# Constants of linux/rtnetlink.h, linux/if.h and linux/if_link.h
GROUPS = (
    1,
    5,
    7,
    8,
    9,
    11,
    19,
)  # link, ipv4 address, ipv4 route, ipv4 rule, ipv6 address, ipv6 route, ipv6 rule
IFF_UP, IFF_LOOPBACK, IFF_POINTOPOINT, IFF_RUNNING, IFF_MULTICAST = 0x1, 0x8, 0x10, 0x40, 0x1000
IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_LINKINFO, IFLA_IFALIAS, IFLA_INFO_KIND = 3, 4, 10, 18, 20, 1
IFA_ADDRESS, IFA_LOCAL, IFA_FLAGS = 1, 2, 8
IFA_F_TENTATIVE, IFA_F_DADFAILED = 0x40, 0x08
IFINFO = struct.Struct("=BxHiII")
IFADDR = struct.Struct("=BBBBI")
NETLINK_ADD_MEMBERSHIP = 1
PROTOCOL_OFFSET = 5  # octets, in an rtmsg

RouteKey = tuple[Prefix, int, int, bytes]

# Implementation constants
RECEIVE_BUFFER = 8 << 20  # octets: a flood of some news must not push the others out
DISCARDED_AT_ONCE = 50_000  # messages; more than the buffer holds


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


class Monitor:
    """Feeds a mirror from the kernel's notifications and calls back with what changed.

    `changed(what)` is called once per batch with a set of "link", "address", "main" (the routes of main and of the
    watched tables) and "rule"; `route_lost(route)` for each route of our protocol that goes from any table,
    `route_set(route)` for any that comes, perhaps in the place of one of ours, and
    `link_lost(index)` for an interface that goes down or away: the kernel then drops the IPv4 routes over it without
    a word. After an overrun everything is read anew and `changed` gets "overrun" besides. Routes of Babel's
    protocol that come and go because `requests` asked for it are no news.
    """

    def __init__(
        self,
        requests: RequestSocket,
        changed: Callable[[set[str]], None],
        route_lost: Callable[[Route], None],
        link_lost: Callable[[int], None],
        route_set: Callable[[Route], None] = lambda route: None,
    ) -> None:
        self.mirror = Mirror()
        self.overruns = 0
        self.foreign_news = 0  # grows whenever routes or rules of others may have changed, in any table
        self._requests = requests
        self._changed = changed
        self._route_lost = route_lost
        self._link_lost = link_lost
        self._route_set = route_set
        self._routes_are_stale = False
        self._socket = socket.socket(
            socket.AF_NETLINK,
            socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
            socket.NETLINK_ROUTE,
        )
        set_receive_buffer(self._socket, RECEIVE_BUFFER)
        # Whoever asked for a change need not be told of it, by the thousand and after the next one was asked for.
        attach_filter(self._socket, _routes_of_others(requests.port))
        self._socket.bind((0, 0))
        for group in GROUPS:
            self._socket.setsockopt(270, NETLINK_ADD_MEMBERSHIP, group)
        self.refresh()

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def watch(self, tables: Iterable[int]) -> None:
        """Keep the routes of these tables in the mirror besides those of main."""
        wanted = {TABLE_MAIN, *tables}
        if wanted != self.mirror.tables.keys():
            self.mirror.tables = {table: self.mirror.tables.get(table, {}) for table in sorted(wanted)}
            self._read_routes()

    def refresh(self) -> None:
        """Read links, addresses and routes anew."""
        mirror = self.mirror
        mirror.links.clear()
        mirror.names.clear()
        mirror.addresses.clear()
        changed: set[str] = set()
        for message in self._requests.dump(RTM_GETLINK, IFINFO.pack(0, 0, 0, 0, 0)):
            self._handle(message, changed)
        for message in self._requests.dump(RTM_GETADDR, IFADDR.pack(0, 0, 0, 0, 0)):
            self._handle(message, changed)
        self._read_routes()

    def receive(self) -> None:
        """Take what the kernel has told since; never blocks."""
        changed: set[str] = set()
        for _ in range(256):  # leave the loop to others under a flood; the descriptor stays readable
            try:
                data = self._socket.recv(1 << 17)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.overruns += 1
                self.foreign_news += 1
                # What waits is older than what is read next, and would put things back to how they were.
                self._discard()
                self.refresh()
                changed |= {"overrun", "link", "address", "main", "rule"}
                continue
            for message in messages(data):
                self._handle(message, changed)
        if self._routes_are_stale:
            self._read_routes()
            changed.add("main")
        if changed:
            self._changed(changed)

    def _discard(self) -> None:
        for _ in range(DISCARDED_AT_ONCE):
            try:
                self._socket.recv(1 << 17)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise

    def _read_routes(self) -> None:
        for table in self.mirror.tables:
            self.mirror.tables[table] = {
                _route_key(route): route
                for route in dump_routes(self._requests, table)
                if route.protocol != PROTOCOL_BABEL
            }
        self._routes_are_stale = False

    def _handle(self, message: Message, changed: set[str]) -> None:
        if message.type in (RTM_NEWROUTE, RTM_DELROUTE):
            self._handle_route(message, changed)
        elif message.type in (RTM_NEWLINK, RTM_DELLINK):
            self._handle_link(message, changed)
        elif message.type in (RTM_NEWADDR, RTM_DELADDR):
            self._handle_address(message, changed)
        elif message.type in (RTM_NEWRULE, RTM_DELRULE):
            self.foreign_news += 1
            changed.add("rule")

    def _handle_route(self, message: Message, changed: set[str]) -> None:
        route = read_route(message)
        if route is not None and message.type == RTM_NEWROUTE:
            self._route_set(route)
        if message.payload[PROTOCOL_OFFSET] == PROTOCOL_BABEL:
            # Nobody looks for them in the mirror.
            if route is not None and message.type == RTM_DELROUTE:
                self._route_lost(route)
            return
        self.foreign_news += 1
        if route is not None and route.table in self.mirror.tables:
            key, routes = _route_key(route), self.mirror.tables[route.table]
            if message.type == RTM_NEWROUTE:
                routes[key] = route
                # Nothing tells which route this one replaced.
                self._routes_are_stale = self._routes_are_stale or bool(message.flags & NLM_F_REPLACE)
            else:
                routes.pop(key, None)
            # What leads to neighbours on a link comes and goes with it, and concerns nobody.
            if not is_link_local(route.prefix.network) and not _is_multicast(route.prefix.network):
                changed.add("main")

    def _handle_link(self, message: Message, changed: set[str]) -> None:
        family, _, index, flags, _ = IFINFO.unpack_from(message.payload)
        if family != socket.AF_UNSPEC:
            return  # a bridge's own news about a port, not about the interface
        if message.type == RTM_DELLINK:
            self._lose_link(index)
            if self.mirror.drop_link(index):
                changed.add("link")
            return
        found = attributes(message.payload[16:])
        if IFLA_MTU not in found or IFLA_IFNAME not in found:
            return  # news of a wireless driver, not of the interface
        name, alias = _text(found[IFLA_IFNAME]), _text(found.get(IFLA_IFALIAS, b""))
        mtu = struct.unpack("=I", found[IFLA_MTU])[0]
        info = attributes(found[IFLA_LINKINFO]) if IFLA_LINKINFO in found else {}
        kind = _text(info.get(IFLA_INFO_KIND, b""))
        master = struct.unpack("=I", found[IFLA_MASTER])[0] if IFLA_MASTER in found else 0
        link = Link(index, name, mtu, flags, kind, master, alias)
        before = self.mirror.links.get(index)
        if before is not None and before.flags & IFF_UP and not flags & IFF_UP:
            self._lose_link(index)
        if before != link:
            self.mirror.set_link(link)
            changed.add("link")

    def _lose_link(self, index: int) -> None:
        self._routes_are_stale = True
        self.foreign_news += 1
        self._link_lost(index)

    def _handle_address(self, message: Message, changed: set[str]) -> None:
        family, plen, flags, _scope, index = IFADDR.unpack_from(message.payload)
        if family not in FAMILY_NUMBERS:
            return
        found = attributes(message.payload[8:])
        # For IPv4 on a point-to-point link IFA_ADDRESS is the other end.
        octets = found.get(IFA_LOCAL, found.get(IFA_ADDRESS, b""))
        if IFA_FLAGS in found:
            flags = struct.unpack("=I", found[IFA_FLAGS])[0]
        own = self.mirror.addresses.setdefault(index, {})
        if message.type == RTM_DELADDR:
            own.pop((octets, plen), None)
            # With an IPv4 address go, unannounced, the routes that prefer it as their source.
            self._routes_are_stale = self._routes_are_stale or len(octets) == 4
            self.foreign_news += 1
            changed.add("address")
            return
        address = InterfaceAddress(index, octets, plen, not flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED))
        if own.get((octets, plen)) != address:
            own[octets, plen] = address
            changed.add("address")


def _text(octets: bytes) -> str:
    return octets.rstrip(b"\0").decode(errors="replace")


def _is_multicast(address: bytes) -> bool:
    return len(address) == 16 and address[0] == 0xFF


def _routes_of_others(port: int) -> tuple[Step, ...]:
    """Return a program that drops the news of Babel's routes that a port caused (linux/netlink.h, nlmsg_pid)."""
    # It reads numbers from the big end, which stand in the machine's order.
    kinds = [socket.htons(kind) for kind in (RTM_NEWROUTE, RTM_DELROUTE)]
    return (
        (LOAD_HALF, 0, 0, 4),
        (JUMP_IF_EQUAL, 1, 0, kinds[0]),
        (JUMP_IF_EQUAL, 0, 5, kinds[1]),
        (LOAD_BYTE, 0, 0, 16 + PROTOCOL_OFFSET),
        (JUMP_IF_EQUAL, 0, 3, PROTOCOL_BABEL),
        (LOAD_WORD, 0, 0, 12),
        (JUMP_IF_EQUAL, 0, 1, socket.htonl(port)),
        NOTHING,
        ALL,
    )


def _route_key(route: Route) -> RouteKey:
    return route.prefix, route.priority, route.interface, route.next_hop
