"""A daemon that ends and starts again costs its tunnels nothing: no packet, and no handshake."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from babelwg.lab.netns.mesh import Mesh

ABSENCE = 0.5  # seconds without a daemon; with its start less than the Hello hold time of 10 s, even where all is slow


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
    m.wait("b answers again", lambda: m.answers("b"))
    m.wait("its neighbour is up", lambda: {p["state"] for p in m.ask("b", "status")["peers"]} == {"up"})
    again = time.monotonic()
    m.wait("probes still get through", lambda: running.heard_since(again + 0.5))
    assert running.lost() == lost
    assert not session.endswith("\t0")
    assert handshake(m, "b", "a") == session


def ages(mesh: Mesh, name: str) -> dict[str, float]:
    """Return the age of each selected route of a node, in seconds."""
    routes = mesh.ask(name, "routes")
    return {route["prefix"]: route["age_s"] for route in routes if route["state"] == "selected"}


def told(mesh: Mesh, name: str) -> list[dict[str, Any]]:
    """Return what a node's history says of its routes and neighbours."""
    records = mesh.ask(name, "history", limit=5000)["records"]
    return [r for r in records if r["event"] in ("route", "neighbour-lost", "link-failed")]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_restarted_relay_loses_no_packet_and_goes_on_with_its_routes(
    how: signal.Signals,
    mesh: Callable[..., Mesh],
    probes: Callable[..., Any],
    needs: Callable[..., None],
) -> None:
    needs("ping", "ip")
    m = mesh("a r b", "a-r r-b", hello=8.0)  # neighbours wait 20 s, however slow the machine is
    m.wait("every node has a route to every other", m.converged)
    through, to = probes(m, "a", "b"), probes(m, "b", "r")
    m.wait("all routes are old enough to tell an age", lambda: min(ages(m, "r").values()) > 1.0)
    before = {name: told(m, name) for name in "ab"}
    lost = [p.lost() for p in (through, to)]
    for _ in range(2):
        restart(m, "r", how)
        again = time.monotonic() + 0.5
        for flows in (through, to):
            m.wait("probes still get through", partial(flows.heard_since, again))
    assert [p.lost() for p in (through, to)] == lost
    # Nobody noticed: no route of theirs was lost or changed its way.
    assert {name: told(m, name) for name in "ab"} == before


def restart(mesh: Mesh, name: str, how: signal.Signals) -> None:
    """End a daemon and start it again; its routes must come back older than they were."""
    young, log = ages(mesh, name), mesh.home(name) / "daemon.log"
    before = len(log.read_text())
    mesh.stop_daemon(name, how)
    time.sleep(ABSENCE)
    mesh.start_daemon(name)
    mesh.wait(f"{name} answers again", lambda: mesh.answers(name))
    mesh.wait("it has all its routes", lambda: ages(mesh, name).keys() == young.keys())
    assert all(age > young[prefix] for prefix, age in ages(mesh, name).items())
    # It speaks before it has looked at its tunnels, since neighbours wait for it.
    mesh.wait("it has looked at its tunnels", lambda: "tunnel-set" in log.read_text()[before:])
    assert 0 < log.read_text().find("route-selected", before) < log.read_text().find("tunnel-set", before)
    peers = mesh.ask(name, "status")["peers"]
    assert {peer["state"] for peer in peers} == {"up"}


def test_a_relay_without_memory_is_believed_again_at_once(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("ip")
    m = mesh("a r b", "a-r r-b", hello=1.0)
    m.wait("every node has a route to every other", m.converged)
    former = m.ask("r", "status")["router_id"]
    m.stop_daemon("r", signal.SIGKILL)
    shutil.rmtree(m.home("r") / "state")
    m.start_daemon("r")
    m.wait("r answers again", lambda: m.answers("r"))
    assert m.ask("r", "status")["router_id"] != former

    def origins(name: str) -> set[str]:
        routes = m.ask(name, "routes")
        return {
            r["router_id"] for r in routes if r["prefix"] == "fd00:77::2/128" and r["state"] == "selected"
        }

    now = {m.ask("r", "status")["router_id"]}
    m.wait("its neighbours have its new routes", lambda: origins("a") == origins("b") == now)
    m.wait("every node has a route to every other again", m.converged)


def test_an_upgrade_of_the_data_plane_is_no_loss_of_it(
    mesh: Callable[..., Mesh], probes: Callable[..., Any], needs: Callable[..., None]
) -> None:
    needs("ping", "wg")
    m = mesh("a r b", "a-r r-b", hello=4.0, backend="embedded")
    m.wait("every node has a route to every other", m.converged)
    through = probes(m, "a", "b")
    session = handshake(m, "r", "a")
    lost = through.lost()
    pid = next(
        p for p in m.nodes["r"].pids() if b"babelwg.dataplane" in Path(f"/proc/{p}/cmdline").read_bytes()
    )
    log = m.home("r") / "daemon.log"
    for number in (1, 2):
        os.kill(pid, signal.SIGUSR2)
        m.wait("it is upgraded", lambda: log.read_text().count("data-plane-upgraded") == number)  # noqa: B023
    again = time.monotonic()
    m.wait("probes still get through", lambda: through.heard_since(again + 0.5))
    assert through.lost() == lost
    assert handshake(m, "r", "a") == session
    assert "data-plane-lost" not in {
        record["event"] for record in m.ask("r", "history", limit=5000)["records"]
    }


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


def test_what_came_over_a_tunnel_that_the_next_life_has_no_more_is_retracted_at_once(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("ip")
    m = mesh("a r b", "a-r r-b", hello=8.0)
    m.wait("every node has a route to every other", m.converged)
    m.stop_daemon("r", signal.SIGTERM)
    path, log = m.home("r") / "babelwg.toml", m.home("r") / "daemon.log"
    before = len(log.read_text())
    head, *peers = path.read_text().split("[[peer]]")
    kept = [peer for peer in peers if 'name = "b"' not in peer]
    assert len(kept) == 1
    path.write_text("[[peer]]".join([head, *kept]))
    m.start_daemon("r")
    m.wait("r answers again", lambda: m.answers("r"))
    m.wait("a has lost b", lambda: ages(m, "a").keys() == {"10.23.0.2/32", "fd00:77::2/128"})
    # Neighbours hear of it before the tunnels are looked at.
    m.wait("it has looked at its tunnels", lambda: "tunnel-set" in log.read_text()[before:])
    said = log.read_text()[before:]
    assert 0 < said.find("cause=interface-unwanted") < said.find("tunnel-removed")
