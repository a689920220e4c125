"""Daemons that end amid a failure leave nobody on a way that leads nowhere, and those that only end lose no packet."""

from collections.abc import Callable, Iterator

import pytest

from babelwg.lab.scenario import numbered_prefix
from babelwg.lab.simulator import network
from babelwg.lab.simulator.network import SimNetwork
from tests.lab.kernelnode import KernelNode

FAR = numbered_prefix(1)  # of the first node of a drawing


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> SimNetwork:
    """Return a network in which all has settled."""
    #   far ---- next ---- router      the user goes through the router, which goes on through next
    #      \                  |
    #       `----- 500 ----- user
    monkeypatch.setattr(network, "SimNode", KernelNode)
    found = SimNetwork.parse("far-next next-router router-user far-user:500")
    found.run(40.0)
    assert (way(found, "user"), way(found, "router")) == ("router", "next")
    return found


def way(net: SimNetwork, name: str) -> str | None:
    """Return to whom the kernel of a node sends what is for the far node."""
    entry = net.nodes[name].fib.get(FAR)
    return entry.via if entry else None


def next_patience(net: SimNetwork) -> float:
    """Let time pass until the router hears a Hello of its next hop; return when it lets go of it without another."""
    node = net.nodes["router"]
    key = "next", net.nodes["next"].link_local
    before = node.disk.heard[key]
    while node.disk.heard[key] == before:
        net.run(0.02)
    return node.disk.heard[key].until


def passing(net: SimNetwork, seconds: float, look: Callable[[], object]) -> Iterator[object]:
    """Let time pass; yield what is seen each 20 ms."""
    for _ in range(round(seconds / 0.02)):
        net.run(0.02)
        yield look()


def test_a_retraction_that_was_lost_before_a_kill_is_told_by_the_next_life(net: SimNetwork) -> None:
    net.cut("next", "router")
    net.silence("router", "user", frozenset(["router"]))
    net.fail_link("router", "next")
    net.run(0.1)
    assert (way(net, "user"), way(net, "router")) == ("router", None)
    net.crash("router")
    net.restore("router", "user")
    net.run(0.5)
    net.restart("router")
    net.run(2.0)
    assert way(net, "user") == "far"


def test_who_is_killed_while_its_next_hop_falls_silent_gives_it_up_soon(net: SimNetwork) -> None:
    until = next_patience(net)
    net.cut("next", "router")
    net.run(until - 1.0 - net.now)
    net.crash("router")
    net.run(2.0)
    assert (way(net, "user"), way(net, "router")) == ("router", "next"), "nobody has noticed yet"
    net.restart("router")
    net.run(7.0)
    assert way(net, "user") == "far"
    assert way(net, "router") in (None, "user")


@pytest.mark.parametrize("away", [1.0, 6.0, 9.0, 12.0])
def test_a_daemon_that_is_away_changes_nothing_in_its_kernel(net: SimNetwork, away: float) -> None:
    net.crash("router")
    net.run(away)
    net.restart("router")
    assert {*passing(net, 40.0, lambda: way(net, "router"))} == {"next"}
    assert way(net, "user") == "router"


@pytest.mark.parametrize("further", [0.5, 2.0, 4.0])  # in all less than the router waits for a Hello of next
def test_two_daemons_that_end_together_change_nothing(net: SimNetwork, further: float) -> None:
    net.crash("router")
    net.crash("next")
    net.run(1.5)
    net.restart("router")

    def look() -> tuple[str | None, ...]:
        return way(net, "next"), way(net, "router"), way(net, "user")

    seen = {*passing(net, further, look)}
    net.restart("next")
    seen |= {*passing(net, 40.0, look)}
    assert seen == {("far", "next", "router")}
