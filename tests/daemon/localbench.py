"""What the tests of babeld's local protocol share: entries of the tables, a node to tell of, and a client."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

from babelwg.babel.routeview import RouteView
from babelwg.babel.snapshot import InterfaceView, NeighbourView
from babelwg.babel.wire.prefix import Prefix
from babelwg.config import BabeldConfig, parse_babeld
from babelwg.daemon.local.service import LocalService

A = bytes.fromhex("020000000000000a")


def octets(text: str) -> bytes:
    return ip_address(text).packed


def interface(link_local: str, ipv4: str | None = None) -> InterfaceView:
    return InterfaceView("x", "wired", octets(link_local), octets(ipv4) if ipv4 else None, 1500, 4, 16, 1, 1)


def neighbour(address: str, interface: str, **fields: Any) -> NeighbourView:
    plain: dict[str, Any] = {
        "reach": 0xFFFF,
        "ureach": 0,
        "rxcost": 96,
        "txcost": 96,
        "cost": 96,
        "loss": 0.0,
        "hello_interval": 4.0,
        "last_heard": 1.0,
        "routes": 1,
        "purged": True,
        "rtt": None,
        "penalty": None,
    }
    return NeighbourView(interface, octets(address), **(plain | fields))


def route(prefix: str, router_id: bytes, metric: int, refmetric: int, via: str, interface: str) -> RouteView:
    return RouteView(
        prefix=Prefix.parse(prefix),
        router_id=router_id,
        neighbour=octets(via),
        interface=interface,
        next_hop=octets("192.0.2.77"),
        seqno=1,
        refmetric=refmetric,
        metric=metric,
        smoothed_metric=float(metric),
        state="selected",
        age=1.0,
        expires=1.0,
    )


class Tables:
    """A speaker whose tables a test writes by hand."""

    router_id = A

    def __init__(self) -> None:
        self.interfaces: dict[str, InterfaceView] = {}
        self.neighbours: list[NeighbourView] = []
        self.routes: dict[Prefix, list[RouteView]] = {}
        self.held: set[Prefix] = set()
        self.watched = False
        self._touched: list[Prefix] = []

    def set_routes(self, *routes: RouteView) -> None:
        """Have these routes for the prefix that they share."""
        prefix = routes[0].prefix
        self.routes[prefix] = [*routes]
        self.touch(prefix)

    def touch(self, prefix: Prefix) -> None:
        if self.watched:
            self._touched.append(prefix)

    def watch(self, wanted: bool) -> None:
        self.watched, self._touched = wanted, []

    def touched(self) -> list[Prefix]:
        touched, self._touched = self._touched, []
        return touched

    def prefixes(self) -> list[Prefix]:
        return [*self.routes]

    def routes_for(self, prefix: Prefix, now: float) -> tuple[RouteView, ...]:
        del now
        return tuple(self.routes.get(prefix, ()))

    def is_held(self, prefix: Prefix) -> bool:
        return prefix in self.held

    def links(self, now: float) -> tuple[tuple[InterfaceView, ...], tuple[NeighbourView, ...]]:
        del now
        return tuple(self.interfaces.values()), tuple(self.neighbours)


class FakeNode:
    """A node as the service sees it: what it routes, and what its configuration says."""

    def __init__(self, speaker: Any = None) -> None:
        self.routing: Any = SimpleNamespace(
            speaker=speaker or Tables(), wanted={}, announced={}, listeners=[]
        )
        self.config = BabeldConfig()
        self.service = LocalService(self.routing, self.amend)

    @property
    def tables(self) -> Tables:
        tables: Tables = self.routing.speaker
        return tables

    async def amend(self, change: Callable[[BabeldConfig], BabeldConfig]) -> None:
        self.config = change(self.config)
        self.routing.wanted = {i.name: i for i in self.config.interfaces}
        await self.service.configure(self.config)

    async def configure(self, text: str) -> None:
        """Take a configuration in babeld's language."""
        await self.amend(lambda _: parse_babeld(text, "conf"))


class Client:
    """A client that takes nothing for granted."""

    opened: ClassVar[list["Client"]] = []

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.opened.append(self)

    @classmethod
    async def at(cls, path: Path, greeted: bool = True) -> "Client":
        client = cls(*await asyncio.open_unix_connection(path))
        if greeted:
            await client.lines_until("ok")
        return client

    async def line(self) -> str:
        """Return the next line; nothing at the end."""
        return (await self.reader.readline()).decode().removesuffix("\n")

    async def lines_until(self, *finals: str) -> list[str]:
        """Return all lines up to one that is final."""
        lines = [await self.line()]
        while lines[-1] not in finals and lines[-1]:
            lines.append(await self.line())
        return lines

    async def ask(self, request: str) -> list[str]:
        """Return the reply to a request."""
        self.writer.write(f"{request}\n".encode())
        lines = [await self.line()]
        while lines[-1].split(" ")[0] not in ("ok", "bad", "no", ""):
            lines.append(await self.line())
        return lines

    async def is_at_end(self) -> bool:
        """Return whether the server has closed the connection."""
        try:
            return await self.reader.read(1) == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        self.writer.close()


def converse(
    path: Path,
    talk: Callable[[FakeNode], Awaitable[None]],
    *lines: str,
    speaker: Any = None,
    rw: bool = False,
) -> FakeNode:
    """Let `talk` run beside a node whose server is at a path; return the node as it is afterwards."""
    node = FakeNode(speaker)

    async def run() -> None:
        async with (
            serving(node, f"local-path{'-readwrite' if rw else ''} {path}", *lines),
            asyncio.timeout(600),
        ):
            await talk(node)

    asyncio.run(run())
    return node


@asynccontextmanager
async def serving(node: FakeNode, *lines: str) -> Any:
    """Run a node's server."""
    await node.configure("\n".join(lines))
    assert node.service.error is None
    try:
        yield node
    finally:
        await node.service.close()
        while Client.opened:
            client = Client.opened.pop()
            client.close()
            with contextlib.suppress(OSError):
                await client.writer.wait_closed()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.001)
