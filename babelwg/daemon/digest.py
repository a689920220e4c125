"""News that may come in a flood: the first are told at once, and those that come while it goes on are told together."""

import asyncio
from collections.abc import Callable

# Implementation constant
SHARE = 3.0  # of the time, digesting news takes a third at most


class Digest:
    """Passes sets of words on to `tell`, and leaves the loop to others for twice as long as that took."""

    def __init__(self, tell: Callable[[set[str]], None]) -> None:
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        self._waiting: set[str] = set()
        self._free_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    def take(self, what: set[str]) -> None:
        """Tell what is new now, or together with what else comes soon."""
        self._waiting |= what
        if self._timer is not None:
            return
        if self._loop.time() >= self._free_at:
            self._pass_on()
        else:
            self._timer = self._loop.call_at(self._free_at, self._pass_on)

    def close(self) -> None:
        """Tell nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _pass_on(self) -> None:
        self._timer = None
        news, self._waiting = self._waiting, set()
        start = self._loop.time()
        try:
            self._tell(news)
        finally:
            self._free_at = start + SHARE * (self._loop.time() - start)
