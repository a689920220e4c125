"""`up`, `down` and `restart` ask for one peer and say what came of it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from jsonschema import Draft202012Validator

from babelwg.cli.schema import compose

Ask = Callable[..., Result]


@pytest.mark.parametrize(
    ("command", "method", "changed", "text"),
    [
        ("up", "peer_up", True, "bravo is up.\n"),
        ("up", "peer_up", False, "bravo was up already.\n"),
        ("down", "peer_down", True, "bravo is down until `babelwg up`.\n"),
        ("down", "peer_down", False, "bravo was down already.\n"),
        ("restart", "peer_restart", True, "bravo is up, made anew.\n"),
    ],
)
def test_a_switch_says_what_it_did(
    ask: Ask, daemon: Any, command: str, method: str, changed: bool, text: str
) -> None:
    daemon.answers[method] = {"peer": "bravo", "up": command != "down", "changed": changed}
    assert ask(command, "bravo").stdout == text
    document = json.loads(ask(command, "bravo", "--json").stdout)
    Draft202012Validator(compose("peer_switch")).validate(document)
    assert {(r["method"], r["params"]["peer"]) for r in daemon.requests} == {(method, "bravo")}


def test_what_the_daemon_refuses_is_told(ask: Ask, daemon: Any) -> None:
    daemon.error = {"code": -32602, "message": 'there is no peer "brav"; did you mean "bravo"?'}
    result = ask("down", "brav")
    assert (result.exit_code, result.stderr) == (1, f"babelwg: {daemon.error['message']}\n")
