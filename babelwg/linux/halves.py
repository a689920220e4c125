"""What a subtree of the kernel would hide: plain IPv6 routes said again for both halves of all sources."""

from collections.abc import Callable, Iterable

from babelwg.babel.wire.prefix import Prefix
from babelwg.linux.routes import Place, Route

HALVES = (Prefix.parse("::/1"), Prefix.parse("8000::/1"))


class Halves:
    """The routes that stand beside plain ones wherever the kernel has a subtree for the same destination.

    Linux looks for the source in the subtree alone, and when it is not there goes on to a shorter destination.
    """

    def __init__(self) -> None:
        self.routes: dict[Place, Route] = {}
        self._learned, self._guarded = Subtrees(), Subtrees()

    def count(self, place: Place, change: int) -> None:
        """Take note that the learned route of a place came or went."""
        self._learned.count(place, change)

    def guard(self, places: Iterable[Place]) -> None:
        """Take note of the places of all guards, and of no others any more."""
        self._guarded = Subtrees(places)

    def clear(self) -> None:
        """Take note that nothing is learned or guarded any more."""
        self._learned, self._guarded = Subtrees(), Subtrees()

    def plan(self, changed: set[Place], plain_route: Callable[[Place], Route | None]) -> set[Place]:
        """Follow the changed places, where `plain_route` may be wanted; return the places of halves that differ."""
        if not (self.routes or self._learned or self._guarded):
            return set()
        differing: set[Place] = set()
        for place in {plain_place(place) for place in changed if place[1].family == 6}:
            hidden = place in self._learned or place in self._guarded
            plain = plain_route(place)
            wanted = plan_halves(plain) if plain and hidden else {}
            for half in HALVES:
                key = place[0], place[1].with_source(half)
                if self.routes.get(key) != wanted.get(key):
                    differing.add(key)
                    self.routes.pop(key, None)
            self.routes |= wanted
        return differing


class Subtrees:
    """How many source prefixes each plain place has; those of ::/0 do not count, as they hide nothing."""

    def __init__(self, places: Iterable[Place] = ()) -> None:
        self._counts: dict[Place, int] = {}
        for place in places:
            self.count(place, 1)

    def __bool__(self) -> bool:
        return bool(self._counts)

    def __contains__(self, plain: Place) -> bool:
        return plain in self._counts

    def count(self, place: Place, change: int) -> None:
        """Take note that the route of a place came or went; nothing for a plain one."""
        if place[1].source_plen and place[1].plen:
            plain = plain_place(place)
            self._counts[plain] = self._counts.get(plain, 0) + change
            if not self._counts[plain]:
                del self._counts[plain]


def plain_place(place: Place) -> Place:
    """Return where the plain route of the same destination stands."""
    table, prefix = place
    return table, prefix.destination


def plan_halves(plain: Route) -> dict[Place, Route]:
    """Return a plain route said again for both halves of all sources."""
    routes = (plain._replace(prefix=plain.prefix.with_source(half)) for half in HALVES)
    return {route.place: route for route in routes}
