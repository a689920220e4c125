"""The places of the page: no client holds all of them, in thought and on a real port."""

import asyncio
import random
import socket
from collections.abc import Callable
from typing import Any

import pytest

import babelwg.daemon.web.places as places_module
import babelwg.daemon.web.server as server_module
from babelwg.daemon.control import notification
from babelwg.daemon.web.places import (
    CLIENT_CLIENTS,
    CLIENT_RUNNING,
    CLIENT_STREAMS,
    LOCAL,
    MAX_CLIENTS,
    MAX_RUNNING,
    MAX_STREAMS,
    STREAM_GRACE,
    TAKE_GRACE,
    Doing,
    Places,
    client_of,
)
from tests.daemon.test_web_server import Page, on_page

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Bench:
    """Places, and connections that are numbers."""

    def __init__(self) -> None:
        self.counters: dict[str, int] = {}
        self.ended: list[int] = []
        self.places = Places(self._count)
        self._next = 0

    def _count(self, what: str) -> None:
        self.counters[what] = self.counters.get(what, 0) + 1

    def come(self, client: str, now: float, doing: Doing = "nothing") -> int | None:
        """Return the number of one connection more, None where it is refused."""
        if not self.places.admit(client, now):
            return None
        self._next += 1
        number = self._next
        self.places.enter(number, client, lambda: self.ended.append(number), now)
        self.places.does(number, doing, now)
        return number

    def fill(self, client: str, number: int, now: float, doing: Doing = "nothing") -> list[int | None]:
        return [self.come(client, now, doing) for _ in range(number)]


@pytest.mark.parametrize(
    ("peername", "client"),
    [
        (("192.0.2.7", 1), "192.0.2.7"),
        (("::ffff:192.0.2.7", 1, 0, 0), "192.0.2.7"),
        (("2001:db8:1:2:3::4", 1, 0, 0), "2001:db8:1:2::"),
        (("fe80::1%eth0", 1, 0, 2), "fe80::"),
        (("127.0.0.2", 1), LOCAL),
        (("::1", 1, 0, 0), LOCAL),
        (("::ffff:127.0.0.1", 1, 0, 0), LOCAL),
        ("", LOCAL),
        (None, LOCAL),
    ],
)
def test_a_client_is_an_address_a_network_or_this_machine(peername: Any, client: str) -> None:
    assert client_of(peername) == client


def test_one_address_gets_a_quarter_of_the_connections_and_this_machine_all() -> None:
    bench = Bench()
    assert None not in bench.fill("192.0.2.7", CLIENT_CLIENTS, 0.0, "asking")
    assert bench.come("192.0.2.7", 1.0) is None
    assert bench.counters == {"refused.clients-of-one": 1}
    assert None not in bench.fill(LOCAL, MAX_CLIENTS - CLIENT_CLIENTS, 0.0, "asking")
    assert bench.come(LOCAL, 1.0) is None
    assert bench.counters == {"refused.clients-of-one": 1, "refused.clients": 1}
    assert bench.ended == []


def test_who_does_nothing_makes_room_the_longest_first_and_of_the_client_that_holds_most() -> None:
    bench = Bench()
    for now in range(CLIENT_CLIENTS):
        bench.come("192.0.2.7", float(now))
    bench.places.does(1, "asking", 20.0)
    assert bench.come("192.0.2.7", 21.0) == CLIENT_CLIENTS + 1
    assert bench.ended == [2]
    first = bench.come("192.0.2.8", 0.0)
    many = bench.fill(LOCAL, MAX_CLIENTS - CLIENT_CLIENTS - 1, 30.0)
    assert bench.come("192.0.2.9", 31.0) is not None
    assert bench.ended == [2, many[0]]
    assert first not in bench.ended
    assert bench.counters == {"client_idle": 2}


def test_a_slow_taker_makes_room_after_a_while_and_nobody_who_asks_or_follows() -> None:
    bench = Bench()
    bench.fill(LOCAL, MAX_CLIENTS - 2, 0.0, "asking")
    taker = bench.come(LOCAL, 10.0, "taking")
    bench.come(LOCAL, 0.0, "following")
    assert bench.come(LOCAL, 10.0 + TAKE_GRACE) is None
    assert bench.come(LOCAL, 10.1 + TAKE_GRACE) is not None
    assert bench.ended == [taker]
    assert bench.counters == {"refused.clients": 1, "client_too_slow": 1}


def test_requests_at_once_are_bounded_for_one_address_and_for_all() -> None:
    bench = Bench()
    bench.fill("192.0.2.7", CLIENT_RUNNING, 0.0, "asking")
    refusal = bench.places.running_refusal("192.0.2.7", 1.0)
    assert (refusal and refusal.reason, refusal and refusal.status) == ("busy-of-one", 503)
    assert bench.places.running_refusal("192.0.2.8", 1.0) is None
    bench.fill(LOCAL, MAX_RUNNING - CLIENT_RUNNING, 0.0, "asking")
    refusal = bench.places.running_refusal(LOCAL, 1.0)
    assert refusal is not None
    assert refusal.reason == "busy"
    bench.places.does(3, "taking", 1.0)
    assert bench.places.running_refusal(LOCAL, 1.0 + TAKE_GRACE) == refusal
    assert bench.places.running_refusal(LOCAL, 1.1 + TAKE_GRACE) is None
    assert bench.ended == [3]


def test_streams_of_one_address_are_few_and_give_way_when_they_have_lasted() -> None:
    bench = Bench()
    for now in range(CLIENT_STREAMS):
        bench.come("192.0.2.7", float(now), "following")
    refusal = bench.places.stream_refusal("192.0.2.7", STREAM_GRACE)
    assert (refusal and refusal.reason, bench.ended) == ("streams-of-one", [])
    assert bench.places.stream_refusal("192.0.2.7", 1.5 + STREAM_GRACE) is None
    assert bench.ended == [1]


def test_this_machine_shares_the_streams_and_leaves_some_to_others() -> None:
    bench = Bench()
    bench.fill(LOCAL, MAX_STREAMS, 0.0, "following")
    for client in (LOCAL, "192.0.2.7"):
        refusal = bench.places.stream_refusal(client, STREAM_GRACE)
        assert (refusal and refusal.reason) == "streams"
        assert bench.places.stream_refusal(client, STREAM_GRACE + 0.1) is None
        bench.come(client, STREAM_GRACE + 0.1, "following")
    assert bench.ended == [1, 2]
    assert bench.counters == {"stream_replaced": 2}


def test_nobody_loses_a_stream_to_a_client_that_has_hardly_fewer() -> None:
    bench = Bench()
    for client in range(MAX_STREAMS):
        bench.come(f"192.0.2.{client}", 0.0, "following")
    refusal = bench.places.stream_refusal("192.0.2.99", 1000.0)
    assert (refusal and refusal.reason, bench.ended) == ("streams", [])
    # Its own oldest it may give up itself.
    assert bench.places.stream_refusal("192.0.2.3", 1000.0) is None
    assert bench.ended == [4]


def test_what_is_gone_holds_no_place() -> None:
    bench = Bench()
    numbers = bench.fill(LOCAL, MAX_CLIENTS, 0.0, "asking")
    bench.places.keep(numbers[1:])
    assert bench.come(LOCAL, 0.0) is not None
    assert bench.ended == []


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def connect(page: Page, data: bytes, source: str = "127.0.0.1") -> Connection:
    reader, writer = await asyncio.open_connection("127.0.0.1", page.port, local_addr=(source, 0), limit=1024)
    writer.write(data)
    return reader, writer


async def close(connections: list[Connection]) -> None:
    for _, writer in connections:
        writer.close()


def test_silence_and_halves_of_requests_keep_nobody_out() -> None:
    async def action(page: Page) -> None:
        held = [
            await connect(page, b"" if n % 2 else b"GET / HTTP/1.1\r\nHost: localho")
            for n in range(MAX_CLIENTS)
        ]
        await until(lambda: page.server.clients == MAX_CLIENTS)
        replies = await asyncio.gather(*(page.ask("/api/status") for _ in range(6)))
        assert {reply.status for reply in replies} == {200}
        assert page.counters["client_idle"] >= 1
        assert "refused.clients" not in page.counters
        await close(held)

    on_page(action)


def test_readers_that_never_read_keep_nobody_out_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places_module, "MAX_RUNNING", 3)
    monkeypatch.setattr(places_module, "TAKE_GRACE", 0.05)

    async def action(page: Page) -> None:
        async def much(params: dict[str, Any]) -> Any:
            # Of random digits, as what is compressed away would find room in the kernel.
            return {"text": noise_of(6 << 20)}

        page.daemon.methods["status"] = much
        ask = b"GET /api/status?a=%d HTTP/1.1\r\nHost: localhost\r\n\r\n"
        slow = []
        for number in range(3):
            connection = await connect(page, ask % number)
            sock = connection[1].get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.append(connection)
        await until(lambda: page.counters.get("requests") == 3)

        async def is_answered() -> bool:
            return (await page.ask("/api/topology")).status == 200

        async with asyncio.timeout(60):
            while not await is_answered():
                await asyncio.sleep(0.01)
        assert page.counters["client_too_slow"] >= 1
        await close(slow)

    on_page(action)


def noise_of(octets: int) -> str:
    return random.Random(1).randbytes(octets // 2).hex()


def test_streams_of_this_machine_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    async def action(page: Page) -> None:
        ask = b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
        followers = [await connect(page, ask) for _ in range(MAX_STREAMS)]
        await until(lambda: page.counters.get("streams") == MAX_STREAMS)
        assert (await page.ask("/api/events")).status == 503
        assert page.counters["refused.streams"] == 1
        assert len(page.daemon.feeds) == MAX_STREAMS
        assert (await page.ask("/api/status")).status == 200
        monkeypatch.setattr(places_module, "STREAM_GRACE", 0.0)
        followers.append(await connect(page, ask))
        await until(lambda: page.counters.get("stream_replaced"))
        await until(lambda: len(page.daemon.feeds) == MAX_STREAMS)
        # The newcomer hears what happens.
        page.daemon.feeds[-1].put(notification("event", {"text": "news"}))
        async with asyncio.timeout(60):
            while b"news" not in await followers[-1][0].readline():
                pass
        await close(followers)

    on_page(action)


def test_another_address_finds_its_places_whatever_one_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    # Addresses of the loopback interface stand for those of other machines.
    monkeypatch.setattr(server_module, "client_of", lambda peername: str(peername[0]))

    async def action(page: Page) -> None:
        events = b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
        waiting = b"GET /api/gateways?a=%d HTTP/1.1\r\nHost: localhost\r\n\r\n"
        greedy = [await connect(page, events, "127.0.0.2") for _ in range(CLIENT_STREAMS + 1)]
        await until(lambda: page.counters.get("refused.streams-of-one") == 1)
        greedy += [await connect(page, waiting % n, "127.0.0.2") for n in range(CLIENT_RUNNING)]
        await until(lambda: page.counters.get("requests") == CLIENT_STREAMS + 1 + CLIENT_RUNNING)
        greedy += [await connect(page, waiting % n, "127.0.0.2") for n in range(CLIENT_CLIENTS)]
        await until(lambda: page.counters.get("refused.busy-of-one"))
        assert page.server.clients <= CLIENT_CLIENTS + 1
        assert (await page.ask("/api/status")).status == 200
        async with page.session.get(f"{page.url}/api/events") as response:
            assert response.status == 200
        page.daemon.held.set()
        await close(greedy)

    on_page(action)
