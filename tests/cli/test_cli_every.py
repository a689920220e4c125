"""Every command against a daemon that is not there, says nothing, or breaks off: one sentence, and the right code."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from babelwg.version import __version__
from tests.cli.invocations import INVOCATIONS, leaves

Run = Callable[..., Result]
ASKING = [name for name, how in INVOCATIONS.items() if how.asks]


def call(run: Run, name: str, path: Path) -> Result:
    return run("--socket", str(path), *name.split(), *INVOCATIONS[name].arguments)


def is_one_sentence(result: Result) -> bool:
    """Return whether a command ended with a complaint and no trace of Python."""
    return result.stderr.startswith("babelwg: ") and "Traceback" not in result.stderr


def test_every_command_is_called_here() -> None:
    assert sorted(leaves()) == sorted(INVOCATIONS)


@pytest.mark.parametrize("name", ASKING)
def test_without_a_daemon(name: str, run: Run, tmp_path: Path) -> None:
    result = call(run, name, tmp_path / "none")
    assert result.exit_code == 3, result.output
    assert is_one_sentence(result), result.stderr


@pytest.mark.parametrize("name", ASKING)
def test_a_daemon_that_breaks_off(name: str, daemon: Any, run: Run) -> None:
    daemon.raw = b'{"jsonrpc": "2.0", "id": 1, "result": {"node": "a", "da'
    result = call(run, name, daemon.path)
    assert result.exit_code == 3, result.output
    assert is_one_sentence(result), result.stderr


@pytest.mark.parametrize("raw", [b"[]\n", b'{"result": {"node": "a"}}\n', b"\x00\xff\n"])
@pytest.mark.parametrize("name", ASKING)
def test_a_daemon_that_talks_nonsense(name: str, raw: bytes, daemon: Any, run: Run) -> None:
    daemon.raw = raw
    result = call(run, name, daemon.path)
    assert result.exit_code == 1, result.output
    assert is_one_sentence(result), result.stderr


@pytest.mark.parametrize("name", ASKING)
def test_a_daemon_that_says_nothing(name: str, daemon: Any, run: Run, hurry: None) -> None:
    daemon.is_silent = True
    result = call(run, name, daemon.path)
    assert result.exit_code == 3, result.output
    assert is_one_sentence(result), result.stderr
    assert "does not answer within" in result.stderr


@pytest.mark.parametrize("name", ASKING)
def test_a_daemon_that_refuses_this_user(name: str, daemon: Any, run: Run) -> None:
    daemon.error = {"code": -32002, "message": "only root may do that"}
    result = call(run, name, daemon.path)
    assert (result.exit_code, result.stderr) == (4, "babelwg: only root may do that\n")


@pytest.mark.parametrize("name", leaves())
def test_every_command_helps(name: str, run: Run) -> None:
    result = run(*name.split(), "--help")
    assert result.exit_code == 0
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert run(*name.split(), "--no-such-option").exit_code == 2


@pytest.mark.parametrize("name", [name for name in ASKING if not INVOCATIONS[name].streams])
def test_a_daemon_of_another_version(name: str, daemon: Any, run: Run) -> None:
    daemon.answers = defaultdict(lambda: [{"other": 1}], status={"version": "9.9"})
    result = call(run, name, daemon.path)
    if result.exit_code:
        assert is_one_sentence(result), result.stderr
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception


def test_a_daemon_of_another_version_is_named(daemon: Any, run: Run) -> None:
    daemon.answers |= {"trace": {"way": []}, "status": {"version": "9.9"}}
    result = call(run, "trace", daemon.path)
    assert result.exit_code == 1
    assert "it is version 9.9, this command is version" in result.stderr
    # The same version would be a mistake of ours, and is to be seen.
    daemon.answers["status"] = {"version": __version__}
    assert isinstance(call(run, "trace", daemon.path).exception, KeyError)


@pytest.mark.parametrize("name", ["bugreport", "config show", "peer set", "peer list"])
def test_a_daemon_that_hangs_is_waited_for_once(name: str, daemon: Any, run: Run, hurry: None) -> None:
    daemon.is_silent = True
    call(run, name, daemon.path)
    assert len(daemon.requests) == 1
