"""What monitoring clients know, and the lines that bring them to what is so now."""

from collections.abc import Iterable, Iterator, Mapping
from secrets import token_bytes
from typing import TypeVar

from babelwg.babel.routeview import RouteView
from babelwg.babel.snapshot import InterfaceView, NeighbourView
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY
from babelwg.daemon.local.lines import (
    Identify,
    RouteText,
    interface_text,
    make_identify,
    neighbour_text,
    route_text,
    xroute_text,
)

K = TypeVar("K")
NeighbourKey = tuple[str, bytes]
Routes = dict[NeighbourKey, RouteText]

# Drawn once, so that an entry keeps its id for as long as the daemon runs.
IDENTIFY: Identify = make_identify(token_bytes(16))


class View:
    """The entries that clients know; each method that changes it returns the lines that tell them.

    An entry is added once, changed and flushed only while it is known, and every line tells all of it.
    """

    def __init__(self, identify: Identify = IDENTIFY) -> None:
        self._identify = identify
        self._interfaces: dict[str, str] = {}
        self._neighbours: dict[NeighbourKey, str] = {}
        self._xroutes: dict[Prefix, str] = {}
        self._routes: dict[Prefix, Routes] = {}

    def lines(self) -> list[str]:
        """Return the lines that tell a new client everything."""
        routes = (route for routes in self._routes.values() for route in routes.values())
        told = (self._interfaces.values(), self._neighbours.values(), self._xroutes.values(), routes)
        return [f"add {entry}" for table in told for entry in table]

    def add_links(
        self, interfaces: Mapping[str, InterfaceView | None], neighbours: Iterable[NeighbourView]
    ) -> list[str]:
        """Take in the interfaces (None for one that is down) and neighbours, but for those that went."""
        lines: list[str] = []
        for name, view in interfaces.items():
            if view is not None or name not in self._interfaces:
                lines += _update(self._interfaces, name, interface_text(name, view))
        for neighbour in neighbours:
            key = (neighbour.interface, neighbour.address)
            lines += _update(self._neighbours, key, neighbour_text(neighbour, self._identify))
        return lines

    def drop_links(
        self, interfaces: Mapping[str, InterfaceView | None], neighbours: Iterable[NeighbourView]
    ) -> list[str]:
        """Take out the neighbours and interfaces that are not there any more; their routes must be out already."""
        there = {(neighbour.interface, neighbour.address) for neighbour in neighbours}
        lines = [f"flush {self._neighbours.pop(key)}" for key in [*self._neighbours.keys() - there]]
        for name in [*self._interfaces]:
            if interfaces.get(name) is None:
                lines += _update(self._interfaces, name, interface_text(name, None))
            if name not in interfaces:
                lines.append(f"flush {self._interfaces.pop(name)}")
        return lines

    def set_xroutes(self, metrics: Mapping[Prefix, int]) -> list[str]:
        """Take in what this node announces, each prefix with its metric."""
        gone = [prefix for prefix in self._xroutes if prefix not in metrics]
        lines = [f"flush {self._xroutes.pop(prefix)}" for prefix in gone]
        for prefix, metric in metrics.items():
            lines += _update(self._xroutes, prefix, xroute_text(prefix, metric))
        return lines

    def set_routes(self, prefix: Prefix, views: Iterable[RouteView], held: bool) -> list[str]:
        """Take in the routes to a prefix, which is held unreachable or not."""
        known = self._routes.get(prefix, {})
        routes = dict(self._texts(views, held))
        lines = [line for key in known.keys() - routes.keys() for line in _flush(known[key])]
        for key, text in routes.items():
            lines += _tell(known.get(key), text)
        if routes:
            self._routes[prefix] = routes
        else:
            self._routes.pop(prefix, None)
        return lines

    def _texts(self, views: Iterable[RouteView], held: bool) -> Iterator[tuple[NeighbourKey, RouteText]]:
        for view in views:
            installed = view.state == "selected"
            if held and view.metric == INFINITY:
                # One route stands for the unreachable one of the kernel.
                installed, held = True, False
            yield (view.interface, view.neighbour), route_text(view, installed, self._identify)


def _update(table: dict[K, str], key: K, text: str) -> list[str]:
    known = table.get(key)
    if known == text:
        return []
    table[key] = text
    return [f"{'add' if known is None else 'change'} {text}"]


def _tell(known: RouteText | None, text: RouteText) -> list[str]:
    """Return the lines for a route that is new or changed; one that is in use is first added as one that is not."""
    if known == text:
        return []
    if known is not None:
        return [f"change {text}"]
    unused = text._replace(installed=False)
    return [f"add {unused}", f"change {text}"] if text.installed else [f"add {unused}"]


def _flush(known: RouteText) -> list[str]:
    """Return the lines for a route that is gone; one that was in use first ceases to be."""
    unused = known._replace(installed=False)
    return [f"change {unused}", f"flush {unused}"] if known.installed else [f"flush {unused}"]
