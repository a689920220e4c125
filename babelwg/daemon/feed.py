"""A stream of lines to one client: bounded, so that a slow reader costs itself the stream and nobody else anything."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

# Implementation constants
FEED_LIMIT = 4 << 20  # octets that may wait for one client


class Feed:
    """What a method answers that goes on answering: `head` at once, then each line that is put in, until closed.

    `on_close` is called once, when the client is gone or was too slow, and takes the feed off its source.
    """

    def __init__(self, head: Any, on_close: Callable[["Feed"], None], limit: int = FEED_LIMIT) -> None:
        self.head = head
        self.lost = 0  # lines that found no room
        self._on_close = on_close
        self._limit = limit
        self._lines: deque[bytes] = deque()
        self._waiting = 0  # octets
        self._news = asyncio.Event()
        self._taken = asyncio.Event()
        self._closed = False

    def begin(self, line: bytes) -> None:
        """Have this line stand before all others, whatever its length."""
        self._lines.appendleft(line)
        self._news.set()

    def put(self, line: bytes) -> None:
        """Add a line (with its line feed); where it finds no room the stream ends after what waits."""
        if self._closed:
            return
        if self._waiting + len(line) > self._limit:
            self.lost += 1
            self.close()
            return
        self._lines.append(line)
        self._waiting += len(line)
        self._news.set()

    def close(self) -> None:
        """Let the stream end after what waits."""
        if not self._closed:
            self._closed = True
            self._on_close(self)
            self._news.set()
            self._taken.set()

    async def take(self) -> bytes:
        """Return the lines that wait, or wait for one; nothing when the stream has ended."""
        while not self._lines and not self._closed:
            self._news.clear()
            await self._news.wait()
        lines, self._waiting = b"".join(self._lines), 0
        self._lines.clear()
        self._taken.set()
        return lines

    async def room(self) -> bool:
        """Wait until most of what was put in has been taken; return whether the stream still goes on."""
        while self._waiting > self._limit // 4 and not self._closed:
            self._taken.clear()
            await self._taken.wait()
        return not self._closed
