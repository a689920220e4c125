"""Writes the routes of prefixes that had none, for the next life: soon, but after what is more urgent."""

import asyncio
from collections.abc import Callable

from babelwg.babel.speaker import Speaker
from babelwg.daemon.store import Store

# Implementation constants
PAUSE, SHORT_PAUSE = 0.2, 0.005  # seconds until changes are written, and between two parts of many
LONGEST_WAIT = 2.0  # seconds for which they wait while there is always something to be read
PART = 500  # routes at once, before others have the loop


class RouteKeeper:
    """Follows the first selected routes of prefixes; who is killed before they are written is told of them again."""

    def __init__(self, speaker: Speaker, store: Store, is_busy: Callable[[], bool]) -> None:
        """Write while nobody `is_busy`."""
        self._speaker = speaker
        self._store = store
        self._is_busy = is_busy
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._since = 0.0  # when the first of the changes came that are not written

    def note(self) -> None:
        """Take note that routes may have changed."""
        if self._timer is None and self._speaker.has_new_routes:
            self._since = self._loop.time()
            self._timer = self._loop.call_later(PAUSE, self._write)

    def finish(self) -> None:
        """Write all changes now."""
        self.close()
        self._store.remember_routes(self._speaker.new_routes_to_store())

    def close(self) -> None:
        """Write no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _write(self) -> None:
        self._timer = None
        if self._is_busy() and self._loop.time() < self._since + LONGEST_WAIT:
            self._timer = self._loop.call_later(PAUSE, self._write)
            return
        self._store.remember_routes(self._speaker.new_routes_to_store(PART))
        if self._speaker.has_new_routes:
            self._timer = self._loop.call_later(SHORT_PAUSE, self._write)
