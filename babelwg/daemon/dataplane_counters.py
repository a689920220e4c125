"""What the data plane counts: asked anew for each question, which does not wait long for one that hangs."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from babelwg.daemon.survey import PATIENCE
from babelwg.linux.tunnels.tunnel import TunnelError


class Counted(NamedTuple):
    """Counters, and how many seconds ago they were told: 0.0 for just now, None where they never were."""

    values: Mapping[str, int]
    age: float | None


class DataPlaneCounters:
    """Asks one question at a time, and remembers the latest answer."""

    def __init__(self, ask: Callable[[], Awaitable[Mapping[str, int]]], patience: float = PATIENCE) -> None:
        """Ask by `ask`, which raises TunnelError where there is no answer; wait `patience` seconds."""
        self._ask = ask
        self._patience = patience
        self._asked: asyncio.Task[bool] | None = None
        self._told: tuple[Mapping[str, int], float] | None = None  # the second on the clock of the loop

    async def read(self) -> Counted:
        """Return what is counted now, or what was when the data plane answered last."""
        if self._asked is None or self._asked.done():
            self._asked = asyncio.create_task(self._put())
        asked = self._asked
        await asyncio.wait([asked], timeout=self._patience)
        is_new = asked.done() and asked.result()
        if self._told is None:
            return Counted({}, None)
        values, then = self._told
        return Counted(values, 0.0 if is_new else asyncio.get_running_loop().time() - then)

    async def _put(self) -> bool:
        """Ask, and return whether there was an answer."""
        try:
            values = await self._ask()
        except TunnelError:
            return False  # its tunnels tell why
        self._told = values, asyncio.get_running_loop().time()
        return True
