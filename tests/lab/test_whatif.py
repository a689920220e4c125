"""What simulation predicts, compared with what a network then does."""

import json
from typing import Any

import pytest

from babelwg.babel.parameters import InterfaceParameters
from babelwg.babel.wire.prefix import Prefix
from babelwg.daemon.queries.topology import _describe_link, _describe_node
from babelwg.daemon.topology import Known, KnownPeer, take_topology
from babelwg.lab.scenario import random_mesh
from babelwg.lab.simulator.known import KnownMesh, from_answer, from_description, from_netjson
from babelwg.lab.simulator.network import SimNetwork
from babelwg.lab.simulator.whatif import Change, Outcome, Way, WhatIf
from babelwg.lab.topology import Topology, TopologyError

EXACT = InterfaceParameters(max_rtt_penalty=0)
TRIANGLE = """\
node = [{name = "a", addresses = ["fd00::a/128"]}, {name = "b"}, {name = "c"}]
link = [{a = "a", b = "b"}, {a = "b", b = "c"}, {a = "a", b = "c", cost = 300}]
"""


def answer_of(net: SimNetwork, name: str) -> dict[str, Any]:
    """Return what a daemon at a node of the simulator would answer to `topology`."""
    node = net.nodes[name]
    assert node.speaker is not None
    names = {other.router_id: other.name for other in net.nodes.values()}
    peers = [KnownPeer(peer, peer, net.nodes[peer].link_local, None) for peer in node.interfaces]
    topology = take_topology(node.speaker.snapshot(net.now), Known(name, (), peers, names.get))
    return {
        "nodes": [_describe_node(vertex) for vertex in topology.nodes],
        "links": [_describe_link(edge) for edge in topology.links],
        "omitted": 0,
    }


def moves_of(outcome: Outcome, mesh: KnownMesh) -> dict[tuple[str, str], tuple[Way | None, Way | None]]:
    return {(m.source, mesh.titles[m.prefix]): (m.before, m.after) for m in outcome.moves}


def test_a_link_that_fails_moves_what_went_over_it_and_is_felt_until_hellos_lack() -> None:
    mesh = from_description(Topology.parse(TRIANGLE))
    network = WhatIf(mesh.topology, "a", 1, 4.0)
    outcome = network.apply([Change("fail-link", "a", "b")])
    assert moves_of(outcome, mesh) == {
        ("a", "b"): (Way("b", 96), Way("c", 396)),
        ("a", "c"): (Way("b", 192), Way("c", 300)),
    }
    # 1.5 + 1 Hello intervals at most; the link dies somewhere between two Hellos.
    assert all(m.gap is not None and 1.5 * 4 < m.gap <= 2.5 * 4 + 1 for m in outcome.moves)
    assert outcome.calm
    assert outcome.seqno_requests > 0
    back = network.undo()
    assert moves_of(back, mesh) == {
        ("a", "b"): (Way("c", 396), Way("b", 96)),
        ("a", "c"): (Way("c", 300), Way("b", 192)),
    }
    assert {m.gap for m in back.moves} == {0.0}


def test_a_node_that_fails_is_lost_and_cuts_off_what_is_behind_it() -> None:
    text = TRIANGLE.replace('{name = "c"}]', '{name = "c"}, {name = "d"}]')
    mesh = from_description(Topology.parse(text.replace("cost = 300}", 'cost = 300}, {a = "c", b = "d"}')))
    network = WhatIf(mesh.topology, ["a", "d"], 1, 4.0)
    before = network.ways()
    outcome = network.apply([Change("fail-node", "c")])
    assert {key: after for key, (_, after) in moves_of(outcome, mesh).items()} == dict.fromkeys(
        [("a", "c"), ("a", "d"), ("d", "a"), ("d", "b"), ("d", "c")]
    )
    assert {m.gap for m in outcome.moves} == {None}
    back = network.undo()
    assert {key: after for key, (_, after) in moves_of(back, mesh).items()} == {
        (source, mesh.titles[prefix]): before[source, prefix]
        for source, prefix in before
        if mesh.titles[prefix] != "b" or source == "d"
    }


def test_a_new_cost_moves_ways_without_a_gap() -> None:
    mesh = from_description(Topology.parse(TRIANGLE))
    network = WhatIf(mesh.topology, "ac", 1, 4.0)
    outcome = network.apply([Change("cost", "c", "a", 100)])
    assert moves_of(outcome, mesh) == {
        ("a", "c"): (Way("b", 192), Way("c", 100)),
        ("c", "a"): (Way("b", 192), Way("a", 100)),
    }
    assert {m.gap for m in outcome.moves} == {0.0}
    assert outcome.seqno_requests == 0
    assert moves_of(network.undo(), mesh)["a", "c"] == (Way("c", 100), Way("b", 192))


def test_a_change_that_concerns_nobody_moves_nothing() -> None:
    mesh = from_description(Topology.parse(TRIANGLE))
    outcome = WhatIf(mesh.topology, "a", 1, 4.0).apply([Change("cost", "a", "c", 400)])
    assert (outcome.moves, outcome.ways) == ((), 2)


def test_the_same_seed_gives_the_same_outcome() -> None:
    mesh = from_description(random_mesh(7, 8))
    changes = [Change("fail-link", mesh.topology.links[0].a, mesh.topology.links[0].b)]
    one, other = (
        WhatIf(mesh.topology, [n.name for n in mesh.topology.nodes], 3, 1.0).apply(changes) for _ in range(2)
    )
    assert one == other


@pytest.mark.parametrize("cut", ["ab", "ac", "bc", "bd", "cd", "ce"])
def test_what_a_node_predicts_from_what_it_knows_comes_true(cut: str) -> None:
    #   a --96--- b ---96--- d
    #    \        |         /
    #    100     120     130      what b and c announce shows each link
    #      \      |     /
    #        +--- c ---96--- e
    net = SimNetwork.parse("a-b:96 a-c:100 b-c:120 b-d:96 c-d:130 c-e:96", seed=1, interface=EXACT)
    net.run(seconds=120)
    mesh = from_answer(answer_of(net, "a"))
    assert mesh.own == "a"
    assert {(link.a, link.b) for link in mesh.topology.links} == {
        (*pair,) for pair in ["ab", "ac", "bc", "bd", "cd", "ce"]
    }
    outcome = WhatIf(mesh.topology, "a", 1, 4.0).apply([Change("fail-link", *cut)])
    predicted = {mesh.titles[m.prefix]: m.after.via if m.after else None for m in outcome.moves}
    before = {name: net["a"].next_hop(name) for name in "bcde"}
    net.cut(*cut)
    net.run(seconds=120)
    after = {name: net["a"].next_hop(name) for name in "bcde"}
    assert before | predicted == after


def test_an_answer_of_a_daemon_becomes_a_mesh_with_guesses_and_dead_links_marked() -> None:
    net = SimNetwork.parse("a-b b-c a-c a-d", seed=1, interface=EXACT)
    net.run(seconds=30)
    net.cut("a", "d")
    net.run(seconds=30)
    answer = answer_of(net, "a")
    for node in answer["nodes"]:
        node["prefixes"] += ["::/0", "fe80::/10"] if node["name"] in "bc" else []
    mesh = from_answer(answer)
    assert {(link.a, link.b, link.cost) for link in mesh.topology.links} == {
        ("a", "b", 96),
        ("a", "c", 96),
        ("b", "c", 96),
    }
    assert mesh.guesses == {frozenset("bc")}
    assert mesh.dead == ("a-d",)
    shared = {node.name: node.announce[1:] for node in mesh.topology.nodes}
    assert shared == {"a": (), "b": (Prefix.parse("::/0"),), "c": (Prefix.parse("::/0"),), "d": ()}
    assert set(mesh.titles.values()) == {"a", "b", "c", "d", "::/0"}


def test_netjson_becomes_a_mesh() -> None:
    graph: dict[str, Any] = {
        "type": "NetworkGraph",
        "router_id": "1",
        "nodes": [{"id": "1", "label": "a"}, {"id": "2", "label": "b"}, {"id": "3", "label": "b"}],
        "links": [
            {"source": "1", "target": "2", "cost": 1.4},
            {"source": "2", "target": "1", "cost": 7},
            {"source": "3", "target": "2", "cost": 1e9},
        ],
    }
    mesh = from_netjson(json.dumps(graph), "x.json")
    assert mesh.own == "a"
    # A name that two have is none.
    assert [(k.a, k.b, k.cost) for k in mesh.topology.links] == [("a", "2", 1), ("3", "2", 65534)]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"type": "NetworkGraph"}', '{"type": "NetworkGraph", "nodes": 3, "links": []}']
    + ['{"type": "NetworkGraph", "nodes": [{"id": 1}], "links": [{"source": 1, "target": 2, "cost": 1}]}']
    + ['{"type": "NetworkGraph", "nodes": [{"id": 1}], "links": [{"source": 1, "target": 1, "cost": "x"}]}'],
)
def test_what_is_no_netjson_is_told_with_its_file(text: str) -> None:
    with pytest.raises(TopologyError, match=r"^x\.json: "):
        from_netjson(text, "x.json")
