"""A large mesh under a storm, in small, and that what is kept up to date by changes alone is the whole truth."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest

from babelwg.babel.wire.prefix import Prefix
from babelwg.lab.chaos import chaos
from babelwg.lab.checks import LoopCheck, all_loops, no_blackhole
from babelwg.lab.reach import Reach
from babelwg.lab.scenario import numbered_prefix, random_mesh
from babelwg.lab.simulator.chaos import Storm
from babelwg.lab.simulator.largemesh import LargeMesh, few_announcing, healing_by_kind
from babelwg.lab.simulator.link import SimLink
from babelwg.lab.simulator.network import SimNetwork, count_tlvs
from babelwg.lab.simulator.node import FibEntry

PREFIXES = [numbered_prefix(number) for number in (1, 2, 3)]
STEPS = 3000


def test_sixty_nodes_never_loop_and_are_whole_soon_after_each_stroke_and_the_storm() -> None:
    mesh = LargeMesh(60, 6.0, 10, seed=1)
    figures = mesh.play(30.0)
    assert (figures.nodes, figures.links, figures.prefixes) == (60, 180, 10)
    assert figures.violations == []
    assert figures.complaints == []
    assert figures.changes > 60 * 10
    assert figures.risen is not None and figures.risen < 1.0
    assert figures.settled is not None and figures.settled < 3.0
    assert len(figures.healings) > 15
    assert all(healing.seconds is not None for healing in figures.healings)
    assert 0 < max(healing_by_kind(figures.healings)["cut"]) < 2.5
    assert sum(sent["datagrams"] for sent in figures.sent.values()) == mesh.net.datagrams
    assert figures.sent["storm"]["TLVs"] > figures.sent["storm"]["datagrams"] > 0


def test_the_same_seed_gives_the_same_figures() -> None:
    assert LargeMesh(20, 4.0, 5, seed=3).play(16.0) == LargeMesh(20, 4.0, 5, seed=3).play(16.0)


def test_few_nodes_announce_and_some_of_them_ipv4() -> None:
    topology = few_announcing(random_mesh(1, 1000, 6.0), 50, seed=1)
    announced = [prefix for spec in topology.nodes for prefix in spec.announce]
    assert len(topology.links) == 3000
    assert sorted(prefix.family for prefix in announced) == 10 * [4] + 40 * [6]
    assert len(set(announced)) == 50


def test_a_daemon_that_takes_its_turn_reads_at_once_all_that_has_come() -> None:
    def play(turn: float) -> tuple[int, str | None]:
        net = SimNetwork(random_mesh(2, 12), 1, turn=turn)
        net.run(3.0)
        return net.datagrams, net["n1"].next_hop("n9")

    said, way = play(0.0)
    said_in_turns, way_in_turns = play(0.005)
    assert said_in_turns < 0.9 * said
    assert way is not None and way_in_turns is not None


@pytest.mark.parametrize(
    ("body", "count"),
    [(b"", 0), (b"\x00\x00", 2), (b"\x01\x02..\x00", 2), (b"\x08\x00", 1), (b"\x08", 1), (b"\x08\x09..", 1)],
)
def test_tlvs_of_a_packet_are_counted_whatever_they_say(body: bytes, count: int) -> None:
    assert count_tlvs(b"\x2a\x02" + len(body).to_bytes(2, "big") + body + b"trailer") == count


@dataclass(slots=True)
class FakeNode:
    name: str
    interfaces: list[str]
    fib: dict[Prefix, FibEntry] = field(default_factory=dict)
    xroutes: dict[Prefix, int] = field(default_factory=dict)
    running: bool = True


class FakeNetwork:
    """Nodes whose tables anybody may write, loops and all."""

    def __init__(self, seed: int, nodes: int = 8) -> None:
        self.rng, self.now = Random(seed), 0.0
        topology = random_mesh(seed, nodes, 3.5)
        self.links = {frozenset((k.a, k.b)): SimLink(k.a, k.b, 96, 0.0, 0.0, 0.0) for k in topology.links}
        self.nodes = {spec.name: FakeNode(spec.name, [*self.peers_of(spec.name)]) for spec in topology.nodes}
        self.origins = {prefix: {f"n{number}"} for number, prefix in enumerate(PREFIXES, 1)}
        for prefix, names in self.origins.items():
            for name in names:
                self.nodes[name].xroutes[prefix] = 0
        self.loops = LoopCheck()
        self.reach = Reach(self, PREFIXES)

    def peers_of(self, name: str) -> list[str]:
        return sorted(peer for ends in self.links if name in ends for peer in ends if peer != name)

    def link(self, a: str, b: str) -> SimLink:
        return self.links[frozenset((a, b))]

    def change_route(self) -> None:
        node, prefix = self.rng.choice([*self.nodes.values()]), self.rng.choice(PREFIXES)
        ways = [None, FibEntry(None), *(FibEntry(peer) for peer in node.interfaces)]
        entry = self.rng.choice(ways)
        if entry is None:
            node.fib.pop(prefix, None)
        else:
            node.fib[prefix] = entry
        self.told(node, prefix)

    def change_announcement(self) -> None:
        prefix = self.rng.choice(PREFIXES)
        node = self.nodes[self.rng.choice([*self.origins[prefix]])]
        if node.xroutes.pop(prefix, None) is None:
            node.xroutes[prefix] = 0
        self.told(node, prefix)

    def change_link(self) -> None:
        link = self.rng.choice([*self.links.values()])
        link.silent = frozenset() if link.silent else frozenset((link.a,))
        self.reach.note((link.a, link.b))

    def change_node(self) -> None:
        node = self.rng.choice([*self.nodes.values()])
        node.running = not node.running
        self.reach.note((node.name,))

    def told(self, node: FakeNode, prefix: Prefix) -> None:
        self.loops.observe(self, node, prefix)
        self.reach.observe(self, node, prefix)


def unreached(net: FakeNetwork | SimNetwork) -> set[tuple[str, str]]:
    """Return who does not reach what, after a look at all of it."""
    return {(text.split()[0], text.split()[4].rstrip(":")) for text in no_blackhole(net)}


def unreached_by(reach: Reach) -> set[tuple[str, str]]:
    return {(name, str(prefix)) for prefix in PREFIXES for name in reach.lost(prefix)}


@pytest.mark.parametrize("seed", range(6))
def test_each_loop_of_random_tables_is_seen_when_it_begins_and_no_other(seed: int) -> None:
    net = FakeNetwork(seed)
    before: set[tuple[Prefix, frozenset[str]]] = set()
    begun = 0
    for _ in range(STEPS):
        told = len(net.loops.violations)
        net.rng.choices([net.change_route, net.change_announcement], weights=(9, 1))[0]()
        after = all_loops(net)
        if after - before:
            assert len(net.loops.violations) == told + 1
        elif not after:
            assert len(net.loops.violations) == told
        begun += len(after - before)
        before = after
    assert begun > 100


@pytest.mark.parametrize("seed", range(6))
def test_each_loop_between_two_origins_is_timed_whatever_else_loops(seed: int) -> None:
    net = FakeNetwork(seed)
    for prefix in PREFIXES:
        net.origins[prefix].add("n8")
        net.nodes["n8"].xroutes[prefix] = 0
    since: dict[tuple[Prefix, frozenset[str]], float] = {}
    expected = 0
    for _ in range(STEPS):
        net.now += net.rng.expovariate(5.0)
        net.change_route()
        now = all_loops(net)
        expected += sum(net.now - start > 2.0 for loop, start in since.items() if loop not in now)
        since = {loop: since.get(loop, net.now) for loop in now}
    net.loops.finish(net)
    expected += sum(net.now - start > 2.0 for start in since.values())
    assert len(net.loops.violations) == expected > 10


@pytest.mark.parametrize("seed", range(6))
def test_who_reaches_what_follows_from_the_changes_alone(seed: int) -> None:
    net = FakeNetwork(seed)
    changes: list[Callable[[], None]] = [
        net.change_route,
        net.change_link,
        net.change_node,
        net.change_announcement,
    ]
    seen = 0
    for _ in range(STEPS):
        net.rng.choices(changes, weights=(20, 3, 2, 1))[0]()
        expected = unreached(net)
        assert unreached_by(net.reach) == expected
        assert net.reach.missing == len(expected)
        seen += bool(expected)
    assert 0 < seen < STEPS


def test_the_changes_that_a_simulated_network_tells_are_all_that_matter() -> None:
    mesh = LargeMesh(14, 3.0, 3, seed=5)
    storm, prefixes = Storm(mesh.net, Random(1)), [p for s in mesh.topology.nodes for p in s.announce]
    for stroke in chaos(mesh.topology, 5, 40.0):
        mesh.net.run(stroke.at - mesh.net.now)
        storm.strike(stroke)
        for _ in range(3):
            mesh.net.run(0.05)
            missed = {(name, str(prefix)) for prefix in prefixes for name in mesh.reach.lost(prefix)}
            assert missed == unreached(mesh.net)
            assert mesh.reach.missing == len(missed)
            assert all_loops(mesh.net) == set()
