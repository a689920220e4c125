"""Echo requests through a chain of routers: who answers, who says that a packet died there, and where a way ends."""

import asyncio
import threading
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import pytest

from babelwg.daemon.trace import Trail, trace
from babelwg.lab.netns.node import connect
from babelwg.linux.netns import network_namespace
from babelwg.linux.probes.echo import Reply, echoes
from integration.bench.common import wait

FAR = {4: "203.0.113.3", 6: "2001:db8:ffff::3"}
CLOSED = {4: "203.0.113.99", 6: "2001:db8:ffff::99"}
NOWHERE = {4: "203.0.113.77", 6: "2001:db8:ffff::77"}  # r sends it on to c, which drops it
LOOP = {4: "198.51.100.1", 6: "2001:db8:aaaa::1"}  # c sends it back to r
OUR_OWN = {4: "192.0.2.1", 6: "2001:db8:1::1"}


@pytest.fixture
def node(nodes: Any, needs: Callable[..., None]) -> Any:
    """A node a, with r behind it and c behind r; r refuses packets to one address."""
    needs("ip", "ping")
    a, r, c = (nodes.add(name) for name in "arc")
    connect(a, r, "up", "to-a", ["192.0.2.1/30", "2001:db8:1::1/64"], ["192.0.2.2/30", "2001:db8:1::2/64"])
    connect(r, c, "to-c", "up", ["192.0.2.5/30", "2001:db8:2::1/64"], ["192.0.2.6/30", "2001:db8:2::2/64"])
    r.sysctl("net.ipv4.ip_forward", "1")
    r.sysctl("net.ipv6.conf.all.forwarding", "1")
    c.ip(f"address add {FAR[4]}/32 dev lo", f"address add {FAR[6]}/128 dev lo nodad")
    for gateway in ("192.0.2.2", "2001:db8:1::2"):
        a.ip(f"route add default via {gateway} dev up")
    for gateway in ("192.0.2.5", "2001:db8:2::1"):
        c.ip(f"route add default via {gateway} dev up")
    r.ip(f"route add {FAR[4]} via 192.0.2.6", f"route add {FAR[6]} via 2001:db8:2::2")
    r.ip(f"route add {NOWHERE[4]} via 192.0.2.6", f"route add {NOWHERE[6]} via 2001:db8:2::2")
    r.ip(f"route add {LOOP[4]} via 192.0.2.6", f"route add {LOOP[6]} via 2001:db8:2::2")
    c.sysctl("net.ipv4.ip_forward", "1")
    c.sysctl("net.ipv6.conf.all.forwarding", "1")
    c.ip(f"route add blackhole {NOWHERE[4]}", f"route add blackhole {NOWHERE[6]}")
    r.ip(f"route add prohibit {CLOSED[4]}", f"route add prohibit {CLOSED[6]}")
    # Addresses are looked for in the neighbourhood before they are used.
    wait(
        "packets pass",
        lambda: all("1 received" in a.run("ping", "-c1", "-W1", x, check=False) for x in FAR.values()),
        60,
    )
    return a


def within(node: Any, act: Callable[[], Any]) -> Any:
    """Return what `act`, a coroutine function, returns in a node's namespace."""
    results: list[Any] = []

    def run() -> None:
        with network_namespace(node.pid):
            results.append(asyncio.run(act()))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return results[0]


def traced(node: Any, address: str, patience: float = 2.0) -> Trail:
    async def act() -> Trail:
        with echoes(ip_address(address).packed, None) as sender:
            return await trace(sender, patience)

    found: Trail = within(node, act)
    return found


def addresses(trail: Trail) -> list[str | None]:
    return [str(ip_address(hop.address)) if hop.address else None for hop in trail.hops]


ROUTER = {4: "192.0.2.2", 6: "2001:db8:1::2"}


@pytest.mark.parametrize("family", [4, 6])
def test_each_hop_answers_and_the_last_one_is_the_target(node: Any, family: int) -> None:
    trail = traced(node, FAR[family])
    assert (trail.end, addresses(trail)) == ("reached", [ROUTER[family], FAR[family]])
    assert [(len(hop.replies), hop.lost) for hop in trail.hops] == [(3, 0), (3, 0)]
    assert all(reply.rtt > 0 for hop in trail.hops for reply in hop.replies)
    assert traced(node, OUR_OWN[family]).words == "reached in 1 hop"


@pytest.mark.parametrize("family", [4, 6])
def test_a_way_that_ends_says_where_and_why(node: Any, family: int) -> None:
    trail = traced(node, CLOSED[family])
    assert (trail.end, addresses(trail)) == ("unreachable", [ROUTER[family]])
    assert trail.words == "ends at hop 1: prohibited"


@pytest.mark.parametrize("family", [4, 6])
def test_a_way_into_silence_says_who_was_the_last_to_answer(node: Any, family: int) -> None:
    nowhere = traced(node, NOWHERE[family], patience=1.5)
    assert (nowhere.end, addresses(nowhere)) == ("silence", [ROUTER[family], None])
    assert nowhere.words == "nobody answers beyond hop 1"


@pytest.mark.parametrize("family", [4, 6])
def test_a_loop_is_told(node: Any, family: int) -> None:
    trail = traced(node, LOOP[family], patience=2.0)
    # An IPv6 router answers from the interface that the packet would leave by.
    again = "hop 3 is hop 1 again" if family == 4 else "hop 4 is hop 2 again"
    assert (trail.end, trail.words) == ("loop", f"packets loop: {again}")


@pytest.mark.parametrize("family", [4, 6])
def test_what_cannot_leave_is_a_sentence_and_what_comes_back_is_ours(node: Any, family: int) -> None:
    async def ping() -> Reply:
        far, own = ip_address(FAR[family]).packed, ip_address(OUR_OWN[family]).packed
        # Somebody else's requests to the same address do not answer ours.
        with echoes(far, own) as sender, echoes(far, None) as other:
            first, second = other.send(), sender.send()
            async with asyncio.timeout(60):
                await first
                return await second

    assert within(node, ping).kind == "reply"
    node.ip(f"route replace unreachable {FAR[family]}")
    trail = traced(node, FAR[family])
    assert (trail.end, trail.hops) == ("no-way", ())
    assert trail.words == "packets do not leave this node: no route to host"
