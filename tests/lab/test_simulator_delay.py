"""Delays that change, and what traffic does then: away from the slow link within seconds, and no flapping."""

import os
from random import Random

import pytest

from babelwg.lab.checks import loop_free
from babelwg.lab.simulator.network import SimNetwork

SEEDS = int(os.environ.get("SIM_SEEDS", "100"))
QUICK, SLOW = 0.0025, 0.075  # seconds one way


def settled(topology: str, seed: int, loss: float = 0.0) -> SimNetwork:
    """Return a network at rest in which traffic flows from a to c, after a time that the seed chooses."""
    net = SimNetwork.parse(topology, seed)
    for link in net.links.values():
        link.delay, link.loss = QUICK, loss
    net.run(seconds=30)
    net.carry("a", "c")
    net.run(seconds=60 + Random(seed).uniform(0, 16))
    return net


def seconds_until(net: SimNetwork, a_to_c: str, c_to_a: str, limit: float) -> float:
    """Return after how many seconds both directions take these next hops."""
    start = net.now
    while (net["a"].next_hop("c"), net["c"].next_hop("a")) != (a_to_c, c_to_a):
        assert net.now - start < limit, f"not within {limit} s: {net.trace[-20:]}"
        net.run(seconds=0.05)
    return net.now - start


@pytest.mark.parametrize("seed", range(max(5, SEEDS // 5)))
def test_traffic_leaves_a_link_that_has_become_slow_within_five_seconds_and_returns(seed: int) -> None:
    #   a ---5 ms--- b
    #    \          /
    #  5->150     5 ms     all links cost 96, so the way over b is unfeasible at first, in both directions
    #      \      /
    #         c
    net = settled("a-b b-c a-c", seed)
    check = loop_free(net)
    assert (net["a"].next_hop("c"), net["c"].next_hop("a")) == ("c", "a")
    net.impair("a", "c", delay=SLOW)
    assert seconds_until(net, "b", "b", 5.0) > 1.0
    net.run(seconds=60 + Random(seed).uniform(0, 16))
    assert (net["a"].next_hop("c"), net["c"].next_hop("a")) == ("b", "b")
    net.impair("a", "c", delay=QUICK)
    seconds_until(net, "c", "a", 15.0)
    assert check.violations == []


@pytest.mark.parametrize("seed", range(max(5, SEEDS // 10)))
def test_a_little_loss_does_not_keep_traffic_on_a_slow_link(seed: int) -> None:
    net = settled("a-b b-c a-c", seed, loss=0.01)
    check = loop_free(net)
    net.impair("a", "c", delay=SLOW)
    seconds_until(net, "b", "b", 7.0)  # a lost probe or request costs up to two seconds
    net.run(seconds=60)
    net.impair("a", "c", delay=QUICK)
    seconds_until(net, "c", "a", 15.0)
    assert check.violations == []


@pytest.mark.parametrize("delay", [0.0025, 0.02, 0.06])
@pytest.mark.parametrize("seed", range(max(2, SEEDS // 100)))
def test_equal_paths_with_jitter_and_loss_change_at_most_once_a_minute(seed: int, delay: float) -> None:
    #      b
    #    /   \          two ways of the same cost, each link with 20 % jitter and 1 % loss
    #   a     c
    #    \   /
    #      d
    net = SimNetwork.parse("a-b c-b a-d c-d", seed)
    for link in net.links.values():
        link.delay, link.jitter, link.loss = delay, 0.2 * delay, 0.01
    net.carry("a", "c")
    net.run(seconds=60)
    minutes = 10
    before = len(net.trace)
    net.run(seconds=60 * minutes)
    for node, prefix in (("a", "fd00:0:0:3::/64"), ("c", "fd00:0:0:1::/64")):
        lines = [line for line in net.trace[before:] if f"{node} route-" in line and prefix in line]
        assert len(lines) <= minutes, lines
