"""What the tests of the pump share: the service over a tunnel, and sockets on which a test plays the neighbour."""

import asyncio
import contextlib
import dataclasses
import os
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

from babelwg.babel.datagram import Datagram
from babelwg.babel.parameters import InterfaceParameters, Parameters
from babelwg.babel.speaker import Speaker
from babelwg.babel.wire.encode import PacketWriter
from babelwg.babel.wire.tlv import Tlv
from babelwg.daemon.routing import RoutingService, WantedInterface
from babelwg.daemon.store import Store
from babelwg.linux.fib import KernelRoutes
from babelwg.linux.mirror import IFF_RUNNING, IFF_UP, Link, Mirror
from tests.babel.bench import tlvs_of
from tests.linux.fakekernel import FakeKernel

OWN = bytes.fromhex("fe80") + bytes(13) + b"\x01"
PEER = bytes.fromhex("fe80") + bytes(13) + b"\x02"


class PlayedSocket:
    """A socket of Babel that gives what a test says, first what came last, and keeps what is sent."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        self.sent: list[Datagram] = []
        self.waiting: list[bytes] = []
        self.interface = "bw-a"  # by which it comes
        self.came: float | None = None  # when all that is read came, None for just now

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

    def say(self, *tlvs: Tlv) -> None:
        """Have something to read: a packet of the neighbour."""
        self.waiting.append(packet(*tlvs))
        os.write(self._writing, b"!")

    def next(self) -> bytes | None:
        """Return what is read next; None when there is nothing."""
        if not self.waiting:
            return None
        os.read(self._reading, 1)
        return self.waiting.pop()

    def receive(self, now: float, limit: int) -> Iterator[Datagram]:
        for _ in range(limit):
            if (data := self.next()) is None:
                return
            came = now if self.came is None else self.came
            yield Datagram(data, (PEER, 6696), (OWN, 6696), self.interface, came)

    def send(self, datagram: Datagram) -> None:
        self.sent.append(datagram)

    def told(self) -> list[Tlv]:
        """Return all that was sent."""
        return [tlv for datagram in self.sent for tlv in tlvs_of(datagram)]


class BusySocket(PlayedSocket):
    """A socket that always has more to read."""

    def __init__(self) -> None:
        super().__init__()
        os.write(self._writing, b"!")
        self.turns = 0
        self.flood: bytes | None = None  # what comes again and again without end

    def next(self) -> bytes | None:
        return self.waiting.pop() if self.waiting else self.flood

    def receive(self, now: float, limit: int) -> Iterator[Datagram]:
        self.turns += 1
        return super().receive(now, limit)


def packet(*tlvs: Tlv) -> bytes:
    writer = PacketWriter(1400, PEER)
    for tlv in tlvs:
        assert writer.add(tlv)
    return writer.packet()


@contextlib.asynccontextmanager
async def routing_over(
    socket: Any, directory: Path, names: Sequence[str] = ("bw-a",), hello_interval: float = 0.05
) -> AsyncIterator[RoutingService]:
    """Run the service over tunnels, with a kernel that takes everything."""
    kernel: Any = FakeKernel()
    mirror = Mirror()
    store = Store(directory, "key")
    memory = dataclasses.replace(store.memory(), lost=False)  # as if none had been there to be lost
    speaker = Speaker(b"\2" * 8, Parameters(), random.Random(1), memory)
    routing = RoutingService(speaker, socket, KernelRoutes(kernel, 6696), mirror, store)
    for index, name in enumerate(names, 3):
        mirror.set_link(Link(index, name, 1420, IFF_UP | IFF_RUNNING, ""))
        routing.want(name, WantedInterface(InterfaceParameters(hello_interval=hello_interval), OWN))
    try:
        async with asyncio.timeout(60):
            yield routing
    finally:
        routing.close()
        store.close()
