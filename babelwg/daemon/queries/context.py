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


class Context:
    """A node as its queries see it."""

    def __init__(self, node: "Node") -> None:
        self.control: ControlServer | None = None
        self.node = node
        self.names = node.names

    def now(self) -> float:
        """Return the time of the node's loop in seconds."""
        return asyncio.get_running_loop().time()

    def learn_names(self) -> None:
        """Take note of who announces what now."""
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
        """Return routes as `show routes` tells them; those of one neighbour share what is said of it."""
        links: dict[tuple[str, bytes, bytes], dict[str, Any]] = {}
        found = []
        for route in routes:
            key = route.interface, route.neighbour, route.next_hop
            if (link := links.get(key)) is None:
                link = links[key] = self._describe_link(*key)
            found.append(
                {
                    "prefix": prefix_text(route.prefix),
                    "router_id": router_id_text(route.router_id),
                    "origin": self.names.origin(route.router_id),
                    **link,
                    "seqno": route.seqno,
                    "refmetric": route.refmetric,
                    "metric": route.metric,
                    "state": route.state,
                    **self._describe_place(route),
                    "age_s": round(route.age, 3),
                    "expires_s": round(route.expires, 3),
                }
            )
        return found

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
