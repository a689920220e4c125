"""A pure plan for the routes of our tables: which operations turn what is there into what is wanted."""

from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass

from babelwg.linux.routes import THROW, UNREACHABLE, Place, Route, remove_request, set_request


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


def requests_of(plan: list[Operation], is_exclusive: Callable[[Route], bool]) -> list[tuple[int, int, bytes]]:
    """Return what a plan asks of the kernel, which must leave a route alone that may be somebody else's."""
    return [
        set_request(operation.route, exclusive=is_exclusive(operation.route))
        if isinstance(operation, SetRoute)
        else remove_request(operation.route)
        for operation in plan
    ]


def adoptable(
    routes: Iterable[Route], is_own_table: Callable[[int], bool], interfaces: Set[int], tables: Set[int]
) -> dict[Place, Route]:
    """Return the routes that can only be ours: those in our tables, over interfaces, and unreachable in tables."""
    return {
        route.place: route
        for route in routes
        if is_own_table(route.table)
        or route.interface in interfaces
        or (route.kind == UNREACHABLE and route.table in tables)
    }


def _throws_first(operations: list[Operation]) -> list[Operation]:
    """Return operations with those on throw routes before the others; there may be thousands, and often none."""
    throws = [operation for operation in operations if operation.route.kind == THROW]
    return [*throws, *(o for o in operations if o.route.kind != THROW)] if throws else operations
