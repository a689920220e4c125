"""Where output goes wrong: nothing is lost, nothing is said twice, and the exit code tells."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

COMMANDS = [
    ["status"],
    ["show", "routes"],
    ["show", "routes", "--json"],
    ["show", "routes", "-o", "tsv"],
    ["show", "peers"],
    ["version"],
    ["--help"],
]
DEADLINE = 60.0  # seconds for a command on a busy machine
INTERRUPTED = """\
import sys

class Interrupt:
    def find_spec(self, name, *rest):
        if name == "babelwg.cli.commands":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
from babelwg.cli import main
main()
"""


def shell(daemon: Any, words: list[str], redirection: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a shell, which sends its output elsewhere."""
    command = [sys.executable, "-m", "babelwg", "--socket", str(daemon.path), *words]
    line = ["bash", "-o", "pipefail", "-c", f'"$@" {redirection}', "bash", *command]
    return subprocess.run(line, capture_output=True, text=True, timeout=DEADLINE, check=False)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_full_disk_is_one_sentence_and_exit_1(words: list[str], daemon: Any) -> None:
    result = shell(daemon, words, "> /dev/full")
    assert (result.returncode, result.stderr) == (1, "babelwg: No space left on device\n")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_closed_output_says_nothing(words: list[str], daemon: Any) -> None:
    result = shell(daemon, words, ">&-")
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_all_is_written_before_the_process_ends(words: list[str], daemon: Any, tmp_path: Path) -> None:
    into_pipe = shell(daemon, words, "| cat")
    into_file = shell(daemon, words, f"> {tmp_path}/out 2>&-")
    assert (into_pipe.returncode, into_pipe.stderr, into_file.returncode) == (0, "", 0)
    assert into_pipe.stdout.endswith("\n")
    assert (tmp_path / "out").read_text() == into_pipe.stdout


def test_a_reader_that_has_read_enough_hears_no_complaint(daemon: Any) -> None:
    # More than a pipe holds, so that the command cannot have ended before its reader.
    daemon.answers["routes"] = daemon.answers["routes"] * 2000
    result = shell(daemon, ["show", "routes"], "| head -1")
    assert result.stdout.startswith("PREFIX")
    assert (result.stdout.count("\n"), result.stderr) == (1, "")


def test_characters_that_the_encoding_has_not_are_replaced(
    daemon: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_full = shell(daemon, ["show", "neighbours"], "")
    assert "…" in in_full.stdout
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    result = shell(daemon, ["show", "neighbours"], "")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == in_full.stdout.replace("…", "?")


def test_a_path_of_any_octets_is_written_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8:strict")  # as in most locales, unlike C
    path = tmp_path / "\udcff.toml"
    path.write_text("")
    command = [sys.executable, "-m", "babelwg", "config", "path", "-c", str(path)]
    result = subprocess.run(command, capture_output=True, timeout=DEADLINE, check=False)
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"\xff.toml" in result.stdout


def test_an_interrupt_while_modules_are_read_is_one_word() -> None:
    command = [sys.executable, "-c", INTERRUPTED]
    result = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", "\nAborted!\n")
