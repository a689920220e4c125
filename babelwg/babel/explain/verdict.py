"""One candidate: what its metric is made of, and whether it may be used (RFC 8966, sections 3.5 and 3.6)."""

from babelwg.babel.explain.explanation import Candidate, CostParts, Verdict
from babelwg.babel.operation.cost import measured_cost
from babelwg.babel.operation.selection import is_usable
from babelwg.babel.routeview import view_route
from babelwg.babel.state import State
from babelwg.babel.tables.route import Route
from babelwg.babel.tables.source import FeasibilityDistance
from babelwg.babel.wire.seqno import seqno_lt
from babelwg.babel.wire.tlv import INFINITY

REFUSALS = {
    "martian": "such a prefix is never routed",
    "own-router-id": "it carries this node's own router-id: it leads back here",
    "v4-via-v6": "an IPv4 route with an IPv6 next hop cannot be used on this interface",
    "source-specific": "this kernel has no place for source-specific routes",
    "own-next-hop": "its next hop is this node itself",
    "bad-next-hop": "its next hop is no address of a router",
}


def judge(state: State, route: Route, now: float) -> Candidate:
    """Return a route with its metric in parts and the verdict on it."""
    return Candidate(view_route(state, route, now), parts_of(route), verdict_on(state, route))


def parts_of(route: Route) -> CostParts:
    """Return what the metric of a route is made of."""
    neighbour = route.neighbour
    parameters = neighbour.interface.parameters
    nominal, loss, delay, configured = parameters.rxcost, INFINITY - parameters.rxcost, 0, 0
    if neighbour.reachable and INFINITY not in (neighbour.rxcost, neighbour.txcost):
        loss = measured_cost(neighbour) - nominal
        delay, configured = neighbour.round_trip.penalty, parameters.cost
    known = nominal + loss + delay + configured + route.added + route.refmetric
    return CostParts(nominal, loss, delay, configured, route.added, route.refmetric, route.metric - known)


def verdict_on(state: State, route: Route) -> Verdict:
    """Return whether a route may be used and why; feasible is exactly what the selection may take."""
    distance = state.sources.get(route.prefix, route.router_id)
    if is_usable(state, route):
        return Verdict("feasible", _why_feasible(route, distance), distance)
    # Each condition of `is_usable`, in the order that tells the most.
    if route.refmetric == INFINITY and route.expired:
        lost = "" if route.neighbour.reachable else ": the link to its neighbour does not work both ways"
        return Verdict("expired", f"no update came in time{lost}", distance)
    if route.refmetric == INFINITY:
        return Verdict("retracted", "retracted by its neighbour", distance)
    if route.added >= INFINITY:
        return Verdict("filtered", "filtered in", distance)
    if route.filtered:
        return Verdict("filtered", "kept from the kernel by an install filter", distance)
    if not route.neighbour.reachable:
        return Verdict("unreachable", "the link to its neighbour does not work both ways", distance)
    if route.metric >= INFINITY:
        return Verdict("too-far", "too far: the sum is beyond 65534", distance)
    if not route.neighbour.purged:
        words = "its neighbour has not confirmed yet that it forgot this node's former life"
        return Verdict("unconfirmed", words, distance)
    if (why := state.routes.refused.get(route)) is not None:
        return Verdict("refused", f"this node's kernel refused it: {why}", distance)
    assert distance is not None and not state.is_feasible_route(route), "the last condition of is_usable"
    return Verdict("unfeasible", _why_unfeasible(route, distance), distance)


def _why_feasible(route: Route, distance: FeasibilityDistance | None) -> str:
    if distance is None:
        return "feasible: no distance recorded"
    if seqno_lt(distance.seqno, route.seqno):
        return f"feasible: newer seqno, {route.seqno} after {distance.seqno}"
    return f"feasible: smaller metric, {route.refmetric} below {distance.metric} at the same seqno"


def _why_unfeasible(route: Route, distance: FeasibilityDistance) -> str:
    if route.seqno == distance.seqno:
        return (
            f"unfeasible: the same seqno and metric {route.refmetric} is not smaller than {distance.metric}"
        )
    if seqno_lt(route.seqno, distance.seqno):
        return f"unfeasible: seqno {route.seqno} is older than {distance.seqno}"
    return f"unfeasible: seqno {route.seqno} is in no order with {distance.seqno}"
