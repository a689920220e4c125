"""Lines of three with babelwg in the middle or at an end: prefixes come and go, a link is cut, routers restart."""

import pytest

from integration.interop.net import Net, line

pytestmark = pytest.mark.interop

PEERS = ("babeld", "bird", "frr")
# a --- b --- c
AROUND = [(peer, "babelwg", peer) for peer in PEERS]
BETWEEN = [("babelwg", peer, "babelwg") for peer in PEERS]
BESIDE = [("babelwg", peer, peer) for peer in PEERS]
MIXED = [("babeld", "babelwg", "bird"), ("bird", "babelwg", "frr"), ("frr", "babelwg", "babeld")]
MIXED += [("babelwg", "babeld", "bird"), ("babelwg", "bird", "frr"), ("babelwg", "frr", "babeld")]
FROM_A = ("fd00:77:a::9/128", "10.23.10.9/32")
FROM_C = ("fd00:77:c::9/128", "10.23.12.9/32")

basic_lines = pytest.mark.parametrize("kinds", AROUND + BETWEEN, ids="-".join)
all_lines = pytest.mark.parametrize("kinds", AROUND + BETWEEN + BESIDE + MIXED, ids="-".join)


@all_lines
def test_both_ends_get_a_prefix_announced_later(net: Net, kinds: tuple[str, ...]) -> None:
    line(net, *kinds)
    _announce(net)
    net.wait("a goes by b", lambda: net["a"].goes_by("b", *net["c"].addresses, *FROM_C))
    net.wait("c goes by b", lambda: net["c"].goes_by("b", *net["a"].addresses, *FROM_A))


@basic_lines
def test_both_ends_lose_a_withdrawn_prefix_and_nothing_else(net: Net, kinds: tuple[str, ...]) -> None:
    line(net, *kinds)
    _announce(net)
    for name, prefixes in (("a", FROM_A), ("c", FROM_C)):
        for prefix in prefixes:
            net[name].withdraw(prefix)
    net.wait("a has lost c's prefixes", lambda: net["a"].lacks(*FROM_C))
    net.wait("c has lost a's prefixes", lambda: net["c"].lacks(*FROM_A))
    net.wait("b has lost both", lambda: net["b"].lacks(*FROM_A, *FROM_C))
    assert net.converged()


@basic_lines
def test_a_cut_link_takes_what_was_behind_it_and_gives_it_back(net: Net, kinds: tuple[str, ...]) -> None:
    line(net, *kinds)
    a, b, c = (net[name] for name in "abc")
    net.cut("b", "c")
    net.wait("a and b have lost c", lambda: a.lacks(*c.addresses) and b.lacks(*c.addresses))
    net.wait("c has lost a and b", lambda: c.lacks(*a.addresses, *b.addresses))
    assert a.reaches(*b.addresses)
    net.restore("b", "c")
    net.wait_for_all("everything is back")


@basic_lines
def test_the_ends_find_each_other_again_when_the_middle_restarts(net: Net, kinds: tuple[str, ...]) -> None:
    line(net, *kinds)
    a, b, c = (net[name] for name in "abc")
    b.stop()
    net.wait("both ends have lost all", lambda: a.lacks(*c.addresses, *b.addresses) and c.lacks(*a.addresses))
    b.start()
    net.wait_for_all("everything is back after a restart")
    b.kill()
    net.wait("both ends have noticed", lambda: a.lacks(*c.addresses) and c.lacks(*a.addresses))
    b.start()
    net.wait_for_all("everything is back after a crash")


@basic_lines
def test_an_end_that_restarts_is_found_again(net: Net, kinds: tuple[str, ...]) -> None:
    line(net, *kinds)
    a, c = net["a"], net["c"]
    c.stop()
    net.wait("a has lost c", lambda: a.lacks(*c.addresses))
    c.start()
    net.wait_for_all("everything is back")


def _announce(net: Net) -> None:
    for name, prefixes in (("a", FROM_A), ("c", FROM_C)):
        for prefix in prefixes:
            net[name].announce(prefix)
    net.wait("a has c's new prefixes", lambda: net["a"].reaches(*FROM_C))
    net.wait("c has a's new prefixes", lambda: net["c"].reaches(*FROM_A))
