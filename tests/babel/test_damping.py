"""Prefixes that keep changing: the first changes are told at once, and further ones at the neighbour's expense."""

import pytest

from babelwg.babel.parameters import Parameters
from babelwg.babel.tables.flaps import MOST, Flaps
from babelwg.babel.wire.tlv import INFINITY, SeqnoRequest, Update
from tests.babel.bench import ORIGIN, Bench, P, Q, neighbour_address, retraction, tlvs_of, update, updates
from tests.babel.test_hostile import bench, prefixes

OTHER = bytes.fromhex("02000000000000bb")
FREE = 3
CHANGE = 12  # updates that a change is counted as where there are two links


def flap(found: Bench, times: int, number: int = 1) -> list[list[int]]:
    """Have a neighbour announce and retract a prefix, and return the metrics that the other one hears of each."""
    heard = []
    for _ in range(times):
        for tlv in (update(P, number=number), retraction(P)):
            found.receive([tlv], number, f"tun{number}")
            heard.append(metrics(found))
    return heard


def metrics(found: Bench, seconds: float = 0.0, name: str = "tun2") -> list[int]:
    datagrams = [d for _, d in found.wait_datagrams(seconds)] if seconds else found.datagrams()
    return [u.metric for d in datagrams if d.interface == name for u in updates(tlvs_of(d))]


def strict(changes: int, rate: int = 0) -> Bench:
    """Return a speaker between two neighbours that lets each pay for so many changes."""
    return bench(Parameters(flap_work=rate, flap_work_burst=changes * CHANGE))


def test_a_prefix_that_flaps_is_told_at_once_as_long_as_its_neighbour_can_pay() -> None:
    found = bench()
    assert flap(found, 50) == [[96], [INFINITY]] * 50
    assert found.speaker.counters["change_held.flapping"] == 0


def test_beyond_that_it_is_not_used_for_a_moment_and_a_retraction_never_waits() -> None:
    found = strict(changes=3)
    # Three are free, then the third loss, a return and its loss are paid for.
    heard = flap(found, FREE + 4)
    assert heard == [[96], [INFINITY]] * (FREE + 2) + [[], []] * 2
    assert found.speaker.counters["change_held.flapping"] == 2
    assert found.snapshot().held == (P,)  # packets for it go nowhere else meanwhile


def test_what_waited_is_told_as_soon_as_its_neighbour_can_pay_again() -> None:
    found = strict(changes=2, rate=CHANGE)
    flap(found, 8)
    found.receive([update(P)], 1, "tun1")
    assert (metrics(found), found.selected(P)) == ([], None)
    assert "too often" in found.speaker.explain(P, found.now).why
    assert 96 in metrics(found, 2.1)
    assert found.selected(P) is not None


def test_a_burst_of_flaps_is_forgotten_after_some_time() -> None:
    found = strict(changes=0)
    flap(found, 6)
    for _ in range(12):
        found.live(4.0)
    found.receive([update(P)], 1, "tun1")
    assert metrics(found) == [96]


def test_a_link_that_fails_and_lives_again_makes_nobody_wait() -> None:
    found = strict(changes=0)
    found.receive([update(P)], 1, "tun1")
    for _ in range(8):
        found.speaker.fail_link("tun1", "8 probes in 120 ms were not answered", found.now)
        assert found.selected(P) is None
        found.wait(0.3)
        found.speaker.restore_link("tun1", found.now)
        found.receive([found.hello(1, "tun1"), found.ihu()], 1, "tun1")
        found.wait(0.1)
        assert found.selected(P) is not None


def test_other_prefixes_and_other_neighbours_do_not_wait() -> None:
    found = strict(changes=0)
    flap(found, 8)
    found.receive([update(Q)], 1, "tun1")
    assert found.selected(Q) is not None
    found.receive([retraction(Q), update(Q)], 1, "tun1")
    assert [u.metric for u in updates(found.sent(), Q)] == [96]
    found.receive([update(P, number=2)], 2, "tun2")
    assert found.selected(P) is not None


def test_a_prefix_with_another_way_stays_reachable_whoever_flaps() -> None:
    found = strict(changes=0)
    found.receive([update(P, metric=400, number=2)], 2, "tun2")
    for seqno in range(8, 20):
        found.receive([update(P, seqno=seqno, router_id=OTHER)], 1, "tun1")
        found.receive([retraction(P)], 1, "tun1")
        assert found.selected(P) is not None


def test_routers_that_take_turns_are_told_later_but_to_the_next_hop_at_once() -> None:
    found = strict(changes=0, rate=CHANGE)
    heard = []
    for number in range(8):
        found.receive([update(P, router_id=(ORIGIN, OTHER)[number % 2])], 1, "tun1")
        datagrams = found.datagrams()
        here = [u.metric for d in datagrams if d.interface == "tun1" for u in updates(tlvs_of(d))]
        there = [u.router_id for d in datagrams if d.interface == "tun2" for u in updates(tlvs_of(d))]
        heard.append((here, there))
    assert heard[1:4] == [([INFINITY], [OTHER]), ([INFINITY], [ORIGIN]), ([INFINITY], [OTHER])]
    assert [there for _, there in heard[5:]] == [[], [], []]
    # The sixth and the eighth are news; the seventh says again what was told last.
    assert [here for here, _ in heard[5:]] == [[INFINITY], [], [INFINITY]]
    assert found.route(1, P, "tun1").router_id == OTHER
    found.receive([update(P, metric=1, router_id=OTHER)], 1, "tun1")
    told = [tlv for tlv in found.wait(3.0) if isinstance(tlv, Update) and tlv.metric == 97]
    assert OTHER in {u.router_id for u in told}


def test_a_change_of_router_that_waits_is_told_to_the_next_hop_once() -> None:
    found = strict(changes=0)
    hold_change(found)
    found.live(4.0)  # with what is repeated until it is acknowledged
    later = [tlv for _, d in found.live(6.0) if d.interface == "tun1" for tlv in tlvs_of(d)]
    assert updates(later, P) == []
    assert found.speaker.counters["change_held.flapping"] > 15  # looks


def test_a_new_next_hop_of_a_router_that_others_hear_of_later_is_told_at_once() -> None:
    found = strict(changes=0)
    found.receive([update(P, metric=50, number=2)], 2, "tun2")
    for number in range(5):
        found.receive([update(P, router_id=(ORIGIN, OTHER)[number % 2])], 1, "tun1")
        found.datagrams()
    assert found.speaker.counters["change_held.flapping"] == 1  # all heard of OTHER last
    found.receive([retraction(P)], 1, "tun1")
    assert found.selected(P) == neighbour_address(2)
    assert metrics(found) == [INFINITY]


def test_who_loses_a_change_that_waited_asks_for_the_router_that_it_used() -> None:
    found = strict(changes=0)
    found.receive([update(P)], 1, "tun1")
    found.sent()
    found.receive([update(P, metric=900, number=2)], 2, "tun2")  # not feasible any more
    hold_change(found)
    found.receive([retraction(P)], 1, "tun1")
    assert found.selected(P) is None
    asked = [tlv.router_id for tlv in found.sent() if isinstance(tlv, SeqnoRequest)]
    assert asked == [OTHER, ORIGIN]


def hold_change(found: Bench) -> None:
    """Have a speaker use OTHER's route whose neighbour cannot pay for telling who heard of ORIGIN's."""
    for number in range(6):
        found.receive([update(P, router_id=(ORIGIN, OTHER)[number % 2])], 1, "tun1")
        found.datagrams()
    assert found.speaker.counters["change_held.flapping"] == 1


@pytest.mark.parametrize("flips", [4, 40])
def test_a_metric_that_jumps_is_told_later(flips: int) -> None:
    found = strict(changes=0, rate=CHANGE)
    found.receive([update(P)], 1, "tun1")
    found.wait(0.2)
    for number in range(flips):
        found.receive([update(P, metric=(500, 0)[number % 2], seqno=8 + number)], 1, "tun1")
        metrics(found, 0.001)
    found.receive([update(P, metric=700, seqno=8 + flips)], 1, "tun1")
    heard = [m for m in metrics(found, 3.0) if m != INFINITY]
    assert heard[-1] >= 796
    assert found.speaker.counters["change_held.flapping"] >= flips // 2 - FREE


def test_a_thousand_prefixes_that_flap_cost_a_hub_no_more_than_allowed() -> None:
    links, known = 20, prefixes(200)
    change = 10 + links
    found = Bench(Parameters(flap_work=100 * change, flap_work_burst=200 * change))
    for number in range(1, links + 1):
        found.interface(f"tun{number}")
        found.meet(number, f"tun{number}", hellos=16)
    found.wait(0.5)
    selections = 0
    for _ in range(20):
        found.receive([update(p) for p in known], 1, "tun1")
        found.datagrams()
        found.receive([retraction(p) for p in known], 1, "tun1")
        found.datagrams()
        selections += found.events().count("route-selected")
        found.wait(0.1)
    # Three of each are free; of 200 + 2 s * 100 changes half are losses.
    assert FREE * 200 <= selections <= FREE * 200 + 400
    assert found.speaker.counters["change_held.flapping"] >= 2000


def test_two_full_tables_that_come_and_go_are_not_held() -> None:
    found, known = bench(), prefixes(20_000)
    for _ in range(2):
        for start in range(0, len(known), 1000):
            found.receive([update(p) for p in known[start : start + 1000]], 1, "tun1")
        found.events()
        assert len(found.speaker.selected_metrics()) == 20_000
        found.receive([retraction(None)], 1, "tun1")
        found.now += 5.0
    assert found.speaker.counters["change_held.flapping"] == 0


def test_changes_are_counted_for_twenty_to_forty_seconds_and_of_so_many_prefixes() -> None:
    flaps, known = Flaps(), prefixes(MOST + 1)
    for now in (100.0, 101.0, 119.0, 121.0):
        flaps.note(P, now)
    assert [flaps.count(P, now) for now in (121.0, 139.0, 141.5, 182.0)] == [4, 4, 1, 0]
    for prefix in known:
        flaps.note(prefix, 200.0)
    assert [flaps.count(prefix, 200.0) for prefix in (known[0], known[-2], known[-1])] == [1, 1, 0]
