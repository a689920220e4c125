"""A neighbour that floods keeps nobody else waiting, and loses only what is its own."""

import asyncio
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from babelwg.babel.datagram import Datagram
from babelwg.babel.parameters import InterfaceParameters
from babelwg.babel.speaker import Speaker
from babelwg.babel.wire.tlv import Hello, Ihu
from babelwg.daemon.routing import RoutingService
from tests.daemon.routingbench import OWN, PEER, PlayedSocket, packet, routing_over
from tests.daemon.virtualtime import run, work

INTERVAL = 1.0  # seconds between two Hellos
TICK = 0.01  # seconds
BUFFER = 2000  # datagrams that the kernel keeps
READING, HANDLING = 20e-6, 0.002  # seconds that a datagram takes


class SharedSocket(PlayedSocket):
    """One buffer for all interfaces, as the kernel has it: what finds it full is lost, whoever sent it."""

    def __init__(self) -> None:
        super().__init__()
        self.buffer: deque[tuple[str, bytes, bytes, float]] = deque()
        self.lost: list[str] = []  # by which interface it came
        self.taken: list[tuple[str, float]] = []  # by which it came, and how long it waited in the kernel

    def arrive(self, name: str, data: bytes, source: bytes = PEER) -> None:
        if len(self.buffer) >= BUFFER:
            self.lost.append(name)
            return
        if not self.buffer:
            os.write(self._writing, b"!")
        self.buffer.append((name, data, source, asyncio.get_running_loop().time()))

    def receive(self, now: float, limit: int) -> Iterator[Datagram]:
        for _ in range(limit):
            if not self.buffer:
                return
            name, data, source, arrived = self.buffer.popleft()
            if not self.buffer:
                os.read(self._reading, 1)
            work(READING)
            self.taken.append((name, asyncio.get_running_loop().time() - arrived))
            yield Datagram(data, (source, 6696), (OWN, 6696), name, arrived)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """Have each datagram take its time; return by which interface each came, and how long it waited in all."""
    seen: list[tuple[str, float]] = []
    real = Speaker.receive_datagram

    def receive(self: Speaker, datagram: Datagram, now: float) -> None:
        seen.append((datagram.interface, asyncio.get_running_loop().time() - datagram.received))
        if datagram.interface == "bw-a":
            work(HANDLING)
        real(self, datagram, now)

    monkeypatch.setattr(Speaker, "receive_datagram", receive)
    return seen


async def flood(socket: SharedSocket, rate: int, seconds: float) -> None:
    """Have one neighbour send so many datagrams a second, and each other one a Hello each interval."""
    loop, sent, said, junk = asyncio.get_running_loop(), 0, 0, packet(Ihu(OWN, 96, 60.0))
    since = loop.time()
    while (passed := loop.time() - since) < seconds:
        for _ in range(int(rate * passed) - sent):
            socket.arrive("bw-a", junk)
            sent += 1
        if passed >= said * INTERVAL:
            for name in ("bw-a", "bw-b", "bw-c"):
                socket.arrive(name, packet(Hello(said, INTERVAL), Ihu(OWN, 96, 3 * INTERVAL)))
            said += 1
        await asyncio.sleep(TICK)


def costs(routing: RoutingService) -> dict[str, int]:
    neighbours = routing.speaker.links(asyncio.get_running_loop().time())[1]
    return {view.interface: view.cost for view in neighbours}


def play(directory: Path, rate: int, seconds: float, notes: list[Any] | None = None) -> Any:
    """Return the socket, what was counted, and what the links cost at the end."""

    async def main() -> Any:
        socket = SharedSocket()
        async with routing_over(socket, directory, ("bw-a", "bw-b", "bw-c"), INTERVAL) as routing:
            if notes is not None:
                routing.note = lambda *what, **about: notes.append((what[0], about))
            await flood(socket, rate, seconds)
            return socket, routing.all_counters(), costs(routing)

    return run(main())


def test_others_are_heard_in_time_beside_a_flood(
    tmp_path: Path, slow: list[tuple[str, float]], caplog: pytest.LogCaptureFixture
) -> None:
    # Four times what can be handled, for longer than what there is room for.
    notes: list[Any] = []
    socket, counters, found = play(tmp_path, rate=2000, seconds=30.0, notes=notes)
    assert (found["bw-b"], found["bw-c"]) == (96, 96)
    calm = [waited for name, waited in slow if name != "bw-a"]
    assert len(calm) == 60
    assert max(calm) < 0.4
    assert socket.lost == []
    assert max(waited for _, waited in socket.taken) < 0.2
    # It is served for most of the time all the same.
    assert len(slow) > 30.0 / HANDLING / 2
    assert counters["datagram_dropped.neighbour-share"] > 10_000
    lines = [record.getMessage() for record in caplog.records if "datagrams-dropped" in record.getMessage()]
    assert lines == ["datagrams-dropped neighbour=bw-a count=1: it sends more than its share"]
    told = [about for event, about in notes if event == "datagrams-dropped"]
    assert told == [{"interface": "bw-a", "count": 1}]


def test_a_burst_that_can_be_handled_soon_loses_nothing(
    tmp_path: Path, slow: list[tuple[str, float]]
) -> None:
    socket, counters, _ = play(tmp_path, rate=1500, seconds=2.0)
    assert (socket.lost, "datagram_dropped.neighbour-share" in counters) == ([], False)


def test_a_neighbour_that_is_silent_is_missed_beside_a_flood(
    tmp_path: Path, slow: list[tuple[str, float]]
) -> None:
    async def main() -> float:
        socket, loop = SharedSocket(), asyncio.get_running_loop()
        async with routing_over(socket, tmp_path, ("bw-a", "bw-b"), INTERVAL) as routing:
            for said in range(16):
                socket.arrive("bw-b", packet(Hello(said, INTERVAL), Ihu(OWN, 96, 60.0)))
                await asyncio.sleep(INTERVAL)
            since = loop.time()
            while costs(routing).get("bw-b") == 96 and loop.time() < since + 40.0:
                for _ in range(1000):
                    socket.arrive("bw-a", packet(Ihu(OWN, 96, 60.0)))
                await asyncio.sleep(TICK)
            return loop.time() - since

    after = run(main())
    # Half an interval after it was due, and half of what there is room for of the flood has come.
    assert after < 2.5


@pytest.mark.parametrize("strangers", [1, 100_000])
def test_on_a_lan_each_neighbour_has_a_share_and_all_strangers_one(
    strangers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    calm = PEER[:-1] + b"\x09"
    real = Speaker.receive_datagram

    def receive(self: Speaker, datagram: Datagram, now: float) -> None:
        if datagram.source[0] == calm:
            waits.append(asyncio.get_running_loop().time() - datagram.received)
        else:
            work(HANDLING)
        real(self, datagram, now)

    monkeypatch.setattr(Speaker, "receive_datagram", receive)

    async def main() -> SharedSocket:
        socket = SharedSocket()
        async with routing_over(socket, tmp_path, ("bw-a",), INTERVAL) as routing:
            lan = InterfaceParameters.wired()
            monkeypatch.setattr(routing, "_running", {"bw-a": (3, lan, OWN)})
            junk, hello = packet(Ihu(OWN, 96, 60.0)), packet(Hello(1, INTERVAL))
            for step in range(100):
                for number in range(200 * step, 200 * step + 200):
                    socket.arrive("bw-a", junk, PEER[:8] + ((1 << 32) + number % strangers).to_bytes(8))
                if step % 2 == 0:
                    socket.arrive("bw-a", hello, calm)
                await asyncio.sleep(TICK)
        return socket

    socket = run(main())
    assert (len(waits), socket.lost) == (50, [])
    # It was a stranger with its first Hello.
    assert max(waits[1:]) < 0.1
