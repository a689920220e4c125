"""Work of which the kernel makes a long affair, done beside the loop, and the answer that waits for it."""

import os
import threading
from collections.abc import Callable

from babelwg.dataplane.loop import Loop


class Later:
    """An answer that is not there yet."""

    def __init__(self, loop: Loop, work: Callable[[], str]) -> None:
        """Begin with `work` in a thread; what it returns is the answer."""
        self.answer: str | None = None
        self.heeded: Callable[[], None] = lambda: None  # called in the loop when the answer is there
        self._loop = loop
        self._work = work
        self._told = ""
        self._done = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        loop.watch(self._done, lambda _: self._finish())
        self._thread = threading.Thread(target=self._run, name="beside the loop")
        self._thread.start()

    def wait(self) -> None:
        """Return when the work is done, however long that takes."""
        self._thread.join()

    def _run(self) -> None:
        try:
            self._told = self._work()
        finally:
            os.eventfd_write(self._done, 1)

    def _finish(self) -> None:
        self._loop.forget(self._done)
        os.close(self._done)
        self.answer = self._told
        self.heeded()
