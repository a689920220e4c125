"""Completion as each shell asks for it: commands, and what a running daemon knows."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner, Result

from babelwg.cli import completing
from babelwg.cli.commands import cli
from babelwg.cli.completing import kinds_of, register

if TYPE_CHECKING:
    from tests.cli.conftest import FakeDaemon

Run = Callable[..., Result]
WORDS = ["fd5a:8c21:77::/64", "fd5a:8c21:78::/64"]
HURRIED, PATIENT = completing.TIMEOUT, 60.0  # seconds
# As babelwg is, but it waits for a daemon on a busy machine.
PROGRAM = f"""\
from babelwg.cli import completing, main
completing.TIMEOUT = {PATIENT}
main()
"""


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completing, "TIMEOUT", PATIENT)


def complete(words: str, socket: Path) -> list[str]:
    """Return what click's own protocol answers to a bash."""
    register()
    environment = {
        "_BABELWG_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
        "BABELWG_SOCKET": str(socket),
    }
    result = CliRunner().invoke(cli, prog_name="babelwg", env=environment)
    assert result.exit_code == 0
    assert result.stderr == ""
    return [line.removeprefix("plain,") for line in result.stdout.splitlines() if line]


def test_commands_are_completed_without_a_daemon(tmp_path: Path) -> None:
    assert complete("babelwg show ro", tmp_path / "none") == ["routes"]
    assert complete("babelwg chec", tmp_path / "none") == ["check-config"]


@pytest.mark.parametrize(
    ("words", "kinds", "begin"),
    [
        ("babelwg show routes fd5a", ["peers", "interfaces", "prefixes"], "fd5a"),
        ("babelwg show peers b", ["peers", "interfaces", "prefixes"], "b"),
        ("babelwg show routes --wide fd5a:8c21:", ["peers", "interfaces", "prefixes"], "fd5a:8c21:"),
        ("babelwg route get ", ["addresses", "names"], ""),
        ("babelwg peer remove b", ["peers"], "b"),
    ],
)
def test_arguments_are_what_the_daemon_knows(
    words: str, kinds: list[str], begin: str, daemon: "FakeDaemon"
) -> None:
    daemon.answers["words"] = WORDS
    assert complete(words, daemon.path) == WORDS
    assert [request["params"] for request in daemon.requests] == [{"kinds": kinds, "begin": begin}]


def test_the_socket_of_the_command_line_is_asked(daemon: "FakeDaemon", tmp_path: Path) -> None:
    daemon.answers["words"] = WORDS
    for words in (
        f"babelwg --socket {daemon.path} show peers ",
        f"babelwg show peers --socket {daemon.path} ",
    ):
        assert complete(words, tmp_path / "none") == WORDS


def test_nothing_is_said_when_no_daemon_answers(daemon: "FakeDaemon", tmp_path: Path) -> None:
    assert complete("babelwg show peers ", tmp_path / "none") == []
    daemon.error = {"code": -32601, "message": "unknown method 'words'"}
    assert complete("babelwg show peers ", daemon.path) == []
    daemon.error, daemon.raw = None, b"[]\n"
    assert complete("babelwg show peers ", daemon.path) == []


def test_nobody_waits_for_a_daemon_that_hangs(daemon: "FakeDaemon", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completing, "TIMEOUT", HURRIED)
    daemon.is_silent = True
    assert complete("babelwg show peers ", daemon.path) == []


def test_a_new_peer_has_no_name_that_is_known(daemon: "FakeDaemon") -> None:
    daemon.answers["words"] = WORDS
    assert kinds_of(click.Argument(["name"]), "peer add") == ()
    assert kinds_of(click.Argument(["about"], metavar="[PREFIX|NAME]"), "history") == ("prefixes", "names")


@pytest.fixture
def shell_environment(tmp_path: Path, daemon: "FakeDaemon") -> dict[str, str]:
    """A shell in which babelwg is a program, and a daemon runs."""
    daemon.answers["words"] = WORDS
    program = tmp_path / "bin" / "babelwg"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\n{PROGRAM}")
    program.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "BABELWG_SOCKET": str(daemon.path),
        "HOME": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }


def in_shell(shell: str, script: str, environment: dict[str, str], run: Run) -> list[str]:
    """Return what a shell prints that has read our completion."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell}: not installed")
    source = run("completion", shell).stdout
    check = subprocess.run([shell, "-n"], input=source, capture_output=True, text=True, check=False)
    assert (check.returncode, check.stderr) == (0, "")
    quiet = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    result = subprocess.run(
        [shell, *quiet, "-c", f"{source}\n{script}"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert result.stderr == ""
    return result.stdout.splitlines()


def test_bash_replaces_only_what_follows_the_last_colon(shell_environment: dict[str, str], run: Run) -> None:
    # What bash itself sets when somebody presses the tabulator here.
    script = """
        COMP_LINE='babelwg show routes fd5a:8c21:7' COMP_POINT=31
        COMP_WORDS=(babelwg show routes fd5a : 8c21 : 7) COMP_CWORD=7
        _babelwg_completion babelwg
        printf '%s\\n' "${COMPREPLY[@]}"
        COMP_LINE='babelwg show ro' COMP_POINT=15
        COMP_WORDS=(babelwg show ro) COMP_CWORD=2
        _babelwg_completion babelwg
        printf '%s\\n' "${COMPREPLY[@]}"
        COMP_LINE='babelwg show routes ' COMP_POINT=20
        COMP_WORDS=(babelwg show routes '') COMP_CWORD=3
        _babelwg_completion babelwg
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    assert in_shell("bash", script, shell_environment, run) == ["77::/64", "78::/64", "routes", *WORDS]


def test_fish_completes_whole_prefixes(shell_environment: dict[str, str], run: Run) -> None:
    script = "complete -C 'babelwg show routes fd5a:8c21:7'"
    assert in_shell("fish", script, shell_environment, run) == WORDS


def test_zsh_completes_whole_prefixes(shell_environment: dict[str, str], run: Run) -> None:
    script = """
        compadd() { print -l -- ${(P)@[-1]} }
        words=(babelwg show routes fd5a:8c21:7) CURRENT=4
        _babelwg_completion
    """
    # The line that registers the function needs zsh's completion system, which only a terminal has.
    shell_script = f"compdef() {{ }}\n{run('completion', 'zsh').stdout}\n{script}"
    if shutil.which("zsh") is None:
        pytest.skip("zsh: not installed")
    result = subprocess.run(
        ["zsh", "-f", "-c", shell_script], capture_output=True, text=True, env=shell_environment, check=False
    )
    assert (result.stderr, result.stdout.splitlines()) == ("", WORDS)
