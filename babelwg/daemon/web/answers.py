"""What the page may ask the daemon: the reading queries, the stream of events, the metrics, and a few changes."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from babelwg.daemon.control import CONFIGURATION_REFUSED, METHOD_NOT_FOUND, Method, RequestError
from babelwg.daemon.feed import Feed
from babelwg.daemon.turns import Turns

log = logging.getLogger(__name__)

# Implementation constants
READING = (
    "status",
    "peers",
    "neighbours",
    "routes",
    "xroutes",
    "sources",
    "interfaces",
    "gateways",
    "filters",
    "stats",
    "topology",
    "history",
    "route_explain",
    "route_get",
)
# What may be changed, by the name that the page knows it under
CHANGES = {"reload": "reload", "up": "peer_up", "down": "peer_down", "restart": "peer_restart"}
NUMBERS = {"limit": int, "since_s": float}
MAX_PARAMETERS = 8
MAX_BODY = 4 << 10  # octets
FRESH = 0.25  # seconds an answer without parameters may be given again
COMPRESSED = 4 << 10  # octets from which on an answer is compressed
SCHEMA = "babelwg/1"
STATUS_OF = {METHOD_NOT_FOUND: 404, CONFIGURATION_REFUSED: 409}


class NotAnswered(Exception):
    """A request that has no answer: HTTP status, the word it is counted under, one sentence."""

    def __init__(self, status: int, reason: str, sentence: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(sentence)


class Answers:
    """Turns a request into an answer, or into a feed of events."""

    def __init__(self, methods: Mapping[str, Method], name: Callable[[], str]) -> None:
        """Ask `methods`; `name` tells the node's."""
        self._methods = methods
        self._name = name
        self._turns = Turns()
        self._given: dict[str, tuple[float, bytes]] = {}  # the last answer of each query without parameters

    async def respond(self, request: web.BaseRequest) -> web.Response | Feed:
        """Return the answer to a request. Raises NotAnswered."""
        if request.path == "/metrics":
            return await self._metrics(request)
        section, _, name = request.path.removeprefix("/").partition("/")
        if section != "api":
            raise NotAnswered(404, "path", "there is no such page")
        try:
            if request.method == "POST":
                return await self._change(request, name)
            _expect(request, "GET")
            if name == "events":
                return await self._events(request)
            return _json(self._index() if not name else await self._read(request, name))
        except RequestError as error:
            raise NotAnswered(STATUS_OF.get(error.code, 400), "params", str(error)) from error

    def _index(self) -> bytes:
        """Return what this daemon can be asked, so that the page offers nothing else."""
        known = self._methods.keys()
        data = {
            "reading": [name for name in READING if name in known],
            "changes": [name for name, method in CHANGES.items() if method in known],
            "events": "monitor" in known,
        }
        return self._envelope(data)

    async def _read(self, request: web.BaseRequest, name: str) -> bytes:
        method = self._methods.get(name) if name in READING else None
        if method is None:
            raise NotAnswered(404, "path", f"this daemon has no answer called {name[:40]!r}")
        params = _parameters(request)
        return await self._turns.take(self._make(name, method, params))

    async def _make(self, name: str, method: Method, params: dict[str, Any]) -> bytes:
        # Looked up when it is its turn: by then somebody else may have been given the same.
        when, body = self._given.get(name, (0.0, b""))
        now = asyncio.get_running_loop().time()
        if body and not params and now - when < FRESH:
            return body
        body = self._envelope(await _ask(method, params))
        if not params:
            self._given[name] = (asyncio.get_running_loop().time(), body)
        return body

    async def _events(self, request: web.BaseRequest) -> Feed:
        method = self._methods.get("monitor")
        if method is None:
            raise NotAnswered(404, "path", "this daemon has no stream of events")
        feed = await self._turns.take(_ask(method, _parameters(request)))
        assert isinstance(feed, Feed), "monitor answers with a feed"
        return feed

    async def _change(self, request: web.BaseRequest, name: str) -> web.Response:
        method = self._methods.get(CHANGES.get(name, ""))
        if method is None:
            raise NotAnswered(404, "path", f"nothing called {name[:40]!r} can be changed here")
        if request.content_type != "application/json":
            raise NotAnswered(415, "body", "the body of a change is JSON")
        if request.content_length is None or request.content_length > MAX_BODY:
            raise NotAnswered(413, "body", f"the body of a change has a length of at most {MAX_BODY} octets")
        try:
            params = msgspec.json.decode(await request.read(), type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError) as error:
            raise NotAnswered(400, "body", f"the body is no JSON object: {error}") from error
        log.info("asked-by-the-page change=%s", name)
        # A browser that goes away must not leave a change half done.
        return _json(self._envelope(await asyncio.shield(_ask(method, params))))

    async def _metrics(self, request: web.BaseRequest) -> web.Response:
        _expect(request, "GET")
        method = self._methods.get("metrics")
        if method is None:
            raise NotAnswered(404, "path", "this daemon has no metrics")
        text = (await self._turns.take(_ask(method, {})))["text"]
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return web.Response(body=text.encode(), headers={"Content-Type": kind, "Cache-Control": "no-store"})

    def _envelope(self, data: Any) -> bytes:
        return msgspec.json.encode({"schema": SCHEMA, "node": self._name(), "data": data})


def error_response(status: int, sentence: str) -> web.Response:
    """Return an answer that says in one sentence why there is none."""
    response = _json(msgspec.json.encode({"error": sentence}), status)
    if status == 401:
        # A word of our own: a browser that does not know it asks its user for no password.
        response.headers["WWW-Authenticate"] = 'Bearer realm="babelwg"'
    return response


async def _ask(method: Method, params: dict[str, Any]) -> Any:
    try:
        return await method(params)
    except RequestError:
        raise
    except Exception as error:
        log.exception("query-failed")
        raise NotAnswered(500, "failed", "the daemon failed to answer; its log tells why") from error


def _json(body: bytes, status: int = 200) -> web.Response:
    response = web.Response(body=body, status=status, headers={"Cache-Control": "no-store"})
    response.content_type = "application/json"
    if len(body) > COMPRESSED:
        response.enable_compression()
    return response


def _parameters(request: web.BaseRequest) -> dict[str, Any]:
    if len(request.query) > MAX_PARAMETERS:
        raise NotAnswered(400, "params", f"more than {MAX_PARAMETERS} parameters")
    try:
        return {key: NUMBERS.get(key, str)(value) for key, value in request.query.items()}
    except (ValueError, OverflowError) as error:
        raise NotAnswered(400, "params", f"a parameter is no number: {error}") from error


def _expect(request: web.BaseRequest, *methods: str) -> None:
    if request.method not in methods:
        raise NotAnswered(405, "method", f"only {' and '.join(methods)} can be used here")
