"""Source prefixes in octets (RFC 9079, sections 5 to 7): what is read, what is written, what is ignored."""

from ipaddress import ip_address

import pytest

from babelwg.babel.wire.decode import Packet, decode_packet
from babelwg.babel.wire.encode import PacketWriter
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import RouteRequest, SeqnoRequest, SubTlv, Tlv, Update

SOURCE = ip_address("fe80::a").packed
ROUTER_ID = bytes.fromhex("020000000000000a")
SET_ROUTER_ID = "060a0000020000000000000a"
# Each kind of TLV that may have a source prefix, for 2001:db8::/32; the length octet is filled in.
KINDS = {
    "update": "08 02 00 20 00 012c 0001 ffff 20010db8",
    "route-request": "09 02 20 20010db8",
    "seqno-request": "0a 02 20 0001 40 00 020000000000000a 20010db8",
}
OTHERS = {
    "acknowledgment-request": "02 0000 1234 0064",
    "acknowledgment": "03 1234",
    "hello": "04 0000 0001 0064",
    "ihu": "05 00 00 0060 012c",
    "router-id": "06 0000 020000000000000a",
    "next-hop": "07 03 00 0000000000000001",
}


def decode(body: str) -> Packet:
    octets = bytes.fromhex(body.replace(" ", ""))
    return decode_packet(b"\x2a\x02" + len(octets).to_bytes(2, "big") + octets, SOURCE)


def with_sub_tlvs(template: str, sub_tlvs: str) -> str:
    body = (template + sub_tlvs).replace(" ", "")
    return f"{body[:2]}{len(body) // 2 - 1:02x}{body[2:]}"


def octets(*tlvs: Tlv) -> str:
    writer = PacketWriter(1372, SOURCE)
    for tlv in tlvs:
        assert writer.add(tlv)
    return writer.packet()[4:].hex()


@pytest.mark.conformance("SS5-2", "SS3-1")
@pytest.mark.parametrize("template", KINDS.values(), ids=KINDS)
def test_a_tlv_without_source_prefix_is_for_packets_from_everywhere(template: str) -> None:
    (tlv,) = decode(with_sub_tlvs(template, "")).tlvs
    assert tlv.prefix == Prefix.parse("2001:db8::/32")
    assert (tlv.prefix.source_plen, tlv.prefix.source) == (0, None)


@pytest.mark.conformance("SS5.1-1", "SS3.1-1", "SS3.2-1", "SS3.3-1")
@pytest.mark.parametrize("template", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(
    ("sub_tlv", "source"),
    [("8007 30 20010db8000b", "2001:db8:b::/48"), ("8002 03 3f", "2000::/3"), ("8003 09 2040", "2000::/9")]
    + [("8011 80 20010db8000000000000000000000001", "2001:db8::1/128")],
)
def test_a_source_prefix_is_read_and_what_is_beyond_its_length_is_cleared(
    template: str, sub_tlv: str, source: str
) -> None:
    (tlv,) = decode(with_sub_tlvs(template, sub_tlv)).tlvs
    assert tlv.prefix == Prefix.parse("2001:db8::/32").with_source(Prefix.parse(source))
    assert tlv.sub_tlvs == ()


@pytest.mark.conformance("SS7.2-1")
def test_the_recorded_update_of_babeld_is_read_and_written_alike() -> None:
    recorded = "0813020000 00 012c 7b9c 0080 8007 30 20010db8000b".replace(" ", "")
    packet = decode(SET_ROUTER_ID + recorded)
    update = Update(Prefix.parse("::/0 from 2001:db8:b::/48"), ROUTER_ID, 0x7B9C, 128, 3.0, SOURCE)
    assert packet == Packet((update,))
    assert octets(update) == SET_ROUTER_ID + recorded


@pytest.mark.parametrize("encoding", ["01", "04"])
def test_the_source_prefix_of_an_ipv4_route_is_written_as_ipv4(encoding: str) -> None:
    body = f"08 {encoding} 00 08 00 012c 0001 ffff 0a"
    (update,) = decode(with_sub_tlvs(body, "8004 18 c00002")).tlvs
    assert update.prefix == Prefix.parse("10.0.0.0/8 from 192.0.2.0/24")
    assert octets(update).endswith("80041" + "8c00002")


def test_ipv4_over_ipv6_keeps_its_source_prefix() -> None:
    update = Update(Prefix.parse("0.0.0.0/0 from 192.0.2.0/25"), ROUTER_ID, 1, 5, 3.0, SOURCE)
    assert octets(update)[24:] == "081104000000012c00010005" + "800519c0000200"
    assert decode(octets(update)).tlvs == (update,)


@pytest.mark.conformance("SS5-1")
def test_no_source_prefix_of_length_zero_is_ever_written() -> None:
    everywhere = Prefix.parse("2001:db8::/32 from ::/0")
    tlvs = (RouteRequest(everywhere), SeqnoRequest(everywhere, ROUTER_ID, 1, 64))
    update = Update(everywhere, ROUTER_ID, 1, 0, 3.0, SOURCE)
    assert octets(*tlvs, update) == octets(
        RouteRequest(everywhere.destination),
        SeqnoRequest(everywhere.destination, ROUTER_ID, 1, 64),
        Update(everywhere.destination, ROUTER_ID, 1, 0, 3.0, SOURCE),
    )
    assert "8001" not in octets(*tlvs, update)


@pytest.mark.conformance("SS7.1-3")
@pytest.mark.parametrize("template", KINDS.values(), ids=KINDS)
def test_octets_after_a_source_prefix_are_ignored(template: str) -> None:
    packet = decode(with_sub_tlvs(template, "8008 10 2001 ffffffffff 7e01 05"))
    (tlv,) = packet.tlvs
    assert tlv.prefix == Prefix.parse("2001:db8::/32 from 2001::/16")
    assert tlv.sub_tlvs == (SubTlv(126, b"\5"),)


@pytest.mark.conformance("SS7-1", "SS7.1-1", "SS7.1-2", "SS7.1-5")
@pytest.mark.parametrize("template", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(
    ("sub_tlvs", "reason"),
    [
        ("8003 10 2001 8003 10 2001", "repeated-source-prefix"),
        ("8003 10 2001 7e00 8003 10 2002", "repeated-source-prefix"),
        ("8001 00", "source-bad-plen"),
        ("8003 00 2001", "source-bad-plen"),
        ("8000", "source-bad-plen"),
        ("8002 10 20", "source-short-prefix"),
        ("8001 01", "source-short-prefix"),
        ("8012 81 20010db800000000000000000000000180", "source-bad-plen"),
        ("8003 10 20", "truncated-sub-tlv"),
        ("8003 10 2001 8100", "mandatory-sub-tlv"),
    ],
)
def test_a_malformed_source_prefix_condemns_its_tlv(template: str, sub_tlvs: str, reason: str) -> None:
    packet = decode(with_sub_tlvs(template, sub_tlvs) + "0902 0000")
    assert packet.tlvs == (RouteRequest(None),)
    assert [complaint.reason for complaint in packet.complaints] == [reason]


@pytest.mark.parametrize("encoding", ["01", "04"])
def test_the_source_prefix_of_an_ipv4_route_has_at_most_32_bits(encoding: str) -> None:
    packet = decode(with_sub_tlvs(f"08 {encoding} 00 08 00 012c 0001 ffff 0a", "8006 21 c000020100"))
    assert [complaint.reason for complaint in packet.complaints] == ["source-bad-plen"]


@pytest.mark.conformance("SS5.2-2", "SS5.2-4", "SS7.1-4")
@pytest.mark.parametrize("template", ["08 00 00 00 00 012c 0001 ffff", "09 00 00"])
def test_a_wildcard_with_a_source_prefix_is_ignored(template: str) -> None:
    packet = decode(with_sub_tlvs(template, "8003 10 2001"))
    assert packet.tlvs == ()
    assert [complaint.reason for complaint in packet.complaints] == ["wildcard-source-prefix"]


@pytest.mark.parametrize("template", OTHERS.values(), ids=OTHERS)
def test_a_source_prefix_in_another_tlv_is_an_unknown_mandatory_one(template: str) -> None:
    packet = decode(with_sub_tlvs(template, "8003 10 2001"))
    assert packet.tlvs == ()
    assert [complaint.reason for complaint in packet.complaints] == ["mandatory-sub-tlv"]


@pytest.mark.conformance("SS7.1-1", "SS7.2-1")
def test_an_update_with_a_malformed_source_prefix_sets_defaults_all_the_same() -> None:
    ignored = with_sub_tlvs("08 02 c0 80 00 012c 0001 0060 20010db800090000 0000000000000007", "8001 00")
    packet = decode(ignored + "080c 02 00 40 06 012c 0001 0060 0001")
    router_id = bytes.fromhex("0000000000000007")
    assert packet.tlvs == (Update(Prefix.parse("2001:db8:9:1::/64"), router_id, 1, 96, 3.0, SOURCE),)
    assert [complaint.reason for complaint in packet.complaints] == ["source-bad-plen"]


@pytest.mark.conformance("SS7.2-1")
def test_destinations_are_compressed_and_sources_never() -> None:
    updates = [
        Update(Prefix.parse(text), ROUTER_ID, 1, 0, 3.0, SOURCE)
        for text in ("2001:db8:1::/48 from 2001:db8:9::/48", "2001:db8:2::/48 from 2001:db8:9::/48")
    ]
    found = octets(*updates)
    assert found.count("8007302001" + "0db80009") == 2
    assert found.count("20010db80001") == 1
    assert "20010db80002" not in found
    assert decode(found).tlvs == tuple(updates)
