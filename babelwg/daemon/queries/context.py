"""What every answer is made from: the node, its names, and one snapshot of its tables."""

import asyncio
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from babelwg.babel.snapshot import RouteView, Snapshot
from babelwg.daemon.control import INVALID_PARAMS, ControlServer, Params, RequestError
from babelwg.daemon.names import Names

if TYPE_CHECKING:
    from babelwg.daemon.node import Node

Method = Callable[[Params], Awaitable[Any]]


class Context:
    """A node as its queries see it."""

    def __init__(self, node: "Node") -> None:
        self.control: ControlServer | None = None
        self.node = node
        self.names = Names(node)

    def now(self) -> float:
        """Return the time of the node's loop in seconds."""
        return asyncio.get_running_loop().time()

    def snapshot(self) -> Snapshot:
        """Return all tables of Babel as they are now."""
        snapshot = self.node.routing.speaker.snapshot(self.now())
        self.names.learn(snapshot)
        return snapshot

    def describe_route(self, route: RouteView) -> dict[str, Any]:
        """Return a route as `show routes` tells it."""
        return {
            "prefix": str(route.prefix),
            "router_id": route.router_id.hex(":"),
            "origin": self.names.origin(route.router_id),
            "neighbour": str(ip_address(route.neighbour)),
            "peer": self.names.peer_on(route.interface),
            "interface": route.interface,
            "next_hop": str(ip_address(route.next_hop)),
            "seqno": route.seqno,
            "refmetric": route.refmetric,
            "metric": route.metric,
            "state": route.state,
            "installed": route.state == "selected" and self.node.routes.is_installed(route.prefix),
            "age_s": round(route.age, 3),
            "expires_s": round(route.expires, 3),
        }


def address_of(params: Params, key: str) -> bytes | None:
    """Return a packed address that a request gives, None where it gives none. Raises RequestError."""
    value = params.get(key)
    if value is None:
        return None
    try:
        return ip_address(str(value)).packed
    except ValueError as error:
        raise RequestError(INVALID_PARAMS, f"{value!r} is not an IP address") from error
