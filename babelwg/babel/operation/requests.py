"""Requests: asked, and repeated until they are answered (RFC 8966, section 3.8.2)."""

from functools import partial

from babelwg.babel.events import SeqnoRequested
from babelwg.babel.operation.queueing import queue_answer, queue_request
from babelwg.babel.parameters import HOP_COUNT
from babelwg.babel.state import State
from babelwg.babel.tables.neighbour import Neighbour
from babelwg.babel.tables.request import PendingRequest
from babelwg.babel.tables.route import Route
from babelwg.babel.tables.source import Source
from babelwg.babel.timers import Timer
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.seqno import seqno_add, seqno_lt
from babelwg.babel.wire.tlv import INFINITY, RouteRequest, SeqnoRequest

# Implementation constants
# Seconds in which an equal request is not sent again to where it may still be answered (§3.8.1.2)
RECENTLY = 0.08
# Departs from appendix B, whose 2 seconds are for any network: over tunnels an answer takes milliseconds, and packets
# are lost until it comes. Where thousands of requests wait, each has the time of appendix B again.
# Over five hops that lose a packet in twenty, three of ten requests stay without an answer. A repetition must not come
# so soon after one that was late that a relay takes it for a duplicate.
FIRST_RESEND = 0.12  # seconds until a request for a lost prefix is repeated; more than RECENTLY
RESEND_PAUSE = 0.0005  # seconds more for each request that waits after a loss, or for the same neighbour
# Twice as long as all of them take to leave: answers are to leave in between
SENDING_PAUSE = 0.00016  # seconds for each at least
# A relay does not repeat what it passed on, so after a speaker on the way was away, it is for us to ask soon. The last
# repetition comes after the next periodic update of who announces the prefix, which has us begin anew.
QUICK_RESENDS, RESENDS = 8, 28  # those with as long between them, and all
SLOW_RESEND = 6.5  # times as long lies between two of the others


def request_after_loss(
    state: State, prefix: Prefix, lost_router_id: bytes, lost: Neighbour | None, now: float
) -> None:
    """Ask those who still announce a lost prefix for a seqno that makes their routes feasible (§3.8.2.1).

    `lost` is the next hop until now, None where there was none; where nobody else is asked, it has caused the loss.
    """
    asked = [route for route in state.routes.candidates(prefix) if is_worth_asking(state, route)]
    if not asked:
        return
    cause = lost if all(route.neighbour is lost for route in asked) else None
    for router_id in dict.fromkeys((lost_router_id, *(route.router_id for route in asked))):
        targets = [r.neighbour for r in asked if router_id in (lost_router_id, r.router_id)]
        if (seqno := _next_seqno(state, prefix, router_id)) is not None:
            pending = remember_request(state, Source(prefix, router_id), seqno, cause, now)
            if pending is not None:
                _repeat_later(state, pending, now)
                send_request(state, pending, targets, HOP_COUNT, now)


def request_better(state: State, route: Route, router_id: bytes, now: float) -> None:
    """Ask the sender of an unfeasible update that we would select for a newer seqno (§3.8.2.2).

    A prefix without any route is asked for as often as after a loss (§3.8.2.1), and at once where only others were
    asked, who may have lost it since: nothing else makes it reachable.
    """
    source = Source(route.prefix, router_id)
    seqno = _next_seqno(state, route.prefix, router_id)
    is_lost = route.prefix not in state.routes.selected
    recently = RECENTLY if is_lost else state.parameters.request_timeout
    if seqno is None:
        return
    asked: tuple[Neighbour, ...] = ()
    if is_redundant(state, source, seqno, recently, now):
        seqno, asked = state.requests[source].seqno, state.requests[source].targets
        if not is_lost or route.neighbour in asked:
            return
    if (pending := remember_request(state, source, seqno, route.neighbour, now)) is not None:
        if is_lost and not pending.resends:
            _repeat_later(state, pending, now)
        else:
            state.timers.advance(pending.timer, now + state.parameters.request_timeout)
        send_request(state, pending, [route.neighbour], HOP_COUNT, now)
        pending.targets = (*asked, route.neighbour)  # who was asked a moment ago is not asked again in turn


def request_refresh(state: State, route: Route, now: float) -> None:
    """Ask whether a route that is about to expire still stands (§3.8.2.3)."""
    queue_request(state, route.neighbour, RouteRequest(route.prefix), now)


def answer_waiting(state: State, prefix: Prefix, now: float) -> None:
    """Pass an update on to those who waited for its seqno (§3.8.1.2)."""
    if (selection := state.routes.selected.get(prefix)) is None:
        return
    route = selection.route
    pending = state.requests.get(Source(prefix, route.router_id))
    if pending is None:
        return
    if seqno_lt(route.seqno, pending.seqno):
        # It may be all that some of them asked for: of their requests the one for the newest is passed on.
        if pending.told is not None and seqno_lt(pending.told, route.seqno):
            pending.told = route.seqno
            _tell_requesters(state, pending, now)
        return
    _forget(state, pending)
    _tell_requesters(state, pending, now)


def find_waiting(state: State, route: Route) -> PendingRequest | None:
    """Return what neighbours asked us for and a route in use does not have, None for nothing."""
    pending = state.requests.get(Source(route.prefix, route.router_id))
    is_waiting = pending is not None and pending.requesters and seqno_lt(route.seqno, pending.seqno)
    return pending if is_waiting else None


def is_awaited(state: State, route: Route) -> bool:
    """Return whether a route has what neighbours asked us for, used or not."""
    pending = state.requests.get(Source(route.prefix, route.router_id))
    return pending is not None and bool(pending.requesters) and not seqno_lt(route.seqno, pending.seqno)


def is_silent(state: State, neighbour: Neighbour, now: float) -> bool:
    """Return whether a neighbour that was asked whether it is there has said nothing for longer than that takes."""
    busy = min(state.parameters.request_timeout, RESEND_PAUSE * len(state.requests))
    return neighbour.presence.is_silent(neighbour.round_trip.rtt, busy, now)


def ask_next_hop(state: State, route: Route, now: float) -> None:
    """Pass a request on to a next hop that is new since: an answer of the former one is not announced (§3.8.1.2)."""
    if (pending := find_waiting(state, route)) is None:
        return
    next_hop = route.neighbour
    if next_hop not in pending.targets and next_hop not in pending.requesters:
        asked, pending.sent = pending.targets, now
        send_request(state, pending, [next_hop], pending.hop_count, now)
        pending.targets = (*asked, next_hop)


def forget_requester(state: State, neighbour: Neighbour) -> None:
    """Stop waiting on behalf of a neighbour that is gone."""
    for pending in state.requests.values():
        pending.requesters.pop(neighbour, None)
        pending.asked.pop(neighbour, None)
    state.held_requests = {key: None for key in state.held_requests if key[0] is not neighbour}


def is_worth_asking(state: State, route: Route) -> bool:
    """Return whether the neighbour of a route may have what it takes to make it feasible."""
    is_barred = route.filtered or route in state.routes.refused
    return route.refmetric < INFINITY and not is_barred and route.neighbour.reachable


def _next_seqno(state: State, prefix: Prefix, router_id: bytes) -> int | None:
    """Return the seqno that makes any update of a source feasible; None when every one already is."""
    distance = state.sources.get(prefix, router_id)
    return None if distance is None else seqno_add(distance.seqno, 1)


def is_redundant(state: State, source: Source, seqno: int, recently: float, now: float) -> bool:
    """Return whether such a request was sent in so many seconds before now."""
    pending = state.requests.get(source)
    if pending is None or seqno_lt(pending.seqno, seqno):
        return False
    return now - pending.sent < recently


def remember_request(
    state: State, source: Source, seqno: int, cause: Neighbour | None, now: float
) -> PendingRequest | None:
    """Return the table entry of a request that is about to be sent; None when there is no room for it."""
    if (pending := state.requests.get(source)) is None:
        if (refusal := _refusal(state, cause)) is not None:
            state.count(refusal)
            return None
        pending = PendingRequest(source, seqno, Timer(partial(_handle_timeout, state, source)), cause, now)
        state.requests[source] = pending
        _charge(state, cause, 1)
    elif cause is None:
        # What we have lost ourselves must not wait behind all else that this neighbour made us ask.
        _charge(state, pending.cause, -1)
        pending.cause = None
    pending.seqno, pending.sent = seqno, now
    return pending


def _refusal(state: State, cause: Neighbour | None) -> str | None:
    """Return by which name it is counted that there is no room for a request, None where there is room."""
    parameters = state.parameters
    if cause is None:
        is_full = len(state.requests) - state.caused_requests >= parameters.max_pending_losses
        return "request_suppressed.losses-full" if is_full else None
    if state.caused_requests >= parameters.max_pending_requests:
        return "request_suppressed.table-full"
    is_crowded = cause.account.pending_requests >= parameters.max_pending_requests_per_neighbour
    return "request_suppressed.neighbour-limit" if is_crowded else None


def _tell_requesters(state: State, pending: PendingRequest, now: float) -> None:
    for requester in pending.requesters:
        queue_answer(state, requester, pending.source.prefix, now)


def _forget(state: State, pending: PendingRequest) -> None:
    state.timers.cancel(pending.timer)
    del state.requests[pending.source]
    _charge(state, pending.cause, -1)


def _charge(state: State, cause: Neighbour | None, entries: int) -> None:
    if cause is not None:
        state.caused_requests += entries
        cause.account.pending_requests += entries


def send_request(
    state: State, pending: PendingRequest, targets: list[Neighbour], hop_count: int, now: float
) -> None:
    """Ask neighbours for what a table entry says, and take note of it there."""
    prefix, router_id = pending.source
    request = SeqnoRequest(prefix, router_id, pending.seqno, hop_count)
    pending.targets, pending.hop_count = tuple(dict.fromkeys(targets)), hop_count
    pending.asked |= dict.fromkeys(targets, now)
    for neighbour in pending.targets:
        queue_request(state, neighbour, request, now)
        name = neighbour.interface.name
        state.emit(SeqnoRequested(prefix, router_id, pending.seqno, name, neighbour.address))


def _repeat_later(state: State, pending: PendingRequest, now: float) -> None:
    """Begin to wait for the answer to a request that is to be repeated."""
    pending.resends = RESENDS
    state.timers.set(pending.timer, now + _first_resend(state, pending))


def _first_resend(state: State, pending: PendingRequest) -> float:
    # What others make us ask counts for nobody else: one that makes us ask for thousands would slow down all.
    waiting = len(state.requests) - state.caused_requests
    if pending.cause is not None:
        waiting += pending.cause.account.pending_requests
    usual = min(state.parameters.request_timeout, FIRST_RESEND + RESEND_PAUSE * waiting)
    return max(usual, SENDING_PAUSE * waiting)


def _handle_timeout(state: State, source: Source, now: float) -> None:
    """Repeat an unanswered request, so many times at most, while nothing is selected (§3.8.2.1)."""
    pending = state.requests[source]
    asked = [
        route.neighbour for route in state.routes.candidates(source.prefix) if is_worth_asking(state, route)
    ]
    if pending.resends == 0 or source.prefix in state.routes.selected or not asked:
        _forget(state, pending)
        return
    pending.resends -= 1
    sent = RESENDS - pending.resends
    pause = _first_resend(state, pending) * (SLOW_RESEND if sent >= QUICK_RESENDS else 1.0)
    pending.sent = now
    state.timers.set(pending.timer, now + pause)
    send_request(state, pending, asked, HOP_COUNT, now)
