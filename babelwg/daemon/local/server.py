"""The server of babeld's local protocol: clients and their places, replies in order, events between them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice

from babelwg.config.babeld.lexer import Mistake
from babelwg.daemon.local.follower import Follower
from babelwg.daemon.local.lines import BAD, NO, OK
from babelwg.daemon.local.requests import (
    Directive,
    FlushInterface,
    Question,
    ReopenLog,
    Request,
    read_request,
)
from babelwg.daemon.routing import RoutingService
from babelwg.daemon.turns import Turns
from babelwg.daemon.unixsocket import end

# Constants of babeld
MAX_LINE = 1023  # octets before the line feed
MAX_CLIENTS = 4  # at a time; more of them wait
# Implementation constants
MAX_WAITING = 16  # clients that wait for a place
MAX_UNREAD = 4 << 20  # octets that may wait for a client to read them
READ_TIMEOUT = 10.0  # seconds for a client to take a part of a reply
LINES_AT_ONCE = 500  # of a reply, before others get the loop
HTTP = (" HTTP/1.1", " HTTP/1.0")  # how the first line of a request to a web server ends

Change = Callable[[Request], Awaitable[str | None]]


class Client:
    """One connection; whoever reads too slowly is cut off and holds up nobody."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.monitoring = False
        self.following = False  # whether the tables are followed for it
        self._writer = writer
        self._replying = False
        self._waiting: list[bytes] = []  # events that happened while a reply was under way
        self._unread = 0  # octets of them

    async def reply(self, lines: list[str], final: str) -> None:
        """Send the lines of a reply and its end, then the events that happened meanwhile."""
        self._replying = True
        remaining = iter([*lines, final])
        while part := [*islice(remaining, LINES_AT_ONCE)]:
            self._writer.write(_octets(part))
            async with asyncio.timeout(READ_TIMEOUT):
                await self._writer.drain()
        self._replying = False
        self._writer.write(b"".join(self._waiting))
        self._waiting.clear()
        self._unread = 0

    def tell(self, octets: bytes) -> bool:
        """Send events, or keep them until the reply is out; return False for a client that was cut off for it."""
        if self._writer.transport.get_write_buffer_size() + self._unread + len(octets) > MAX_UNREAD:
            self.monitoring = False
            self._writer.transport.abort()
            return False
        if self._replying:
            self._waiting.append(octets)
            self._unread += len(octets)
        else:
            self._writer.write(octets)
        return True


class Conversations:
    """Talks to the clients of one server until it is closed."""

    def __init__(
        self,
        greeting: list[str],
        routing: RoutingService,
        change: Change | None,
        count: Callable[[str], None],
    ) -> None:
        """Tell of `routing`; `change` does what is asked and returns None, or why it cannot; None: read only."""
        self._greeting = greeting
        self._follower = Follower(routing, self._tell)
        self._change = change
        self._count = count
        self._places = asyncio.Semaphore(MAX_CLIENTS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._clients: set[Client] = set()
        self._turns = Turns()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk to one client, once there is a place for it."""
        task = asyncio.current_task()
        assert task is not None
        if len(self._tasks) >= MAX_CLIENTS + MAX_WAITING:
            self._count("client_refused.too-many")
            await end(writer)
            return
        self._tasks.add(task)
        try:
            async with self._places:
                await self._converse(reader, writer)
        except (ConnectionError, TimeoutError, asyncio.CancelledError):
            writer.transport.abort()
            self._count("client_lost")
        finally:
            self._tasks.discard(task)
            await end(writer)

    async def close(self) -> None:
        """End all conversations."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Client(writer)
        self._clients.add(client)
        self._count("client_served")
        try:
            await client.reply(self._greeting[:-1], self._greeting[-1])
            while (line := await self._read_line(reader)) is not None:
                try:
                    request = read_request(line)
                except Mistake:
                    await self._refuse(client)
                    if line.rstrip("\r\n").endswith(HTTP):
                        # A page in a browser on this machine; the body it sends must not be taken for requests.
                        self._count("client_dropped.http")
                        return
                    continue
                if request == Question("quit"):
                    return
                await self._answer(client, request)
        finally:
            self._clients.discard(client)
            self._unmonitor(client)

    async def _read_line(self, reader: asyncio.StreamReader) -> str | None:
        """Return a whole line; None where there is none any more, or one without an end."""
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            return None
        except asyncio.LimitOverrunError:
            self._count("client_dropped.line-too-long")
            return None
        return line.decode(errors="surrogateescape")

    async def _answer(self, client: Client, request: Request) -> None:
        match request:
            case Question("dump"):
                await self._turns.take(self._dump(client))
            case Question("monitor"):
                await self._turns.take(self._monitor(client))
            case Question(word):
                if word == "unmonitor":
                    self._unmonitor(client)
                await client.reply([], OK)
            case FlushInterface() | Directive() | ReopenLog():
                await self._do(client, request)

    async def _dump(self, client: Client) -> None:
        async with self._follower.using() as view:
            lines = view.lines()
        await client.reply(lines, OK)

    async def _monitor(self, client: Client) -> None:
        """Tell a client everything, and from this moment on each change."""
        if not client.following:
            client.following = True
            self._follower.begin()
        await self._follower.catch_up()
        client.monitoring = True
        await client.reply(self._follower.view.lines(), OK)

    def _unmonitor(self, client: Client) -> None:
        client.monitoring = False
        if client.following:
            client.following = False
            self._follower.end()

    async def _do(self, client: Client, request: Request) -> None:
        if self._change is None:
            await self._refuse(client)
            return
        try:
            refusal = await self._change(request)
        except Mistake:
            await self._refuse(client)
            return
        if self._follower.in_use:
            # What it has led to comes before the end of the reply.
            await self._follower.catch_up()
        await client.reply([], OK if refusal is None else f"{NO} {refusal}")

    async def _refuse(self, client: Client) -> None:
        self._count("request_bad")
        await client.reply([], BAD)

    def _tell(self, lines: list[str]) -> None:
        """Send events to those who asked for them."""
        octets = _octets(lines)
        for client in [*self._clients]:
            if client.monitoring and not client.tell(octets):
                self._count("client_dropped.slow")


def _octets(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape")
