"""A link that carries nothing of users is found dead by what others say of it, long before a Hello is missed.

Hellos come every twenty seconds here, so that they tell nothing within the time a test waits; WireGuard's keepalives,
which count as no packet on an interface, are what the underlay refuses.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from babelwg.lab.netns.mesh import Mesh
from integration.mesh.test_links import BACKENDS, CALM, counter, events, uses

SOON = 10.0  # seconds; half of the time until a Hello is missed
B6, B4 = "fd00:77::2", "10.23.0.2"
REFUSE = """
table inet refuse {
  chain input {
    type filter hook input priority 0;
    FAMILY saddr THEIRS udp dport PORT reject with icmpx type port-unreachable
  }
  chain output {
    type filter hook output priority 0;
    FAMILY daddr THEIRS udp sport PORT drop
  }
}
"""
# Errors for argv[1] about packets from its port argv[2] to argv[3], port argv[4]; and some that make no sense.
FORGE = """
import socket, struct, sys
victim, port, address, remote = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
udp = struct.pack(">HHHH", port, remote, 40, 0)
ends = socket.inet_aton(victim) + socket.inet_aton(address)
packet = struct.pack(">BBHHHBBH", 0x45, 0, 48, 0, 0, 60, 17, 0) + ends + udp
other = packet[:20] + struct.pack(">HHHH", port, remote ^ 1, 40, 0)
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
    for quoted in [packet] * 100 + [other] * 7 + [packet[:n] for n in range(len(packet))]:
        bare = struct.pack(">BBHI", 3, 3, 0, 0) + quoted + bytes(len(quoted) % 2)
        total = sum(struct.unpack(f">{len(bare) // 2}H", bare))
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        sock.sendto(bare[:2] + struct.pack(">H", total ^ 0xFFFF) + bare[4:], (victim, 0))
"""

# Timers of WireGuard by which a silent peer is called after a second, and known not to answer after another half
TIMERS = "keepalive_timeout=0.5,rekey_timeout=0.5"


def is_idle(m: Mesh) -> bool:
    """Return whether a second passed in which a asked nobody."""
    before = counter(m, "a", "probe_sent")
    end = time.monotonic() + 1.1
    m.wait("a second passes", lambda: time.monotonic() > end)
    return before == counter(m, "a", "probe_sent")


@pytest.fixture(name="idle")
def _idle(mesh: Callable[..., Mesh], needs: Callable[..., None]) -> Callable[..., Mesh]:
    """Give a test a triangle in which nobody sends anything, but for a keepalive a second from a to b."""

    def make(backend: str = "embedded", routed: bool = False, timers: str = "") -> Mesh:
        needs("nft", *([] if backend == "embedded" else [backend]))
        # Of a routed mesh, the second link runs over IPv6.
        m = mesh("a b c", "a-c a-b b-c", hello=CALM, backend=backend, routed=routed, start=False)
        m.write_config("a", {"b": "keepalive = 1"})
        if timers:
            start_data_plane(m, timers)
        m.start()
        m.wait("a sends to b directly", lambda: uses(m, "a", m.tunnel("a", "b"), B6, B4))
        m.wait("a knows who answers", lambda: counter(m, "a", "probe_sent") >= 2)
        m.wait("a asks nobody any more", lambda: is_idle(m))
        return m

    return make


def start_data_plane(m: Mesh, timers: str) -> None:
    """Start a's data plane with other timers than the protocol's; the daemon finds it where it looks for one."""
    words = ["--control", "/run/babelwg/dataplane.sock", "--timers", timers]
    with (m.home("a") / "dataplane.log").open("ab") as log:
        m.nodes["a"].popen(sys.executable, "-m", "babelwg.dataplane", *words, stdout=log, stderr=log)
    path = Path(f"/proc/{m.nodes['a'].pid}/root/run/babelwg/dataplane.sock")
    m.wait("a's data plane serves", path.exists)


def refuse(m: Mesh) -> None:
    """Have b's kernel refuse what a's tunnel sends to b, and send nothing to a."""
    theirs = m.links[frozenset("ab")].addresses["a"]
    rules = REFUSE.replace("FAMILY", "ip6" if ":" in theirs else "ip").replace("THEIRS", theirs)
    m.nodes["b"].run("nft", "-f", "-", stdin=rules.replace("PORT", str(m.port("b", "a"))))


@pytest.mark.parametrize(
    ("backend", "routed"), [*((backend, False) for backend in BACKENDS), ("embedded", True)]
)
def test_an_idle_tunnel_whose_packets_are_refused_is_left(
    backend: str, routed: bool, idle: Callable[..., Mesh]
) -> None:
    m = idle(backend, routed)
    refuse(m)
    m.wait("a finds the link dead", lambda: counter(m, "a", "failed"), SOON)
    assert counter(m, "a", "hint.icmp") >= 1
    assert counter(m, "a", "hint.handshake") == 0
    m.wait("a goes through c", lambda: uses(m, "a", m.tunnel("a", "c"), B6, B4), SOON)
    assert "link-failed" in events(m, "a") and "neighbour-lost" not in events(m, "a")


def test_an_idle_tunnel_whose_far_end_has_ended_is_left(idle: Callable[..., Mesh]) -> None:
    m = idle()
    m.stop_daemon("b", signal.SIGKILL)
    for pid in m.nodes["b"].pids():
        os.kill(pid, signal.SIGKILL)
    m.wait("a finds the link dead", lambda: counter(m, "a", "failed"), SOON)
    assert counter(m, "a", "hint.icmp") >= 1
    assert "link-failed" in events(m, "a") and "neighbour-lost" not in events(m, "a")


def test_forged_errors_about_a_living_tunnel_do_nothing_but_count(idle: Callable[..., Mesh]) -> None:
    m = idle()
    asked = counter(m, "a", "probe_sent")
    victim, address = m.links[frozenset("ac")].addresses["a"], m.links[frozenset("ab")].addresses["b"]
    ports = [str(m.port("a", "b")), str(m.port("b", "a"))]
    m.nodes["c"].run(sys.executable, "-c", FORGE, victim, ports[0], address, ports[1])
    m.wait("a has counted them", lambda: counter(m, "a", "hint_ignored.no-tunnel") >= 7)
    # Those that come while a asks already count as known.
    ignored = ("hint_ignored.too-often", "hint_ignored.known")
    m.wait("a has heard some", lambda: sum(counter(m, "a", name) for name in ignored) >= 50)
    m.wait("a asks nobody any more", lambda: is_idle(m))
    assert 1 <= counter(m, "a", "hint.icmp") <= 5
    assert 1 <= counter(m, "a", "probe_sent") - asked <= 40
    assert counter(m, "a", "failed") == 0
    assert uses(m, "a", m.tunnel("a", "b"), B6, B4)
    assert "link-failed" not in events(m, "a")


def test_an_idle_tunnel_whose_handshakes_stay_unanswered_is_left(idle: Callable[..., Mesh]) -> None:
    m = idle(timers=TIMERS)
    m.cut("a", "b")
    # A retraction is what a has to tell b, and no packet of a user.
    m.withdrawn = {("a", m.topology.node("a").addresses[1])}
    m.write_config("a", {"b": "keepalive = 1"})
    m.ask("a", "reload")
    m.wait("a finds the link dead", lambda: counter(m, "a", "failed"), SOON)
    assert counter(m, "a", "hint.handshake") >= 1
    assert counter(m, "a", "hint.icmp") == 0
    assert "link-failed" in events(m, "a") and "neighbour-lost" not in events(m, "a")
