"""A node of the simulator that forwards as a daemon's kernel does: through the installer and the plan of its tables."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from babelwg.babel.events import Event, SeqnoIncreased
from babelwg.babel.memory import Memory
from babelwg.babel.wire.prefix import Prefix
from babelwg.daemon.installer import RouteInstaller
from babelwg.daemon.routing import ADOPTION, SETTLE
from babelwg.lab.simulator.node import FibEntry, SimNode
from babelwg.linux.fib import KernelRoutes
from babelwg.linux.netlink import RTM_DELROUTE, RTM_NEWROUTE, Message, Refusal
from babelwg.linux.routes import UNICAST, read_route
from tests.linux.fakekernel import FakeKernel

TABLE = 6696


class WatchedKernel(FakeKernel):
    """A kernel that tells of each single change of its routes."""

    def __init__(self, changed: Callable[[Prefix], None]) -> None:
        super().__init__()
        self._changed = changed

    def _one(self, kind: int, payload: bytes) -> Refusal:
        answer = super()._one(kind, payload)
        if kind in (RTM_NEWROUTE, RTM_DELROUTE) and answer.errno == 0:
            route = read_route(Message(kind, 0, 0, bytes(payload)))
            assert route is not None, "we write what we can read"
            self._changed(route.prefix)
        return answer


class KernelNode(SimNode):
    """A node whose forwarding table is a kernel's: it outlives the daemon, and the next one adopts it."""

    def __init__(self, name: str, index: int, seed: int, changed: Callable[[SimNode, Prefix], None]) -> None:
        self.kernel = WatchedKernel(lambda prefix: changed(self, prefix))
        super().__init__(name, index, seed, changed)
        self._retract_at = self._release_at = float("inf")
        self.routes: Any = None
        self.installer: Any = None

    @property
    def fib(self) -> Mapping[Prefix, FibEntry]:  # type: ignore[override]
        """What the kernel does with packets for each prefix."""
        peers = dict(enumerate(self.interfaces, 1))
        return {
            prefix: FibEntry(peers[route.interface] if route.kind == UNICAST else None)
            for (_, prefix), route in self.kernel.places.items()
        }

    @fib.setter
    def fib(self, table: Mapping[Prefix, FibEntry]) -> None:
        assert not table, "the kernel alone says where packets go"

    def start(self, memory: Memory, now: float) -> None:
        """Run a new daemon: it adopts the routes of the last one before its speaker says anything."""
        indices = {peer: number for number, peer in enumerate(self.interfaces, 1)}
        kernel: Any = self.kernel
        self.routes = KernelRoutes(kernel, TABLE)
        self.routes.adopt(indices.values())
        self._retract_at, self._release_at = now + SETTLE, now + ADOPTION
        self.speaker = self._speaker(memory)
        mirror: Any = SimpleNamespace(main={}, links={})
        self.installer = RouteInstaller(self.speaker, self.routes, mirror, indices)
        for peer, parameters in self.interfaces.items():
            self.speaker.add_interface(peer, parameters, self.link_local, now)
        for prefix, metric in self.xroutes.items():
            self.speaker.announce(prefix, metric, now)

    def _carry_out(self, events: list[Event], now: float) -> None:
        for event in events:
            if isinstance(event, SeqnoIncreased):
                self.disk.seqno = event.seqno
        self.installer.handle(events, now)
        self.routes.flush()
        assert self.speaker is not None, "it has just told of events"
        if now >= self._retract_at:
            self._retract_at = float("inf")
            self.speaker.retract_former(now, self.installer.adopted_ways())
        if now >= self._release_at:
            self._release_at = float("inf")
            self.routes.release()
            self.speaker.retract_former(now)
