"""Checks of the machine: clock, rights, settings, programs beside us, files, and what runs without a daemon."""

import socket
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from babelwg.daemon.clock import ClockWatch
from babelwg.daemon.doctor import offline
from babelwg.daemon.doctor.examination import _taken_down
from babelwg.daemon.doctor.system import (
    check_clock,
    check_daemon,
    check_forwarding,
    check_managers,
    check_reverse_path,
    check_rights,
    check_state_directory,
)
from babelwg.daemon.incidents import Incidents
from babelwg.linux.programs import networkd_leaves_alone, running_managers


def put(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def verdicts(findings: Any) -> list[tuple[str, str]]:
    return [(f.subject, f.verdict) for f in findings]


def test_clock(tmp_path: Path) -> None:
    now = time.time()
    assert check_clock(ClockWatch(tmp_path, Incidents()), Incidents(), now)[0].verdict == "ok"
    unset = check_clock(ClockWatch(tmp_path, Incidents()), Incidents(), 86400.0)
    assert "never set" in unset[0].found
    stepped = Incidents()
    stepped.note("clock-set-back", "clock", "600 s")
    assert check_clock(ClockWatch(tmp_path, Incidents()), stepped, now)[0].verdict == "warn"
    (tmp_path / "clock").write_text(f"{now + 86400:.0f}")
    (finding,) = check_clock(ClockWatch(tmp_path, Incidents()), Incidents(), now)
    assert (finding.verdict, finding.found[:18]) == ("fail", "the clock is 24 h ")


def test_rights() -> None:
    assert check_rights("Name:\tx\nCapEff:\t0000000000003000\n")[0].verdict == "ok"
    (finding,) = check_rights("CapEff:\t0000000000001000\n")
    assert finding.found == "the daemon lacks CAP_NET_RAW"
    assert "CAP_NET_ADMIN, CAP_NET_RAW" in check_rights("")[0].found


def test_forwarding(tmp_path: Path) -> None:
    root = put(tmp_path, {"ipv4/ip_forward": "1\n", "ipv6/conf/all/forwarding": "0\n"})
    (finding,) = check_forwarding(root)
    assert (finding.verdict, finding.mend) == ("fail", "sysctl net.ipv6.conf.all.forwarding=1")
    (tmp_path / "ipv6/conf/all/forwarding").write_text("2")
    assert check_forwarding(root)[0].verdict == "ok"


def test_reverse_path(tmp_path: Path) -> None:
    names = {f"ipv4/conf/{name}/rp_filter": value for name, value in (("all", "0"), ("t1", "1"), ("t2", "2"))}
    root = put(tmp_path, {**names, "ipv4/conf/t3/rp_filter": "0"})
    assert verdicts(check_reverse_path(root, ["t1", "t2", "t3"])) == [("t1", "fail"), ("t2", "warn")]
    (tmp_path / "ipv4/conf/all/rp_filter").write_text("1")
    findings = check_reverse_path(root, ["t3"])
    assert (findings[0].verdict, findings[0].mend) == ("fail", "sysctl net.ipv4.conf.all.rp_filter=0")
    assert check_reverse_path(root, [])[0].verdict == "ok"


def test_managers(tmp_path: Path) -> None:
    assert check_managers({}, tmp_path)[0].verdict == "ok"
    running = {"systemd-networkd": 1, "NetworkManager": 2}
    assert [f.verdict for f in check_managers(running, tmp_path)] == ["warn", "warn"]
    put(
        tmp_path,
        {
            "etc/systemd/networkd.conf": "[Network]\nManageForeignRoutes=yes\n",
            "usr/lib/systemd/networkd.conf.d/50-x.conf": "[Network]\nManageForeignRoutes=no\n",
            "etc/NetworkManager/conf.d/b.conf": "[keyfile]\nunmanaged-devices=interface-name:bw-*\n",
        },
    )
    assert networkd_leaves_alone(tmp_path) == (True, False)
    assert [f.found for f in check_managers(running, tmp_path)] == [
        "systemd-networkd manages foreign routes and rules"
    ]
    put(tmp_path, {"run/systemd/networkd.conf.d/60-y.conf": "[Network]\nManageForeignRoutingPolicyRules=0\n"})
    assert check_managers(running, tmp_path)[0].verdict == "ok"


def test_managers_are_seen_in_our_namespace_only(tmp_path: Path) -> None:
    for pid, comm, namespace in (
        ("self", "x", "net:[1]"),
        ("10", "bird", "net:[1]"),
        ("11", "zebra", "net:[2]"),
    ):
        put(tmp_path, {f"{pid}/comm": f"{comm}\n", f"{pid}/ns/keep": ""})
        (tmp_path / pid / "ns/net").symlink_to(namespace)
    assert running_managers(tmp_path) == {"BIRD": 10}


def test_state_directory(tmp_path: Path) -> None:
    assert check_state_directory(tmp_path, {}, {})[0].verdict == "ok"
    assert list(tmp_path.iterdir()) == []
    (finding,) = check_state_directory(tmp_path, {"store_failed.state": 2, "store_failed.journal": 1}, {})
    assert (finding.verdict, "failed 3 times" in finding.found) == ("warn", True)
    (finding,) = check_state_directory(
        tmp_path, {"store_failed.state": 2}, {"state": "Read-only file system"}
    )
    assert finding.verdict == "fail"
    assert "state in" in finding.found and "Read-only file system" in str(finding.cause)
    assert check_state_directory(tmp_path / "gone", {}, {})[0].verdict == "fail"


def test_daemon() -> None:
    assert check_daemon(0.1, 0)[0].verdict == "ok"
    assert [f.verdict for f in check_daemon(2.0, 3)] == ["warn", "warn"]


def test_a_node_without_daemon_is_examined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "_unit", list)
    monkeypatch.setattr(offline, "daemon_processes", list)
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    findings = offline.examine_offline(tmp_path / "none.toml", tmp_path / "state", path, "no daemon answers")
    found = {f.check: f for f in findings}
    assert found["daemon"].verdict == "fail"
    assert "is left of one that was killed" in (found["daemon"].cause or "")
    assert found["configuration"].verdict == "fail"
    assert "none.toml" in (found["configuration"].cause or "")
    assert found["state-directory"].verdict == "ok"


def test_a_held_port_names_its_holder() -> None:
    (finding,) = offline._port(8, lambda port: "babeld (pid 7)")
    assert (finding.verdict, finding.found) == ("fail", "UDP port 6696 is held by babeld (pid 7)")


def test_the_port_of_a_daemon_that_hangs_is_its_own() -> None:
    (finding,) = offline._port(7, lambda port: "babelwg (pid 7)")
    assert finding.verdict == "ok"
    assert offline._port(0, lambda port: "babeld (pid 7)")[0].verdict == "fail"
    assert offline._port(17, lambda port: "babeld (pid 7)")[0].verdict == "fail"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("T", "is stopped by a signal"),
        ("t", "is stopped by a signal"),
        ("D", "waits for a disk"),
        ("R", "works without a pause"),
        ("S", "hangs"),
    ],
)
def test_why_a_daemon_hangs_is_told_as_the_kernel_has_it(tmp_path: Path, state: str, words: str) -> None:
    put(tmp_path, {"7/stat": f"7 (babel) wg) {state} 1 7 7 0\n"})
    finding = offline._hanging(7, "no answer", tmp_path)
    assert (finding.verdict, finding.found) == ("fail", "no answer")
    assert (finding.cause or "").startswith(f"the daemon (pid 7) {words}")
    assert offline._hanging(8, "no answer", tmp_path).cause == "the daemon (pid 8) hangs"
    assert offline._hanging(0, "no answer", tmp_path).cause == "the daemon hangs"


def test_daemons_are_found_by_their_command(tmp_path: Path) -> None:
    commands = {
        "7": "/usr/bin/python3\0-m\0babelwg\0daemon\0--config\0x\0",
        "8": "/usr/bin/babelwg\0daemon\0",
        "9": "/usr/bin/babelwg\0status\0",
        "10": "vi\0babelwg.toml\0daemon\0",
    }
    for pid, command in commands.items():
        put(tmp_path, {f"{pid}/cmdline": command})
    assert offline.daemon_processes(tmp_path) == [7, 8]
    for pid, network in {"7": "net:[1]", "8": "net:[2]", "self": "net:[1]"}.items():
        (tmp_path / pid / "ns").mkdir(parents=True)
        (tmp_path / pid / "ns/net").symlink_to(network)
    assert offline.daemon_processes(tmp_path) == [7]


def test_a_tunnel_that_was_taken_down_is_told_to_who_asks_about_it() -> None:
    peer: Any = SimpleNamespace(name="bravo")
    assert _taken_down(peer, False).verdict == "ok"
    assert (_taken_down(peer, True).verdict, _taken_down(peer, True).mend) == ("warn", "babelwg up bravo")
