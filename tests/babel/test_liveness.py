"""Neighbours, Hellos, IHUs and what a link costs (RFC 8966, section 3.4 and appendix A)."""

from itertools import pairwise
from random import Random

import pytest

from babelwg.babel.memory import Memory
from babelwg.babel.operation.cost import compute_metric
from babelwg.babel.operation.liveness import MAX_FORMER_INTERFACES
from babelwg.babel.operation.overload import is_late
from babelwg.babel.parameters import InterfaceParameters, Parameters
from babelwg.babel.speaker import FAREWELL_INTERVAL, Speaker
from babelwg.babel.wire.tlv import INFINITY, Hello, Ihu, RouteRequest, Update
from tests.babel.bench import OUR_ADDRESS, OUR_ID, Bench, neighbour_address, tlvs_of, update

WIRED = InterfaceParameters.wired()
WIRELESS = InterfaceParameters.wireless()


def bench(parameters: InterfaceParameters | None = None) -> Bench:
    found = Bench()
    found.interface(parameters=parameters)
    return found


def cost(found: Bench) -> int:
    neighbour = found.neighbour()
    assert neighbour is not None
    return neighbour.cost


@pytest.mark.conformance("B3.4-1")
def test_an_update_from_somebody_never_heard_gives_no_route() -> None:
    found = bench()
    found.receive([update()])
    assert found.snapshot().routes == ()
    assert found.speaker.counters["tlv_dropped.unknown-neighbour"] == 1


@pytest.mark.conformance("B3.2.4-1")
def test_the_same_address_on_two_interfaces_is_two_neighbours() -> None:
    found = bench()
    found.interface("other")
    found.meet(1, "tun")
    found.meet(1, "other")
    assert [(v.interface, v.address) for v in found.snapshot().neighbours] == [
        ("tun", neighbour_address(1)),
        ("other", neighbour_address(1)),
    ]


@pytest.mark.conformance("B3.4.2-7", "B3.4.1-5", "B3.4.2-4")
def test_two_speakers_become_acquainted_at_once() -> None:
    found = bench()
    found.receive([found.hello()])
    sent = found.sent()
    assert [type(tlv) for tlv in sent] == [Hello, Ihu]
    assert sent[1] == Ihu(neighbour_address(1), 96, 12.0)
    assert cost(found) == INFINITY
    found.receive([found.ihu()])
    assert cost(found) == 96
    assert RouteRequest(None) in found.sent()


@pytest.mark.conformance("B3.4.1-8", "B3.4.3-2", "BA.1-5", "BA.2.1-1", "B3.4-2")
def test_a_silent_neighbour_shows_after_two_and_a_half_intervals_and_vanishes_after_sixteen() -> None:
    found = bench()
    found.meet(hellos=16)
    found.receive([update()])
    found.wait(2.5 * 4 - 0.1)
    assert cost(found) < INFINITY
    found.wait(0.2)
    assert cost(found) == INFINITY
    route = found.route()
    assert route is not None
    assert (route.metric, route.refmetric, route.state) == (INFINITY, 0, "retracted")
    found.wait(13 * 4)
    assert found.neighbour() is not None
    found.wait(4)
    assert found.neighbour() is None
    assert found.snapshot().routes == ()
    assert "neighbour-lost" in found.events()


@pytest.mark.conformance("B3.4.2-5", "B3.4.3-3", "B3.2.4-2")
def test_a_neighbour_that_sends_no_ihu_any_more_becomes_unreachable() -> None:
    found = bench()
    found.meet()
    for _ in range(10):
        found.receive([found.hello()])
        found.wait(4)
    assert cost(found) == 96
    found.receive([found.hello()])
    found.wait(2.1)  # 3.5 times the 12 s that the IHU promised
    neighbour = found.neighbour()
    assert neighbour is not None
    assert (neighbour.rxcost, neighbour.txcost, neighbour.cost) == (96, INFINITY, INFINITY)


@pytest.mark.conformance("B3.4.2-6", "B4.6.6-1")
def test_an_ihu_for_somebody_else_is_ignored_and_one_without_address_is_for_us() -> None:
    found = bench()
    found.receive([found.hello(), Ihu(neighbour_address(9), 96, 12.0)])
    assert cost(found) == INFINITY
    found.receive([Ihu(None, 96, 12.0)])
    assert cost(found) == 96


@pytest.mark.conformance("B4.6.6-6", "B3.4.3-3")
def test_an_ihu_with_infinite_rxcost_makes_the_link_unusable() -> None:
    found = bench()
    found.meet()
    found.receive([found.ihu(rxcost=INFINITY)])
    assert cost(found) == INFINITY


@pytest.mark.conformance("B3.4.1-3", "BA.1-4")
def test_an_unscheduled_hello_promises_nothing_and_breaks_no_promise() -> None:
    found = bench()
    found.meet(hellos=3)
    found.wait(4)
    found.receive([found.hello(interval=0.0)])
    found.wait(2.1)  # 1.5 intervals after the scheduled one
    neighbour = found.neighbour()
    assert neighbour is not None
    assert neighbour.reach == 0b1110


def test_a_neighbour_that_only_ever_sent_unscheduled_hellos_is_forgotten_too() -> None:
    found = bench()
    found.receive([found.hello(interval=0.0), found.ihu()])
    assert cost(found) == 96
    found.wait(1.5 * 4 + 15 * 4 + 1)
    assert found.neighbour() is None


@pytest.mark.conformance("B3.4.1-2", "BA.1-6", "B3.4.3-4", "BA.2.2-2")
def test_unicast_hellos_have_their_own_history() -> None:
    found = bench()
    found.receive([Hello(500, 4.0, unicast=True), found.ihu()])
    neighbour = found.neighbour()
    assert neighbour is not None
    assert (neighbour.reach, neighbour.ureach, neighbour.cost) == (0, 1, 96)
    found.receive([found.hello()])
    neighbour = found.neighbour()
    assert neighbour is not None
    assert (neighbour.reach, neighbour.ureach) == (1, 1)
    radio = bench(WIRELESS)
    radio.receive([Hello(500, 4.0, unicast=True), radio.ihu(256)])
    assert cost(radio) == INFINITY


@pytest.mark.conformance("BA.1-1")
@pytest.mark.parametrize(
    ("jump", "anew"), [(16, False), (17, True), (-16, False), (-17, True), (30000, True)]
)
def test_a_jump_of_more_than_sixteen_hellos_is_a_new_neighbour(jump: int, anew: bool) -> None:
    found = bench()
    found.meet(hellos=16)
    found.receive([update()])
    found.events()
    expected = found.seqnos["tun", 1] + 1
    found.receive([Hello((expected + jump) % 65536, 4.0)])
    assert ("neighbour-lost" in found.events()) is anew
    assert (found.route() is None) is anew


@pytest.mark.conformance("BA.1-3")
def test_hellos_lost_on_the_way_are_filled_up() -> None:
    found = bench()
    found.meet(hellos=4)
    found.receive([Hello(found.seqnos["tun", 1] + 3, 4.0)])
    neighbour = found.neighbour()
    assert neighbour is not None
    assert neighbour.reach == 0b1111001


@pytest.mark.conformance("BA.1-2")
def test_hellos_that_were_taken_for_missed_are_undone() -> None:
    found = bench()
    found.meet(hellos=4)
    found.wait(6.1)
    neighbour = found.neighbour()
    assert neighbour is not None
    assert neighbour.reach == 0b11110
    found.receive([found.hello(interval=10.0)])  # its sender had made the interval longer
    neighbour = found.neighbour()
    assert neighbour is not None
    assert neighbour.reach == 0b11111


@pytest.mark.conformance("BA.2.1-1")
def test_a_wired_link_costs_what_the_neighbour_says_as_long_as_two_of_three_hellos_come() -> None:
    found = bench(WIRED)
    found.receive([found.hello(), found.ihu(rxcost=150)])
    assert cost(found) == 150
    for _ in range(3):
        found.receive([found.hello()])
    found.receive([Hello(found.seqnos["tun", 1] + 2, 4.0)])  # one of the last three is missing
    assert cost(found) == 150
    found.receive([Hello(found.seqnos["tun", 1] + 5, 4.0)])  # two are missing
    assert cost(found) == INFINITY


def lose_promised(found: Bench, times: int) -> None:
    """Let time pass in which each promised Hello is lost and an unscheduled one comes."""
    for _ in range(times):
        found.seqnos["tun", 1] += 1
        found.wait(3.9)
        found.receive([found.hello(interval=0.0), found.ihu()])
        found.wait(0.1)


def test_a_tunnel_over_which_unscheduled_hellos_come_is_not_ended_by_lost_ones_but_by_silence() -> None:
    found = bench()
    found.meet(hellos=16)
    lose_promised(found, 4)  # the last unscheduled one 2.1 s before the fourth miss
    assert cost(found) == 118  # 13 of 16
    assert "link-cost-changed" in found.events()
    found.wait(2.2)
    assert cost(found) == 128
    found.wait(3.7)
    assert cost(found) == 128
    found.wait(0.2)  # 6.2 s after the last word, and no later than 2.5 intervals
    assert cost(found) == INFINITY


def test_the_loss_of_a_tunnel_that_was_not_silent_is_not_forgotten_with_the_next_hello() -> None:
    found = bench()
    found.meet(hellos=16)
    lose_promised(found, 6)
    assert cost(found) == 140  # 11 of 16
    found.receive([found.hello(), found.ihu()])
    assert cost(found) == 140


def test_two_lost_hellos_of_three_end_a_link_whose_loss_is_not_weighed() -> None:
    for parameters in (WIRED, InterfaceParameters(link_quality=False)):
        found = bench(parameters)
        found.meet(hellos=16)
        lose_promised(found, 3)
        assert cost(found) == INFINITY


def test_unscheduled_hellos_do_not_bring_a_link_back() -> None:
    found = bench()
    found.meet(hellos=16)
    found.wait(10.1)
    assert cost(found) == INFINITY
    found.seqnos["tun", 1] += 2
    lose_promised(found, 3)
    assert cost(found) == INFINITY
    found.receive([found.hello(), found.ihu()])
    assert cost(found) == 96, "nor does their coming keep it away for longer"


@pytest.mark.conformance("BA.2.2-1")
def test_a_wireless_link_costs_what_loss_makes_of_it() -> None:
    found = bench(WIRELESS)
    for _ in range(6):
        found.receive([found.hello(), found.ihu(rxcost=256)])
    assert cost(found) == 256
    found.receive([found.ihu(rxcost=512)])
    assert cost(found) == 512
    found.receive([Hello(found.seqnos["tun", 1] + 3, 4.0)])  # 4 of the last 6
    neighbour = found.neighbour()
    assert neighbour is not None
    assert (neighbour.rxcost, neighbour.cost) == (384, 768)


def test_a_tunnel_costs_exactly_96_without_loss_and_more_with_it() -> None:
    found = bench()
    found.receive([found.hello(), found.ihu()])
    assert cost(found) == 96
    for _ in range(7):
        found.receive([found.hello()])
    found.receive([Hello(found.seqnos["tun", 1] + 2, 4.0)])  # 9 of 10
    neighbour = found.neighbour()
    assert neighbour is not None
    assert (neighbour.rxcost, neighbour.cost) == (107, 107)
    found.receive([found.ihu(rxcost=192)])  # the neighbour hears every second
    assert cost(found) == 213


def test_what_is_configured_is_added_to_what_is_measured() -> None:
    found = bench(InterfaceParameters(cost=1000))
    found.meet()
    assert cost(found) == 1096
    found = bench(InterfaceParameters(cost=65535))
    found.meet()
    assert cost(found) == 65534


def test_a_link_that_returns_from_an_outage_costs_what_it_did_before() -> None:
    found = bench()
    found.meet(hellos=16)
    found.wait(30)
    assert cost(found) == INFINITY
    found.seqnos["tun", 1] += 6
    found.receive([found.hello(), found.ihu()])
    assert cost(found) == 96


@pytest.mark.conformance("B3.4.3-1", "B3.5.2-1", "B3.5.2-2", "B3.5.2-3", "B3.5.2-4")
def test_the_metric_grows_strictly_and_stops_at_infinity() -> None:
    assert compute_metric(96, 0) == 96
    assert compute_metric(1000, 65000) == INFINITY
    assert compute_metric(INFINITY, 0) == INFINITY
    assert compute_metric(96, INFINITY) == INFINITY
    for metric in (0, 1, 96, 40000, 65000, 65533, 65534):
        values = [compute_metric(link, metric) for link in (1, 2, 96, 300, 65534, 65535)]
        assert all(value > metric for value in values)
        assert values == sorted(values)
        assert compute_metric(96, metric) <= compute_metric(96, metric + 1)


@pytest.mark.conformance("B3.4.3-1")
def test_a_link_never_costs_nothing() -> None:
    found = bench(WIRED)
    found.receive([found.hello(), found.ihu(rxcost=0)])
    assert cost(found) == 1


@pytest.mark.conformance("BF-1", "B3.4.1-4", "B4.6.5-2", "B3.2.3-1", "B4.6.5-4", "B3.1-4", "B3.2.3-2")
def test_hellos_come_a_little_early_with_counting_seqnos() -> None:
    found = bench()
    found.wait(3)  # in which a new link is probed
    datagrams = found.wait_datagrams(60)
    hellos = [(when, [t for t in tlvs_of(d) if isinstance(t, Hello)]) for when, d in datagrams]
    assert all(len(tlvs) == 1 for _, tlvs in hellos)
    seqnos = [tlvs[0].seqno for _, tlvs in hellos]
    assert seqnos == [(seqnos[0] + number) % 65536 for number in range(len(seqnos))]
    assert {(tlvs[0].interval, tlvs[0].unicast) for _, tlvs in hellos} == {(4.0, False)}
    gaps = [round(later - earlier, 3) for (earlier, _), (later, _) in pairwise(hellos)]
    assert all(3.6 <= gap <= 4.0 for gap in gaps)
    assert len(set(gaps)) > 1


def hello_times(found: Bench, pauses: list[float], interval: float = 4.0, name: str = "tun") -> list[float]:
    """Have a Hello come after each pause; return when ours left."""
    times = []
    for pause in pauses:
        times += [w for w, d in found.wait_datagrams(pause) if any(isinstance(t, Hello) for t in tlvs_of(d))]
        found.receive([found.hello(1, name, interval), found.ihu()], 1, name)
        times += [found.now for d in found.datagrams() if any(isinstance(t, Hello) for t in tlvs_of(d))]
    return times


def test_a_hello_that_is_due_soon_leaves_with_that_of_the_neighbour() -> None:
    found = bench()
    found.meet()
    found.wait(3)
    (first,) = hello_times(found, [4.0])[:1]
    found.wait(first + 2.7 - found.now)
    assert hello_times(found, [0.0]) == [], "the next one is not due soon"
    assert hello_times(found, [0.6]) == [pytest.approx(first + 3.3)]


@pytest.mark.parametrize(
    ("pause", "promised", "least"), [(0.05, 4.0, 2.8), (0.05, 60.0, 3.6), (0.05, 0.0, 3.6), (2.0, 2.0, 3.6)]
)
def test_a_neighbour_cannot_have_us_send_hellos_without_end(
    pause: float, promised: float, least: float
) -> None:
    found = bench()
    found.meet()
    found.wait(3)
    times = hello_times(found, [pause] * 1000, interval=promised)
    assert all(b - a >= least for a, b in pairwise(times))
    assert all(b - a <= 4.0 for a, b in pairwise(times))


def test_a_hello_that_is_late_is_left_to_its_timer() -> None:
    found = bench()
    found.meet()
    found.wait(3)
    found.now += 6.0  # in which the loop stood still
    found.receive([found.hello(), found.ihu()])
    assert not [tlv for tlv in found.sent() if isinstance(tlv, Hello)]
    found.speaker.handle_deadline(found.now)
    assert len([tlv for tlv in found.sent() if isinstance(tlv, Hello)]) == 1
    assert is_late(found.speaker._state, found.now)


def test_nothing_follows_the_farewell_on_an_interface() -> None:
    found = bench()
    found.meet()
    found.wait(3)
    (first,) = hello_times(found, [4.0])[:1]
    found.wait(first + 3.3 - found.now)
    found.speaker.take_leave("tun", found.now)
    assert [tlv.interval for tlv in found.sent() if isinstance(tlv, Hello)] == [FAREWELL_INTERVAL]
    found.receive([found.hello(), found.ihu()])
    assert not [tlv for tlv in found.wait(30.0) if isinstance(tlv, Hello | Update)]


def test_on_a_lan_nobody_waits_for_the_hellos_of_another() -> None:
    found = bench(WIRED)
    found.meet()
    found.wait(3)
    assert all(b - a >= 3.5 for a, b in pairwise(hello_times(found, [0.5] * 100)))


@pytest.mark.conformance("B3.4.2-1", "B3.4.3-5", "B3.4.2-2", "BB-1")
def test_ihus_go_with_every_third_hello_or_with_each_when_some_are_lost() -> None:
    found = bench()
    found.meet(hellos=16)
    found.keep(seconds=4)
    assert len([t for t in found.keep(seconds=48) if isinstance(t, Ihu)]) in (4, 5)
    found.receive([Hello(found.seqnos["tun", 1] + 2, 4.0)])
    found.seqnos["tun", 1] += 2
    found.wait(0.1)
    ihus = [t for t in found.keep(seconds=24) if isinstance(t, Ihu)]
    assert len(ihus) >= 6
    assert {ihu.rxcost > 96 for ihu in ihus} == {True}


@pytest.mark.conformance("B3.4.1-7", "B3.4.1-6", "B3.4.2-3")
def test_a_longer_hello_interval_is_promised_before_it_is_used() -> None:
    found = bench()
    found.meet()
    found.receive([update()])
    found.wait(1)
    found.speaker.set_interface("tun", InterfaceParameters(hello_interval=20.0), OUR_ADDRESS, found.now)
    sent = found.sent()
    assert [t.interval for t in sent if isinstance(t, Hello)] == [20.0]
    assert [t.interval for t in sent if isinstance(t, Ihu)] == [60.0]
    assert found.route() is not None


def test_an_unchanged_interface_says_nothing() -> None:
    found = bench()
    found.meet()
    found.speaker.set_interface("tun", InterfaceParameters(), OUR_ADDRESS, found.now)
    assert found.sent() == []


def test_neighbours_beyond_the_limit_are_refused_and_counted() -> None:
    found = Bench(Parameters(max_neighbours_per_interface=2))
    found.interface()
    for number in (1, 2, 3):
        found.receive([found.hello(number), found.ihu()], number)
    assert len(found.snapshot().neighbours) == 2
    assert found.speaker.counters["neighbour_refused.interface-limit"] == 1
    assert cost(found) == 96


def test_a_neighbour_that_never_heard_us_gives_way_to_a_new_one() -> None:
    found = Bench(Parameters(max_neighbours_per_interface=3))
    found.interface("lan", InterfaceParameters.wired())
    found.receive([found.hello(1, "lan"), found.ihu(INFINITY)], 1, "lan")
    found.meet(2, "lan")
    found.receive([found.hello(3, "lan")], 3, "lan")
    found.receive([found.hello(4, "lan")], 4, "lan")
    assert [found.neighbour(number, "lan") is not None for number in (1, 2, 3, 4)] == [
        False,
        True,
        True,
        True,
    ]
    found.receive([found.hello(5, "lan")], 5, "lan")
    assert [found.neighbour(number, "lan") is not None for number in (2, 3, 4, 5)] == [
        True,
        False,
        True,
        True,
    ]
    assert found.speaker.counters["neighbour_displaced.unconfirmed"] == 2
    assert "neighbour_refused.interface-limit" not in found.speaker.counters


def test_a_neighbour_that_is_reachable_no_more_gives_way_after_those_that_never_were() -> None:
    found = Bench(Parameters(max_neighbours_per_interface=2))
    found.interface("lan", InterfaceParameters.wired())
    for number in (1, 2):
        found.meet(number, "lan", hellos=3)
    found.keep((2,), "lan", 20)  # the first is silent, and unreachable for it
    found.meet(3, "lan")
    assert [found.neighbour(number, "lan") is not None for number in (1, 2, 3)] == [False, True, True]
    assert found.speaker.counters["neighbour_displaced.unreachable"] == 1
    found.receive([found.hello(4, "lan")], 4, "lan")
    assert [found.neighbour(number, "lan") is not None for number in (2, 3, 4)] == [True, True, False]
    assert found.speaker.counters["neighbour_refused.interface-limit"] == 1


def test_hellos_from_anywhere_lock_nobody_out() -> None:
    found = Bench(Parameters(max_neighbours_per_interface=64))
    found.interface("lan", InterfaceParameters.wired())
    for number in range(64):  # each promises its next Hello in eleven minutes
        found.receive([Hello(1, 655.35)], 1000 + number, "lan")
    assert len(found.snapshot().neighbours) == 64
    found.receive([found.hello(1, "lan"), found.ihu()], 1, "lan")
    neighbour = found.neighbour(1, "lan")
    assert neighbour is not None
    assert neighbour.cost == 96
    for number in range(100):
        found.receive([Hello(1, 655.35)], 5000 + number, "lan")
        if number % 4 == 0:
            found.receive([found.hello(1, "lan"), found.ihu()], 1, "lan")
        found.wait(0.5)
    assert found.speaker.counters["neighbour_displaced.unconfirmed"] == 101
    assert found.neighbour(1, "lan") is not None, "who is reachable never gives way"


def test_a_long_promise_counts_once_its_sender_has_heard_us() -> None:
    found = Bench()
    found.interface("lan", InterfaceParameters.wired())
    found.receive([Hello(1, 600.0)], 1, "lan")
    found.receive([Hello(1, 600.0), found.ihu(interval=655.0)], 2, "lan")
    found.receive([Hello(1, 600.0)], 3, "lan")
    found.wait(80)
    found.receive([found.ihu(interval=655.0)], 3, "lan")
    found.wait(880 - 80)
    assert found.neighbour(1, "lan") is not None
    for number in (2, 3):  # not one Hello is missed of the fifteen minutes that it has
        view = found.neighbour(number, "lan")
        assert view is not None
        assert view.cost == 96
    found.wait(120)
    assert found.neighbour(1, "lan") is None, "sixteen minutes without the seventeen Hellos that it was given"


def test_hello_seqnos_go_on_after_a_restart_and_after_an_interface_was_away() -> None:
    found = Bench(memory=Memory(seqno=1, hello_seqnos={"tun": 77}, lost=False))
    found.speaker.add_interface("tun", InterfaceParameters(), OUR_ADDRESS, found.now)
    assert [t.seqno for t in found.sent() if isinstance(t, Hello)] == [78]
    found.speaker.remove_interface("tun", found.now)
    assert found.speaker.hello_seqnos() == {"tun": 78}
    found.speaker.add_interface("tun", InterfaceParameters(), OUR_ADDRESS, found.now)
    assert [t.seqno for t in found.sent() if isinstance(t, Hello)] == [79]


def test_nothing_is_missed_that_may_wait_to_be_read() -> None:
    found = bench()
    found.meet(hellos=16)
    found.receive([update()])
    read = found.now
    for _ in range(40):  # nothing is read for so long that Hellos, IHU and route would all be over
        found.now += 2.0
        found.speaker.handle_deadline(found.now, heard=read)
    assert cost(found) == 96
    assert found.selected() == neighbour_address(1)
    assert any(isinstance(tlv, Hello) for tlv in found.sent()), "our own Hellos wait for nobody"
    # What had come in time is read now, late as it is.
    found.receive([found.hello(), found.ihu()])
    found.speaker.handle_deadline(found.now)
    assert cost(found) == 96


def test_what_was_not_there_when_all_was_read_is_missed() -> None:
    found = bench()
    found.meet(hellos=16)
    found.receive([update()])
    for _ in range(40):
        found.now += 2.0
        found.speaker.handle_deadline(found.now, heard=found.now - 6.0)
    assert found.neighbour() is None or cost(found) == INFINITY
    assert found.selected() is None


def test_a_route_whose_update_may_wait_to_be_read_is_asked_about_before_it_expires() -> None:
    found = bench()
    found.meet(hellos=16)
    found.receive([update()])
    learned = found.now
    found.keep([1], "tun", 44.0)
    found.sent()
    # The route is to be asked about after 48 seconds, and over after 56.
    found.now = learned + 60.0
    found.speaker.handle_deadline(found.now, heard=learned + 50.0)
    assert found.selected() == neighbour_address(1)
    assert RouteRequest(update().prefix) in found.sent()
    found.speaker.handle_deadline(found.now)
    assert found.selected() is None


def test_a_speaker_that_was_away_has_lost_nothing_when_its_hellos_go_on() -> None:
    found = bench()
    found.meet(hellos=8)
    found.receive([found.hello(interval=0.0)])  # one that was not promised
    found.receive([found.hello()])
    found.wait(11.0)  # two are missed
    neighbour = found.neighbour()
    assert neighbour is not None
    assert neighbour.rxcost == INFINITY
    found.receive([found.hello()])
    neighbour = found.neighbour()
    assert neighbour is not None
    assert neighbour.rxcost == 96


def test_of_interfaces_that_went_the_latest_are_remembered_and_no_others() -> None:
    speaker = Speaker(OUR_ID, Parameters(), Random(1), Memory(hello_seqnos={"old": 7, "back": 9}, lost=False))
    speaker.add_interface("back", InterfaceParameters(), OUR_ADDRESS, 0.0)
    speaker.handle_deadline(0.0)
    speaker.datagrams_to_send(0.0)
    assert speaker.hello_seqnos() == {"old": 7, "back": 10}
    for number in range(MAX_FORMER_INTERFACES):
        speaker.add_interface(f"ppp{number}", InterfaceParameters(), OUR_ADDRESS, 0.0)
        speaker.remove_interface(f"ppp{number}", 0.0)
    known = speaker.hello_seqnos()
    assert "old" not in known
    assert {"back", "ppp0", f"ppp{MAX_FORMER_INTERFACES - 1}"} <= known.keys()
    assert len(known) == MAX_FORMER_INTERFACES + 1


@pytest.mark.parametrize("way", ["told", "ihu-expired", "hellos-missed"])
def test_a_link_that_becomes_unusable_is_left_at_once_however_often_its_cost_changed_before(way: str) -> None:
    bench = Bench(Parameters(link_work=0, link_work_burst=10))
    for number in (1, 2):
        bench.interface(f"tun{number}")
        bench.meet(number, f"tun{number}", hellos=16)
        bench.receive([update(number=number)], number, f"tun{number}")
    bench.receive([bench.ihu(150)], 2, "tun2")
    for rxcost in (100, 96) * 4:
        bench.receive([bench.ihu(rxcost, interval=1.0)], 1, "tun1")
    assert bench.speaker.counters["link_change_deferred"] > 0
    assert bench.selected() == neighbour_address(1)
    if way == "told":
        bench.receive([bench.ihu(INFINITY)], 1, "tun1")
    elif way == "ihu-expired":
        bench.keep((2,), "tun2", 3.6)
    else:
        bench.receive([bench.ihu(interval=60.0)], 1, "tun1")
        bench.keep((2,), "tun2", 10.1)  # 1.5 + 1.0 intervals of four seconds
    assert bench.neighbour(1, "tun1").cost == INFINITY
    assert bench.selected() == neighbour_address(2)


def test_a_link_that_was_left_is_used_again_when_its_neighbour_can_pay_for_it() -> None:
    bench = Bench(Parameters(link_work=1, link_work_burst=4))
    bench.interface("tun1")
    bench.meet(1, "tun1", hellos=16)
    bench.receive([update()], 1, "tun1")
    costs = []
    for _ in range(5):
        for rxcost in (INFINITY, 96):
            bench.receive([bench.ihu(rxcost)], 1, "tun1")
            costs.append(bench.neighbour(1, "tun1").cost)
    assert costs == [INFINITY, 96] + [INFINITY] * 8
    bench.wait(3.1)
    assert bench.neighbour(1, "tun1").cost == 96
