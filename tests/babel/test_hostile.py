"""What one hostile neighbour may cost: its work and memory are bounded, and others do not suffer."""

import time
from itertools import pairwise

from babelwg.babel.parameters import InterfaceParameters, Parameters
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import (
    INFINITY,
    Acknowledgment,
    AcknowledgmentRequest,
    Hello,
    Ihu,
    RouteRequest,
    SeqnoRequest,
    Update,
)
from tests.babel.bench import (
    ORIGIN,
    OUR_ADDRESS,
    OUR_ID,
    Bench,
    P,
    Q,
    neighbour_address,
    retraction,
    seqno_requests,
    tlvs_of,
    update,
    updates,
)


def bench(parameters: Parameters | None = None) -> Bench:
    """Return a speaker with tunnels to two reachable neighbours."""
    found = Bench(parameters)
    for number in (1, 2):
        found.interface(f"tun{number}")
        found.meet(number, f"tun{number}", hellos=16)
    found.wait(0.5)
    found.events()
    return found


def prefixes(count: int) -> list[Prefix]:
    return [Prefix(6, bytes.fromhex("20010db8") + n.to_bytes(4, "big") + bytes(8), 64) for n in range(count)]


def announce(found: Bench, count: int, number: int = 1) -> None:
    known = prefixes(count)
    for start in range(0, count, 1000):
        found.receive([update(p, number=number) for p in known[start : start + 1000]], number, f"tun{number}")


def test_a_hundred_wildcard_retractions_cost_no_more_than_one() -> None:
    found = bench()
    announce(found, 5000)
    begin = time.process_time()
    found.receive([retraction(None)], 1, "tun1")
    once = time.process_time() - begin
    assert {view.state for view in found.snapshot().routes} == {"retracted"}
    begin = time.process_time()
    found.receive([retraction(None)] * 110, 1, "tun1")
    assert time.process_time() - begin < once / 2
    assert found.speaker.counters["tlv_ignored.nothing-to-retract"] == 110


def test_a_wildcard_retraction_acts_again_on_what_was_announced_since() -> None:
    found = bench()
    found.receive([update(P), retraction(None), update(P), update(Q), retraction(None)], 1, "tun1")
    assert {view.refmetric for view in found.snapshot().routes} == {INFINITY}
    assert found.selected(P) is None


def test_a_wildcard_retraction_excuses_the_neighbour_from_a_hold_of_anothers_prefix() -> None:
    found = bench()
    found.receive([update(P)], 1, "tun1")
    found.receive([retraction(P)], 1, "tun1")
    assert found.snapshot().held == (P,)
    found.receive([retraction(None)], 2, "tun2")
    assert found.snapshot().held == ()


def test_jumping_hellos_make_one_new_neighbour_a_second() -> None:
    found = bench()
    for n in range(1, 200):
        found.receive([Hello(n * 1000 % 0x10000, 655.0)], 1, "tun1")
    assert found.events().count("neighbour-lost") == 1
    assert found.speaker.counters["tlv_dropped.hello-seqno-jump-rate"] == 198
    found.wait(1.0)
    found.events()
    found.receive([Hello(33333, 4.0)], 1, "tun1")
    assert found.events().count("neighbour-lost") == 1


def test_of_many_hellos_in_one_packet_a_few_count() -> None:
    found = bench()
    first = found.hello(1, "tun1").seqno
    found.receive([Hello((first + n) % 0x10000, 4.0) for n in range(100)], 1, "tun1")
    assert found.speaker.counters["tlv_dropped.hello-rate"] == 96
    # The fifth was not acted on, so it is still the one expected, and no later one has shown a jump.
    found.receive([Hello((first + 4) % 0x10000, 4.0)], 1, "tun1")
    assert found.events() == []


def test_updates_with_the_shortest_interval_stay_as_long_as_those_of_a_second() -> None:
    found = bench()
    found.receive([update(P, interval=0.01)], 1, "tun1")
    found.wait(3.4)
    assert found.selected(P) is not None
    found.wait(0.2)
    assert found.selected(P) is None
    found.wait(3.6)
    assert found.snapshot().routes == ()


def test_an_ihu_with_the_shortest_interval_holds_as_long_as_one_of_a_second() -> None:
    found = bench()
    found.receive([found.hello(1, "tun1"), Ihu(OUR_ADDRESS, 96, 0.01)], 1, "tun1")
    found.wait(3.4)
    assert found.neighbour(1, "tun1").txcost == 96
    found.wait(0.2)
    assert found.neighbour(1, "tun1").txcost == INFINITY


def test_a_neighbour_that_promises_hellos_every_hundredth_second_is_missed_every_twentieth() -> None:
    found = bench()
    found.receive([found.hello(1, "tun1", interval=0.01)], 1, "tun1")
    before = found.neighbour(1, "tun1").rxcost
    found.wait(0.07)
    assert found.neighbour(1, "tun1").rxcost == before
    found.wait(0.01)
    assert found.neighbour(1, "tun1").rxcost > before


def test_two_full_dumps_of_twenty_thousand_routes_pass_without_loss() -> None:
    found = bench()
    announce(found, 20_000)
    announce(found, 20_000)
    assert len(found.snapshot().routes) == 20_000
    assert found.speaker.counters["tlv_dropped.rate"] == 0


def test_a_neighbour_that_says_too_much_is_heard_again_later_and_others_are_heard_always() -> None:
    found = bench(Parameters(route_work=10, route_work_burst=100))
    found.receive([update(p) for p in prefixes(95)], 1, "tun1")
    found.receive([update(P)] * 5 + [RouteRequest(None)], 1, "tun1")
    assert found.route(1, P, "tun1") is None
    assert found.speaker.counters["tlv_dropped.rate"] == 6
    found.receive([update(Q, number=2)], 2, "tun2")
    assert found.route(2, Q, "tun2") is not None
    found.wait(0.2)
    found.receive([update(P)], 1, "tun1")
    assert found.route(1, P, "tun1") is not None


def test_what_is_dropped_is_not_acknowledged_while_hellos_and_acknowledgment_requests_pass() -> None:
    found = bench(Parameters(route_work=10, route_work_burst=100))
    found.receive([update(P)] * 99, 1, "tun1")
    found.receive(
        [found.hello(1, "tun1"), retraction(P), retraction(Q), AcknowledgmentRequest(7, 0.1)], 1, "tun1"
    )
    assert Acknowledgment(7) not in found.wait(0.05)
    assert found.selected(P) is not None
    found.receive([AcknowledgmentRequest(8, 0.1)], 1, "tun1")
    assert Acknowledgment(8) in found.wait(0.05)


def acknowledged(found: Bench) -> int:
    return sum(isinstance(tlv, Acknowledgment) for tlv in found.wait(1.0))


def test_a_flood_of_acknowledgment_requests_is_refused_and_nothing_beside_it_is() -> None:
    found = bench()
    flood = [AcknowledgmentRequest(nonce, 0.1) for nonce in range(4000)]
    for _ in range(3):
        found.receive([found.hello(1, "tun1"), *flood], 1, "tun1")
    found.receive([*flood, update(P)], 1, "tun1")
    assert found.route(1, P, "tun1") is not None
    assert found.speaker.counters["tlv_dropped.rate"] == 8000
    assert acknowledged(found) == 8000
    found.receive(flood, 1, "tun1")
    assert acknowledged(found) == 4000, "there is room for five thousand a second"
    found.receive([AcknowledgmentRequest(1, 0.1)], 2, "tun2")
    assert acknowledged(found) == 1


def test_a_full_table_that_comes_and_goes_is_acknowledged_packet_by_packet() -> None:
    found, table = bench(), prefixes(20_000)
    announce(found, 20_000)
    for start in range(0, 20_000, 50):
        lost = map(retraction, table[start : start + 50])
        found.receive([*lost, AcknowledgmentRequest(start, 0.2)], 1, "tun1")
    assert found.speaker.counters["tlv_dropped.rate"] == 0
    assert acknowledged(found) == 400


def test_a_restart_does_not_give_back_what_a_neighbour_has_used_up() -> None:
    found = bench(Parameters(route_work=10, route_work_burst=100))
    found.receive([update(P)] * 100, 1, "tun1")
    found.receive([Hello(0x9000, 4.0), found.ihu(), update(P)], 1, "tun1")
    assert found.route(1, P, "tun1") is None


def test_a_link_that_changes_all_the_time_reprices_no_more_routes_than_allowed() -> None:
    found = bench(Parameters(link_work=100, link_work_burst=1000))
    announce(found, 99)
    for n in range(41):
        found.receive([found.ihu(97 + n)], 1, "tun1")
    assert found.events().count("link-cost-changed") == 10
    assert found.speaker.counters["link_change_deferred"] == 31
    assert (found.neighbour(1, "tun1").txcost, found.neighbour(1, "tun1").cost) == (137, 106)
    # The last word counts, although nothing more is said.
    found.wait(1.1)
    assert found.neighbour(1, "tun1").cost == 137


def test_a_neighbour_that_names_ever_new_sources_is_slowed_and_its_known_ones_stay() -> None:
    found = bench(Parameters(source_work=10, source_work_burst=100))
    for n in range(2, 152):
        found.receive([update(P, router_id=bytes([2]) + n.to_bytes(7, "big"))], 1, "tun1")
    assert found.route(1, P, "tun1").router_id == bytes([2]) + (101).to_bytes(7, "big")
    assert found.speaker.counters["update_refused.source-rate"] == 50
    found.receive([update(P, metric=5, router_id=bytes([2]) + (101).to_bytes(7, "big"))], 1, "tun1")
    assert found.route(1, P, "tun1").refmetric == 5
    found.receive([update(Q, number=2)], 2, "tun2")
    assert found.route(2, Q, "tun2") is not None
    found.wait(0.2)
    found.receive([update(P)], 1, "tun1")
    assert found.route(1, P, "tun1").router_id == ORIGIN


def test_one_neighbour_cannot_fill_the_table_of_requests_for_others() -> None:
    found = bench(Parameters(max_pending_requests=20, max_pending_requests_per_neighbour=10))
    found.interface("tun3")
    found.meet(3, "tun3", hellos=16)
    announce(found, 30, number=3)
    asked = [SeqnoRequest(p, ORIGIN, 9, 64) for p in prefixes(30)]
    found.receive(asked, 1, "tun1")
    assert found.speaker.counters["request_suppressed.neighbour-limit"] == 20
    found.wait(0.1)
    found.receive(asked[29:], 2, "tun2")
    assert seqno_requests(found.wait(0.1)) == [SeqnoRequest(prefixes(30)[29], ORIGIN, 9, 63)]
    # They are forgotten in time, and then it may ask again.
    found.wait(4.0)
    found.receive(asked[:1], 1, "tun1")
    assert seqno_requests(found.wait(0.1)) == [SeqnoRequest(prefixes(1)[0], ORIGIN, 9, 63)]


def test_a_neighbour_that_confirms_nothing_leaves_others_their_acknowledgments() -> None:
    limits = Parameters(max_pending_acknowledgments=3, max_pending_acknowledgments_per_interface=2)
    found = bench(limits)
    for n, prefix in enumerate(prefixes(6)):
        found.speaker.announce(prefix, n, found.now)
        for tlv in found.wait(0.01):
            # The second neighbour answers only what it is asked; the first never does.
            if isinstance(tlv, AcknowledgmentRequest):
                found.receive([Acknowledgment(tlv.opaque)], 2, "tun2")
    assert found.speaker.counters["acknowledgment_not_requested.table-full"] == 4


def test_a_refused_prefix_is_retracted_and_comes_back_when_it_is_allowed() -> None:
    found = bench()
    found.receive([update(P, metric=100)], 1, "tun1")
    assert found.wait(0.1)
    found.speaker.refuse(frozenset({P}), found.now)
    assert found.selected(P) is None
    assert found.route(1, P, "tun1").refmetric == 100
    assert {tlv.metric for tlv in updates(found.wait(0.1))} == {INFINITY}
    found.receive([update(P, metric=90, seqno=8)], 1, "tun1")
    assert found.selected(P) is None
    found.speaker.refuse(frozenset(), found.now)
    assert found.selected(P) is not None
    assert 186 in {tlv.metric for tlv in updates(found.wait(0.1))}


def test_requests_raise_our_seqno_by_sixteen_at_once_and_five_a_second() -> None:
    found = bench()
    found.speaker.announce(P, 0, found.now)
    begin = found.snapshot().seqno
    for n in range(1, 100):
        found.receive([SeqnoRequest(P, OUR_ID, begin + n, 64)], 1, "tun1")
    assert found.snapshot().seqno == begin + 16
    assert found.speaker.counters["request_ignored.seqno-rate"] == 83
    found.wait(1.0)
    for _ in range(20):
        found.receive([SeqnoRequest(P, OUR_ID, begin + 99, 64)], 1, "tun1")
    assert found.snapshot().seqno == begin + 21


def test_a_better_path_that_stays_unfeasible_is_asked_for_less_and_less_often() -> None:
    found = bench()
    found.receive([update(P, metric=400, seqno=100, interval=600.0)], 1, "tun1")
    found.wait(0.5)
    found.receive([update(P, metric=0, seqno=50, number=2, interval=600.0)], 2, "tun2")
    moments = []
    for second in range(64):
        if second % 4 == 0:
            for number in (1, 2):
                found.receive([found.hello(number, f"tun{number}"), found.ihu()], number, f"tun{number}")
        moments += [second] * len(seqno_requests(found.wait(1.0)))
    pauses = [later - earlier for earlier, later in pairwise(moments)]
    assert pauses[0] <= 3
    assert pauses == sorted(pauses)
    assert 16 <= pauses[-1] <= 17
    assert found.selected() == neighbour_address(1)


def test_a_table_of_old_seqnos_is_looked_at_in_parts_between_which_packets_have_their_turn() -> None:
    count = 1700
    found = bench(Parameters(max_pending_requests_per_neighbour=0))  # so that each look is counted
    for start in range(0, count, 100):
        known = prefixes(count)[start : start + 100]
        found.receive([update(p, metric=400, seqno=100) for p in known], 1, "tun1")
    found.wait(0.5)
    for start in range(0, count, 100):
        known = prefixes(count)[start : start + 100]
        found.receive([update(p, metric=0, seqno=50, number=2) for p in known], 2, "tun2")
    looks, counters = [], found.speaker.counters
    end = found.now + 1.5
    while (deadline := found.speaker.next_deadline()) is not None and deadline <= end:
        before = counters["request_suppressed.neighbour-limit"]
        found.now = max(found.now, deadline)
        found.speaker.handle_deadline(found.now)
        found.sent()
        looks.append(counters["request_suppressed.neighbour-limit"] - before)
    assert sum(looks) == count
    assert max(looks) == 500


def test_ever_new_addresses_on_a_lan_are_taken_in_slowly() -> None:
    found = Bench()
    for name in ("lan", "other"):
        found.interface(name, InterfaceParameters.wired())
    for number in range(1000):
        found.receive([Hello(1, 4.0), found.ihu()], number, "lan")
    assert len(found.snapshot().neighbours) == 128
    assert found.speaker.counters["neighbour_refused.rate"] == 872
    found.receive([Hello(1, 4.0)], 1, "other")
    assert found.neighbour(1, "other") is not None, "another interface has its own measure"
    found.wait(1.0)
    for number in range(1000, 2000):
        found.receive([Hello(1, 4.0), found.ihu()], number, "lan")
    assert len(found.snapshot().neighbours) == 128 + 1 + 4


def test_another_address_on_a_tunnel_has_no_work_of_its_own() -> None:
    found = bench(Parameters(route_work=0, route_work_burst=100, source_work=0, source_work_burst=20))
    found.receive([update(p) for p in prefixes(30)], 1, "tun1")
    assert found.speaker.counters["update_refused.source-rate"] == 10
    found.meet(11, "tun1")
    found.receive([update(P, number=11)], 11, "tun1")
    assert found.route(11, P, "tun1") is None
    assert found.speaker.counters["update_refused.source-rate"] == 11
    found.receive([update(Q, number=11)] * 69, 11, "tun1")
    found.receive([update(Q, number=11)], 11, "tun1")
    assert found.speaker.counters["tlv_dropped.rate"] == 1
    found.receive([update(Q, number=2)], 2, "tun2")
    assert found.route(2, Q, "tun2") is not None, "another tunnel is another peer"


def test_what_a_peer_has_used_up_outlasts_its_address() -> None:
    found = bench(Parameters(route_work=0, route_work_burst=100))
    found.receive([update(P)] * 100, 1, "tun1")
    found.wait(100)
    assert found.neighbour(1, "tun1") is None
    found.meet(11, "tun1")
    found.receive([update(P, number=11)], 11, "tun1")
    assert found.route(11, P, "tun1") is None


def test_all_addresses_on_a_tunnel_announce_as_many_routes_as_one_peer_may() -> None:
    found = bench(Parameters(max_routes_per_neighbour=100))
    found.meet(11, "tun1", hellos=16)
    announce(found, 60)
    found.receive([update(p, number=11) for p in prefixes(60)], 11, "tun1")
    assert len([view for view in found.snapshot().routes if view.interface == "tun1"]) == 100
    assert found.speaker.counters["route_refused.neighbour-limit"] == 20
    found.receive([update(p, number=2) for p in prefixes(60)], 2, "tun2")
    assert len([view for view in found.snapshot().routes if view.interface == "tun2"]) == 60


def test_all_addresses_on_a_tunnel_have_one_quota_of_requests() -> None:
    found = bench(Parameters(max_pending_requests_per_neighbour=10))
    announce(found, 30, number=2)
    found.meet(11, "tun1", hellos=16)
    asked = [SeqnoRequest(p, ORIGIN, 9, 64) for p in prefixes(30)]
    found.receive(asked[:10], 1, "tun1")
    assert found.speaker.counters["request_suppressed.neighbour-limit"] == 0
    found.receive(asked[10:], 11, "tun1")
    assert found.speaker.counters["request_suppressed.neighbour-limit"] == 20


def test_ever_new_addresses_on_a_tunnel_do_not_have_a_full_table_told_at_once_to_each() -> None:
    found = bench()
    announce(found, 1000, number=2)
    found.wait(5.0)
    for _ in range(3):
        found.receive([RouteRequest(None)], 1, "tun1")
        assert len(updates(found.wait(0.1), prefixes(1)[0])) == 1
    found.receive([found.hello(11, "tun1"), found.ihu(), RouteRequest(None)], 11, "tun1")
    assert updates(found.wait(0.5), prefixes(1)[0]) == []
    assert len(updates(found.wait(1.6), prefixes(1)[0])) == 1


def test_neighbours_on_a_lan_have_each_their_own_measure() -> None:
    found = Bench(Parameters(route_work=0, route_work_burst=100, max_routes_per_neighbour=60))
    found.interface("lan", InterfaceParameters.wired())
    for number in (1, 2):
        found.meet(number, "lan")
        found.receive([update(p, number=number) for p in prefixes(60)], number, "lan")
    assert len(found.snapshot().routes) == 120


def test_a_peer_with_a_new_address_is_heard_on_its_tunnel_while_its_former_ones_are_remembered() -> None:
    found = bench()
    announce(found, 5)
    found.meet(11, "tun1")  # it has a new key, and has not been silent long enough to be forgotten
    found.receive([update(P, number=11)], 11, "tun1")
    assert found.selected(P) == neighbour_address(11)
    found.keep((11,), "tun1", 12)
    found.meet(12, "tun1")  # and another one: the first has missed too many Hellos
    found.receive([update(Q, number=12)], 12, "tun1")
    assert found.selected(Q) == neighbour_address(12)
    assert found.neighbour(1, "tun1") is None
    found.receive([found.hello(13, "tun1"), found.ihu()], 13, "tun1")
    assert found.neighbour(13, "tun1") is None, "two that are reachable are enough"
    assert found.speaker.counters["neighbour_refused.interface-limit"] == 1


def test_a_request_for_a_seqno_far_ahead_keeps_no_newer_one_from_others() -> None:
    found = bench()
    found.interface("tun3")
    found.meet(3, "tun3", hellos=16)
    found.receive([update(P, 100, 7)], 1, "tun1")
    found.wait(0.5)
    found.receive([SeqnoRequest(P, ORIGIN, 0x4007, 64)], 3, "tun3")
    assert len(seqno_requests(found.sent())) == 1
    found.receive([SeqnoRequest(P, ORIGIN, 8, 64)], 2, "tun2")
    assert found.speaker.counters["request_suppressed.duplicate"] == 1
    # The origin goes on by one for each request, and each of them may be what somebody needs.
    for seqno in (8, 9):
        found.receive([update(P, 100, seqno)] * 2, 1, "tun1")
        answers = [d for d in found.datagrams() if d.interface == "tun2"]
        told = updates([tlv for datagram in answers for tlv in tlvs_of(datagram)])
        assert [(u.prefix, u.seqno) for u in told] == [(P, seqno)]
        found.wait(0.02)


def test_what_one_neighbour_makes_us_ask_delays_no_request_after_a_loss() -> None:
    found = bench()
    found.interface("tun3")
    found.meet(3, "tun3", hellos=16)
    lost = Prefix.parse("2001:db8:ffff::/48")
    found.receive([update(lost, 100, 7)], 1, "tun1")
    found.receive([update(lost, 300, 7, 3)], 3, "tun3")
    announce(found, 2000, number=2)
    found.wait(0.5)
    known = prefixes(2000)
    for start in range(0, 2000, 500):
        found.receive([update(p, 300, 7, 2) for p in known[start : start + 500]], 2, "tun2")
    found.wait(0.1)
    # It had made us ask for this one too, which counts as ours once we have lost it.
    found.receive([SeqnoRequest(lost, ORIGIN, 8, 64)], 2, "tun2")
    found.receive([retraction(lost)], 1, "tun1")
    asked = [
        when
        for when, datagram in found.wait_datagrams(1.0)
        for tlv in tlvs_of(datagram)
        if isinstance(tlv, SeqnoRequest) and tlv.prefix == lost and datagram.interface == "tun3"
    ]
    assert len(asked) == 9


def test_losses_have_room_for_their_requests_whatever_neighbours_ask_for() -> None:
    found = bench(Parameters(max_pending_losses=4, max_pending_requests=2))
    announce(found, 6)
    found.receive([update(p, 300, 7, 2) for p in prefixes(6)], 2, "tun2")
    found.wait(0.5)
    found.receive([SeqnoRequest(p, ORIGIN, 9, 64) for p in prefixes(2)], 2, "tun2")
    found.wait(0.2)
    found.receive([retraction(p) for p in prefixes(6)], 1, "tun1")
    assert {r.prefix for r in seqno_requests(found.sent())} >= set(prefixes(4))
    assert found.speaker.counters["request_suppressed.losses-full"] == 2
    # Two of them were asked for by a neighbour before, which may have others asked for in their place.
    found.receive([update(Q)], 1, "tun1")
    found.receive([SeqnoRequest(Q, ORIGIN, 9, 64)], 2, "tun2")
    assert [r.prefix for r in seqno_requests(found.sent())] == [Q]


def test_who_causes_the_losses_of_what_only_it_announces_is_charged_for_their_requests() -> None:
    found = bench(Parameters(max_pending_requests_per_neighbour=500))
    known, other = prefixes(600), bytes.fromhex("02000000000000bb")
    for router_id, seqno in ((other, 7), (ORIGIN, 7), (other, 6)):
        found.live(4.0)
        found.receive([update(p, 100, seqno, router_id=router_id) for p in known], 1, "tun1")
    assert found.speaker.counters["request_suppressed.neighbour-limit"] > 0
    assert found.speaker._state.caused_requests == len(found.speaker._state.requests) == 500
    # Each waits for the others.
    assert 500 < len(seqno_requests(found.wait(0.6))) < 2000


def test_who_confirms_nothing_and_asks_for_everything_is_told_retractions_now_and_then() -> None:
    found = bench()
    announce(found, 100)
    found.live(12.0)
    found.receive([retraction(None)], 1, "tun1")
    told = 0
    for _ in range(60):
        found.receive([RouteRequest(None)], 2, "tun2")
        sent = [tlv for _, d in found.wait_datagrams(0.1) if d.interface == "tun2" for tlv in tlvs_of(d)]
        told += sum(isinstance(tlv, Update) and tlv.metric == INFINITY for tlv in sent)
    # Four times in six seconds and in several copies; each answer would make sixty of it.
    assert 200 <= told <= 1000
