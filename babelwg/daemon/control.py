"""The control socket: one JSON-RPC 2.0 object per line, over a Unix stream socket.

A method that goes on answering, such as `monitor`, has its result followed by a notification for each event.
"""

import asyncio
import contextlib
import json
import logging
import os
import select
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import msgspec

from babelwg.babel.tables.allowance import Allowance
from babelwg.daemon.feed import Feed
from babelwg.daemon.turns import Turns
from babelwg.daemon.unixsocket import end, listen

log = logging.getLogger(__name__)

# Specification constants (JSON-RPC 2.0, section 5.1)
PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND = -32700, -32600, -32601
INVALID_PARAMS, INTERNAL_ERROR = -32602, -32603
# Our own codes
CONFIGURATION_REFUSED = -32001  # the new configuration has errors, the old one stays
PERMISSION_REFUSED = -32002  # the group may ask; only root and the daemon's own user may change something
# Implementation constants
REQUEST_LIMIT = 64 << 10  # octets of one request
MAX_CLIENTS = 32
RESERVED_CLIENTS = 4  # of them are kept for root: the group must not lock the operator out
REQUEST_RATE, REQUEST_BURST = 50.0, 100  # requests of one connection in a second, and at once
IDLE_TIMEOUT = 60.0  # seconds a client may be silent
LOOK_INTERVAL = 0.5  # seconds between looks whether a client still waits for its answer
WRITE_TIMEOUT = 10.0  # seconds for a client to take its answer

# Whether who asks may change the daemon too, for methods that keep places for them
asked_by_operator: ContextVar[bool] = ContextVar("asked_by_operator", default=False)

Params = dict[str, Any]
Method = Callable[[Params], Awaitable[Any]]


class RequestError(Exception):
    """A request that cannot be answered: its code and one sentence."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


class ControlServer:
    """Answers the command line; a slow or hostile client hurts nobody but itself."""

    def __init__(
        self, path: Path, methods: Mapping[str, Method], changing: frozenset[str] = frozenset()
    ) -> None:
        """Serve `methods`; those named in `changing` are for root and the daemon's own user only."""
        self.counters: dict[str, int] = {}
        self._path = path
        self._methods = methods
        self._changing = changing
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._turns = Turns()

    async def start(self) -> None:
        """Listen. Raises FileExistsError when another daemon answers there, OSError when it cannot be made."""
        self._server = await listen(self._path, self._serve, REQUEST_LIMIT)

    async def close(self) -> None:
        """Stop listening and end all conversations."""
        if self._server is not None:
            self._server.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        trusted = _is_trusted(_user_of(writer))
        asked_by_operator.set(trusted)
        if len(self._clients) >= MAX_CLIENTS - (0 if trusted else RESERVED_CLIENTS):
            self._count("client_refused.too-many")
            await end(writer)
            return
        self._clients.add(task)
        try:
            await self._converse(reader, writer)
        except (ConnectionError, TimeoutError, asyncio.CancelledError):
            # What it has not read, it will not read: the descriptor must not outlive the conversation.
            writer.transport.abort()
            self._count("client_lost")
        finally:
            self._clients.discard(task)
            await end(writer)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        allowance, clock = Allowance(), asyncio.get_running_loop().time
        while True:
            try:
                async with asyncio.timeout(IDLE_TIMEOUT):
                    line = await reader.readline()
            except ValueError:
                self._count("request_refused.too-long")
                line = b""
                writer.write(
                    _error(None, INVALID_REQUEST, f"the request is longer than {REQUEST_LIMIT} octets")
                )
            if not line:
                await _drain(writer)
                return
            while not allowance.spend(1, REQUEST_BURST, REQUEST_RATE, clock()):
                self._count("request_delayed")
                await asyncio.sleep(1 / REQUEST_RATE)
            answer = await self._answer_while_wanted(line, writer)
            if isinstance(answer, Feed):
                await self._stream(reader, writer, answer)
                return
            writer.write(answer)
            await _drain(writer)

    async def _answer_while_wanted(self, line: bytes, writer: asyncio.StreamWriter) -> bytes | Feed:
        """Return the answer to a request; when its client goes away, what only reads is given up."""
        user = _user_of(writer)
        answering = self._answer(line, user)
        if _is_trusted(user):
            if self._is_change(line):
                return await answering  # never left half done
        else:
            # What the group asks must hold up neither the Hellos nor the operator.
            answering = self._turns.take(answering)
        task = asyncio.create_task(answering)
        try:
            while not (await asyncio.wait([task], timeout=LOOK_INTERVAL))[0]:
                if _is_gone(writer):
                    raise ConnectionResetError("the client is gone")
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, feed: Feed) -> None:
        """Send what a feed holds until its client says anything more, goes away, or is too slow."""
        watcher = asyncio.ensure_future(reader.read(1))
        watcher.add_done_callback(lambda _: feed.close())
        try:
            while lines := await feed.take():
                writer.write(lines)
                await _drain(writer)
            if feed.lost:
                self._count("client_too_slow")
                writer.write(
                    notification("cut", {"reason": "this reader is too slow, so the stream ends here"})
                )
                await _drain(writer)
        finally:
            feed.close()
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)

    async def _answer(self, line: bytes, user: int) -> bytes | Feed:
        identity = None
        try:
            request = _parse(line)
            identity = request.get("id")
            method = self._methods.get(request["method"])
            if method is None:
                raise RequestError(METHOD_NOT_FOUND, f"unknown method {request['method']!r}")
            if request["method"] in self._changing and not _is_trusted(user):
                raise RequestError(PERMISSION_REFUSED, "only root may change this node: run it as root")
            result = await method(request.get("params") or {})
        except RequestError as error:
            self._count("request_refused")
            return _error(identity, error.code, str(error))
        except Exception as error:
            log.exception("query-failed")
            self._count("request_failed")
            return _error(identity, INTERNAL_ERROR, f"the daemon failed to answer: {error}")
        if not isinstance(result, Feed):
            return _result(identity, result)
        result.begin(_result(identity, result.head))
        return result

    def _is_change(self, line: bytes) -> bool:
        try:
            return _parse(line)["method"] in self._changing
        except RequestError:
            return False

    def _count(self, reason: str) -> None:
        self.counters[reason] = self.counters.get(reason, 0) + 1


def encode(value: Any) -> bytes:
    """Return plain data as JSON."""
    try:
        # A table of ten thousand routes takes a tenth of the time that json needs, in which no Hello could leave.
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value).encode()  # the name of a file need not be text


def notification(method: str, params: Any) -> bytes:
    """Return the line that tells a client of an event it has asked for."""
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode() + b"\n"


def _parse(line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise RequestError(PARSE_ERROR, f"the request is not JSON: {error}") from error
    if not isinstance(request, dict) or not isinstance(request.get("method"), str):
        raise RequestError(INVALID_REQUEST, "a request is an object with a method")
    if not isinstance(request.get("params") or {}, dict):
        raise RequestError(INVALID_PARAMS, "params is an object")
    return request


def _result(identity: Any, result: Any) -> bytes:
    return encode({"jsonrpc": "2.0", "id": identity, "result": result}) + b"\n"


def _error(identity: Any, code: int, message: str) -> bytes:
    error = {"code": code, "message": message}
    return json.dumps({"jsonrpc": "2.0", "id": identity, "error": error}).encode() + b"\n"


def _is_trusted(user: int) -> bool:
    """Return whether a user may change the daemon, and need not wait for those who may not."""
    return user in (0, os.geteuid())


def _user_of(writer: asyncio.StreamWriter) -> int:
    """Return the user id of the process at the other end."""
    credentials = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int(struct.unpack("=iII", credentials)[1])


def _is_gone(writer: asyncio.StreamWriter) -> bool:
    """Return whether nobody is at the other end; who only has nothing more to ask still waits for the answer."""
    descriptor = writer.get_extra_info("socket").fileno()
    if descriptor < 0:
        return True
    poll = select.poll()
    poll.register(descriptor, 0)  # an end is told unasked
    return bool(poll.poll(0))


async def _drain(writer: asyncio.StreamWriter) -> None:
    async with asyncio.timeout(WRITE_TIMEOUT):
        await writer.drain()
