"""What is announced, when, and in which packets (RFC 8966, sections 3.1, 3.3, 3.7 and 4)."""

from dataclasses import replace
from itertools import pairwise
from statistics import mean

import pytest

from babelwg.babel.operation import output
from babelwg.babel.operation.updates import is_harmless
from babelwg.babel.parameters import GROUP, PORT, InterfaceParameters, Parameters
from babelwg.babel.tables.interface import PACING_GRAIN
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import (
    INFINITY,
    Acknowledgment,
    AcknowledgmentRequest,
    Hello,
    RouteRequest,
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
    updates,
)
from tests.babel.test_hostile import prefixes

WIRED = InterfaceParameters.wired()
WIRELESS = InterfaceParameters.wireless()
OTHER = bytes.fromhex("02000000000000bb")


def bench(*parameters: InterfaceParameters, node: Parameters | None = None) -> Bench:
    """Return a speaker with interfaces if0, if1, ... each with the reachable neighbour of its number."""
    found = Bench(node)
    for number, each in enumerate(parameters):
        found.interface(f"if{number}", each)
        found.meet(number, f"if{number}", hellos=16)
    found.live(3)
    found.events()
    return found


def receive(found: Bench, number: int, *tlvs) -> None:
    found.receive(tlvs, number, f"if{number}")


@pytest.mark.conformance("B4-1", "B4-2", "B3.1-2", "B3.1-1")
def test_packets_go_from_our_link_local_address_to_group_or_neighbour() -> None:
    found = bench(InterfaceParameters(), InterfaceParameters())
    found.speaker.announce(V4, 0, found.now)
    receive(found, 0, RouteRequest(P))
    datagrams = found.wait_datagrams(5)
    assert {d.source for _, d in datagrams} == {(OUR_ADDRESS, PORT)}
    allowed = [GROUP, neighbour_address(0), neighbour_address(1)]
    assert {d.destination for _, d in datagrams} == {(address, PORT) for address in allowed}
    assert any(updates(tlvs_of(d), V4) for _, d in datagrams)


@pytest.mark.conformance("B3.7-2", "B3.7-3", "B4.6.9-14")
def test_own_prefixes_carry_our_id_and_learned_ones_theirs() -> None:
    found = bench(InterfaceParameters(), InterfaceParameters())
    found.speaker.announce(Q, 5, found.now)
    receive(found, 0, update(metric=100, seqno=7))
    sent = [t for d in found.datagrams() if d.interface == "if1" for t in tlvs_of(d)]
    assert [(u.router_id, u.seqno, u.metric, u.interval) for u in updates(sent, Q)] == [
        (OUR_ID, 100, 5, 16.0)
    ]
    assert [(u.router_id, u.seqno, u.metric) for u in updates(sent, P)] == [(ORIGIN, 7, 196)]


@pytest.mark.conformance("B3.7.1-1", "B3.1-6")
def test_everything_is_announced_once_in_every_interval() -> None:
    found = bench(InterfaceParameters(), WIRED)
    found.speaker.announce(Q, 0, found.now)
    found.wait(1)
    times: dict[str, list[float]] = {"if0": [], "if1": []}
    for when, datagram in found.live(120):
        if updates(tlvs_of(datagram), Q):
            times[datagram.interface].append(when)
    for when in times.values():
        assert len(when) >= 7
        assert all(later - earlier <= 16.0 for earlier, later in pairwise(when))


@pytest.mark.conformance("B3.7.4-1")
@pytest.mark.parametrize("parameters", [InterfaceParameters(), WIRED])
def test_a_route_is_not_announced_where_it_came_from(parameters: InterfaceParameters) -> None:
    found = bench(parameters, InterfaceParameters())
    receive(found, 0, update(metric=100))
    datagrams = found.live(20)
    assert {d.interface for _, d in datagrams if updates(tlvs_of(d))} == {"if1"}


@pytest.mark.conformance("B3.7.4-2")
def test_on_a_radio_link_it_is() -> None:
    found = bench(WIRELESS, InterfaceParameters())
    receive(found, 0, update(metric=100))
    assert {d.interface for _, d in found.live(20) if updates(tlvs_of(d))} == {"if0", "if1"}


@pytest.mark.conformance("B3.5.3-7", "B3.7.2-1", "B3.1-5")
@pytest.mark.parametrize(
    ("parameters", "limit"), [(InterfaceParameters(), 0.0), (WIRED, 0.2), (WIRELESS, 0.2)]
)
def test_a_change_of_router_is_told_at_once(parameters: InterfaceParameters, limit: float) -> None:
    found = bench(InterfaceParameters(), parameters)
    receive(found, 0, update(metric=100, router_id=OTHER))
    found.wait(5)
    start = found.now
    receive(found, 0, update(metric=100))
    times = [
        when - start for when, d in found.wait_datagrams(1) if d.interface == "if1" and updates(tlvs_of(d))
    ]
    assert times[0] <= limit


@pytest.mark.conformance("B3.7.2-1")
def test_a_change_of_router_is_told_also_to_the_new_next_hop() -> None:
    # Both know the prefix through us or each other; split horizon alone would leave a stale announcement.
    found = bench(InterfaceParameters(), InterfaceParameters())
    receive(found, 0, update(metric=100, router_id=OTHER))
    found.wait(1)
    receive(found, 1, update(metric=500, number=1))
    receive(found, 0, retraction())
    sent = {d.interface: updates(tlvs_of(d)) for d in found.datagrams()}
    assert [u.metric for u in sent["if1"]] == [INFINITY]
    assert [(u.metric, u.router_id) for u in sent["if0"]] == [(596, ORIGIN)]


@pytest.mark.conformance("B3.7.2-2", "B3.7.2-3", "B3.7.2-4", "B3.3-3")
def test_an_urgent_update_is_repeated_until_it_is_acknowledged_and_at_most_five_times() -> None:
    found = bench(InterfaceParameters(), InterfaceParameters())
    receive(found, 0, update(metric=100))
    copies = [(when, d) for when, d in found.live(6) if d.interface == "if1" and updates(tlvs_of(d))]
    assert len(copies) == 5
    assert all(later - earlier >= 0.4 for (earlier, _), (later, _) in pairwise(copies))
    receive(found, 0, update(Q, metric=100))
    sent = [t for d in found.datagrams() if d.interface == "if1" for t in tlvs_of(d)]
    (asked,) = [t for t in sent if isinstance(t, AcknowledgmentRequest)]
    receive(found, 1, Acknowledgment(asked.opaque))
    assert not [d for _, d in found.live(3) if d.interface == "if1" and updates(tlvs_of(d), Q)]


@pytest.mark.conformance("B3.7.2-3", "B3.7.2-4")
def test_a_second_copy_leaves_soon_where_the_round_trip_of_the_neighbour_is_known() -> None:
    found = bench(InterfaceParameters(), InterfaceParameters())
    (neighbour,) = found.speaker._state.interfaces["if1"].neighbours.values()
    neighbour.round_trip.rtt = 0.02
    receive(found, 0, update(metric=100))
    copies = [when for when, d in found.live(8) if d.interface == "if1" and updates(tlvs_of(d))]
    pauses = [later - earlier for earlier, later in pairwise(copies)]
    assert pauses == pytest.approx([0.145, 0.5, 1.0, 2.0], abs=0.02)
    neighbour.round_trip.rtt = 0.4
    receive(found, 0, update(Q, metric=100))
    copies = [when for when, d in found.live(0.9) if d.interface == "if1" and updates(tlvs_of(d), Q)]
    assert [later - earlier for earlier, later in pairwise(copies)] == pytest.approx([0.5], abs=0.02)


def test_a_second_copy_waits_longer_where_many_answers_are_missing() -> None:
    found = bench(InterfaceParameters(), InterfaceParameters())
    (neighbour,) = found.speaker._state.interfaces["if1"].neighbours.values()
    neighbour.round_trip.rtt = 0.02
    many = [Prefix.parse(f"2001:db8:{n:x}::/48") for n in range(1, 31)]
    for prefix in many:
        receive(found, 0, update(prefix, metric=100))
        found.datagrams()
    last = [when for when, d in found.live(0.4) if d.interface == "if1" and updates(tlvs_of(d), many[-1])]
    assert last[0] - found.now + 0.4 == pytest.approx(0.14 + 30 * 0.005, abs=0.03)


@pytest.mark.conformance("B3.3-4")
def test_only_urgent_updates_ask_for_acknowledgment() -> None:
    found = bench(InterfaceParameters(), InterfaceParameters())
    found.speaker.announce(Q, 0, found.now)
    found.wait(5)
    tlvs = [tlv for _, datagram in found.live(80) for tlv in tlvs_of(datagram)]
    assert updates(tlvs, Q)
    assert not [t for t in tlvs if isinstance(t, AcknowledgmentRequest)]


@pytest.mark.conformance("B3.7.2-6", "B3.7.2-7", "B3.1-7", "B3.6-5")
def test_a_large_change_of_metric_is_told_soon_and_a_small_one_with_the_next_update() -> None:
    found = bench(InterfaceParameters(), WIRED)
    receive(found, 0, update(metric=100, seqno=7))
    found.live(6)
    receive(found, 0, update(metric=110, seqno=8))
    assert updates(found.wait(1)) == []
    receive(found, 0, update(metric=400, seqno=9))
    assert [u.metric for u in updates(found.wait(2))] == [496]


@pytest.mark.conformance("B3.7.2-5", "B3.7-4")
def test_a_lost_prefix_is_retracted_at_once_everywhere() -> None:
    found = bench(InterfaceParameters(), InterfaceParameters())
    receive(found, 0, update(metric=100))
    found.wait(3)
    receive(found, 0, retraction())
    sent = {d.interface: updates(tlvs_of(d)) for d in found.datagrams()}
    assert [u.metric for u in sent["if0"]] == [u.metric for u in sent["if1"]] == [INFINITY]


@pytest.mark.conformance("B3.7.3-1", "B3.7.3-3", "B3.2.5-1")
def test_the_feasibility_distance_follows_what_is_sent() -> None:
    found = bench(InterfaceParameters(), InterfaceParameters())
    found.speaker.announce(Q, 0, found.now)
    receive(found, 0, update(metric=100, seqno=7))
    assert (found.distance(Q, OUR_ID), found.distance()) == (None, None)
    found.sent()
    assert (found.distance(Q, OUR_ID), found.distance()) == ((100, 0), (7, 196))
    for metric, seqno, expected in [
        (300, 8, (8, 396)),
        (200, 8, (8, 296)),
        (250, 8, (8, 296)),
        (250, 9, (9, 346)),
    ]:
        receive(found, 0, update(metric=metric, seqno=seqno))
        receive(found, 1, RouteRequest(P))  # answers count like any other update
        found.sent()
        assert found.distance() == expected
    receive(found, 0, retraction())
    found.sent()
    assert found.distance() == (9, 346)
    receive(found, 0, update(metric=20, seqno=1, router_id=OTHER))
    found.sent()
    assert (found.distance(), found.distance(P, OTHER)) == ((9, 346), (1, 116))


@pytest.mark.conformance("B3.7.3-2", "B3.7.3-3", "B3.7.3-4")
def test_a_source_is_forgotten_three_minutes_after_its_last_announcement() -> None:
    found = bench(InterfaceParameters(), InterfaceParameters())
    receive(found, 0, update(metric=100, seqno=7))
    found.live(10)
    receive(found, 1, RouteRequest(P))
    assert updates(found.sent())
    last = found.now
    receive(found, 0, retraction())
    found.wait(1)
    receive(found, 1, RouteRequest(P))
    assert {u.metric for u in updates(found.wait(1))} == {INFINITY}
    found.wait(last + 179 - found.now)
    assert found.distance() == (7, 196)
    found.speaker.sources_to_store()
    found.wait(2)
    assert found.distance() is None
    assert [(r.prefix, r.seqno) for r in found.speaker.sources_to_store()] == [(P, None)]


def test_the_source_table_is_bounded_by_saying_less() -> None:
    found = bench(InterfaceParameters(), InterfaceParameters(), node=Parameters(max_sources=2))
    prefixes = [Prefix.parse(f"2001:db8:{number:x}::/48") for number in range(4)]
    receive(found, 0, *[update(prefix, metric=100) for prefix in prefixes])
    sent = found.sent()
    assert [len(updates(sent, prefix)) for prefix in prefixes] == [1, 1, 0, 0]
    assert found.speaker.counters["update_suppressed.source-table-full"] >= 2


@pytest.mark.conformance("V2.1-1", "V2.1-2")
def test_ipv4_uses_the_interface_address_where_there_is_one() -> None:
    found = bench(InterfaceParameters(), InterfaceParameters(ipv4=bytes([192, 0, 2, 1])))
    found.speaker.announce(Prefix.parse("10.0.0.0/8"), 0, found.now)
    octets = {d.interface: d.data.hex() for d in found.datagrams()}
    assert "080b04000800" in octets["if0"]
    assert "070601" + "00c0000201" not in octets["if0"]
    assert "07060100c0000201" in octets["if1"]
    assert "080b01800800" in octets["if1"]
    # An address that appears later changes the encoding, not the prefix.
    with_address = InterfaceParameters(ipv4=bytes([192, 0, 2, 9]))
    found.speaker.set_interface("if0", with_address, OUR_ADDRESS, found.now)
    later = [d.data.hex() for _, d in found.wait_datagrams(1) if d.interface == "if0"]
    assert any("07060100c0000209" in data for data in later)


@pytest.mark.conformance("B3.3-1", "B3.3-2", "B4.6.4-1", "B4.6.4-2", "B4.6.3-3")
@pytest.mark.parametrize("interval", [0.01, 0.2, 5.0])
@pytest.mark.parametrize("parameters", [InterfaceParameters(), WIRED])
def test_an_acknowledgment_goes_to_the_requester_in_time(
    parameters: InterfaceParameters, interval: float
) -> None:
    found = bench(parameters)
    start = found.now
    receive(found, 0, AcknowledgmentRequest(0xBEEF, interval))
    answers = [(w, d) for w, d in found.wait_datagrams(5) if Acknowledgment(0xBEEF) in tlvs_of(d)]
    ((when, datagram),) = answers
    assert datagram.destination == (neighbour_address(0), PORT)
    assert when - start <= interval / 2


@pytest.mark.conformance("B4-5", "B4-6", "B3.1-8", "B3.1-4")
@pytest.mark.parametrize(("mtu", "most"), [(1280, 1232), (500, 512), (9000, 8952)])
def test_a_large_dump_fills_packets_to_the_mtu_and_is_paced(mtu: int, most: int) -> None:
    found = bench(InterfaceParameters(), replace(WIRED, mtu=mtu))
    for number in range(2000):
        found.speaker.announce(
            Prefix(6, bytes([32, 1, 13, 184, *number.to_bytes(2, "big")]) + bytes(10), 48), 0, 0.0
        )
    found.wait(5)
    receive(found, 1, RouteRequest(None))
    dump = [(w, d) for w, d in found.wait_datagrams(3) if d.interface == "if1" and d.destination[0] != GROUP]
    sizes = [len(d.data) for _, d in dump]
    assert max(sizes) <= most
    assert mean(sizes[:-1]) > 0.75 * most
    assert sum(len([t for t in tlvs_of(d) if isinstance(t, Update)]) for _, d in dump) == 2000
    # What leaves together is as much as the pace allows for a moment, and so it stays on average.
    start, pace = dump[0][0], WIRED.pace
    for number, (when, _) in enumerate(dump):
        assert sum(sizes[:number]) <= WIRED.burst + pace * (when - start + PACING_GRAIN)
    if mtu < 9000:
        assert len({when for when, _ in dump}) < len(dump)
    assert dump[-1][0] - dump[0][0] < 0.5


def test_a_table_that_is_told_again_wakes_both_ends_seldom() -> None:
    found = bench(WIRED)
    for number in range(6000):
        found.speaker.announce(
            Prefix(6, bytes([32, 1, 13, 184, *number.to_bytes(2, "big")]) + bytes(10), 48), 0, 0.0
        )
    found.wait(5)
    told = [(w, d) for w, d in found.live(16) if any(isinstance(t, Update) for t in tlvs_of(d))]
    assert sum(isinstance(t, Update) for _, d in told for t in tlvs_of(d)) >= 6000
    assert len({when for when, _ in told}) <= len(told) / 8


def test_a_hello_is_not_kept_waiting_by_a_dump() -> None:
    slow = InterfaceParameters(pace=500.0, burst=0)
    found = bench(slow)
    for number in range(500):
        found.speaker.announce(
            Prefix(6, bytes([32, 1, 13, 184, *number.to_bytes(2, "big")]) + bytes(10), 48), 0, 0.0
        )
    times = [w for w, d in found.live(40) if any(isinstance(t, Hello) for t in tlvs_of(d))]
    assert all(later - earlier <= 4.0 for earlier, later in pairwise(times))


def test_nothing_is_announced_where_nobody_listens() -> None:
    found = Bench()
    found.interface("lonely")
    found.speaker.announce(Q, 0, found.now)
    assert not [t for t in found.wait(60) if isinstance(t, Update)]
    assert found.distance(Q, OUR_ID) is None


@pytest.mark.conformance("B3.4.1-6")
def test_a_graceful_stop_retracts_everything_and_lets_neighbours_go() -> None:
    found = bench(InterfaceParameters(), WIRED)
    found.speaker.announce(Q, 0, found.now)
    found.wait(1)
    found.speaker.stop(found.now)
    for datagram in found.datagrams():
        tlvs = tlvs_of(datagram)
        assert [t.interval for t in tlvs if isinstance(t, Hello)] == [0.1]
        assert [(t.prefix, t.metric) for t in tlvs if isinstance(t, Update)] == [(None, INFINITY)]
    receive(found, 0, found.hello(0, "if0"), update())
    assert found.wait(100) == []
    assert found.speaker.next_deadline() is None


@pytest.mark.conformance("B3.4.1-1", "B4.6.5-3", "B4-8")
def test_one_hello_for_all_neighbours_goes_to_the_group() -> None:
    found = Bench()
    found.interface("lan", WIRED)
    for number in (1, 2, 3):
        found.meet(number, "lan")
    hellos = []
    for _, datagram in found.live(20):
        assert len(datagram.data) <= 65535 - 48
        hellos += [(datagram.destination, t) for t in tlvs_of(datagram) if isinstance(t, Hello)]
    assert {destination for destination, _ in hellos} == {(GROUP, PORT)}
    assert not any(hello.unicast for _, hello in hellos)
    assert len({hello.seqno for _, hello in hellos}) == len(hellos)


@pytest.mark.conformance("B3.7-1")
def test_updates_go_to_each_neighbour_alone_where_that_is_wanted() -> None:
    found = Bench()
    found.interface("lan", replace(WIRED, unicast=True))
    for number in (1, 2):
        found.meet(number, "lan", hellos=16)
    found.speaker.announce(Q, 0, found.now)
    found.receive([update(metric=100)], 1, "lan")
    found.receive([retraction()], 1, "lan")
    heard: dict[bytes, set[tuple[Prefix | None, int]]] = {}
    hellos = set()
    for _, datagram in found.live(60):
        for tlv in tlvs_of(datagram):
            if isinstance(tlv, Update):
                heard.setdefault(datagram.destination[0], set()).add((tlv.prefix, tlv.metric))
            elif isinstance(tlv, Hello):
                hellos.add(datagram.destination[0])
    said = {(Q, 0), (P, INFINITY)}
    assert heard == {neighbour_address(1): said, neighbour_address(2): said}
    assert hellos == {GROUP}


def test_updates_that_wait_are_bounded_and_counted() -> None:
    found = bench(InterfaceParameters(), node=Parameters(max_queued_updates=10, max_holds=5))
    prefixes = [Prefix(6, bytes([32, 1, 13, 184, 0, number]) + bytes(10), 48) for number in range(30)]
    for prefix in prefixes:
        found.speaker.announce(prefix, 0, found.now)
    assert len([t for t in found.sent() if isinstance(t, Update)]) == 10
    assert found.speaker.counters["update_suppressed.queue-full"] == 20
    for prefix in prefixes:
        found.speaker.withdraw(prefix, found.now)
    assert len(found.snapshot().held) == 5
    assert found.speaker.counters["hold_refused.table-full"] == 25
    assert found.events().count("route-flushed") == 25


def test_while_updates_are_withheld_only_what_nobody_can_follow_leaves() -> None:
    #   0 --- us --- 1    our kernel does not take what we select
    found = bench(InterfaceParameters(), InterfaceParameters())
    receive(found, 0, update(prefix=P), update(prefix=Q))
    found.live(3)
    found.speaker.withhold(True, found.now)
    receive(found, 0, update(prefix=V4), retraction(Q))
    receive(found, 1, AcknowledgmentRequest(7, 0.2), RouteRequest(None), RouteRequest(P))
    sent = [tlv for _, datagram in found.live(40) for tlv in tlvs_of(datagram)]
    assert {type(tlv) for tlv in sent} >= {Hello, Acknowledgment, Update}
    told = [tlv for tlv in sent if isinstance(tlv, Update)]
    assert {(tlv.prefix, tlv.metric) for tlv in told} == {(Q, INFINITY)}
    assert found.distance(V4) is None  # what was not announced narrows nothing
    # V4 goes too before the kernel works: all that is left to say of it is a retraction, which does not wait.
    receive(found, 0, retraction(V4))
    assert {tlv.metric for tlv in updates(found.wait(1), V4)} == {INFINITY}
    found.speaker.withhold(False, found.now)
    finite = [tlv for tlv in updates(found.wait(0.1), P) if tlv.metric < INFINITY]
    assert finite
    assert found.distance(P) is not None


def test_nothing_wakes_a_speaker_for_what_is_withheld() -> None:
    found = bench(InterfaceParameters(hello_interval=40.0), InterfaceParameters(hello_interval=40.0))
    found.speaker.withhold(True, found.now)
    receive(found, 0, update(interval=160.0))
    found.live(1)
    deadline = found.speaker.next_deadline()
    assert deadline is None or deadline > found.now + 0.5


def test_what_is_withheld_is_judged_once_and_told_when_the_kernel_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, known = bench(InterfaceParameters(), InterfaceParameters()), prefixes(3000)
    looks = []
    monkeypatch.setattr(output, "is_harmless", lambda *given: looks.append(given) or is_harmless(*given))
    found.speaker.withhold(True, found.now)
    for start in range(0, 3000, 500):
        receive(found, 0, *(update(prefix=p) for p in known[start : start + 500]))
        found.datagrams()
    found.live(12)
    assert 3000 <= len(looks) < 4000
    for start in range(0, 3000, 500):
        receive(found, 0, *(retraction(p) for p in known[start : start + 500]))
    receive(found, 0, update(prefix=known[0]), update(prefix=known[1]))
    told = [tlv for tlv in found.wait(5) if isinstance(tlv, Update)]
    assert {tlv.prefix for tlv in told} == set(known[2:])
    assert {tlv.metric for tlv in told} == {INFINITY}
    found.speaker.withhold(False, found.now)
    finite = {tlv.prefix for tlv in found.wait(1) if isinstance(tlv, Update) and tlv.metric < INFINITY}
    assert finite == set(known[:2])


def test_no_empty_packet_leaves_where_nothing_is_to_be_said() -> None:
    #   0 --- us --- 1    split horizon keeps from 0 what changes through it
    found, known = bench(InterfaceParameters(), InterfaceParameters()), prefixes(600)
    found.speaker.withhold(True, found.now)
    for metric in (0, 500):
        for start in range(0, 600, 200):
            receive(found, 0, *(update(prefix=p, metric=metric) for p in known[start : start + 200]))
    receive(found, 1, update(prefix=P))
    receive(found, 1, retraction(P))
    datagrams = [d for _, d in found.live(12)]
    found.speaker.withhold(False, found.now)
    datagrams += [d for _, d in found.live(12)]
    assert all(tlvs_of(datagram) for datagram in datagrams)
    told = [t for d in datagrams if d.interface == "if0" for t in updates(tlvs_of(d), P)]
    assert {t.metric for t in told} == {INFINITY}


def test_a_former_next_hop_is_told_of_another_way_until_it_has_heard() -> None:
    #   0 --- us --- 1    the way through 1 becomes better, and the word of that to 0 is lost
    found = bench(InterfaceParameters(), InterfaceParameters())
    receive(found, 0, update(metric=100))
    receive(found, 1, update(metric=500))
    found.live(10)
    receive(found, 1, update(metric=0, seqno=8))
    found.live(10)
    assert found.selected() == neighbour_address(1)
    receive(found, 0, update(metric=0, seqno=9))
    receive(found, 1, update(metric=500, seqno=9))
    found.live(10)
    assert found.selected() == neighbour_address(0)
    receive(found, 0, update(metric=300, seqno=10))
    receive(found, 1, update(metric=0, seqno=10))
    told = [(d, tlvs_of(d)) for _, d in found.live(3) if d.interface == "if0"]
    asked = [
        tlvs for _, tlvs in told if updates(tlvs) and any(isinstance(t, AcknowledgmentRequest) for t in tlvs)
    ]
    assert found.selected() == neighbour_address(1)
    assert len(asked) >= 3


def test_what_was_withheld_leaves_as_soon_as_the_kernel_works() -> None:
    found = bench(InterfaceParameters(), InterfaceParameters())
    found.speaker.withhold(True, found.now)
    receive(found, 0, update(prefix=P))
    receive(found, 1, RouteRequest(Q))
    receive(found, 0, update(prefix=Q))
    assert {tlv.metric for tlv in found.wait(0.5) if isinstance(tlv, Update)} <= {INFINITY}
    found.speaker.withhold(False, found.now)
    told = {(tlv.prefix, tlv.metric < INFINITY) for tlv in found.sent() if isinstance(tlv, Update)}
    assert told >= {(P, True), (Q, True)}
