"""Pure plans for the routes of our tables: which operations, and what a subtree must not hide."""

from collections.abc import Iterable, Mapping
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


class Subtrees:
    """How many source prefixes each plain place has; those of ::/0 do not count, as they hide nothing."""

    def __init__(self, places: Iterable[Place] = ()) -> None:
        self._counts: dict[Place, int] = {}
        for place in places:
            self.count(place, 1)

    def __contains__(self, plain: Place) -> bool:
        return plain in self._counts

    def count(self, place: Place, change: int) -> None:
        """Take note that the route of a place came or went; nothing for a plain one."""
        if place[1].source_plen and place[1].plen:
            plain = plain_place(place)
            self._counts[plain] = self._counts.get(plain, 0) + change
            if not self._counts[plain]:
                del self._counts[plain]


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


def plain_place(place: Place) -> Place:
    """Return where the plain route of the same destination stands."""
    table, prefix = place
    return table, prefix.destination


def plan_halves(plain: Route) -> dict[Place, Route]:
    """Return a plain route said again for both halves of all sources, where a subtree would hide it.

    Linux looks for the source in the subtree alone, and when it is not there goes on to a shorter destination.
    """
    routes = (plain._replace(prefix=plain.prefix.with_source(half)) for half in HALVES)
    return {route.place: route for route in routes}
