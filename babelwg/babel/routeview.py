"""A picture of routes for those who ask: row by row, or as columns where there may be ten thousand."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

from babelwg.babel.state import State
from babelwg.babel.tables.neighbour import Neighbour
from babelwg.babel.tables.route import Route
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY

RouteState = Literal["selected", "feasible", "unfeasible", "retracted", "filtered", "refused"]


# A tuple, since there may be ten thousand: a frozen dataclass takes seven times as long to make.
class RouteView(NamedTuple):
    """A route; age since it was learned and time until it expires in seconds."""

    prefix: Prefix
    router_id: bytes
    neighbour: bytes
    interface: str
    next_hop: bytes
    seqno: int
    refmetric: int
    metric: int
    smoothed_metric: float
    state: RouteState
    age: float
    expires: float


class RouteColumns(NamedTuple):
    """Routes as a list for each field of a RouteView, in the same order."""

    prefixes: Sequence[Prefix]
    router_ids: Sequence[bytes]
    neighbours: Sequence[bytes]
    interfaces: Sequence[str]
    next_hops: Sequence[bytes]
    seqnos: Sequence[int]
    refmetrics: Sequence[int]
    metrics: Sequence[int]
    smoothed_metrics: Sequence[float]
    states: Sequence[RouteState]
    ages: Sequence[float]
    expires: Sequence[float]

    @classmethod
    def of(cls, views: Iterable[RouteView]) -> "RouteColumns":
        """Return the columns of some routes."""
        return cls(*([*zip(*views, strict=True)] or [()] * len(cls._fields)))

    def part(self, start: int, end: int) -> "RouteColumns":
        """Return the columns of the routes from number `start` to the one before `end`."""
        return RouteColumns._make(column[start:end] for column in self)

    def pick(self, numbers: Sequence[int]) -> "RouteColumns":
        """Return the columns of the routes with these numbers, in this order."""
        if len(numbers) == len(self.prefixes):
            return self
        return RouteColumns._make([column[number] for number in numbers] for column in self)

    def views(self) -> tuple[RouteView, ...]:
        """Return the routes row by row."""
        # What `_make` does, without its look at the number of fields.
        return tuple(map(partial(tuple.__new__, RouteView), zip(*self, strict=True)))


def view_route(state: State, route: Route, now: float) -> RouteView:
    """Return a picture of one route."""
    selection = state.routes.selected.get(route.prefix)
    is_selected = selection is not None and selection.route is route
    return _columns([route], ["selected" if is_selected else state_of(state, route)], now).views()[0]


def view_routes(state: State, prefix: Prefix, now: float) -> tuple[RouteView, ...]:
    """Return a picture of the routes for one prefix, the selected one first, then by metric."""
    known = state.routes.by_prefix.get(prefix)
    return _columns(*_in_order(state, [(prefix, known)] if known else []), now).views()


def view_columns(state: State, now: float) -> RouteColumns:
    """Return a picture of all routes by prefix, those of each in the order of `view_routes`."""
    return _columns(*_in_order(state, state.routes.in_order()), now)


def state_of(state: State, route: Route) -> RouteState:
    """Return the state of a route that is not selected."""
    if route.filtered and route.refmetric < INFINITY:
        return "filtered"
    if route.metric == INFINITY:
        return "retracted"
    if route in state.routes.refused:
        return "refused"
    return "feasible" if state.is_feasible_route(route) else "unfeasible"


def _in_order(
    state: State, known: Iterable[tuple[Prefix, Mapping[Neighbour, Route]]]
) -> tuple[list[Route], list[RouteState]]:
    """Return the routes of some prefixes, and the state of each."""
    routes: list[Route] = []
    states: list[RouteState] = []
    selected = state.routes.selected.get
    for prefix, by_neighbour in known:
        selection = selected(prefix)
        best = selection.route if selection is not None else None
        if best is not None and len(by_neighbour) == 1:
            # As it is with most of ten thousand.
            routes.append(best)
            states.append("selected")
            continue
        candidates = [*by_neighbour.values()]
        if len(candidates) > 1:
            candidates.sort(key=lambda route, best=best: _place_of(route, best))  # type: ignore[misc]
        routes += candidates
        states += ["selected" if route is best else state_of(state, route) for route in candidates]
    return routes, states


def _place_of(route: Route, best: Route | None) -> tuple[Any, ...]:
    return route is not best, route.metric, route.neighbour.interface.name, route.neighbour.address


def _columns(routes: Sequence[Route], states: Sequence[RouteState], now: float) -> RouteColumns:
    neighbours = [route.neighbour for route in routes]
    return RouteColumns(
        prefixes=[route.prefix for route in routes],
        router_ids=[route.router_id for route in routes],
        neighbours=[neighbour.address for neighbour in neighbours],
        interfaces=[neighbour.interface.name for neighbour in neighbours],
        next_hops=[route.next_hop for route in routes],
        seqnos=[route.seqno for route in routes],
        refmetrics=[route.refmetric for route in routes],
        metrics=[route.metric for route in routes],
        smoothed_metrics=[
            route.metric if route.smoothed == route.metric else route.smoothed_metric(now) for route in routes
        ],
        states=states,
        ages=[now - route.since for route in routes],
        expires=[route.expires - now for route in routes],
    )
