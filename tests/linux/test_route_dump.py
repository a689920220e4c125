"""Dumps of many routes: each is read as if it came alone."""

import socket
import struct

import pytest

from babelwg.babel.wire.prefix import Prefix
from babelwg.linux.netlink import RTM_DELROUTE, RTM_NEWROUTE, Message, pack_attribute, pack_message
from babelwg.linux.routes import (
    PROTOCOL_BABEL,
    RTA_DST,
    RTA_GATEWAY,
    RTA_OIF,
    RTA_PRIORITY,
    RTA_SRC,
    RTA_TABLE,
    RTM_F_CLONED,
    RTMSG,
    THROW,
    UNICAST,
    dump_routes,
    read_route,
)

A, B = (bytes.fromhex("fe80") + bytes(13) + bytes([n]) for n in (1, 2))


class Dumping:
    """A request socket that answers with what a test laid ready."""

    def __init__(self, messages: list[Message], sorted_out: bool = False) -> None:
        """Send these in one datagram; `sorted_out` in one for each type and length, as a dump of thousands is."""
        self._messages, self._sorted_out = messages, sorted_out

    def dump_datagrams(self, kind: int, payload: bytes) -> list[bytes]:
        datagrams: dict[object, bytes] = {}
        for m in self._messages:
            if m.payload[0] == payload[0]:
                key = (m.type, len(m.payload)) if self._sorted_out else None
                packed = pack_message(m.type, m.flags, m.sequence, m.payload)
                datagrams[key] = datagrams.get(key, b"") + packed
        return [*datagrams.values()]


def number(value: int) -> bytes:
    return struct.pack("=I", value)


def message(
    text: str,
    next_hop: bytes = A,
    table: int = 6696,
    kind: int = UNICAST,
    flags: int = 0,
    first: int = RTA_TABLE,
) -> Message:
    """Return a route as the kernel writes it: the number of the table first, then the destination, if it has one."""
    prefix = Prefix.parse(text)
    family = socket.AF_INET if prefix.family == 4 else socket.AF_INET6
    head = RTMSG.pack(family, prefix.plen, prefix.source_plen, 0, 252, PROTOCOL_BABEL, 0, kind, flags)
    places = [pack_attribute(RTA_TABLE, number(table))]
    if prefix.plen:
        places.append(pack_attribute(RTA_DST, prefix.network))
    parts = places if first == RTA_TABLE else places[::-1]
    if prefix.source_plen:
        parts.append(pack_attribute(RTA_SRC, prefix.source_network))
    parts += [pack_attribute(RTA_PRIORITY, number(1024)), pack_attribute(RTA_GATEWAY, next_hop)]
    parts.append(pack_attribute(RTA_OIF, number(3)))
    return Message(RTM_NEWROUTE, 2, 1, bytes(head + b"".join(parts)))


@pytest.mark.parametrize("sorted_out", [False, True])
@pytest.mark.parametrize("first", [RTA_TABLE, RTA_DST])
def test_routes_that_differ_in_any_field_are_told_apart(first: int, sorted_out: bool) -> None:
    dumped = [
        message(text, next_hop, table, kind, flags, first)
        for text in (
            "2001:db8:1::/64",
            "2001:db8:2::/64",
            "2001:db8::/48",
            "::/0",
            "2001:db8:3::/64 from 2001:db8:a::/48",
            "2001:db8:4::/64 from 2001:db8:a::/48",
            "2001:db8:4::/64 from 2001:db8:b::/48",
            "10.1.0.0/16",
            "10.2.0.0/16",
            "10.2.0.0/24",
            "0.0.0.0/0",
        )
        for next_hop in (A, B)
        for table in (6696, 254)
        for kind in (UNICAST, THROW)
        for flags in (0, RTM_F_CLONED)
    ]
    gone = dumped[0]._replace(type=RTM_DELROUTE)
    alone = [read_route(m) for m in dumped]
    found = dump_routes(Dumping([*dumped, gone], sorted_out), 0)  # type: ignore[arg-type]
    assert sorted(found) == sorted(route for route in alone if route is not None)
    assert len(found) == len(set(found)) == 11 * 2 * 2 * 2
    ours = dump_routes(Dumping(dumped, sorted_out), 6696)  # type: ignore[arg-type]
    assert {route.table for route in ours} == {6696} and len(ours) == len(found) // 2
    assert dump_routes(Dumping(dumped, sorted_out), 0, but=PROTOCOL_BABEL) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("sorted_out", [False, True])
def test_what_only_looks_like_a_destination_is_none(sorted_out: bool) -> None:
    def odd(last: int) -> Message:
        head = RTMSG.pack(socket.AF_INET, 16, 0, 0, 252, PROTOCOL_BABEL, 0, UNICAST, 0)
        # The value of another attribute holds what would be the head and the octets of a destination.
        inside = pack_attribute(99, bytes(4) + struct.pack("=HH", 8, RTA_DST) + bytes([9, 9, 9, last]))
        return Message(
            RTM_NEWROUTE, 2, 1, bytes(head + inside + pack_attribute(RTA_DST, bytes([10, 7, 0, 0])))
        )

    found = dump_routes(Dumping([odd(1), odd(2)], sorted_out), 0)  # type: ignore[arg-type]
    assert [str(route.prefix) for route in found] == ["10.7.0.0/16"] * 2
