"""A daemon that ends and starts again costs its tunnels nothing: no packet, and no handshake."""

import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from babelwg.lab.netns.mesh import Mesh

ABSENCE = 0.5  # seconds without a daemon; with its start less than the Hello hold time of 10 s, even where all is slow


def answers(mesh: Mesh, name: str) -> bool:
    try:
        mesh.ask(name, "status")
    except (OSError, ValueError):
        return False
    return True


def handshake(mesh: Mesh, name: str, peer: str) -> str:
    """Return the line with which `wg` tells the latest handshake of a tunnel."""
    return mesh.nodes[name].run("wg", "show", mesh.tunnel(name, peer), "latest-handshakes").strip()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("backend", ["embedded", "wireguard-go"])
def test_a_restarted_daemon_keeps_the_sessions(
    backend: str,
    how: signal.Signals,
    mesh: Callable[..., Mesh],
    probes: Callable[..., Any],
    needs: Callable[..., None],
) -> None:
    needs("ping", "wg", *(["wireguard-go"] if backend != "embedded" else []))
    m = mesh("a b", "a-b", hello=4.0, backend=backend)
    m.wait("every node has a route to every other", m.converged)
    running = probes(m, "a", "b")
    session = handshake(m, "b", "a")
    lost = running.lost()
    m.stop_daemon("b", how)
    time.sleep(ABSENCE)
    m.start_daemon("b")
    m.wait("b answers again", lambda: answers(m, "b"))
    m.wait("its neighbour is up", lambda: {p["state"] for p in m.ask("b", "status")["peers"]} == {"up"})
    again = time.monotonic()
    m.wait("probes still get through", lambda: running.heard_since(again + 0.5))
    assert running.lost() == lost
    assert not session.endswith("\t0")
    assert handshake(m, "b", "a") == session


def test_a_stop_that_meets_other_news_is_obeyed(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("ip")
    m = mesh("a b", "a-b")
    m.wait("every node has a route to every other", m.converged)
    # Stopped, so that it finds the changed rule and the signal at one look.
    m.daemons["a"].send_signal(signal.SIGSTOP)
    m.nodes["a"].run("ip", "rule", "add", "priority", "30000", "lookup", "4711")
    m.daemons["a"].send_signal(signal.SIGTERM)
    m.stop_daemon("a", signal.SIGCONT)
