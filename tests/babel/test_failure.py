"""Links that the shell found dead: left at once, tried again, used again when they prove to live."""

from dataclasses import replace

import pytest

from babelwg.babel.datagram import Datagram
from babelwg.babel.operation.queueing import MAX_UNTOLD
from babelwg.babel.parameters import InterfaceParameters, Parameters
from babelwg.babel.tables.allowance import Allowance
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import (
    INFINITY,
    Acknowledgment,
    AcknowledgmentRequest,
    Hello,
    Ihu,
    RouteRequest,
    SubTlv,
    SubTlvType,
    Update,
)
from tests.babel.bench import V4, Bench, Q, neighbour_address, tlvs_of, update
from tests.walkless import forbid_walks

WHY = "8 probes in 120 ms were not answered"
FIRST, SECOND = neighbour_address(1), neighbour_address(2)


def two_ways() -> Bench:
    """Return a speaker that reaches P over either of two tunnels, the first one being the shorter way."""
    bench = Bench()
    for number, name in ((1, "one"), (2, "two")):
        bench.interface(name)
        bench.meet(number, name)
    bench.receive([update(metric=50)], 2, "two")
    bench.receive([update(metric=0)], 1, "one")
    bench.sent()
    bench.events()
    assert bench.selected() == FIRST
    return bench


def test_a_dead_link_is_left_at_once_and_its_neighbour_told() -> None:
    bench = two_ways()
    bench.speaker.fail_link("one", WHY, bench.now)
    assert bench.selected() == SECOND
    assert bench.speaker.failed_links() == {"one"}
    view = bench.neighbour(1, "one")
    assert view is not None and (view.cost, view.rxcost, view.txcost) == (INFINITY, INFINITY, INFINITY)
    assert bench.events() == ["link-failed", "link-cost-changed", "route-selected"]
    ihus = [t for d in bench.datagrams() if d.interface == "one" for t in tlvs_of(d) if isinstance(t, Ihu)]
    assert [ihu.rxcost for ihu in ihus] == [INFINITY]


MANY = [Prefix.parse(f"2001:db8:{number:x}::/48") for number in range(16, 36)] + [
    Prefix.parse(f"10.0.{number}.0/24") for number in range(4)
]


def full_table(others: int, room: int) -> Bench:
    """Return a speaker that has routes for many prefixes over a link, and tells others of them, with so much room."""
    found = Bench(Parameters(max_queued_updates=room))
    for number in range(1 + others):
        found.interface(f"tun{number}")
        found.meet(number, f"tun{number}")
    found.receive([update(prefix, metric=0) for prefix in MANY], 0, "tun0")
    found.wait(3.0)
    return found


@pytest.mark.parametrize("room", [24, 7])
def test_what_was_lost_with_a_link_is_told_to_all_others_as_far_as_there_is_room(room: int) -> None:
    found = full_table(3, room)
    refused = found.speaker.counters["update_suppressed.queue-full"]
    found.speaker.fail_link("tun0", "probes", found.now)
    datagrams = [datagram for datagram in found.datagrams() if datagram.interface == "tun2"]
    assert [t.prefix for d in datagrams for t in tlvs_of(d) if type(t) is Update] == MANY[:room]
    assert found.speaker.counters["update_suppressed.queue-full"] - refused == 4 * (24 - room)


def test_a_full_table_that_becomes_dearer_is_told_to_all_others() -> None:
    found = full_table(3, 24)
    found.receive([found.hello(0, "tun0"), found.ihu(400)], 0, "tun0")
    dearer: dict[str, set[Prefix | None]] = {}
    for _, datagram in found.wait_datagrams(0.15):
        updates = {t.prefix for t in tlvs_of(datagram) if type(t) is Update and t.metric > 300}
        dearer.setdefault(datagram.interface, set()).update(updates)
    assert all(dearer[name] == set(MANY) for name in ("tun1", "tun2", "tun3"))


def test_a_neighbour_on_a_dead_link_is_told_again_and_again_that_it_is_not_heard() -> None:
    bench = two_ways()
    dead = bench.now
    bench.speaker.fail_link("one", WHY, dead)
    told = [
        round(when - dead, 2)
        for when, datagram in bench.wait_datagrams(3.5)
        for tlv in tlvs_of(datagram)
        if datagram.interface == "one" and isinstance(tlv, Ihu) and tlv.rxcost == INFINITY
    ]
    assert told == [0.0, 0.1, 0.3, 1.0, 2.0]


def test_a_dead_link_without_another_way_makes_its_prefixes_unreachable() -> None:
    bench = Bench()
    bench.interface()
    bench.meet()
    bench.receive([update()])
    bench.events()
    bench.speaker.fail_link("tun", WHY, bench.now)
    assert bench.selected() is None
    assert "route-retracted" in bench.events()


def retracted(bench: Bench, interface: str) -> list[Prefix | None]:
    """Return what was retracted on an interface since the last look."""
    return [t.prefix for t in retractions([d for d in bench.datagrams() if d.interface == interface])]


def retractions(datagrams: list[Datagram]) -> list[Update]:
    tlvs = [tlv for datagram in datagrams for tlv in tlvs_of(datagram)]
    return [tlv for tlv in tlvs if isinstance(tlv, Update) and tlv.metric == INFINITY]


def test_what_was_retracted_on_a_dead_link_is_retracted_again_when_it_lives() -> None:
    bench = two_ways()
    q = {"prefix": Q, "router_id": bytes(7) + b"q"}
    bench.receive([update(**q)], 2, "two")
    bench.speaker.fail_link("one", WHY, bench.now)
    bench.receive([update(**q, metric=INFINITY)], 2, "two")
    bench.wait(0.1)
    bench.speaker.restore_link("one", bench.now)
    assert Q not in retracted(bench, "one"), "nobody there has said yet that he hears us"
    bench.receive([bench.ihu()], 1, "one")
    told = [d for d in bench.datagrams() if d.interface == "one"]
    assert [t.prefix for t in retractions(told)] == [Q]
    nonces = [t.opaque for d in told for t in tlvs_of(d) if isinstance(t, AcknowledgmentRequest)]
    bench.receive([Acknowledgment(nonce) for nonce in nonces], 1, "one")
    bench.speaker.fail_link("one", WHY, bench.now)
    bench.wait(0.1)
    bench.speaker.restore_link("one", bench.now)
    bench.receive([bench.ihu()], 1, "one")
    assert Q not in retracted(bench, "one"), "it was told"


@pytest.mark.parametrize("has_left", [True, False], ids=["under way", "still queued"])
def test_what_was_retracted_a_moment_before_its_link_was_found_dead_is_retracted_again(
    has_left: bool,
) -> None:
    bench = two_ways()
    q = {"prefix": Q, "router_id": bytes(7) + b"q"}
    bench.receive([update(**q)], 2, "two")
    bench.live(9.0)
    bench.receive([update(**q, metric=INFINITY)], 2, "two")
    if has_left:
        assert Q in retracted(bench, "one"), "it is lost on its way"
        bench.wait(0.1)
    bench.speaker.fail_link("one", WHY, bench.now)
    bench.wait(1.0)
    bench.speaker.restore_link("one", bench.now)
    bench.receive([bench.ihu()], 1, "one")
    assert retracted(bench, "one") == [Q]


def test_a_second_copy_that_waits_when_its_link_is_found_dead_is_not_forgotten() -> None:
    bench = away_while_lost(10)
    bench.wait(0.3)
    (neighbour,) = bench.speaker._state.interfaces["one"].neighbours.values()
    neighbour.outbox.urgent[V4] = 2
    bench.speaker.fail_link("one", WHY, bench.now)
    assert {Q, V4} <= neighbour.untold.keys()
    assert len(neighbour.untold) == 12


def test_what_was_on_its_way_to_a_neighbour_that_is_lost_is_forgotten_with_it() -> None:
    bench = away_while_lost(10)
    state = bench.speaker._state
    former = state.interfaces["one"].neighbours[FIRST]
    bench.speaker.fail_link("one", WHY, bench.now)
    bench.keep([2], "two", seconds=80.0)
    assert "neighbour-lost" in bench.events()
    assert not any(former in pending.waiting for pending in state.acknowledgments.values())
    bench.meet(1, "one")
    assert not state.interfaces["one"].neighbours[FIRST].untold


def test_of_what_was_on_its_way_to_a_dead_link_no_more_is_remembered_than_of_what_nobody_confirms() -> None:
    bench = away_while_lost(5000)
    (neighbour,) = bench.speaker._state.interfaces["one"].neighbours.values()
    assert not neighbour.untold
    bench.speaker.fail_link("one", WHY, bench.now)
    assert len(neighbour.untold) == MAX_UNTOLD
    assert Q in neighbour.untold


def test_what_came_again_while_a_link_was_dead_is_not_retracted_when_it_lives() -> None:
    bench = two_ways()
    q = {"prefix": Q, "router_id": bytes(7) + b"q"}
    bench.speaker.fail_link("one", WHY, bench.now)
    for metric in (0, INFINITY, 0):
        bench.receive([update(**q, metric=metric)], 2, "two")
        bench.wait(0.1)
    bench.speaker.restore_link("one", bench.now)
    bench.receive([bench.ihu()], 1, "one")
    assert Q not in retracted(bench, "one")


@pytest.mark.parametrize("away", [0.1, 9.0])
def test_who_was_away_when_something_was_retracted_hears_it_when_he_asks_for_all(away: float) -> None:
    """His kernel answers, so the link lives; the copies went unheard, or the next one is seconds away."""
    bench = two_ways()
    q = {"prefix": Q, "router_id": bytes(7) + b"q"}
    bench.receive([update(**q)], 2, "two")
    bench.wait(10.0)
    bench.receive([update(**q, metric=INFINITY)], 2, "two")
    bench.receive([bench.hello(1, "one"), bench.ihu()], 1, "one")
    assert Q in retracted(bench, "one")
    bench.wait(away)
    bench.receive([RouteRequest(None)], 1, "one")
    told = [d for d in bench.datagrams() if d.interface == "one"]
    assert [t.prefix for t in retractions(told)] == [Q]
    # Who confirms it need not hear it again.
    (nonce,) = [t.opaque for d in told for t in tlvs_of(d) if isinstance(t, AcknowledgmentRequest)]
    bench.receive([Acknowledgment(nonce), RouteRequest(None)], 1, "one")
    assert retracted(bench, "one") == []


def away_while_lost(count: int, lan: bool = False) -> Bench:
    """Return a speaker that has lost many prefixes, and Q a moment before, while neighbour 1 heard nothing."""
    bench = Bench(Parameters(route_work=10**6, route_work_burst=10**6))
    bench.interface("one", InterfaceParameters.wired() if lan else None)
    bench.interface("two")
    for number, name in ((1, "one"), *([(3, "one")] if lan else []), (2, "two")):
        bench.meet(number, name)
    q = {"prefix": Q, "router_id": bytes(7) + b"q"}
    many = [Prefix.parse(f"2001:db8:{100 + n:x}::/48") for n in range(count)]
    for prefix in many:
        bench.receive([update(prefix)], 2, "two")
    bench.receive([update(**q)], 2, "two")
    bench.live(9.0)
    for start in range(0, count, 500):
        bench.receive([update(prefix, metric=INFINITY) for prefix in many[start : start + 500]], 2, "two")
    bench.receive([update(**q, metric=INFINITY)], 2, "two")
    bench.wait(0.4)
    return bench


def test_who_asks_for_all_hears_of_all_that_was_retracted_however_much() -> None:
    bench = away_while_lost(6000)
    bench.receive([RouteRequest(None)], 1, "one")
    told = [d for _, d in bench.wait_datagrams(3.0) if d.interface == "one"]
    assert len({t.prefix for t in retractions(told)}) == 6001


def test_who_asks_for_all_on_a_lan_is_told_alone_of_what_it_did_not_confirm() -> None:
    bench = away_while_lost(10, lan=True)
    bench.live(20.0)
    bench.sent()
    bench.receive([RouteRequest(None)], 1, "one")
    told = [d for _, d in bench.wait_datagrams(0.5) if d.interface == "one" and retractions([d])]
    assert {d.destination[0] for d in told} == {FIRST}
    assert len({t.prefix for t in retractions(told)}) == 11


def test_an_ask_that_has_to_wait_is_answered_with_the_retractions_too() -> None:
    bench = away_while_lost(10)
    bench.wait(9.0)
    for _ in range(4):
        bench.receive([RouteRequest(None)], 1, "one")
    bench.sent()
    (neighbour,) = bench.speaker._state.interfaces["one"].neighbours.values()
    for prefix in (Q, V4):
        neighbour.untold[prefix] = None
    told = [d for _, d in bench.wait_datagrams(2.5) if d.interface == "one"]
    assert {Q, V4} <= {t.prefix for t in retractions(told)}


def test_of_what_nobody_confirms_the_latest_is_remembered_and_no_more() -> None:
    bench = away_while_lost(5000)
    bench.live(60.0)
    (neighbour,) = bench.speaker._state.interfaces["one"].neighbours.values()
    assert len(neighbour.untold) == MAX_UNTOLD
    assert Q in neighbour.untold
    assert bench.speaker.counters["update_suppressed.untold"] > 0


def test_to_find_it_dead_twice_is_to_find_it_dead_once() -> None:
    bench = two_ways()
    for _ in range(3):
        bench.speaker.fail_link("one", WHY, bench.now)
    assert bench.events().count("link-failed") == 1
    for _ in range(3):
        bench.speaker.restore_link("one", bench.now)
    assert bench.events().count("link-restored") == 1


def test_an_unknown_link_is_nobodys() -> None:
    bench = two_ways()
    bench.speaker.fail_link("none", WHY, bench.now)
    bench.speaker.restore_link("none", bench.now)
    bench.speaker.ask("none", bench.now)
    assert not bench.speaker.has_alternative("none")
    assert bench.events() == []


def test_nothing_that_is_heard_brings_a_dead_link_back_at_once() -> None:
    bench = two_ways()
    bench.speaker.fail_link("one", WHY, bench.now)
    bench.receive([bench.hello(1, "one"), bench.ihu(), update(metric=0)], 1, "one")
    assert bench.selected() == SECOND
    assert bench.neighbour(1, "one").cost == INFINITY  # type: ignore[union-attr]


def test_a_restored_link_costs_what_it_did_however_long_it_was_dead() -> None:
    bench = two_ways()
    bench.speaker.fail_link("one", WHY, bench.now)
    bench.keep([2], "two", 20.0)
    assert bench.neighbour(1, "one").reach & 7 == 0  # type: ignore[union-attr]
    bench.speaker.restore_link("one", bench.now)
    assert bench.neighbour(1, "one").rxcost == 96  # type: ignore[union-attr]
    said = [t for d in bench.datagrams() if d.interface == "one" for t in tlvs_of(d)]
    assert any(isinstance(t, Hello) and t.interval for t in said)
    assert [t.rxcost for t in said if isinstance(t, Ihu)] == [96]
    bench.receive([bench.ihu()], 1, "one")
    assert bench.neighbour(1, "one").cost == 96  # type: ignore[union-attr]
    assert RouteRequest(None) in [t for d in bench.datagrams() for t in tlvs_of(d)]


def test_a_restored_link_waits_for_a_neighbour_that_has_not_restored_it_yet() -> None:
    bench = two_ways()
    bench.speaker.fail_link("one", WHY, bench.now)
    bench.speaker.restore_link("one", bench.now)
    bench.wait(0.5)
    assert bench.neighbour(1, "one").cost == INFINITY  # type: ignore[union-attr]
    bench.receive([bench.ihu(INFINITY)], 1, "one")
    bench.wait(2.0)
    assert bench.neighbour(1, "one").cost == INFINITY, "it says that it does not hear us"  # type: ignore[union-attr]


def test_a_neighbour_that_says_nothing_new_is_believed_after_a_second() -> None:
    bench = two_ways()
    bench.speaker.fail_link("one", WHY, bench.now)
    bench.speaker.restore_link("one", bench.now)
    bench.wait(1.01)
    assert bench.neighbour(1, "one").cost == 96  # type: ignore[union-attr]


def test_a_neighbour_that_hears_us_again_is_told_at_once_that_we_hear_it() -> None:
    # Only our packets were lost: the neighbour found the link dead, and we have nothing to restore.
    bench = two_ways()
    bench.receive([bench.ihu(INFINITY)], 1, "one")
    bench.sent()
    bench.receive([bench.hello(1, "one"), bench.ihu()], 1, "one")
    said = [t for d in bench.datagrams() if d.interface == "one" for t in tlvs_of(d)]
    assert [t.rxcost for t in said if isinstance(t, Ihu)] == [96]
    bench.receive([bench.ihu()], 1, "one")
    assert not [t for t in bench.sent() if isinstance(t, Ihu)]


def test_a_dead_link_does_not_answer_that_it_is_heard() -> None:
    bench = two_ways()
    bench.speaker.fail_link("one", WHY, bench.now)
    bench.sent()
    bench.receive([bench.ihu()], 1, "one")
    assert not [t for t in bench.sent() if isinstance(t, Ihu)]


def test_the_next_hello_of_a_restored_link_is_not_missed_before_it_is_due() -> None:
    bench = two_ways()
    bench.wait(3.0)
    bench.speaker.fail_link("one", WHY, bench.now)
    bench.wait(2.0)
    bench.speaker.restore_link("one", bench.now)
    bench.wait(5.5)
    assert bench.neighbour(1, "one").rxcost == 96  # type: ignore[union-attr]
    bench.wait(1.0)
    assert bench.neighbour(1, "one").rxcost == 192  # type: ignore[union-attr]


def test_a_neighbour_that_measured_during_an_outage_is_not_taken_for_a_restarted_one() -> None:
    bench = two_ways()
    for _ in range(3):
        bench.receive([bench.hello(1, "one", interval=0.0)], 1, "one")
        bench.wait(0.4)
    bench.speaker.fail_link("one", WHY, bench.now)
    for _ in range(22):  # not one of them arrives
        bench.hello(1, "one", interval=0.0)
    bench.wait(9.0)
    bench.events()
    bench.speaker.restore_link("one", bench.now)
    bench.receive([bench.hello(1, "one"), bench.ihu()], 1, "one")
    assert "neighbour-lost" not in bench.events()
    assert bench.selected() == FIRST


def test_a_neighbour_whose_hello_seqno_jumps_without_an_outage_has_restarted() -> None:
    bench = two_ways()
    for _ in range(3):
        bench.receive([bench.hello(1, "one", interval=0.0)], 1, "one")
        bench.wait(0.4)
    for _ in range(22):
        bench.hello(1, "one")
    bench.receive([bench.hello(1, "one")], 1, "one")
    assert "neighbour-lost" in bench.events()


def hellos_on_one(bench: Bench, seconds: float) -> list[float]:
    """Return what the Hellos promise that leave on the first tunnel in so many seconds."""
    sent = [d for _, d in bench.wait_datagrams(seconds) if d.interface == "one"]
    return [tlv.interval for datagram in sent for tlv in tlvs_of(datagram) if isinstance(tlv, Hello)]


def test_a_dead_link_is_tried_every_two_seconds_for_ten_minutes() -> None:
    bench = two_ways()
    stamped = replace(bench.hello(1, "one"), sub_tlvs=(SubTlv(SubTlvType.TIMESTAMP, bytes(4)),))
    bench.receive([stamped, bench.ihu()], 1, "one")
    bench.wait(3)
    bench.speaker.fail_link("one", WHY, bench.now)
    assert 9 <= hellos_on_one(bench, 20.0).count(0.0) <= 10
    bench.wait(585.0)
    assert hellos_on_one(bench, 60.0).count(0.0) == 0


def test_a_neighbour_that_stamps_nothing_is_tried_by_hellos_that_promise_the_next() -> None:
    # BIRD 2.0.12 lets go of a neighbour for one that does not.
    bench = two_ways()
    bench.speaker.fail_link("one", WHY, bench.now)
    tries = hellos_on_one(bench, 20.0)
    assert len(tries) >= 9
    assert set(tries) == {4.0}


def test_hellos_that_come_as_promised_overrule_the_shell() -> None:
    bench = two_ways()
    bench.speaker.fail_link("one", WHY, bench.now)
    for count in range(3):
        assert bench.speaker.failed_links() == {"one"}, count
        bench.receive([bench.hello(1, "one"), bench.ihu()], 1, "one")
        bench.wait(4.0)
    assert bench.speaker.failed_links() == frozenset()
    assert bench.snapshot() and bench.neighbour(1, "one").cost == 96  # type: ignore[union-attr]


@pytest.mark.parametrize("interval", [0.2, 4.0])
def test_hellos_do_not_overrule_the_shell_where_they_came_all_the_time(interval: float) -> None:
    bench = two_ways()
    bench.speaker.fail_link("one", WHY, bench.now, one_way=True)
    end = bench.now + 120.0
    while bench.now < end:
        assert bench.speaker.failed_links() == {"one"}
        # The neighbour does not know yet that it hears us no more.
        bench.receive([bench.hello(1, "one", interval), bench.ihu()], 1, "one")
        bench.receive([bench.hello(2, "two"), bench.ihu()], 2, "two")
        bench.wait(interval)
    bench.receive([bench.hello(1, "one", interval), bench.ihu()], 1, "one")
    assert bench.speaker.failed_links() == frozenset(), (
        "its kernel may have ceased to answer for another reason"
    )
    bench.speaker.fail_link("one", WHY, bench.now)
    for _ in range(3):
        bench.receive([bench.hello(1, "one", interval), bench.ihu()], 1, "one")
        bench.wait(interval)
    assert bench.speaker.failed_links() == frozenset()


def test_a_link_that_only_we_hear_stays_unused_when_its_hellos_go_on() -> None:
    bench = two_ways()
    bench.speaker.fail_link("one", WHY, bench.now)
    for _ in range(6):
        bench.receive([bench.hello(1, "one"), bench.ihu(INFINITY)], 1, "one")
        bench.wait(4.0)
    assert bench.neighbour(1, "one").cost == INFINITY  # type: ignore[union-attr]


def test_an_interface_that_is_made_anew_is_not_dead() -> None:
    bench = two_ways()
    bench.speaker.fail_link("one", WHY, bench.now)
    bench.speaker.remove_interface("one", bench.now)
    bench.interface("one")
    assert bench.speaker.failed_links() == frozenset()


def test_a_neighbour_is_asked_and_its_answer_timed() -> None:
    bench = two_ways()
    bench.speaker.ask("one", bench.now)
    (request,) = [tlv for tlv in bench.sent() if isinstance(tlv, AcknowledgmentRequest)]
    assert request.interval == 0.01
    bench.now += 0.004
    bench.receive([Acknowledgment(request.opaque ^ 1)], 1, "one")
    bench.receive([Acknowledgment(request.opaque)], 2, "two")
    assert bench.speaker.answers() == []
    bench.receive([Acknowledgment(request.opaque)], 1, "one")
    bench.receive([Acknowledgment(request.opaque)], 1, "one")
    ((interface, seconds),) = bench.speaker.answers()
    assert interface == "one"
    assert abs(seconds - 0.004) < 1e-6


def test_an_acknowledgment_with_the_number_of_a_question_long_ago_answers_another_one() -> None:
    bench = two_ways()
    bench.speaker.ask("one", bench.now)
    (request,) = [tlv for tlv in bench.sent() if isinstance(tlv, AcknowledgmentRequest)]
    bench.now += 1000.0
    bench.receive([Acknowledgment(request.opaque)], 1, "one")
    assert bench.speaker.answers() == []


def test_there_may_be_an_alternative_where_another_neighbour_is_heard() -> None:
    bench = two_ways()
    assert bench.speaker.has_alternative("one")
    # Nothing that is in use goes over the other one.
    assert not bench.speaker.has_alternative("two")
    # It says nothing of another way as long as its own one leads through us.
    bench.receive([update(metric=INFINITY), update(Q, router_id=bytes(7) + b"q", number=2)], 2, "two")
    assert not bench.speaker.has_alternative("one"), "the other one may be the end of the world"
    bench.receive([update(V4, router_id=bytes(7) + b"v", number=2)], 2, "two")
    assert bench.speaker.has_alternative("one")
    bench.speaker.fail_link("two", WHY, bench.now)
    assert not bench.speaker.has_alternative("one")


def test_a_dead_link_is_needed_where_another_one_does_not_lead() -> None:
    #      one        two
    #   b -------- we -------- c
    bench = two_ways()
    bench.speaker.fail_link("one", WHY, bench.now)
    assert bench.selected() == SECOND
    assert not bench.speaker.is_needed("one")
    bench.receive([update(metric=INFINITY)], 2, "two")
    assert bench.speaker.is_needed("one"), "only b may still lead to P"
    bench.receive([update(metric=50, number=2)], 2, "two")
    assert not bench.speaker.is_needed("one")
    bench.receive([update(metric=INFINITY)], 1, "one")
    bench.speaker.fail_link("two", WHY, bench.now)
    assert bench.speaker.is_needed("one"), "it would lead to b itself"
    assert not bench.speaker.is_needed("none")


def test_a_dead_link_is_not_needed_for_a_prefix_that_is_our_own() -> None:
    bench = two_ways()
    bench.speaker.announce(Q, 0, bench.now)
    bench.receive([update(Q)], 1, "one")
    bench.speaker.fail_link("one", WHY, bench.now)
    assert not bench.speaker.is_needed("one")


def test_where_nobody_else_tells_of_anything_no_table_is_looked_through_for_an_alternative() -> None:
    bench = Bench()
    for number, name in ((1, "one"), (2, "two")):
        bench.interface(name)
        bench.meet(number, name)
    bench.receive([update(metric=50)], 1, "one")
    forbid_walks(bench.speaker._state.interfaces["one"].neighbours[FIRST], "routes")
    assert not bench.speaker.has_alternative("one")


def test_what_is_more_than_a_whole_burst_is_allowed_once_nothing_is_spent() -> None:
    # A neighbour with more routes than its link may reprice at once would never be used again.
    allowance = Allowance()
    assert allowance.spend(13, 12, 3, 0.0)
    assert not allowance.spend(13, 12, 3, 4.0)
    assert not allowance.spend(12, 12, 3, 4.0)
    assert allowance.spend(13, 12, 3, 4.5)


def test_hellos_alone_do_not_say_that_a_dead_link_carries_packets_both_ways() -> None:
    bench = two_ways()
    bench.speaker.fail_link("one", WHY, bench.now)
    for _ in range(5):
        bench.receive([bench.hello(1, "one")], 1, "one")
        bench.receive([bench.hello(2, "two"), bench.ihu()], 2, "two")
        bench.wait(3.8)
    # Heard as often as on a living one, it is spoken to again; but nobody says that he hears us.
    assert not bench.speaker.failed_links()
    view = bench.neighbour(1, "one")
    assert view is not None and (view.txcost, view.cost) == (INFINITY, INFINITY)
    assert bench.selected() == SECOND
    bench.receive([bench.hello(1, "one"), bench.ihu()], 1, "one")
    view = bench.neighbour(1, "one")
    assert view is not None and view.cost < INFINITY
