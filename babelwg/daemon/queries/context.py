"""What every answer is made from: the node, its names, and one snapshot of its tables."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from babelwg.babel.routeview import RouteColumns, RouteView
from babelwg.babel.snapshot import Snapshot, SourceView, Summary
from babelwg.daemon.control import INVALID_PARAMS, ControlServer, Params, RequestError
from babelwg.daemon.dataplane_counters import DataPlaneCounters
from babelwg.daemon.doctor.strangers import StrangersReader
from babelwg.daemon.queries.routetable import PrefixTexts, RouteTable

if TYPE_CHECKING:
    from babelwg.daemon.node import Node

Method = Callable[[Params], Awaitable[Any]]


class Context:
    """A node as its queries see it."""

    def __init__(self, node: "Node") -> None:
        self.control: ControlServer | None = None
        self.node = node
        self.names = node.names
        self.strangers = StrangersReader(node)
        self.dataplane = DataPlaneCounters(lambda: node.tunnels.embedded.stats())
        self._prefix_texts = PrefixTexts()

    def now(self) -> float:
        """Return the time of the node's loop in seconds."""
        return asyncio.get_running_loop().time()

    def learn_names(self) -> None:
        """Take note of who announces what now."""
        self.names.learn(self.now())

    def snapshot(self) -> Snapshot:
        """Return all tables of Babel but that of sources as they are now."""
        self.learn_names()
        return self.node.routing.speaker.snapshot(self.now(), with_sources=False)

    def columns(self) -> RouteColumns:
        """Return all routes as they are now."""
        self.learn_names()
        return self.node.routing.speaker.route_columns(self.now())

    def sources(self) -> tuple[SourceView, ...]:
        """Return the source table as it is now."""
        self.learn_names()
        return self.node.routing.speaker.source_views(self.now())

    def summary(self) -> Summary:
        """Return how much is in the tables of Babel now; where no single route is told it is enough."""
        self.learn_names()
        return self.node.routing.speaker.summary(self.now())

    def describe_route(self, route: RouteView) -> dict[str, Any]:
        """Return a route as `show routes` tells it."""
        return self.describe_routes((route,))[0]

    def describe_routes(self, routes: Sequence[RouteView]) -> list[dict[str, Any]]:
        """Return routes as `show routes` tells them."""
        table = self.route_table()
        table.add(0, RouteColumns.of(routes))
        return table.records()

    def route_table(self) -> RouteTable:
        """Return an empty table of routes as `show routes` tells them."""
        return RouteTable(self.node, self._prefix_texts)


def address_of(params: Params, key: str) -> bytes | None:
    """Return a packed address that a request gives, None where it gives none. Raises RequestError."""
    value = params.get(key)
    if value is None:
        return None
    try:
        return ip_address(str(value)).packed
    except ValueError as error:
        raise RequestError(INVALID_PARAMS, f"{value!r} is not an IP address") from error
