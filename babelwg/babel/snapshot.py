"""A frozen picture of a speaker for those who ask (`show`, metrics, the state file)."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

from babelwg.babel.operation.cost import reception
from babelwg.babel.state import State
from babelwg.babel.tables.interface import Interface
from babelwg.babel.tables.neighbour import Neighbour
from babelwg.babel.tables.route import Route
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY

RouteState = Literal["selected", "feasible", "unfeasible", "retracted", "filtered"]


@dataclass(frozen=True, slots=True)
class InterfaceView:
    """An interface; intervals in seconds."""

    name: str
    kind: str
    link_local: bytes
    ipv4: bytes | None
    mtu: int
    hello_interval: float
    update_interval: float
    hello_seqno: int
    neighbours: int
    failed: float | None = None  # since how many seconds the link is known to be dead


@dataclass(frozen=True, slots=True)
class NeighbourView:
    """A neighbour; reach and ureach are Hello histories of 16 bits, loss is a share, ages in seconds."""

    interface: str
    address: bytes
    reach: int
    ureach: int
    rxcost: int
    txcost: int
    cost: int
    loss: float
    hello_interval: float
    last_heard: float
    routes: int
    purged: bool
    rtt: float | None  # seconds, smoothed; None while it is not known
    penalty: int | None  # what the delay adds to the cost


# Tuples, since there may be ten thousand of these two: a frozen dataclass takes seven times as long to make.
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


@dataclass(frozen=True, slots=True)
class XrouteView:
    """A prefix of ours."""

    prefix: Prefix
    metric: int


class SourceView(NamedTuple):
    """A feasibility distance; time until it is forgotten in seconds."""

    prefix: Prefix
    router_id: bytes
    seqno: int
    metric: int
    expires: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All tables at one moment."""

    router_id: bytes
    seqno: int
    interfaces: tuple[InterfaceView, ...]
    neighbours: tuple[NeighbourView, ...]
    routes: tuple[RouteView, ...]
    xroutes: tuple[XrouteView, ...]
    sources: tuple[SourceView, ...]
    held: tuple[Prefix, ...]  # unreachable until nobody sends us packets for them
    hello_seqnos: Mapping[str, int]
    recovering: bool  # after a loss of memory, while no route is selected yet


@dataclass(frozen=True, slots=True)
class Summary:
    """All tables at one moment without their rows, of which there may be ten thousand; only links are told singly."""

    router_id: bytes
    seqno: int
    interfaces: tuple[InterfaceView, ...]
    neighbours: tuple[NeighbourView, ...]
    xroutes: tuple[XrouteView, ...]
    routes: Mapping[tuple[int, RouteState], int]  # how many, by family (4 or 6) and state
    ways: Mapping[bytes, frozenset[str]]  # the interfaces of the selected routes of each router-id
    sources: int
    held: int
    recovering: bool  # after a loss of memory, while no route is selected yet


class Shown:
    """What a speaker tells of its tables; to ask changes nothing."""

    def __init__(self, state: State) -> None:
        self._state = state

    @property
    def router_id(self) -> bytes:
        """The identity of this speaker."""
        return self._state.router_id

    @property
    def counters(self) -> Mapping[str, int]:
        """Traffic and refusals by reason."""
        return self._state.counters

    def snapshot(self, now: float) -> Snapshot:
        """Return a frozen picture of all tables."""
        return take_snapshot(self._state, now)

    def summary(self, now: float) -> Summary:
        """Return a frozen picture of how much is in the tables, which takes a tenth of the time of a snapshot."""
        return take_summary(self._state, now)

    def links(self, now: float) -> tuple[tuple[InterfaceView, ...], tuple[NeighbourView, ...]]:
        """Return a picture of the interfaces and neighbours alone, which are few."""
        return view_links(self._state, now)

    def originators(self) -> dict[tuple[str, bytes], list[bytes]]:
        """Return the router-ids of what each neighbour (interface, packed address) announces at metric 0, its own."""
        neighbours = (n for i in self._state.interfaces.values() for n in i.neighbours.values())
        own = {
            (n.interface.name, n.address): dict.fromkeys(
                [route.router_id for route in n.routes.values() if route.refmetric == 0]
            )
            for n in neighbours
        }
        return {key: [*router_ids] for key, router_ids in own.items() if router_ids}

    def prefixes(self) -> list[Prefix]:
        """Return the prefixes for which routes are known, or which are held unreachable."""
        return [*self._state.routes.by_prefix.keys() | self._state.holds.keys()]

    def is_held(self, prefix: Prefix) -> bool:
        """Return whether a prefix is unreachable until nobody sends us packets for it."""
        return prefix in self._state.holds

    def routes_for(self, prefix: Prefix, now: float) -> tuple[RouteView, ...]:
        """Return the routes known for exactly this prefix."""
        return view_routes(self._state, prefix, now)

    def hello_seqnos(self) -> Mapping[str, int]:
        """Return the seqno of the last Hello sent on each interface."""
        return hello_seqnos(self._state)


def take_snapshot(state: State, now: float) -> Snapshot:
    """Return a picture of all tables."""
    interfaces, neighbours = view_links(state, now)
    return Snapshot(
        router_id=state.router_id,
        seqno=state.seqno,
        interfaces=interfaces,
        neighbours=neighbours,
        routes=_view_all_routes(state, now),
        xroutes=_view_xroutes(state),
        sources=_view_sources(state, now),
        held=tuple(sorted(state.holds)),
        hello_seqnos=hello_seqnos(state),
        recovering=bool(state.gate),
    )


def take_summary(state: State, now: float) -> Summary:
    """Return a picture of all tables without their rows."""
    interfaces, neighbours = view_links(state, now)
    routes, ways = _count_routes(state)
    return Summary(
        router_id=state.router_id,
        seqno=state.seqno,
        interfaces=interfaces,
        neighbours=neighbours,
        xroutes=_view_xroutes(state),
        routes=routes,
        ways=ways,
        sources=len(state.sources),
        held=len(state.holds),
        recovering=bool(state.gate),
    )


def view_links(state: State, now: float) -> tuple[tuple[InterfaceView, ...], tuple[NeighbourView, ...]]:
    """Return a picture of the interfaces and their neighbours."""
    interfaces = state.interfaces.values()
    neighbours = (_view_neighbour(n, now) for i in interfaces for n in i.neighbours.values())
    return tuple(_view_interface(i, now) for i in interfaces), tuple(neighbours)


def view_routes(state: State, prefix: Prefix, now: float) -> tuple[RouteView, ...]:
    """Return a picture of the routes for one prefix, the selected one first, then by metric."""
    return tuple(map(RouteView._make, _rows_for(state, prefix, now)))


def hello_seqnos(state: State) -> dict[str, int]:
    """Return the seqno of the last Hello sent on each interface, also on those of an earlier time."""
    now = {name: interface.hello_seqno for name, interface in state.interfaces.items()}
    return {**state.former_hello_seqnos, **now}


def _view_interface(interface: Interface, now: float) -> InterfaceView:
    parameters = interface.parameters
    return InterfaceView(
        name=interface.name,
        kind=parameters.kind,
        link_local=interface.link_local,
        ipv4=parameters.ipv4,
        mtu=parameters.mtu,
        hello_interval=parameters.hello_interval,
        update_interval=parameters.update_interval,
        hello_seqno=interface.hello_seqno,
        neighbours=len(interface.neighbours),
        failed=None if interface.failed is None else now - interface.failed,
    )


def _view_neighbour(neighbour: Neighbour, now: float) -> NeighbourView:
    return NeighbourView(
        interface=neighbour.interface.name,
        address=neighbour.address,
        reach=neighbour.multicast.bits,
        ureach=neighbour.unicast.bits,
        rxcost=neighbour.rxcost,
        txcost=neighbour.txcost,
        cost=neighbour.cost,
        loss=1.0 - max(reception(neighbour.multicast), reception(neighbour.unicast)),
        hello_interval=neighbour.multicast.interval or neighbour.unicast.interval,
        last_heard=now - neighbour.last_heard,
        routes=len(neighbour.routes),
        purged=neighbour.purged,
        rtt=neighbour.round_trip.rtt,
        penalty=None if neighbour.round_trip.rtt is None else neighbour.round_trip.penalty,
    )


def view_route(state: State, route: Route, now: float) -> RouteView:
    """Return a picture of one route."""
    selection = state.routes.selected.get(route.prefix)
    return RouteView._make(_row_of(state, route, selection.route if selection is not None else None, now))


def _count_routes(state: State) -> tuple[Counter[tuple[int, RouteState]], dict[bytes, frozenset[str]]]:
    """Return how many routes there are by family and state, and the interfaces of those selected by router-id."""
    used = {prefix: selection.route for prefix, selection in state.routes.selected.items()}
    selected: RouteState = "selected"
    counts: Counter[tuple[int, RouteState]] = Counter((prefix.family, selected) for prefix in used)
    for prefix, routes in state.routes.by_prefix.items():
        best = used.get(prefix)
        for route in routes.values():
            if route is not best:
                counts[prefix.family, _state_of(state, route)] += 1
    ways: dict[bytes, set[str]] = {}
    for router_id, neighbour in {(route.router_id, route.neighbour) for route in used.values()}:
        ways.setdefault(router_id, set()).add(neighbour.interface.name)
    return counts, {router_id: frozenset(names) for router_id, names in ways.items()}


def _view_xroutes(state: State) -> tuple[XrouteView, ...]:
    return tuple(XrouteView(*xroute) for _, xroute in sorted(state.xroutes.items()))


def _view_all_routes(state: State, now: float) -> tuple[RouteView, ...]:
    rows = [row for prefix in sorted(state.routes.by_prefix) for row in _rows_for(state, prefix, now)]
    # What `_make` does, without its look at the number of fields.
    return tuple(map(partial(tuple.__new__, RouteView), rows))


def _rows_for(state: State, prefix: Prefix, now: float) -> list[tuple[Any, ...]]:
    selection = state.routes.selected.get(prefix)
    selected = selection.route if selection is not None else None
    rows = [_row_of(state, route, selected, now) for route in state.routes.candidates(prefix)]
    if len(rows) > 1:
        rows.sort(key=_place_of)
    return rows


def _place_of(row: tuple[Any, ...]) -> tuple[Any, ...]:
    view = RouteView._make(row)
    return view.state != "selected", view.metric, view.interface, view.neighbour


def _row_of(state: State, route: Route, selected: Route | None, now: float) -> tuple[Any, ...]:
    """Return the fields of a RouteView, in their order."""
    neighbour, metric = route.neighbour, route.metric
    return (
        route.prefix,
        route.router_id,
        neighbour.address,
        neighbour.interface.name,
        route.next_hop,
        route.seqno,
        route.refmetric,
        metric,
        metric if route.smoothed == metric else route.smoothed_metric(now),
        "selected" if route is selected else _state_of(state, route),
        now - route.since,
        route.expires - now,
    )


def _state_of(state: State, route: Route) -> RouteState:
    if route.filtered and route.refmetric < INFINITY:
        return "filtered"
    if route.metric == INFINITY:
        return "retracted"
    return "feasible" if state.is_feasible_route(route) else "unfeasible"


def _view_sources(state: State, now: float) -> tuple[SourceView, ...]:
    views = []
    for source, (seqno, metric) in state.sources:
        used = state.sources.used(source)
        end = (now if used is None else used) + state.parameters.source_gc_time
        views.append(SourceView(source.prefix, source.router_id, seqno, metric, end - now))
    return tuple(views)
