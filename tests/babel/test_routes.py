"""What a speaker learns from updates, selects and forgets (RFC 8966, sections 3.5 and 3.6)."""

import pytest

from babelwg.babel.events import RouteFlushed, RouteSelected, RoutesRefused
from babelwg.babel.parameters import InterfaceParameters, Parameters
from babelwg.babel.tables.source import FeasibilityDistance
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY, NOT_REPEATED, Acknowledgment, AcknowledgmentRequest, RouteRequest
from tests.babel.bench import (
    GROUP,
    ORIGIN,
    OUR_ADDRESS,
    OUR_ID,
    V4,
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
from tests.walkless import forbid_walks

OTHER = bytes.fromhex("02000000000000bb")


@pytest.fixture
def found() -> Bench:
    """Return a speaker with tunnels to neighbours 1, 2 and 3, which are reachable."""
    bench = Bench()
    for number in (1, 2, 3):
        bench.interface(f"tun{number}")
        bench.meet(number, f"tun{number}", hellos=16)
    bench.wait(0.5)
    return bench


def receive(bench: Bench, number: int, *tlvs) -> None:
    bench.receive(tlvs, number, f"tun{number}")


def route(bench: Bench, number: int, prefix: Prefix = P):
    return bench.route(number, prefix, f"tun{number}")


@pytest.mark.conformance("B3.5.3-3", "B3.2.6-2", "B3.5.3-9")
def test_a_finite_update_makes_a_route(found: Bench) -> None:
    receive(found, 1, update(metric=100, seqno=7))
    view = route(found, 1)
    assert (view.router_id, view.seqno, view.refmetric, view.metric) == (ORIGIN, 7, 100, 196)
    assert (view.next_hop, view.state) == (neighbour_address(1), "selected")
    assert view.expires == pytest.approx(3.5 * 16)
    assert found.events() == ["route-selected"]


@pytest.mark.conformance("B3.2.6-1")
def test_each_neighbour_has_one_route_per_prefix_whatever_the_router(found: Bench) -> None:
    receive(found, 1, update(metric=100))
    receive(found, 2, update(metric=50, number=2))
    receive(found, 1, update(metric=10, router_id=OTHER))
    assert len(found.snapshot().routes) == 2
    assert route(found, 1).router_id == OTHER


@pytest.mark.conformance("B3.5.3-2", "B3.5.1-4")
def test_a_retraction_of_an_unknown_route_is_ignored(found: Bench) -> None:
    receive(found, 1, retraction())
    assert found.snapshot().routes == ()
    assert found.events() == []


@pytest.mark.conformance("B3.6-1", "B4.6.9-15", "B3.5.3-5", "B4.6.9-8")
def test_a_retraction_is_matched_by_prefix_and_neighbour_only_and_keeps_the_expiry(found: Bench) -> None:
    receive(found, 1, update(metric=100))
    found.wait(5)
    receive(found, 1, retraction())
    view = route(found, 1)
    assert (view.refmetric, view.metric, view.state) == (INFINITY, INFINITY, "retracted")
    assert view.expires == pytest.approx(3.5 * 16 - 5)
    assert found.selected() is None


@pytest.mark.conformance("V2.1-3", "V2.2-2")
def test_an_ipv4_route_is_retracted_by_either_encoding(found: Bench) -> None:
    for encoding in ("01", "04"):
        receive(found, 1, update(V4, metric=100))
        assert found.selected(V4) == neighbour_address(1)
        body = bytes.fromhex(f"080d{encoding}001800012c0001ffffc00002")
        found.receive_octets(b"\x2a\x02" + len(body).to_bytes(2, "big") + body, 1, "tun1")
        assert found.selected(V4) is None


@pytest.mark.conformance("V2.2-2", "V2.2-3")
def test_both_encodings_of_an_ipv4_prefix_are_the_same_route(found: Bench) -> None:
    receive(found, 1, update(V4, metric=100))
    receive(found, 1, update(V4, metric=100, next_hop=bytes([192, 0, 2, 77])))
    assert len(found.snapshot().routes) == 1
    assert route(found, 1, V4).next_hop == bytes([192, 0, 2, 77])
    # The kernel hears of the new next hop although metric and neighbour are the same.
    assert found.events() == ["route-selected", "route-selected"]


@pytest.mark.conformance("V2.2-6", "V2.2-5")
def test_a_node_that_cannot_route_ipv4_over_ipv6_never_selects_such_a_route() -> None:
    bench = Bench(Parameters(v4_via_v6=False))
    bench.interface()
    bench.meet()
    bench.receive([update(V4, metric=100)])
    assert bench.snapshot().routes == ()
    assert bench.speaker.counters["update_refused.v4-via-v6"] == 1
    bench.receive([update(V4, metric=100, next_hop=bytes([192, 0, 2, 77]))])
    assert bench.selected(V4) == neighbour_address(1)


@pytest.mark.conformance("B4.6.9-9")
def test_a_wildcard_retraction_retracts_all_routes_of_its_sender_on_its_interface(found: Bench) -> None:
    receive(found, 1, update(P, metric=1), update(Q, metric=1))
    receive(found, 2, update(Q, metric=500, number=2, seqno=8))
    receive(found, 1, retraction(None))
    assert found.selected(P) is None
    assert found.selected(Q) == neighbour_address(2)


@pytest.mark.conformance("B3.5.3-8", "B3.7-4")
def test_a_route_expires_in_two_stages(found: Bench) -> None:
    receive(found, 1, update(metric=100))
    found.keep((), seconds=0)
    for _ in range(14):
        receive(found, 1, found.hello(1, "tun1"), found.ihu())
        found.wait(4)
    assert found.now == pytest.approx(1000.5 + 56)
    found.wait(0.1)
    assert route(found, 1).refmetric == INFINITY
    assert found.selected() is None
    for _ in range(14):
        receive(found, 1, found.hello(1, "tun1"), found.ihu())
        found.wait(4)
    assert route(found, 1) is None


@pytest.mark.conformance("B3.8.2.3-1", "B3.5.3-10")
@pytest.mark.parametrize("interval", [16.0, NOT_REPEATED])
def test_a_selected_route_is_asked_about_before_it_expires(found: Bench, interval: float) -> None:
    receive(found, 1, update(metric=100, interval=interval))
    receive(found, 2, update(metric=900, number=2, interval=interval))
    asked: list = []
    rounds = 0
    while not asked and rounds < 1000:
        for number in (1, 2, 3):
            receive(found, number, found.hello(number, f"tun{number}"), found.ihu())
        asked = [t for t in found.wait(4) if isinstance(t, RouteRequest) and t.prefix == P]
        rounds += 1
    assert found.selected() == neighbour_address(1)
    assert 2.9 * interval < found.now - 1000.5 < 3.5 * interval
    assert asked == [RouteRequest(P)]


@pytest.mark.conformance("B3.5.1-2", "B3.5.1-3", "B3.5.1-5", "B3.6-2", "B3.7.3-1", "B3.5.1-1")
def test_what_was_announced_bounds_what_is_feasible(found: Bench) -> None:
    receive(found, 1, update(metric=100, seqno=7))
    assert found.distance() is None  # nothing has been sent yet
    found.wait(0.1)
    assert found.distance() == (7, 196)
    cases = [
        (7, 195, True),
        (7, 196, False),
        (7, 300, False),
        (8, 60000, True),
        (6, 1, False),
        (7, INFINITY, True),
    ]
    for seqno, metric, feasible in cases:
        receive(
            found, 3, retraction() if metric == INFINITY else update(metric=metric, seqno=seqno, number=3)
        )
        view = route(found, 3)
        assert (view.state != "unfeasible") is feasible, (seqno, metric)
        receive(found, 3, retraction())
    # The cost of our own link plays no part in it.
    receive(found, 3, update(metric=195, seqno=7, number=3))
    receive(found, 3, found.ihu(rxcost=9000))
    assert route(found, 3).state == "feasible"


@pytest.mark.conformance("B3.5.1-1")
@pytest.mark.parametrize(
    ("known", "seqno", "metric", "feasible"),
    [((65535, 100), 0, 5000, True), ((0, 100), 65535, 5, False), ((5, 100), 5 + 32768, 5, False)]
    + [((5, 100), 5, 99, True), ((5, 100), 5, 100, False)],
)
def test_distances_wrap(known: tuple[int, int], seqno: int, metric: int, feasible: bool) -> None:
    assert FeasibilityDistance(*known).admits(seqno, metric) is feasible


@pytest.mark.conformance("B3.5.3-4", "B3.8.2.2-1", "B3.8.2.1-2")
def test_an_unfeasible_update_from_the_selected_next_hop_is_ignored_and_answered_by_a_request(
    found: Bench,
) -> None:
    receive(found, 1, update(metric=100, seqno=7))
    found.wait(0.2)
    receive(found, 1, update(metric=400, seqno=7))
    view = route(found, 1)
    assert (view.refmetric, view.state) == (100, "selected")
    requests = seqno_requests(found.sent())
    assert [(r.prefix, r.router_id, r.seqno, r.hop_count) for r in requests] == [(P, ORIGIN, 8, 64)]
    receive(found, 1, update(metric=400, seqno=8))
    assert route(found, 1).metric == 496


@pytest.mark.conformance("B3.5.3-6", "B3.6-2")
def test_an_unfeasible_update_with_another_router_unselects_the_route(found: Bench) -> None:
    receive(found, 2, update(metric=10, number=2, router_id=OTHER))
    found.wait(0.2)  # announced at 106 for the other router
    receive(found, 2, retraction())
    receive(found, 1, update(metric=100))
    found.wait(0.2)
    assert found.selected() == neighbour_address(1)
    receive(found, 1, update(metric=300, router_id=OTHER))
    assert found.selected() is None
    assert route(found, 1).state == "unfeasible"


@pytest.mark.conformance("B3.6-3")
def test_a_newer_seqno_alone_wins_nothing(found: Bench) -> None:
    receive(found, 1, update(metric=100, seqno=7))
    receive(found, 2, update(metric=100, seqno=9, number=2))
    assert found.selected() == neighbour_address(1)


@pytest.mark.conformance("BA.3-2")
def test_the_smallest_metric_is_taken_when_nothing_is_selected(found: Bench) -> None:
    receive(found, 1, update(metric=300, seqno=8))
    receive(found, 2, update(metric=200, number=2, seqno=8))
    receive(found, 3, update(metric=250, number=3, seqno=8))
    receive(found, 2, retraction())
    assert found.selected() == neighbour_address(3)


@pytest.mark.conformance("B3.6-4", "BA.3-1", "BA.3-3")
def test_a_route_is_left_for_one_that_is_clearly_better_for_a_while_or_better_on_average(
    found: Bench,
) -> None:
    receive(found, 1, update(metric=100, seqno=7))
    receive(found, 2, update(metric=200, number=2, seqno=50))
    keep_all(found, 30)
    assert found.selected() == neighbour_address(1)
    receive(found, 1, update(metric=210, seqno=8))  # worse now, better on average
    assert found.selected() == neighbour_address(1)
    receive(found, 1, update(metric=100, seqno=9))
    keep_all(found, 2)
    assert found.selected() == neighbour_address(1)
    receive(found, 1, update(metric=400, seqno=10))
    keep_all(found, 0.5)
    receive(found, 1, update(metric=100, seqno=11))
    keep_all(found, 2)
    receive(found, 1, update(metric=400, seqno=12))
    keep_all(found, 0.7)
    assert found.selected() == neighbour_address(1)
    keep_all(found, 0.1)
    assert found.selected() == neighbour_address(2)


@pytest.mark.conformance("BA.3-1", "BA.3-3", "R4.3-1")
def test_a_slightly_better_route_is_taken_at_most_once_a_minute(found: Bench) -> None:
    receive(found, 1, update(metric=100, seqno=7))
    receive(found, 2, update(metric=95, number=2, seqno=50))
    assert found.selected() == neighbour_address(2)
    changed = found.now
    for seqno in range(8, 13):
        keep_all(found, 10)
        receive(found, 1, update(metric=90, seqno=50 + seqno))
        receive(found, 2, update(metric=95, number=2, seqno=50))
        assert found.selected() == neighbour_address(2)
    keep_all(found, changed + 60.1 - found.now)
    assert found.selected() == neighbour_address(1)


def test_an_unusable_link_is_left_at_once(found: Bench) -> None:
    receive(found, 1, update(metric=100))
    receive(found, 2, update(metric=500, number=2, seqno=8))
    receive(found, 1, found.ihu(rxcost=INFINITY))
    assert found.selected() == neighbour_address(2)


@pytest.mark.conformance("B3.4.1-8", "B3.2.6-2")
def test_a_change_of_cost_changes_metrics_but_not_what_was_advertised(found: Bench) -> None:
    receive(found, 1, update(metric=100))
    receive(found, 1, found.ihu(rxcost=300))
    view = route(found, 1)
    assert (view.refmetric, view.metric) == (100, 400)


@pytest.mark.conformance("BC-2")
def test_martian_prefixes_are_discarded(found: Bench) -> None:
    for text in ("fe80::/64", "ff02::/16", "127.0.0.1/32", "0.0.0.0/32", "224.0.0.0/8"):
        receive(found, 1, update(Prefix.parse(text), metric=1))
    assert found.snapshot().routes == ()
    assert found.speaker.counters["update_refused.martian"] == 5
    with pytest.raises(ValueError, match="must not be routed"):
        found.speaker.announce(Prefix.parse("ff02::/16"), 0, found.now)


def test_a_neighbour_that_announces_without_end_is_told_of_now_and_then_and_harms_nobody() -> None:
    bench = Bench(Parameters(max_routes_per_neighbour=100))
    for number in (1, 2):
        bench.interface(f"tun{number}")
        bench.meet(number, f"tun{number}")
    receive(bench, 2, update(Q, metric=5, number=2))
    told = []
    for second in range(90):
        many = [Prefix.parse(f"2001:db8:{second:x}:{number:x}::/64") for number in range(50)]
        bench.keep((1,), "tun1", 0.0)
        receive(bench, 1, *[update(prefix, metric=5) for prefix in many])
        bench.now += 1.0
        told += [str(event) for event in bench.speaker.events() if isinstance(event, RoutesRefused)]
    line = "routes-refused neighbour=fe80::1001%tun1 limit=100 of=neighbour: its further routes are ignored"
    assert told == [line, line]
    assert len([r for r in bench.snapshot().routes if r.interface == "tun1"]) == 100
    assert bench.speaker.counters["route_refused.neighbour-limit"] == 90 * 50 - 100
    # The other one's route stands, and what it announces next is taken.
    receive(bench, 2, update(P, metric=5, number=2))
    assert [bench.selected(prefix) for prefix in (P, Q)] == [neighbour_address(2)] * 2


def test_our_own_routes_and_addresses_do_not_come_back_to_us(found: Bench) -> None:
    receive(found, 1, update(metric=1, router_id=OUR_ID))
    receive(found, 1, update(metric=1, next_hop=OUR_ADDRESS))
    receive(found, 1, update(V4, metric=1, next_hop=bytes([127, 0, 0, 1])))
    receive(found, 1, update(V4, metric=1, next_hop=bytes([224, 0, 0, 1])))
    assert found.snapshot().routes == ()
    assert found.speaker.counters["update_refused.own-router-id"] == 1
    assert found.speaker.counters["update_refused.own-next-hop"] == 1
    assert found.speaker.counters["update_refused.bad-next-hop"] == 2


def test_a_refused_update_ends_the_route_that_its_sender_announced_before(found: Bench) -> None:
    receive(found, 1, update(metric=1))
    receive(found, 1, update(metric=1, router_id=OUR_ID))
    assert route(found, 1).state == "retracted"


def test_routes_beyond_the_limits_are_refused_and_counted() -> None:
    bench = Bench(Parameters(max_routes_per_neighbour=3, max_routes=4))
    for number in (1, 2):
        bench.interface(f"tun{number}")
        bench.meet(number, f"tun{number}")
    many = [Prefix.parse(f"2001:db8:{number:x}::/48") for number in range(5)]
    receive(bench, 1, *[update(prefix, metric=5) for prefix in many])
    receive(bench, 2, *[update(prefix, metric=5, number=2) for prefix in many])
    assert [len([r for r in bench.snapshot().routes if r.interface == f"tun{n}"]) for n in (1, 2)] == [3, 1]
    assert bench.speaker.counters["route_refused.neighbour-limit"] == 2
    assert bench.speaker.counters["route_refused.total-limit"] == 4
    # An update for a route that is known is as good as ever.
    receive(bench, 1, update(many[0], metric=9))
    assert bench.route(1, many[0], "tun1").refmetric == 9


def crowded(limit: int = 30, **limits: int) -> Bench:
    """Return a speaker with neighbours on two tunnels, of which the first announces two thirds of its limit."""
    bench = Bench(Parameters(max_routes_per_neighbour=limit, **limits))
    for number in (1, 2):
        bench.interface(f"tun{number}")
        bench.meet(number, f"tun{number}", hellos=16)
    receive(bench, 1, *map(update, numbered(8, 20)))
    bench.wait(0.2)
    return bench


def numbered(block: int, count: int) -> list[Prefix]:
    return [Prefix.parse(f"2001:db{block:x}:{number:x}::/48") for number in range(count)]


def test_a_neighbour_that_renumbers_has_room_for_its_new_prefixes_at_once() -> None:
    bench, new = crowded(), numbered(9, 20)
    receive(bench, 1, retraction(None), *map(update, new))
    assert [bench.selected(prefix) for prefix in new] == [neighbour_address(1)] * 20
    assert bench.speaker.counters["route_refused.neighbour-limit"] == 0
    assert len(bench.snapshot().routes) <= 30
    receive(bench, 1, *map(update, numbered(10, 20)))
    assert bench.speaker.counters["route_refused.neighbour-limit"] == 10, "what is announced stays"
    assert [bench.selected(prefix) for prefix in new] == [neighbour_address(1)] * 20


def test_a_retracted_route_that_makes_room_leaves_its_prefix_unreachable_and_closes_no_loop() -> None:
    bench, old = crowded(), numbered(8, 20)
    bench.events()
    receive(bench, 1, retraction(None), *map(update, numbered(9, 30)))
    assert len(bench.snapshot().routes) == 30
    assert set(bench.snapshot().held) == set(old), "the other neighbour has not acknowledged the retractions"
    assert "route-flushed" not in bench.events()
    # It may have chosen us before: what it says now is not better than what we said (§3.5.1).
    receive(bench, 2, update(old[0], metric=96, number=2))
    assert bench.selected(old[0]) is None
    assert bench.route(2, old[0], "tun2").state == "unfeasible"
    # Nor is anything else forgotten sooner: it is known again with the next update.
    receive(bench, 1, retraction(numbered(9, 1)[0]), update(old[0]))
    assert bench.selected(old[0]) == neighbour_address(1)


def test_a_peer_with_a_new_address_has_the_room_of_its_dead_one() -> None:
    bench, known = crowded(), numbered(8, 20)
    bench.meet(11, "tun1", hellos=16)
    fresh = [update(prefix, number=11, seqno=8) for prefix in known]
    bench.receive(fresh, 11, "tun1")
    assert bench.speaker.counters["route_refused.neighbour-limit"] == 10
    bench.keep((11,), "tun1", 12.1)
    bench.receive(fresh, 11, "tun1")
    assert [bench.selected(prefix) for prefix in known] == [neighbour_address(11)] * 20
    assert len([view for view in bench.snapshot().routes if view.interface == "tun1"]) <= 30


def test_who_is_not_reachable_takes_nobodys_room() -> None:
    bench = crowded()
    bench.receive([bench.ihu(INFINITY)], 1, "tun1")
    receive(bench, 1, *map(update, numbered(9, 20)))
    bench.receive([bench.hello(11, "tun1"), *(update(p, number=11) for p in numbered(10, 5))], 11, "tun1")
    bench.receive([bench.ihu()], 1, "tun1")
    assert [bench.selected(prefix) for prefix in numbered(8, 20)] == [neighbour_address(1)] * 20
    assert bench.speaker.counters["route_refused.neighbour-limit"] == 15


def test_what_anybody_has_retracted_makes_room_where_all_have_too_many() -> None:
    bench = crowded(max_routes=25)
    receive(bench, 2, *(update(prefix, number=2) for prefix in numbered(9, 10)))
    assert bench.speaker.counters["route_refused.total-limit"] == 5
    receive(bench, 1, *map(retraction, numbered(8, 5)))
    receive(bench, 2, *(update(prefix, number=2) for prefix in numbered(9, 10)))
    assert [bench.selected(prefix) for prefix in numbered(9, 10)] == [neighbour_address(2)] * 10
    assert bench.speaker.counters["route_refused.total-limit"] == 5
    assert len(bench.snapshot().routes) == 25


def test_of_retracted_routes_that_are_forgotten_or_announced_again_nothing_is_kept() -> None:
    bench, table = crowded(), numbered(8, 20)
    retracted = bench.speaker._state.routes.retracted
    receive(bench, 1, *map(retraction, table))
    assert len(retracted()) == 20
    receive(bench, 1, *map(update, table[:5]), *map(update, numbered(9, 10)))
    assert len(retracted()) == 15
    bench.wait(70.0)
    assert (bench.neighbour(1, "tun1"), bench.snapshot().routes, retracted()) == (None, (), ())


def test_no_table_is_looked_through_for_an_update_that_is_refused() -> None:
    bench = crowded(limit=20)
    interface = bench.speaker._state.interfaces["tun1"]
    forbid_walks(interface.neighbours[neighbour_address(1)], "routes", "finite")
    forbid_walks(bench.speaker._state.routes, "by_prefix", "selected")
    receive(bench, 1, update(numbered(9, 1)[0]))
    assert bench.speaker.counters["route_refused.neighbour-limit"] == 1


@pytest.mark.conformance("B3.5.4-1", "B3.5.4-2", "B3.5.4-3")
def test_a_lost_prefix_is_unreachable_until_a_route_is_found(found: Bench) -> None:
    receive(found, 1, update(metric=100))
    found.wait(0.2)
    found.events()
    receive(found, 1, retraction())
    assert found.events() == ["route-retracted"]
    assert found.snapshot().held == (P,)
    receive(found, 2, update(metric=50, number=2, seqno=8))
    assert found.events() == ["route-selected"]
    assert found.snapshot().held == ()


@pytest.mark.conformance("B3.5.4-4", "B3.3-3", "B3.7.2-5")
def test_a_lost_prefix_is_released_when_all_neighbours_have_acknowledged(found: Bench) -> None:
    receive(found, 1, update(metric=100))
    found.wait(3)
    found.events()
    receive(found, 1, retraction())
    asked = {}
    for datagram in found.datagrams():
        tlvs = tlvs_of(datagram)
        assert datagram.destination[0] == GROUP
        assert [u.metric for u in updates(tlvs)] == [INFINITY]
        asked[datagram.interface] = [t.opaque for t in tlvs if isinstance(t, AcknowledgmentRequest)]
    assert sorted(asked) == ["tun1", "tun2", "tun3"]
    found.events()
    receive(found, 2, Acknowledgment(asked["tun2"][0]))
    receive(found, 3, Acknowledgment(asked["tun2"][0]))  # the wrong one counts for nothing
    assert found.events() == []
    receive(found, 3, Acknowledgment(asked["tun3"][0]))
    assert found.events() == ["route-flushed"]  # neighbour 1 has retracted the prefix itself
    assert found.snapshot().held == ()


def test_where_only_the_next_hop_is_there_its_retraction_leaves_nobody_to_wait_for() -> None:
    bench = Bench()
    bench.interface()
    bench.meet()
    bench.receive([update(metric=100)])
    bench.receive([retraction()])
    flushed = [event for event in bench.speaker.events() if isinstance(event, RouteFlushed)]
    assert [event.cause for event in flushed] == ["no-neighbour"]


@pytest.mark.conformance("B3.5.4-3")
def test_who_retracted_before_we_announced_may_have_chosen_us_since(found: Bench) -> None:
    receive(found, 2, update(metric=50, number=2))
    receive(found, 2, retraction())
    receive(found, 1, update(metric=100, seqno=9))
    found.wait(3)
    found.datagrams()
    receive(found, 1, retraction())
    asked = {
        d.interface: t.opaque
        for d in found.datagrams()
        for t in tlvs_of(d)
        if isinstance(t, AcknowledgmentRequest)
    }
    receive(found, 3, Acknowledgment(asked["tun3"]))
    assert found.snapshot().held == (P,)
    receive(found, 2, Acknowledgment(asked["tun2"]))
    assert found.snapshot().held == ()


@pytest.mark.conformance("B3.5.4-3")
def test_a_lost_prefix_is_released_in_the_end_also_without_acknowledgments(found: Bench) -> None:
    receive(found, 1, update(metric=100))
    found.wait(1)
    receive(found, 1, retraction())
    keep_all(found, 52)
    assert found.snapshot().held == (P,)
    keep_all(found, 8)
    assert found.snapshot().held == ()


def test_a_prefix_of_ours_wins_against_a_learned_one(found: Bench) -> None:
    receive(found, 1, update(metric=1))
    found.events()
    found.speaker.announce(P, 0, found.now)
    assert found.events() == ["route-flushed"]
    receive(found, 1, update(metric=0, seqno=99))
    assert found.events() == []
    found.speaker.withdraw(P, found.now)
    assert found.events() == ["route-selected"]


def test_removing_an_interface_moves_its_routes_to_others(found: Bench) -> None:
    receive(found, 1, update(metric=100))
    receive(found, 2, update(metric=200, number=2, seqno=8))
    found.speaker.remove_interface("tun1", found.now)
    assert found.selected() == neighbour_address(2)
    assert [v.name for v in found.snapshot().interfaces] == ["tun2", "tun3"]
    found.wait(30)


def keep_all(bench: Bench, seconds: float) -> None:
    """Let time pass with Hellos and IHUs from all three neighbours, but no updates."""
    end = bench.now + seconds
    while bench.now < end:
        for number in (1, 2, 3):
            receive(bench, number, bench.hello(number, f"tun{number}"), bench.ihu())
        bench.wait(min(4.0, end - bench.now))


def test_interface_parameters_have_the_defaults_of_their_kind() -> None:
    assert InterfaceParameters().packet_size == 1420 - 48
    assert InterfaceParameters.wired().packet_size == 1500 - 48
    assert not InterfaceParameters.wireless().split_horizon


@pytest.mark.conformance("B3.8.2.2-1", "R4.3-1")
def test_a_seqno_is_asked_for_when_a_better_path_is_unfeasible_and_again_until_it_is_not(
    found: Bench,
) -> None:
    receive(found, 1, update(metric=0, seqno=7))
    found.wait(0.2)  # announced at 96
    receive(found, 2, update(metric=96, seqno=7, number=2))
    assert route(found, 2).state == "unfeasible"
    assert seqno_requests(found.sent()) == []
    receive(found, 1, found.ihu(rxcost=199))  # worse by 7 now, which is nothing
    assert seqno_requests(found.sent()) == []
    receive(found, 1, found.ihu(rxcost=212))  # by 20
    asked = [d for d in found.datagrams() if seqno_requests(tlvs_of(d))]
    assert [(d.interface, d.destination[0]) for d in asked] == [("tun2", neighbour_address(2))]
    assert [(r.router_id, r.seqno) for r in seqno_requests(tlvs_of(asked[0]))] == [(ORIGIN, 8)]
    # Without an answer it is asked again, but not more often than every two seconds.
    receive(found, 1, found.hello(1, "tun1"), found.ihu(rxcost=212))
    receive(found, 2, found.hello(2, "tun2"), found.ihu())
    assert len(seqno_requests(found.wait(3.5))) == 1
    assert found.selected() == neighbour_address(1)
    receive(found, 2, update(metric=96, seqno=8, number=2))
    assert found.selected() == neighbour_address(1)
    assert seqno_requests(found.wait(0.8)) == []
    assert found.selected() == neighbour_address(2)
    assert seqno_requests(found.wait(3)) == []


def states(bench: Bench) -> dict[int, str]:
    """Return the state of the route through each neighbour."""
    views = {number: route(bench, number) for number in (1, 2, 3)}
    return {number: view.state for number, view in views.items() if view is not None}


def refuse(bench: Bench, number: int) -> None:
    """Let the kernel refuse the route that was selected last, through this neighbour."""
    (chosen,) = [e for e in bench.speaker.events() if isinstance(e, RouteSelected)]
    assert chosen.interface == f"tun{number}"
    bench.speaker.refuse_ways([(chosen, "no route to host")], bench.now)


def test_of_several_routes_the_next_best_is_used_where_the_kernel_refuses_the_best(found: Bench) -> None:
    receive(found, 2, update(metric=100))
    found.wait(0.5)
    found.events()
    receive(found, 1, update(metric=0))
    refuse(found, 1)
    assert found.events() == ["route-selected"]
    assert states(found) == {1: "refused", 2: "selected"}
    assert {u.metric for u in updates(found.sent())} == {196}, "nobody hears of what was refused"
    receive(found, 1, update(metric=1))
    assert found.events() == [], "it goes the same way"
    found.speaker.allow_ways(found.now)
    refuse(found, 1)
    assert states(found) == {1: "refused", 2: "selected"}
    found.events()
    receive(found, 1, update(metric=1, next_hop=neighbour_address(9)))
    assert found.events() == ["route-selected"]
    assert states(found) == {1: "selected", 2: "feasible"}


def test_a_prefix_is_retracted_where_the_kernel_refuses_all_its_routes(found: Bench) -> None:
    for number in (1, 2):
        receive(found, number, update(metric=0))
    refuse(found, 1)
    refuse(found, 2)
    assert found.events() == ["route-retracted"]
    found.sent()
    assert seqno_requests(found.wait(2.0)) == [], "a newer seqno would make no difference"
    assert states(found) == {1: "refused", 2: "refused"}
    receive(found, 3, update(metric=0))
    assert found.events() == ["route-selected"]
    receive(found, 1, retraction())
    receive(found, 2, retraction())
    found.speaker.allow_ways(found.now)
    assert states(found) == {1: "retracted", 2: "retracted", 3: "selected"}
