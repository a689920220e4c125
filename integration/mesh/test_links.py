"""Dead links are found by the packets they do not carry: before a Hello is missed, never for want of a speaker.

Hellos come every twenty seconds here, so that they tell nothing within the time a test waits.
"""

import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from babelwg.lab.netns.mesh import Mesh

CALM = 20.0  # seconds between two Hellos
B6, B4 = "fd00:77::2", "10.23.0.2"
BACKENDS = ["embedded", "wireguard-go"]
NO_ECHO = """
table inet deaf {
  chain input {
    type filter hook input priority 0;
    ip6 daddr fe80::/10 icmpv6 type echo-request drop
  }
}
"""


def uses(mesh: Mesh, name: str, device: str, *addresses: str) -> bool:
    return all(mesh.kernel_device(name, address) == device for address in addresses)


def events(mesh: Mesh, name: str) -> list[str]:
    return [record["event"] for record in mesh.ask(name, "history")["records"]]


def counter(mesh: Mesh, name: str, which: str) -> int:
    value: int = mesh.ask(name, "stats")["counters"].get(f"link.{which}", 0)
    return value


@pytest.fixture(name="triangle")
def _triangle(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> Callable[[str], tuple[Mesh, str, str]]:
    """Give a test a triangle in which a sends to b directly, and the tunnels of a to b and to c."""

    def make(backend: str) -> tuple[Mesh, str, str]:
        needs("nft", "ping", *([] if backend == "embedded" else [backend]))
        m = mesh("a b c", "a-b b-c a-c", hello=CALM, backend=backend)
        direct, relay = m.tunnel("a", "b"), m.tunnel("a", "c")
        m.wait("a reaches b directly", lambda: uses(m, "a", direct, B6, B4))
        m.wait("b reaches a directly", lambda: uses(m, "b", m.tunnel("b", "a"), "fd00:77::1", "10.23.0.1"))
        # A link whose neighbour has never answered is judged by its Hellos alone.
        m.wait("a and b know who answers", lambda: all(counter(m, name, "probe_sent") >= 2 for name in "ab"))
        return m, direct, relay

    return make


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_silent_link_is_left_and_used_again(
    backend: str, triangle: Callable[[str], tuple[Mesh, str, str]], probes: Callable[..., Any]
) -> None:
    m, direct, relay = triangle(backend)
    running = probes(m, "a", "b")
    m.cut("a", "b")
    cut = time.monotonic()
    m.wait("a goes through c", lambda: uses(m, "a", relay, B6, B4))
    m.wait("all flows go on", lambda: running.heard_since(cut + 0.1))
    m.wait("history tells of the dead link", lambda: "link-failed" in events(m, "a"))
    (peer,) = [p for p in m.ask("a", "status")["peers"] if p["name"] == "b"]
    assert peer["state"] == "down" and "no packet gets an answer" in peer["reason"]
    lost = running.lost()
    m.restore("a", "b")
    m.wait("a is back on the direct link", lambda: uses(m, "a", direct, B6, B4))
    back = time.monotonic()
    m.wait("all flows go on", lambda: running.heard_since(back + 0.5))
    assert running.lost() == lost
    m.wait("history tells that it lives", lambda: "link-restored" in events(m, "a"))


def test_a_link_that_died_while_the_daemon_was_away_is_left_by_the_next_life(
    triangle: Callable[[str], tuple[Mesh, str, str]], probes: Callable[..., Any]
) -> None:
    m, _, relay = triangle("embedded")
    running = probes(m, "a", "b")
    m.stop_daemon("a", signal.SIGKILL)
    m.cut("a", "b")
    m.start_daemon("a")
    started = time.monotonic()
    # Its probes say so, or it hears c first and takes that way, for b has not been heard in this life.
    m.wait("a goes through c", lambda: uses(m, "a", relay, B6, B4))
    m.wait("all flows go on", lambda: running.heard_since(started))
    m.wait("a answers", lambda: m.answers("a"))
    assert "neighbour-lost" not in events(m, "a"), "a found it by its missing Hellos"


def test_a_link_whose_far_end_drops_echo_requests_is_found_dead_too(
    triangle: Callable[[str], tuple[Mesh, str, str]], probes: Callable[..., Any]
) -> None:
    m, direct, relay = triangle("embedded")
    for name in "ab":
        m.nodes[name].run("nft", "-f", "-", stdin=NO_ECHO)
    running = probes(m, "a", "b")
    m.cut("a", "b")
    cut = time.monotonic()
    m.wait("a goes through c", lambda: uses(m, "a", relay, B6, B4))
    m.wait("all flows go on", lambda: running.heard_since(cut + 0.1))
    m.restore("a", "b")
    m.wait("a is back on the direct link", lambda: uses(m, "a", direct, B6, B4), 60.0)


def test_a_killed_speaker_on_a_living_link_keeps_its_routes(
    triangle: Callable[[str], tuple[Mesh, str, str]], probes: Callable[..., Any]
) -> None:
    m, direct, _ = triangle("embedded")
    running = probes(m, "a", "b")
    lost = running.lost()
    m.stop_daemon("b", signal.SIGKILL)
    asked = counter(m, "a", "probe_sent")
    m.wait("a asks b's kernel", lambda: counter(m, "a", "probe_sent") > asked + 8)
    assert uses(m, "a", direct, B6, B4)
    assert counter(m, "a", "failed") == 0
    assert running.lost() == lost


def test_links_that_carry_nothing_are_not_probed(triangle: Callable[[str], tuple[Mesh, str, str]]) -> None:
    m, _, _ = triangle("embedded")

    def calm() -> bool:
        """Whether a second passed in which nobody was asked."""
        before = [counter(m, name, "probe_sent") for name in "abc"]
        end = time.monotonic() + 1.0
        m.wait("a second passes", lambda: time.monotonic() > end)
        return before == [counter(m, name, "probe_sent") for name in "abc"]

    m.wait("nobody is asked any more", calm)
