"""The control socket seen from the command line: exit codes, and one sentence for each failure."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from babelwg.cli import client
from babelwg.cli.client import ask as ask_daemon
from babelwg.cli.exits import Failure

Run = Callable[..., Result]
NO_ANSWER = "the daemon closed the connection without an answer; is it stopping, or overrun by clients?"


def test_no_socket_is_exit_3(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "none"
    result = run("--socket", str(path), "status")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == (
        f"babelwg: no daemon answers at {path}: there is no such socket; is `babelwg daemon` running?\n"
    )


def test_socket_that_nobody_listens_on_is_exit_3(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "stale"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    result = run("show", "routes", "--socket", str(path))
    assert result.exit_code == 3
    assert "nobody listens on the socket; the daemon has ended" in result.stderr


def test_path_that_cannot_be_a_socket_is_exit_3(run: Run, tmp_path: Path) -> None:
    result = run("status", "--socket", str(tmp_path / ("x" * 200)))
    assert result.exit_code == 3
    assert "no daemon answers at" in result.stderr


@pytest.mark.parametrize("words", [["--socket", "", "status"], ["status", "--socket", ""]])
def test_an_empty_path_is_not_the_usual_one(
    words: list[str], daemon: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BABELWG_SOCKET", str(daemon.path))
    result = run(*words)
    assert (result.exit_code, result.stdout, daemon.requests) == (3, "", [])
    assert result.stderr == "babelwg: no daemon answers at an empty path: Invalid argument\n"


def test_socket_comes_from_the_environment(daemon: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BABELWG_SOCKET", str(daemon.path))
    assert run("show", "xroutes").exit_code == 0


class ForbiddenSocket(socket.socket):
    def connect(self, address: object) -> None:
        raise PermissionError(13, "Permission denied")


def test_socket_that_this_user_may_not_use_is_exit_4(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client.socket, "socket", ForbiddenSocket)
    result = run("--socket", "/run/x", "status")
    assert result.exit_code == 4
    assert result.stderr == (
        "babelwg: this user may not use /run/x: run it as root, or as a member of the group babelwg\n"
    )


def test_daemon_that_does_not_answer_is_exit_3(daemon: Any) -> None:
    daemon.is_silent = True
    with pytest.raises(Failure) as caught:
        ask_daemon(daemon.path, "status", timeout=0.1)
    assert caught.value.exit_code == 3
    assert caught.value.message == f"the daemon at {daemon.path} does not answer within 0.1 s"


@pytest.mark.parametrize(
    ("raw", "sentence", "code"),
    [
        (b"", NO_ANSWER, 3),
        (b'{"jsonrpc": ', "the daemon's answer broke off after 12 octets", 3),
        (b"nonsense\n", "the daemon's answer is not JSON", 1),
        (b"[" * 10_000 + b"\n", "the daemon's answer is not JSON", 1),
        (b"\xff\n", "the daemon's answer is not JSON", 1),
        (b"[]\n", "the daemon's answer has no result; is it of another version?", 1),
        (b'{"result": 3}\n', "the daemon's answer has no result; is it of another version?", 1),
        (b'{"error": {"code": -32601, "message": "unknown method"}}\n', "unknown method", 1),
    ],
)
def test_odd_answer_is_one_sentence(raw: bytes, sentence: str, code: int, daemon: Any, ask: Run) -> None:
    daemon.raw = raw
    result = ask("status")
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", f"babelwg: {sentence}\n")


def test_answer_without_end_is_cut(daemon: Any, ask: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MAX_ANSWER", 1 << 20)
    daemon.raw = b"x" * (1 << 20) + b"y"
    result = ask("status")
    assert (result.exit_code, result.stderr) == (1, "babelwg: the daemon's answer is longer than 1 MiB\n")


def test_long_answer_arrives_whole(daemon: Any, ask: Run) -> None:
    daemon.answers["xroutes"] = [
        {"prefix": f"10.{i >> 8}.{i & 255}.0/24", "metric": 0, "origin": "announce"} for i in range(5000)
    ]
    assert len(json.loads(ask("show", "xroutes", "--json").stdout)["data"]) == 5000


def test_no_way_to_an_address_is_exit_1(daemon: Any, ask: Run) -> None:
    daemon.answers["route_get"] |= {"route": None, "prefix": None, "kernel": None, "agrees": None}
    result = ask("route", "get", "192.0.2.1")
    assert result.exit_code == 1
    assert "  babel   no route\n  kernel  no route\n" in result.stdout


def test_address_of_this_node_is_a_way(daemon: Any, ask: Run) -> None:
    daemon.answers["route_get"] |= {"route": None, "local": True, "agrees": None}
    result = ask("route", "get", "10.23.0.1")
    assert result.exit_code == 0
    assert "this is an address of this node" in result.stdout


def test_kernel_that_differs_is_told(daemon: Any, ask: Run) -> None:
    daemon.answers["route_get"]["agrees"] = False
    assert "(Babel says otherwise)" in " ".join(ask("route", "get", "10.23.0.2").stdout.split())


def test_filter_that_matches_nothing_is_exit_1_with_the_nearest_name(ask: Run) -> None:
    result = ask("show", "peers", "bravi")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == 'babelwg: nothing in `show peers` matches "bravi"; did you mean "bravo"?\n'
    result = ask("show", "peers", "bravi", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["data"] == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["shwo"], 'no such command "shwo"; did you mean "show"?'),
        (["show", "neigbours"], 'no such command "neigbours"; did you mean "neighbours"?'),
        (["route", "gte", "::1"], 'no such command "gte"; did you mean "get"?'),
        (["route", "get", "10.23.0.300"], '"10.23.0.300" is not an IPv4 or IPv6 address'),
        (["show", "routes", "10.23.0.0/33"], '"10.23.0.0/33" is not an IPv4 or IPv6 prefix'),
        (["show", "kernel", "bravo/8"], '"bravo/8" is not an IPv4 or IPv6 prefix'),
        (["route", "get", "::1", "form", "::2"], "expected ADDRESS, or ADDRESS from SOURCE"),
        (["route", "get", "::1", "from"], "expected ADDRESS, or ADDRESS from SOURCE"),
        (["daemon", "--config", "a", "--babeld-conf", "b"], "--config and --babeld-conf exclude each other"),
    ],
)
def test_wrong_usage_is_exit_2(arguments: list[str], sentence: str, run: Run) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert sentence in result.stderr


def test_reload_tells_what_needs_a_restart(daemon: Any, ask: Run) -> None:
    assert ask("reload").stdout == "The configuration is applied.\n"
    daemon.answers["reload"]["notes"] = ["the routing table changes at the next start only"]
    assert ask("reload").stdout.endswith("\nthe routing table changes at the next start only\n")


def test_reload_of_a_wrong_configuration_is_exit_5(daemon: Any, ask: Run) -> None:
    daemon.error = {"code": -32001, "message": "x.toml:3: wrong\nx.toml:4: wrong too"}
    result = ask("reload")
    assert (result.exit_code, result.stdout) == (5, "")
    assert result.stderr == "babelwg: x.toml:3: wrong\nx.toml:4: wrong too\n"


def test_stop_waits_until_the_daemon_is_gone(daemon: Any, ask: Run) -> None:
    result = ask("stop")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "The daemon has stopped; its tunnels and routes stay for the next start.\n"
    assert daemon.requests[0]["params"] == {"withdraw": False}


def test_stop_withdraws_when_asked(daemon: Any, ask: Run) -> None:
    daemon.answers["stop"]["withdraw"] = True
    assert ask("stop", "--withdraw").stdout == "The daemon has stopped; everything of it is removed.\n"
    assert daemon.requests[0]["params"] == {"withdraw": True}


def test_a_large_answer_is_handed_on_as_it_came(ask: Callable[..., Result], daemon: Any) -> None:
    daemon.answers["routes"] *= 1000
    document = json.loads(ask("show", "routes", "--json").stdout)
    assert document == {"schema": "babelwg/1", "node": "alpha", "data": daemon.answers["routes"]}
    daemon.answers["routes"][0] = daemon.answers["routes"][0] | {"origin": "\x9b\u202e\n"}
    text = ask("show", "routes", "--json").stdout
    assert text.rstrip("\n").isprintable()
    assert json.loads(text)["data"][0]["origin"] == "\x9b\u202e\n"


def test_a_large_answer_that_breaks_off_or_is_a_refusal_is_not_handed_on(
    ask: Callable[..., Result], daemon: Any
) -> None:
    daemon.raw = b'{"jsonrpc":"2.0","id":1,"result":{"node":"alpha","data":[' + b"1," * 200_000 + b"\n"
    assert "is not JSON" in ask("show", "routes", "--json").stderr
    daemon.raw = None
    daemon.error = {"code": -32602, "message": "no \x1b[2J" + "x" * 300_000}
    result = ask("show", "routes", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("babelwg: no \\x1b[2Jxxx")
