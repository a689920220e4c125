"""Filters between a speaker and its neighbours: what comes in, what goes out, what is used."""

import pytest

from babelwg.babel.operation.permission import FREE
from babelwg.babel.policy import Announcement
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY, AcknowledgmentRequest, RouteRequest, Update
from tests.babel.bench import (
    ORIGIN,
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

OTHER = bytes.fromhex("02000000000000bb")


class Rules:
    """A policy made of tables: prefix or router-id to what is added; it counts its questions."""

    def __init__(self, into=None, out=None, uninstalled=()) -> None:
        self.into = into or {}
        self.out = out or {}
        self.uninstalled = uninstalled
        self.asked: list[tuple[str, Announcement]] = []

    def metric_in(self, announcement: Announcement) -> int:
        self.asked.append(("in", announcement))
        return self._look_up(self.into, announcement)

    def metric_out(self, announcement: Announcement) -> int:
        self.asked.append(("out", announcement))
        return self._look_up(self.out, announcement)

    def installs(self, announcement: Announcement) -> bool:
        return announcement.prefix not in self.uninstalled

    @staticmethod
    def _look_up(table, announcement: Announcement) -> int:
        keys = (announcement.prefix, announcement.router_id, announcement.interface, announcement.neighbour)
        return next((table[key] for key in keys if key in table), 0)


@pytest.mark.conformance("CF-7")
@pytest.mark.parametrize(
    "text",
    [
        "ff00::/8",
        "ff02::1/128",
        "fe80::/10",
        "fe80::/64",
        "::/128",
        "::1/128",
        "127.0.0.0/8",
        "127.0.0.1/32",
        "0.0.0.0/8",
        "0.1.2.0/24",
        "224.0.0.0/4",
        "239.1.0.0/16",
        "255.255.255.255/32",
    ],
)
def test_martians_are_refused_before_any_filter_is_asked(text: str) -> None:
    found = bench(rules := Rules())
    receive(found, 1, update(Prefix.parse(text), metric=1))
    assert found.speaker.counters["update_refused.martian"] == 1
    assert found.snapshot().routes == ()
    assert [a.prefix for kind, a in rules.asked if kind == "in"] == []
    receive(found, 1, update(Prefix.parse("0.0.0.0/0"), metric=1))
    assert [str(a.prefix) for kind, a in rules.asked if kind == "in"] == ["0.0.0.0/0"]


def bench(policy: Rules | None = None, interfaces: int = 3) -> Bench:
    """Return a speaker with interfaces if0, if1, ... each with the reachable neighbour of its number."""
    found = Bench()
    for number in range(interfaces):
        found.interface(f"if{number}")
        found.meet(number, f"if{number}", hellos=16)
    found.live(3)
    if policy is not None:
        found.speaker.set_policy(policy, found.now)
    found.events()
    return found


def receive(found: Bench, number: int, *tlvs) -> None:
    found.receive(tlvs, number, f"if{number}")


def sent(found: Bench, seconds: float = 0.2) -> dict[str, list[Update]]:
    """Return the updates sent on each interface within some seconds."""
    by_name: dict[str, list[Update]] = {f"if{n}": [] for n in range(3)}
    for _, datagram in found.wait_datagrams(seconds):
        by_name[datagram.interface] += [t for t in tlvs_of(datagram) if isinstance(t, Update)]
    return by_name


def metrics(found: Bench, name: str, prefix: Prefix = P, seconds: float = 0.2) -> list[int]:
    return [u.metric for u in updates(sent(found, seconds)[name], prefix)]


@pytest.mark.conformance("BC-1")
def test_a_filter_adds_to_the_metric_of_what_comes_in() -> None:
    found = bench(Rules(into={neighbour_address(0): 200}))
    receive(found, 0, update(metric=10, number=0))
    receive(found, 1, update(metric=100, number=1, seqno=8))
    assert (found.route(0, P, "if0").refmetric, found.route(0, P, "if0").metric) == (10, 306)
    receive(found, 0, update(metric=11, number=0))
    assert found.route(0, P, "if0").metric == 307
    receive(found, 0, found.ihu(rxcost=100))
    assert found.route(0, P, "if0").metric == 311
    assert found.selected() == neighbour_address(1)


def test_a_denied_route_is_seen_but_neither_used_nor_announced_nor_asked_about() -> None:
    found = bench(Rules(into={P: INFINITY}))
    receive(found, 0, update(metric=10, number=0), update(Q, metric=10, number=0))
    view = found.route(0, P, "if0")
    assert (view.state, view.refmetric, view.metric) == ("filtered", 10, INFINITY)
    assert found.selected(Q) == neighbour_address(0)
    assert metrics(found, "if1") == []
    tlvs = [t for _, d in found.live(60) for t in tlvs_of(d)]
    assert (updates(tlvs), seqno_requests(tlvs)) == ([], [])
    assert not [t for t in tlvs if isinstance(t, RouteRequest) and t.prefix == P]
    receive(found, 0, update(metric=10, number=0), retraction())
    assert found.route(0, P, "if0").state == "retracted"


def test_a_route_that_is_not_to_be_installed_is_not_selected() -> None:
    found = bench(Rules(uninstalled=(P,)))
    receive(found, 0, update(metric=10, number=0))
    assert (found.route(0, P, "if0").state, found.selected()) == ("filtered", None)
    assert found.events() == []
    assert metrics(found, "if1") == []
    # Nor is a seqno asked for that would make it feasible.
    found.speaker.set_policy(Rules(), found.now)
    found.wait(0.2)
    found.speaker.set_policy(Rules(uninstalled=(P,)), found.now)
    found.wait(1)
    receive(found, 1, update(metric=500, number=1))
    assert found.route(1, P, "if1").state == "filtered"
    assert seqno_requests(found.sent()) == []


def test_a_filter_adds_to_what_is_announced_and_to_the_distance_of_it() -> None:
    found = bench(Rules(out={"if1": 300, "if2": 200}))
    receive(found, 0, update(metric=10, number=0))
    found.speaker.announce(Q, 5, found.now)
    heard = sent(found)
    assert [u.metric for u in updates(heard["if1"])] == [406]
    assert [u.metric for u in updates(heard["if2"])] == [306]
    assert [[u.metric for u in updates(heard[f"if{n}"], Q)] for n in range(3)] == [[5], [305], [205]]
    assert (found.distance(), found.distance(Q, OUR_ID)) == ((7, 306), (100, 5))


def test_what_a_filter_keeps_back_is_never_mentioned_unless_somebody_asks() -> None:
    found = bench(Rules(out={"if1": INFINITY}))
    receive(found, 0, update(metric=10, number=0))
    found.speaker.announce(Q, 5, found.now)
    told = [u for _, d in found.live(60) if d.interface == "if1" for u in tlvs_of(d) if isinstance(u, Update)]
    assert told == []
    receive(found, 1, RouteRequest(P), RouteRequest(Q), RouteRequest(None))
    assert [(u.prefix, u.metric) for u in sent(found)["if1"]] == [(P, INFINITY), (Q, INFINITY)]
    receive(found, 0, update(metric=10, number=0))
    receive(found, 0, retraction())
    found.speaker.withdraw(Q, found.now)
    heard = sent(found)
    assert heard["if1"] == []
    assert {u.metric for u in heard["if2"]} == {INFINITY}


def test_a_lost_prefix_does_not_wait_for_those_who_never_heard_of_it() -> None:
    found = bench(Rules(out={"if1": INFINITY, "if2": INFINITY}))
    receive(found, 0, update(metric=10, number=0))
    found.wait(1)
    receive(found, 0, retraction())
    assert found.snapshot().held == ()


@pytest.mark.conformance("BC-3")
def test_new_filters_retract_what_was_announced_and_wait_for_its_acknowledgment() -> None:
    found = bench()
    receive(found, 0, update(metric=10, number=0))
    found.speaker.announce(Q, 5, found.now)
    found.live(10)
    found.speaker.set_policy(Rules(out={"if1": INFINITY}), found.now)
    datagrams = [d for d in found.datagrams() if d.interface == "if1"]
    tlvs = [t for d in datagrams for t in tlvs_of(d)]
    assert sorted((u.prefix, u.metric) for u in tlvs if isinstance(u, Update)) == [
        (P, INFINITY),
        (Q, INFINITY),
    ]
    assert [t for t in tlvs if isinstance(t, AcknowledgmentRequest)]
    # Unconfirmed, it is repeated; then it is not mentioned any more.
    assert metrics(found, "if1", seconds=5) == [INFINITY] * 4
    told = [u for _, d in found.live(40) if d.interface == "if1" for u in updates(tlvs_of(d))]
    assert told == []
    # Neighbours that heard of it once still hear when it is lost.
    receive(found, 0, retraction())
    assert metrics(found, "if1") == [INFINITY]
    assert P in found.snapshot().held


@pytest.mark.conformance("BC-1")
def test_a_filter_that_lowers_a_metric_is_our_own_mistake() -> None:
    found = bench()
    for rules in (Rules(into={P: -1}), Rules(out={P: -1})):
        found.speaker.set_policy(rules, found.now)
        with pytest.raises(AssertionError, match="better than it is"):
            receive(found, 0, update(metric=10, number=0))
            found.sent()


def test_filters_that_go_let_everything_out_again() -> None:
    found = bench(Rules(into={P: INFINITY}, out={Q: INFINITY, V4: 100}))
    found.speaker.announce(Q, 5, found.now)
    found.speaker.announce(V4, 5, found.now)
    receive(found, 0, update(metric=10, number=0))
    found.live(10)
    found.events()
    found.speaker.set_policy(Rules(), found.now)
    assert found.events() == ["route-selected"]
    heard = sent(found, 2)["if1"]
    assert {u.metric for u in updates(heard)} == {106}
    assert {u.metric for u in updates(heard, Q)} == {5}
    assert {u.metric for u in updates(heard, V4)} == {5}


def test_new_filters_that_deny_a_selected_route_retract_it() -> None:
    found = bench()
    receive(found, 0, update(metric=10, number=0))
    receive(found, 1, update(metric=300, number=1, seqno=8))
    found.wait(0.2)
    found.events()
    found.speaker.set_policy(Rules(into={neighbour_address(0): INFINITY}), found.now)
    assert found.selected() == neighbour_address(1)
    found.speaker.set_policy(Rules(into={P: INFINITY}), found.now)
    assert found.selected() is None
    assert found.events() == ["route-selected", "route-retracted"]
    assert metrics(found, "if2")[:1] == [INFINITY]


def test_another_origin_is_judged_anew() -> None:
    found = bench(Rules(into={OTHER: 50}, out={OTHER: INFINITY}))
    receive(found, 0, update(metric=10, number=0))
    assert metrics(found, "if1") == [106]
    receive(found, 0, update(metric=10, number=0, router_id=OTHER))
    assert found.route(0, P, "if0").metric == 156
    assert metrics(found, "if1") == [INFINITY]
    receive(found, 0, update(metric=10, seqno=8, number=0, router_id=ORIGIN))
    assert set(metrics(found, "if1")) == {106}


def test_a_filter_is_asked_once_per_route_and_once_per_announcement() -> None:
    rules = Rules()
    found = bench(rules)
    for seqno in range(7, 12):
        receive(found, 0, update(metric=10 * seqno, seqno=seqno, number=0))
        found.live(20)
    asked = [(way, a.interface, a.router_id, a.neighbour) for way, a in rules.asked if a.prefix == P]
    # Split horizon keeps it back where it came from.
    ours = [("out", f"if{n}", ORIGIN, None) for n in (1, 2)]
    assert sorted(asked, key=str) == sorted([("in", "if0", ORIGIN, neighbour_address(0)), *ours], key=str)


def test_an_announcement_whose_metric_overflows_is_a_retraction() -> None:
    found = bench(Rules(out={"if1": 60000}))
    receive(found, 0, update(metric=10, number=0))
    assert metrics(found, "if1") == [60106]
    receive(found, 0, update(metric=8000, seqno=8, number=0))
    assert metrics(found, "if1", seconds=3)[:1] == [INFINITY]


def test_what_the_filters_said_is_forgotten_with_the_prefix() -> None:
    found = bench(Rules(out={"if1": INFINITY}))
    state = found.speaker._state
    receive(found, 0, update(metric=10, number=0))
    found.wait(1)
    assert list(state.permissions) == [P]
    receive(found, 0, retraction())
    found.wait(5)
    assert state.permissions == {}
    assert FREE.leaves_traces


def test_the_same_filters_again_say_nothing_anew() -> None:
    found = bench(Rules(out={"if1": 300}))
    receive(found, 0, update(metric=10, number=0))
    found.speaker.announce(Q, 5, found.now)
    found.wait(1)
    found.speaker.set_policy(Rules(out={"if1": 300}), found.now)
    assert [updates(heard) for heard in sent(found).values()] == [[], [], []]


def test_only_what_appears_or_disappears_by_filters_is_urgent() -> None:
    found = bench(Rules(out={"if1": INFINITY}))
    found.speaker.announce(Q, 5, found.now)
    found.wait(1)
    found.speaker.set_policy(Rules(out={"if1": 300}), found.now)
    at_once = [u.metric for d in found.datagrams() if d.interface == "if1" for u in updates(tlvs_of(d), Q)]
    assert at_once == [305]
    found.wait(1)
    found.speaker.set_policy(Rules(out={"if1": 200}), found.now)
    assert [u for d in found.datagrams() for u in updates(tlvs_of(d), Q)] == []
    assert set(metrics(found, "if1", Q, seconds=1)) == {205}


def test_of_what_was_lost_with_a_link_each_hears_what_he_was_told_of() -> None:
    found = bench(Rules(out={Q: INFINITY}))
    receive(found, 0, update(P, metric=1), update(Q, metric=1), update(V4, metric=1))
    found.live(3)
    found.speaker.fail_link("if0", "probes", found.now)
    told = [t for d in found.datagrams() if d.interface == "if2" for t in tlvs_of(d)]
    assert [(t.prefix, t.metric) for t in told if type(t) is Update] == [(P, INFINITY), (V4, INFINITY)]
