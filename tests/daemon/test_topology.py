"""What a node makes of its tables: its own links as measured, others as few as explain what neighbours say."""

import time
from heapq import heappop, heappush
from random import Random

import pytest

from babelwg.babel.parameters import InterfaceParameters
from babelwg.daemon.inference import Guess, infer, slack
from babelwg.daemon.topology import Known, KnownPeer, Topology, take_topology
from babelwg.lab.simulator.network import SimNetwork

EXACT = InterfaceParameters(max_rtt_penalty=0)


def seen_from(net: SimNetwork, name: str, *silent: str) -> Topology:
    """Return the mesh as one node of the simulator knows it, which has a tunnel to each node beside it."""
    node = net.nodes[name]
    assert node.speaker is not None
    names = {other.router_id: other.name for other in net.nodes.values()}
    peers = [KnownPeer(peer, peer, net.nodes[peer].link_local, None) for peer in (*node.interfaces, *silent)]
    return take_topology(node.speaker.snapshot(net.now), Known(name, ("10.0.0.1",), peers, names.get))


def links_of(topology: Topology, inferred: bool) -> set[tuple[str, str, int]]:
    names = {node.id: node.name or node.id for node in topology.nodes}
    return {(names[e.source], names[e.target], e.cost) for e in topology.links if e.inferred is inferred}


def test_a_far_link_is_found_once_though_both_its_ends_announce_it() -> None:
    #   a ---96--- b
    #    \        /
    #    96     100      b announces c, and c announces b
    #      \    /
    #         c ---96--- d
    net = SimNetwork.parse("a-b:96 b-c:100 a-c:96 c-d:96", seed=1, interface=EXACT)
    net.run(seconds=30)
    topology = seen_from(net, "a")
    assert links_of(topology, inferred=False) == {("a", "b", 96), ("a", "c", 96)}
    assert links_of(topology, inferred=True) == {("b", "c", 100), ("c", "d", 96)}
    assert [(n.name, n.kind, n.metric) for n in topology.nodes] == [
        ("a", "self", 0),
        ("b", "peer", 96),
        ("c", "peer", 96),
        ("d", "far", 192),
    ]
    a, _, c, d = topology.nodes
    assert (a.via, c.via, d.via) == (None, c.id, c.id)
    assert "10.0.0.1" in a.addresses
    assert "fd00:0:0:4::/64" in {str(prefix) for prefix in d.prefixes}


def test_the_same_mesh_looks_the_same_whatever_the_router_ids_are() -> None:
    for links in ("a-b a-c b-c", "a-c a-b b-c"):  # the router-ids follow the order of the names here
        net = SimNetwork.parse(links, seed=1, interface=EXACT)
        net.run(seconds=30)
        topology = seen_from(net, "a")
        assert [node.name for node in topology.nodes] == ["a", "b", "c"]
        assert links_of(topology, inferred=True) == {("b", "c", 96)}


def test_a_link_between_two_far_nodes_is_found_from_both_sides() -> None:
    #   a ---96--- b ---96--- c
    #   |                     | 130     b says that d is 226 away, e says so of c
    #   +----96--- e ---96--- d
    net = SimNetwork.parse("a-b:96 b-c:96 c-d:130 d-e:96 e-a:96", seed=1, interface=EXACT)
    net.run(seconds=60)
    topology = seen_from(net, "a")
    assert links_of(topology, inferred=True) == {("b", "c", 96), ("e", "d", 96), ("c", "d", 130)}
    names = {node.name: node.id for node in topology.nodes}
    (far,) = [edge for edge in topology.links if {edge.source, edge.target} == {names["c"], names["d"]}]
    assert far.metric == 192 + 130


def test_a_far_link_that_another_neighbour_denies_is_not_guessed() -> None:
    claims = {("n", "y"): 96, ("m", "x"): 96, ("n", "x"): 196, ("m", "y"): 196}
    assert {frozenset(g[:2]): g.cost for g in infer(claims)} == {
        frozenset("ny"): 96, frozenset("mx"): 96, frozenset("xy"): 100
    }  # fmt: skip
    # A link x-y of 100 would suit both, and x would be nearer to o than o says.
    denied = infer(claims | {("o", "x"): 50, ("o", "y"): 190})
    assert frozenset("xy") not in {frozenset(guess[:2]) for guess in denied}


def test_a_node_behind_another_is_shown_at_its_distance_from_the_neighbour() -> None:
    net = SimNetwork.parse("a-b b-c c-d", seed=1, interface=EXACT)
    net.run(seconds=30)
    topology = seen_from(net, "a")
    assert links_of(topology, inferred=True) == {("b", "c", 96), ("b", "d", 192)}
    assert {e.metric for e in topology.links} == {96, 192, 288}


def test_a_link_that_fell_silent_keeps_its_ends_at_infinite_cost() -> None:
    net = SimNetwork.parse("a-b b-c a-c", seed=1, interface=EXACT)
    net.run(seconds=30)
    net.cut("a", "b")
    net.run(seconds=30)
    topology = seen_from(net, "a")
    assert links_of(topology, inferred=False) == {("a", "b", 65535), ("a", "c", 96)}
    assert links_of(topology, inferred=True) == {("c", "b", 96)}


def test_a_peer_that_was_never_heard_is_shown_by_its_name() -> None:
    net = SimNetwork.parse("a-b c-d", seed=1, interface=EXACT)
    net.run(seconds=30)
    topology = seen_from(net, "a", "c")
    assert ("a", "c", 65535) in links_of(topology, inferred=False)
    (silent,) = [node for node in topology.nodes if node.name == "c"]
    assert (silent.kind, silent.router_id, silent.metric, silent.id) == ("peer", None, None, "fe80::3%c")


def test_wireless_neighbours_that_tell_us_our_own_ways_add_no_links() -> None:
    # Without split horizon b announces c to a, from whom it has it; and so does c with b.
    wireless = InterfaceParameters(kind="wireless", split_horizon=False, max_rtt_penalty=0)
    net = SimNetwork.parse("a-b a-c", seed=1, interface=wireless)
    net.run(seconds=30)
    node = net.nodes["a"].speaker
    assert node is not None
    assert any(r.refmetric == 192 for r in node.snapshot(net.now).routes)
    assert links_of(seen_from(net, "a"), inferred=True) == set()


def test_claims_that_differ_by_what_costs_move_in_between_are_one_link() -> None:
    assert infer({("b", "c"): 96, ("c", "b"): 99, ("b", "d"): 300, ("c", "d"): 200}) == [
        Guess("b", "c", 96),
        Guess("c", "d", 200),
    ]
    assert infer({("b", "c"): 96, ("b", "d"): 150, ("c", "d"): 96})[-1] == Guess("b", "d", 150)


@pytest.mark.parametrize("seed", range(20))
def test_in_the_inferred_graph_every_node_is_as_far_as_the_neighbours_say(seed: int) -> None:
    rng = Random(seed)
    names = [f"n{i}" for i in range(25)]
    truth: dict[str, dict[str, int]] = {name: {} for name in names}
    for index, name in enumerate(names[1:], 1):
        for other in rng.sample(names[:index], min(index, rng.choice((1, 2)))):
            truth[name][other] = truth[other][name] = rng.choice((96, 97, 150, 300))
    neighbours = names[:6]
    claims = {(a, b): d for a in neighbours for b, d in distances(truth, a).items() if a != b}
    guessed: dict[str, dict[str, int]] = {name: {} for name in names}
    guesses = infer(claims)
    for guess in guesses:
        guessed[guess.source][guess.target] = guessed[guess.target][guess.source] = guess.cost
    for (a, b), claimed in claims.items():
        assert abs(distances(guessed, a)[b] - claimed) <= slack(claimed)
    assert len(guesses) < len(claims) / 2


def test_a_large_mesh_is_cut_where_the_nearest_two_thousand_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("babelwg.daemon.topology.MAX_NODES", 3)
    net = SimNetwork.parse("a-b b-c c-d d-e", seed=1, interface=EXACT)
    net.run(seconds=30)
    topology = seen_from(net, "a")
    assert ([node.name for node in topology.nodes], topology.omitted) == (["a", "b", "c"], 2)
    assert links_of(topology, inferred=True) == {("b", "c", 96)}


def distances(graph: dict[str, dict[str, int]], start: str) -> dict[str, int]:
    """Return how far each node is, as Dijkstra does it."""
    found: dict[str, int] = {}
    heap = [(0, start)]
    while heap:
        distance, node = heappop(heap)
        if node not in found:
            found[node] = distance
            for other, cost in graph[node].items():
                heappush(heap, (distance + cost, other))
    return found


def test_a_node_in_the_middle_of_thousands_is_soon_done() -> None:
    # Each of three neighbours has links to most of two thousand nodes.
    rng = Random(1)
    claims = {(f"n{i}", f"far{j}"): rng.randrange(96, 2000) for i in range(3) for j in range(2000)}
    start = time.process_time()
    assert len(infer(claims)) > 2000
    assert time.process_time() - start < 5
