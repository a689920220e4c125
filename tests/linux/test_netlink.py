"""Octets of netlink: what is packed reads back, and garbage reads as nothing."""

import errno
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from babelwg.babel.wire.prefix import Prefix
from babelwg.linux import netlink
from babelwg.linux.netlink import (
    NLM_F_ACK_TLVS,
    NLM_F_CAPPED,
    NLMSG_ERROR,
    Message,
    Refusal,
    attributes,
    messages,
    pack_attribute,
    pack_message,
    read_error,
)
from babelwg.linux.routes import RTMSG, THROW, UNREACHABLE, Route, pack_route, read_route

NEXT_HOP = bytes.fromhex("fe80") + bytes(13) + b"\x02"


@pytest.mark.parametrize(
    "route",
    [
        Route(Prefix.parse("2001:db8::/32"), 6696, next_hop=NEXT_HOP, interface=7),
        Route(Prefix.parse("10.1.0.0/16"), 6696, next_hop=NEXT_HOP, interface=7, source=bytes([10, 0, 0, 1])),
        Route(Prefix.parse("10.1.0.0/16"), 254, next_hop=bytes([10, 0, 0, 9]), interface=2, priority=0),
        Route(Prefix.parse("::/0"), 6696, UNREACHABLE),
        Route(Prefix.parse("0.0.0.0/0"), 6696, THROW),
    ],
)
def test_a_packed_route_reads_back(route: Route) -> None:
    assert read_route(Message(24, 0, 1, pack_route(route))) == route


def test_an_ipv4_route_with_an_ipv6_next_hop_is_packed_as_via() -> None:
    payload = pack_route(Route(Prefix.parse("10.0.0.0/8"), 6696, next_hop=NEXT_HOP, interface=7))
    found = attributes(memoryview(payload)[12:])
    assert bytes(found[18]) == struct.pack("=H", 10) + NEXT_HOP
    assert 5 not in found


def test_a_source_prefix_survives_the_way_through_the_kernels_octets() -> None:
    route = Route(Prefix.parse("::/0 from 2001:db8:a::/48"), 6696, next_hop=NEXT_HOP, interface=7)
    assert read_route(Message(24, 0, 1, pack_route(route))) == route


def test_cloned_routes_are_not_ours_to_read() -> None:
    payload = bytearray(pack_route(Route(Prefix.parse("::/0"), 6696, next_hop=NEXT_HOP, interface=7)))
    payload[9] |= 2  # RTM_F_CLONED
    assert read_route(Message(24, 0, 1, bytes(payload))) is None


def test_several_messages_of_one_datagram_are_all_read() -> None:
    data = pack_message(24, 0, 1, b"abcd") + pack_message(25, 0, 2, b"efgh")
    assert [(m.type, m.sequence, bytes(m.payload)) for m in messages(data)] == [
        (24, 1, b"abcd"),
        (25, 2, b"efgh"),
    ]


def test_an_error_carries_the_kernels_words() -> None:
    words = pack_attribute(1, b"Nexthop has invalid gateway\0")
    payload = struct.pack("=i", -22) + bytes(16) + words
    message = Message(NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS, 1, bytes(payload))
    assert read_error(message) == Refusal(22, "Nexthop has invalid gateway")


def test_an_acknowledgement_is_no_error() -> None:
    message = Message(NLMSG_ERROR, NLM_F_CAPPED, 1, memoryview(bytes(20)))
    assert read_error(message) == Refusal(0)


def test_any_octets_read_as_messages_or_nothing() -> None:
    rng = random.Random(7)
    for _ in range(2000):
        data = rng.randbytes(rng.randrange(200))
        for message in messages(data):
            assert len(message.payload) <= len(data)
            attributes(message.payload)


def test_scope_is_link_only_for_a_route_without_next_hop() -> None:
    direct = RTMSG.unpack_from(pack_route(Route(Prefix.parse("10.0.0.0/8"), 6696, interface=7)))
    through = RTMSG.unpack_from(pack_route(Route(Prefix.parse("10.0.0.0/8"), 6696, next_hop=NEXT_HOP)))
    assert (direct[6], through[6]) == (253, 0)


def test_sequence_numbers_begin_anew_before_they_outgrow_their_field() -> None:
    requests = netlink.RequestSocket()
    requests._sequence = (1 << 32) - 3
    nobody = struct.pack("=BxHiII", 0, 0, (1 << 31) - 1, 0, 0)
    try:
        for _ in range(4):
            # A link that is not there: asked for alone, in a batch, and not among all.
            answer = requests.ask(netlink.RTM_GETLINK, nobody)
            assert isinstance(answer, Refusal) and answer.errno == errno.ENODEV
            refusals = requests.request([(netlink.RTM_GETLINK, 0, nobody)] * 2)
            assert [refusal.errno for refusal in refusals] == [errno.ENODEV] * 2
            assert requests.dump(netlink.RTM_GETLINK, bytes(16))
    finally:
        requests.close()
    assert requests._sequence < 16


@given(
    st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=20)), max_size=6), st.binary(max_size=12)
)
def test_attributes_are_the_same_whether_their_layout_is_known_or_not(
    found: list[tuple[int, bytes]], rest: bytes
) -> None:
    tail = b"".join(pack_attribute(kind, value) for kind, value in found) + rest
    netlink._layouts.clear()
    first = attributes(tail)
    assert attributes(memoryview(tail)) == first
    # Another message of the same length must not be read by this one's layout.
    for position in range(0, len(tail), 3):
        other = bytearray(tail)
        other[position] ^= 0x0C
        known = attributes(bytes(other))
        netlink._layouts.clear()
        assert known == attributes(bytes(other))
        attributes(tail)
