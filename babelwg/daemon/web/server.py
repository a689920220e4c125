"""The HTTP server of the page: one door through which every request comes, and its bounds."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, cast

from aiohttp import web
from aiohttp.http import HttpProcessingError

from babelwg.config import Listen
from babelwg.daemon.feed import Feed
from babelwg.daemon.unixsocket import listen_by
from babelwg.daemon.web.answers import Answers, NotAnswered, error_response
from babelwg.daemon.web.files import page_files
from babelwg.daemon.web.guard import HEADERS, Rates, Refusal, host_refusal, site_refusal, token_refusal
from babelwg.daemon.web.places import Doing, Places, client_of
from babelwg.daemon.web.streams import Streams

log = logging.getLogger(__name__)

# Implementation constants
MAX_HEAD = 4 << 10  # octets of one line of a request
IDLE_TIMEOUT = 20.0  # seconds a connection may be without a whole request
ANSWER_TIMEOUT = 30.0  # seconds to make an answer and to have it taken
SWEEP_INTERVAL = 5.0  # seconds between looks for idle connections
CLOSE_TIMEOUT = 0.5  # seconds for conversations to end

SERVER = {"Server": "babelwg"}
TARGET = Refusal(400, "not-http", "the target of a request is a path")
WRONG_REQUESTS = {
    400: "the request is not HTTP as it is spoken here",
    413: "the request is longer than anything that is asked here",
    500: "the daemon failed to answer",
}


class Site(NamedTuple):
    """Where the page is served, under which further names, and the token that opens it."""

    listen: Listen
    hosts: tuple[str, ...]
    token: str | None


class WebServer:
    """Serves the page and its interface at one place until it is closed."""

    def __init__(self, site: Site, answers: Answers, count: Callable[[str], None]) -> None:
        """Count each refusal and loss by its reason with `count`."""
        self.site = site
        self._answers = answers
        self._count = count
        self._files = page_files()
        self._rates = Rates()
        self._streams = Streams(count)
        self._places = Places(count)
        self._door: web.Server | None = None
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def clients(self) -> int:
        """Return how many connections stand."""
        return len(self._door.connections) if self._door else 0

    async def start(self) -> None:
        """Listen. Raises OSError when the place cannot be had."""
        self._door = _Door(
            self._handle,
            handler_cancellation=True,
            access_log=None,
            logger=_complaints(self._count),
            keepalive_timeout=2 * IDLE_TIMEOUT,
            max_line_size=MAX_HEAD,
            max_field_size=MAX_HEAD,
            lingering_time=0.0,
        )
        listen, loop = self.site.listen, asyncio.get_running_loop()
        if listen.path:
            self._server = await listen_by(Path(listen.path), self._accept)
        else:
            self._server = await loop.create_server(self._accept, listen.address, listen.port)
        self._sweeper = asyncio.create_task(self._sweep())

    async def close(self) -> None:
        """Stop listening and end all conversations."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        if self._server is None or self._door is None:
            return
        self._server.close()
        self._streams.close()
        await self._door.shutdown(CLOSE_TIMEOUT)
        if self.site.listen.path:
            Path(self.site.listen.path).unlink(missing_ok=True)

    def _accept(self) -> asyncio.Protocol:
        return _Arrival(self._admit)

    def _admit(self, transport: asyncio.Transport) -> asyncio.Protocol | None:
        """Return who serves a connection that has just come, None where there is no place for it."""
        assert self._door is not None, "the server was started"
        now, client = asyncio.get_running_loop().time(), client_of(transport.get_extra_info("peername"))
        self._places.keep(self._door.connections)
        if not self._places.admit(client, now):
            return None
        handler = self._door()
        self._places.enter(handler, client, transport.abort, now)
        return handler

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; whatever happens, the answer has the headers that keep the page to itself."""
        try:
            return await self._answer(request)
        except (TimeoutError, ConnectionError):
            self._count("client_lost")
            if request.transport is not None:
                request.transport.abort()
            raise
        except web.HTTPException as error:
            return await self._refuse(
                request, Refusal(error.status, "body", WRONG_REQUESTS.get(error.status, error.reason))
            )
        finally:
            self._does(request, "nothing")

    def _does(self, request: web.BaseRequest, doing: Doing) -> None:
        self._places.does(request.protocol, doing, asyncio.get_running_loop().time())

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        client, loop = self._places.client(request.protocol), asyncio.get_running_loop()
        refusal = self._refusal(request) or self._places.running_refusal(client, loop.time())
        if refusal is not None:
            return await self._refuse(request, refusal)
        self._does(request, "asking")
        self._count("requests")
        async with asyncio.timeout(ANSWER_TIMEOUT):
            response = await self._respond(request)
            if isinstance(response, web.Response):
                self._does(request, "taking")
                return await _send(request, response)
        if (refusal := self._places.stream_refusal(client, loop.time())) is not None:
            response.close()
            return await self._refuse(request, refusal)
        self._does(request, "following")
        return await self._streams.serve(request, response, HEADERS | SERVER)

    def _refusal(self, request: web.BaseRequest) -> Refusal | None:
        if not request.raw_path.startswith("/"):
            return TARGET
        host, site = request.headers.get("Host", ""), self.site
        is_file = request.path in self._files
        client = self._places.client(request.protocol)
        refusal = self._rates.refusal(client, asyncio.get_running_loop().time())
        refusal = refusal or host_refusal(host, site.listen, site.hosts)
        refusal = refusal or site_refusal(request.headers, host, is_file and request.method == "GET")
        if refusal is None and not is_file and (request.method == "POST" or not site.listen.is_local):
            refusal = token_refusal(request.headers, site.token)
        return refusal

    async def _refuse(self, request: web.BaseRequest, refusal: Refusal) -> web.StreamResponse:
        self._count(f"refused.{refusal.reason}")
        async with asyncio.timeout(ANSWER_TIMEOUT):
            response = error_response(refusal.status, refusal.sentence)
            response.force_close()  # what else the request holds is not read
            return await _send(request, response)

    async def _respond(self, request: web.BaseRequest) -> web.Response | Feed:
        file = self._files.get(request.path)
        try:
            if file is None:
                return await self._answers.respond(request)
            if request.method not in ("GET", "HEAD"):
                raise NotAnswered(405, "method", "the files of the page can only be read")
        except NotAnswered as no:
            self._count(f"refused.{no.reason}")
            return error_response(no.status, str(no))
        tags = {"ETag": file.tag, "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == file.tag:
            return web.Response(status=304, headers=tags)
        return web.Response(body=file.body, headers={"Content-Type": file.content_type, **tags})

    async def _sweep(self) -> None:
        """End connections that hold a place and ask nothing."""
        while True:
            await asyncio.sleep(SWEEP_INTERVAL)
            assert self._door is not None, "the server was started"
            self._places.keep(self._door.connections)
            self._places.end_idle(asyncio.get_running_loop().time(), IDLE_TIMEOUT)


class _Handler(web.RequestHandler):
    """A connection whose complaints about what is no proper request have the headers of all answers."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return what is said of a request that cannot be read; it goes to the log as aiohttp has it."""
        super().handle_error(request, status, exc, message)
        response = error_response(status, WRONG_REQUESTS.get(status, "the request cannot be answered"))
        response.headers.update(HEADERS | SERVER)
        response.force_close()
        return response


class _Door(web.Server):
    """Makes our own handler for each connection."""

    def __call__(self) -> _Handler:
        return _Handler(self, loop=self._loop, **self._kwargs)


class _Arrival(asyncio.Protocol):
    """A connection that has just come: handed on to who serves it, or ended where it finds no place."""

    def __init__(self, admit: Callable[[asyncio.Transport], asyncio.Protocol | None]) -> None:
        self._admit = admit

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand it on before anything is read."""
        server = self._admit(cast(asyncio.Transport, transport))
        if server is None:
            transport.close()
            return
        transport.set_protocol(server)
        server.connection_made(transport)


class _Complaints(logging.Handler):
    """Takes what aiohttp says: what was no HTTP is counted, all else is a mistake of ours and goes to the log."""

    def __init__(self, count: Callable[[str], None]) -> None:
        super().__init__()
        self._count = count

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            self._count("refused.not-http")
        elif record.levelno >= logging.WARNING and not isinstance(error, ConnectionError | TimeoutError):
            log.handle(record)


def _complaints(count: Callable[[str], None]) -> logging.Logger:
    logger = logging.Logger("babelwg.web", logging.DEBUG)  # of this server alone, so in no tree
    logger.addHandler(_Complaints(count))
    return logger


async def _send(request: web.BaseRequest, response: web.Response) -> web.Response:
    """Send an answer now, while its time is measured."""
    response.headers.update(HEADERS | SERVER)
    await response.prepare(request)
    await response.write_eof()
    return response
