"""A speaker that comes back goes on with its routes until neighbours confirm them, and drops the rest."""

from babelwg.babel.memory import Chosen, Heard, Memory, RouteRecord, SourceRecord
from babelwg.babel.parameters import InterfaceParameters
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY, AcknowledgmentRequest, Hello, RouteRequest, Tlv, Update
from tests.babel.bench import (
    ORIGIN,
    OUR_ADDRESS,
    Bench,
    P,
    Q,
    neighbour_address,
    retraction,
    tlvs_of,
    update,
    updates,
)

ONE = neighbour_address(1)
HEARD = Heard(
    expected=70, interval=4.0, until=1008.0
)  # 2 s before the bench's time, with 2.5 intervals to go
CHOSEN = Chosen("tun", ONE, ONE, ORIGIN, seqno=7, refmetric=50, txcost=96, interval=16.0, since=400.0)


def restored(memory: Memory | None = None, **heard: float) -> Bench:
    """Return a speaker that has just come back, with a listener on another interface; `heard` changes HEARD."""
    known = {("tun", ONE): HEARD._replace(**heard)}
    routes = (RouteRecord(P, CHOSEN), RouteRecord(Q, CHOSEN))
    sources = tuple(SourceRecord(prefix, ORIGIN, 7, 146) for prefix in (P, Q))
    found = Bench(memory=memory or Memory(100, sources, {"tun": 51}, False, routes, known))
    found.interface("other")
    found.meet(2, "other")
    found.speaker.add_interface("tun", InterfaceParameters(), OUR_ADDRESS, found.now)
    return found


def test_remembered_routes_are_used_at_once_and_keep_their_age() -> None:
    found = restored()
    assert found.events().count("route-selected") == 2
    assert (found.selected(), found.selected(Q)) == (ONE, ONE)
    route = found.route()
    assert route is not None
    assert (route.metric, route.seqno, route.refmetric) == (146, 7, 50)
    assert route.age == found.now - 400.0
    sent = found.sent()
    assert RouteRequest(None) in sent
    assert [u.metric for u in updates(sent)] == [146]


def test_hellos_go_on_from_the_next_seqno() -> None:
    assert [tlv.seqno for tlv in restored().sent() if isinstance(tlv, Hello)] == [52]


def test_nothing_moves_when_the_neighbour_confirms() -> None:
    found = restored()
    found.events()
    found.receive([Hello(71, 4.0), found.ihu(), update(metric=50), update(Q, metric=50)])
    found.seqnos["tun", 1] = 71
    found.live(40.0)
    assert not {"route-selected", "route-retracted", "neighbour-lost"} & {*found.events()}
    assert (found.selected(), found.selected(Q)) == (ONE, ONE)


def test_who_holds_what_the_last_life_announced_is_not_told_it_again() -> None:
    found, ours = restored(), Prefix.parse("2001:db8:9::/48")
    found.speaker.announce(ours, 0, found.now)
    found.receive([Hello(71, 4.0), found.ihu(), update(metric=50), update(Q, metric=50)])
    sent = [(d.destination[0], tlvs_of(d)) for _, d in found.wait_datagrams(3.0) if d.interface == "tun"]
    told = [(to, tlvs) for to, tlvs in sent if updates(tlvs, ours)]
    # What is said again because it is not confirmed asks for that; a full table does not.
    unasked = [tlvs for to, tlvs in told if to == ONE and AcknowledgmentRequest not in map(type, tlvs)]
    assert told and not unasked


def test_hellos_that_nobody_was_there_to_hear_count_as_no_loss() -> None:
    found = restored()
    found.receive([Hello(70 + 40, 4.0)])
    neighbour = found.neighbour()
    assert neighbour is not None
    assert neighbour.rxcost == 96
    assert found.selected() == ONE


def test_a_neighbour_that_is_silent_is_dropped_when_it_would_have_been() -> None:
    found = restored()
    found.events()
    found.wait(7.9)
    assert found.selected() == ONE
    found.wait(0.2)
    assert found.selected() is None
    assert found.events().count("route-retracted") == 2


def test_a_neighbour_that_says_anything_is_not_silent() -> None:
    found = restored()
    found.wait(7.9)
    found.receive([update(metric=50), update(Q, metric=50)])
    found.wait(9.9)
    assert found.selected() == ONE
    found.wait(0.2)
    assert found.selected() is None


def test_a_pause_begins_with_a_hello_and_retracts_nothing() -> None:
    found = restored()
    found.receive([Hello(70, 4.0), found.ihu(), update(metric=50), update(Q, metric=50)])
    found.wait(1.0)
    before = found.now
    found.speaker.pause(found.now)
    sent = found.sent()
    assert sum(isinstance(tlv, Hello) and tlv.interval == 4.0 for tlv in sent) == 2
    assert not any(isinstance(tlv, Update) and tlv.metric == INFINITY for tlv in sent)
    assert found.wait(60.0) == []
    assert found.now == before + 60.0
    assert "route-retracted" not in found.events()


def test_a_neighbour_that_lost_its_own_memory_is_dropped_at_its_first_hello() -> None:
    for jump in (20011, -17, 257):
        found = restored()
        found.receive([Hello((70 + jump) % 0x10000, 4.0)])
        assert found.selected() is None, jump


def test_who_would_have_been_dropped_meanwhile_is_not_known_again() -> None:
    found = restored(until=999.9)
    assert found.neighbour() is None
    assert found.selected() is None


def retracted(tlvs: list[Tlv]) -> list[Prefix | None]:
    return [tlv.prefix for tlv in tlvs if isinstance(tlv, Update) and tlv.metric == INFINITY]


def give_up(bench: Bench) -> list[Prefix | None]:
    """Let the kernel forward no more what only the last life announced; return what is retracted."""
    bench.sent()
    bench.speaker.retract_former(bench.now)
    return retracted(bench.sent())


def test_what_the_last_life_announced_and_this_one_cannot_is_retracted_once() -> None:
    """Neighbours hold it still: they have heard all our Hellos."""
    found = restored(until=999.9)
    assert retracted(found.wait(4.0)) == [], "the kernel forwards it"
    assert {*give_up(found)} == {P, Q}
    found.live(20.0)
    assert give_up(found) == []


def test_what_is_announced_again_is_not_said_again() -> None:
    found = restored(until=999.9)
    found.receive([update(metric=50)], 2, "other")
    assert found.selected() == neighbour_address(2)
    assert give_up(found) == [Q]
    assert not any(isinstance(tlv, Update) and tlv.prefix == P for tlv in found.wait(0.4))


def test_what_was_selected_on_an_interface_that_does_not_come_is_retracted() -> None:
    routes = (RouteRecord(P, CHOSEN), RouteRecord(Q, CHOSEN._replace(interface="later")))
    found = restored(Memory(100, (), {"tun": 51}, False, routes, {("tun", ONE): HEARD}))
    found.receive([Hello(70, 4.0), found.ihu(), update(metric=50)])
    found.seqnos["tun", 1] = 70
    assert retracted([t for _, d in found.live(12.0) for t in tlvs_of(d)]) == []
    assert {*give_up(found)} == {Q}
    assert found.selected() == ONE


def test_a_route_that_is_not_confirmed_is_given_up() -> None:
    found = restored()
    found.receive([Hello(70, 4.0), found.ihu(), update(metric=50)])
    found.seqnos["tun", 1] = 70
    found.sent()
    found.live(14.5)
    assert found.selected(Q) == ONE
    found.live(1.0)
    assert found.selected() == ONE
    assert found.selected(Q) is None


def test_a_route_that_is_not_confirmed_is_asked_about_until_it_is() -> None:
    found, asked = restored(), []
    found.receive([Hello(70, 4.0), found.ihu(), update(metric=50)])
    found.seqnos["tun", 1] = 70
    began = found.now
    for moment, datagram in found.live(13.5):
        asked += [round(moment - began, 1) for tlv in tlvs_of(datagram) if tlv == RouteRequest(Q)]
    assert asked == [5.0, 10.0, 12.5]
    found.receive([update(Q, metric=50)])
    found.live(2.0)
    assert found.selected(Q) == ONE


def test_a_route_that_was_withdrawn_meanwhile_goes_at_the_answer() -> None:
    found = restored()
    found.receive([Hello(70, 4.0), found.ihu(), update(metric=50)])
    assert RouteRequest(Q) in found.wait(5.5)
    found.receive([retraction(Q)])
    assert (found.selected(), found.selected(Q)) == (ONE, None)


def test_nothing_is_taken_up_again_when_the_sources_are_lost() -> None:
    memory = Memory(100, (), {"tun": 51}, True, (RouteRecord(P, CHOSEN),), {("tun", ONE): HEARD})
    found = restored(memory)
    assert found.neighbour() is None
    assert found.selected() is None


def test_a_remembered_route_that_is_not_feasible_is_not_used() -> None:
    sources = (SourceRecord(P, ORIGIN, 8, 40),)
    memory = Memory(100, sources, {"tun": 51}, False, (RouteRecord(P, CHOSEN),), {("tun", ONE): HEARD})
    assert restored(memory).selected() is None


def test_changes_of_the_selected_routes_are_handed_out_once() -> None:
    found = Bench()
    found.interface()
    found.meet()
    found.receive([update(metric=50)])
    chosen = CHOSEN._replace(since=found.now)
    assert found.speaker.routes_to_store() == []
    assert found.speaker.new_routes_to_store() == [RouteRecord(P, chosen)]
    found.receive([update(metric=50)])
    assert not found.speaker.has_new_routes
    assert found.speaker.routes_to_store() == []
    found.receive([update(metric=60)])
    assert found.speaker.routes_to_store() == [RouteRecord(P, chosen._replace(refmetric=60))]
    assert found.speaker.selected_routes() == [RouteRecord(P, chosen._replace(refmetric=60))]
    found.receive([retraction()])
    assert found.speaker.routes_to_store() == [RouteRecord(P, None)]


def test_a_prefix_is_new_until_it_is_handed_out_or_lost() -> None:
    found = Bench()
    found.interface()
    found.meet()
    others = [Prefix.parse(f"2001:db8:{number}::/48") for number in range(1, 4)]
    found.receive([update(prefix, 50) for prefix in others])
    found.receive([update(others[0], 60), retraction(others[1])])
    # Nothing that is stored has changed.
    assert found.speaker.routes_to_store() == []
    (first,) = found.speaker.new_routes_to_store(1)
    assert (first.prefix, first.chosen and first.chosen.refmetric) == (others[0], 60)
    assert [record.prefix for record in found.speaker.new_routes_to_store(1)] == [others[2]]
    assert not found.speaker.has_new_routes


def test_what_ends_must_be_stored_at_once_though_it_was_never_handed_out_as_new() -> None:
    found = Bench()
    found.interface()
    found.meet()
    found.receive([update(metric=50)])
    assert [record.prefix for record in found.speaker.selected_routes()] == [P]  # the whole table is stored
    found.receive([retraction()])
    assert found.speaker.routes_to_store() == [RouteRecord(P, None)]
    # Lost and back before anybody stored the loss: what is stored is wrong until then.
    found.receive([update(metric=50)])
    found.speaker.new_routes_to_store()
    found.receive([retraction()])
    found.receive([update(metric=50, seqno=9)])
    assert [record.prefix for record in found.speaker.routes_to_store()] == [P]
    assert not found.speaker.has_new_routes


def test_what_was_heard_is_handed_out_once() -> None:
    found = Bench()
    found.interface()
    found.receive([Hello(70, 4.0)])
    found.sent()
    sent, heard = found.speaker.hellos_to_store()
    assert list(sent) == ["tun"]
    assert heard == {("tun", ONE): Heard(71, 4.0, found.now + 10.0)}
    assert found.speaker.hellos_to_store() == ({}, {})


def test_a_life_that_ends_at_once_leaves_the_next_one_the_same() -> None:
    found = restored()
    found.sent()
    records = found.speaker.new_routes_to_store()
    assert [(r.prefix, r.chosen) for r in records] == [(P, CHOSEN), (Q, CHOSEN)]
    _, heard = found.speaker.hellos_to_store()
    assert heard["tun", ONE] == HEARD
