"""Whole networks in virtual time: what the paths are, how fast they change, and that they never loop."""

import os
from dataclasses import replace

import pytest

from babelwg.babel.parameters import InterfaceParameters
from babelwg.lab.checks import converged, find_loop, loop_free
from babelwg.lab.scenario import numbered_prefix, random_mesh, storm
from babelwg.lab.simulator.network import SimNetwork
from babelwg.lab.simulator.node import FibEntry
from babelwg.lab.topology import ACTIONS, Topology

SEEDS = int(os.environ.get("SIM_SEEDS", "100"))  # more for a long run
START, END = 15.0, 60.0  # seconds of virtual time during which things happen
REST = 150.0  # seconds after which nothing must be left of them
SLOW_MINUTES = 5  # after which no path is left that another one is slightly better than
COSTS_ALONE = InterfaceParameters(max_rtt_penalty=0)  # the checks for the cheapest way know no delays


@pytest.mark.conformance("B3.8.2.1-1", "B3.8.1.2-5", "B3.8.1.2-9")
def test_traffic_takes_the_long_way_when_the_short_link_fails() -> None:
    #   a ---96--- b
    #    \        /
    #    300     96       a's own path to c is unfeasible for b
    #      \    /         until c answers a seqno request (§3.8.2.1)
    #         c
    net = SimNetwork.parse("a-b:96 b-c:96 a-c:300", seed=1)
    net.run(seconds=30)
    net.cut("b", "c")
    net.run(seconds=20)  # a silent neighbour shows after 1.5 + 1.0 Hello intervals (App. A.1)
    assert net["b"].next_hop("c") == "a"


def test_what_was_announced_long_ago_keeps_a_loop_away_while_neighbours_still_hold_it() -> None:
    #   s ---- a ---- b ---- c      c's way to s leads through b and a; three and more minutes after its last
    #           \___ 500 ___/       announcement a must not take it for a way of its own
    slow = InterfaceParameters(hello_interval=60.0, update_interval=240.0)
    net = SimNetwork.parse("s-a:96 a-b:96 b-c:96 a-c:500", seed=1, interface=slow)
    check = loop_free(net)
    net.run(seconds=210)
    net.fail_link("s", "a")
    net.cut("s", "a")
    net.fail_link("a", "s")
    net.run(seconds=300)
    assert check.violations == []


def test_a_backup_of_equal_cost_is_used_two_link_round_trips_after_the_loss() -> None:
    net = SimNetwork.parse("a-b:96 b-c:96 a-c:96", seed=1)
    net.run(seconds=30)
    net.cut("a", "c")
    net.run(seconds=20)
    lost = time_of(net, "a route-retracted prefix=fd00:0:0:3::/64")
    found = time_of(net, "a route-selected prefix=fd00:0:0:3::/64 via=fe80::2%b")
    assert found - lost == pytest.approx(4 * 0.002)  # one way takes 2 ms


@pytest.mark.parametrize("away", [1.5, 2.6, 3.9, 5.5])
def test_a_relay_that_was_away_is_asked_within_a_second_after_it_is_back(away: float) -> None:
    #   a --150-- d     b's way to d leads through c, whose speaker is away as the link fails. a asks b for a newer
    #   |         |     seqno, since b's way is no better than its own was; b passes that on to c, and forgets it.
    #   b ---96-- c
    net = SimNetwork.parse("a-b:96 b-c:96 c-d:96 a-d:150", seed=1)
    net.run(seconds=30)
    net.crash("c")
    net.run(seconds=0.3)
    net.cut("a", "d")
    net.fail_link("a", "d")
    net.fail_link("d", "a")
    net.run(seconds=away)
    assert net["a"].next_hop("d") is None
    net.restart("c")
    net.run(seconds=0.9)
    assert net["a"].next_hop("d") == "b"


def test_a_newer_seqno_is_had_past_a_relay_that_is_away() -> None:
    #   a --150-- d     as above, and b has a longer way to d that c has no part in; with that it cannot serve a
    #   |         |     as long as it uses the way through c
    #   b ---96-- c
    #    \300 e 300/ to d
    net = SimNetwork.parse("a-b:96 b-c:96 c-d:96 a-d:150 b-e:300 e-d:300", seed=1)
    net.run(seconds=30)
    assert (net["a"].next_hop("d"), net["b"].next_hop("d")) == ("d", "c")
    net.crash("c")
    net.run(seconds=0.3)
    net.cut("a", "d")
    net.fail_link("a", "d")
    net.fail_link("d", "a")
    net.run(seconds=0.5)
    assert (net["a"].next_hop("d"), net["b"].next_hop("d")) == ("b", "e")
    net.restart("c")
    net.run(seconds=30)
    assert (net["a"].next_hop("d"), net["b"].next_hop("d")) == ("b", "c")


@pytest.mark.parametrize(("loss", "seconds"), [(0.05, 0.12), (0.1, 0.24)])
def test_a_way_over_links_that_lose_packets_is_found_in_a_fraction_of_a_second(
    loss: float, seconds: float
) -> None:
    net = SimNetwork.parse("a-b:96 b-c:96 c-d:96 d-e:96 e-a:96", seed=3)
    net.run(seconds=30)
    waits = []
    for _ in range(20):
        for one, other in ("ab", "bc", "cd", "de"):
            net.impair(one, other, loss=loss)
        net.cut("a", "e")
        net.fail_link("a", "e")
        net.fail_link("e", "a")
        start = net.now
        while net["a"].next_hop("e") != "b" or net["e"].next_hop("a") != "d":
            net.run(seconds=0.01)
        waits.append(net.now - start)
        for one, other in ("ab", "bc", "cd", "de"):
            net.impair(one, other, loss=0.0)
        net.restore("a", "e")
        net.restore_link("a", "e")
        net.restore_link("e", "a")
        net.run(seconds=12)
    assert sum(waits) / len(waits) < seconds and max(waits) < 1.0, waits


def test_who_loses_a_route_hears_at_once_of_those_that_split_horizon_kept_back() -> None:
    #   a ---- b
    #   |      |     d reaches b through a or through c, at the same cost; where it does so through a,
    #   d ---- c     it has never told a of the other way
    for links in ("a-b b-c d-c a-d", "a-d b-c d-c a-b", "a-b a-d d-c b-c", "b-c d-c a-d a-b"):
        net = SimNetwork.parse(links, seed=1)
        net.run(seconds=30)
        net.fail_link("a", "b")
        net.fail_link("b", "a")
        net.run(seconds=0.05)
        assert (net["a"].next_hop("b"), net["b"].next_hop("a")) == ("d", "c")


def test_traffic_returns_to_the_direct_link_in_little_more_than_a_hello_interval() -> None:
    net = SimNetwork.parse("a-b:96 b-c:96 a-c:96", seed=1)
    net.run(seconds=30)
    net.cut("a", "c")
    net.run(seconds=20)
    assert net["a"].next_hop("c") == "b"
    net.restore("a", "c")
    net.run(seconds=4.1)
    assert net["a"].next_hop("c") == "c"
    assert net["c"].next_hop("a") == "a"


def test_a_new_line_of_ten_knows_all_prefixes_within_half_a_second() -> None:
    net = SimNetwork.parse(" ".join(f"n{i}-n{i + 1}" for i in range(9)), seed=1)
    net.run(seconds=0.5)
    assert converged(net) == []


def test_a_withdrawn_prefix_is_gone_everywhere_and_returns() -> None:
    net = SimNetwork.parse("a-b b-c c-d a-d", seed=3)
    check = loop_free(net)
    net.run(seconds=20)
    net.withdraw("a", numbered_prefix(1))
    net.run(seconds=5)
    assert all(numbered_prefix(1) not in node.fib for node in net.nodes.values())
    net.announce("a", numbered_prefix(1))
    net.run(seconds=5)
    assert converged(net) == []
    assert check.violations == []


def test_routes_avoid_a_lossy_link() -> None:
    net = SimNetwork.parse("a-b:96 b-c:96 a-c:96", seed=5)
    net.run(seconds=20)
    assert net["a"].next_hop("c") == "c"
    net.impair("a", "c", loss=0.5)
    net.run(seconds=60)
    ways = []
    for _ in range(200):
        net.run(seconds=1)
        ways.append(net["a"].next_hop("c"))
    # Of sixteen Hellos by chance most may arrive now and then.
    assert ways.count("b") > 120


def test_a_restart_with_memory_keeps_seqno_and_sources() -> None:
    net = SimNetwork.parse("a-b b-c a-c", seed=2)
    check = loop_free(net)
    net.run(seconds=20)
    before = {source: record.seqno for source, record in net.nodes["b"].disk.sources.items()}
    net.crash("b")
    net.run(seconds=1)
    net.restart("b")
    speaker = net.nodes["b"].speaker
    assert speaker is not None
    assert {(v.prefix, v.router_id): v.seqno for v in speaker.snapshot(net.now).sources} == before
    net.run(seconds=10)
    assert converged(net) == []
    assert check.violations == []


def test_a_restart_without_memory_selects_nothing_before_its_neighbours_agree() -> None:
    net = SimNetwork.parse("a-b b-c a-c", seed=2)
    check = loop_free(net)
    net.run(seconds=20)
    net.cut("a", "b")
    net.restart("b", lost=True)
    net.run(seconds=1)
    # c has confirmed; a may still route through b's former life until its Hellos are missed.
    assert net["b"].next_hop("c") is None
    net.run(seconds=13)
    assert net["b"].next_hop("c") == "c"
    assert check.violations == []


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_loop_at_any_step_and_all_reachable_at_rest(seed: int) -> None:
    nodes = 5 + seed % 8
    play(seed, nodes, loss=0.2 if seed % 3 == 0 else 0.0)


@pytest.mark.parametrize("seed", range(max(1, SEEDS // 5)))
def test_no_loop_either_when_delays_count_and_traffic_flows(seed: int) -> None:
    play(seed, 5 + seed % 8, loss=0.2 if seed % 3 == 0 else 0.0, optimal=False, delays=True)


@pytest.mark.parametrize("nodes", [30, 100])
def test_no_loop_in_a_large_mesh(nodes: int) -> None:
    play(1, nodes, loss=0.0, end=30.0, rest=60.0, hello=8.0, optimal=False)


def test_a_prefix_of_two_origins_loops_no_longer_than_two_seconds() -> None:
    for seed in range(10):
        topology = random_mesh(seed, 8)
        net = SimNetwork(storm(topology, seed, START, END), seed, COSTS_ALONE)
        check = loop_free(net)
        shared = numbered_prefix(1000)
        for name in ("n1", "n5"):
            net.announce(name, shared)
        net.run(seconds=END + REST)
        check.finish(net)
        assert check.violations == []
        settle(net)


def test_the_same_seed_gives_the_same_trace_and_another_one_does_not() -> None:
    def trace(seed: int) -> list[str]:
        net = SimNetwork(storm(random_mesh(4, 8, loss=0.2), 4, START, END), seed)
        net.run(seconds=END)
        return net.trace

    assert trace(1) == trace(1)
    assert trace(1) != trace(2)


def test_the_loop_check_sees_a_loop_that_somebody_makes() -> None:
    net = SimNetwork.parse("a-b b-c", seed=1)
    check = loop_free(net)
    net.run(seconds=5)
    assert check.violations == []
    net.nodes["b"].fib[numbered_prefix(3)] = FibEntry("a")
    assert find_loop(net, "a", numbered_prefix(3)) == ["a", "b", "a"]
    check.observe(net, net.nodes["b"], numbered_prefix(3))
    assert len(check.violations) == 1


def test_the_convergence_check_sees_what_is_missing() -> None:
    net = SimNetwork.parse("a-b b-c a-c", seed=1)
    net.run(seconds=5)
    net.nodes["a"].fib[numbered_prefix(3)] = FibEntry("b")
    assert converged(net) == ["a reaches fd00:0:0:3::/64 at 192 instead of 96: a -> b -> c"]
    del net.nodes["a"].fib[numbered_prefix(3)]
    assert converged(net) == ["a does not reach fd00:0:0:3::/64: a"]


def play(
    seed: int,
    nodes: int,
    loss: float,
    end: float = END,
    rest: float = REST,
    hello: float = 4.0,
    optimal: bool = True,
    delays: bool = False,
) -> None:
    """Run a storm over a random mesh."""
    topology: Topology = storm(random_mesh(seed, nodes, loss=loss), seed, START, end)
    interface = replace(COSTS_ALONE, hello_interval=hello, update_interval=4 * hello)
    if delays:
        interface = replace(interface, max_rtt_penalty=InterfaceParameters().max_rtt_penalty)
    net = SimNetwork(topology, seed, interface)
    if delays:
        net.carry(topology.nodes[0].name, topology.nodes[-1].name)
    check = loop_free(net)
    net.run(seconds=end + rest)
    check.finish(net)
    assert check.violations == []
    assert check.changes > nodes
    assert converged(net, optimal=False) == []
    if optimal:
        settle(net)


def settle(net: SimNetwork) -> None:
    """Let pass what slightly better paths may take: each node changes to one at most once a minute."""
    for _ in range(SLOW_MINUTES):
        if not converged(net):
            return
        net.run(seconds=60)
    assert converged(net) == []


def time_of(net: SimNetwork, words: str) -> float:
    """Return when a line of the trace was written last."""
    return float([line for line in net.trace if words in line][-1].split()[0])


SCENARIO = """
duration = 60
[[node]]
name = "a"
announce = ["10.1.0.0/16"]
[[node]]
name = "b"
addresses = ["10.0.0.2"]
[[node]]
name = "c"
[[link]]
a = "a"
b = "b"
[[link]]
a = "b"
b = "c"
delay_ms = 3
[[link]]
a = "a"
b = "c"
cost = 300
[[step]]
at = 10
action = "cut"
link = "a-b"
[[step]]
at = 30
action = "impair"
link = "b-c"
delay_ms = 50
[[step]]
at = 31
action = "crash"
node = "b"
[[step]]
at = 32
action = "restart"
node = "b"
[[step]]
at = 33
action = "withdraw"
node = "a"
prefix = "10.1.0.0/16"
[[step]]
at = 34
action = "announce"
node = "c"
prefix = "10.9.0.0/16"
[[step]]
at = 40
action = "restore"
link = "a-b"
"""


def test_a_described_network_does_what_its_steps_say() -> None:
    topology = Topology.parse(SCENARIO)
    net = SimNetwork(topology, topology.seed, COSTS_ALONE)
    check = loop_free(net)
    net.run(seconds=5)
    assert net["c"].next_hop("a") == "b"
    net.run(seconds=20)
    assert net["c"].next_hop("a") == "a"
    net.run(seconds=topology.duration - 25)
    assert net.link("c", "b").delay == pytest.approx(0.05)
    assert converged(net) == []
    assert check.violations == []
    assert sorted(str(prefix) for prefix in net.nodes["b"].fib) == ["10.9.0.0/16"]
    steps = [line.split()[1] for line in net.trace if line.split()[1] in ACTIONS]
    assert steps == [step.action for step in topology.steps]


@pytest.mark.parametrize("former", [5, 40, 300, 32000, 40000, 65535])
def test_a_node_without_memory_that_kept_its_router_id_is_believed_again_at_once(former: int) -> None:
    #   a --- b --- c     b has announced a's prefix with a's former seqno, and takes no older one
    #    \         /
    #      -- d --
    net = SimNetwork.parse("a-b:96 b-c:96 a-d:96 d-c:150", seed=1)
    disk = net.nodes["a"].disk
    disk.seqno = former
    net.restart("a")
    net.run(seconds=30)
    check = loop_free(net)
    net.crash("a")
    net.run(seconds=1)
    disk.seqno = 0
    disk.hello_seqnos.clear()
    net.restart("a", lost=True)
    net.run(seconds=1.5)
    ways = {name: net[name].next_hop("a") for name in "bcd"}
    assert ways == {"b": "a", "c": "b", "d": "a"}
    net.run(seconds=30)
    assert net["c"].next_hop("a") == "b"
    assert check.violations == []
