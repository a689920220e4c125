"""Routes to peers without Babel: the kernel's table main leads their addresses to their tunnels."""

import errno
import logging
from collections.abc import Container, Iterable
from typing import NamedTuple

from babelwg.babel.wire.prefix import Prefix
from babelwg.config import BabeldConfig, Config
from babelwg.linux.errors import KernelError
from babelwg.linux.mirror import Mirror
from babelwg.linux.netlink import RequestSocket
from babelwg.linux.routes import TABLE_MAIN, UNICAST, Route, remove_request, set_request

log = logging.getLogger(__name__)

# Of no routing protocol: as one of an operator, such a route stands against what Babel learns.
PROTOCOL_LEAF = 43
PRIORITY_LEAF = 1040  # after 1024, so that a route of the operator stays where it is
# The interface went while we asked; the news of it leads here again.
GONE = (errno.ENODEV, errno.ENETDOWN)


class LeafPlan(NamedTuple):
    """What to set and what to remove."""

    set: list[Route]
    remove: list[Route]


def plan_leaves(desired: Iterable[Route], main: Iterable[Route]) -> LeafPlan:
    """Return what turns the leaf routes in main into the desired ones; other routes are nobody's business here."""
    wanted, there = set(desired), {route for route in main if route.protocol == PROTOCOL_LEAF}
    keys = {(route.prefix, route.priority) for route in wanted}
    # What is set replaces what stands in its place.
    stale = {route for route in there - wanted if (route.prefix, route.priority) not in keys}
    return LeafPlan(sorted(wanted - there), sorted(stale))


class LeafRoutes:
    """Keeps these routes as the configuration wants them; a tunnel that goes takes its routes along."""

    def __init__(self, requests: RequestSocket, mirror: Mirror) -> None:
        self._requests = requests
        self._mirror = mirror
        self._refused: dict[Prefix, int] = {}

    def sync(self, config: Config | BabeldConfig, disabled: Container[str]) -> None:
        """Compare with the kernel and repair; what is refused is told once."""
        if not isinstance(config, Config):
            return
        plan = plan_leaves(self._desired(config, disabled), self._mirror.main.values())
        requests = [remove_request(route) for route in plan.remove]
        requests += [set_request(route, exclusive=False) for route in plan.set]
        if not requests:
            return
        try:
            answers = self._requests.request(requests)
        except KernelError as error:
            log.error("kernel-refused %s", error)
            return
        for route, answer in zip([*plan.remove, *plan.set], answers, strict=True):
            refused = answer.errno if route in plan.set and answer.errno not in GONE else 0
            if refused and self._refused.get(route.prefix) != refused:
                log.error("leaf-route-refused prefix=%s errno=%d", route.prefix, refused)
            self._refused[route.prefix] = refused

    def _desired(self, config: Config, disabled: Container[str]) -> list[Route]:
        routes = []
        for peer in config.peers:
            link = self._mirror.link(peer.interface)
            if link is None or not link.up or peer.name in disabled:
                continue
            for prefix in peer.leaf_addresses:
                octets = len(prefix.network)
                own = (a.address for a in config.node.addresses if len(a.address) == octets)
                source = next(own, b"")
                routes.append(_route(prefix, link.index, source))
        return routes


def _route(prefix: Prefix, interface: int, source: bytes) -> Route:
    return Route(prefix, TABLE_MAIN, UNICAST, b"", interface, source, PRIORITY_LEAF, PROTOCOL_LEAF)
