"""Whole meshes of real tunnels: a cut link is left, a returned one is used again, relays forward."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from babelwg.lab.netns.mesh import Mesh

BACKENDS = ["embedded", "wireguard-go"]
B6, B4 = "fd00:77::2", "10.23.0.2"


def forwarded(mesh: Mesh, name: str) -> int:
    """Return how many IPv4 and IPv6 packets a node's kernel has forwarded."""
    snmp = mesh.nodes[name].run("cat", "/proc/net/snmp", "/proc/net/snmp6")
    ip = [line.split() for line in snmp.splitlines() if line.startswith("Ip:")]
    ipv4 = int(ip[1][ip[0].index("ForwDatagrams")])
    ipv6 = next(int(line.split()[1]) for line in snmp.splitlines() if line.startswith("Ip6OutForwDatagrams"))
    return ipv4 + ipv6


def uses(mesh: Mesh, name: str, device: str, *addresses: str) -> bool:
    """Return whether a node's kernel sends packets for all addresses out of a device."""
    return all(mesh.kernel_device(name, address) == device for address in addresses)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_triangle_goes_round_a_silent_cut_and_returns(
    backend: str, mesh: Callable[..., Mesh], probes: Callable[..., Any], needs: Callable[..., None]
) -> None:
    needs("nft", "ping", *([] if backend == "embedded" else [backend]))
    m = mesh("a b c", "a-b b-c a-c", backend=backend)
    direct, relay = m.tunnel("a", "b"), m.tunnel("a", "c")
    m.wait("a reaches b directly", lambda: uses(m, "a", direct, B6, B4))
    m.wait("b reaches a directly", lambda: uses(m, "b", m.tunnel("b", "a"), "fd00:77::1", "10.23.0.1"))
    running = probes(m, "a", "b")
    before = forwarded(m, "c")
    m.cut("a", "b")
    m.wait("a goes through c", lambda: uses(m, "a", relay, B6, B4))
    m.wait("b goes through c", lambda: uses(m, "b", m.tunnel("b", "c"), "fd00:77::1", "10.23.0.1"))
    round_about = time.monotonic()
    m.wait("all flows go on", lambda: running.heard_since(round_about + 0.5))
    m.wait("c forwards them", lambda: forwarded(m, "c") > before + 100)
    lost = running.lost()
    m.restore("a", "b")
    m.wait("a is back on the direct link", lambda: uses(m, "a", direct, B6, B4))
    back = time.monotonic()
    m.wait("all flows go on", lambda: running.heard_since(back + 0.5))
    assert running.lost() == lost


def test_ten_returns_of_the_direct_link_lose_nothing(
    mesh: Callable[..., Mesh], probes: Callable[..., Any], needs: Callable[..., None]
) -> None:
    needs("nft", "ping")
    m = mesh("a b c", "a-b b-c a-c")
    ends = {"a": (B6, B4), "b": ("fd00:77::1", "10.23.0.1")}
    peers = {"a": "b", "b": "a"}

    def all_use(peer_of: dict[str, str]) -> bool:
        return all(uses(m, name, m.tunnel(name, peer_of[name]), *ends[name]) for name in ends)

    m.wait("both use the direct link", lambda: all_use(peers))
    running = probes(m, "a", "b")
    for _ in range(10):
        m.cut("a", "b")
        m.wait("both go through c", lambda: all_use({"a": "c", "b": "c"}))
        round_about = time.monotonic()
        m.wait("all flows go on", lambda: running.heard_since(round_about + 0.5))  # noqa: B023
        lost = running.lost()
        m.restore("a", "b")
        m.wait("both are back", lambda: all_use(peers))
        back = time.monotonic()
        m.wait("all flows go on", lambda: running.heard_since(back + 0.5))  # noqa: B023
        assert running.lost() == lost


def test_a_line_of_five_carries_traffic_over_three_relays(
    mesh: Callable[..., Mesh], probes: Callable[..., Any], needs: Callable[..., None]
) -> None:
    needs("ping")
    m = mesh("a b c d e", "a-b b-c c-d d-e")
    m.wait("every node has a route to every other", m.converged)
    before = {name: forwarded(m, name) for name in "bcd"}
    running = probes(m, "a", "e")
    m.wait("all three forward", lambda: all(forwarded(m, n) > before[n] + 100 for n in "bcd"))
    assert set(running.lost().values()) == {0}
    # On a busy machine delay adds to it.
    m.wait("four links without loss are told", lambda: 4 * 96 <= way_to_e(m)["route"]["metric"] < 65535)
    m.wait("the kernel agrees", lambda: way_to_e(m)["agrees"])


def way_to_e(mesh: Mesh) -> Any:
    return mesh.ask("a", "route_get", address="fd00:77::5", source=None)
