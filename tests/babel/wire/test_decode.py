"""From octets to TLVs: what recorded packets say, and what malformed ones cost."""

import json
from ipaddress import ip_address
from pathlib import Path
from random import Random

import pytest

from babelwg.babel.wire.decode import Packet, decode_packet
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
VECTORS = json.loads((Path(__file__).parents[2] / "conformance" / "vectors.json").read_text())
ROUTER_ID = bytes.fromhex("020000000000000a")
SET_ROUTER_ID = "060a0000020000000000000a"


def decode(body: str, source: bytes = SOURCE, trailer: str = "") -> Packet:
    octets = bytes.fromhex(body.replace(" ", ""))
    header = b"\x2a\x02" + len(octets).to_bytes(2, "big")
    return decode_packet(header + octets + bytes.fromhex(trailer.replace(" ", "")), source)


def only(body: str, source: bytes = SOURCE) -> Tlv:
    packet = decode(body, source)
    assert packet.complaints == ()
    assert len(packet.tlvs) == 1
    return packet.tlvs[0]


def reasons(packet: Packet) -> list[str]:
    return [complaint.reason for complaint in packet.complaints]


def ip(text: str) -> bytes:
    return ip_address(text).packed


@pytest.mark.conformance("B4.1.1-1", "B4.6.5-5", "B3.4.1-2", "R5-1")
def test_a_recorded_hello_is_read() -> None:
    hello = only("040c 0000 4f68 0064 0304 476716b9")
    assert hello == Hello(0x4F68, 1.0, False, (SubTlv(3, bytes.fromhex("476716b9")),))
    assert only("0406 8000 0001 0000") == Hello(1, 0.0, unicast=True)


@pytest.mark.conformance("B4.6.6-5", "B4.6.6-6")
def test_recorded_ihus_are_read() -> None:
    ihu = only("050e 03 00 ffff 012c 646220fffea446a5")
    assert ihu == Ihu(ip("fe80::6462:20ff:fea4:46a5"), 0xFFFF, 3.0)
    stamped = only("0518 03 00 0060 012c 30d470fffef71617 0308 478cc736 478cc79b")
    assert stamped == Ihu(
        ip("fe80::30d4:70ff:fef7:1617"), 96, 3.0, (SubTlv(3, bytes.fromhex("478cc736478cc79b")),)
    )


@pytest.mark.conformance("B4.6.6-1")
def test_an_ihu_without_address_is_for_the_receiver() -> None:
    assert only("0506 00 00 0060 012c") == Ihu(None, 96, 3.0)
    assert only("0516 02 00 0060 012c 20010db8000000000000000000000001") == Ihu(ip("2001:db8::1"), 96, 3.0)
    assert only("050a 01 00 0060 012c c0000201") == Ihu(ip("192.0.2.1"), 96, 3.0)


@pytest.mark.conformance("B4.6.9-14", "B4.6.8-4", "V2.2-2", "V2.2-3", "V4.1-1")
def test_recorded_updates_are_read_with_compression() -> None:
    packet = decode(
        SET_ROUTER_ID
        + "081a 02 80 80 00 012c 9441 0000 20010db8000a00000000000000000001"
        + "0815 02 80 80 05 012c 7b9c 0000 0b00000000000000000001"
        + "080e 04 00 20 00 012c 9441 0000 c0000201"
    )
    assert packet.tlvs == (
        Update(Prefix.parse("2001:db8:a::1/128"), ROUTER_ID, 0x9441, 0, 3.0, SOURCE),
        Update(Prefix.parse("2001:db8:b::1/128"), ROUTER_ID, 0x7B9C, 0, 3.0, SOURCE),
        Update(Prefix.parse("192.0.2.1/32"), ROUTER_ID, 0x9441, 0, 3.0, SOURCE),
    )


@pytest.mark.conformance("B4.6.9-8", "B4.6.9-9", "B4.6.10-2")
def test_recorded_wildcards_are_read() -> None:
    wildcard = only("080a 00 00 00 00 ffff 9441 ffff")
    assert wildcard == Update(None, None, 0x9441, 0xFFFF, NOT_REPEATED, None)
    assert only("0902 00 00") == RouteRequest(None)


def test_every_recorded_packet_of_babeld_is_understood() -> None:
    packets = [p for kind in VECTORS["babeld_capture"].values() if isinstance(kind, list) for p in kind]
    assert len(packets) > 50
    for recorded in packets:
        packet = decode_packet(bytes.fromhex(recorded["payload"]), ip(recorded["src"]))
        assert packet.refusal is None
        # What is left out are the TLVs of the MAC extension.
        assert set(reasons(packet)) <= {"unknown-tlv"}
        assert all(t.hop_count > 0 for t in packet.tlvs if isinstance(t, SeqnoRequest))


@pytest.mark.conformance("B4.2-1", "B4.2-2")
@pytest.mark.parametrize(
    ("octets", "refusal"),
    [("", "short-header"), ("2a0200", "short-header"), ("2b020000", "wrong-magic")]
    + [("2a010000", "wrong-version"), ("2a030000", "wrong-version"), ("2a020003 0406", "truncated-body")],
)
def test_a_packet_with_a_bad_header_is_refused_whole(octets: str, refusal: str) -> None:
    assert decode_packet(bytes.fromhex(octets), SOURCE) == Packet(refusal=refusal)


@pytest.mark.conformance("B4.2-3", "B4.2-4", "B4.6.1-1")
def test_tlvs_in_the_trailer_are_ignored() -> None:
    packet = decode("0902 0000", trailer="080a 00 00 00 00 ffff 9441 ffff 00 0102 0000")
    assert packet.tlvs == (RouteRequest(None),)
    assert packet.complaints == ()


@pytest.mark.conformance("B4.6.1-1", "B4.6.2-1")
def test_padding_is_ignored_whatever_it_holds() -> None:
    assert only("00 00 0103 abcdef 0902 0000 00 0100") == RouteRequest(None)


@pytest.mark.conformance("B4.3-1")
@pytest.mark.parametrize("tlv_type", [11, 12, 13, 15, 20, 128, 224, 255])
def test_unknown_tlvs_are_skipped(tlv_type: int) -> None:
    packet = decode(f"{tlv_type:02x}03 010203 0902 0000")
    assert packet.tlvs == (RouteRequest(None),)
    assert reasons(packet) == ["unknown-tlv"]


@pytest.mark.conformance("M4.3-14", "M6.1-1")
@pytest.mark.parametrize("tlv_type", [1, 16, 17, 18, 19])
def test_tlvs_of_authentication_mean_nothing_here(tlv_type: int) -> None:
    packet = decode(f"{tlv_type:02x}03 010203 0902 0000")
    assert (packet.tlvs, packet.complaints) == ((RouteRequest(None),), ())


def test_a_packet_of_nothing_but_mistakes_is_not_read_to_its_end() -> None:
    many = decode("0400" * 30_000 + "0902 0000")
    assert (len(many.complaints), many.complaints[-1].reason, many.tlvs) == (101, "too-many-mistakes", ())


def test_what_others_say_to_each_other_is_counted_together_and_what_follows_is_read() -> None:
    many = decode("7f00" * 30_000 + "0902 0000")
    assert [(complaint.reason, complaint.count) for complaint in many.complaints] == [("unknown-tlv", 30_000)]
    assert many.tlvs == (RouteRequest(None),)
    assert decode("7f00" * 999 + "0902 0000").tlvs == (RouteRequest(None),)


def test_a_tlv_beyond_the_body_ends_the_packet_but_not_what_came_before() -> None:
    packet = decode("0902 0000 0407 0000 0001 0064")
    assert packet.tlvs == (RouteRequest(None),)
    assert reasons(packet) == ["tlv-overruns-body"]
    assert reasons(decode("0902 0000 04")) == ["tlv-overruns-body"]


EVERY_KIND = {
    "acknowledgment-request": "02{:02x} 0000 1234 0064",
    "acknowledgment": "03{:02x} 1234",
    "hello": "04{:02x} 0000 0001 0064",
    "ihu": "05{:02x} 00 00 0060 012c",
    "update": "08{:02x} 02 00 20 00 012c 0001 ffff 20010db8",
    "route-request": "09{:02x} 02 20 20010db8",
    "seqno-request": "0a{:02x} 02 20 0001 40 00 020000000000000a 20010db8",
}


def with_sub_tlvs(template: str, sub_tlvs: str) -> str:
    body = template.format(0).replace(" ", "")[4:] + sub_tlvs.replace(" ", "")
    return template.replace(" ", "")[:2] + f"{len(body) // 2:02x}" + body


@pytest.mark.conformance("B4.4-1", "B4.7-1")
@pytest.mark.parametrize("template", EVERY_KIND.values(), ids=EVERY_KIND)
def test_padding_and_unknown_optional_sub_tlvs_do_not_matter(template: str) -> None:
    tlv = only(with_sub_tlvs(template, "00 0102 0000 7e01 ff 0304 00000001 00"))
    assert tlv.sub_tlvs == (SubTlv(126, b"\xff"), SubTlv(3, b"\0\0\0\1"))


@pytest.mark.conformance("B4.4-2")
@pytest.mark.parametrize("template", EVERY_KIND.values(), ids=EVERY_KIND)
def test_an_unknown_mandatory_sub_tlv_condemns_its_tlv(template: str) -> None:
    packet = decode(with_sub_tlvs(template, "fe00") + "0902 0000")
    assert packet.tlvs == (RouteRequest(None),)
    assert reasons(packet) == ["mandatory-sub-tlv"]


@pytest.mark.parametrize("template", EVERY_KIND.values(), ids=EVERY_KIND)
@pytest.mark.parametrize("rest", ["7e", "7e02 00"])
def test_a_truncated_sub_tlv_condemns_its_tlv(template: str, rest: str) -> None:
    packet = decode(with_sub_tlvs(template, rest) + "0902 0000")
    assert packet.tlvs == (RouteRequest(None),)
    assert reasons(packet) == ["truncated-sub-tlv"]


@pytest.mark.parametrize("template", EVERY_KIND.values(), ids=EVERY_KIND)
def test_a_tlv_shorter_than_its_fixed_body_is_ignored(template: str) -> None:
    octets = template.format(1).replace(" ", "")[:6]
    packet = decode(octets + "0902 0000")
    assert packet.tlvs == (RouteRequest(None),)
    assert reasons(packet) == ["short-tlv"]


@pytest.mark.conformance("B4.5-1")
def test_an_update_sets_defaults_also_when_it_is_ignored() -> None:
    packet = decode(
        "081c 02 c0 80 00 012c 0001 0060 20010db800090000 0000000000000007 fe00"
        "080c 02 00 40 06 012c 0001 0060 0001"
    )
    assert reasons(packet) == ["mandatory-sub-tlv"]
    router_id = bytes.fromhex("0000000000000007")
    assert packet.tlvs == (Update(Prefix.parse("2001:db8:9:1::/64"), router_id, 1, 96, 3.0, SOURCE),)


@pytest.mark.conformance("B4.5-1", "B4.6.7-2")
def test_router_id_and_next_hop_hold_also_when_their_tlvs_are_ignored() -> None:
    packet = decode(
        "060c ffff 020000000000000a fe000708 01 ff c0000201 fe00080d 01 00 18 00 012c 0001 0060 0a0000"
    )
    assert reasons(packet) == ["mandatory-sub-tlv", "mandatory-sub-tlv"]
    assert packet.tlvs == (Update(Prefix.parse("10.0.0.0/24"), ROUTER_ID, 1, 96, 3.0, ip("192.0.2.1")),)


@pytest.mark.conformance("B4.5-2", "B4.6.9-4")
def test_parser_state_does_not_outlive_its_packet() -> None:
    packet = decode(SET_ROUTER_ID + "080c 02 80 30 04 012c 0001 0060 0001")
    assert packet.tlvs == ()
    assert reasons(packet) == ["bad-omitted"]


@pytest.mark.conformance("V4.1-2")
def test_v4_via_v6_has_its_own_default_prefix() -> None:
    packet = decode(
        SET_ROUTER_ID + "0706 01 00 c0000202" + "080e 01 80 20 00 012c 0001 0060 c0000201"
        "080b 04 00 20 03 012c 0001 0060 09"
    )
    assert len(packet.tlvs) == 1
    assert reasons(packet) == ["bad-omitted"]


def test_a_broken_update_takes_its_default_prefix_and_router_id_along() -> None:
    good = "0812 02 80 40 00 012c 0001 0060 20010db800090000"
    broken = "080a 02 c0 40 00 012c 0001 0060"
    packet = decode(SET_ROUTER_ID + good + broken + "080c 02 00 40 06 012c 0001 0060 0001")
    assert len(packet.tlvs) == 1
    assert reasons(packet) == ["short-prefix", "bad-omitted"]
    packet = decode(SET_ROUTER_ID + broken + good)
    assert reasons(packet) == ["short-prefix", "no-router-id"]


@pytest.mark.conformance("B4.6.9-13")
def test_the_router_id_flag_takes_it_from_the_address() -> None:
    packet = decode(
        "081a 02 40 80 00 012c 0001 0000 20010db8000a0000 0000000000000001"
        "0812 02 00 40 00 012c 0001 0000 20010db800090000"
        "0706 01 00 c0000202 080e 01 40 20 00 012c 0001 0000 c0000201"
    )
    assert [t.router_id.hex() for t in packet.tlvs if isinstance(t, Update) and t.router_id] == [
        "0000000000000001",
        "0000000000000001",
        "00000000c0000201",
    ]


@pytest.mark.conformance("B4.6.9-5")
def test_bits_beyond_the_prefix_length_are_cleared() -> None:
    packet = decode(
        SET_ROUTER_ID + "080d 02 80 14 00 012c 0001 0060 2001ff" + "080a 02 00 14 03 012c 0002 0060"
    )
    prefixes = [t.prefix for t in packet.tlvs if isinstance(t, Update)]
    assert prefixes == [Prefix.parse("2001:f000::/20")] * 2


@pytest.mark.conformance("B4.6.9-6")
def test_a_finite_update_without_router_id_is_ignored() -> None:
    assert reasons(decode("0812 02 80 40 00 012c 0001 0060 20010db800090000")) == ["no-router-id"]


@pytest.mark.conformance("B4.6.9-7", "V2.2-1")
def test_a_finite_update_without_next_hop_of_its_family_is_ignored() -> None:
    assert reasons(decode(SET_ROUTER_ID + "080e 01 00 20 00 012c 0001 0060 c0000201")) == ["no-next-hop"]
    over_ipv4 = decode(SET_ROUTER_ID + "080e 04 00 20 00 012c 0001 0060 c0000201", ip("192.0.2.9"))
    assert reasons(over_ipv4) == ["no-next-hop"]


@pytest.mark.conformance("B4.6.9-8", "V2.2-4", "V2.1-3")
def test_a_retraction_needs_neither_router_id_nor_next_hop() -> None:
    for encoding in ("01", "04"):
        tlv = only(f"080e {encoding} 00 20 00 012c 0001 ffff c0000201")
        assert tlv == Update(Prefix.parse("192.0.2.1/32"), None, 1, 0xFFFF, 3.0, None)


@pytest.mark.conformance("B4.6.8-1", "B4.6.8-3", "V2.4-1", "V4.2-1", "B4.6.8-2")
def test_next_hops_of_other_encodings_leave_the_state_alone() -> None:
    update = "0812 02 80 40 00 012c 0001 0060 20010db800090000"
    for encoding in ("00", "04", "c8"):
        packet = decode(SET_ROUTER_ID + f"0706 {encoding} 00 c0000201" + update)
        assert [t.next_hop for t in packet.tlvs if isinstance(t, Update)] == [SOURCE]
        assert reasons(packet) == ["unknown-ae"]
    packet = decode(SET_ROUTER_ID + "070a 03 ff 00000000000000ff" + update)
    assert [t.next_hop for t in packet.tlvs if isinstance(t, Update)] == [ip("fe80::ff")]


def test_a_cut_off_next_hop_is_forgotten() -> None:
    packet = decode(SET_ROUTER_ID + "0704 03 00 0001 0812 02 80 40 00 012c 0001 0060 20010db800090000")
    assert reasons(packet) == ["short-tlv", "no-next-hop"]


@pytest.mark.conformance("B4.6.6-4", "V4.2-1", "B4.6.9-12")
@pytest.mark.parametrize(
    "body",
    ["050a 04 00 0060 012c c0000201", "050a c8 00 0060 012c c0000201", "050a ff 00 0060 012c c0000201"]
    + ["080e c8 00 20 00 012c 0001 ffff c0000201", "080e ff 00 20 00 012c 0001 ffff c0000201"]
    + ["0906 c8 20 c0000201", "0a12 c8 20 0001 40 00 020000000000000a c0000201"],
)
def test_unknown_address_encodings_are_ignored(body: str) -> None:
    packet = decode(body + "0902 0000")
    assert packet.tlvs == (RouteRequest(None),)
    assert reasons(packet) == ["unknown-ae"]


REFUSED = [
    ("0206 0000 1234 0000", "zero-interval", "B4.6.3-2"),
    ("0506 00 00 0060 0000", "zero-interval", "B4.6.6-3"),
    ("080e 01 00 20 00 0000 0001 ffff c0000201", "zero-interval", "B4.6.9-2"),
    ("080a 00 00 00 00 012c 0001 0060", "finite-wildcard", "B4.6.9-10"),
    ("080a 00 00 08 00 012c 0001 ffff", "wildcard-plen", "B4.6.9-11"),
    ("080a 00 00 00 01 012c 0001 ffff", "wildcard-plen", "B4.6.9-11"),
    ("0812 03 00 80 08 012c 0001 ffff 0000000000000001", "bad-omitted", "B4.6.9-1"),
    ("080f 01 00 21 00 012c 0001 ffff c000020100", "bad-plen", "B4.6.9-12"),
    ("081b 02 00 81 00 012c 0001 ffff 20010db8000a0000000000000000000100", "bad-plen", "B4.6.9-12"),
    ("0902 00 08", "wildcard-plen", "B4.6.10-1"),
    ("0a0e 00 00 0001 40 00 020000000000000a", "wildcard-seqno-request", "B4.6.11-1"),
    ("0a12 02 20 0001 00 00 020000000000000a 20010db8", "zero-hop-count", "B4.6.11-2"),
    ("0a12 02 20 0001 40 00 0000000000000000 20010db8", "unusable-router-id", "B4.6.11-4"),
    ("0a12 02 20 0001 40 00 ffffffffffffffff 20010db8", "unusable-router-id", "B4.6.11-4"),
    ("060a 0000 0000000000000000", "unusable-router-id", "B4.6.7-1"),
    ("060a 0000 ffffffffffffffff", "unusable-router-id", "B4.1.3-1"),
]


@pytest.mark.conformance(*dict.fromkeys(row[2] for row in REFUSED))
@pytest.mark.parametrize(("body", "reason"), [row[:2] for row in REFUSED])
def test_what_must_not_be_sent_is_ignored(body: str, reason: str) -> None:
    packet = decode(body + "0902 0000")
    assert packet.tlvs == (RouteRequest(None),)
    assert reasons(packet) == [reason]


@pytest.mark.conformance("B4.6.3-1", "B4.6.5-1", "B4.6.6-2", "B4.6.9-3", "B4.6.11-3")
def test_reserved_fields_and_unknown_flags_are_ignored() -> None:
    assert only("0206 ffff 1234 0064") == AcknowledgmentRequest(0x1234, 1.0)
    assert only("0302 1234") == Acknowledgment(0x1234)
    assert only("0406 7fff 0001 0064") == Hello(1, 1.0)
    assert only("0506 00 ff 0060 012c") == Ihu(None, 96, 3.0)
    assert only("080e 01 3f 20 00 012c 0001 ffff c0000201").prefix == Prefix.parse("192.0.2.1/32")
    request = only("0a12 02 20 0001 40 ff 020000000000000a 20010db8")
    assert request == SeqnoRequest(Prefix.parse("2001:db8::/32"), ROUTER_ID, 1, 64)


@pytest.mark.conformance("V2.3-2", "V4.2.2-1")
def test_requests_with_ae_4_are_those_with_ae_1() -> None:
    assert only("0906 04 20 c0000201") == only("0906 01 20 c0000201")
    seqno_request = "0a12 {} 20 0001 40 00 020000000000000a c0000201"
    assert only(seqno_request.format("04")) == only(seqno_request.format("01"))


@pytest.mark.conformance("B6-3")
def test_any_octets_give_tlvs_and_complaints_and_nothing_else() -> None:
    rng = Random(8966)
    seeds = [
        p["payload"] for kind in VECTORS["babeld_capture"].values() if isinstance(kind, list) for p in kind
    ]
    for _ in range(6000):
        octets = (
            bytearray(bytes.fromhex(rng.choice(seeds)))
            if rng.random() < 0.6
            else bytearray(rng.randbytes(60))
        )
        for _ in range(rng.randrange(6)):
            octets[rng.randrange(len(octets))] = rng.choice((0, 1, 4, 127, 128, 255, rng.randrange(256)))
        if rng.random() < 0.7:
            octets[:4] = b"\x2a\x02" + (len(octets) - 4).to_bytes(2, "big")
        packet = decode_packet(bytes(octets), SOURCE)
        assert packet.refusal is None or packet == Packet(refusal=packet.refusal)
        for tlv in packet.tlvs:
            check_encodable(tlv)


def check_encodable(tlv: Tlv) -> None:
    """What was read can be written, and read again as the same."""
    writer = PacketWriter(65000, SOURCE)
    assert writer.add(tlv)
    again = decode_packet(writer.packet(), SOURCE)
    assert again.complaints == ()
    assert again.tlvs == (tlv,)
