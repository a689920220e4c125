"""The page's server on a real port of the loopback interface: what it gives out, what it refuses, its bounds."""

import asyncio
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest

import babelwg.daemon.web.places as places_module
import babelwg.daemon.web.server as server_module
import babelwg.daemon.web.streams as streams_module
from babelwg.config import Listen
from babelwg.daemon.control import CONFIGURATION_REFUSED, INVALID_PARAMS, RequestError, notification
from babelwg.daemon.feed import Feed
from babelwg.daemon.web.answers import CHANGES, READING, Answers
from babelwg.daemon.web.guard import CONTENT_POLICY
from babelwg.daemon.web.server import Site, WebServer

TOKEN = "a-token-of-some-length"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
HOSTILE = "<img src=x onerror=alert(1)>"


class Daemon:
    """The queries of a node that is none."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.feeds: list[Feed] = []
        self.held = asyncio.Event()
        names = ("status", "topology", "route_get", "reload", "stop", "web_open", "peers", "gateways")
        self.methods: dict[str, Callable[[Any], Awaitable[Any]]] = {
            name: self._answer(name) for name in names
        }
        self.methods |= {"monitor": self.monitor, "metrics": self.metrics, "history": self.refuse}

    def _answer(self, name: str) -> Callable[[Any], Awaitable[Any]]:
        async def answer(params: dict[str, Any]) -> Any:
            self.asked.append((name, params))
            if name == "peers":
                raise ZeroDivisionError("a secret of the daemon")
            if name == "reload" and params.get("broken"):
                raise RequestError(CONFIGURATION_REFUSED, "line 3")
            if name == "gateways":
                await self.held.wait()
            return {"what": name, "name": HOSTILE}

        return answer

    async def monitor(self, params: dict[str, Any]) -> Feed:
        feed = Feed({}, self.feeds.remove, limit=1 << 20)
        self.feeds.append(feed)
        return feed

    async def metrics(self, params: dict[str, Any]) -> Any:
        return {"text": "babelwg_up 1\n"}

    async def refuse(self, params: dict[str, Any]) -> Any:
        raise RequestError(INVALID_PARAMS, f"no such peer {params['about']}")


class Reply(NamedTuple):
    status: int
    headers: Any
    body: str

    @property
    def data(self) -> Any:
        return json.loads(self.body)


class Page:
    """A server that runs, and a client that asks it."""

    def __init__(self, server: WebServer, daemon: Daemon, counters: dict[str, int], port: int) -> None:
        self.server, self.daemon, self.counters, self.port = server, daemon, counters, port
        self.url = f"http://127.0.0.1:{port}"
        self.session = aiohttp.ClientSession()

    async def ask(self, path: str, method: str = "GET", **options: Any) -> Reply:
        url = self.url + path
        async with self.session.request(method, url, allow_redirects=False, **options) as response:
            return Reply(response.status, response.headers, await response.text())

    async def raw(self, data: bytes) -> bytes:
        """Return all that comes back for these octets until the server ends the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        try:
            async with asyncio.timeout(60):
                return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()


@asynccontextmanager
async def running(address: str = "127.0.0.1", token: str | None = TOKEN) -> AsyncIterator[Page]:
    daemon, counters = Daemon(), {}

    def count(what: str) -> None:
        counters[what] = counters.get(what, 0) + 1

    site = Site(Listen(address, 0), ("mesh.example.net",), token)
    server = WebServer(site, Answers(daemon.methods, lambda: "alpha"), count)
    await server.start()
    assert server._server is not None
    page = Page(server, daemon, counters, server._server.sockets[0].getsockname()[1])
    try:
        yield page
    finally:
        await page.session.close()
        await server.close()


def on_page(action: Callable[[Page], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        async with running(**options) as page:
            await action(page)

    asyncio.run(run())


def test_every_file_of_the_page_is_given_out_and_needs_no_other_place() -> None:
    async def action(page: Page) -> None:
        paths = set(page.server._files)
        assert {"/", "/index.html", "/style.css", "/js/main.mjs"} <= paths
        for path in paths:
            reply = await page.ask(path)
            assert reply.status == 200, path
            assert "://" not in reply.body.replace("http://www.w3.org/2000/svg", ""), path
            again = await page.ask(path, headers={"If-None-Match": reply.headers["ETag"]})
            assert (again.status, again.body) == (304, "")
        imports = set()
        for path in paths:
            imports |= set(re.findall(r'from "\./([a-z]+\.mjs)"', (await page.ask(path)).body))
        assert imports
        assert all(f"/js/{name}" in paths for name in imports)

    on_page(action)


@pytest.mark.parametrize(
    "path", ["/", "/js/main.mjs", "/api/", "/api/status", "/api/nothing", "/nothing", "/metrics"]
)
def test_every_answer_keeps_the_page_to_itself(path: str) -> None:
    async def action(page: Page) -> None:
        for headers in ({}, {"Host": "evil.example"}, {"Origin": "http://evil.example"}):
            reply = await page.ask(path, headers=headers)
            assert reply.headers["Content-Security-Policy"] == CONTENT_POLICY
            assert reply.headers["X-Content-Type-Options"] == "nosniff"
            assert reply.headers["X-Frame-Options"] == "DENY"
            assert reply.headers["Referrer-Policy"] == "no-referrer"
            assert reply.headers["Server"] == "babelwg"
            assert not [name for name in reply.headers if name.lower().startswith("access-control")]
            if path.startswith("/api") or headers:
                assert reply.headers["Cache-Control"] == "no-store"
                assert reply.headers["Content-Type"].startswith("application/json")

    on_page(action)


def test_reading_queries_are_answered_with_their_parameters() -> None:
    async def action(page: Page) -> None:
        reply = await page.ask("/api/route_get?address=10.23.0.2&source=10.23.0.1&limit=5")
        data = {"what": "route_get", "name": HOSTILE}
        assert reply.data == {"schema": "babelwg/1", "node": "alpha", "data": data}
        params = {"address": "10.23.0.2", "source": "10.23.0.1", "limit": 5}
        assert page.daemon.asked == [("route_get", params)]

    on_page(action)


def test_many_pages_cost_the_daemon_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("babelwg.daemon.web.answers.FRESH", 3600.0)

    async def action(page: Page) -> None:
        for _ in range(10):
            assert (await page.ask("/api/topology")).status == 200
        assert len(page.daemon.asked) == 1

    on_page(action)


def test_page_is_told_what_the_daemon_can_answer() -> None:
    async def action(page: Page) -> None:
        data = (await page.ask("/api/")).data["data"]
        assert data["changes"] == ["reload"]
        assert data["events"] is True
        assert set(data["reading"]) == {"status", "topology", "route_get", "peers", "gateways", "history"}

    on_page(action)


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/nothing", 404, "path"),
        ("GET", "/js/../../server.py", 404, "path"),
        ("GET", "/%2e%2e/server.py", 404, "path"),
        ("GET", "/api/nothing", 404, "path"),
        ("GET", "/api/stop", 404, "path"),
        ("GET", "/api/reload", 404, "path"),
        ("GET", "/api/web_open", 404, "path"),
        ("GET", "/api/history?about=x", 400, "params"),
        ("GET", "/api/history?about=x&limit=many", 400, "params"),
        ("GET", "/api/history?limit=" + "9" * 5000, 400, None),
        ("GET", "/api/status?" + "&".join(f"a{n}=1" for n in range(40)), 400, "params"),
        ("GET", "/api/peers", 500, "failed"),
        ("DELETE", "/api/status", 405, "method"),
        ("OPTIONS", "/api/status", 405, "method"),
        ("POST", "/", 405, "method"),
        ("PUT", "/metrics", 405, "method"),
    ],
)
def test_what_has_no_answer_is_refused_in_a_sentence_and_counted(
    method: str, path: str, status: int, reason: str | None
) -> None:
    async def action(page: Page) -> None:
        reply = await page.ask(path, method)
        assert reply.status == status
        assert "Traceback" not in reply.body
        assert "secret" not in reply.body
        if reason is not None:
            assert reply.data["error"]
            assert page.counters[f"refused.{reason}"] == 1

    on_page(action)


def test_other_hosts_and_other_sites_are_refused_before_anything_is_asked() -> None:
    async def action(page: Page) -> None:
        assert (await page.ask("/api/status", headers={"Host": "evil.example"})).status == 421
        assert (await page.ask("/", headers={"Host": f"evil.example:{page.port}"})).status == 421
        assert (await page.ask("/api/status", headers={"Origin": "http://evil.example"})).status == 403
        assert (await page.ask("/api/events", headers={"Sec-Fetch-Site": "same-site"})).status == 403
        follows = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        assert (await page.ask("/", headers=follows)).status == 200  # a link on another page
        assert (await page.ask("/api/status", headers=follows)).status == 403
        assert (await page.ask("/", "POST", headers=follows)).status == 403
        foreign = {**BEARER, "Origin": "http://evil.example", "Content-Type": "application/json"}
        assert (await page.ask("/api/reload", "POST", headers=foreign, data="{}")).status == 403
        assert page.daemon.asked == []
        assert page.daemon.feeds == []
        assert page.counters == {"refused.host": 2, "refused.origin": 5, "requests": 1}
        own = {"Origin": page.url, "Sec-Fetch-Site": "same-origin"}
        assert (await page.ask("/api/status", headers=own)).status == 200
        assert (await page.ask("/api/status", headers={"Host": "mesh.example.net"})).status == 200

    on_page(action)


def test_nothing_is_changed_without_the_token_even_from_this_machine() -> None:
    async def action(page: Page) -> None:
        for headers, status in (({}, 401), ({"Authorization": "Bearer wrong"}, 401), (BEARER, 200)):
            reply = await page.ask("/api/reload", "POST", headers=headers, json={"a": 1})
            assert reply.status == status
        assert page.daemon.asked == [("reload", {"a": 1})]
        assert page.counters["refused.token-missing"] == page.counters["refused.token-wrong"] == 1

    on_page(action)


def test_a_change_is_one_that_the_page_has_and_its_body_is_json() -> None:
    async def action(page: Page) -> None:
        kind = {**BEARER, "Content-Type": "application/json"}
        for name in ("stop", "web_open", "up", "status", ""):
            assert (await page.ask(f"/api/{name}", "POST", headers=kind, data="{}")).status == 404
        assert (await page.ask("/api/reload", "POST", headers=BEARER, data={"a": "1"})).status == 415
        for body, status in (
            ("[1]", 400),
            ("{", 400),
            ("[" * 3000, 400),
            ('{"a": "' + "x" * 5000 + '"}', 413),
        ):
            assert (await page.ask("/api/reload", "POST", headers=kind, data=body)).status == status
        reply = await page.ask("/api/reload", "POST", headers=kind, data='{"broken": true}')
        assert (reply.status, reply.data) == (409, {"error": "line 3"})
        assert [name for name, _ in page.daemon.asked] == ["reload"]

    on_page(action)


def test_a_page_without_a_token_changes_nothing() -> None:
    async def action(page: Page) -> None:
        reply = await page.ask("/api/reload", "POST", headers={"Authorization": "Bearer None"}, json={})
        assert reply.status == 403
        assert page.daemon.asked == []

    on_page(action, token=None)


def test_open_to_others_all_but_the_files_need_the_token() -> None:
    async def action(page: Page) -> None:
        for path in ("/api/", "/api/status", "/api/events", "/metrics", "/nothing"):
            reply = await page.ask(path)
            assert reply.status == 401, path
            assert reply.headers["WWW-Authenticate"] == 'Bearer realm="babelwg"'
        assert (await page.ask(f"/api/status?token={TOKEN}")).status == 401
        assert (await page.ask("/")).status == 200
        assert (await page.ask("/api/status", headers=BEARER)).status == 200
        assert (await page.ask("/metrics", headers=BEARER)).body == "babelwg_up 1\n"

    on_page(action, address="0.0.0.0")


def test_metrics_are_plain_text() -> None:
    async def action(page: Page) -> None:
        reply = await page.ask("/metrics")
        assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert reply.body == "babelwg_up 1\n"

    on_page(action)


def test_events_are_streamed_as_they_come() -> None:
    async def action(page: Page) -> None:
        async with page.session.get(page.url + "/api/events") as response:
            assert response.headers["Content-Type"] == "text/event-stream"
            assert response.headers["Content-Security-Policy"] == CONTENT_POLICY
            assert await response.content.readline() == b"retry: 2000\n"
            await response.content.readline()
            event = notification("event", {"text": "two\nlines " + HOSTILE})
            page.daemon.feeds[0].put(event)
            assert await response.content.readline() == b"data: " + event
            assert await response.content.readline() == b"\n"
        async with asyncio.timeout(60):
            while page.daemon.feeds:  # taken off its source when the browser is gone
                await asyncio.sleep(0.01)

    on_page(action)


def test_streams_have_a_bound_and_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places_module, "MAX_STREAMS", 1)
    monkeypatch.setattr(streams_module, "HEARTBEAT", 0.02)

    async def action(page: Page) -> None:
        async with page.session.get(page.url + "/api/events") as response:
            for expected in (b"retry: 2000\n", b"\n", b": still here\n", b"\n", b": still here\n"):
                assert await response.content.readline() == expected
            assert (await page.ask("/api/events")).status == 503
            assert page.counters["refused.streams"] == 1
            assert len(page.daemon.feeds) == 1

    on_page(action)


def test_a_browser_that_reads_too_slowly_loses_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_module, "WRITE_TIMEOUT", 0.1)

    async def action(page: Page) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", page.port, limit=1024)
        writer.write(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(60):
            await reader.readline()
        async with asyncio.timeout(60):
            while page.daemon.feeds:
                page.daemon.feeds[0].put(notification("event", {"text": "x" * 60000}))
                await asyncio.sleep(0.001)
        async with asyncio.timeout(60):
            while "client_too_slow" not in page.counters:
                await asyncio.sleep(0.01)
        writer.close()

    on_page(action)


def test_requests_at_once_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places_module, "MAX_RUNNING", 2)

    async def action(page: Page) -> None:
        async with asyncio.TaskGroup() as group:
            held = [group.create_task(page.ask(f"/api/gateways?a={n}")) for n in range(2)]
            while len(page.daemon.asked) < 2:
                await asyncio.sleep(0.01)
            assert (await page.ask("/api/status")).status == 503
            page.daemon.held.set()
        assert [task.result().status for task in held] == [200, 200]
        assert (await page.ask("/api/status")).status == 200
        assert page.counters["refused.busy"] == 1

    on_page(action)


def test_connections_have_a_bound_and_idle_ones_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places_module, "MAX_CLIENTS", 2)
    monkeypatch.setattr(server_module, "SWEEP_INTERVAL", 0.05)

    async def action(page: Page) -> None:
        async with asyncio.TaskGroup() as group:
            busy = [group.create_task(page.ask(f"/api/gateways?a={n}")) for n in range(2)]
            while len(page.daemon.asked) < 2:
                await asyncio.sleep(0.01)
            assert await page.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") == b""
            assert page.counters == {"requests": 2, "refused.clients": 1}
            page.daemon.held.set()
        assert [task.result().status for task in busy] == [200, 200]
        idle = [await asyncio.open_connection("127.0.0.1", page.port) for _ in range(2)]
        idle[0][1].write(b"GET / HTTP/1.1\r\nHost: localho")  # half a request is none
        async with asyncio.timeout(60):
            while page.counters.get("client_idle") != 2:  # those that the two requests left
                await asyncio.sleep(0.01)
        with monkeypatch.context() as patch:
            patch.setattr(server_module, "IDLE_TIMEOUT", 0.0)
            await end_of(idle)
        assert page.counters["client_idle"] == 4
        assert (await page.ask("/")).status == 200

    async def end_of(idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]) -> None:
        for reader, writer in idle:
            async with asyncio.timeout(60):
                with pytest.raises(ConnectionError):
                    assert await reader.read() == b""
                    raise ConnectionError
            writer.close()

    on_page(action)


def test_one_address_asks_at_a_bounded_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("babelwg.daemon.web.guard.REQUEST_BURST", 20)
    monkeypatch.setattr("babelwg.daemon.web.guard.REQUEST_RATE", 1e-6)

    async def action(page: Page) -> None:
        replies = [await page.ask("/") for _ in range(40)]
        assert [reply.status for reply in replies] == [200] * 20 + [429] * 20
        assert page.counters["refused.rate"] == 20

    on_page(action)


@pytest.mark.parametrize(
    "octets",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"POST /api/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST /api/reload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET http://evil.example/api/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    ],
)
def test_what_is_no_proper_request_is_refused_without_a_trace(
    octets: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def action(page: Page) -> None:
        answer = await page.raw(octets)
        assert re.match(rb"HTTP/1\.[01] 4\d\d ", answer), answer[:200]
        assert b"Traceback" not in answer
        assert b"babelwg_" not in answer
        head = answer.partition(b"\r\n\r\n")[0].lower()
        assert f"content-security-policy: {CONTENT_POLICY}".lower().encode() in head
        assert b"x-content-type-options: nosniff" in head
        assert b"server: babelwg\r\n" in head + b"\r\n"
        assert (await page.ask("/api/status")).status == 200

        assert sum(n for what, n in page.counters.items() if what.startswith("refused.")) == 1

    on_page(action)
    assert caplog.text == ""


def test_the_page_asks_for_nothing_that_changes_a_node() -> None:
    from babelwg.daemon.queries import CHANGING

    assert not set(READING) & CHANGING
    assert set(CHANGES.values()) == {"reload", "peer_up", "peer_down", "peer_restart"} <= CHANGING


def test_page_at_a_path_is_for_owner_and_group(tmp_path: Path) -> None:
    async def run() -> None:
        path = tmp_path / "web.sock"
        site = Site(Listen("", 0, str(path)), (), TOKEN)
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))  # what a killed daemon left behind
        server = WebServer(site, Answers(Daemon().methods, lambda: "alpha"), lambda _: None)
        await server.start()
        assert path.stat().st_mode & 0o777 == 0o660
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session:
            async with session.get("http://localhost/api/status") as response:
                assert response.status == 200
            async with session.get("http://evil.example/api/status") as response:
                assert response.status == 421
        await server.close()
        assert not path.exists()

    asyncio.run(run())


def test_a_question_with_parameters_is_never_given_the_answer_without() -> None:
    async def run() -> list[tuple[str, dict[str, Any]]]:
        async with running() as page:
            await page.ask("/api/status")
            await page.ask("/api/status?about=bravo")
            return page.daemon.asked

    assert asyncio.run(run()) == [("status", {}), ("status", {"about": "bravo"})]


def test_questions_of_browsers_leave_the_loop_to_others() -> None:
    async def run() -> float:
        async with running() as page:

            async def hold(params: dict[str, Any]) -> Any:
                time.sleep(0.1)

            page.daemon.methods["peers"] = hold
            start = time.monotonic()
            await asyncio.gather(*(page.ask(f"/api/peers?number={number}") for number in range(6)))
            return time.monotonic() - start

    assert asyncio.run(run()) > 1.2
