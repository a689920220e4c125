"""Tasks that never end: what goes wrong in one is logged and counted, and it begins anew."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from babelwg.linux.errors import KernelError
from babelwg.linux.pace import Pace

log = logging.getLogger(__name__)

# Implementation constants
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds until a task begins anew


async def run_endless(name: str, run: Callable[[], Awaitable[None]], counters: dict[str, int]) -> None:
    """Run a task; one that fails, by the kernel's refusal or by a mistake of ours, does not end the daemon."""
    pace = Pace(FIRST_PAUSE, LONGEST_PAUSE)
    while True:
        try:
            await run()
            return
        except (KernelError, OSError) as error:
            counters["task_failed"] += 1
            log.error("task-failed %s: %s", name, error)
        except Exception:
            counters["internal_error"] += 1
            log.exception("internal-error task=%s", name)
        pace.note(time.monotonic())
        await asyncio.sleep(pace.wait())
