"""What happened in a real mesh, told with its causes: over a reload, a restart, and to somebody who watches."""

import json
import signal
import subprocess
from collections.abc import Callable
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from babelwg.lab.netns.mesh import Mesh

C4 = "10.23.0.3/32"


def records(mesh: Mesh, about: str | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = mesh.ask("a", "history", about=about, limit=5000)["records"]
    return found


def events(mesh: Mesh, about: str | None = None) -> list[str]:
    return [record["event"] for record in records(mesh, about)]


def has_begun_anew(mesh: Mesh) -> bool:
    """Return whether a answers after its second start."""
    try:
        return events(mesh).count("daemon-started") == 2
    except OSError:
        return False


def watch(mesh: Mesh, *words: str) -> subprocess.Popen[str]:
    """Start a command in the node a, and return it with its output open."""
    socket = str(mesh.home("a") / "control.sock")
    return mesh.nodes["a"].popen(
        *mesh.command(), "--socket", socket, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def until_told(process: subprocess.Popen[str], **fields: str) -> dict[str, Any]:
    """Return the first record with these fields that a `monitor --json` prints."""
    assert process.stdout is not None
    for line in process.stdout:
        record: dict[str, Any] = json.loads(line)["data"]
        if fields.items() <= record.items():
            return record
    raise AssertionError(f"the stream ended without {fields}")


def test_a_cut_is_told_with_its_cause_and_a_restart_forgets_nothing(mesh: Callable[..., Mesh]) -> None:
    #   a --- b
    #    \   /      a's way to c is direct until the link between them is cut
    #      c
    m = mesh("a b c", "a-b b-c a-c", settings={"node": 'history-file = "history.jsonl"'})
    m.wait("every node has a route to every other", m.converged)
    m.wait("a reaches c directly", lambda: m.kernel_device("a", "10.23.0.3") == m.tunnel("a", "c"))
    monitor = watch(m, "monitor", C4, "--json", "--routes")
    first = until_told(monitor, event="route", prefix=C4)
    assert first["metric"] < 65535
    m.cut("a", "c")
    left = until_told(monitor, old_peer="c", prefix=C4)
    assert left["cause"].startswith(("c fell silent", "the link to c went down", "c's link cost rose"))
    assert left.get("peer") == "b" or until_told(monitor, peer="b", event="route-selected")["prefix"] == C4
    monitor.send_signal(signal.SIGINT)
    assert (monitor.wait(60), monitor.communicate()[1]) == (130, "")
    m.wait("the loss of c is told", lambda: "neighbour-lost" in events(m, "c"))
    assert m.ask("a", "history", about=C4)["flaps"]["changes"] >= 1
    m.ask("a", "reload")
    assert "configuration-applied" in events(m)
    before = records(m)
    m.stop_daemon("a")
    m.start_daemon("a")
    m.wait("a answers again", lambda: has_begun_anew(m))
    after = records(m)
    assert after[: len(before)] == before
    assert "daemon-stopped" in [record["event"] for record in after[len(before) :]]
    seqs = [record["seq"] for record in after]
    assert seqs == sorted(set(seqs))


def test_what_others_do_to_the_kernel_is_told(mesh: Callable[..., Mesh]) -> None:
    m = mesh("a b", "a-b")
    m.wait("a reaches b", lambda: m.kernel_device("a", "10.23.0.2") == m.tunnel("a", "b"))
    a = m.nodes["a"]
    a.run("ip", "route", "flush", "table", "6696")
    m.wait("the flush is told", lambda: "routes-removed-by-another" in events(m))
    a.run("ip", "rule", "del", "priority", "6696")
    m.wait("the rule is told", lambda: "rules-repaired" in events(m))
    a.run("ip", "link", "del", m.tunnel("a", "b"))
    m.wait("the tunnel is told", lambda: "tunnel-vanished" in events(m, "b"))
    m.wait("a session is told", lambda: "handshake-came" in events(m, "b"))
    assert {"interface-up", "data-plane-started", "neighbour-acquired"} <= set(events(m))


def test_metrics_of_a_living_node_are_taken_by_prometheus(mesh: Callable[..., Mesh]) -> None:
    m = mesh("a b", "a-b")
    m.wait("every node has a route to every other", m.converged)
    text = m.ask("a", "metrics")["text"]
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for metric in text_string_to_metric_families(text)
        for sample in metric.samples
    }
    assert found[("babelwg_up",)] == 1
    assert found[("babelwg_peer_up", ("interface", m.tunnel("a", "b")), ("peer", "b"))] == 1
    assert found[("babelwg_routes", ("state", "selected"))] == 2
    assert found[("babelwg_kernel_routes", ("state", "installed"))] == 2
