"""A mixed network: routers by name and kind, links between them, and waiting until every kernel agrees."""

from collections.abc import Callable, Collection
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

from babelwg.lab.netns.node import Node, connect, mute, unmute
from babelwg.lab.netns.wire import Impairment, Wire
from integration.bench.common import wait
from integration.interop.routers.babeld_language import BabeldRouter, BabelwgRouter
from integration.interop.routers.bird import BirdRouter
from integration.interop.routers.frr import FrrRouter
from integration.interop.routers.router import COST, PLAIN, Key, Options, Port, Router

KINDS: dict[str, type[Router]] = {r.kind: r for r in (BabelwgRouter, BabeldRouter, BirdRouter, FrrRouter)}
# Implementation constants
LIMIT = 90.0  # seconds until a network has converged; the slowest peer sets it
POLL = 0.2  # seconds between looks, each of which starts some programs
# No duplicate detection, so that a link has its address at once; packets go through; no way back is asked for.
SYSCTLS = {
    "net.ipv6.conf.all.forwarding": "1",
    "net.ipv4.ip_forward": "1",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
    "net.ipv6.conf.default.accept_dad": "0",
}


class Net:
    """Routers of several kinds and their links; everything is gone when it is closed or when our process dies."""

    def __init__(self, directory: Path, needs: Callable[..., None]) -> None:
        self.routers: dict[str, Router] = {}
        self.links: dict[frozenset[str], Wire | None] = {}
        self._directory, self._needs = directory, needs
        self._stack = ExitStack()
        self._outside: Node | None = None

    def __getitem__(self, name: str) -> Router:
        return self.routers[name]

    def add(self, name: str, kind: str, options: Options = PLAIN) -> Router:
        """Add a router that is not started yet; skips the test when its program is missing."""
        self._needs(*KINDS[kind].programs, "nft", "ping")
        node = self.add_node(name)
        number = len(self.routers) + 1
        router = self.routers[name] = KINDS[kind](name, number, node, self._directory / name, options)
        if options.source is not None:
            self._connect_outside(router)
        return router

    def add_node(self, name: str) -> Node:
        """Add a host that runs nothing."""
        node = self._stack.enter_context(Node(name))
        for key, value in SYSCTLS.items():
            node.sysctl(key, value)
        return node

    def link(
        self,
        a: str,
        b: str,
        cost: int = COST,
        ipv4: bool = True,
        kind: str = "wired",
        options: str = "",
        keys: tuple[Key, ...] = (),
        impairment: Impairment | None = None,
        names: tuple[str, str] | None = None,
    ) -> None:
        """Join two routers, with an IPv4 network of the link's own or without; `names` are those of the ends."""
        number = len(self.links)
        ends = names or (f"to-{b}", f"to-{a}")
        addresses = ([f"192.0.2.{4 * number + 1}/30"], [f"192.0.2.{4 * number + 2}/30"]) if ipv4 else ([], [])
        nodes = (self[a].node, self[b].node)
        wire = None
        if impairment is None:
            connect(*nodes, *ends, *addresses)
        else:
            wire = Wire(*nodes, *ends, *addresses, impairment=impairment, seed=number)
            self._stack.callback(wire.close)
        self.links[frozenset((a, b))] = wire
        for name, peer, end in ((a, b, ends[0]), (b, a, ends[1])):
            self[name].ports[peer] = Port(end, cost, kind, keys, options)

    def start(self) -> None:
        """Start every router and return when all of them answer."""
        for router in self.routers.values():
            router.start()

    def close(self) -> None:
        """End all that runs and give the namespaces back."""
        self._stack.close()
        for router in self.routers.values():
            router.kill()  # The nodes took them along; this collects what is left of them.

    def cut(self, a: str, b: str) -> None:
        """Drop everything on a link in silence: no interface goes down."""
        mute(self[a].node, self[a].ports[b].interface)
        mute(self[b].node, self[b].ports[a].interface)

    def restore(self, a: str, b: str) -> None:
        """Undo `cut`."""
        unmute(self[a].node, self[a].ports[b].interface)
        unmute(self[b].node, self[b].ports[a].interface)

    def wait(self, what: str, condition: Callable[[], Any], limit: float = LIMIT) -> float:
        """Wait until a condition holds; return the seconds it took. Raises AssertionError with logs and tables."""

        def holds() -> bool:
            for router in self.routers.values():
                router.complain()
            return bool(condition())

        try:
            return wait(what, holds, limit, POLL)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self.last_words()}") from None

    def wait_for_all(self, what: str, without: Collection[str] = ()) -> float:
        """Wait until every router's kernel has a way to every other one's addresses, and pings get through."""
        return self.wait(what, lambda: self.converged(without) and self.forwards(without))

    def converged(self, without: Collection[str] = ()) -> bool:
        """Return whether each kernel has the addresses of all the others, and none by a router left out."""
        names = [name for name in self.routers if name not in without]
        return all(self._has_all(self[name], names, without) for name in names)

    def forwards(self, without: Collection[str] = ()) -> bool:
        """Return whether a ping gets through between any two routers, in both families."""
        names = [name for name in self.routers if name not in without]
        return all(self.pings(a, b) for a in names for b in names if a < b)

    def pings(self, a: str, b: str, families: tuple[int, ...] = (6, 4)) -> bool:
        """Return whether a router gets an answer from another, from address to address of their own."""
        pairs = [(self[a].addresses[i], self[b].addresses[i]) for i, f in enumerate((6, 4)) if f in families]
        return all(self._answers(self[a].node, *(p.partition("/")[0] for p in pair)) for pair in pairs)

    def last_words(self) -> str:
        """Return the end of every router's log, and its kernel's learned routes."""
        return "\n".join(router.last_words() for router in self.routers.values())

    def _has_all(self, router: Router, names: list[str], without: Collection[str]) -> bool:
        wanted = {p for name in names if name != router.name for p in self[name].addresses}
        routes = router.routes(6) | router.routes(4)
        shunned = {port.interface for peer, port in router.ports.items() if peer in without}
        return all(p in routes and routes[p].device not in shunned for p in wanted)

    def _answers(self, node: Node, source: str, destination: str) -> bool:
        words = ["ping", "-n", "-c", "1", "-W", "1", "-I", source, destination]
        return " 1 received" in node.run(*words, check=False)

    def _connect_outside(self, router: Router) -> None:
        """Give a router an uplink to a host that stands for the Internet, for the kernel route of its default."""
        if self._outside is None:
            self._outside = self.add_node("outside")
        network = f"2001:db8:ff:{router.number}::"
        ends = (router.options.uplink, f"to-{router.name}")
        connect(router.node, self._outside, *ends, [f"{network}1/64"], [f"{network}2/64"])


def line(net: Net, *kinds: str) -> Net:
    """Build and start a line of routers named a, b, c and so on, and wait until everybody has everybody's addresses."""
    names = [chr(ord("a") + i) for i in range(len(kinds))]
    for name, kind in zip(names, kinds, strict=True):
        net.add(name, kind)
    for a, b in pairwise(names):
        net.link(a, b)
    net.start()
    net.wait_for_all("everybody has everybody's addresses")
    return net
