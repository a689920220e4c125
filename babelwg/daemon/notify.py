"""Word to systemd (sd_notify): ready, reloading, stopping, a line of status, and that the event loop still turns."""

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Self

log = logging.getLogger(__name__)


class Notifier:
    """Sends datagrams to the service manager; without one it does nothing."""

    def __init__(self, address: str | None = None, watchdog: float | None = None) -> None:
        """Notify a Unix datagram socket, `@` first for an abstract one; `watchdog` in seconds."""
        self.watchdog = watchdog
        self._address = f"\0{address[1:]}" if address and address.startswith("@") else address
        self._status = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Return the notifier that the service manager asks for (sd_notify(3), sd_watchdog_enabled(3))."""
        microseconds = environment.get("WATCHDOG_USEC", "")
        is_ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        watchdog = int(microseconds) / 1e6 if microseconds.isdecimal() and is_ours else None
        return cls(environment.get("NOTIFY_SOCKET"), watchdog or None)

    def ready(self, status: str) -> None:
        """Tell that the node runs, and how it is."""
        self._status = status
        self._send("READY=1", f"STATUS={status}")

    @contextlib.contextmanager
    def reloading(self) -> Iterator[None]:
        """Tell of a reload, and of its end, however it ends."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            yield
        finally:
            self._send("READY=1")

    def stopping(self) -> None:
        """Tell that the node is about to end."""
        self._send("STOPPING=1", "STATUS=stopping")

    async def run(self, status: Callable[[], str], interval: float = 10.0) -> None:
        """Tell twice per watchdog period that the event loop turns, and what the status is; never returns."""
        pause = min(interval, self.watchdog / 2) if self.watchdog else interval
        while self._address:
            if (now := status()) != self._status:
                self._status = now
                self._send(f"STATUS={now}")
            if self.watchdog:
                self._send("WATCHDOG=1")
            await asyncio.sleep(pause)

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                # A manager that does not read must not hold up the routing.
                sender.setblocking(False)
                sender.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            log.debug("notify-failed %s: %s", lines[0], error)
