"""How the process becomes its successor: it executes the program anew, which finds descriptors and sessions.

The sessions go through a memory file, which has no name and is on no disk. Meanwhile packets wait in the queues of the
TUN devices and of the sockets.
"""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from typing import Any

from babelwg.dataplane.loop import Loop

FORMAT = 1  # of what is handed over; another one is not understood
RESUME, CAN_RESUME = "--resume", "--can-resume"
UPGRADE_SIGNAL = signal.SIGUSR2

log = logging.getLogger("babelwg.dataplane")

Values = dict[str, Any]


class Successor:
    """The program that follows this one: it is tried beside it before it takes its place."""

    def __init__(self, loop: Loop, describe: Callable[[], Values]) -> None:
        """`describe` returns all that is handed over, with the numbers of the descriptors as `descriptors`."""
        self._loop = loop
        self._describe = describe
        self._trial: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Become the successor soon, if it can go on from here."""
        if self._trial is not None:
            return
        try:
            words = [*_program(), CAN_RESUME, str(FORMAT)]
            self._trial = trial = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        except OSError as error:
            log.error("the successor cannot be started: %s; this process goes on", error)
            return
        assert trial.stdout is not None, "it was asked for"
        # Its output ends when it ends.
        self._loop.watch(trial.stdout.fileno(), lambda _: self._tried(trial))

    def _tried(self, trial: subprocess.Popen[bytes]) -> None:
        assert trial.stdout is not None, "it was asked for"
        if os.read(trial.stdout.fileno(), 4096):
            return
        self._loop.forget(trial.stdout.fileno())
        self._trial = None
        with trial:
            status = trial.wait()
        if status:
            log.error("the successor cannot go on from here (status %d); this process goes on", status)
            return
        try:
            _become(self._describe())
        except OSError as error:
            log.error("the successor cannot be started: %s; this process goes on", error)


def take_over(descriptor: int) -> Values:
    """Return what the process before us left in its memory file, once. Raises ValueError."""
    with closing(os.fdopen(descriptor, "r+b")) as file:
        values: Values = json.load(file)
        file.truncate(0)
    for each in values["descriptors"]:
        os.set_inheritable(each, False)
    if values["format"] != FORMAT:
        raise ValueError(f"format {values['format']} is not {FORMAT}")
    return values


def _become(values: Values) -> None:
    """Execute the program anew; return only by an OSError."""
    descriptor = os.memfd_create("babelwg-dataplane", 0)
    inherited = values["descriptors"]
    with closing(os.fdopen(descriptor, "wb")) as file:
        file.write(json.dumps({"format": FORMAT, **values}).encode())
        file.flush()
        file.seek(0)
        for each in inherited:
            os.set_inheritable(each, True)
        # A second request must not end the successor before it listens for such.
        before = signal.signal(UPGRADE_SIGNAL, signal.SIG_IGN)
        try:
            log.info("the program is executed anew")
            program = _program()
            os.execv(program[0], [*program, RESUME, str(descriptor)])
        finally:
            signal.signal(UPGRADE_SIGNAL, before)
            for each in inherited:
                os.set_inheritable(each, False)


def _program() -> list[str]:
    """Return the words that started this process, without those of an earlier handover."""
    words = [sys.executable, *sys.orig_argv[1:]]
    if RESUME in words:
        at = words.index(RESUME)
        del words[at : at + 2]
    return words
