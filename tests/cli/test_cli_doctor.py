"""`doctor` as people and programs see it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from jsonschema import Draft202012Validator

from babelwg.cli.render import layout
from babelwg.cli.schema import compose

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
    assert daemon.requests[0]["params"] == {"peer": None}
    listed = ask("doctor", "--all").stdout
    assert "ok    clock: well\nok    capabilities: well\n" in listed


def test_without_a_fault_the_status_is_0(ask: Callable[..., Result], daemon: Any) -> None:
    daemon.answers["doctor"] = {**answer(), "peer": "bravo"}
    result = ask("doctor", "bravo")
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "Nothing is wrong with bravo, in 1.2s.")
    assert daemon.requests[0]["params"] == {"peer": "bravo"}
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


def test_a_verdict_has_a_colour_on_a_terminal(
    ask: Callable[..., Result], daemon: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from babelwg.cli.render import doctor

    assert layout.has_colour() is False
    monkeypatch.setattr(doctor, "has_colour", lambda: True)
    text = doctor.render_doctor(answer(FAULT), 80, False)
    assert text.startswith("\x1b[31m\x1b[1mFAIL\x1b[0m  handshake bravo")
