"""Endpoints of peers: names become addresses in the background, and a list is tried in turn."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from babelwg.babel.wire.prefix import is_link_local
from babelwg.config import Endpoint
from babelwg.daemon.recorder import Note, silent
from babelwg.linux.tunnels.tunnel import SocketAddress

log = logging.getLogger(__name__)

# Implementation constants
FIRST_RETRY, LAST_RETRY = 2.0, 60.0  # seconds between attempts for a name that does not resolve
REFRESH = 300.0  # seconds after which a name is looked up again, for addresses that change


class EndpointResolver:
    """The addresses of one peer's endpoints; `changed` is called when they become others."""

    def __init__(
        self,
        peer: str,
        endpoints: tuple[Endpoint, ...],
        changed: Callable[[], None],
        note: Note = silent,
    ) -> None:
        self.peer = peer
        self._note = note
        self.endpoints = endpoints
        self.problem: str | None = None
        self._changed = changed
        self._found: dict[Endpoint, tuple[SocketAddress, ...]] = {}
        self._turn = 0
        self._task: asyncio.Task[None] | None = None
        for endpoint in endpoints:
            literal = literal_address(endpoint)
            if literal is not None and not is_link_local(literal[0]):
                self._found[endpoint] = (literal,)
        if any(endpoint not in self._found for endpoint in endpoints):
            self._task = asyncio.create_task(self._resolve())

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    @property
    def current(self) -> SocketAddress | None:
        """The address to use now, None while there is none."""
        candidates = self._candidates()
        return candidates[self._turn % len(candidates)] if candidates else None

    def next(self) -> bool:
        """Go on to the next address, since this one does not answer; return whether there is another."""
        self._turn += 1
        return len(self._candidates()) > 1

    def _candidates(self) -> list[SocketAddress]:
        return [address for endpoint in self.endpoints for address in self._found.get(endpoint, ())]

    async def _resolve(self) -> None:
        delay = FIRST_RETRY
        while True:
            before = self.current
            problems = [problem for e in self.endpoints if (problem := await self._resolve_one(e))]
            problem = "; ".join(problems) or None
            if problem and problem != self.problem:
                log.warning("endpoint-unresolved peer=%s %s", self.peer, problem)
                text = f"an endpoint of {self.peer} has no address"
                self._note("endpoint-unresolved", text, problem, peer=self.peer)
            self.problem = problem
            if self.current != before:
                log.info("endpoint-resolved peer=%s", self.peer)
                self._note("endpoint-resolved", f"the endpoint of {self.peer} has an address", peer=self.peer)
                self._changed()
            await asyncio.sleep(delay if problem else REFRESH)
            delay = min(2 * delay, LAST_RETRY) if problem else FIRST_RETRY

    async def _resolve_one(self, endpoint: Endpoint) -> str | None:
        """Look one name up; return what went wrong. An old answer stays in use when a later look-up fails."""
        literal = literal_address(endpoint)
        if "%" in endpoint.host or (literal is not None and is_link_local(literal[0])):
            return f"{endpoint.host}: link-local endpoints are not supported"
        if literal is not None:
            return None
        try:
            answers = await _look_up(endpoint)
        except (OSError, UnicodeError, RuntimeError) as error:  # RuntimeError: no thread can be started
            reason = error.strerror if isinstance(error, OSError) else str(error)
            return f"{endpoint.host} does not resolve: {reason}"
        self._take(endpoint, answers)
        return None

    def _take(self, endpoint: Endpoint, answers: tuple[SocketAddress, ...]) -> None:
        """Keep an answer, and the present address with it while it is among the answers: a session may use it."""
        before = self.current
        self._found[endpoint] = answers
        candidates = self._candidates()
        if before in candidates:
            self._turn = candidates.index(before)


async def _look_up(endpoint: Endpoint) -> tuple[SocketAddress, ...]:
    """Return the addresses of a name, each once. Raises OSError and UnicodeError.

    Each look-up has a thread of its own, which does not hold up the end of the daemon: the system's resolver may
    take half a minute, and many dead names must not fill a pool that others need.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[tuple[SocketAddress, ...]] = loop.create_future()

    def settle(found: tuple[SocketAddress, ...] | Exception) -> None:
        if answer.done():
            return  # nobody waits any more
        if isinstance(found, Exception):
            answer.set_exception(found)
        else:
            answer.set_result(found)

    def work() -> None:
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, _resolve_now(endpoint))

    threading.Thread(target=work, name=f"resolve {endpoint.host}", daemon=True).start()
    return await answer


def _resolve_now(endpoint: Endpoint) -> tuple[SocketAddress, ...] | Exception:
    try:
        answers = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        return error
    found = (
        (socket.inet_pton(family, str(where[0]).partition("%")[0]), int(where[1]))
        for family, *_, where in answers
    )
    usable = tuple(dict.fromkeys(address for address in found if not is_link_local(address[0])))
    return usable or OSError(0, "it has link-local addresses only")


def literal_address(endpoint: Endpoint) -> SocketAddress | None:
    """Return the address of an endpoint that is written as one, None for a name."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_pton(family, endpoint.host), endpoint.port
        except OSError:
            continue
    return None
