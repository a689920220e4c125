"""Unix sockets that speak lines of `key=value`, each request ended by an empty line."""

import errno
import logging
import os
import select
import socket
from collections.abc import Callable
from pathlib import Path

from babelwg.dataplane.later import Later
from babelwg.dataplane.loop import Loop

# Implementation constants
MAX_REQUEST = 1 << 20  # octets
MAX_CONNECTIONS = 64
MAX_NEWS = 1 << 14  # octets that wait for a connection to read them; what comes then is dropped
READ_SIZE = 1 << 16  # octets
SOCKET_MODE_MASK = 0o177  # leaves 0600

log = logging.getLogger("babelwg.dataplane")


class Subscription(str):
    """An answer to a connection that is told all news from then on."""


# Takes what has arrived so far, removes one whole request from it and returns the answer; None asks for more octets.
# Raising Hangup ends the connection. While an answer is made later, the next request of its connection waits.
Answer = Callable[[bytearray], str | Later | None]


class HangupError(Exception):
    """The connection is to be closed, after these last words if any."""


class SocketTakenError(Exception):
    """Another living program serves a socket."""


class TextServer:
    """Serves one Unix socket path."""

    def __init__(self, loop: Loop, path: Path, answer: Answer, descriptor: int | None = None) -> None:
        """Listen, taking the place of a program that has died; raises SocketTakenError or OSError.

        A `descriptor` listens there already.
        """
        self.path = path
        self._loop = loop
        self._answer = answer
        self._connections: set[Connection] = set()
        self._subscribers: set[Connection] = set()
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._listener = _listen(path) if descriptor is None else socket.socket(fileno=descriptor)
        except BaseException:
            os.close(self._spare)
            raise
        loop.watch(self._listener.fileno(), lambda _: self._accept())

    def fileno(self) -> int:
        """Return the descriptor that listens."""
        return self._listener.fileno()

    def close(self) -> None:
        """Stop listening and remove the path."""
        for connection in tuple(self._connections):
            connection.close()
        self._loop.forget(self._listener.fileno())
        self._listener.close()
        os.close(self._spare)
        self.path.unlink(missing_ok=True)

    def subscribe(self, connection: "Connection") -> None:
        """Tell a connection all news from now on."""
        self._subscribers.add(connection)

    def tell(self, news: str) -> None:
        """Tell every subscriber something; those that do not read miss it."""
        for connection in self._subscribers:
            connection.tell(news)

    def gone(self, connection: "Connection") -> None:
        """Forget a connection that has ended."""
        self._connections.discard(connection)
        self._subscribers.discard(connection)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                log.warning("accepting on %s: %s", self.path, error)
                return
            self._refuse_one()
            return
        if len(self._connections) >= MAX_CONNECTIONS:
            client.close()
            return
        self._connections.add(Connection(self, self._loop, client, self._answer))

    def _refuse_one(self) -> None:
        # Without descriptors the waiting connection would wake us for ever, so one kept for this is spent on it.
        log.warning("no more descriptors: a connection to %s is refused", self.path)
        os.close(self._spare)
        try:
            self._listener.accept()[0].close()
        except OSError as error:
            log.debug("refusing on %s: %s", self.path, error)
        self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


class Connection:
    """One client: requests in, answers out, neither ever blocking."""

    def __init__(self, server: TextServer, loop: Loop, client: socket.socket, answer: Answer) -> None:
        client.setblocking(False)
        self._server = server
        self._loop = loop
        self._client = client
        self._answer = answer
        self._received = bytearray()
        self._unsent = bytearray()
        self._ending = False
        self._closed = False
        self._awaited: Later | None = None
        loop.watch(client.fileno(), self._ready)

    def close(self) -> None:
        """End the connection."""
        self._closed = True
        self._loop.forget(self._client.fileno())
        self._client.close()
        self._server.gone(self)

    def tell(self, news: str) -> None:
        """Send something that was not asked for, in the loop's next turn; drop it where too much waits already."""
        if len(self._unsent) + len(news) <= MAX_NEWS and not self._ending:
            self._unsent += news.encode()
            self._loop.change(self._client.fileno(), select.EPOLLOUT)

    def _ready(self, events: int) -> None:
        try:
            if events & select.EPOLLIN:
                self._read()
            elif events & (select.EPOLLHUP | select.EPOLLERR):
                self._ending = True
                self._unsent.clear()
            self._go_on()
        except OSError as error:
            log.debug("connection to %s: %s", self._server.path, error)
            self.close()

    def _read(self) -> None:
        data = self._client.recv(READ_SIZE)
        self._received += data
        if not data or len(self._received) > MAX_REQUEST:
            self._ending = True
            self._received.clear()

    def _go_on(self) -> None:
        # Answers are made one by one as they leave, so that a client cannot fill our memory with them.
        while True:
            if not self._unsent and not self._ending:
                self._make_answer()
            if not self._unsent:
                break
            try:
                del self._unsent[: self._client.send(self._unsent)]
            except BlockingIOError:
                self._loop.change(self._client.fileno(), select.EPOLLOUT)
                return
        if self._ending:
            self.close()
        else:
            self._loop.change(self._client.fileno(), select.EPOLLIN)

    def _make_answer(self) -> None:
        try:
            answer = self._awaited or self._answer(self._received)
            if isinstance(answer, Later):
                answer = self._await(answer)
        except HangupError as words:
            answer = str(words)
            self._ending = True
        if isinstance(answer, Subscription):
            self._server.subscribe(self)
        self._unsent += (answer or "").encode()

    def _await(self, later: Later) -> str | None:
        """Return an answer that was to come later; None while it has not."""
        self._awaited = later if later.answer is None else None
        later.heeded = self._go_on_later
        return later.answer

    def _go_on_later(self) -> None:
        if not self._closed:
            self._ready(0)


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    before = os.umask(SOCKET_MODE_MASK)
    try:
        _remove_stale(path)
        listener.bind(str(path))
        listener.listen(16)
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


def _remove_stale(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:
            pass  # Its queue is full, so it lives.
    raise SocketTakenError(f"{path} is served by a program that is running")
