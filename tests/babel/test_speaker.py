"""What a speaker refuses, survives and reports; how it recovers; what it costs."""

from random import Random

import pytest

from babelwg.babel.datagram import Datagram
from babelwg.babel.events import RouteRetracted, RouteSelected
from babelwg.babel.memory import Memory, SourceRecord
from babelwg.babel.parameters import GROUP, PORT, InterfaceParameters, Parameters
from babelwg.babel.speaker import Speaker
from babelwg.babel.wire.encode import PacketWriter
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import (
    INFINITY,
    Acknowledgment,
    AcknowledgmentRequest,
    Hello,
    RouteRequest,
    SeqnoRequest,
    Update,
)
from tests.babel.bench import (
    ORIGIN,
    OUR_ADDRESS,
    OUR_ID,
    V4,
    Bench,
    P,
    Q,
    neighbour_address,
    retraction,
    tlvs_of,
    update,
)
from tests.calls import calls

HELLO = bytes.fromhex("2a020008 0406 0000 0001 0190")


def bench() -> Bench:
    found = Bench()
    found.interface()
    return found


@pytest.mark.conformance("B4-3")
@pytest.mark.parametrize(
    ("source", "port", "interface", "reason"),
    [
        (bytes.fromhex("20010db8") + bytes(12), PORT, "tun", "not-link-local"),
        (bytes([192, 0, 2, 1]), PORT, "tun", "not-link-local"),
        (neighbour_address(1), PORT + 1, "tun", "wrong-port"),
        (neighbour_address(1), PORT, "eth9", "interface-not-enabled"),
        (OUR_ADDRESS, PORT, "tun", "own-address"),
    ],
)
def test_a_packet_from_elsewhere_is_dropped_and_counted(
    source: bytes, port: int, interface: str, reason: str
) -> None:
    found = bench()
    datagram = Datagram(HELLO, (source, port), (GROUP, PORT), interface, found.now)
    found.speaker.receive_datagram(datagram, found.now)
    assert found.snapshot().neighbours == ()
    assert found.speaker.counters[f"packet_dropped.{reason}"] == 1
    assert found.events() == ["packet-dropped"]
    assert found.sent() == []


@pytest.mark.conformance("B4.2-1", "B4.2-2", "B6-3")
@pytest.mark.parametrize("octets", ["", "2b02", "2b020000", "2a010000", "2a0200ff0406"])
def test_a_packet_with_a_bad_header_is_dropped_and_counted(octets: str) -> None:
    found = bench()
    found.receive_octets(bytes.fromhex(octets))
    assert found.events() == ["packet-dropped"]
    assert sum(v for k, v in found.speaker.counters.items() if k.startswith("packet_dropped.")) == 1


@pytest.mark.conformance("B6-3")
def test_a_bad_tlv_is_reported_and_the_good_ones_count() -> None:
    found = bench()
    body = bytes.fromhex("0402 00000406 0000 0001 01907701 00")
    found.receive_octets(b"\x2a\x02" + len(body).to_bytes(2, "big") + body)
    assert len(found.snapshot().neighbours) == 1
    assert found.events() == ["neighbour-acquired", "tlv-dropped"]
    # Other speakers may know more TLVs than we do; that is counted, but no news.
    assert found.speaker.counters["tlv_dropped.short-tlv"] == 1
    assert found.speaker.counters["tlv_dropped.unknown-tlv"] == 1


@pytest.mark.conformance("B4-7")
def test_a_packet_of_the_largest_size_is_received() -> None:
    found = bench()
    found.meet()
    prefixes = [
        Prefix(6, bytes([32, 1, 13, 184, *number.to_bytes(2, "big")]) + bytes(10), 48)
        for number in range(4000)
    ]
    found.receive([update(prefix) for prefix in prefixes])
    assert len(found.snapshot().routes) == 4000


def test_a_flood_of_refusals_is_counted_but_not_reported_without_end() -> None:
    found = bench()
    for _ in range(5000):
        found.receive_octets(b"junk")
    assert len(found.speaker.events()) == Parameters().max_undrained_notices
    assert found.speaker.counters["packet_dropped.wrong-magic"] == 5000
    assert found.speaker.counters["events_suppressed"] == 5000 - Parameters().max_undrained_notices


def test_no_flood_suppresses_what_the_kernel_has_to_hear() -> None:
    found = bench()
    found.meet()
    for _ in range(1000):
        found.receive_octets(b"junk")
    found.receive([update()])
    found.receive([retraction()])
    kinds = [type(event) for event in found.speaker.events()]
    assert kinds[-3:-1] == [RouteSelected, RouteRetracted] or kinds[-2:] == [RouteSelected, RouteRetracted]


@pytest.mark.conformance("B6-3")
@pytest.mark.parametrize("seed", range(4))
def test_any_octets_give_counted_refusals_and_nothing_else(seed: int) -> None:
    rng = Random(seed)
    found = bench()
    found.speaker.announce(Q, 0, found.now)
    found.meet()
    corpus = [packet_of(rng) for _ in range(60)]
    for _ in range(1500):
        octets = bytearray(rng.choice(corpus) if rng.random() < 0.8 else rng.randbytes(rng.randrange(1, 80)))
        for _ in range(rng.choice((0, 0, 1, 2, 8))):
            octets[rng.randrange(len(octets))] = rng.randrange(256)
        if rng.random() < 0.8:
            octets[:4] = b"\x2a\x02" + max(0, len(octets) - 4).to_bytes(2, "big")
        found.receive_octets(bytes(octets), rng.randrange(3))
        if rng.random() < 0.1:
            found.wait(rng.choice((0.01, 0.5, 5.0)))
            found.events()
            found.snapshot()
    assert all(isinstance(v, int) and v >= 0 for v in found.speaker.counters.values())
    assert len(found.speaker.counters) < 60
    assert len(found.snapshot().neighbours) <= 3
    # After all that it still works.
    found.wait(3000)
    found.events()
    found.meet(9, hellos=16)
    found.receive([update(V4, metric=5, seqno=1, number=9, router_id=bytes([9] * 8))], 9)
    assert found.selected(V4) == neighbour_address(9)


def packet_of(rng: Random) -> bytes:
    """Return a packet that makes sense."""
    prefix = rng.choice((P, Q, V4, P.with_source(Q), V4.with_source(V4), None))
    some = prefix or P
    writer = PacketWriter(1400, neighbour_address(1))
    tlvs = [
        Hello(
            rng.choice((0x41, 0x42, 0x43, 0x60, 0x8000)),
            rng.choice((0.0, 0.01, 4.0, 655.35)),
            rng.random() < 0.2,
        ),
        *([Bench().ihu(rng.choice((0, 1, 96, INFINITY)), rng.choice((0.01, 12.0)))]),
        AcknowledgmentRequest(rng.randrange(65536), rng.choice((0.01, 1.0))),
        Acknowledgment(rng.randrange(65536)),
        update(some, rng.choice((0, 96, 60000)), rng.randrange(65536), 1, rng.choice((ORIGIN, OUR_ID))),
        retraction(prefix),
        RouteRequest(prefix),
        SeqnoRequest(some, rng.choice((ORIGIN, OUR_ID)), rng.randrange(65536), rng.choice((1, 2, 255))),
    ]
    for tlv in rng.sample(tlvs, rng.randrange(1, len(tlvs))):
        writer.add(tlv)
    return writer.packet()


def test_time_that_stands_still_or_jumps_does_no_harm() -> None:
    found = bench()
    found.meet(hellos=16)
    found.receive([update()])
    for _ in range(100):
        found.speaker.handle_deadline(found.now)
        found.sent()
    found.now += 86400.0  # the machine slept for a day
    found.speaker.handle_deadline(found.now)
    found.sent()
    found.wait(200)
    assert found.snapshot().routes == ()
    assert found.snapshot().neighbours == ()


def test_events_are_lines_with_names_and_values() -> None:
    found = bench()
    found.receive([found.hello(), found.ihu()])
    found.receive([update(metric=100)])
    lines = [str(event) for event in found.speaker.events()]
    assert lines == [
        "neighbour-acquired address=fe80::1001%tun",
        "link-cost-changed address=fe80::1001%tun cost=96 rxcost=96 txcost=96",
        "route-selected prefix=2001:db8:1::/48 via=fe80::1001%tun metric=196"
        " router-id=02:00:00:00:00:00:00:aa seqno=7 refmetric=100 cause=update",
    ]


def lost_bench(hello_seqnos: dict[str, int] | None = None) -> Bench:
    """Return a speaker that has lost its memory, with one tunnel."""
    found = Bench(memory=Memory(seqno=100, hello_seqnos=hello_seqnos or {}, lost=True))
    found.speaker.add_interface("tun", InterfaceParameters(), OUR_ADDRESS, found.now)
    return found


def test_a_speaker_without_memory_retracts_all_before_it_selects() -> None:
    found = lost_bench()
    first = found.sent()
    assert [(t.prefix, t.metric) for t in first if isinstance(t, Update)] == [(None, INFINITY)]
    found.receive([found.hello(), found.ihu(), update()])
    sent = [t for d in found.datagrams() if d.destination[0] == neighbour_address(1) for t in tlvs_of(d)]
    assert [(t.prefix, t.metric) for t in sent if isinstance(t, Update)] == [(None, INFINITY)]
    (asked,) = [t for t in sent if isinstance(t, AcknowledgmentRequest)]
    assert found.selected() is None
    found.receive([Acknowledgment(asked.opaque ^ 1)])
    assert found.selected() is None
    found.receive([Acknowledgment(asked.opaque)])
    assert found.selected() == neighbour_address(1)


def test_one_who_did_not_know_us_when_it_was_asked_is_asked_again_as_soon_as_it_does() -> None:
    found = lost_bench()
    found.receive([found.hello(), update()])
    (early,) = [t for t in found.sent() if isinstance(t, AcknowledgmentRequest)]
    found.now += 0.03
    found.receive([found.ihu()])
    (asked,) = [t for t in found.sent() if isinstance(t, AcknowledgmentRequest)]
    assert asked.opaque != early.opaque
    found.now += 0.03
    found.receive([found.ihu()])
    assert not [t for t in found.sent() if isinstance(t, AcknowledgmentRequest)]
    assert found.selected() is None
    found.receive([Acknowledgment(asked.opaque)])
    assert found.selected() == neighbour_address(1)


def test_what_is_selected_while_a_retraction_of_all_waits_is_announced_behind_it() -> None:
    found = lost_bench()
    found.speaker.add_interface("two", InterfaceParameters(), OUR_ADDRESS, found.now)
    found.receive([found.hello()])
    found.receive([found.hello(2, "two"), found.ihu()], 2, "two")
    asked = {
        d.interface: t.opaque
        for d in found.datagrams()
        for t in tlvs_of(d)
        if isinstance(t, AcknowledgmentRequest)
    }
    # All of this is read in one turn. The first neighbour is asked again, and told all that is known by then.
    found.receive([found.ihu(), Acknowledgment(asked["tun"]), update(metric=96)])
    assert found.selected() == neighbour_address(1)
    found.receive([update(metric=0, number=2), Acknowledgment(asked["two"])], 2, "two")
    assert found.selected() == neighbour_address(2)
    found.now += 0.1  # a long turn: the jitter of what is not urgent has passed, too
    told = [t for d in found.datagrams() if d.interface == "tun" for t in tlvs_of(d) if type(t) is Update]
    assert None in [t.prefix for t in told]
    after = told[[t.prefix for t in told].index(None) :]
    assert [t.metric for t in after if t.prefix == P] == [96]


def test_an_unconfirmed_retraction_is_repeated_less_and_less_often() -> None:
    found = lost_bench()
    found.receive([found.hello(), found.ihu()])
    start = found.now
    times = [
        w - start for w, d in found.live(60) if any(isinstance(t, AcknowledgmentRequest) for t in tlvs_of(d))
    ]
    assert times[:6] == pytest.approx([0, 1, 3, 7, 15, 31])
    # Any of the latest copies may be the one that is confirmed.
    (asked, *_) = [t for _, d in found.live(20) for t in tlvs_of(d) if isinstance(t, AcknowledgmentRequest)]
    found.receive([update()])
    assert found.selected() is None
    found.receive([Acknowledgment(asked.opaque)])
    assert found.selected() == neighbour_address(1)


def test_a_confirmation_that_waits_to_be_read_is_not_asked_for_again() -> None:
    found = lost_bench()
    found.receive([found.hello(), found.ihu()])
    read, found.now = found.now, found.now + 1.1
    found.sent()
    found.speaker.handle_deadline(found.now, heard=read)
    assert not [t for t in found.sent() if isinstance(t, AcknowledgmentRequest)]
    found.speaker.handle_deadline(found.now)
    assert [t for t in found.sent() if isinstance(t, AcknowledgmentRequest)]


@pytest.mark.parametrize("seed", range(20))
def test_what_is_announced_during_the_recovery_is_not_retracted_by_it(seed: int) -> None:
    found = Bench(memory=Memory(seqno=100, lost=True), seed=seed)
    found.speaker.add_interface("lan", InterfaceParameters.wired(), OUR_ADDRESS, found.now)
    found.receive([found.hello(1, "lan"), found.ihu()], name="lan")
    found.sent()
    found.now += 0.05
    found.speaker.announce(P, 0, found.now)
    sent = [t for _, d in found.wait_datagrams(0.15) for t in tlvs_of(d) if isinstance(t, Update)]
    assert [(t.prefix, t.metric) for t in sent] == [(P, 0)]


def test_a_confirmed_neighbour_that_returns_is_not_asked_again() -> None:
    found = lost_bench()
    found.receive([found.hello(), found.ihu()])
    (asked,) = [t for t in found.sent() if isinstance(t, AcknowledgmentRequest)]
    found.receive([Acknowledgment(asked.opaque)])
    found.seqnos["tun", 1] += 1000
    found.receive([found.hello(), found.ihu(), update()])
    assert "neighbour-lost" in found.events()
    assert found.selected() == neighbour_address(1)


def test_hellos_jump_after_a_loss_of_memory_so_that_neighbours_start_anew() -> None:
    found = lost_bench({"tun": 50})
    (hello,) = [t for t in found.sent() if isinstance(t, Hello)]
    assert hello.seqno == 50 + 20011 + 1


def test_an_interface_of_the_former_life_is_waited_for_but_not_for_ever() -> None:
    found = lost_bench({"tun": 50, "silent": 60})
    found.speaker.add_interface("silent", InterfaceParameters(), OUR_ADDRESS, found.now)
    found.receive([found.hello(), found.ihu(), update()])
    asked = [t for t in found.sent() if isinstance(t, AcknowledgmentRequest)]
    found.receive([Acknowledgment(t.opaque) for t in asked])
    assert found.selected() is None
    assert found.snapshot().recovering
    found.live(11.9)
    assert found.selected() is None
    found.live(0.2)
    assert found.selected() == neighbour_address(1)
    assert not found.snapshot().recovering


def test_a_crash_during_the_recovery_leaves_the_memory_lost() -> None:
    found = lost_bench({"tun": 50})
    stored = {(r.prefix, r.router_id): r for r in found.speaker.sources_to_store()}
    assert [r.seqno for r in stored.values()] == [0]
    again = Bench(
        memory=Memory(seqno=100, sources=tuple(stored.values()), hello_seqnos={"tun": 51}, lost=False)
    )
    again.speaker.add_interface("tun", InterfaceParameters(), OUR_ADDRESS, again.now)
    assert again.snapshot().recovering
    assert again.snapshot().sources == ()
    again.wait(12.1)
    assert not again.snapshot().recovering
    assert [r.seqno for r in again.speaker.sources_to_store()] == [None]


@pytest.mark.conformance("B3.5.1-2", "B3.7.3-1")
def test_remembered_sources_count_as_if_there_had_been_no_restart() -> None:
    sources = (SourceRecord(P, ORIGIN, 7, 150), SourceRecord(Q, ORIGIN, None, None))
    found = Bench(memory=Memory(seqno=100, sources=sources, lost=False))
    found.interface()
    found.meet()
    assert (found.distance(), found.distance(Q)) == ((7, 150), None)
    found.receive([update(metric=200, seqno=7), update(Q, metric=200)])
    assert (found.selected(), found.selected(Q)) == (None, neighbour_address(1))
    found.receive([update(metric=149, seqno=7)])
    assert found.selected() == neighbour_address(1)


def test_changes_of_the_source_table_are_handed_out_once() -> None:
    found = bench()
    found.interface("other")
    found.meet()
    found.meet(2, "other")
    found.receive([update(metric=100)])
    assert found.speaker.sources_to_store() == []
    found.sent()
    assert found.speaker.sources_to_store() == [SourceRecord(P, ORIGIN, 7, 196)]
    assert found.speaker.sources_to_store() == []


@pytest.mark.conformance("B3-1", "B4.1.3-1")
def test_router_ids_are_eight_octets_neither_all_zero_nor_all_one() -> None:
    for router_id in (bytes(8), b"\xff" * 8, bytes(7)):
        with pytest.raises(AssertionError):
            Speaker(router_id, Parameters(), Random(1), Memory())
    assert bench().snapshot().router_id == OUR_ID


def test_the_cost_of_a_route_does_not_grow_with_their_number() -> None:
    few, many = learn_and_announce(250), learn_and_announce(1000)
    assert many[0] < 4.5 * few[0]
    assert many[1] < 4.5 * few[1]


def learn_and_announce(count: int) -> tuple[int, int]:
    """Return what it costs to learn so many routes, and to announce them to another neighbour."""
    found = bench()
    found.interface("other")
    found.meet(1, hellos=16)
    found.meet(2, "other", hellos=16)
    prefixes = [
        Prefix(6, bytes.fromhex("20010db8") + n.to_bytes(4, "big") + bytes(8), 64) for n in range(count)
    ]
    packets = []
    for start in range(0, count, 17):
        writer = PacketWriter(1372, neighbour_address(1))
        assert all(writer.add(update(prefix, metric=100)) for prefix in prefixes[start : start + 17])
        packets.append(writer.packet())
    sent: list[tuple[float, Datagram]] = []
    learned = calls(lambda: [found.receive_octets(packet) for packet in packets])
    announced = calls(lambda: sent.extend(found.wait_datagrams(2)))
    assert sum(isinstance(t, Update) for _, d in sent for t in tlvs_of(d)) >= count
    assert len(found.snapshot().routes) == count
    return learned, announced


def test_an_idle_speaker_with_many_routes_does_next_to_nothing() -> None:
    found = bench()
    found.meet(1, hellos=16)
    prefixes = [
        Prefix(6, bytes.fromhex("20010db8") + n.to_bytes(4, "big") + bytes(8), 64) for n in range(5000)
    ]
    for start in range(0, 5000, 1000):
        found.receive([update(prefix, metric=100) for prefix in prefixes[start : start + 1000]])
    assert len(found.snapshot().routes) == 5000
    found.live(1)

    def idle() -> None:
        for _ in range(1000):
            found.now += 0.0001
            found.speaker.handle_deadline(found.now)
            found.speaker.datagrams_to_send(found.now)
            found.speaker.next_deadline()

    assert calls(idle) < 100_000


def test_a_speaker_that_takes_leave_of_one_interface_retracts_there_and_only_there() -> None:
    bench = Bench()
    bench.interface("tun")
    bench.interface("lan")
    bench.meet(1, "tun")
    bench.meet(2, "lan")
    bench.speaker.announce(P, 0, bench.now)
    bench.sent()
    bench.speaker.take_leave("tun", bench.now)
    datagrams = bench.datagrams()
    assert {d.interface for d in datagrams} == {"tun"}
    tlvs = [tlv for datagram in datagrams for tlv in tlvs_of(datagram)]
    assert any(isinstance(t, Update) and t.prefix is None and t.metric == INFINITY for t in tlvs)
    bench.speaker.remove_interface("tun", bench.now)
    assert [n.interface for n in bench.snapshot().neighbours] == ["lan"]
