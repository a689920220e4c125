"""Routes of the kernel: one value, its octets (linux/rtnetlink.h), dumps and the system's own look-up."""

import errno
import socket
import struct
import sys
from collections.abc import Iterable
from functools import lru_cache, partial
from typing import Any, NamedTuple

from babelwg.babel.wire.prefix import Prefix
from babelwg.linux.errors import KernelError
from babelwg.linux.netlink import (
    ATTRIBUTE,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    RTM_DELROUTE,
    RTM_GETROUTE,
    RTM_NEWROUTE,
    Message,
    RequestSocket,
    attributes,
    messages,
    number_of,
    pack_attribute,
    stride,
)

# Constants of linux/rtnetlink.h
UNICAST, LOCAL, BROADCAST, ANYCAST, MULTICAST, BLACKHOLE, UNREACHABLE, PROHIBIT, THROW = range(1, 10)
KIND_NAMES = {
    UNICAST: "unicast",
    LOCAL: "local",
    BROADCAST: "broadcast",
    ANYCAST: "anycast",
    MULTICAST: "multicast",
    BLACKHOLE: "blackhole",
    UNREACHABLE: "unreachable",
    PROHIBIT: "prohibit",
    THROW: "throw",
}
# Of linux/rtnetlink.h and iproute2's rt_protos
PROTOCOL_NAMES = {
    1: "redirect",
    2: "kernel",
    3: "boot",
    4: "static",
    9: "ra",
    11: "zebra",
    12: "bird",
    16: "dhcp",
    42: "babel",
    186: "bgp",
    187: "isis",
    188: "ospf",
    189: "rip",
}
RTA_DST, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC, RTA_MULTIPATH = 1, 4, 5, 6, 7, 9
RTA_SRC, RTA_IIF, RTA_TABLE, RTA_VIA = 2, 3, 15, 18
RTM_F_CLONED, RTM_F_LOOKUP_TABLE, RTM_F_FIB_MATCH = 0x200, 0x1000, 0x2000
SCOPE_LINK = 253
LOOPBACK = 1  # the interface of this number is lo in every namespace
TABLE_MAIN = 254

# Implementation constants
PROTOCOL_BABEL = 42  # rt_protos
PRIORITY = 1024  # of every route in our own table
WAYS = 1024  # ways of packets whose octets are remembered
PROBE_TABLE = 6700  # asked by no rule
PROBE = Prefix.parse("2001:db8::/128 from 2001:db8::/128")

# What the kernel says of a destination without a way, also of one that is prohibited (EACCES) or a black hole (EINVAL),
# and of packets that it would not let in as said (RFC 3704).
_NO_WAY = frozenset((errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENOENT, errno.EACCES, errno.EINVAL))
_NOT_LET_IN = frozenset((errno.EINVAL, errno.EXDEV))

RTMSG = struct.Struct("=BBBBBBBBI")
PROTOCOL_AT = 5  # in it
U32 = struct.Struct("=I")
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
FAMILY_NUMBERS = {socket.AF_INET: 4, socket.AF_INET6: 6}


Place = tuple[int, Prefix]


class Route(NamedTuple):
    """One route of the kernel; addresses are packed, `interface` is an index, 0 or b"" for none."""

    prefix: Prefix
    table: int
    kind: int = UNICAST
    next_hop: bytes = b""
    interface: int = 0
    source: bytes = b""
    priority: int = PRIORITY
    protocol: int = PROTOCOL_BABEL

    @property
    def place(self) -> Place:
        """The one place in the kernel that this route takes."""
        return self.table, self.prefix


def pack_route(route: Route) -> bytes:
    """Return the rtmsg and attributes of a route; an IPv4 route with an IPv6 next hop uses RTA_VIA."""
    (family, network, plen, source_network, source_plen), *way = route
    front, end = _pack_around(family, plen, source_plen, *way)
    return front + network + (pack_attribute(RTA_SRC, source_network) if source_plen else b"") + end


@lru_cache(WAYS)
def _pack_around(
    family: int,
    plen: int,
    source_plen: int,
    table: int,
    kind: int,
    next_hop: bytes,
    interface: int,
    source: bytes,
    priority: int,
    protocol: int,
) -> tuple[bytes, bytes]:
    """Return the octets before the networks and behind them, which thousands of routes have in common."""
    scope = SCOPE_LINK if kind == UNICAST and not next_hop else 0
    number, octets = table if table < 256 else 0, 4 if family == 4 else 16
    rtmsg = RTMSG.pack(FAMILIES[family], plen, source_plen, 0, number, protocol, scope, kind, 0)
    parts = [pack_attribute(RTA_TABLE, U32.pack(table))]
    if priority:
        parts.append(pack_attribute(RTA_PRIORITY, U32.pack(priority)))
    if next_hop and (len(next_hop) == 4) == (family == 4):
        parts.append(pack_attribute(RTA_GATEWAY, next_hop))
    elif next_hop:
        parts.append(pack_attribute(RTA_VIA, struct.pack("=H", socket.AF_INET6) + next_hop))
    if interface:
        parts.append(pack_attribute(RTA_OIF, U32.pack(interface)))
    if source:
        parts.append(pack_attribute(RTA_PREFSRC, source))
    return rtmsg + ATTRIBUTE.pack(4 + octets, RTA_DST), b"".join(parts)


def read_route(message: Message) -> Route | None:
    """Return the route of an RTM_NEWROUTE or RTM_DELROUTE; None for cloned ones and other families."""
    family, plen, source_plen, _tos, table, protocol, _scope, kind, flags = RTMSG.unpack_from(message.payload)
    number = FAMILY_NUMBERS.get(family)
    if number is None or flags & RTM_F_CLONED:
        return None
    found = attributes(message.payload[12:])
    octets = 4 if number == 4 else 16
    network = found.get(RTA_DST) or bytes(octets)
    next_hop = found[RTA_VIA][2:] if RTA_VIA in found else found.get(RTA_GATEWAY, b"")
    prefix = Prefix(number, network, plen)
    if source_plen:
        source = found.get(RTA_SRC) or bytes(octets)
        prefix = prefix.with_source(Prefix(number, source, source_plen))
    return Route(
        prefix,
        number_of(found, RTA_TABLE, table),
        kind,
        next_hop,
        0 if kind in (UNREACHABLE, THROW, BLACKHOLE, PROHIBIT) else number_of(found, RTA_OIF, 0),
        found.get(RTA_PREFSRC, b""),
        number_of(found, RTA_PRIORITY, 0),
        protocol,
    )


def set_request(route: Route, exclusive: bool) -> tuple[int, int, bytes]:
    """Return the request that makes a route exist: replacing what is there, or refusing to (`exclusive`)."""
    return RTM_NEWROUTE, NLM_F_CREATE | (NLM_F_EXCL if exclusive else NLM_F_REPLACE), pack_route(route)


def remove_request(route: Route) -> tuple[int, int, bytes]:
    """Return the request that removes a route of ours, whatever its next hop has become."""
    bare = route._replace(next_hop=b"", interface=0, source=b"")
    payload = bytearray(pack_route(bare))
    payload[6] = 255  # RT_SCOPE_NOWHERE: the scope is no condition
    return RTM_DELROUTE, 0, bytes(payload)


def dump_routes(requests: RequestSocket, table: int, but: int = 0, only: int = 0) -> list[Route]:
    """Return the routes of one table, or of all tables for 0, not of the protocol `but`, `only` of one."""
    found = routes_in(dump_octets(requests, table, only), table, but)
    # A kernel before 4.20 tells of all.
    return [route for route in found if route.protocol == only] if only else found


def dump_octets(requests: RequestSocket, table: int, only: int = 0) -> list[bytes]:
    """Return the datagrams with which the kernel tells the routes of a table, or of all for 0, `only` of a protocol."""
    found: list[bytes] = []
    for family in FAMILIES.values():
        payload = RTMSG.pack(family, 0, 0, 0, 0, only, 0, 0, 0)
        payload += pack_attribute(RTA_TABLE, U32.pack(table)) if table else b""
        try:
            found += requests.dump_datagrams(RTM_GETROUTE, payload)
        except KernelError as error:
            if error.errno == 2:  # ENOENT: the table does not exist until its first route
                continue
            raise
    return found


def routes_in(dumped: Iterable[bytes], table: int, but: int = 0) -> list[Route]:
    """Return the routes of a dump's datagrams that are in a table, any for 0, and not of the protocol `but`."""
    found: list[Route] = []
    for data in dumped:
        alike = _alike_routes(data, table, but)
        found += _routes_of(messages(data), table, but) if alike is None else alike
    return found


def _alike_routes(data: bytes, table: int, but: int) -> list[Route] | None:
    """Return the routes of a datagram whose messages all lie alike, as in a dump of thousands; None where they do not.

    Each way is read once; the loop over the messages is struct's.
    """
    length, front = stride(data), 16 + 24  # octets of a message, and of all before its destination
    end = _DESTINATIONS.get(data[front - 4 : front])
    if not length or end is None or (tail := length - 16 - end) < 0:
        return None
    shape = struct.Struct(f"=16x24s{end - 24}s{tail}s")
    fronts, networks, tails = zip(*shape.iter_unpack(data), strict=True)
    kinds = [*zip(fronts, tails, strict=True)]
    ways: dict[tuple[bytes, bytes], tuple[Any, ...] | None] = {}
    for head, rest in set(kinds):
        if head[12:16] != _TABLE_FIRST or _DESTINATIONS.get(head[20:24]) != end:
            return None
        kind = int.from_bytes(data[4:6], sys.byteorder)
        route = read_route(Message(kind, 0, 0, head + bytes(end - 24) + rest))
        ways[head, rest] = _way_of(route, table, but) if kind == RTM_NEWROUTE else None
    make, make_prefix = partial(tuple.__new__, Route), partial(tuple.__new__, Prefix)
    return [
        make((make_prefix((way[0], network, *way[1])), *way[2]))
        for network, kind_of in zip(networks, kinds, strict=True)
        if (way := ways[kind_of]) is not None
    ]


def _way_of(route: Route | None, table: int, but: int) -> tuple[Any, ...] | None:
    """Return the family, the lengths and sources, and the rest of a route that is asked for; None for another."""
    if route is None or table not in (0, route.table) or (but and route.protocol == but):
        return None
    return route.prefix[0], route.prefix[2:], route[1:]


def _routes_of(dumped: Iterable[Message], table: int, but: int) -> list[Route]:
    """Return the routes of messages, most of which differ from one before in nothing but their destination."""
    known: dict[bytes, tuple[Any, ...] | None] = {}
    found = []
    for message in dumped:
        # To pass over a message takes a twentieth of reading it.
        if message.type != RTM_NEWROUTE or (but and message.payload[PROTOCOL_AT] == but):
            continue
        octets = message.payload
        end = _DESTINATIONS.get(octets[20:24]) if octets[12:16] == _TABLE_FIRST else None
        rest = octets[:24] + octets[end:] if end else octets
        if not end or rest not in known:
            route = read_route(message)
            known[rest] = _way_of(route, table, but)
            if route is not None and known[rest] is not None:
                found.append(route)
        elif (way := known[rest]) is not None:
            found.append(Route._make((Prefix._make((way[0], octets[24:end], *way[1])), *way[2])))
    return found


# Where a destination ends that stands behind the number of the table, as the kernel writes it, by its head.
_TABLE_FIRST = ATTRIBUTE.pack(8, RTA_TABLE)
_DESTINATIONS = {ATTRIBUTE.pack(4 + octets, RTA_DST): 24 + octets for octets in (4, 16)}


def has_subtrees(requests: RequestSocket) -> bool:
    """Return whether the kernel takes IPv6 routes with a source prefix (CONFIG_IPV6_SUBTREES)."""
    probe = Route(PROBE, PROBE_TABLE, UNREACHABLE)
    (answer,) = requests.request([set_request(probe, exclusive=False)])
    if answer.errno == 0:
        requests.request([remove_request(probe)])
    # Only a kernel without them calls the request invalid; where we may not write, other reasons come first.
    return answer.errno != errno.EINVAL


def look_up(requests: RequestSocket, destination: bytes, source: bytes | None) -> Route | None:
    """Return the route that the system itself takes for a destination, as `ip route get` does; None for none.

    The prefix of the answer is the host; its table is where it was found. Raises KernelError on other refusals.
    """
    return _ask_as_it_comes(requests, destination, source, 0)


def match(requests: RequestSocket, destination: bytes, source: bytes | None) -> Route | None:
    """Return the entry of the kernel's tables that a packet meets, as `ip route get fibmatch` does; None for no way.

    An entry that refuses packets counts as no way. Raises KernelError on other refusals.
    """
    return _ask_as_it_comes(requests, destination, source, RTM_F_FIB_MATCH)


def _ask_as_it_comes(
    requests: RequestSocket, destination: bytes, source: bytes | None, flags: int
) -> Route | None:
    found = _ask(requests, destination, source, 0, flags)
    if found is not None or source is None or len(source) != 4:
        return found
    # IPv4 knows no way from an address of somebody else, unless we say where such packets come in.
    back = _ask(requests, source, None, 0)
    if back is not None and back.kind != UNICAST:
        return None
    # Without a way back they may come in anywhere, if no reverse path check keeps them out.
    return _ask(requests, destination, source, back.interface if back is not None else LOOPBACK, flags)


def _ask(
    requests: RequestSocket, destination: bytes, source: bytes | None, incoming: int, flags: int = 0
) -> Route | None:
    family = socket.AF_INET if len(destination) == 4 else socket.AF_INET6
    bits = 8 * len(destination)
    # An IPv6 answer names the table by itself, and IPv6 refuses the flag.
    flags |= RTM_F_LOOKUP_TABLE if family == socket.AF_INET else 0
    payload = RTMSG.pack(family, bits, bits if source else 0, 0, 0, 0, 0, 0, flags)
    payload += pack_attribute(RTA_DST, destination)
    if source:
        payload += pack_attribute(RTA_SRC, source)
    if incoming:
        payload += pack_attribute(RTA_IIF, U32.pack(incoming))
    answer = requests.ask(RTM_GETROUTE, payload)
    if isinstance(answer, Message):
        return read_route(answer) if flags & RTM_F_FIB_MATCH else _read_answer(answer)
    if answer.errno in _NO_WAY or (incoming and answer.errno in _NOT_LET_IN):
        return None
    raise KernelError("look up", socket.inet_ntop(family, destination), answer.errno, answer.detail)


def _read_answer(message: Message) -> Route | None:
    # IPv6 answers are marked as cloned and may repeat the source that was asked for: neither matters here.
    payload = bytearray(message.payload)
    payload[2] = 0
    payload[8:12] = bytes(4)
    return read_route(message._replace(payload=bytes(payload)))
