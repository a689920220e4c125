"""Questions to the daemon: one JSON-RPC 2.0 object per line over its Unix socket."""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import click

from babelwg.cli.exits import CONFIGURATION, NEGATIVE, NO_DAEMON, PERMISSION, Failure

SocketPath = str | os.PathLike[str]

TIMEOUT = 5.0  # seconds for the whole exchange
MAX_ANSWER = 64 << 20  # octets; a table of 100,000 routes stays below
LARGE_ANSWER = 256 << 10  # octets that are handed on as they came
HEAD, DATA = b'{"jsonrpc":"2.0","id":1,"result":{"node":', b',"data":'  # as the daemon writes them
# The daemon's own codes: a configuration with errors, and something that this user may not change
REFUSALS = {-32001: CONFIGURATION, -32002: PERMISSION}


class Hangs(Failure):
    """Somebody holds the socket and does not answer."""


class Answer(NamedTuple):
    """What the daemon said, and the name of its node."""

    node: str | None
    data: Any


class Stream(NamedTuple):
    """The answer of a method that goes on answering, and what each of its events says."""

    answer: Answer
    events: Iterator[Any]


def ask(
    path: SocketPath,
    method: str,
    params: dict[str, Any] | None = None,
    timeout: float = TIMEOUT,
    parse_float: Callable[[str], Any] = float,
) -> Answer:
    """Return the daemon's answer, fractions as `parse_float` makes them; a Failure says in one sentence why not.

    A daemon that let one question of a command time out is not waited for again by the same command.
    """
    return _parse(_ask_line(path, method, params, timeout), parse_float)


def ask_json(path: SocketPath, method: str, schema: str, params: dict[str, Any] | None = None) -> bytes:
    """Return the daemon's answer as the JSON that scripts read; a Failure says in one sentence why there is none.

    A large one is handed on as it came: to read ten thousand routes and write them again takes longer than asking.
    """
    line = _ask_line(path, method, params, TIMEOUT)
    start = line.find(DATA, len(HEAD))
    is_handed_on = (
        len(line) >= LARGE_ANSWER and line.isascii() and line.startswith(HEAD) and line.endswith(b"}}")
    )
    if start < 0 or not is_handed_on:
        answer = _parse(line)
        return json.dumps({"schema": schema, "node": answer.node, "data": answer.data}).encode()
    node, data = line[len(HEAD) : start], line[start + len(DATA) : -2]
    return b'{"schema": "%b", "node": %b, "data": %b}' % (schema.encode(), node, data)


def follow(
    path: SocketPath, method: str, params: dict[str, Any] | None = None, timeout: float = TIMEOUT
) -> Stream:
    """Return the daemon's answer, due within `timeout` seconds, and its events, which are waited for without end.

    The events end when the daemon ends the stream, also because it ends itself; a Failure says that this reader
    was too slow, or that the stream broke off.
    """
    deadline = time.monotonic() + timeout
    connection = _connect(path, deadline)
    try:
        line, rest = _exchange(connection, path, _request(method, params), deadline, timeout)
        return Stream(_parse(line), _events(connection, rest))
    except BaseException:
        connection.close()
        raise


def wait_until_gone(path: SocketPath, timeout: float) -> bool:
    """Return whether nobody answers on a socket any more before a time-out in seconds."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            _connect(path, deadline).close()
        except Hangs:
            return False
        except Failure:
            return True
        time.sleep(0.05)
    return False


def _ask_line(path: SocketPath, method: str, params: dict[str, Any] | None, timeout: float) -> bytes:
    hanging = _hanging()
    if (before := hanging.get(os.fspath(path))) is not None:
        raise before
    deadline = time.monotonic() + timeout
    try:
        with _connect(path, deadline) as connection:
            return _exchange(connection, path, _request(method, params), deadline, timeout)[0]
    except Hangs as failure:
        hanging[os.fspath(path)] = failure
        raise


def _hanging() -> dict[str, Hangs]:
    """Return the sockets on which a question of the present command timed out."""
    context = click.get_current_context(silent=True)
    known: dict[str, Hangs] = context.meta.setdefault(__name__, {}) if context else {}
    return known


def _connect(path: SocketPath, deadline: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(max(0.01, deadline - time.monotonic()))
        connection.connect(os.fspath(path))
    except PermissionError:
        connection.close()
        hint = "run it as root, or as a member of the group babelwg"
        raise Failure(f"this user may not use {path}: {hint}", PERMISSION) from None
    except (OSError, ValueError) as error:
        connection.close()
        # Its queue is full of those who wait already.
        kind = Hangs if isinstance(error, TimeoutError) else Failure
        raise kind(f"no daemon answers at {path or 'an empty path'}: {_why(error)}", NO_DAEMON) from None
    return connection


def _why(error: OSError | ValueError) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such socket; is `babelwg daemon` running?"
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens on the socket; the daemon has ended"
    return str(getattr(error, "strerror", None) or error)


def _request(method: str, params: dict[str, Any] | None) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}).encode() + b"\n"


def _exchange(
    connection: socket.socket, path: SocketPath, request: bytes, deadline: float, timeout: float
) -> tuple[bytes, bytes]:
    """Return the line that answers a request, and what came after it."""
    try:
        connection.sendall(request)
        return _read_line(connection, deadline)
    except TimeoutError:
        raise Hangs(f"the daemon at {path} does not answer within {timeout:g} s", NO_DAEMON) from None
    except OSError as error:
        message = f"the daemon at {path} closed the connection: {error.strerror or error}"
        raise Failure(message, NO_DAEMON) from None


def _read_line(connection: socket.socket, deadline: float) -> tuple[bytes, bytes]:
    chunks: list[bytes] = []
    size = 0
    while not chunks or b"\n" not in chunks[-1]:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        connection.settimeout(remaining)
        chunk = connection.recv(1 << 18)
        if not chunk:
            raise Failure(_cut_off(size), NO_DAEMON)
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_ANSWER:
            raise Failure(f"the daemon's answer is longer than {MAX_ANSWER >> 20} MiB", NEGATIVE)
    line, _, rest = b"".join(chunks).partition(b"\n")
    return line, rest


def _events(connection: socket.socket, received: bytes) -> Iterator[Any]:
    """Yield what each event says, until the daemon ends the stream."""
    with connection:
        connection.settimeout(None)
        while True:
            *lines, received = received.split(b"\n")
            for line in lines:
                yield _parse_event(line)
            try:
                chunk = connection.recv(1 << 16)
            except OSError as error:
                message = f"the daemon closed the connection: {error.strerror or error}"
                raise Failure(message, NO_DAEMON) from None
            if not chunk:
                break
            received += chunk
            if len(received) > MAX_ANSWER:
                raise Failure(f"the daemon's answer is longer than {MAX_ANSWER >> 20} MiB", NEGATIVE)
        if received:
            raise Failure(_cut_off(len(received)), NO_DAEMON)


def _parse_event(line: bytes) -> Any:
    document = _document(line)
    params = document.get("params")
    if document.get("method") == "cut":
        reason = params.get("reason") if isinstance(params, dict) else None
        raise Failure(f"the daemon cut the stream off: {reason or 'no reason given'}", NEGATIVE)
    return params


def _cut_off(size: int) -> str:
    if size == 0:
        return "the daemon closed the connection without an answer; is it stopping, or overrun by clients?"
    return f"the daemon's answer broke off after {size} octets"


def _document(line: bytes, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    try:
        document = json.loads(line, parse_float=parse_float)
    except (ValueError, RecursionError):
        raise Failure("the daemon's answer is not JSON", NEGATIVE) from None
    return document if isinstance(document, dict) else {}


def _parse(line: bytes, parse_float: Callable[[str], Any] = float) -> Answer:
    document = _document(line, parse_float)
    error = document.get("error")
    if isinstance(error, dict):
        number = error.get("code")
        code = REFUSALS.get(number, NEGATIVE) if isinstance(number, int) else NEGATIVE
        raise Failure(str(error.get("message", "the daemon refused without a reason")), code)
    result = document.get("result")
    if not isinstance(result, dict) or "data" not in result:
        raise Failure("the daemon's answer has no result; is it of another version?", NEGATIVE)
    return Answer(result.get("node"), result["data"])
