"""Only the routing, on a wired network beside stock babeld, with files in babeld's language."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from babelwg.lab.netns.node import connect
from integration.bench.common import wait

CONFIG = """
interface e0 type wired hello-interval 0.5
redistribute local ip fd00::/8 allow
redistribute local ip 10.0.0.0/8 allow
redistribute proto 4 ip 172.16.0.0/12 metric 128
redistribute local deny
"""


def start(node: Any, home: Path, kind: str, config: str) -> subprocess.Popen[Any]:
    home.mkdir()
    (home / "conf").write_text(config)
    argv = {
        "babeld": ["babeld", "-c", str(home / "conf"), "-S", str(home / "state"), "-I", str(home / "pid")],
        "babelwg": [sys.executable, "-m", "babelwg", "daemon", "--babeld-conf", str(home / "conf")],
    }[kind]
    if kind == "babelwg":
        argv += ["--socket", str(home / "control.sock")]
    with (home / "log").open("wb") as log:
        return node.popen(*argv, stdout=log, stderr=log)  # type: ignore[no-any-return]


def babel_routes(node: Any) -> dict[str, str]:
    """Return what Babel has written into main, by destination."""
    lines = [
        line for v in "46" for line in node.run("ip", f"-{v}", "route", "show", "proto", "42").splitlines()
    ]
    return {line.split()[0]: line for line in lines}


def reached(node: Any) -> set[str]:
    """Return the destinations that a node has a way to, those that are only held unreachable left out."""
    return {destination for destination, line in babel_routes(node).items() if "unreachable" not in line}


def test_it_stands_in_for_babeld(nodes: Any, tmp_path: Path, needs: Callable[..., None]) -> None:
    needs("babeld")
    a, b = nodes.add("a"), nodes.add("b")
    connect(a, b, "e0", "e0", ["192.0.2.1/24"], ["192.0.2.2/24"])
    for number, node in enumerate((a, b), 1):
        node.ip(f"address add fd00:77::{number}/128 dev lo", f"address add 10.23.0.{number}/32 dev lo")
    a.run("ip", "route", "add", "172.16.9.0/24", "via", "192.0.2.77", "proto", "static")
    state = f"state-file {tmp_path}/a-state\nkernel-priority 50\n"
    state += f"log-file {tmp_path}/a.log\npid-file {tmp_path}/a.pid\nshutdown-delay-ms 100\n"
    with (
        start(a, tmp_path / "a", "babelwg", CONFIG + state) as ours,
        start(b, tmp_path / "b", "babeld", CONFIG) as theirs,
    ):
        try:
            see(a, b, ours, tmp_path)
        finally:
            ours.kill()
            theirs.kill()


def see(a: Any, b: Any, ours: subprocess.Popen[Any], tmp_path: Path) -> None:
    """Watch both kernels while routes come and go."""
    wanted = {"fd00:77::2", "10.23.0.2"}
    wait("a has b's addresses", lambda: wanted <= babel_routes(a).keys())
    expected = {"fd00:77::1", "10.23.0.1", "172.16.9.0/24"}
    wait("b has a's addresses and its static route", lambda: expected <= babel_routes(b).keys())
    assert babel_routes(a).keys() == wanted
    assert "metric 50" in babel_routes(a)["10.23.0.2"]
    assert "6696" not in a.run("ip", "rule")
    assert (tmp_path / "a-state.d" / "state.json").exists()
    a.run("ip", "route", "del", "172.16.9.0/24")
    wait(
        "the static route is withdrawn",
        lambda: "172.16.9.0/24" not in reached(b),
        60,
    )
    assert (tmp_path / "a.pid").read_text() == f"{ours.pid}\n"
    assert "route-selected" in (tmp_path / "a.log").read_text()
    ours.terminate()
    ours.wait()
    assert not (tmp_path / "a.pid").exists()
    assert babel_routes(a) == {}
    wait(
        "b has lost a's addresses",
        lambda: "10.23.0.1" not in reached(b),
        60,
    )
