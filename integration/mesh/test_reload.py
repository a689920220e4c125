"""A changed configuration touches nothing that it does not change."""

import signal
import subprocess
from collections.abc import Callable
from typing import Any

from babelwg.config.keys import generate_private, public_of
from babelwg.lab.netns.mesh import Mesh

B6, B4 = "fd00:77::2", "10.23.0.2"
EXTRA = 50


def peer_files(mesh: Mesh) -> None:
    """Give a 50 more peers, one file each."""
    directory = mesh.home("a") / "peers.d"
    directory.mkdir()
    for number in range(EXTRA):
        key = public_of(generate_private())
        (directory / f"extra{number}.toml").write_text(
            f'name = "extra{number}"\npublic-key = "{key}"\nendpoint = "192.0.2.200:{2000 + number}"\n'
        )


def sessions(mesh: Mesh, name: str) -> int:
    """Return how many sessions a node has told of so far."""
    return sum(record["event"] == "handshake-came" for record in mesh.ask(name, "history")["records"])


def about_others(mesh: Mesh, name: str, since: int) -> list[str]:
    """Return what happened to a node after a record that has nothing to do with the peers that came and went."""
    records = mesh.ask(name, "history", count=1000)["records"]
    ours = ("configuration-applied", "reload")
    return [
        record["text"]
        for record in records
        if record["seq"] > since and "extra" not in record["text"] and not record["event"].startswith(ours)
    ]


def test_fifty_peers_come_and_go_and_nothing_else_is_touched(
    mesh: Callable[..., Mesh], probes: Callable[..., Any], needs: Callable[..., None]
) -> None:
    needs("ping")
    m = mesh("a b", "a-b")
    direct = m.tunnel("a", "b")
    m.wait("a reaches b", lambda: {m.kernel_device("a", x) for x in (B6, B4)} == {direct})
    m.wait("both have told of the session", lambda: {*map(sessions, (m, m), "ab")} == {1})
    marks = {name: m.ask(name, "history")["records"][-1]["seq"] for name in "ab"}
    watch = m.nodes["a"].popen(
        "stdbuf",
        "-oL",
        "ip",
        "monitor",
        "route",
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    running = probes(m, "a", "b")
    peer_files(m)
    m.ask("a", "reload")
    assert len(m.ask("a", "status")["peers"]) == 1 + EXTRA
    m.wait("all tunnels stand", lambda: m.nodes["a"].run("ip", "-o", "link").count(": bw-extra") == EXTRA)
    for path in (m.home("a") / "peers.d").iterdir():
        path.unlink()
    m.ask("a", "reload")
    m.wait("all are gone again", lambda: "bw-extra" not in m.nodes["a"].run("ip", "-o", "link"))
    m.wait("a Hello came since", lambda: m.ask("b", "neighbours")[0]["last_heard_s"] < 0.4)
    assert set(running.lost().values()) == {0}
    # No session, no Hello and no route of others: neither side has anything to tell of the other.
    assert about_others(m, "a", marks["a"]) == []
    assert about_others(m, "b", marks["b"]) == []
    (seen,) = m.ask("b", "neighbours")
    assert (seen["loss"], seen["cost"]) == (0.0, 96)
    watch.terminate()
    changes, _ = watch.communicate()
    assert "bw-extra" in changes  # it did watch
    assert [
        line
        for line in changes.splitlines()
        if line.strip() and "bw-extra" not in line and "dev to-b" not in line
    ] == []


def test_a_wrong_configuration_is_refused_and_the_old_one_stays(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("ping")
    m = mesh("a b", "a-b")
    m.wait("a reaches b", lambda: m.kernel_device("a", B6) == m.tunnel("a", "b"))
    path = m.home("a") / "babelwg.toml"
    good = path.read_text()
    path.write_text(good.replace("endpoint", "endpiont").replace("listen-port", "listen-prot"))
    result = m.nodes["a"].run(
        *m.command(), "--socket", str(m.home("a") / "control.sock"), "reload", check=False
    )
    assert result == ""
    said = m.nodes["a"].run(
        "sh",
        "-c",
        f"{' '.join(m.command())} --socket {m.home('a')}/control.sock reload 2>&1; echo $?",
        check=False,
    )
    assert said.splitlines()[-1] == "5"
    assert 'did you mean "endpoint"' in said
    assert 'did you mean "listen-port"' in said
    assert m.kernel_device("a", B6) == m.tunnel("a", "b")
    log = m.home("a") / "daemon.log"
    m.daemons["a"].send_signal(signal.SIGHUP)
    m.wait("SIGHUP is refused too", lambda: "configuration-refused" in log.read_text())
    path.write_text(good.replace('"10.23.0.1/32"', '"10.23.0.1/32", "10.23.0.11/32"'))
    m.daemons["a"].send_signal(signal.SIGHUP)
    m.wait("b learns the new address", lambda: m.kernel_device("b", "10.23.0.11") == m.tunnel("b", "a"))
