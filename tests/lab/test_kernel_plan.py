"""The plan of the kernel's tables never forwards in a circle, at no single operation and across any restart."""

import os
from copy import deepcopy
from random import Random

import pytest

from babelwg.babel.parameters import InterfaceParameters
from babelwg.babel.state import State
from babelwg.babel.tables.source import FeasibilityDistance
from babelwg.daemon.routing import ADOPTION
from babelwg.lab.checks import LoopCheck, converged, loop_free
from babelwg.lab.scenario import numbered_prefix, random_mesh, storm
from babelwg.lab.simulator import network
from babelwg.lab.simulator.network import SimNetwork
from babelwg.lab.simulator.node import Disk
from babelwg.lab.topology import Step
from tests.lab.kernelnode import KernelNode

SEEDS = max(6, int(os.environ.get("SIM_SEEDS", "100")) // 10)
START, END, REST = 15.0, 60.0, 150.0  # seconds of virtual time
COSTS_ALONE = InterfaceParameters(max_rtt_penalty=0)


def play(seed: int, monkeypatch: pytest.MonkeyPatch, interfere: bool = False) -> tuple[SimNetwork, LoopCheck]:
    """Run a storm over a random mesh of nodes with kernels."""
    monkeypatch.setattr(network, "SimNode", KernelNode)
    nodes = 5 + seed % 6
    topology = storm(random_mesh(seed, nodes, loss=0.2 if seed % 3 == 0 else 0.0), seed, START, END)
    net = SimNetwork(topology, seed, COSTS_ALONE)
    check = loop_free(net)
    if interfere:
        restore_old_routes(net, seed)
    net.run(seconds=END + REST)
    check.finish(net)
    return net, check


def restore_old_routes(net: SimNetwork, seed: int) -> None:
    """Have some daemons come back with the routes that an earlier moment's disk had: what was written last is lost."""
    rng, kept = Random(seed), dict[str, Disk]()

    def keep() -> None:
        for name, node in net.nodes.items():
            if rng.random() < 0.3:
                kept[name] = deepcopy(node.disk)
        net._at(net.now + 1.0, keep)

    def fall_back() -> None:
        name = rng.choice([*net.nodes])
        node = net.nodes[name]
        if name in kept and node.running:
            node.disk.routes = deepcopy(kept[name].routes)
            net.perform(Step(net.now, "restart", node=name))
        if net.now < END:
            net._at(net.now + rng.expovariate(0.5), fall_back)

    net._at(1.0, keep)
    net._at(START, fall_back)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_operation_of_a_kernel_closes_a_loop(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    net, check = play(seed, monkeypatch)
    assert check.violations == []
    assert check.changes > len(net.nodes)
    assert converged(net, optimal=False) == []


def test_without_feasibility_it_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(State, "is_feasible_route", lambda state, route: True)
    monkeypatch.setattr(FeasibilityDistance, "admits", lambda distance, seqno, metric: True)
    assert any(play(seed, monkeypatch)[1].violations for seed in range(5))


def test_a_daemon_finds_the_routes_of_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "SimNode", KernelNode)
    net = SimNetwork.parse("a-b b-c")
    net.run(20.0)
    held = dict(net.nodes["a"].fib)
    assert {entry.via for entry in held.values()} == {"b"}
    check = loop_free(net)
    for lost in (False, True):
        net.restart("a", lost)
        assert dict(net.nodes["a"].fib) == held
        net.run(ADOPTION + 20.0)
        assert dict(net.nodes["a"].fib) == held
    assert check.violations == []
    # What nobody confirms goes when its time is up.
    net.crash("a")
    net.withdraw("c", numbered_prefix(3))
    net.restart("a")
    net.run(ADOPTION + 20.0)
    assert numbered_prefix(3) not in net.nodes["a"].fib


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nor_does_a_daemon_that_comes_back_with_old_routes(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, check = play(seed, monkeypatch, interfere=True)
    assert check.violations == []
