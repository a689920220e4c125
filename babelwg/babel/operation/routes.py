"""From updates to routes, and how routes grow old (RFC 8966, section 3.5.3)."""

from collections.abc import Collection, Iterable
from functools import partial
from itertools import islice

from babelwg.babel.events import RoutesRefused
from babelwg.babel.operation.acknowledgments import note_retraction
from babelwg.babel.operation.cost import compute_metric
from babelwg.babel.operation.permission import judge_route, may_use_v4_via_v6
from babelwg.babel.operation.queueing import telling_together
from babelwg.babel.operation.requests import answer_waiting, is_awaited, request_better, request_refresh
from babelwg.babel.operation.selection import is_shut, select_route
from babelwg.babel.parameters import HOLD_FACTOR, MIN_UPDATE_HOLD
from babelwg.babel.state import State
from babelwg.babel.tables.neighbour import Neighbour, RefusedUpdate
from babelwg.babel.tables.route import Route
from babelwg.babel.timers import Timer
from babelwg.babel.wire.prefix import Prefix, is_martian
from babelwg.babel.wire.recognition import Passage
from babelwg.babel.wire.tlv import INFINITY, Update

# Implementation constants
# Seconds before a route expires; until then it is asked about each time that half of what is left is over.
ASKED_LAST = 2.0
REFUSAL_PAUSE = 60.0  # seconds until it is said again that a neighbour announces too much
FORGOTTEN_TOGETHER = 64  # routes, to make room


def handle_update(state: State, neighbour: Neighbour, update: Update, now: float) -> None:
    """Learn from an update what a neighbour can reach (§3.5.3)."""
    if update.prefix is None:
        _retract_all(state, neighbour, now)
    elif update.metric == INFINITY:
        neighbour.refused.pop(update.prefix, None)
        _retract(state, neighbour, update.prefix, now)
    elif (reason := _refusal(state, neighbour, update)) is not None:
        state.count(f"update_refused.{reason}")
        neighbour.note_refusal(
            update.prefix, RefusedUpdate(reason, update.router_id, update.seqno, update.metric, now)
        )
        _retract(state, neighbour, update.prefix, now)
    else:
        if neighbour.refused:
            neighbour.refused.pop(update.prefix, None)
        _learn(state, neighbour, update, update.prefix, now)


def restore_route(
    state: State, neighbour: Neighbour, update: Update, since: float, hold: float, ask: float, now: float
) -> None:
    """Enter a route of an earlier life, to be asked about after `ask` and held for `hold` seconds, if not confirmed."""
    if _refusal(state, neighbour, update) is not None:
        return
    if (route := _create(state, neighbour, update, now)) is None:
        return
    assert route.timer is not None, "a route in the table has its timer"
    route.since = since
    route.hold(now + hold, now + ask)
    state.silences.set(route.timer, now + ask)


def handle_repeated(state: State, neighbour: Neighbour, route: Route, now: float) -> None:
    """Hear of a route again what its neighbour said before, octet for octet: most of a full table."""
    if not route.heard:
        # It ended while the packet was being handled.
        values = route.prefix, route.router_id, route.seqno, route.refmetric, route.interval, route.next_hop
        handle_update(state, neighbour, Update(*values), now)
        return
    feasible, selection = state.is_feasible_route(route), state.routes.selected.get(route.prefix)
    if not feasible and selection is not None and selection.route is route:
        request_better(state, route, route.router_id, now)
        return
    _go_on(state, route, feasible, selection is not None, now)


def handle_passage(state: State, neighbour: Neighbour, passage: Passage, now: float) -> None:
    """Hear of several routes again what their neighbour said before, octet for octet."""
    if neighbour.heard.holds(passage):
        passage.heard_at = now
        return
    for route in passage.remembered:  # something changed while the packet was being handled
        assert isinstance(route, Route), "nothing else remembers updates"
        handle_repeated(state, neighbour, route, now)


def remember_passage(state: State, neighbour: Neighbour, passage: Passage) -> None:
    """Take note of several updates that were just heard again, to be known as a whole the next time."""
    routes = [route for route in passage.remembered if isinstance(route, Route)]
    # A prefix without a selected route has more to be looked at whenever it is heard of.
    if all(r.heard and r.prefix in state.routes.selected for r in routes):
        for route in routes:
            route.join(passage)
        neighbour.heard.passages[passage.key] = passage
        _watch_together(state, passage, routes)


def _watch_together(state: State, passage: Passage, routes: list[Route]) -> None:
    """Have one timer for all routes of a passage, in the place of their own, as long as it is known."""
    patience = min(route.patience for route in routes)

    def look(now: float) -> None:
        # Most were said again a moment ago, and then none of the routes needs a look.
        due = passage.heard_at + patience
        if now < due or now < (due := min(route.asked_about_at for route in routes)):
            state.silences.set(timer, due)
        else:
            routes[0].end_passage()

    timer = Timer(look)
    passage.at_end = partial(_watch_each, state, routes, timer)
    for route in routes:
        assert route.timer is not None, "a route in the table has its timer"
        state.silences.cancel(route.timer)
    state.silences.set(timer, min(route.asked_about_at for route in routes))


def _watch_each(state: State, routes: list[Route], timer: Timer) -> None:
    """Give the routes of a passage that has ended their own timers again."""
    state.silences.cancel(timer)
    for route in routes:
        if route.timer is not None and state.routes.has(route) and route.passage is None:
            state.silences.set(route.timer, route.asked_about_at)


def reprice(state: State, neighbour: Neighbour, now: float) -> None:
    """Compute the metrics of all routes through a neighbour again after its cost changed."""
    with telling_together(state, now):
        for route in list(neighbour.routes.values()):
            set_metric(route, now)
            select_route(state, route.prefix, "link-cost", now, neighbour)
            # What came over a dead link was no choice then; nobody else asks when the link is used again.
            is_lost = route.prefix not in state.routes.selected
            if is_lost and _would_be_selected(state, route) and not state.is_feasible_route(route):
                request_better(state, route, route.router_id, now)


def flush_routes(state: State, neighbour: Neighbour, cause: str, now: float) -> None:
    """Forget all routes of a neighbour that is gone."""
    with telling_together(state, now):
        for route in list(neighbour.routes.values()):
            _flush(state, route, cause, now)


def set_metric(route: Route, now: float) -> None:
    """Compute the metric of a route again."""
    metric = compute_metric(route.neighbour.cost, route.refmetric, route.added)
    if metric != route.metric:
        route.set_metric(metric, now)


def retract_v4_via_v6(state: State, neighbour: Neighbour, now: float) -> None:
    """Give up the IPv4 routes with IPv6 next hops of a neighbour where they are not wanted any more."""
    for route in list(neighbour.routes.values()):
        if route.prefix.family == 4 and len(route.next_hop) == 16:
            _retract(state, neighbour, route.prefix, now)


def _refusal(state: State, neighbour: Neighbour, update: Update) -> str | None:
    """Return why a finite update must not be used, if so."""
    prefix, next_hop, interface = update.prefix, update.next_hop, neighbour.interface
    assert prefix is not None and next_hop is not None, "the decoder guarantees both"
    if is_martian(prefix):
        return "martian"
    if update.router_id == state.router_id:
        return "own-router-id"
    if prefix.source_plen and not state.parameters.source_specific:
        return "source-specific"
    if next_hop == neighbour.address and prefix.family == 6:
        return None  # what is said of next hops below holds of any address that a datagram came from
    v4_via_v6 = prefix.family == 4 and len(next_hop) == 16
    if v4_via_v6 and not may_use_v4_via_v6(state, interface):
        return "v4-via-v6"
    if next_hop in (interface.link_local, interface.parameters.ipv4):
        return "own-next-hop"
    if next_hop[0] in (0, 127, 0xFF) or (len(next_hop) == 4 and next_hop[0] >= 224):
        return "bad-next-hop"
    return None


def _learn(state: State, neighbour: Neighbour, update: Update, prefix: Prefix, now: float) -> None:
    assert update.router_id is not None, "the decoder guarantees a router-id"
    distance = state.sources.get(prefix, update.router_id)
    feasible = distance is None or distance.admits(update.seqno, update.metric)
    route = neighbour.routes.get(prefix)
    new_source = distance is None and (route is None or route.router_id != update.router_id)
    if new_source and not _may_name_source(state, neighbour, now):
        # The route goes on as it was, as if this update had been lost.
        state.count("update_refused.source-rate")
        return
    selection = state.routes.selected.get(prefix)
    selected = route is not None and selection is not None and selection.route is route
    if route is None:
        if (route := _create(state, neighbour, update, now)) is None:
            return
    elif selected and not feasible and route.router_id == update.router_id:
        # The route goes on as it was, as if this update had been lost, until a newer seqno arrives.
        request_better(state, route, update.router_id, now)
        return
    elif _repeats(route, update):
        route.remember(update.octets)
        _go_on(state, route, feasible, selection is not None, now)
        return
    else:
        _refresh(state, route, update, now)
    select_route(state, prefix, "update", now, neighbour)
    if state.requests:
        answer_waiting(state, prefix, now)
    if not feasible and (selected or _would_be_selected(state, route)):
        request_better(state, route, update.router_id, now)


def _may_name_source(state: State, neighbour: Neighbour, now: float) -> bool:
    """Return whether a neighbour may name an unknown source now; to announce it takes a place in our table."""
    parameters = state.parameters
    return neighbour.account.source_work.spend(1, parameters.source_work_burst, parameters.source_work, now)


def _create(state: State, neighbour: Neighbour, update: Update, now: float) -> Route | None:
    parameters = state.parameters
    is_crowded = _routes_of_peer(neighbour) >= parameters.max_routes_per_neighbour
    if is_crowded and not _make_room(state, _useless(state, neighbour), now):
        state.count("route_refused.neighbour-limit")
        _tell_refusal(state, neighbour, parameters.max_routes_per_neighbour, "neighbour", now)
        return None
    is_full = state.routes.count >= parameters.max_routes
    if is_full and not _make_room(state, _useless(state, neighbour) or state.routes.retracted(), now):
        state.count("route_refused.total-limit")
        _tell_refusal(state, neighbour, parameters.max_routes, "all", now)
        return None
    route = Route(neighbour, update, now)
    judge_route(state, route)
    state.routes.add(route, partial(_handle_timer, state, route))
    route.remember(update.octets)
    set_metric(route, now)
    _restart_expiry(state, route, update.interval, now)
    return route


def _routes_of_peer(neighbour: Neighbour) -> int:
    """Return how many routes a peer has announced: from any of its addresses, where only it can be."""
    interface = neighbour.interface
    if not interface.parameters.point_to_point:
        return len(neighbour.routes)
    return sum(len(other.routes) for other in interface.neighbours.values())


def _useless(state: State, neighbour: Neighbour) -> Collection[Route]:
    """Return routes of a peer that nothing needs: those retracted, else those of an address of it that is dead."""
    retracted = state.routes.retracted(neighbour.account)
    if retracted or not (neighbour.reachable and neighbour.interface.parameters.point_to_point):
        return retracted
    others = neighbour.interface.neighbours.values()
    # What is announced over a link that is not usable is never selected.
    return next((other.routes.values() for other in others if other.routes and not other.reachable), ())


def _make_room(state: State, useless: Iterable[Route], now: float) -> bool:
    """Forget some routes before their time, and return whether there were any.

    No loop can come of it: feasibility distances stay, and a lost prefix is unreachable until its hold ends (§3.5.4).
    """
    # One at a time would mean to look for the first one left again and again.
    some = list(islice(useless, FORGOTTEN_TOGETHER))
    for route in some:
        _flush(state, route, "expired", now)
    return bool(some)


def _tell_refusal(state: State, neighbour: Neighbour, limit: int, of: str, now: float) -> None:
    """Say that a neighbour announces too much, now and then as long as it does."""
    if now >= neighbour.account.refusal_told + REFUSAL_PAUSE:
        neighbour.account.refusal_told = now
        state.emit(RoutesRefused(neighbour.interface.name, neighbour.address, limit, of))


def _repeats(route: Route, update: Update) -> bool:
    """Return whether an update says nothing new, as most do."""
    return (
        route.refmetric == update.metric
        and route.seqno == update.seqno
        and route.router_id == update.router_id
        and route.next_hop == update.next_hop
        and route.interval == update.interval
    )


def _go_on(state: State, route: Route, feasible: bool, is_served: bool, now: float) -> None:
    """Let a route of which nothing new was said live on; `is_served` where its prefix has a selected one."""
    _restart_expiry(state, route, route.interval, now)
    if not is_served:
        _try_again(state, route, feasible, now)
    elif state.requests and is_awaited(state, route):
        select_route(state, route.prefix, "update", now, route.neighbour)
        answer_waiting(state, route.prefix, now)


def _try_again(state: State, route: Route, feasible: bool, now: float) -> None:
    """Look again at a route to a prefix that has none: its source may be forgotten, or our request was lost."""
    if not _would_be_selected(state, route):
        return
    if feasible:
        select_route(state, route.prefix, "source-forgotten", now)
    else:
        request_better(state, route, route.router_id, now)


def _refresh(state: State, route: Route, update: Update, now: float) -> None:
    assert update.router_id is not None and update.next_hop is not None
    if route.router_id != update.router_id:
        route.since = now
        route.router_id = update.router_id
        judge_route(state, route)
    route.seqno = update.seqno
    state.routes.set_refmetric(route, update.metric)
    if route.next_hop != update.next_hop:
        state.routes.refused.pop(route, None)  # the kernel may take this one
    route.next_hop = update.next_hop
    route.remember(update.octets)
    set_metric(route, now)
    _restart_expiry(state, route, update.interval, now)


def _would_be_selected(state: State, route: Route) -> bool:
    """Return whether only its unfeasibility keeps a route from being selected (erratum 7373)."""
    if route.metric == INFINITY or route.filtered or route in state.routes.refused:
        return False
    if is_shut(state, route.prefix):
        return False
    selection = state.routes.selected.get(route.prefix)
    return selection is None or route.metric < selection.route.metric


def _retract(state: State, neighbour: Neighbour, prefix: Prefix, now: float) -> None:
    """Note that a neighbour cannot reach a prefix; the entry stays until it expires (§3.5.4)."""
    route = neighbour.routes.get(prefix)
    if route is not None and route.refmetric != INFINITY:
        state.routes.set_refmetric(route, INFINITY)
        set_metric(route, now)
        select_route(state, prefix, "retraction", now, neighbour)
    note_retraction(state, neighbour, prefix)


def _retract_all(state: State, neighbour: Neighbour, now: float) -> None:
    """Note that a neighbour reaches nothing any more (§4.6.9)."""
    if not neighbour.finite and not neighbour.holds:
        state.count("tlv_ignored.nothing-to-retract")
    with telling_together(state, now):
        for prefix in (*neighbour.finite, *neighbour.holds):
            _retract(state, neighbour, prefix, now)


def _restart_expiry(state: State, route: Route, interval: float, now: float) -> None:
    assert route.timer is not None, "a route in the table has its timer"
    route.interval = interval
    route.hold_on(now)
    if route.passage is None:  # which has one timer for all of its routes
        state.silences.set(route.timer, route.asked_about_at)


def _handle_timer(state: State, route: Route, now: float) -> None:
    """Ask about a route shortly before it expires, and again, then retract it, then forget it (§3.5.3)."""
    assert route.timer is not None, "a route in the table has its timer"
    if state.heard < route.expires:
        selection = state.routes.selected.get(route.prefix)
        if selection is not None and selection.route is route:
            request_refresh(state, route, now)
        left = route.expires - now
        # A request may be lost, or its answer.
        state.silences.set(route.timer, now + left / 2 if left > ASKED_LAST else route.expires)
    elif route.refmetric != INFINITY:
        state.routes.set_refmetric(route, INFINITY)
        until = now + HOLD_FACTOR * max(route.interval, MIN_UPDATE_HOLD)
        route.hold(until, now)
        state.silences.set(route.timer, until)
        route.expired = True
        set_metric(route, now)
        select_route(state, route.prefix, "expired", now, route.neighbour)
    else:
        _flush(state, route, "expired", now)


def _flush(state: State, route: Route, cause: str, now: float) -> None:
    assert route.timer is not None, "a route in the table has its timer"
    state.silences.cancel(route.timer)
    state.routes.remove(route)
    select_route(state, route.prefix, cause, now, route.neighbour)
