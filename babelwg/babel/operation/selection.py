"""Which route is used for a prefix, and who hears of a change (RFC 8966, section 3.6 and appendix A.3)."""

from functools import partial

from babelwg.babel.events import RouteFlushed, RouteSelected
from babelwg.babel.operation.acknowledgments import end_hold, start_hold
from babelwg.babel.operation.permission import forget_permissions
from babelwg.babel.operation.queueing import queue_ordinary, queue_urgent
from babelwg.babel.operation.requests import request_after_loss
from babelwg.babel.state import State
from babelwg.babel.tables.route import Route, Selection
from babelwg.babel.timers import Timer
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY


def select_route(state: State, prefix: Prefix, cause: str, now: float) -> None:
    """Choose the route of a prefix anew and tell kernel and neighbours what changed."""
    old = state.routes.selected.get(prefix)
    shut = prefix in state.xroutes or prefix in state.refused or bool(state.gate)
    best = None if shut else _choose(state, prefix, old, now)
    if best is not None:
        _use(state, best, old, cause, now)
    elif old is not None:
        _lose(state, prefix, old, cause, now)


def is_usable(state: State, route: Route) -> bool:
    """Return whether a route may be selected: finite, feasible, and not through our own past."""
    return (
        route.metric < INFINITY
        and not route.filtered
        and route.neighbour.purged
        and state.is_feasible_route(route)
    )


def _choose(state: State, prefix: Prefix, old: Selection | None, now: float) -> Route | None:
    """Return the best route; a route in use is only left for one that is better now and on average."""
    usable = [route for route in state.routes.candidates(prefix) if is_usable(state, route)]
    if old is None or old.route not in usable:
        return min(usable, key=lambda route: route.metric, default=None)
    current = old.route
    better = [route for route in usable if route.metric < current.metric]
    if not better:
        return current
    average = current.smoothed_metric(now)
    steadily = [route for route in better if route.smoothed_metric(now) < average]
    if len(steadily) < len(better):
        _reconsider_later(state, prefix, now)
    return min(steadily, key=lambda route: route.metric, default=current)


def _use(state: State, route: Route, old: Selection | None, cause: str, now: float) -> None:
    prefix = route.prefix
    news = old is None or old.router_id != route.router_id
    significant = (
        old is not None and abs(route.metric - old.metric) >= state.parameters.significant_metric_change
    )
    announced = route.metric if old is None or news or significant else old.metric
    supersedes = old is not None and (news or old.supersedes)
    state.routes.selected[prefix] = Selection(route, route.next_hop, route.router_id, announced, supersedes)
    if old is None or old.route is not route or old.next_hop != route.next_hop:
        end_hold(state, prefix)
        state.emit(_selected(route, cause))
    if news:
        queue_urgent(state, prefix, now)
    elif significant:
        queue_ordinary(state, prefix, now)


def _selected(route: Route, cause: str) -> RouteSelected:
    neighbour = route.neighbour
    return RouteSelected(
        prefix=route.prefix,
        next_hop=route.next_hop,
        interface=neighbour.interface.name,
        metric=route.metric,
        router_id=route.router_id,
        neighbour=neighbour.address,
        seqno=route.seqno,
        refmetric=route.refmetric,
        cause=cause,
    )


def _lose(state: State, prefix: Prefix, old: Selection, cause: str, now: float) -> None:
    del state.routes.selected[prefix]
    if prefix in state.xroutes:
        state.emit(RouteFlushed(prefix, cause))
        return
    retract_prefix(state, prefix, cause, now)
    request_after_loss(state, prefix, old.router_id, now)


def retract_prefix(state: State, prefix: Prefix, cause: str, now: float) -> None:
    """Hold a prefix that we announced unreachable, and tell all neighbours (§3.5.4)."""
    interval = max((i.parameters.update_interval for i in state.interfaces.values()), default=0.0)
    start_hold(state, prefix, interval, cause, now)
    queue_urgent(state, prefix, now)
    forget_permissions(state, prefix)


def _reconsider_later(state: State, prefix: Prefix, now: float) -> None:
    state.undecided[prefix] = None
    if state.undecided_timer is None:
        state.undecided_timer = Timer(partial(_reconsider, state))
    state.timers.advance(state.undecided_timer, now + state.parameters.hysteresis_recheck)


def _reconsider(state: State, now: float) -> None:
    """Look again at prefixes whose better route was too young; nothing else would wake them."""
    undecided, state.undecided = state.undecided, {}
    for prefix in undecided:
        select_route(state, prefix, "hysteresis", now)
