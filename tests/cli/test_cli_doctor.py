"""`doctor` as people and programs see it."""

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from jsonschema import Draft202012Validator

from babelwg.cli.render import layout
from babelwg.cli.render.doctor import render_doctor
from babelwg.cli.schema import compose

doctor = importlib.import_module("babelwg.cli.doctor")  # the package's name may stand for the command
LISTENER = """
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print(flush=True)
sys.stdin.read()
"""
FINE = [
    {"check": check, "subject": "node", "verdict": "ok", "found": "well", "cause": None, "mend": None}
    for check in ("clock", "capabilities", "forwarding")
]
FAULT = {
    "check": "handshake",
    "subject": "bravo",
    "verdict": "fail",
    "found": "it answered our handshake 2 s ago, but the answer cannot be read",
    "cause": "the preshared keys differ, or only one side has one",
    "mend": "compare preshared-key-file of both sides, then `babelwg reload`",
}
WARNING = {**FAULT, "check": "routes", "subject": "node", "verdict": "warn", "found": "flushed", "mend": None}
TEXT = """\
FAIL  handshake bravo: it answered our handshake 2 s ago, but the answer cannot
      be read
      cause: the preshared keys differ, or only one side has one
      mend:  compare preshared-key-file of both sides, then `babelwg reload`

warn  routes: flushed
      cause: the preshared keys differ, or only one side has one

ok    3 checks in order: clock, capabilities, forwarding

1 fault and 1 warning, in 1.2s.
"""


def answer(*findings: dict[str, Any]) -> dict[str, Any]:
    return {"daemon": True, "peer": None, "took_s": 1.234, "findings": [*FINE, *findings]}


def test_faults_stand_first_and_end_with_status_1(ask: Callable[..., Result], daemon: Any) -> None:
    daemon.answers["doctor"] = answer(WARNING, FAULT)
    result = ask("doctor")
    assert result.exit_code == 1
    assert result.stdout == TEXT
    assert [request["method"] for request in daemon.requests] == ["words", "doctor"]
    assert daemon.requests[1]["params"] == {"peer": None}
    listed = ask("doctor", "--all").stdout
    assert "ok    clock: well\nok    capabilities: well\n" in listed


def test_without_a_fault_the_status_is_0(ask: Callable[..., Result], daemon: Any) -> None:
    daemon.answers["doctor"] = {**answer(), "peer": "bravo"}
    result = ask("doctor", "bravo")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "Nothing is wrong with bravo, in 1.2s.")
    assert daemon.requests[1]["params"] == {"peer": "bravo"}
    daemon.answers["doctor"] = answer(WARNING)
    assert ask("doctor").exit_code == 0


def test_json_follows_the_schema_and_tsv_has_a_line_for_each(ask: Callable[..., Result], daemon: Any) -> None:
    daemon.answers["doctor"] = answer(FAULT)
    result = ask("doctor", "--json")
    assert result.exit_code == 1
    Draft202012Validator(compose("doctor")).validate(json.loads(result.stdout))
    lines = ask("doctor", "-o", "tsv").stdout.splitlines()
    assert lines[0] == "check\tsubject\tverdict\tfound\tcause\tmend"
    assert len(lines) == 5


def test_an_unknown_peer_is_one_sentence(ask: Callable[..., Result], daemon: Any) -> None:
    daemon.error = {"code": -32602, "message": 'there is no peer "brav"; did you mean "bravo"?'}
    result = ask("doctor", "brav")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == 'babelwg: there is no peer "brav"; did you mean "bravo"?\n'


def test_without_a_daemon_it_says_what_it_could_examine(run: Callable[..., Result], tmp_path: Path) -> None:
    paths = ["-c", str(tmp_path / "none.toml"), "--state-dir", str(tmp_path), "--socket", str(tmp_path / "s")]
    result = run("doctor", *paths)
    assert result.exit_code == 1
    assert "FAIL  daemon: no daemon answers at" in result.stdout
    assert "No daemon answers, so only what needs none was examined." in result.stdout
    document = json.loads(run("doctor", *paths, "--json").stdout)
    Draft202012Validator(compose("doctor")).validate(document)
    assert (document["data"]["daemon"], document["node"]) == (False, None)


def test_a_daemon_that_hangs_is_asked_once_and_the_rest_is_examined(
    run: Callable[..., Result], daemon: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "PATIENCE", 0.2)
    daemon.is_silent = True
    paths = ["-c", str(tmp_path / "none.toml"), "--state-dir", str(tmp_path), "--socket", str(daemon.path)]
    result = run("doctor", *paths, "--json")
    assert result.exit_code == 1
    findings = {finding["check"]: finding for finding in json.loads(result.stdout)["data"]["findings"]}
    assert findings["daemon"]["found"] == f"the daemon at {daemon.path} does not answer within 0.2 s"
    assert findings["daemon"]["cause"].startswith(f"the daemon (pid {os.getpid()}) ")
    assert findings["daemon"]["mend"].startswith("babelwg bugreport, then systemctl restart babelwg")
    assert {"configuration", "capabilities", "clock", "state-directory"} <= findings.keys()
    assert [request["method"] for request in daemon.requests] == ["words"]


def test_a_stopped_daemon_is_called_so_with_the_command_that_lets_it_go_on(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "PATIENCE", 0.2)
    path = tmp_path / "s"
    with subprocess.Popen(
        [sys.executable, "-c", LISTENER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            os.kill(other.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, other.pid, os.WSTOPPED | os.WNOWAIT)
            result = run("doctor", "-c", str(tmp_path / "none"), "--socket", str(path), "--json")
        finally:
            other.kill()
    finding = next(f for f in json.loads(result.stdout)["data"]["findings"] if f["check"] == "daemon")
    assert finding["verdict"] == "fail"
    assert finding["cause"] == f"the daemon (pid {other.pid}) is stopped by a signal or a debugger"
    assert finding["mend"] == f"kill -CONT {other.pid}"


def test_a_verdict_has_a_colour_on_a_terminal(
    ask: Callable[..., Result], daemon: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert layout.has_colour() is False
    monkeypatch.setattr("babelwg.cli.render.doctor.has_colour", lambda: True)
    text = render_doctor(answer(FAULT), 80, False)
    assert text.startswith("\x1b[31m\x1b[1mFAIL\x1b[0m  handshake bravo")
