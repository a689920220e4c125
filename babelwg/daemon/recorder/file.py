"""Records on disk: JSON lines that are only ever appended, in two files of bounded size."""

import asyncio
import contextlib
import os
import stat
from functools import partial
from pathlib import Path

from babelwg.daemon.diskthread import DiskThread

# Implementation constants
FILE_LIMIT = 8 << 20  # octets of one file; the older one is as large at most
WAITING_LIMIT = 4 << 20  # octets that wait for the disk
CLOSE_TIMEOUT = 2.0  # seconds for the disk at the end
MODE = 0o640


class HistoryFile:
    """Writes lines in a thread; a disk that is slow or full is counted and named, and nobody waits for it."""

    def __init__(self, path: Path, limit: int = FILE_LIMIT) -> None:
        self.path = path
        self.older = path.with_name(f"{path.name}.1")
        self.problem: str | None = None
        self.counters = {"write_failed": 0, "lines_not_written": 0}
        self._limit = limit
        self._waiting: list[bytes] = []
        self._octets = 0
        self._task: asyncio.Task[None] | None = None
        self._thread = DiskThread("history")

    def load(self, octets: int) -> list[bytes]:
        """Return the latest lines that earlier lives wrote, no more than so many octets."""
        lines: list[bytes] = []
        for path in (self.path, self.older):
            try:
                data = _tail(path, octets)
            except FileNotFoundError:
                continue
            except OSError as error:
                self.problem = error.strerror or str(error)
                continue
            lines = data.splitlines() + lines
            octets -= len(data)
        return lines

    def put(self, line: bytes) -> None:
        """Write a line, which has no line feed, soon."""
        if self._octets + len(line) > WAITING_LIMIT:
            self.counters["lines_not_written"] += 1
            return
        self._waiting.append(line)
        self._octets += len(line)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._write_all())

    async def close(self) -> None:
        """Wait for the disk, within reason."""
        task = self._task
        if task is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await asyncio.shield(task)

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                lines, self._waiting, self._octets = self._waiting, [], 0
                await self._write(lines)
        finally:
            self._task = None

    async def _write(self, lines: list[bytes]) -> None:
        try:
            await self._thread.run(partial(self._append, b"\n".join([*lines, b""])))
            self.problem = None
        except OSError as error:
            self.problem = error.strerror or str(error)
            self.counters["write_failed"] += 1
            self.counters["lines_not_written"] += len(lines)

    def _append(self, data: bytes) -> None:
        with contextlib.suppress(FileNotFoundError):
            size = self.path.lstat().st_size
            if size and size + len(data) > self._limit:
                self.path.replace(self.older)
        descriptor = self._open()
        try:
            size = os.fstat(descriptor).st_size
            # A line that a full disk or a kill left unfinished must not spoil the next one.
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                data = b"\n" + data
            while data:
                data = data[os.write(descriptor, data) :]
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        # Opened anew each time, so that a file that somebody moved away is not written for ever.
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(self.path, flags, MODE)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(0, "it is no regular file")
            os.fchmod(descriptor, MODE)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor


def _tail(path: Path, octets: int) -> bytes:
    """Return the whole lines at the end of a file, no more than so many octets."""
    with os.fdopen(_open_to_read(path), "rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - octets)
        file.seek(start)
        data = file.read(size - start)
    return data.partition(b"\n")[2] if start else data


def _open_to_read(path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(0, "it is no regular file")
    return descriptor
