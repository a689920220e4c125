"""A triangle whose third node is stock babeld: routes both ways, a reroute through it, and a retraction."""

import time
from collections.abc import Callable
from typing import Any

from babelwg.lab.netns.flow import UdpFlow
from babelwg.lab.netns.mesh import Mesh
from integration.stock import PROGRAMS, BabeldNode

A, B, C = (("fd00:77::1", "10.23.0.1"), ("fd00:77::2", "10.23.0.2"), ("fd00:77::3", "10.23.0.3"))


def uses(mesh: Mesh, name: str, peer: str, addresses: tuple[str, str]) -> bool:
    """Return whether a node's kernel sends packets for both addresses into the tunnel to a peer."""
    device = mesh.tunnel(name, peer)
    return all(mesh.kernel_device(name, address) == device for address in addresses)


def test_babeld_takes_part_relays_and_retracts(
    mesh: Callable[..., Mesh], probes: Callable[..., Any], needs: Callable[..., None]
) -> None:
    needs(*PROGRAMS, "nft", "ping")
    m = mesh("a b c", "a-b b-c a-c", start=False, without_daemon=frozenset("c"))
    babeld = BabeldNode(m, "c", options="hello-interval 0.5")
    m.start()
    babeld.start()
    m.wait("a and b know each other directly", lambda: uses(m, "a", "b", B) and uses(m, "b", "a", A))
    m.wait("a and b have babeld's routes", lambda: uses(m, "a", "c", C) and uses(m, "b", "c", C))
    # Where one tunnel came up later, babeld has learned a detour, and takes half a minute to leave it.
    m.wait("babeld has theirs", lambda: uses(m, "c", "a", A) and uses(m, "c", "b", B))
    running = probes(m, "a", "b")
    m.cut("a", "b")
    cut = time.monotonic()
    m.wait("a and b go through babeld", lambda: uses(m, "a", "c", B) and uses(m, "b", "c", A))
    m.wait("all flows go on", lambda: running.heard_since(cut + 0.2))
    m.restore("a", "b")
    m.wait("a and b are direct again", lambda: uses(m, "a", "b", B) and uses(m, "b", "a", A))
    m.nodes["c"].run("ip", "address", "del", "fd00:77::3/128", "dev", "lo")
    m.wait("a has lost the withdrawn prefix", lambda: m.kernel_device("a", "fd00:77::3") is None)
    # On a busy machine babeld lets go of a neighbour now and then, and begins its Hellos to it anew.
    m.wait("it keeps the other one", lambda: uses(m, "a", "c", ("10.23.0.3", "10.23.0.3")), 5.0)
    (m.home("a") / "babelwg.toml").write_text(
        (m.home("a") / "babelwg.toml").read_text().replace('"fd00:77::1/128", ', "")
    )
    m.ask("a", "reload")
    m.wait("babeld has lost a's withdrawn prefix", lambda: m.kernel_device("c", "fd00:77::1") is None)
    babeld.stop()
    m.wait("a has lost all of babeld's prefixes", lambda: m.kernel_device("a", "10.23.0.3") is None)


def test_a_link_to_babeld_that_is_dead_one_way_is_left_though_packets_come_the_other_way(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs(*PROGRAMS, "nft")
    # With these Hellos of ours babeld takes ten seconds and more to find out and to say so.
    m = mesh("a b c", "a-b b-c a-c", hello=6.0, start=False, without_daemon=frozenset("b"))
    babeld = BabeldNode(m, "b", options="hello-interval 1")
    # It keeps a detour that it learned first for half a minute.
    m.cut("b", "c")
    m.start()
    babeld.start()
    m.wait("a and babeld know each other directly", lambda: uses(m, "a", "b", B) and uses(m, "b", "a", A))
    m.restore("b", "c")
    m.wait("c knows babeld", lambda: uses(m, "c", "b", B))
    flows = [UdpFlow(m.nodes["a"], m.nodes["b"], B[0], 0.01), UdpFlow(m.nodes["b"], m.nodes["a"], A[0], 0.01)]
    m.wait("both flow", lambda: all(flow.last_heard for flow in flows))
    underlay = m.links[frozenset("ab")].interfaces["b"]
    m.nodes["b"].run("nft", "-f", "-", stdin=DEAF.replace("IFACE", underlay))
    cut = time.monotonic()
    m.wait("a goes through c", lambda: uses(m, "a", "c", B), 8.0)
    m.wait("both flow on", lambda: all(flow.last_heard > time.monotonic() - 0.1 for flow in flows))
    left = time.monotonic()

    def stays() -> bool:
        assert uses(m, "a", "c", B), "Hellos come all the time, and IHUs that do not know it yet"
        return time.monotonic() > left + 6.0

    m.wait("several Hellos have come", stays)
    assert flows[1].longest_gap(cut) < 1.0, "its packets came all the time"
    for flow in flows:
        flow.stop()


DEAF = "table inet deaf { chain in { type filter hook input priority 0; iifname IFACE drop; }; }"
