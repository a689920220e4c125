"""Many neighbours in one process: speakers with an interface of one namespace each, that announce a prefix each.

They are the core of babelwg over real sockets, with routes in memory instead of a kernel. The process says `ready`,
and then when all of its speakers have the prefixes of all the others, in monotonic seconds.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from random import Random

from babelwg.babel.datagram import Datagram
from babelwg.babel.events import RouteFlushed, RouteRetracted, RouteSelected
from babelwg.babel.memory import Memory
from babelwg.babel.parameters import InterfaceParameters, Parameters
from babelwg.babel.speaker import Speaker
from babelwg.babel.wire.prefix import Prefix
from babelwg.linux.babelsocket import BabelSocket
from babelwg.linux.monitor import Monitor
from babelwg.linux.netlink import RequestSocket

BATCH = 64  # datagrams read before timers get their turn


def interface(number: int) -> str:
    """Return the name of the interface of a speaker."""
    return f"r{number}"


def prefix(number: int) -> str:
    """Return what a speaker announces."""
    return f"fd00:77::{number + 1:x}/128"


class Spoke:
    """One speaker, with the routes that it has selected."""

    def __init__(self, number: int, send: Callable[[Datagram], None]) -> None:
        self.name = interface(number)
        self.routes: set[Prefix] = set()
        self.runs = False
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        router_id = b"\x02" + number.to_bytes(7, "big")
        self.speaker = Speaker(router_id, Parameters(), Random(number), Memory(lost=False))
        self.speaker.announce(Prefix.parse(prefix(number)), 0, self._loop.time())

    def rise(self, link_local: bytes) -> None:
        """Begin to speak on the interface."""
        self.runs = True
        self.speaker.add_interface(self.name, InterfaceParameters.wired(), link_local, self._loop.time())
        self.pump()

    def receive(self, datagram: Datagram, now: float) -> None:
        """Do what a datagram says."""
        self.speaker.receive_datagram(datagram, now)

    def pump(self) -> None:
        """Do what the speaker asks, and come back at its deadline."""
        now = self._loop.time()
        self.speaker.handle_deadline(now)
        for event in self.speaker.events():
            if isinstance(event, RouteSelected):
                self.routes.add(event.prefix)
            elif isinstance(event, RouteRetracted | RouteFlushed):
                self.routes.discard(event.prefix)
        for datagram in self.speaker.datagrams_to_send(now):
            self._send(datagram)
        self.speaker.sources_to_store()
        self.speaker.hellos_to_store()
        self.speaker.routes_to_store()
        self.speaker.new_routes_to_store()
        if self._timer is not None:
            self._timer.cancel()
        deadline = self.speaker.next_deadline()
        self._timer = None if deadline is None else self._loop.call_at(deadline, self.pump)


class Rim:
    """All speakers, their one socket, and the news of their links."""

    def __init__(self, count: int) -> None:
        self._socket = BabelSocket()
        self._spokes = {interface(n): Spoke(n, self._socket.send) for n in range(count)}
        self._loop = asyncio.get_running_loop()
        self._is_complete = False
        self._monitor = Monitor(RequestSocket(), self._follow, lambda route: None, lambda index: None)
        self._loop.add_reader(self._monitor.fileno(), self._monitor.receive)
        self._loop.add_reader(self._socket.fileno(), self._receive)
        self._follow(set())

    def _follow(self, changed: set[str]) -> None:
        """Run the speakers whose links have a carrier and an address, as a daemon does."""
        del changed
        mirror = self._monitor.mirror
        for name, spoke in self._spokes.items():
            link = mirror.link(name)
            if spoke.runs or link is None or not link.up:
                continue
            if (link_local := mirror.link_local(link.index)) is not None:
                self._socket.join(name, link.index)
                spoke.rise(link_local)

    def _receive(self) -> None:
        now = self._loop.time()
        heard = {}
        for datagram in self._socket.receive(now, BATCH):
            spoke = heard[datagram.interface] = self._spokes[datagram.interface]
            spoke.receive(datagram, now)
        for spoke in heard.values():
            spoke.pump()
        others = len(self._spokes) - 1
        is_complete = all(len(spoke.routes) == others for spoke in self._spokes.values())
        if is_complete != self._is_complete:
            self._is_complete = is_complete
            print(time.monotonic() if is_complete else "lost", flush=True)


async def main(count: int) -> None:
    """Run so many speakers until killed."""
    rim = Rim(count)
    print("ready", flush=True)
    await asyncio.Event().wait()
    del rim


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
