"""From TLVs to octets: as recorded, as small as possible, never too long."""

from ipaddress import ip_address

import pytest

from babelwg.babel.wire.decode import decode_packet
from babelwg.babel.wire.encode import PacketWriter
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import (
    NOT_REPEATED,
    Acknowledgment,
    AcknowledgmentRequest,
    Hello,
    Ihu,
    RouteRequest,
    SeqnoRequest,
    SubTlv,
    Tlv,
    Update,
)

SOURCE = ip_address("fe80::a").packed
ROUTER_ID = bytes.fromhex("020000000000000a")


def octets(*tlvs: Tlv) -> str:
    writer = PacketWriter(1372, SOURCE)
    for tlv in tlvs:
        assert writer.add(tlv)
    packet = writer.packet()
    assert packet[:4] == b"\x2a\x02" + (len(packet) - 4).to_bytes(2, "big")
    return packet[4:].hex()


def announce(prefix: str, metric: int = 0, seqno: int = 0x9441, next_hop: bytes = SOURCE) -> Update:
    return Update(Prefix.parse(prefix), ROUTER_ID, seqno, metric, 3.0, next_hop)


@pytest.mark.conformance("B4.1.1-1", "B4.6.4-1")
@pytest.mark.parametrize(
    ("tlv", "expected"),
    [
        (Hello(0x4F68, 1.0, False, (SubTlv(3, bytes.fromhex("476716b9")),)), "040c00004f6800640304476716b9"),
        (Hello(1, 0.0, unicast=True), "0406800000010000"),
        (
            Ihu(ip_address("fe80::6462:20ff:fea4:46a5").packed, 0xFFFF, 3.0),
            "050e0300ffff012c646220fffea446a5",
        ),
        (Ihu(None, 96, 3.0), "050600000060012c"),
        (AcknowledgmentRequest(0x1234, 0.2), "0206000012340014"),
        (Acknowledgment(0x1234), "03021234"),
        (RouteRequest(None), "09020000"),
        (RouteRequest(Prefix.parse("2001:db8::/30")), "0906021e20010db8"),
        (Update(None, None, 0x9441, 0xFFFF, NOT_REPEATED, None), "080a00000000ffff9441ffff"),
    ],
)
def test_tlvs_are_written_as_recorded(tlv: Tlv, expected: str) -> None:
    assert octets(tlv) == expected


@pytest.mark.conformance("B4.6.9-14", "B4.6.8-4")
def test_updates_share_router_id_and_leading_octets() -> None:
    found = octets(announce("2001:db8:a::1/128"), announce("2001:db8:b::1/128"), announce("2001:db8::/32"))
    assert found == (
        "060a0000020000000000000a"
        "081a02808000012c94410000"
        "20010db8000a00000000000000000001"
        "081502808005012c94410000"
        "0b00000000000000000001"
        "080a02802004012c94410000"
    )


@pytest.mark.conformance("V2.2-3", "V2.4-1", "V4-1")
def test_ipv4_with_an_ipv6_next_hop_is_ae_4_and_needs_no_next_hop_tlv() -> None:
    assert octets(announce("192.0.2.1/32"))[24:] == "080e04002000012c94410000c0000201"


@pytest.mark.conformance("B4.6.8-1")
def test_ipv4_with_an_ipv4_next_hop_is_ae_1_after_a_next_hop_tlv() -> None:
    next_hop = bytes([192, 0, 2, 9])
    found = octets(announce("192.0.2.1/32", next_hop=next_hop), announce("192.0.2.2/32", next_hop=next_hop))
    assert found[24:] == "07060100c0000209080e01802000012c94410000c0000201080b01802003012c9441000002"


@pytest.mark.conformance("V2.3-1")
def test_requests_for_ipv4_use_ae_1() -> None:
    assert octets(RouteRequest(Prefix.parse("192.0.2.0/24"))) == "09050118c00002"
    request = SeqnoRequest(Prefix.parse("192.0.2.0/24"), ROUTER_ID, 7, 64)
    assert octets(request) == "0a11011800074000020000000000000ac00002"


@pytest.mark.conformance("B4.6.3-2", "B4.6.6-3", "B4.6.9-2")
def test_no_interval_of_zero_is_written_even_for_tiny_ones() -> None:
    assert octets(AcknowledgmentRequest(1, 0.001)).endswith("0001")
    assert octets(Ihu(None, 96, 0.0)).endswith("0001")
    assert octets(Update(None, None, 1, 0xFFFF, 0.0, None))[12:16] == "0001"
    assert octets(Ihu(None, 96, 10_000.0)).endswith("ffff")


@pytest.mark.conformance("B4.1.3-1", "B4.6.7-1", "B4.6.11-2", "B4.6.11-4")
def test_unusable_router_ids_and_hop_counts_are_our_own_mistake() -> None:
    for router_id in (bytes(8), b"\xff" * 8):
        with pytest.raises(AssertionError):
            octets(Update(Prefix.parse("::/0"), router_id, 1, 0, 3.0, SOURCE))
        with pytest.raises(AssertionError):
            octets(SeqnoRequest(Prefix.parse("::/0"), router_id, 1, 64))
    with pytest.raises(AssertionError):
        octets(SeqnoRequest(Prefix.parse("::/0"), ROUTER_ID, 1, 0))


@pytest.mark.conformance("B4-6")
@pytest.mark.parametrize("capacity", [512, 1232, 1372])
def test_a_packet_never_exceeds_its_capacity_and_refuses_what_does_not_fit(capacity: int) -> None:
    writer = PacketWriter(capacity, SOURCE)
    count = 0
    while writer.add(announce(f"2001:db8:{count:x}::/48")):
        count += 1
    assert capacity - 30 < len(writer.packet()) == writer.size <= capacity
    # What did not fit has left no trace: the packet says what was added, and no more.
    packet = decode_packet(writer.packet(), SOURCE)
    assert packet.complaints == ()
    assert [t.prefix for t in packet.tlvs if isinstance(t, Update)] == [
        Prefix.parse(f"2001:db8:{number:x}::/48") for number in range(count)
    ]


def test_octets_kept_free_stay_free() -> None:
    writer = PacketWriter(512, SOURCE)
    while writer.add(announce(f"2001:db8:{writer.size:x}::/48"), spare=8):
        pass
    assert writer.size <= 504
    assert writer.add(AcknowledgmentRequest(1, 0.2))
