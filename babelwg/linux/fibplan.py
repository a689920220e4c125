"""Pure plans for the routes of our tables: which operations, and what a subtree must not hide."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from babelwg.babel.wire.prefix import Prefix
from babelwg.linux.routes import THROW, Place, Route

HALVES = (Prefix.parse("::/1"), Prefix.parse("8000::/1"))


@dataclass(frozen=True, slots=True)
class SetRoute:
    """Make this route exist, replacing what we had for its prefix."""

    route: Route


@dataclass(frozen=True, slots=True)
class RemoveRoute:
    """Remove this route of ours."""

    route: Route


Operation = SetRoute | RemoveRoute


def has_subtree(place: Place) -> bool:
    """Return whether a route makes a subtree that hides the plain route of its destination; that of ::/0 is not."""
    _, prefix = place
    return prefix.source_plen > 0 and prefix.plen > 0


def plan_routes(desired: Mapping[Place, Route], actual: Mapping[Place, Route]) -> list[Operation]:
    """Return the operations that turn `actual` into `desired`; none when equal.

    What is set comes before what is removed, so that a packet always finds the covering route or the new one; a throw
    route comes before the route that would otherwise take its packets, and leaves after it.
    """
    sets = [SetRoute(route) for place, route in desired.items() if actual.get(place) != route]
    # A route of another priority stands beside the old one instead of replacing it.
    removals = [
        RemoveRoute(route)
        for place, route in actual.items()
        if place not in desired or desired[place].priority != route.priority
    ]
    return [
        *sorted(sets, key=lambda operation: operation.route.kind != THROW),
        *sorted(removals, key=lambda operation: operation.route.kind == THROW),
    ]


def plan_halves(subtrees: Iterable[Place], plain_at: Callable[[Place], Route | None]) -> dict[Place, Route]:
    """Return plain routes said again for both halves of all sources, where a subtree would hide them.

    Linux looks for the source in the subtree alone, and when it is not there goes on to a shorter destination.
    """
    halves = {}
    for table, prefix in subtrees:
        plain = plain_at((table, prefix.destination))
        for half in HALVES if plain is not None else ():
            assert plain is not None
            key = prefix.with_source(half)
            halves[table, key] = plain._replace(prefix=key)
    return halves
