"""The pump: nothing that one neighbour sends keeps the speaker from what it has promised to the others."""

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from babelwg.babel.datagram import Datagram
from babelwg.babel.memory import Memory
from babelwg.babel.parameters import InterfaceParameters, Parameters
from babelwg.babel.speaker import Speaker
from babelwg.babel.wire.decode import decode_packet
from babelwg.babel.wire.encode import PacketWriter
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import Hello, Ihu, Tlv, Update
from babelwg.daemon.routing import RoutingService, WantedInterface
from babelwg.daemon.store import Store
from babelwg.linux.fib import KernelRoutes
from babelwg.linux.monitor import IFF_RUNNING, IFF_UP, Link, Mirror
from tests.linux.fakekernel import FakeKernel
from tests.walkless import forbid_walks

OWN = bytes.fromhex("fe80") + bytes(13) + b"\x01"
TABLE_ROW = Prefix.parse("2001:db8:0:9::/64")
PEER = bytes.fromhex("fe80") + bytes(13) + b"\x02"


class BusySocket:
    """A socket of Babel that always has more to read, and keeps what is sent."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        os.write(self._writing, b"!")
        self.sent: list[Datagram] = []
        self.turns = 0
        self.waiting: list[bytes] = []
        self.flood: bytes | None = None  # what comes again and again without end

    def fileno(self) -> int:
        return self._reading

    def close(self) -> None:
        os.close(self._reading)
        os.close(self._writing)

    def join(self, name: str, index: int) -> None:
        del name, index

    def mend(self) -> None:
        pass

    def leave(self, name: str) -> None:
        del name

    def receive(self, now: float, limit: int) -> Iterator[Datagram]:
        self.turns += 1
        for _ in range(limit):
            if (data := self.waiting.pop() if self.waiting else self.flood) is None:
                return
            yield Datagram(data, (PEER, 6696), (OWN, 6696), "bw-a", now)

    def send(self, datagram: Datagram) -> None:
        self.sent.append(datagram)

    def hellos(self) -> list[Hello]:
        tlvs = (tlv for d in self.sent for tlv in decode_packet(d.data, d.source[0]).tlvs)
        return [tlv for tlv in tlvs if isinstance(tlv, Hello)]


def packet(*tlvs: Tlv) -> bytes:
    writer = PacketWriter(1400, PEER)
    for tlv in tlvs:
        assert writer.add(tlv)
    return writer.packet()


@contextlib.asynccontextmanager
async def routing_over(socket: Any, directory: Path) -> AsyncIterator[RoutingService]:
    """Run the service over one tunnel, with a kernel that takes everything."""
    kernel: Any = FakeKernel()
    mirror = Mirror()
    mirror.set_link(Link(3, "bw-a", 1420, IFF_UP | IFF_RUNNING, ""))
    speaker = Speaker(b"\2" * 8, Parameters(), random.Random(1), Memory(lost=False))
    store = Store(directory, "key")
    routing = RoutingService(speaker, socket, KernelRoutes(kernel, 6696), mirror, store)
    routing.want("bw-a", WantedInterface(InterfaceParameters(hello_interval=0.05), OWN))
    try:
        async with asyncio.timeout(60):
            yield routing
    finally:
        routing.close()
        store.close()


def test_hellos_leave_in_time_beside_a_neighbour_that_never_stops_sending(tmp_path: Path) -> None:
    async def run() -> BusySocket:
        socket = BusySocket()
        async with routing_over(socket, tmp_path):
            while len(socket.hellos()) < 4:
                await asyncio.sleep(0)
        return socket

    socket = asyncio.run(run())
    seqnos = [hello.seqno for hello in socket.hellos()]
    assert seqnos[:4] == [(seqnos[0] + i) % 0x10000 for i in range(4)]
    assert socket.turns > 4


def test_a_neighbour_lives_on_while_its_hellos_may_wait_behind_others(tmp_path: Path) -> None:
    async def run() -> tuple[bool, bool]:
        socket = BusySocket()
        async with routing_over(socket, tmp_path) as routing:
            now = asyncio.get_running_loop().time()
            socket.waiting = [packet(Hello(7, 0.05), Ihu(OWN, 96, 10.0))]
            while not routing.speaker.links(now)[1]:
                await asyncio.sleep(0)
            socket.flood = packet(Ihu(OWN, 96, 10.0))
            sent = len(socket.hellos())
            while len(socket.hellos()) < sent + 40:  # 2 s of ours, in which 40 of the neighbour's are due
                await asyncio.sleep(0)
            during = bool(routing.speaker.links(now)[1])
            socket.flood = None
            while routing.speaker.links(now)[1]:  # now its silence counts
                await asyncio.sleep(0)
            return during, True

    assert asyncio.run(run()) == (True, True)


def table(*numbers: int, metric: int) -> list[bytes]:
    """Return packets that announce these networks."""
    prefixes = [Prefix.parse(f"2001:db8:{n >> 8:x}:{n & 255:x}::/64") for n in numbers]
    writers = [PacketWriter(1400, PEER)]
    for prefix in prefixes:
        update = Update(prefix, b"\3" * 8, 1, metric, 60.0, PEER)
        if not writers[-1].add(update):
            writers.append(PacketWriter(1400, PEER))
            assert writers[-1].add(update)
    return [writer.packet() for writer in writers]


def test_one_update_among_ten_thousand_routes_looks_at_no_other_route(tmp_path: Path) -> None:
    async def run() -> tuple[RoutingService, dict[str, int]]:
        socket = BusySocket()
        async with routing_over(socket, tmp_path) as routing:
            socket.waiting = [*table(*range(10_000), metric=96), packet(Hello(7, 60.0), Ihu(OWN, 96, 60.0))]
            while len(routing.routes.installed) < 10_000:
                await asyncio.sleep(0)
            state = routing.speaker._state
            neighbour = state.interfaces["bw-a"].neighbours[PEER]
            forbid_walks(state.routes, "by_prefix", "selected")
            forbid_walks(neighbour, "routes", "finite")
            forbid_walks(state.sources, "_distances", "_used")
            forbid_walks(routing.installer, "_selected")
            forbid_walks(routing.routes, "learned", "installed", "_by_place")
            socket.waiting = [packet(Update(TABLE_ROW, None, 1, 0xFFFF, 60.0, None)), *table(7, metric=500)]
            socket.waiting += table(*range(100), metric=96)  # read first, and nothing new
            while TABLE_ROW in routing.routes.learned or socket.waiting:
                await asyncio.sleep(0)
            selected = state.routes.selected.get(Prefix.parse("2001:db8:0:7::/64"))
            assert selected is not None
            return routing, {"metric": selected.route.metric, **routing.counters}

    routing, found = asyncio.run(run())
    assert found == {"metric": 596, "internal_error": 0, "kernel_failed": 0}
    assert routing.routes.counters["route_set"] == 10_000
    assert routing.routes.counters["route_removed"] == 1


def test_neighbours_outlast_a_carrier_that_is_away_where_the_link_is_watched(tmp_path: Path) -> None:
    async def talk() -> None:
        async with routing_over(BusySocket(), tmp_path) as routing:
            given_up: list[str] = []
            routing.give_up = lambda name, why: not given_up.append(f"{name}: {why}")  # type: ignore[func-returns-value]
            routing._mirror.set_link(Link(3, "bw-a", 1420, IFF_UP, ""))
            routing.sync_interfaces()
            assert given_up == ["bw-a: its interface has no carrier"]
            assert [view.name for view in routing.speaker.links(0.0)[0]] == ["bw-a"]
            routing._mirror.set_link(Link(3, "bw-a", 1420, 0, ""))
            routing.sync_interfaces()
            assert routing.speaker.links(0.0)[0] == (), "it is down"

    asyncio.run(talk())


def test_an_interface_without_a_carrier_is_left_where_nobody_watches_its_link(tmp_path: Path) -> None:
    async def talk() -> None:
        async with routing_over(BusySocket(), tmp_path) as routing:
            routing._mirror.set_link(Link(3, "bw-a", 1420, IFF_UP, ""))
            routing.sync_interfaces()
            assert routing.speaker.links(0.0)[0] == ()

    asyncio.run(talk())
