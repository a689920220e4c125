"""Server-sent events: what a feed holds, to a browser that keeps listening."""

import asyncio
from collections.abc import Callable

from aiohttp import web

from babelwg.daemon.feed import Feed

# Implementation constants
HEARTBEAT = 15.0  # seconds between signs of life, so that either side notices that the other is gone
WRITE_TIMEOUT = 10.0  # seconds for a browser to take what it was sent


class Streams:
    """The streams that are open now."""

    def __init__(self, count: Callable[[str], None]) -> None:
        self._count = count
        self._feeds: set[Feed] = set()

    async def serve(
        self, request: web.BaseRequest, feed: Feed, headers: dict[str, str]
    ) -> web.StreamResponse:
        """Send what a feed holds until it ends, its browser goes away, or is too slow."""
        self._feeds.add(feed)
        self._count("streams")
        response = web.StreamResponse(headers=headers | {"Cache-Control": "no-store"})
        response.content_type = "text/event-stream"
        try:
            await _write(response, request, b"retry: 2000\n\n")
            while (lines := await _take(feed)) is not None:
                await _write(response, request, _events(lines))
            if feed.lost:
                self._count("client_too_slow")
                await _write(response, request, b"event: cut\ndata: this browser is too slow\n\n")
        except TimeoutError:
            self._count("client_too_slow")
            raise
        finally:
            self._feeds.discard(feed)
            feed.close()
        return response

    def close(self) -> None:
        """End all streams."""
        for feed in [*self._feeds]:
            feed.close()


async def _take(feed: Feed) -> bytes | None:
    """Return the lines that came, none of them as a sign of life, None at the end."""
    try:
        async with asyncio.timeout(HEARTBEAT):
            return await feed.take() or None
    except TimeoutError:
        return b""


def _events(lines: bytes) -> bytes:
    if not lines:
        return b": still here\n\n"
    return b"".join(b"data: " + line + b"\n\n" for line in lines.splitlines())


async def _write(response: web.StreamResponse, request: web.BaseRequest, data: bytes) -> None:
    async with asyncio.timeout(WRITE_TIMEOUT):
        if not response.prepared:
            await response.prepare(request)
        await response.write(data)
