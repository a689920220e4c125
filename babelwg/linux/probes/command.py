"""A program as a probe: in a process group of its own, which does not outlive the probe."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping

from babelwg.linux.probes.uplink import ProbeFailed, words


async def run_command(command: tuple[str, ...], environment: Mapping[str, str]) -> None:
    """Return when a program has ended with status 0, raise ProbeFailed otherwise; killed when cancelled."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, **environment},
            start_new_session=True,
        )
    except OSError as error:
        raise ProbeFailed(words(error)) from error
    try:
        status = await process.wait()
    finally:
        # Whatever it left behind ends with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if status:
        raise ProbeFailed(f"status {status}" if status > 0 else f"ended by signal {-status}")
