"""Which route is used for a prefix, and who hears of a change (RFC 8966, section 3.6 and appendix A.3)."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from babelwg.babel.events import RouteFlushed, RouteSelected
from babelwg.babel.operation.acknowledgments import end_hold, start_hold
from babelwg.babel.operation.damping import SAID, may_change, note_loss
from babelwg.babel.operation.keeping import note_choice, note_first_choice
from babelwg.babel.operation.permission import concerns, forget_permissions
from babelwg.babel.operation.queueing import queue_ordinary, queue_urgent, queue_urgent_on
from babelwg.babel.operation.requests import (
    ask_next_hop,
    find_waiting,
    is_silent,
    request_after_loss,
    request_better,
)
from babelwg.babel.state import State
from babelwg.babel.tables.neighbour import Cause, Neighbour
from babelwg.babel.tables.route import Route, Selection, Undecided
from babelwg.babel.timers import Timer
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.seqno import seqno_difference, seqno_lt
from babelwg.babel.wire.tlv import INFINITY

# Implementation constants
RECONSIDERED_AT_ONCE = 500  # prefixes, before other work has its turn
RECONSIDER_PAUSE = 0.01  # seconds
FLAPPING_PAUSE = 0.5  # seconds until another look at a prefix that changes too often
SEEK_PAUSE_FACTOR = 1.5
# By how much an answer may be longer and newer than the route in use, whose next hop leaves a request unanswered.
FARTHEST_ANSWER, NEWEST_ANSWER = 2048, 16


class Choice(NamedTuple):
    """What is best for a prefix now; times in seconds."""

    route: Route | None
    waiting: Route | None = None  # a better one that is not taken yet
    since: float | None = None  # when there was a clearly better one, None if there is none
    again: float | None = None  # when another look is due, None if nothing waits


def select_route(
    state: State, prefix: Prefix, cause: str, now: float, neighbour: Neighbour | None = None
) -> None:
    """Choose the route of a prefix anew and tell kernel and neighbours what changed, and who caused it."""
    state.touch(prefix)
    old = state.routes.selected.get(prefix)
    former = state.undecided.pop(prefix, None)
    if old is None and (only := _only_choice(state, prefix)) is not None:
        _use(state, only, None, Cause(cause, neighbour), now)
        return
    choice = choose(state, prefix, None if former is None else former.since, now)
    if choice.again is not None:
        _reconsider_later(state, prefix, choice.since, choice.again)
    if choice.route is not None:
        _use(state, choice.route, old, Cause(cause, neighbour), now)
        _seek_better(state, choice.route, former, now)
    elif old is not None:
        _lose(state, prefix, old, Cause(cause, neighbour), now)


def _only_choice(state: State, prefix: Prefix) -> Route | None:
    """Return the route of a prefix that has no other, if it may be selected: nothing is to be weighed."""
    routes = state.routes.by_prefix.get(prefix)
    if routes is None or len(routes) != 1 or is_shut(state, prefix):
        return None
    (route,) = routes.values()
    return route if is_usable(state, route) else None


def choose(state: State, prefix: Prefix, since: float | None, now: float) -> Choice:
    """Return what to use for a prefix; `since` is when it got a clearly better route than the one in use."""
    if is_shut(state, prefix):
        return NOTHING
    candidates, old = state.routes.candidates(prefix), state.routes.selected.get(prefix)
    if old is None or not state.routes.has(old.route) or not is_usable(state, old.route):
        best = None
        for route in candidates:
            if (best is None or route.metric < best.metric) and is_usable(state, route):
                best = route
        return Choice(best)
    if state.requests and (answer := find_answer(state, old.route, now)) is not None:
        # The next hop is to be asked for the same again: once the other is announced, its route is not feasible.
        return Choice(answer, again=now + state.parameters.hysteresis_recheck)
    # Most prefixes are used over their best route, and the others need no look at whether they are feasible.
    limit = old.route.metric
    better = [route for route in candidates if route.metric < limit and is_usable(state, route)]
    return _weigh(state, better, old, since, now) if better else Choice(old.route)


def is_shut(state: State, prefix: Prefix) -> bool:
    """Return whether no learned route may be used for a prefix, however good it is."""
    return prefix in state.xroutes or prefix in state.refused or bool(state.gate)


def is_usable(state: State, route: Route) -> bool:
    """Return whether a route may be selected: finite, feasible, installable, and not through our own past."""
    return (
        route.metric < INFINITY
        and not route.filtered
        and route not in state.routes.refused
        and route.neighbour.purged
        and state.is_feasible_route(route)
    )


def find_answer(state: State, current: Route, now: float) -> Route | None:
    """Return a route that has what others asked us for, where the next hop says nothing at all.

    Its speaker is away. It forwards as before, but as long as we use its route nobody can be told of the other. Or the
    next hop is it that asks: it has lost the prefix, and its retraction may have been lost too. What is far longer or
    far newer is not taken: who asks and who answers must not draw to themselves what is kept from them.
    """
    if (pending := find_waiting(state, current)) is None:
        return None
    if current.neighbour not in pending.requesters and not is_silent(state, current.neighbour, now):
        return None
    answers = [
        route
        for route in state.routes.candidates(current.prefix)
        if route.router_id == current.router_id
        and route.metric <= current.metric + FARTHEST_ANSWER
        and seqno_difference(route.seqno, current.seqno) <= NEWEST_ANSWER
        and not seqno_lt(route.seqno, pending.seqno)
        and is_usable(state, route)
    ]
    return min(answers, key=lambda route: route.metric, default=None)


def _weigh(state: State, better: Sequence[Route], old: Selection, since: float | None, now: float) -> Choice:
    """Return the best route; one in use is left for one that is better on average, or clearly for a while."""
    current, parameters = old.route, state.parameters
    limit = current.metric - parameters.clearly_better
    average, calm = current.smoothed_metric(now), old.changed + parameters.calm_time
    steadily = [r for r in better if r.smoothed_metric(now) < average and (now >= calm or r.metric <= limit)]
    best = min(better, key=lambda route: route.metric)
    chosen = min(steadily, key=lambda route: route.metric, default=current)
    if chosen is best:
        return Choice(best)
    if best.metric > limit:
        return Choice(chosen, best, None, max(calm, now + parameters.hysteresis_recheck))
    since = now if since is None else since
    # The same sum as the timer's: one that rounds differently would make it due at once, again and again.
    if now >= (due := since + parameters.clear_delay):
        return Choice(best)
    return Choice(chosen, best, since, due)


def _use(state: State, route: Route, old: Selection | None, cause: Cause, now: float) -> None:
    if old is None:
        _use_first(state, route, cause, now)
        return
    prefix = route.prefix
    news = old.told_router_id != route.router_id
    significant = abs(route.metric - old.metric) >= state.parameters.significant_metric_change
    told = not (news or significant) or may_change(state, prefix, cause.neighbour or route.neighbour, now)
    selection = Selection(
        route,
        route.next_hop,
        route.router_id,
        route.router_id if told else old.told_router_id,
        route.metric if told and (news or significant) else old.metric,
        route.seqno,
        route.metric,
        supersedes=news or old.supersedes,
        changed=old.changed if old.route is route else now,
    )
    if selection != old or not told:  # a dump goes by which object it is whether something changed
        state.routes.selected[prefix] = selection
        state.batches.note_change()
    if old.route is not route or route.stored != route.distance:
        note_choice(state, prefix)
    if old.route is not route or old.next_hop != route.next_hop:
        _tell_kernel(state, route, cause, old.route.metric, now)
    if news or significant:
        if told:
            if cause.word in SAID:
                state.flaps.note(prefix, now)
            _tell_change(state, prefix, news, now)
        else:
            _tell_later(state, route, news and _is_new_to_next_hop(old, route), now)
    if old.route.neighbour.interface is not route.neighbour.interface:
        _tell_former(state, prefix, old.route, now)


def _tell_change(state: State, prefix: Prefix, news: bool, now: float) -> None:
    """Let all know that a prefix has another router (`news`) or metric (§3.7.2)."""
    if news:
        state.batches.outdate()
        queue_urgent(state, prefix, now)
    else:
        queue_ordinary(state, prefix, now)


def _tell_later(state: State, route: Route, news: bool, now: float) -> None:
    """Let all know later; but the next hop may hold what we announced under another router than this one (`news`)."""
    _look_soon(state, route.prefix, now)
    # Two routers of one prefix could loop through it (§1.1).
    if news:
        state.batches.outdate()
        queue_urgent_on(state, route.neighbour.interface, route.prefix, now)


def _is_new_to_next_hop(old: Selection, route: Route) -> bool:
    """Return whether a next hop has not heard yet that we use its route to this router instead of another's."""
    return old.router_id != route.router_id or old.route.neighbour.interface is not route.neighbour.interface


def _use_first(state: State, route: Route, cause: Cause, now: float) -> None:
    """Use a route for a prefix that has had none."""
    prefix, interface = route.prefix, route.neighbour.interface
    if not may_change(state, prefix, cause.neighbour or route.neighbour, now):
        _look_soon(state, prefix, now)
        return
    state.routes.selected[prefix] = Selection(
        route, route.next_hop, route.router_id, route.router_id, route.metric, route.seqno, route.metric
    )
    note_first_choice(state, prefix)
    _tell_kernel(state, route, cause, None, now)
    state.batches.outdate()
    queue_urgent(state, prefix, now, interface if interface.parameters.split_horizon else None)


def _tell_kernel(state: State, route: Route, cause: Cause, old_metric: int | None, now: float) -> None:
    if state.holds:
        end_hold(state, route.prefix)
    state.emit(_selected(route, cause, old_metric))
    if state.requests:
        ask_next_hop(state, route, now)


def _tell_former(state: State, prefix: Prefix, former: Route, now: float) -> None:
    """Announce a prefix where split horizon kept it back, surely: its loser may need ours (§3.7.2, §3.7.4)."""
    interface = former.neighbour.interface
    if interface.parameters.split_horizon and concerns(state, interface, prefix):
        queue_urgent_on(state, interface, prefix, now)


def _selected(route: Route, cause: Cause, old_metric: int | None) -> RouteSelected:
    neighbour = route.neighbour
    interface, address, origin = neighbour.interface.name, neighbour.address, cause.origin
    # By position: names would take a third of the time that a new route has here.
    return RouteSelected(
        route.prefix,
        route.next_hop,
        interface,
        route.metric,
        route.router_id,
        address,
        route.seqno,
        route.refmetric,
        cause.word,
        origin,
        old_metric,
    )


def _lose(state: State, prefix: Prefix, old: Selection, cause: Cause, now: float) -> None:
    del state.routes.selected[prefix]
    for route in state.routes.candidates(prefix):
        route.end_passage()
    state.batches.outdate()
    note_choice(state, prefix)
    note_loss(state, prefix, cause.neighbour or old.route.neighbour, cause.word, now)
    if prefix in state.xroutes:
        state.emit(RouteFlushed(prefix, cause.word, cause.origin))
        return
    retract_prefix(state, prefix, cause, old.route, now)
    request_after_loss(state, prefix, old.router_id, old.route.neighbour, now)


def retract_prefix(state: State, prefix: Prefix, cause: Cause, former: Route | None, now: float) -> None:
    """Hold a prefix unreachable that we announced, by a `former` route or as ours, and tell all (§3.5.4)."""
    interval = max((i.update_interval for i in state.interfaces.values()), default=0.0)
    start_hold(state, prefix, interval, cause, former, now)
    queue_urgent(state, prefix, now)
    forget_permissions(state, prefix)


def _seek_better(state: State, current: Route, former: Undecided | None, now: float) -> None:
    """Ask for a seqno that makes a better path feasible, before it is clear that it will be taken (§3.8.2.2)."""
    limit = current.metric - state.parameters.clearly_better // 2
    prefix, sought = current.prefix, False
    for route in state.routes.candidates(prefix):
        if route.metric > limit or route.filtered or route in state.routes.refused:
            continue
        if state.is_feasible_route(route):
            continue
        request_better(state, route, route.router_id, now)
        sought = True
    if sought:
        _look_again(state, prefix, former, now)


def _look_again(state: State, prefix: Prefix, former: Undecided | None, now: float) -> None:
    """Have a path that stays unfeasible looked at again and again, less and less often."""
    parameters = state.parameters
    pause, when = parameters.hysteresis_recheck, 0.0
    if former is not None and former.pause:
        pause, when = former.pause, former.when
        if now >= when:
            # Who announces old seqnos for a full table must not keep us busy.
            pause = min(SEEK_PAUSE_FACTOR * pause, parameters.seek_pause_max)
    when = when if when > now else now + pause
    if (undecided := state.undecided.get(prefix)) is not None:
        _reconsider_later(state, prefix, undecided.since, min(undecided.when, when), pause)
    else:
        _reconsider_later(state, prefix, None, when, pause)


def _look_soon(state: State, prefix: Prefix, now: float) -> None:
    """Have a prefix looked at again that has changed too often."""
    since, when, pause = state.undecided.get(prefix, Undecided(None, now + FLAPPING_PAUSE, 0.0))
    _reconsider_later(state, prefix, since, min(when, now + FLAPPING_PAUSE), pause)


def _reconsider_later(
    state: State, prefix: Prefix, since: float | None, when: float, pause: float = 0.0
) -> None:
    """Have a prefix looked at again; `since` is when it got a clearly better route, None if it has none."""
    state.undecided[prefix] = Undecided(since, when, pause)
    if state.undecided_timer is None:
        state.undecided_timer = Timer(partial(_reconsider, state))
    state.timers.advance(state.undecided_timer, when)


def _reconsider(state: State, now: float) -> None:
    """Look again at prefixes with a better route that was not taken; nothing else would wake them."""
    due = [prefix for prefix, undecided in state.undecided.items() if undecided.when <= now]
    for prefix in due[:RECONSIDERED_AT_ONCE]:
        select_route(state, prefix, "hysteresis", now)
    if state.undecided and state.undecided_timer is not None:
        earliest = min(undecided.when for undecided in state.undecided.values())
        # Packets and Hellos have their turn between two parts of a full table.
        state.timers.set(state.undecided_timer, max(earliest, now + RECONSIDER_PAUSE))


NOTHING = Choice(None)
