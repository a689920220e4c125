"""Authentication (RFC 8967) between babelwg and its peers: both algorithms, a wrong key, a change of keys."""

from contextlib import closing
from pathlib import Path

import pytest

from integration.interop.kernel import RouteWatch
from integration.interop.net import Net
from integration.interop.routers.babeld_language import BabeldRouter, BabelwgRouter
from integration.interop.routers.bird import BirdRouter
from integration.interop.routers.router import Key, Router

pytestmark = pytest.mark.interop

# 32 octets suit both algorithms.
OLD_TEXT, NEW_TEXT, WRONG_TEXT = (word * 4 for word in ("old-key.", "new-key.", "badkey.."))
FROM_A, FROM_B = "fd00:77:a::9/128", "fd00:77:b::9/128"
ALGORITHMS = ("hmac-sha256", "blake2s128")

peers = pytest.mark.parametrize("peer", ["babeld", "bird", "frr"])
algorithms = pytest.mark.parametrize("algorithm", ALGORITHMS)


@algorithms
@peers
def test_a_peer_and_babelwg_accept_each_others_packets(net: Net, peer: str, algorithm: str) -> None:
    a, b = _pair(net, peer, Key("old", algorithm, OLD_TEXT))
    assert a.neighbours() == {"to-b"}
    assert b.neighbours() == {"to-a"}
    a.announce(FROM_A)
    b.announce(FROM_B)
    net.wait("each has the other's new prefix", lambda: a.reaches(FROM_B) and b.reaches(FROM_A))
    a.restart()
    net.wait_for_all("a is accepted again after a restart")
    b.restart()
    net.wait_for_all("b is accepted again after a restart")


@algorithms
@peers
def test_a_peer_with_a_wrong_key_is_no_neighbour_until_it_has_the_right_one(
    net: Net, peer: str, algorithm: str
) -> None:
    #   a (peer, wrong key) --- b (babelwg) --- c (babelwg, right key)
    _skip_without_keys(peer)
    right, wrong = Key("old", algorithm, OLD_TEXT), Key("old", algorithm, WRONG_TEXT)
    a, b, c = net.add("a", peer), net.add("b", "babelwg"), net.add("c", "babelwg")
    net.link("a", "b", keys=(right,))
    net.link("b", "c", keys=(right,))
    a.ports["b"].keys = (wrong,)
    net.start()
    assert isinstance(a, BabeldRouter | BirdRouter)
    assert isinstance(b, BabelwgRouter)
    # While c, beside it, has been heard in full for sixteen Hellos, a had as much time.
    net.wait(
        "b has heard sixteen Hellos of c", lambda: _reach(b, "to-c") == "ffff" and c.reaches(*b.addresses)
    )
    assert b.neighbours() == {"to-c"}
    assert a.neighbours() == set()
    assert b.lacks(*a.addresses)
    assert a.lacks(*b.addresses, *c.addresses)
    a.set_keys("b", right)
    net.wait_for_all("everybody has everybody's addresses with the right key")


@algorithms
@peers
def test_keys_change_without_the_loss_of_a_route(net: Net, tmp_path: Path, peer: str, algorithm: str) -> None:
    old, new = Key("old", algorithm, OLD_TEXT), Key("new", algorithm, NEW_TEXT)
    a, b = _pair(net, peer, old)
    with (
        closing(RouteWatch(a.node, tmp_path / "watch-a")) as at_a,
        closing(RouteWatch(b.node, tmp_path / "watch-b")) as at_b,
    ):
        b.set_keys("a", old, new)
        if isinstance(a, BabeldRouter):
            a.replace_key("b", "old", NEW_TEXT)  # babeld has one key per interface
        else:
            a.set_keys("b", old, new)
            a.set_keys("b", new)
        # What is announced from now on is signed by a with the new key alone.
        a.announce(FROM_A)
        b.announce(FROM_B)
        net.wait("each has the other's new prefix", lambda: a.reaches(FROM_B) and b.reaches(FROM_A))
        b.set_keys("a", new)
        a.withdraw(FROM_A)
        b.withdraw(FROM_B)
        net.wait("each has lost the other's prefix", lambda: a.lacks(FROM_B) and b.lacks(FROM_A))
        assert net.converged()
        assert at_a.losses(*b.addresses) == []
        assert at_b.losses(*a.addresses) == []


def _pair(net: Net, peer: str, key: Key) -> tuple[BabeldRouter | BirdRouter, BabelwgRouter]:
    _skip_without_keys(peer)
    a, b = net.add("a", peer), net.add("b", "babelwg")
    net.link("a", "b", keys=(key,))
    net.start()
    net.wait_for_all("each has the other's addresses")
    assert isinstance(a, BabeldRouter | BirdRouter)
    assert isinstance(b, BabelwgRouter)
    return a, b


def _skip_without_keys(peer: str) -> None:
    if peer == "frr":
        pytest.skip("FRR 8.4 has no MAC authentication in Babel")


def _reach(router: Router, interface: str) -> str | None:
    assert isinstance(router, BabelwgRouter)
    return next((n["reach"] for n in router.show("neighbours") if n["interface"] == interface), None)
