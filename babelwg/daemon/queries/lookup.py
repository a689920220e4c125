"""One destination: the way that Babel selected, and the way that the kernel takes."""

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from babelwg.babel.snapshot import RouteView
from babelwg.config.addresses import serves
from babelwg.daemon.control import INVALID_PARAMS, Params, RequestError
from babelwg.daemon.queries.context import Context, Method, address_of
from babelwg.linux.errors import KernelError
from babelwg.linux.routes import KIND_NAMES, LOCAL, Route, look_up


class Lookup:
    """Answers about the way to one destination."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def methods(self) -> dict[str, Method]:
        """Return these answers by their names on the control socket."""
        return {
            "route_get": self._route_get,
        }

    async def _route_get(self, params: Params) -> Any:
        destination, source = address_of(params, "address"), address_of(params, "source")
        if destination is None:
            raise RequestError(INVALID_PARAMS, "an address is needed")
        routes = [r for r in self._context.snapshot().routes if serves(r.prefix, destination, source)]
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
            "route": self._context.describe_route(best) if best else None,
            "next_best": self._context.describe_route(min(others, key=lambda r: r.metric))
            if others
            else None,
            "kernel": self._describe_kernel(kernel) if kernel else None,
            "agrees": _agrees(best, kernel, self._context.node.monitor.mirror.name),
        }

    def _kernel_route(self, destination: bytes, source: bytes | None) -> Route | None:
        try:
            return look_up(self._context.node.requests, destination, source)
        except KernelError as error:
            raise RequestError(INVALID_PARAMS, str(error)) from error

    def _describe_kernel(self, route: Route) -> dict[str, Any]:
        return {
            "type": KIND_NAMES.get(route.kind, str(route.kind)),
            "prefix": None,  # the kernel answers with the way, not with the prefix that led to it
            "interface": self._context.node.monitor.mirror.name(route.interface) if route.interface else None,
            "next_hop": str(ip_address(route.next_hop)) if route.next_hop else None,
            "source": str(ip_address(route.source)) if route.source else None,
            "table": route.table,
        }


def _agrees(best: RouteView | None, kernel: Route | None, name: Callable[[int], str]) -> bool | None:
    """Return whether the kernel does what Babel selected; None where Babel selected nothing."""
    if best is None:
        return None
    return (
        kernel is not None and name(kernel.interface) == best.interface and kernel.next_hop == best.next_hop
    )
