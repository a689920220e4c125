"""A frozen picture of a speaker for those who ask (`show`, metrics, the state file)."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from babelwg.babel.operation.cost import reception
from babelwg.babel.routeview import RouteColumns, RouteState, RouteView, state_of, view_columns, view_routes
from babelwg.babel.state import State
from babelwg.babel.tables.interface import Interface
from babelwg.babel.tables.neighbour import Neighbour
from babelwg.babel.wire.prefix import Prefix


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


@dataclass(frozen=True, slots=True)
class XrouteView:
    """A prefix of ours."""

    prefix: Prefix
    metric: int


# A tuple, as a RouteView.
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

    def snapshot(self, now: float, with_sources: bool = True) -> Snapshot:
        """Return a frozen picture of all tables; the source table alone takes as long as the others together."""
        return take_snapshot(self._state, now, with_sources)

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

    @property
    def recovering(self) -> bool:
        """Whether no route is selected yet after a loss of memory."""
        return bool(self._state.gate)

    @property
    def source_count(self) -> int:
        """How many sources the source table has."""
        return len(self._state.sources)

    def learned_prefixes(self) -> Collection[Prefix]:
        """Return the prefixes for which routes are known, as they are from now on."""
        return self._state.routes.by_prefix.keys()

    @property
    def selected_count(self) -> int:
        """The number of prefixes with a selected route."""
        return len(self._state.routes.selected)

    def selected_metrics(self) -> dict[Prefix, int]:
        """Return the metric of the selected route of each prefix."""
        return {p: selection.route.metric for p, selection in self._state.routes.selected.items()}

    def prefixes(self) -> list[Prefix]:
        """Return the prefixes for which routes are known, or which are held unreachable."""
        return [*self._state.routes.by_prefix.keys() | self._state.holds.keys()]

    def is_held(self, prefix: Prefix) -> bool:
        """Return whether a prefix is unreachable until nobody sends us packets for it."""
        return prefix in self._state.holds

    def route_columns(self, now: float) -> RouteColumns:
        """Return all routes as columns, which takes a part of the time of a snapshot."""
        return view_columns(self._state, now)

    def source_views(self, now: float) -> tuple[SourceView, ...]:
        """Return the source table."""
        return _view_sources(self._state, now)

    def routes_for(self, prefix: Prefix, now: float) -> tuple[RouteView, ...]:
        """Return the routes known for exactly this prefix."""
        return view_routes(self._state, prefix, now)

    def hello_seqnos(self) -> Mapping[str, int]:
        """Return the seqno of the last Hello sent on each interface."""
        return hello_seqnos(self._state)


def take_snapshot(state: State, now: float, with_sources: bool = True) -> Snapshot:
    """Return a picture of all tables."""
    interfaces, neighbours = view_links(state, now)
    return Snapshot(
        router_id=state.router_id,
        seqno=state.seqno,
        interfaces=interfaces,
        neighbours=neighbours,
        routes=view_columns(state, now).views(),
        xroutes=_view_xroutes(state),
        sources=_view_sources(state, now) if with_sources else (),
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
        update_interval=interface.update_interval,
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


def _count_routes(state: State) -> tuple[Counter[tuple[int, RouteState]], dict[bytes, frozenset[str]]]:
    """Return how many routes there are by family and state, and the interfaces of those selected by router-id."""
    used = {prefix: selection.route for prefix, selection in state.routes.selected.items()}
    selected: RouteState = "selected"
    counts: Counter[tuple[int, RouteState]] = Counter((prefix.family, selected) for prefix in used)
    for prefix, routes in state.routes.by_prefix.items():
        best = used.get(prefix)
        for route in routes.values():
            if route is not best:
                counts[prefix.family, state_of(state, route)] += 1
    ways: dict[bytes, set[str]] = {}
    for router_id, neighbour in {(route.router_id, route.neighbour) for route in used.values()}:
        ways.setdefault(router_id, set()).add(neighbour.interface.name)
    return counts, {router_id: frozenset(names) for router_id, names in ways.items()}


def _view_xroutes(state: State) -> tuple[XrouteView, ...]:
    return tuple(XrouteView(*xroute) for _, xroute in sorted(state.xroutes.items()))


def _view_sources(state: State, now: float) -> tuple[SourceView, ...]:
    rows, lifetime = [], state.source_lifetime
    for source, (seqno, metric) in state.sources:
        used = state.sources.used(source)
        rows.append((*source, seqno, metric, lifetime if used is None else used + lifetime - now))
    # What `_make` does, without its look at the number of fields.
    return tuple(map(partial(tuple.__new__, SourceView), rows))
