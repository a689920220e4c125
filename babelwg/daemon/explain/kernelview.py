"""The kernel's own answer for a prefix, and whether it is what Babel wants."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from babelwg.babel.routeview import RouteView
from babelwg.babel.wire.prefix import Prefix
from babelwg.linux.routes import KIND_NAMES, LOCAL, UNICAST, Route

TABLE_NAMES = {253: "default", 254: "main", 255: "local"}


@dataclass(frozen=True, slots=True)
class Agreement:
    """Whether the kernel does what Babel wants (None: Babel wants nothing), and in words."""

    agrees: bool | None
    words: str


def has_way(kernel: Route | None) -> bool:
    """Return whether packets go anywhere."""
    return kernel is not None and kernel.kind in (UNICAST, LOCAL)


def compare(
    prefix: Prefix | None, wanted: RouteView | None, kernel: Route | None, name: Callable[[int], str]
) -> Agreement:
    """Return whether the kernel's entry for a packet is the one that Babel selected for its prefix.

    `name` gives an interface's name. Without a prefix only the way is compared.
    """
    if wanted is None:
        return Agreement(None, _instead(prefix, kernel, name))
    if kernel is None or kernel.kind != UNICAST:
        return Agreement(False, "the kernel has no way: somebody removed the route, or forbids it")
    if prefix is not None and kernel.prefix.plen > prefix.plen:
        longer = f"{kernel.prefix.destination}, {way_words(kernel, name)}"
        return Agreement(None, f"the kernel has a longer route for this address: {longer}")
    same_way = kernel.next_hop == wanted.next_hop and name(kernel.interface) == wanted.interface
    if same_way and (prefix is None or kernel.prefix.destination == prefix.destination):
        return Agreement(True, f"the kernel agrees: {way_words(kernel, name)}")
    if prefix is None or kernel.prefix.destination == prefix.destination:
        there = f"via {ip_address(wanted.next_hop)} on {wanted.interface}"
        return Agreement(False, f"the kernel goes {way_words(kernel, name)}, and not {there}")
    return Agreement(
        False, f"the kernel goes by {kernel.prefix.destination}, {way_words(kernel, name)}: ours is not there"
    )


def way_words(route: Route, name: Callable[[int], str]) -> str:
    """Return the way of a kernel's route in words."""
    parts = [f"via {ip_address(route.next_hop)}"] if route.next_hop else []
    parts += [f"on {name(route.interface)}"] if route.interface else []
    parts += [f"table {TABLE_NAMES.get(route.table, route.table)}"]
    return " ".join(parts)


def describe_kernel(route: Route, name: Callable[[int], str], prefix: Prefix | None) -> dict[str, Any]:
    """Return a route of the kernel as JSON tells it; `prefix` is the one that led to it, where it is known."""
    return {
        "type": KIND_NAMES.get(route.kind, str(route.kind)),
        "prefix": None if prefix is None else str(prefix),
        "interface": name(route.interface) if route.interface else None,
        "next_hop": str(ip_address(route.next_hop)) if route.next_hop else None,
        "source": str(ip_address(route.source)) if route.source else None,
        "table": route.table,
    }


def _instead(prefix: Prefix | None, kernel: Route | None, name: Callable[[int], str]) -> str:
    if kernel is None or kernel.kind not in (UNICAST, LOCAL):
        return "the kernel refuses such packets"
    if kernel.kind == LOCAL:
        return "the kernel keeps such packets: the address is this node's"
    if prefix is not None and kernel.prefix.destination != prefix.destination:
        return f"the kernel goes by {kernel.prefix.destination}, {way_words(kernel, name)}"
    return f"the kernel goes {way_words(kernel, name)}"
