"""Completion at a terminal: what somebody sees who presses the tabulator in each shell."""

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

DEADLINE = 60.0  # seconds for a shell on a busy machine
TAB, HOME = b"\t", b"\x01"
PREFIXES = ["fd5a:8c21:77::/64", "fd5a:8c21:78::/64"]
# As babelwg is, but it waits for a daemon on a busy machine.
PROGRAM = f"""\
#!{sys.executable}
import sys
sys.path[:0] = {sys.path!r}
from babelwg.cli import completing, main
completing.TIMEOUT = {DEADLINE}
main()
"""
START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
# As `babelwg completion --help` says, and as a package installs them where shells look for completions.
EVALUATED = {
    "bash": 'eval "$(babelwg completion bash)"',
    "zsh": 'autoload -Uz compinit; compinit -u -D; eval "$(babelwg completion zsh)"',
    "fish": "babelwg completion fish | source",
}
INSTALLED = {
    "zsh": (
        "mkdir functions; babelwg completion zsh > functions/_babelwg; fpath=($PWD/functions $fpath);"
        " autoload -Uz compinit; compinit -u -D"
    ),
    "fish": (
        "mkdir functions; babelwg completion fish > functions/babelwg.fish;"
        " set -p fish_complete_path $PWD/functions"
    ),
}
WAYS = [*EVALUATED.items(), *INSTALLED.items()]


class Terminal:
    """A shell at a terminal of its own."""

    def __init__(self, file: int) -> None:
        self._file = file
        self.shown = b""

    def press(self, *keys: bytes) -> None:
        os.write(self._file, b"".join(keys))

    def wait(self, pattern: bytes) -> bytes:
        """Return what the first group matches, as soon as that is shown; what is shown up to then is forgotten."""
        end = time.monotonic() + DEADLINE
        while (found := re.search(pattern, self.shown)) is None:
            assert select.select([self._file], [], [], max(0.0, end - time.monotonic()))[0], self.shown
            self.shown += os.read(self._file, 1 << 16)
        self.shown = self.shown[found.end() :]
        return found[1]

    def completed(self, words: str) -> str:
        """Return what becomes of words at which somebody presses the tabulator."""
        # What is printed differs from what is typed, which the shell shows again and again.
        self.press(words.encode(), TAB, HOME, b"echo G''OT:", b"\r")
        return self.wait(rb"GOT:([^\r\n\x1b]*)\r").decode().rstrip()


@contextmanager
def terminal(shell: str, setting: str, directory: Path, socket: Path) -> Iterator[Terminal]:
    """Give a shell in which babelwg is a program with completion, and end it."""
    program = directory / "bin" / "babelwg"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)
    environment = {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "BABELWG_SOCKET": str(socket),
        "HOME": str(directory),
        "TERM": "xterm",
        "LANG": "C.UTF-8",
    }
    ours, its = pty.openpty()
    termios.tcsetwinsize(ours, (24, 200))
    process = subprocess.Popen(
        START[shell],
        stdin=its,
        stdout=its,
        stderr=its,
        cwd=directory,
        env=environment,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(its)
    try:
        opened = Terminal(ours)
        opened.press(setting.encode(), b"; echo REA''DY\r")
        opened.wait(rb"(READY)")
        yield opened
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(ours)


@pytest.mark.parametrize(("shell", "setting"), WAYS)
def test_the_tabulator_completes_commands_and_what_the_daemon_knows(
    shell: str, setting: str, daemon: Any, tmp_path: Path
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell}: not installed")
    daemon.answers["words"] = ["bravo"]
    with terminal(shell, setting, tmp_path, daemon.path) as at:
        assert at.completed("babelwg sh") == "babelwg show"
        assert at.completed("babelwg show r") == "babelwg show routes"
        assert at.completed("babelwg down ") == "babelwg down bravo"
        assert at.completed("babelwg --sock") == "babelwg --socket"
        assert at.completed("babelwg no-such-command ") == "babelwg no-such-command"
    assert [request["params"]["kinds"] for request in daemon.requests] == [["peers"]]


@pytest.mark.parametrize(("shell", "setting"), WAYS)
def test_the_tabulator_lists_prefixes_and_goes_on_as_far_as_they_agree(
    shell: str, setting: str, daemon: Any, tmp_path: Path
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell}: not installed")
    daemon.answers["words"] = PREFIXES[:1]
    with terminal(shell, setting, tmp_path, daemon.path) as at:
        assert at.completed("babelwg show routes fd5a:8c21:77") == f"babelwg show routes {PREFIXES[0]}"
        daemon.answers["words"] = PREFIXES
        assert at.completed("babelwg show routes fd5a:") == "babelwg show routes fd5a:8c21:7"
        at.press(b"babelwg show routes fd5a:8c21:7", TAB, TAB)
        for ending in (rb"(77::/64)", rb"(78::/64)"):
            at.wait(ending)
