"""A frozen picture of a speaker for those who ask (`show`, metrics, the state file)."""

from collections.abc import Mapping
from dataclasses import dataclass
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


def take_snapshot(state: State, now: float) -> Snapshot:
    """Return a picture of all tables."""
    interfaces, neighbours = view_links(state, now)
    return Snapshot(
        router_id=state.router_id,
        seqno=state.seqno,
        interfaces=interfaces,
        neighbours=neighbours,
        routes=_view_all_routes(state, now),
        xroutes=tuple(XrouteView(*xroute) for _, xroute in sorted(state.xroutes.items())),
        sources=_view_sources(state, now),
        held=tuple(sorted(state.holds)),
        hello_seqnos=hello_seqnos(state),
        recovering=bool(state.gate),
    )


def view_links(state: State, now: float) -> tuple[tuple[InterfaceView, ...], tuple[NeighbourView, ...]]:
    """Return a picture of the interfaces and their neighbours."""
    interfaces = state.interfaces.values()
    neighbours = (_view_neighbour(n, now) for i in interfaces for n in i.neighbours.values())
    return tuple(_view_interface(i) for i in interfaces), tuple(neighbours)


def view_routes(state: State, prefix: Prefix, now: float) -> tuple[RouteView, ...]:
    """Return a picture of the routes for one prefix, the selected one first, then by metric."""
    return tuple(map(RouteView._make, _rows_for(state, prefix, now)))


def hello_seqnos(state: State) -> dict[str, int]:
    """Return the seqno of the last Hello sent on each interface, also on those of an earlier time."""
    now = {name: interface.hello_seqno for name, interface in state.interfaces.items()}
    return {**state.former_hello_seqnos, **now}


def _view_interface(interface: Interface) -> InterfaceView:
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


def _view_all_routes(state: State, now: float) -> tuple[RouteView, ...]:
    rows = [row for prefix in sorted(state.routes.by_prefix) for row in _rows_for(state, prefix, now)]
    return tuple(map(RouteView._make, rows))


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
