"""Waiting for news or for time to pass."""

import asyncio
import contextlib


async def wait_for_news(event: asyncio.Event, timeout: float) -> None:
    """Return when `event` is set or after `timeout` seconds; a cancellation is never lost.

    Not `asyncio.wait_for`, which before Python 3.12 forgets a cancellation that comes while the result is there: the
    loop that waits would go on for ever, and with it the daemon.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            await event.wait()
