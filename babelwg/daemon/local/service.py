"""babeld's local socket protocol as a configuration wants it: on a port, at a path, read only or not."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from babelwg.config import BabeldConfig
from babelwg.config.babeld import amend
from babelwg.daemon.lan import is_pattern
from babelwg.daemon.local.lines import greeting
from babelwg.daemon.local.requests import Directive, FlushInterface, ReopenLog, Request
from babelwg.daemon.local.server import MAX_LINE, Conversations
from babelwg.daemon.logfile import reopen_log
from babelwg.daemon.routing import RoutingService
from babelwg.daemon.unixsocket import listen
from babelwg.version import __version__

log = logging.getLogger(__name__)

LOOPBACK = "::1"

# Applies a change of the configuration.
Amend = Callable[[Callable[[BabeldConfig], BabeldConfig]], Awaitable[None]]


class Place(NamedTuple):
    """Where the server is to be found: a port of ::1, or a path."""

    port: int | None
    path: str | None
    readwrite: bool

    def __str__(self) -> str:
        return self.path if self.path is not None else f"[{LOOPBACK}]:{self.port}"


class LocalService:
    """Runs the server where the configuration wants it."""

    def __init__(self, routing: RoutingService, change: Amend) -> None:
        """Tell of `routing`; what clients change goes to `change`."""
        self.counters: dict[str, int] = {}
        self.error: str | None = None  # why the wanted server is not there
        self._routing = routing
        self._change = change
        self._config = BabeldConfig()
        self._place: Place | None = None
        self._server: asyncio.Server | None = None
        self._conversations: Conversations | None = None

    async def configure(self, config: BabeldConfig | None) -> None:
        """Serve where a configuration says, also after an attempt that failed; elsewhere no longer."""
        self._config = config or BabeldConfig()
        wanted = Place(self._config.local_port, self._config.local_path, self._config.local_readwrite)
        if wanted.port is None and wanted.path is None:
            await self.close()
        elif self._server is None or wanted != self._place:
            await self.close()
            await self._open(wanted)

    async def close(self) -> None:
        """Stop listening and end all conversations."""
        self.error = None
        if self._server is None or self._conversations is None or self._place is None:
            return
        self._server.close()
        await self._conversations.close()
        self._server = None
        if self._place.path is not None:
            with contextlib.suppress(OSError):
                Path(self._place.path).unlink()

    async def _open(self, place: Place) -> None:
        words = greeting(f"babelwg-{__version__}", socket.gethostname(), self._routing.speaker.router_id)
        change = self._do if place.readwrite else None
        self._conversations = Conversations(words, self._routing, change, self._count)
        serve = self._conversations.serve
        self._place = place
        try:
            if place.path is not None:
                self._server = await listen(Path(place.path), serve, MAX_LINE)
            else:
                self._server = await asyncio.start_server(serve, LOOPBACK, place.port, limit=MAX_LINE)
        except OSError as error:
            self.error = f"cannot listen on {place}: {error.strerror or error}"
            log.error("local-server-refused %s", self.error)

    async def _do(self, request: Request) -> str | None:
        """Do what a client asks for; return why it cannot be done, None when it is. Raises Mistake."""
        match request:
            case Directive(line):
                await self._take(line)
            case FlushInterface(name):
                return await self._flush_interface(name)
            case ReopenLog():
                reopen_log(self._config.log_file)
        return None

    async def _take(self, line: str) -> None:
        amended = amend(self._config, line)
        new = {interface.name for interface in amended.interfaces}
        new -= {interface.name for interface in self._config.interfaces}
        if there := new & self._routing.wanted.keys():
            # A tunnel of ours, or what a pattern has brought: as with babeld, what is there stays as it is.
            log.warning("interface-there-already %s: its new parameters are ignored", ", ".join(there))
            return
        await self._change(partial(amend, line=line))

    async def _flush_interface(self, name: str) -> str | None:
        if name not in self._routing.wanted:
            return "No such interface"
        if name not in {i.name for i in self._config.interfaces} or is_pattern(name):
            return "Couldn't flush interface"
        await self._change(partial(_without, name=name))
        return None

    def _count(self, reason: str) -> None:
        self.counters[reason] = self.counters.get(reason, 0) + 1


def _without(config: BabeldConfig, name: str) -> BabeldConfig:
    return replace(config, interfaces=tuple(i for i in config.interfaces if i.name != name))
