"""The description of a network: what it says, and how it complains."""

import pytest

from babelwg.babel.wire.prefix import Prefix
from babelwg.lab.topology import Link, Step, Topology, TopologyError

TEXT = """
seed = 7
duration = 30
[[node]]
name = "a"
addresses = ["fd00::a/128", "10.0.0.1"]
[[node]]
name = "b"
announce = ["10.1.0.0/16"]
[[link]]
a = "a"
b = "b"
delay_ms = 5
loss = 0.1
[[step]]
at = 9
action = "restore"
link = "a-b"
[[step]]
at = 3.5
action = "cut"
link = "b-a"
"""


def test_a_topology_says_nodes_links_and_steps_in_time_order() -> None:
    topology = Topology.parse(TEXT)
    assert topology.node("a").addresses == (Prefix.parse("fd00::a/128"), Prefix.parse("10.0.0.1/32"))
    assert topology.node("b").announce == (Prefix.parse("10.1.0.0/16"),)
    assert topology.links == (Link("a", "b", delay_ms=5.0, loss=0.1),)
    assert topology.steps == (Step(3.5, "cut", ("a", "b")), Step(9.0, "restore", ("a", "b")))
    assert (topology.seed, topology.duration) == (7, 30.0)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('name = "b"', 'name = "a"', "t: node 'a' is described twice"),
        ('b = "b"', 'b = "z"', "t: link 1: there is no node 'z'"),
        ('b = "b"', 'b = "a"', "t: link 1 joins 'a' to itself"),
        ("delay_ms", "delay", "t: link 1 has an unknown key 'delay'"),
        ("loss = 0.1", "loss = 2", "t: link 1: 'loss' is a share from 0 to 1"),
        ("delay_ms = 5", "delay_ms = -5", "t: link 1: 'delay_ms' is no number from 0 on"),
        ('"cut"', '"melt"', "t: step 2: unknown action 'melt'"),
        ('link = "b-a"', 'node = "b"', "t: step 2 has an unknown key 'node'"),
        ('link = "b-a"', "", "t: step 2: cut needs 'link'"),
        ('"b-a"', '"b-c"', "t: step 2: there is no link 'b-c'"),
        ("10.1.0.0/16", "10.1.0.1/16", "t: node 'b': 10.1.0.1/16 has host bits set"),
        ("fd00::a/128", "fd00::/64", "t: node 'a': fd00::/64 is a network, not an address"),
        ("[[node]]", "[node]", "t: "),
    ],
)
def test_a_topology_is_refused_with_its_place_when_it_makes_no_sense(
    old: str, new: str, complaint: str
) -> None:
    assert old in TEXT
    with pytest.raises(TopologyError) as caught:
        Topology.parse(TEXT.replace(old, new), "t")
    assert str(caught.value).startswith(complaint)
