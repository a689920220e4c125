"""Triangles of mixed daemons: a way round a cut link and back, and a way round a link whose cost was raised."""

import pytest

from integration.interop.net import Net

pytestmark = pytest.mark.interop

#   a ------- c
#    \       /
#     \     /
#        b
CUT = [
    ("babelwg", "babeld", "bird"),
    ("babelwg", "bird", "babeld"),
    ("babeld", "babelwg", "bird"),
    ("babelwg", "frr", "babelwg"),
    ("babelwg", "babelwg", "frr"),
    ("frr", "babelwg", "frr"),
]
PEERS = ("babeld", "bird", "frr")
COSTLY = 1000


def triangle(net: Net, kinds: tuple[str, ...], costs: tuple[int, int, int] = (96, 96, 96)) -> Net:
    """Build and start a triangle with the costs of a-b, b-c and a-c."""
    for name, kind in zip("abc", kinds, strict=True):
        net.add(name, kind)
    for (x, y), cost in zip((("a", "b"), ("b", "c"), ("a", "c")), costs, strict=True):
        net.link(x, y, cost)
    net.start()
    net.wait_for_all("everybody has everybody's addresses")
    return net


@pytest.mark.parametrize("kinds", CUT, ids="-".join)
def test_traffic_goes_round_when_the_direct_link_is_cut_and_returns(net: Net, kinds: tuple[str, ...]) -> None:
    triangle(net, kinds)
    a, c = net["a"], net["c"]
    net.wait("a and c are direct", lambda: _direct(net))
    net.cut("a", "c")
    net.wait("a goes round", lambda: a.goes_by("b", *c.addresses))
    net.wait("c goes round", lambda: c.goes_by("b", *a.addresses))
    net.wait("pings get through", net.forwards)
    net.restore("a", "c")
    net.wait("a and c are direct again", lambda: _direct(net))
    net.wait("pings get through again", net.forwards)


def _direct(net: Net) -> bool:
    a, c = net["a"], net["c"]
    return a.goes_by("c", *c.addresses) and c.goes_by("a", *a.addresses)


@pytest.mark.parametrize("peer", PEERS)
def test_babelwg_goes_round_when_a_peer_raises_the_cost_and_returns(net: Net, peer: str) -> None:
    _raise_and_lower(net, ("babelwg", peer, peer))


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer_goes_round_when_babelwg_raises_the_cost_and_returns(net: Net, peer: str) -> None:
    _raise_and_lower(net, (peer, "babelwg", "babelwg"))


def _raise_and_lower(net: Net, kinds: tuple[str, ...]) -> None:
    # What b announces of c is cheaper (50) than what a announces of it (100), hence feasible for a (§3.5.1) at any
    # time: BIRD asks for no seqno as long as it has some route, and would stay.
    triangle(net, kinds, costs=(200, 50, 100))
    a, c = net["a"], net["c"]
    net.wait("a is direct", lambda: a.goes_by("c", *c.addresses))
    c.set_cost("a", COSTLY)
    net.wait("a goes round", lambda: a.goes_by("b", *c.addresses))
    net.wait("pings get through", net.forwards)
    c.set_cost("a", 100)
    net.wait("a is direct again", lambda: a.goes_by("c", *c.addresses))
