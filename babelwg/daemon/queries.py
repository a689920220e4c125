"""Questions and their answers: plain data from one snapshot, for the command line and everything else that asks."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from babelwg.babel.snapshot import RouteView, Snapshot
from babelwg.config import Config, ConfigErrors
from babelwg.config.addresses import serves
from babelwg.daemon.control import CONFIGURATION_REFUSED, INVALID_PARAMS, ControlServer, Params, RequestError
from babelwg.daemon.names import Names
from babelwg.daemon.peers import describe_peers
from babelwg.daemon.problems import describe_problems
from babelwg.linux.errors import KernelError
from babelwg.linux.routes import KIND_NAMES, LOCAL, Route, look_up
from babelwg.version import __version__

if TYPE_CHECKING:
    from babelwg.daemon.node import Node

CHANGING = frozenset({"reload", "stop"})


class Queries:
    """Answers questions about a node."""

    def __init__(self, node: "Node") -> None:
        self.control: ControlServer | None = None
        self._node = node
        self._names = Names(node)

    def methods(self) -> dict[str, Callable[[Params], Awaitable[Any]]]:
        """Return every method by its name on the control socket; each answer carries the node's name."""
        answers = {
            "status": self._status,
            "peers": self._peers,
            "neighbours": self._neighbours,
            "routes": self._routes,
            "xroutes": self._xroutes,
            "sources": self._sources,
            "interfaces": self._interfaces,
            "gateways": self._gateways,
            "stats": self._stats,
            "route_get": self._route_get,
            "reload": self._reload,
            "stop": self._stop,
        }
        return {name: self._named(method) for name, method in answers.items()}

    def _named(self, method: Callable[[Params], Awaitable[Any]]) -> Callable[[Params], Awaitable[Any]]:
        async def answer(params: Params) -> Any:
            return {"node": self._names.node, "data": await method(params)}

        return answer

    def _snapshot(self) -> Snapshot:
        return self._node.routing.speaker.snapshot(asyncio.get_running_loop().time())

    async def _status(self, params: Params) -> Any:
        del params
        node, snapshot = self._node, self._snapshot()
        config = node.config
        overlay = config if isinstance(config, Config) else None
        peers = await describe_peers(node, snapshot, self._names)
        return {
            "name": self._names.node,
            "version": __version__,
            "pid": os.getpid(),
            "router_id": snapshot.router_id.hex(":"),
            "started": datetime.fromtimestamp(node.started, UTC).isoformat(timespec="seconds"),
            "uptime_s": round(time.time() - node.started, 3),
            "config": str(node.config_path),
            "mode": node.mode,
            "backend": node.tunnels.backend_name,
            "addresses": [str(address) for address in overlay.node.addresses] if overlay else [],
            "announce": [str(prefix) for prefix in overlay.node.announce] if overlay else [],
            "table": node.routes.table,
            "peers": peers,
            "gateways": node.gateways.describe(),
            "routes": {
                "selected": sum(route.state == "selected" for route in snapshot.routes),
                "total": len(snapshot.routes),
            },
            "problems": describe_problems(node, snapshot, peers),
        }

    async def _peers(self, params: Params) -> Any:
        del params
        return await describe_peers(self._node, self._snapshot(), self._names)

    async def _neighbours(self, params: Params) -> Any:
        del params
        return [
            {
                "interface": n.interface,
                "peer": self._names.peer_on(n.interface),
                "address": str(ip_address(n.address)),
                "state": "reachable" if n.cost < 65535 else "unreachable",
                "reach": f"{n.reach:04x}",
                "ureach": f"{n.ureach:04x}",
                "rxcost": n.rxcost,
                "txcost": n.txcost,
                "cost": n.cost,
                "loss": round(n.loss, 4),
                "rtt_s": round(n.rtt, 6) if n.rtt is not None else None,
                "rttcost": n.penalty,
                "hello_interval_s": n.hello_interval or None,
                "last_heard_s": round(n.last_heard, 3),
                "routes": n.routes,
            }
            for n in self._snapshot().neighbours
        ]

    async def _routes(self, params: Params) -> Any:
        del params
        return [self._describe_route(route) for route in self._snapshot().routes]

    async def _xroutes(self, params: Params) -> Any:
        del params
        announced = self._node.routing.announced
        return [
            {"prefix": str(x.prefix), "metric": x.metric, "origin": announced[x.prefix][1]}
            for x in self._snapshot().xroutes
            if x.prefix in announced
        ]

    async def _sources(self, params: Params) -> Any:
        del params
        return [
            {
                "prefix": str(s.prefix),
                "router_id": s.router_id.hex(":"),
                "seqno": s.seqno,
                "metric": s.metric,
                "expires_s": round(s.expires, 3),
            }
            for s in self._snapshot().sources
        ]

    async def _interfaces(self, params: Params) -> Any:
        del params
        running = {view.name: view for view in self._snapshot().interfaces}
        answers = []
        for name, wanted in sorted(self._node.routing.wanted.items()):
            link, view = self._node.monitor.mirror.link(name), running.get(name)
            answers.append(
                {
                    "name": name,
                    "kind": wanted.parameters.kind,
                    "peer": self._names.peer_on(name),
                    "up": view is not None,
                    "mtu": link.mtu if link else None,
                    "link_local": str(ip_address(view.link_local)) if view else None,
                    "ipv4": str(ip_address(view.ipv4)) if view and view.ipv4 else None,
                    "hello_interval_s": wanted.parameters.hello_interval,
                    "update_interval_s": wanted.parameters.update_interval,
                    "hello_seqno": view.hello_seqno if view else None,
                    "neighbours": view.neighbours if view else 0,
                }
            )
        return answers

    async def _gateways(self, params: Params) -> Any:
        del params
        return self._node.gateways.describe()

    async def _stats(self, params: Params) -> Any:
        del params
        node = self._node
        counters: dict[str, int] = {}
        sources = {
            "babel": node.routing.speaker.counters,
            "socket": node.routing.socket.counters,
            "kernel": node.routes.counters,
            "store": node.store.counters,
            "gateway": node.gateways.counters,
            "daemon": node.routing.counters,
            "control": self.control.counters if self.control else {},
        }
        for part, values in sources.items():
            counters |= {f"{part}.{name}": value for name, value in values.items()}
        counters["kernel.overruns"] = node.monitor.overruns
        counters |= {
            f"dataplane.{name}": value for name, value in (await node.tunnels.embedded.stats()).items()
        }
        return {"counters": dict(sorted(counters.items()))}

    async def _route_get(self, params: Params) -> Any:
        destination, source = _address(params, "address"), _address(params, "source")
        if destination is None:
            raise RequestError(INVALID_PARAMS, "an address is needed")
        routes = [r for r in self._snapshot().routes if serves(r.prefix, destination, source)]
        selected = [route for route in routes if route.state == "selected"]
        # Destination first: the longer source decides between equal destinations (RFC 9079, section 4).
        best = max(selected, key=lambda r: (r.prefix.plen, r.prefix.source_plen), default=None)
        others = [
            r for r in routes if best and r.prefix == best.prefix and r is not best and r.state == "feasible"
        ]
        kernel = self._kernel_route(destination, source)
        return {
            "address": str(ip_address(destination)),
            "source": str(ip_address(source)) if source else None,
            "local": kernel is not None and kernel.kind == LOCAL,
            "prefix": str(best.prefix) if best else None,
            "route": self._describe_route(best) if best else None,
            "next_best": self._describe_route(min(others, key=lambda r: r.metric)) if others else None,
            "kernel": self._describe_kernel(kernel) if kernel else None,
            "agrees": _agrees(best, kernel, self._node.monitor.mirror.name),
        }

    async def _reload(self, params: Params) -> Any:
        del params
        try:
            return {"notes": await self._node.reload()}
        except ConfigErrors as errors:
            raise RequestError(CONFIGURATION_REFUSED, str(errors)) from errors

    async def _stop(self, params: Params) -> Any:
        withdraw = bool(params.get("withdraw")) or self._node.mode == "babeld"
        asyncio.get_running_loop().call_later(0.05, self._node.request_stop, withdraw)
        return {"pid": os.getpid(), "withdraw": withdraw}

    def _kernel_route(self, destination: bytes, source: bytes | None) -> Route | None:
        try:
            return look_up(self._node.requests, destination, source)
        except KernelError as error:
            raise RequestError(INVALID_PARAMS, str(error)) from error

    def _describe_kernel(self, route: Route) -> dict[str, Any]:
        return {
            "type": KIND_NAMES.get(route.kind, str(route.kind)),
            "prefix": None,  # the kernel answers with the way, not with the prefix that led to it
            "interface": self._node.monitor.mirror.name(route.interface) if route.interface else None,
            "next_hop": str(ip_address(route.next_hop)) if route.next_hop else None,
            "source": str(ip_address(route.source)) if route.source else None,
            "table": route.table,
        }

    def _describe_route(self, route: RouteView) -> dict[str, Any]:
        return {
            "prefix": str(route.prefix),
            "router_id": route.router_id.hex(":"),
            "origin": self._names.origin(route.router_id),
            "neighbour": str(ip_address(route.neighbour)),
            "peer": self._names.peer_on(route.interface),
            "interface": route.interface,
            "next_hop": str(ip_address(route.next_hop)),
            "seqno": route.seqno,
            "refmetric": route.refmetric,
            "metric": route.metric,
            "state": route.state,
            "installed": route.state == "selected" and self._node.routes.is_installed(route.prefix),
            "age_s": round(route.age, 3),
            "expires_s": round(route.expires, 3),
        }


def _address(params: Params, key: str) -> bytes | None:
    value = params.get(key)
    if value is None:
        return None
    try:
        return ip_address(str(value)).packed
    except ValueError as error:
        raise RequestError(INVALID_PARAMS, f"{value!r} is not an IP address") from error


def _agrees(best: RouteView | None, kernel: Route | None, name: Callable[[int], str]) -> bool | None:
    """Return whether the kernel does what Babel selected; None where Babel selected nothing."""
    if best is None:
        return None
    return (
        kernel is not None and name(kernel.interface) == best.interface and kernel.next_hop == best.next_hop
    )
