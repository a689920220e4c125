"""The tables of Babel, a record for each row."""

from ipaddress import ip_address
from typing import Any

from babelwg.daemon.control import Params
from babelwg.daemon.queries.context import Context, Method


class Tables:
    """Answers with the tables as they are now."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def methods(self) -> dict[str, Method]:
        """Return these answers by their names on the control socket."""
        return {
            "neighbours": self._neighbours,
            "routes": self._routes,
            "xroutes": self._xroutes,
            "sources": self._sources,
            "interfaces": self._interfaces,
        }

    async def _neighbours(self, params: Params) -> Any:
        del params
        return [
            {
                "interface": n.interface,
                "peer": self._context.names.peer_on(n.interface),
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
            for n in self._context.snapshot().neighbours
        ]

    async def _routes(self, params: Params) -> Any:
        del params
        return [self._context.describe_route(route) for route in self._context.snapshot().routes]

    async def _xroutes(self, params: Params) -> Any:
        del params
        announced = self._context.node.routing.announced
        return [
            {"prefix": str(x.prefix), "metric": x.metric, "origin": announced[x.prefix][1]}
            for x in self._context.snapshot().xroutes
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
            for s in self._context.snapshot().sources
        ]

    async def _interfaces(self, params: Params) -> Any:
        del params
        running = {view.name: view for view in self._context.snapshot().interfaces}
        answers = []
        for name, wanted in sorted(self._context.node.routing.wanted.items()):
            link, view = self._context.node.monitor.mirror.link(name), running.get(name)
            answers.append(
                {
                    "name": name,
                    "kind": wanted.parameters.kind,
                    "peer": self._context.names.peer_on(name),
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
