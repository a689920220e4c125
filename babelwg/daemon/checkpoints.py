"""Writing down what the next life needs, now and then, in a task of its own: nobody else waits for the disk."""

import asyncio
from collections.abc import Awaitable, Callable


class Checkpoints:
    """Makes one checkpoint at a time; what is asked for meanwhile is done once, after it."""

    def __init__(self, checkpoint: Callable[[], Awaitable[None]]) -> None:
        self._checkpoint = checkpoint
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Make one soon."""
        self._asked.set()

    async def run(self) -> None:
        """Make them for ever."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            try:
                await self._checkpoint()
            except Exception:
                self.ask()  # when whoever runs us has waited
                raise
