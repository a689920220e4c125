"""A pure plan for the routes of our tables: which operations turn what is there into what is wanted."""

from collections.abc import Mapping
from dataclasses import dataclass

from babelwg.linux.routes import TABLE_MAIN, THROW, Place, Route


# Not frozen, which would take three times as long to make: there may be ten thousand in a second.
@dataclass(slots=True)
class SetRoute:
    """Make this route exist, replacing what we had for its prefix."""

    route: Route


@dataclass(slots=True)
class RemoveRoute:
    """Remove this route of ours."""

    route: Route


Operation = SetRoute | RemoveRoute


def plan_routes(desired: Mapping[Place, Route], actual: Mapping[Place, Route]) -> list[Operation]:
    """Return the operations that turn `actual` into `desired`; none when equal.

    What is set comes before what is removed, so that a packet always finds the covering route or the new one; a throw
    route comes before the route that would otherwise take its packets, and leaves after it.
    """
    sets: list[Operation] = [
        SetRoute(route) for place, route in desired.items() if actual.get(place) != route
    ]
    # A route of another priority stands beside the old one instead of replacing it.
    removals: list[Operation] = [
        RemoveRoute(route)
        for place, route in actual.items()
        if place not in desired or desired[place].priority != route.priority
    ]
    return [*_throws_first(sets), *reversed(_throws_first(removals))]


def _throws_first(operations: list[Operation]) -> list[Operation]:
    """Return operations with those on throw routes before the others; there may be thousands, and often none."""
    throws = [operation for operation in operations if operation.route.kind == THROW]
    return [*throws, *(o for o in operations if o.route.kind != THROW)] if throws else operations


def plan_loss(
    routes: Mapping[Place, Route], interface: int, address: bytes, is_last: bool, is_elsewhere: bool
) -> dict[Place, Route | None]:
    """Return what the kernel leaves, without a word, of routes when an interface loses an address; None for nothing.

    IPv4 routes over the interface go with its last IPv4 address, and those of main that prefer an address which no
    interface has any more (else it is `elsewhere`); IPv6 routes go on without a preferred source.
    """
    left: dict[Place, Route | None] = {}
    for place, route in routes.items():
        if route.prefix.family == 6:
            if route.source == address:
                left[place] = route._replace(source=b"")
        elif (is_last and route.interface == interface) or (
            route.source == address and route.table == TABLE_MAIN and not is_elsewhere
        ):
            left[place] = None
    return left
