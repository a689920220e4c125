"""Routes go into the kernel before anybody hears of them; where it fails, nothing that depends on them is announced."""

import asyncio
import logging
import os
from collections.abc import Callable, Sequence

from babelwg.babel.speaker import Speaker
from babelwg.babel.wire.prefix import Prefix
from babelwg.daemon.recorder import Note
from babelwg.linux.errors import KernelError
from babelwg.linux.fib import KernelRoutes
from babelwg.linux.netlink import Refusal

log = logging.getLogger(__name__)

# Implementation constants
NOTED_REFUSALS = 5  # of the kernel, at once
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 1.0  # seconds until another attempt; each doubles
# Attempts in a row that may find no memory for some routes, 0.3 s with their pauses, and seconds until as many may
# again: a table that is full says the same for ever, and must not keep the other routes waiting.
PATIENCE, IMPATIENCE = 5, 60.0


class RouteFlusher:
    """Brings what is wanted into the kernel; while that fails the speaker says only what nobody can follow."""

    def __init__(self, speaker: Speaker, routes: KernelRoutes, again: Callable[[], None]) -> None:
        """Call `again` when it is time for another attempt, which is to call `flush`."""
        self.counters = {"kernel_failed": 0}
        self._speaker = speaker
        self._routes = routes
        self._again = again
        self._loop = asyncio.get_running_loop()
        self._postponed = 0  # attempts in a row that left something for the next
        self._impatient_until = self._loop.time()
        self._pause = 0.0  # seconds that the latest attempt had to wait, 0 while the kernel works
        self._timer: asyncio.TimerHandle | None = None

    def flush(self, note: Note) -> bool:
        """Bring the changed routes into the kernel; return whether it has all that it did not refuse."""
        if self._timer is not None:
            return False  # what could not be told to the kernel now waits for its turn
        try:
            refusals = self._routes.flush(self._is_patient())
        except KernelError as error:
            self.counters["kernel_failed"] += 1
            self._try_later(str(error))
            return False
        self._tell(refusals, note)
        if postponed := self._routes.refusals.postponed:
            self._postponed += 1
            self._try_later(f"to set or remove {postponed} routes: it is short of memory")
            return False
        if self._pause:
            log.info("kernel-works-again")
            self._pause = 0.0
        self._postponed = 0
        self._speaker.withhold(False, self._loop.time())
        return True

    def close(self) -> None:
        """Try no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _is_patient(self) -> bool:
        """Return whether what fails in passing shall wait: not for long, and then not again for a while."""
        now = self._loop.time()
        if self._postponed >= PATIENCE:
            self._impatient_until = now + IMPATIENCE
        return now >= self._impatient_until

    def _tell(self, refusals: Sequence[tuple[Prefix, Refusal]], note: Note) -> None:
        """Say what the kernel refused, a few by name."""
        for prefix, refusal in refusals[:NOTED_REFUSALS]:
            log.error("route-refused prefix=%s errno=%d %s", prefix, refusal.errno, refusal.detail)
            why = refusal.detail or os.strerror(refusal.errno)
            note("route-refused", f"the kernel refused {prefix}", why, prefix=str(prefix))
        if (rest := len(refusals) - NOTED_REFUSALS) > 0:
            log.error("route-refused further=%d", rest)
            note("routes-refused", f"the kernel refused {rest} more routes", None, count=rest)

    def _try_later(self, error: str) -> None:
        if not self._pause:
            log.error("kernel-failed %s: tried again soon; until then no route is announced", error)
        # Neighbours must go on hearing of us, but our kernel still forwards the old way.
        self._speaker.withhold(True, self._loop.time())
        self._pause = min(2 * self._pause, LONGEST_PAUSE) or FIRST_PAUSE
        self._timer = self._loop.call_later(self._pause, self._retry)

    def _retry(self) -> None:
        self._timer = None
        self._again()
