"""The node's state on the disk: one thread writes it, version after version, while the loop goes on."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import NamedTuple

from babelwg.config import State
from babelwg.config.state.identity import is_reserved
from babelwg.daemon.diskthread import DiskThread, answered, hang, is_done, outcome, tell

# Implementation constant: seconds; a disk that hangs for longer counts as one that fails, or it would stop the node
LONGEST_WAIT = 2.0


class Saving(NamedTuple):
    """A version that the thread writes, or has written: its answer is what went wrong."""

    version: State
    answer: Future[None]


class StateKeeper:
    """Writes a state as it was when that was asked for; a later version is never overtaken by an earlier one."""

    def __init__(self, state: State, directory: Path, attempt: Callable[[Callable[[], None]], None]) -> None:
        """Let `attempt` perform what may raise OSError and book how it went; it is called in the loop's thread."""
        self.state = state
        self.saved: State | None = None  # as the disk has it
        self.failing = False
        self.when_answered: Callable[[], None] = lambda: None  # called in any thread
        self._directory = directory
        self._attempt = attempt
        self._thread = DiskThread("state")
        self._latest: int | None = None  # the seqno that is in use
        self._wanted: int | None = None  # the one that is asked for, and not reserved yet
        self._is_outrun = False
        self._savings: deque[Saving] = deque()  # those that are not booked yet
        self._since = 0.0  # when the first of them was the next to be written

    def reserve(self, seqno: int) -> None:
        """Take note that a seqno is in use from now on; see that the next ones are reserved before they are needed."""
        self._latest = seqno
        self._is_outrun = self._is_outrun or not self._covers(seqno)
        self.make_room(seqno)

    def make_room(self, seqno: int) -> None:
        """Have a seqno and those after it reserved soon, if they are not."""
        self._book_ready()
        if self.failing and seqno == self._wanted:
            return  # the next checkpoint tries again
        self._wanted = None if self._covers(seqno) else seqno
        self.state.reserve(seqno)
        asked = self._savings[-1].version if self._savings else self.saved
        is_new = asked is None or asked.seqno_limit != self.state.seqno_limit
        # A disk that fails is tried again each time; one that hangs has enough to do.
        if is_new and not (self.failing and self._savings):
            self.save_soon()

    def limit(self) -> int | None:
        """Return the seqno that must not be used yet, nor those after it; None for none."""
        self._book_ready()
        if self._is_hanging:
            self._note_hang()
        return self.saved.seqno_limit if self.saved is not None and self._is_ours(self.saved) else None

    @property
    def is_outrun(self) -> bool:
        """Whether the disk has a seqno as free that is in use, or soon will be because the disk fails."""
        if self.saved is None or not self._is_ours(self.saved):
            return False  # it has none under this router-id
        return self._is_outrun or (self.failing and self._wanted is not None)

    def save_soon(self) -> None:
        """Have the state as it is now written as soon as what was asked for before."""
        version = self.state.copy()
        if not self._savings:
            self._since = time.monotonic()
        answer = self._thread.submit(partial(version.save, self._directory))
        self._savings.append(Saving(version, answer))
        answer.add_done_callback(lambda answer: self.when_answered())

    async def save_aside(self) -> None:
        """Wait, while the loop goes on, until the disk has the state as it is now, or the attempt failed."""
        self._book_ready()
        was_hanging = self._is_hanging
        self.save_soon()
        if was_hanging:
            return  # who comes later need not find that out again
        saving = self._savings[-1]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_WAIT):
                await answered(saving.answer)
        self._settle(saving)

    def wait(self, seconds: float) -> None:
        """Hold everything up until the disk has the state as it is now, so many seconds at most."""
        if self._savings:
            saving = self._savings[-1]
            is_done(saving.answer, seconds)
            self._settle(saving)

    def close(self, seconds: float) -> bool:
        """Wait until all is written, so many seconds at most; return whether it is."""
        is_written = self._thread.wait(seconds)
        self._book_ready()
        return is_written

    @property
    def _is_hanging(self) -> bool:
        return bool(self._savings) and time.monotonic() - self._since > LONGEST_WAIT

    def _covers(self, seqno: int) -> bool:
        return (
            self.saved is not None
            and self._is_ours(self.saved)
            and is_reserved(seqno, self.saved.seqno_limit)
        )

    def _is_ours(self, version: State) -> bool:
        return version.router_id == self.state.router_id

    def _settle(self, saving: Saving) -> None:
        self._book_ready()
        if not saving.answer.done():
            self._note_hang()

    def _note_hang(self) -> None:
        if not self.failing:
            self.failing = True
            self._attempt(partial(tell, hang(time.monotonic() - self._since)))

    def _book_ready(self) -> None:
        while self._savings and self._savings[0].answer.done():
            version, answer = self._savings.popleft()
            self._since = time.monotonic()
            error = outcome(answer.result)
            self.failing = error is not None
            if error is None:
                self._take(version)
            self._attempt(partial(tell, error))

    def _take(self, version: State) -> None:
        self.saved = version
        self._is_outrun = self._latest is not None and not self._covers(self._latest)
        if self._wanted is not None and self._covers(self._wanted):
            self._wanted = None
