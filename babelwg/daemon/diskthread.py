"""What has to wait for the disk, done beside the loop in threads for which the end of the process does not wait."""

import asyncio
import contextlib
import errno
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from typing import Any, TypeVar

Result = TypeVar("Result")


class DiskThread:
    """Does one thing after another.

    Not an executor, whose threads are joined when the interpreter ends, or the loop: however long the disk hangs.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[], None]] = deque()
        self._thread: threading.Thread | None = None  # while there is something to do

    def submit(self, action: Callable[[], Result]) -> Future[Result]:
        """Have something done after all that was asked for before, and return what will hold the answer.

        That is an OSError where the system has no thread for it, and then it is not done.
        """
        answer: Future[Result] = Future()
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                try:
                    thread.start()  # it waits for the lock
                except RuntimeError as error:
                    answer.set_exception(OSError(errno.EAGAIN, f"no thread for the disk: {error}"))
                    return answer
                self._thread = thread
            self._waiting.append(partial(_do, action, answer))
        return answer

    async def run(self, action: Callable[[], Result]) -> Result:
        """Do as `submit`, and wait for the answer while the loop goes on."""
        answer = self.submit(action)
        await answered(answer)
        return answer.result()

    def wait(self, seconds: float) -> bool:
        """Hold everything up until all is done, so many seconds at most; return whether it is."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(seconds)
        return thread is None or not thread.is_alive()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                action = self._waiting.popleft()
            action()


async def answered(answer: Future[Any]) -> None:
    """Wait for an answer while the loop goes on; what was asked for is done also when nobody waits any more."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()

    def tell(answer: Future[Any]) -> None:
        del answer
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(event.set)

    answer.add_done_callback(tell)
    await event.wait()


def is_done(answer: Future[Any], seconds: float) -> bool:
    """Hold everything up until there is an answer, so many seconds at most; return whether there is one."""
    return bool(wait([answer], max(0.0, seconds)).done)


def hang(seconds: float) -> OSError:
    """Return what is wrong with a disk that was waited for in vain."""
    return TimeoutError(errno.ETIMEDOUT, f"the disk has not answered for {seconds:.0f} s")


def outcome(action: Callable[[], None]) -> OSError | None:
    """Do something for which the disk is needed; return what went wrong."""
    try:
        action()
    except OSError as error:
        return error
    return None


def tell(error: OSError | None) -> None:
    """Raise what went wrong in a thread."""
    if error is not None:
        raise error


def _do(action: Callable[[], Result], answer: Future[Result]) -> None:
    try:
        answer.set_result(action())
    except BaseException as error:  # noqa: BLE001 - who asked has to hear of it, whatever it is
        answer.set_exception(error)
