"""Why a prefix is routed as it is: a table of prepared situations, and agreement with the selection in storms."""

import os
from random import Random

import pytest

from babelwg.babel.explain import Candidate, Explanation, PeerAddress, outcome
from babelwg.babel.explain.explanation import CostParts, Verdict, VerdictCode
from babelwg.babel.memory import Memory
from babelwg.babel.parameters import InterfaceParameters, Parameters
from babelwg.babel.snapshot import RouteView
from babelwg.babel.speaker import Speaker
from babelwg.babel.tables.neighbour import MAX_REFUSED
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.seqno import seqno_lt
from babelwg.babel.wire.tlv import INFINITY, SeqnoRequest
from babelwg.lab.scenario import random_mesh, storm
from babelwg.lab.simulator.network import SimNetwork
from tests.babel.bench import (
    ORIGIN,
    OUR_ID,
    Bench,
    P,
    Q,
    neighbour_address,
    retraction,
    seqno_requests,
    tlvs_of,
    update,
)

OTHER = bytes.fromhex("02000000000000bb")
SEEDS = int(os.environ.get("EXPLAIN_SEEDS", "6"))  # more for a long run


class Rules:
    """A policy that adds to what comes in, by neighbour, and keeps prefixes from the kernel."""

    def __init__(self, into=None, uninstalled=()) -> None:
        self.into = into or {}
        self.uninstalled = uninstalled

    def metric_in(self, announcement) -> int:
        return self.into.get(announcement.neighbour, 0)

    def metric_out(self, announcement) -> int:
        return 0

    def installs(self, announcement) -> bool:
        return announcement.prefix not in self.uninstalled


def make(parameters: Parameters | None = None, memory: Memory | None = None, **interface) -> Bench:
    """Return a speaker with tunnels tun1, tun2 and tun3, each with the reachable neighbour of its number."""
    bench = Bench(parameters, memory)
    for number in (1, 2, 3):
        bench.interface(f"tun{number}", InterfaceParameters(**interface))
        bench.meet(number, f"tun{number}", hellos=16)
    bench.wait(0.5)
    return bench


def receive(bench: Bench, number: int, *tlvs) -> None:
    bench.receive(tlvs, number, f"tun{number}")


def explained(bench: Bench, prefix: Prefix = P) -> Explanation:
    return bench.speaker.explain(prefix, bench.now)


def via(candidate: Candidate | None) -> str | None:
    return None if candidate is None else candidate.view.interface


def of(explanation: Explanation, number: int) -> Candidate:
    return next(c for c in explanation.candidates if c.view.interface == f"tun{number}")


def peer(number: int) -> PeerAddress:
    return PeerAddress(f"tun{number}", neighbour_address(number))


def said(bench: Bench, prefix: Prefix = P) -> tuple[str, str]:
    found = explained(bench, prefix)
    return found.outcome, found.why


def test_the_best_of_two_wins_and_the_other_follows() -> None:
    found = make()
    receive(found, 1, update(metric=100))
    receive(found, 2, update(metric=120, number=2))
    answer = explained(found)
    assert (answer.outcome, via(answer.winner), via(answer.following)) == ("selected", "tun1", "tun2")
    assert answer.why == "it has the smallest metric of 2 usable routes"
    assert [via(c) for c in answer.candidates] == ["tun1", "tun2"]
    assert [c.verdict.words for c in answer.candidates] == ["feasible: no distance recorded"] * 2
    receive(found, 1, retraction())
    assert via(explained(found).winner) == "tun2"


def test_a_lone_route_and_one_that_is_as_good_say_so() -> None:
    found = make()
    receive(found, 1, update(metric=100))
    assert said(found) == ("selected", "it is the only route")
    receive(found, 2, update(metric=100, number=2))
    assert said(found) == ("selected", "none of 2 usable routes has a smaller metric")
    receive(found, 3, update(metric=120, number=3))
    assert said(found) == ("selected", "none of 3 usable routes has a smaller metric")


def test_an_equal_metric_is_not_feasible() -> None:
    found = make()
    receive(found, 1, update(metric=96))
    found.wait(0.2)
    receive(found, 2, update(metric=192, number=2))
    answer = explained(found)
    verdict = of(answer, 2).verdict
    assert verdict.code == "unfeasible"
    assert verdict.words == "unfeasible: the same seqno and metric 192 is not smaller than 192"
    assert verdict.distance == (7, 192)
    assert (answer.why, answer.following) == ("it is the only usable route", None)


def test_an_older_seqno_is_not_feasible_and_a_newer_one_is() -> None:
    found = make()
    receive(found, 1, update(metric=96, seqno=12))
    found.wait(0.2)
    receive(found, 2, update(metric=5, number=2, seqno=11))
    receive(found, 3, update(metric=5000, number=3, seqno=13))
    answer = explained(found)
    assert of(answer, 2).verdict.words == "unfeasible: seqno 11 is older than 12"
    assert of(answer, 3).verdict.words == "feasible: newer seqno, 13 after 12"
    assert of(answer, 1).verdict.words == "feasible: smaller metric, 96 below 192 at the same seqno"
    receive(found, 2, update(metric=5, number=2, seqno=12 + 0x8000))
    assert "in no order" in of(explained(found), 2).verdict.words


def test_a_lost_prefix_tells_of_the_seqno_that_was_asked_for_and_of_the_hold() -> None:
    found = make()
    receive(found, 1, update(metric=96))
    receive(found, 2, update(metric=192, number=2))
    found.wait(0.2)
    receive(found, 1, retraction())
    found.wait(0.3)
    answer = explained(found)
    assert (answer.outcome, answer.why) == ("unfeasible", "no route is feasible")
    assert [c.verdict.code for c in answer.candidates] == ["unfeasible", "retracted"]
    (request,) = answer.requests
    assert (request.router_id, request.seqno, request.targets) == (ORIGIN, 8, (peer(2),))
    assert (request.for_us, request.resends, request.requesters) == (True, 26, ())
    assert request.age == pytest.approx(0.3)
    assert answer.held is not None
    assert answer.held.waiting == (peer(2), peer(3))
    assert answer.held.age == pytest.approx(0.3)
    assert answer.held.ends == pytest.approx(56 - 0.3)
    assert (explained(found, Q).outcome, explained(found, Q).why) == ("unknown", "no neighbour announces it")


def test_hold_time_without_any_candidate_left() -> None:
    found = make()
    found.speaker.announce(P, 0, found.now)
    found.wait(0.2)
    found.speaker.withdraw(P, found.now)
    answer = explained(found)
    assert (answer.outcome, answer.candidates) == ("unknown", ())
    assert answer.held is not None


def test_a_request_of_a_neighbour_is_told_as_passed_on() -> None:
    found = make()
    receive(found, 1, update(metric=96))
    found.wait(0.2)
    receive(found, 3, SeqnoRequest(P, ORIGIN, 9, 20))
    (request,) = explained(found).requests
    assert (request.for_us, request.requesters, request.targets) == (False, (peer(3),), (peer(1),))
    assert request.seqno == 9


def test_a_route_that_expired_with_its_link_says_so() -> None:
    found = make()
    receive(found, 1, update(metric=100, interval=4.0))
    found.wait(16)
    (candidate,) = explained(found).candidates
    assert candidate.verdict.words == (
        "no update came in time: the link to its neighbour does not work both ways"
    )


def test_retracted_and_expired_are_told_apart() -> None:
    found = make()
    receive(found, 1, update(metric=100, interval=4.0))
    receive(found, 2, update(Q, metric=100, number=2))
    receive(found, 2, retraction(Q))
    found.live(15)
    assert said(found, Q) == ("retracted", "its only neighbour retracted it")
    assert said(found) == ("expired", "no update came in time")
    assert of(explained(found), 1).verdict.words == "no update came in time"
    receive(found, 1, retraction())
    assert of(explained(found), 1).verdict.code == "expired"
    receive(found, 1, update(metric=100, interval=4.0), retraction())
    assert of(explained(found), 1).verdict.code == "retracted"


def test_filters_in_and_of_the_kernel_are_told_apart() -> None:
    found = make()
    receive(found, 1, update(metric=100), update(Q, metric=100))
    found.speaker.set_policy(Rules({neighbour_address(1): INFINITY}), found.now)
    assert said(found) == ("filtered", "a filter keeps its only route away")
    assert of(explained(found), 1).verdict.words == "filtered in"
    assert of(explained(found), 1).parts.metric == INFINITY
    found.speaker.set_policy(Rules(uninstalled=(P,)), found.now)
    assert of(explained(found), 1).verdict.words == "kept from the kernel by an install filter"
    assert explained(found, Q).outcome == "selected"


def test_the_parts_of_a_metric_are_its_sum() -> None:
    found = make(cost=7)
    found.speaker.set_policy(Rules({neighbour_address(1): 30}), found.now)
    receive(found, 1, found.ihu(rxcost=120), update(metric=100))
    answer = explained(found)
    parts = of(answer, 1).parts
    assert (parts.nominal, parts.loss, parts.configured, parts.filter, parts.refmetric) == (
        96,
        24,
        7,
        30,
        100,
    )
    assert (parts.delay, parts.rest, parts.metric) == (0, 0, 257)
    assert of(answer, 1).view.metric == 257


@pytest.mark.parametrize(
    ("rxcost", "metric", "code", "words"),
    [
        (96, 65500, "too-far", "too far: the sum is beyond 65534"),
        (INFINITY, 100, "unreachable", "the link to its neighbour does not work both ways"),
    ],
)
def test_a_metric_that_is_infinite_says_why(rxcost: int, metric: int, code: str, words: str) -> None:
    found = make()
    receive(found, 1, update(metric=metric))
    receive(found, 1, found.ihu(rxcost=rxcost))
    answer = explained(found)
    assert (answer.outcome, of(answer, 1).verdict.words) == (code, words)
    assert of(answer, 1).parts.metric == of(answer, 1).view.metric == INFINITY


def test_what_is_ours_or_the_kernels_is_not_learned() -> None:
    found = make()
    receive(found, 1, update(metric=100), update(Q, metric=100))
    found.speaker.refuse(frozenset({Q}), found.now)
    found.speaker.announce(P, 5, found.now)
    answer = explained(found)
    assert (answer.outcome, answer.announced, via(answer.winner)) == ("announced", 5, None)
    assert of(answer, 1).usable
    assert explained(found, Q).outcome == "refused"


def test_after_a_loss_of_memory_nothing_is_used_before_the_neighbours_confirm() -> None:
    found = Bench(memory=Memory(seqno=100, lost=True, hello_seqnos={"tun1": 5}))
    found.interface("tun1")
    found.meet(1, "tun1", hellos=3)
    receive(found, 1, update(metric=100))
    answer = explained(found)
    assert (answer.outcome, answer.recovering) == ("recovering", ("tun1",))
    assert answer.why == "after a loss of memory, 1 interface must confirm first"
    assert of(answer, 1).verdict.code == "unconfirmed"


def test_a_better_route_that_is_not_taken_yet_waits() -> None:
    found = make()
    receive(found, 1, update(metric=100))
    receive(found, 2, update(metric=300, number=2, seqno=8))
    receive(found, 2, update(metric=96, number=2, seqno=8))
    answer = explained(found)
    assert answer.waiting is not None
    assert (via(answer.winner), via(answer.waiting.better)) == ("tun1", "tun2")
    assert answer.waiting.clearly_for is None
    assert "less than 16 better" in answer.waiting.words
    assert answer.why == "it is in use, and a better one is not taken yet"
    receive(found, 2, update(metric=20, number=2, seqno=8))
    found.wait(0.5)
    answer = explained(found)
    assert answer.waiting is not None
    assert answer.waiting.clearly_for == pytest.approx(0.5)
    assert answer.waiting.again == pytest.approx(0.25)
    found.wait(0.3)
    assert via(explained(found).winner) == "tun2"


def test_an_announcement_that_was_not_believed_is_remembered_with_its_neighbour() -> None:
    found = make()
    receive(found, 1, update(metric=100, router_id=OUR_ID))
    answer = explained(found)
    (refused,) = answer.refused
    assert (answer.outcome, refused.neighbour, refused.reason) == ("unknown", peer(1), "own-router-id")
    assert refused.refmetric == 100
    receive(found, 1, update(metric=100))
    assert explained(found).refused == ()
    prefixes = [Prefix(6, bytes([0x20, 1]) + n.to_bytes(2, "big") + bytes(12), 48) for n in range(300)]
    receive(found, 1, *(update(p, router_id=OUR_ID) for p in prefixes))
    assert [bool(explained(found, p).refused) for p in prefixes] == [False] * (300 - MAX_REFUSED) + [
        True
    ] * MAX_REFUSED


@pytest.mark.conformance("B3.8.2.2-1")
def test_a_route_that_becomes_feasible_when_its_source_is_forgotten_is_selected() -> None:
    # As long as it is not, each update asks anew, since the first request may have been lost on its way.
    found = make(Parameters(source_gc_time=60))
    receive(found, 1, update(metric=100))
    found.wait(0.2)
    receive(found, 2, update(metric=500, number=2))
    receive(found, 1, retraction())
    found.live(31)
    assert explained(found).requests == ()
    receive(found, 2, update(metric=500, number=2))
    assert [(r.router_id, r.seqno) for r in seqno_requests(found.sent())] == [(ORIGIN, 8)]
    sent = [t for _, d in found.live(29) for t in tlvs_of(d)]
    assert len(seqno_requests(sent)) == 28
    assert explained(found).outcome == "unselected"
    receive(found, 2, update(metric=500, number=2))
    assert via(explained(found).winner) == "tun2"


@pytest.mark.parametrize("metric", [500, 510])
def test_nobody_is_asked_for_a_newer_seqno_of_what_the_kernel_refuses(metric: int) -> None:
    found = make()
    receive(found, 1, update(metric=100))
    found.wait(0.2)
    receive(found, 2, update(metric=500, number=2))
    receive(found, 1, retraction())
    found.speaker.refuse(frozenset({P}), found.now)
    found.live(31)
    assert (explained(found).outcome, explained(found).requests) == ("refused", ())
    receive(found, 2, update(metric=metric, number=2))
    assert seqno_requests(found.sent()) == []
    assert explained(found).requests == ()
    found.speaker.refuse(frozenset(), found.now)
    receive(found, 2, update(metric=metric, number=2))
    assert [(r.router_id, r.seqno) for r in seqno_requests(found.sent())] == [(ORIGIN, 8)]


def check(speaker: Speaker, prefix: Prefix, now: float) -> Explanation:
    """Compare an explanation with the tables and with what the selection has done."""
    snapshot, answer = speaker.snapshot(now), speaker.explain(prefix, now)
    routes = {r.interface: r for r in snapshot.routes if r.prefix == prefix}
    selected = [r for r in routes.values() if r.state == "selected"]
    distances = {s.router_id: (s.seqno, s.metric) for s in snapshot.sources if s.prefix == prefix}
    purged = {n.interface: n.purged for n in snapshot.neighbours}
    costs = {n.interface: n.cost for n in snapshot.neighbours}
    assert [c.view for c in answer.candidates if c is answer.winner] == selected
    assert {c.view.interface: c.view for c in answer.candidates} == routes
    for candidate in answer.candidates:
        view, code = candidate.view, candidate.verdict.code
        known = distances.get(view.router_id)
        feasible = (
            view.refmetric == INFINITY
            or known is None
            or seqno_lt(known[0], view.seqno)
            or (view.seqno == known[0] and view.refmetric < known[1])
        )
        finite = view.metric < INFINITY
        assert candidate.usable == (finite and feasible and purged[view.interface]), candidate
        assert (code in ("retracted", "expired")) == (view.refmetric == INFINITY)
        assert (code == "unreachable") == (costs[view.interface] == INFINITY and view.refmetric < INFINITY)
        assert (code == "unfeasible") <= (not feasible)
        assert candidate.verdict.distance == known
        assert candidate.parts.metric == view.metric
        assert candidate.parts.rest == 0 or not finite
    usable = [c.view.metric for c in answer.candidates if c.usable]
    if answer.winner is None:
        assert answer.outcome in ("announced", "recovering", "unselected") or not usable
        assert answer.outcome != "selected"
    else:
        assert answer.winner.usable
        better = [m for m in usable if m < answer.winner.view.metric]
        assert bool(better) == (answer.waiting is not None or answer.why.endswith("only just come"))
        rest = sorted(c.view.metric for c in answer.candidates if c.usable and c is not answer.winner)
        assert [answer.following.view.metric if answer.following else None] == (rest[:1] or [None])
    return answer


@pytest.mark.parametrize("seed", range(SEEDS))
def test_explanations_agree_with_the_selection_in_any_storm(seed: int) -> None:
    net = SimNetwork(storm(random_mesh(seed, 7, loss=0.1), seed, 5.0, 60.0, pause=1.5), seed)
    rng, outcomes = Random(seed), set()
    while net.now < 70.0:
        net.run(rng.uniform(0.01, 0.4))
        node = rng.choice([n for n in net.nodes.values() if n.speaker is not None])
        for prefix in net.origins:
            answer = check(node.speaker, prefix, net.now)
            outcomes.add(answer.outcome)
    assert {"selected", "announced", "unfeasible", "unknown"} <= outcomes


def test_explaining_changes_nothing() -> None:
    traces = []
    for asking in (False, True):
        net = SimNetwork(storm(random_mesh(3, 6), 3, 5.0, 30.0), 3)
        while net.now < 35.0:
            net.run(0.5)
            for node in net.nodes.values() if asking else ():
                for prefix in net.origins if node.speaker else ():
                    node.speaker.explain(prefix, net.now)
        traces.append(net.trace)
    assert traces[0] == traces[1]


def ranked(*candidates: tuple[str, VerdictCode, int]) -> tuple[Candidate, ...]:
    """Return candidates of these interfaces, verdicts and metrics, of which the first is in use."""
    made = []
    for interface, code, metric in candidates:
        view = RouteView(P, ORIGIN, b"", interface, b"", 7, 0, metric, metric, "feasible", 0, 0)
        made.append(Candidate(view, CostParts(0, 0, 0, 0, 0, metric, 0), Verdict(code, "", None)))
    return outcome._ranked(reversed(made), made[0])


def test_candidates_stand_by_use_then_by_metric_then_by_how_near_they_are() -> None:
    found = ranked(
        ("used", "feasible", 300),
        ("usable", "feasible", 400),
        ("cheaper", "feasible", 200),
        ("gone", "retracted", INFINITY),
        ("shut", "filtered", INFINITY),
        ("cheap", "unfeasible", 100),
    )
    assert [via(c) for c in found] == ["used", "cheaper", "usable", "cheap", "shut", "gone"]


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ((200, 400), "it is in use, and a better one has only just come"),
        ((300, 400), "none of 3 usable routes has a smaller metric"),
        ((301, 400), "it has the smallest metric of 3 usable routes"),
        ((299, 300), "it is in use, and a better one has only just come"),
    ],
)
def test_one_route_among_others_decides_what_is_said_of_the_winner(others: tuple[int, ...], why: str) -> None:
    found = ranked(("used", "feasible", 300), *((f"tun{n}", "feasible", n) for n in others))
    assert outcome._why_winner(found[0], found, None) == why


def test_one_usable_route_among_others_is_enough_to_be_unselected() -> None:
    found = make()
    state = found.speaker._state
    candidates = ranked(("tun1", "unfeasible", 100), ("tun2", "feasible", 200))
    assert outcome._outcome(state, P, None, candidates, None)[0] == "unselected"
    assert outcome._outcome(state, P, None, candidates[:1], None)[0] == "unfeasible"


def test_a_request_that_a_neighbour_caused_and_does_not_wait_for_is_ours() -> None:
    found = make()
    receive(found, 1, update(metric=96))
    found.wait(0.2)
    # Its update, which is unfeasible, made us ask; nobody else wants to know.
    receive(found, 2, update(metric=5, number=2, seqno=6))
    (request,) = explained(found).requests
    assert (request.for_us, request.requesters) == (True, ())
