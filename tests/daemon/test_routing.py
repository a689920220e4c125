"""The pump: nothing that one neighbour sends keeps the speaker from what it has promised to the others."""

import asyncio
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babelwg.babel.datagram import Datagram
from babelwg.babel.memory import Memory
from babelwg.babel.parameters import InterfaceParameters, Parameters
from babelwg.babel.speaker import Speaker
from babelwg.babel.wire.decode import decode_packet
from babelwg.babel.wire.tlv import Hello
from babelwg.daemon.routing import RoutingService, WantedInterface
from babelwg.daemon.store import Store
from babelwg.linux.fib import KernelRoutes
from babelwg.linux.monitor import IFF_RUNNING, IFF_UP, Link, Mirror
from tests.linux.fakekernel import FakeKernel

OWN = bytes.fromhex("fe80") + bytes(13) + b"\x01"


class BusySocket:
    """A socket of Babel that always has more to read, and keeps what is sent."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        os.write(self._writing, b"!")
        self.sent: list[Datagram] = []
        self.turns = 0

    def fileno(self) -> int:
        return self._reading

    def close(self) -> None:
        os.close(self._reading)
        os.close(self._writing)

    def join(self, name: str, index: int) -> None:
        del name, index

    def receive(self, now: float, limit: int) -> Iterator[Datagram]:
        del now, limit
        self.turns += 1
        return iter(())

    def send(self, datagram: Datagram) -> None:
        self.sent.append(datagram)

    def hellos(self) -> list[Hello]:
        tlvs = (tlv for d in self.sent for tlv in decode_packet(d.data, d.source[0]).tlvs)
        return [tlv for tlv in tlvs if isinstance(tlv, Hello)]


def test_hellos_leave_in_time_beside_a_neighbour_that_never_stops_sending(tmp_path: Path) -> None:
    async def run() -> BusySocket:
        socket: Any = BusySocket()
        kernel: Any = FakeKernel()
        mirror = Mirror()
        mirror.set_link(Link(3, "bw-a", 1420, IFF_UP | IFF_RUNNING, ""))
        speaker = Speaker(b"\2" * 8, Parameters(), random.Random(1), Memory())
        store = Store(tmp_path, "key")
        routing = RoutingService(speaker, socket, KernelRoutes(kernel, 6696), mirror, store)
        routing.want("bw-a", WantedInterface(InterfaceParameters(hello_interval=0.05), OWN))
        async with asyncio.timeout(60):
            while len(socket.hellos()) < 4:
                await asyncio.sleep(0)
        routing.close()
        store.close()
        return socket

    socket = asyncio.run(run())
    seqnos = [hello.seqno for hello in socket.hellos()]
    assert seqnos[:4] == [(seqnos[0] + i) % 0x10000 for i in range(4)]
    assert socket.turns > 4
