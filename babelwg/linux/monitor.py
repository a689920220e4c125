"""What the kernel tells by itself: links, addresses, routes and rules as they change, kept as one mirror."""

import errno
import logging
import socket
import time
from collections.abc import Callable, Iterable

from babelwg.babel.wire.prefix import is_link_local
from babelwg.linux.errors import KernelError
from babelwg.linux.mirror import (
    IFF_UP,
    IFINFO,
    InterfaceAddress,
    Mirror,
    read_address,
    read_link,
    read_mirror,
    read_tables,
    route_key,
)
from babelwg.linux.netlink import (
    NLM_F_REPLACE,
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_DELROUTE,
    RTM_DELRULE,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWROUTE,
    RTM_NEWRULE,
    SOL_NETLINK,
    Message,
    RequestSocket,
    messages,
    set_receive_buffer,
)
from babelwg.linux.pace import Pace
from babelwg.linux.routes import PROTOCOL_BABEL, TABLE_MAIN, Route, read_route
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

log = logging.getLogger(__name__)

# Constants of linux/rtnetlink.h
GROUPS = (
    1,
    5,
    7,
    8,
    9,
    11,
    19,
)  # link, ipv4 address, ipv4 route, ipv4 rule, ipv6 address, ipv6 route, ipv6 rule
NETLINK_ADD_MEMBERSHIP = 1
PROTOCOL_OFFSET = 5  # octets, in an rtmsg

# Implementation constants
RECEIVE_BUFFER = 8 << 20  # octets: a flood of some news must not push the others out
DISCARDED_AT_ONCE = 50_000  # messages; more than the buffer holds
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds until all that was lost again, or not read, is read anew


class Monitor:
    """Feeds a mirror from the kernel's notifications and calls back with what changed.

    `changed(what)` is called once per batch with a set of "link", "address", "main" (the routes of main and of the
    watched tables) and "rule"; `route_lost(route)` for each route of our protocol that goes from any table,
    `route_set(route)` for any that comes, perhaps in the place of one of ours. The kernel drops routes without a word
    with what they need: so `link_lost(index)` is called for an interface that goes down or away, and
    `address_lost(address)` for an address that the mirror has no more. Routes of Babel's protocol that come and go
    because `requests` asked for it are no news.

    After an overrun everything is read anew and `changed` gets "overrun" besides; where that fails, or follows the
    last time too closely, the mirror stays as it was, and `later(seconds, action)` has it done.
    """

    def __init__(
        self,
        requests: RequestSocket,
        changed: Callable[[set[str]], None],
        route_lost: Callable[[Route], None],
        link_lost: Callable[[int], None],
        route_set: Callable[[Route], None] = lambda route: None,
        address_lost: Callable[[InterfaceAddress], None] = lambda address: None,
        later: Callable[[float, Callable[[], None]], object] = lambda seconds, action: None,
    ) -> None:
        self.mirror = Mirror()
        self.overruns = 0
        self.read_failed = 0
        self.foreign_news = 0  # grows whenever routes or rules of others may have changed, in any table
        self._requests = requests
        self._changed = changed
        self._route_lost = route_lost
        self._link_lost = link_lost
        self._route_set = route_set
        self._address_lost = address_lost
        self._later = later
        self._pace = Pace(FIRST_PAUSE, LONGEST_PAUSE)
        self._is_stale = self._routes_are_stale = self._is_awaited = False
        self._socket = open_news(requests.port)
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
            self._routes_are_stale = True
            self.receive()

    def refresh(self) -> None:
        """Read links, addresses and routes anew. Raises KernelError, and then all stays as it was known."""
        links, addresses = self.mirror.links, [*self.mirror.all_addresses()]
        self.mirror.become(read_mirror(self._requests, self.mirror.tables))
        self._is_stale = self._routes_are_stale = False
        now = self.mirror.links
        for index in [i for i, link in links.items() if link.flags & IFF_UP]:
            if index not in now or not now[index].flags & IFF_UP:
                self._link_lost(index)
        for lost in [a for a in addresses if not self.mirror.has_address(a)]:
            self._address_lost(lost)

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
                self._is_stale = True
                break  # all is read anew, once in a turn however much is lost
            for message in messages(data):
                self._handle(message, changed)
        self._catch_up(changed)
        if changed:
            self._changed(changed)

    def _catch_up(self, changed: set[str]) -> None:
        """Read anew what is not known any more; until that succeeds, what was known stands."""
        if not (self._is_stale or self._routes_are_stale):
            return
        if not self._pace.wait():
            began, is_spaced = time.monotonic(), self._is_stale
            try:
                self._read(changed)
                return
            except KernelError as error:
                self.read_failed += 1
                is_spaced = True
                log.error("kernel-not-read %s: tried again", error)
            finally:
                if is_spaced:
                    self._pace.note(began)
        if not self._is_awaited:
            self._is_awaited = True
            self._later(self._pace.wait(), self._try_again)

    def _read(self, changed: set[str]) -> None:
        if not self._is_stale:
            self.mirror.tables = read_tables(self._requests, self.mirror.tables)
            self._routes_are_stale = False
            changed.add("main")
            return
        changed.add("overrun")  # also where nothing can be read: our routes may be
        # What waits is older than what is read next, and would put things back to how they were.
        self._discard()
        self.refresh()
        changed |= {"link", "address", "main", "rule"}

    def _try_again(self) -> None:
        self._is_awaited = False
        if self._socket.fileno() >= 0:
            self.receive()

    def _discard(self) -> None:
        for _ in range(DISCARDED_AT_ONCE):
            try:
                self._socket.recv(1 << 17)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise

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
            key, routes = route_key(route), self.mirror.tables[route.table]
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
        elif (link := read_link(message)) is not None:
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
        address = read_address(message)
        if address is None:
            return
        if message.type == RTM_DELADDR:
            self.mirror.drop_address(address)
            self._address_lost(address)
            # With an IPv4 address go, unannounced, the routes that prefer it as their source.
            self._routes_are_stale = self._routes_are_stale or len(address.address) == 4
            self.foreign_news += 1
            changed.add("address")
        elif self.mirror.set_address(address):
            changed.add("address")


def _is_multicast(address: bytes) -> bool:
    return len(address) == 16 and address[0] == 0xFF


def open_news(port: int) -> socket.socket:
    """Return a socket for what the kernel tells, but for what the requests of a port do to routes of ours."""
    news = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
    )
    set_receive_buffer(news, RECEIVE_BUFFER)
    # Whoever asked for a change need not be told of it, by the thousand and after the next one was asked for.
    attach_filter(news, _routes_of_others(port))
    news.bind((0, 0))
    for group in GROUPS:
        news.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)
    return news


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
