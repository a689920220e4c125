"""One destination: the way that Babel selected, and the way that the kernel takes."""

from ipaddress import ip_address
from typing import Any

from babelwg.config.addresses import serving
from babelwg.daemon.control import INVALID_PARAMS, Params, RequestError
from babelwg.daemon.explain.kernelview import compare, describe_kernel
from babelwg.daemon.explain.subject import address_or_none, resolve
from babelwg.daemon.queries.context import Context, Method, address_of
from babelwg.linux.errors import KernelError
from babelwg.linux.mirror import IFF_LOOPBACK
from babelwg.linux.routes import LOCAL, Route, look_up, match


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
        text, source = str(params.get("address") or ""), address_of(params, "source")
        if not text:
            raise RequestError(INVALID_PARAMS, "an address is needed")
        speaker, now = self._context.node.routing.speaker, self._context.now()
        known = set(speaker.prefixes())
        self._context.learn_names()
        destination = resolve(text, self._context.names)[0]
        fitting = serving(known, destination, source)
        routes = [route for prefix in fitting for route in speaker.routes_for(prefix, now)]
        # A longer prefix that is held unreachable hides the shorter ones.
        held = max((prefix.plen for prefix in fitting if speaker.is_held(prefix)), default=-1)
        selected = [r for r in routes if r.state == "selected" and r.prefix.plen > held]
        # Destination first: the longer source decides between equal destinations (RFC 9079, section 4).
        best = max(selected, key=lambda r: (r.prefix.plen, r.prefix.source_plen), default=None)
        others = [
            r for r in routes if best and r.prefix == best.prefix and r is not best and r.state == "feasible"
        ]
        kernel, entry = self._kernel_route(destination, source)
        mirror = self._context.node.monitor.mirror
        agreement = compare(best.prefix if best else None, best, entry, mirror.name)
        link = mirror.links.get(kernel.interface) if kernel else None
        return {
            "address": str(ip_address(destination)),
            "name": None if address_or_none(text) else text,
            "source": str(ip_address(source)) if source else None,
            "local": kernel is not None and kernel.kind == LOCAL,
            "prefix": str(best.prefix) if best else None,
            "route": self._context.describe_route(best) if best else None,
            "next_best": self._context.describe_route(min(others, key=lambda r: r.metric))
            if others
            else None,
            "kernel": describe_kernel(kernel, mirror.name, entry.prefix if entry else None)
            if kernel
            else None,
            "agrees": agreement.agrees,
            "kernel_words": agreement.words,
            "mtu": link.mtu if link and not link.flags & IFF_LOOPBACK else None,
        }

    def _kernel_route(self, destination: bytes, source: bytes | None) -> tuple[Route | None, Route | None]:
        """Return the way that a packet takes, and the entry of the kernel's tables that leads it."""
        requests = self._context.node.requests
        try:
            return look_up(requests, destination, source), match(requests, destination, source)
        except KernelError as error:
            raise RequestError(INVALID_PARAMS, str(error)) from error
