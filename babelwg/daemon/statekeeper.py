"""The node's state on the disk: one thread writes it, version after version, while the loop goes on."""

import contextlib
import errno
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import NamedTuple

from babelwg.config import State
from babelwg.config.state.identity import is_reserved
from babelwg.daemon.diskthread import DiskThread, answered, outcome, tell

# Implementation constant
LONGEST_WAIT = (
    2.0  # seconds; a disk that hangs for longer counts as one that fails, or it would stop the node
)


class Saving(NamedTuple):
    """A version that the thread writes, or has written: its answer is what went wrong."""

    version: State
    answer: Future[OSError | None]


class StateKeeper:
    """Writes a state as it was when that was asked for; a later version is never overtaken by an earlier one."""

    def __init__(self, state: State, directory: Path, attempt: Callable[[Callable[[], None]], None]) -> None:
        """Let `attempt` perform what may raise OSError and book how it went; it is called in the loop's thread."""
        self.state = state
        self.saved: State | None = None  # as the disk has it
        self.failing = False
        self._directory = directory
        self._attempt = attempt
        self._thread = DiskThread("state")
        self._latest: int | None = None  # the seqno that is in use
        self._savings: deque[Saving] = deque()  # those that are not booked yet

    def reserve(self, seqno: int) -> None:
        """Make sure that no later life uses this seqno again; wait only where the block before is used up."""
        self._latest = seqno
        self._book_ready()
        self.state.reserve(seqno)
        asked = self._savings[-1].version if self._savings else self.saved
        is_new = asked is None or asked.seqno_limit != self.state.seqno_limit
        # A disk that fails is tried again each time, but not waited for: it would hold up all else.
        if is_new and not (self.failing and self._savings):
            self.save_soon()
        if not self.failing and not self._is_reserved():
            self._wait()

    @property
    def is_outrun(self) -> bool:
        """Whether a seqno is in use that the disk has as one that nobody has used under this router-id."""
        return self.saved is not None and not self._is_reserved()

    def save_soon(self) -> None:
        """Have the state as it is now written as soon as what was asked for before."""
        version = self.state.copy()
        answer = self._thread.submit(partial(outcome, partial(version.save, self._directory)))
        self._savings.append(Saving(version, answer))

    async def save_aside(self) -> None:
        """Wait, while the loop goes on, until the disk has the state as it is now, or the attempt failed."""
        self.save_soon()
        await answered(self._savings[-1].answer)
        self._book_ready()

    def close(self, seconds: float) -> bool:
        """Wait until all is written, so many seconds at most; return whether it is."""
        is_done = self._thread.wait(seconds)
        self._book_ready()
        return is_done

    def _is_reserved(self) -> bool:
        if self.saved is None or self._latest is None:
            return False
        return is_reserved(self._latest, self.saved.seqno_limit)

    def _wait(self) -> None:
        if self._savings:
            with contextlib.suppress(TimeoutError):
                self._savings[-1].answer.result(LONGEST_WAIT)
        self._book_ready()
        if self._savings:
            self.failing = True
            hangs = TimeoutError(errno.ETIMEDOUT, f"the disk has not answered for {LONGEST_WAIT:.0f} s")
            self._attempt(partial(tell, hangs))

    def _book_ready(self) -> None:
        while self._savings and self._savings[0].answer.done():
            version, answer = self._savings.popleft()
            error = answer.result()
            self.failing = error is not None
            if error is None:
                self.saved = version
            self._attempt(partial(tell, error))
