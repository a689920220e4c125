"""What every answer is made from: the node, its names, and one snapshot of its tables."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from babelwg.babel.snapshot import RouteView, Snapshot
from babelwg.daemon.control import INVALID_PARAMS, ControlServer, Params, RequestError
from babelwg.daemon.problems import why_not_there
from babelwg.daemon.texts import ip_text, prefix_text, router_id_text
from babelwg.linux.routes import UNREACHABLE

if TYPE_CHECKING:
    from babelwg.daemon.node import Node

Method = Callable[[Params], Awaitable[Any]]

# Implementation constants
FULL_TABLE = 2000  # prefixes; names are learned now and then anyway


class Context:
    """A node as its queries see it."""

    def __init__(self, node: "Node") -> None:
        self.control: ControlServer | None = None
        self.node = node
        self.names = node.names

    def now(self) -> float:
        """Return the time of the node's loop in seconds."""
        return asyncio.get_running_loop().time()

    def learn_names(self, prefixes: int) -> None:
        """Take note of who announces what now, unless so many prefixes are known that the answer would be late."""
        if prefixes < FULL_TABLE:
            self.snapshot()

    def snapshot(self) -> Snapshot:
        """Return all tables of Babel as they are now."""
        snapshot = self.node.routing.speaker.snapshot(self.now())
        self.names.learn(snapshot)
        return snapshot

    def describe_route(self, route: RouteView) -> dict[str, Any]:
        """Return a route as `show routes` tells it."""
        return self.describe_routes((route,))[0]

    def describe_routes(self, routes: Sequence[RouteView]) -> list[dict[str, Any]]:
        """Return routes as `show routes` tells them."""
        columns = self.route_columns(routes, ROUTE_FIELDS)
        return [dict(zip(ROUTE_FIELDS, row, strict=True)) for row in zip(*columns, strict=True)]

    def route_columns(self, routes: Sequence[RouteView], fields: Sequence[str]) -> list[list[Any]]:
        """Return fields of routes, a list of values for each; what many rows share is worked out once."""
        made: dict[str, list[Any]] = {}
        if LINK_FIELDS.intersection(fields):
            keys = [(route.interface, route.neighbour, route.next_hop) for route in routes]
            links = {key: self._describe_link(*key) for key in set(keys)}
            made |= {field: [links[key][field] for key in keys] for field in LINK_FIELDS.intersection(fields)}
        if PLACE_FIELDS.intersection(fields):
            places = [self._describe_place(route) for route in routes]
            made |= {field: [place[field] for place in places] for field in PLACE_FIELDS.intersection(fields)}
        if "origin" in fields:
            names = {router_id: self.names.origin(router_id) for router_id in {r.router_id for r in routes}}
            made["origin"] = [names[route.router_id] for route in routes]
        return [made[field] if field in made else ROUTE_COLUMNS[field](routes) for field in fields]

    def _describe_link(self, interface: str, neighbour: bytes, next_hop: bytes) -> dict[str, Any]:
        return {
            "neighbour": ip_text(neighbour),
            "neighbour_name": self.names.neighbour(interface, neighbour),
            "peer": self.names.peer_on(interface),
            "interface": interface,
            "next_hop": ip_text(next_hop),
        }

    def _describe_place(self, route: RouteView) -> Mapping[str, Any]:
        """Return what the kernel has of a route, and why it has not."""
        prefix, kernel = route.prefix, self.node.routes
        wanted = kernel.learned.get(prefix)
        if wanted is not None and route.state == "selected" and kernel.is_installed(prefix):
            return _installed_in(wanted.table)
        reason = None
        if route.state in ("selected", "feasible"):
            refusal = kernel.refused.get(prefix)
            if refusal is not None:
                reason = why_not_there(refusal)
            elif prefix in self.node.routing.installer.guarded:
                reason = "a route of the operator leads there"
        held = wanted is not None and wanted.kind == UNREACHABLE
        return {"installed": False, "table": None, "held": held, "reason": reason}


ROUTE_FIELDS = (
    "prefix", "router_id", "origin", "neighbour", "neighbour_name", "peer", "interface", "next_hop", "seqno",
    "refmetric", "metric", "state", "installed", "table", "held", "reason", "age_s", "expires_s",
)  # fmt: skip
LINK_FIELDS = frozenset({"neighbour", "neighbour_name", "peer", "interface", "next_hop"})
PLACE_FIELDS = frozenset({"installed", "table", "held", "reason"})
ROUTE_COLUMNS: Mapping[str, Callable[[Sequence[RouteView]], list[Any]]] = {
    "prefix": lambda routes: [prefix_text(route.prefix) for route in routes],
    "router_id": lambda routes: [router_id_text(route.router_id) for route in routes],
    "seqno": lambda routes: [route.seqno for route in routes],
    "refmetric": lambda routes: [route.refmetric for route in routes],
    "metric": lambda routes: [route.metric for route in routes],
    "state": lambda routes: [route.state for route in routes],
    # In milliseconds; round() would take longer than all other fields together.
    "age_s": lambda routes: [int(route.age * 1000) / 1000 for route in routes],
    "expires_s": lambda routes: [int(route.expires * 1000) / 1000 for route in routes],
}


@lru_cache
def _installed_in(table: int) -> Mapping[str, Any]:
    """Return what is said of every route that a table holds; most of them are."""
    return {"installed": True, "table": table, "held": False, "reason": None}


def address_of(params: Params, key: str) -> bytes | None:
    """Return a packed address that a request gives, None where it gives none. Raises RequestError."""
    value = params.get(key)
    if value is None:
        return None
    try:
        return ip_address(str(value)).packed
    except ValueError as error:
        raise RequestError(INVALID_PARAMS, f"{value!r} is not an IP address") from error
