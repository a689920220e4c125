"""Requests: asked, answered, passed on and repeated (RFC 8966, section 3.8)."""

from collections.abc import Sequence
from functools import partial

from babelwg.babel.events import SeqnoRequested
from babelwg.babel.operation.acknowledgments import tell_unacknowledged
from babelwg.babel.operation.dump import queue_dump
from babelwg.babel.operation.introduction import answer_introduction
from babelwg.babel.operation.queueing import queue_answer, queue_request
from babelwg.babel.parameters import HOP_COUNT
from babelwg.babel.state import State
from babelwg.babel.tables.neighbour import Neighbour
from babelwg.babel.tables.request import PendingRequest
from babelwg.babel.tables.route import Route
from babelwg.babel.tables.source import Source
from babelwg.babel.timers import Timer
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.seqno import seqno_add, seqno_difference, seqno_lt
from babelwg.babel.wire.tlv import INFINITY, RouteRequest, SeqnoRequest

FORWARDED_LIFETIME = 2.0  # request timeouts for which a forwarded request is remembered
# Implementation constants
# How far our seqno may jump in a life: what is reserved with it still comes after what we had used.
FARTHEST = 0x7F00
MAX_HELD_REQUESTS = 64  # bounds memory against hostile neighbours
RECENTLY = (
    0.15  # seconds in which an equal request is not sent again to where it may still be answered (§3.8.1.2)
)
# Departs from appendix B, whose 2 seconds are for any network: over tunnels an answer takes milliseconds, and packets
# are lost until it comes. Where thousands of requests wait, each has the time of appendix B again.
# Over five hops that lose a packet in twenty, three of ten requests stay without an answer.
FIRST_RESEND = 0.2  # seconds until a request for a lost prefix is repeated; more than RECENTLY
RESEND_PAUSE = 0.0005  # seconds more for each request that waits
# A relay does not repeat what it passed on, so after a speaker on the way was away, it is for us to ask soon. The last
# repetition comes after the next periodic update of who announces the prefix, which has us begin anew.
QUICK_RESENDS, RESENDS = 4, 24  # those with as long between them, and all
SLOW_RESEND = 4.0  # times as long lies between two of the others


def handle_route_request(state: State, neighbour: Neighbour, request: RouteRequest, now: float) -> None:
    """Answer with an update or a retraction, or with everything (§3.8.1.1)."""
    if request.prefix is None:
        if queue_dump(state, neighbour, now):
            answer_introduction(state, neighbour, now)
            tell_unacknowledged(state, neighbour, now)
    else:
        queue_answer(state, neighbour, request.prefix, now)


def handle_seqno_request(state: State, neighbour: Neighbour, request: SeqnoRequest, now: float) -> None:
    """Answer a seqno request, or pass it on towards its router (§3.8.1.2)."""
    ours = request.router_id == state.router_id
    if ours and seqno_lt(seqno_add(state.seqno, 1), request.seqno):
        state.count("request_ahead.own-seqno")  # it remembers a life of ours that we do not
    if request.prefix in state.xroutes:
        if ours and seqno_lt(state.seqno, request.seqno):
            seqno = _seqno_asked(state, request.seqno, now)
            is_wanted = state.wanted_seqno is not None and not seqno_lt(state.wanted_seqno, seqno)
            if (is_wanted or state.may_increase_seqno(now)) and not _raise_seqno(state, seqno):
                _hold(state, neighbour, request.prefix)
                return
        queue_answer(state, neighbour, request.prefix, now)
        return
    if (selection := state.routes.selected.get(request.prefix)) is None or ours:
        state.count("request_ignored.not-announced")
        return
    route = selection.route
    if route.router_id != request.router_id or not seqno_lt(route.seqno, request.seqno):
        queue_answer(state, neighbour, request.prefix, now)
    elif request.hop_count < 2:
        state.count("request_ignored.hop-count")
    else:
        _forward(state, neighbour, request, now)


def limit_seqno(state: State, limit: int | None, now: float) -> None:
    """Move the seqno that we must not use yet, and handle the requests that waited for that."""
    if state.seqno_limit == limit:
        return
    state.seqno_limit = limit
    wanted, state.wanted_seqno = state.wanted_seqno, None
    # Also where nobody asks any more: what is reserved must not stay far ahead of what is used.
    if wanted is None or not _raise_seqno(state, wanted):
        return
    held, state.held_requests = state.held_requests, {}
    for neighbour, prefix in held:
        queue_answer(state, neighbour, prefix, now)


def request_after_loss(state: State, prefix: Prefix, lost_router_id: bytes, now: float) -> None:
    """Ask those who still announce a lost prefix for a seqno that makes their routes feasible (§3.8.2.1)."""
    asked = [route for route in state.routes.candidates(prefix) if _is_worth_asking(state, route)]
    if not asked:
        return
    for router_id in dict.fromkeys((lost_router_id, *(route.router_id for route in asked))):
        targets = [r.neighbour for r in asked if router_id in (lost_router_id, r.router_id)]
        if (seqno := _next_seqno(state, prefix, router_id)) is not None:
            pending = _remember(state, Source(prefix, router_id), seqno, None, now)
            if pending is not None:
                _repeat_later(state, pending, now)
                _send(state, pending, targets, HOP_COUNT, now)


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
    if _is_redundant(state, source, seqno, recently, now):
        seqno, asked = state.requests[source].seqno, state.requests[source].targets
        if not is_lost or route.neighbour in asked:
            return
    if (pending := _remember(state, source, seqno, route.neighbour, now)) is not None:
        if is_lost and not pending.resends:
            _repeat_later(state, pending, now)
        else:
            state.timers.advance(pending.timer, now + state.parameters.request_timeout)
        _send(state, pending, [route.neighbour], HOP_COUNT, now)
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
    if pending is None or seqno_lt(route.seqno, pending.seqno):
        return
    _forget(state, pending)
    for requester in pending.requesters:
        queue_answer(state, requester, prefix, now)


def is_awaited(state: State, route: Route) -> bool:
    """Return whether a route has what neighbours asked us for, used or not."""
    pending = state.requests.get(Source(route.prefix, route.router_id))
    return pending is not None and bool(pending.requesters) and not seqno_lt(route.seqno, pending.seqno)


def ask_next_hop(state: State, route: Route, now: float) -> None:
    """Pass a request on to a next hop that is new since: an answer of the former one is not announced (§3.8.1.2)."""
    pending, next_hop = state.requests.get(Source(route.prefix, route.router_id)), route.neighbour
    if pending is None or not pending.requesters or not seqno_lt(route.seqno, pending.seqno):
        return
    if next_hop not in pending.targets and next_hop not in pending.requesters:
        asked, pending.sent = pending.targets, now
        _send(state, pending, [next_hop], pending.hop_count, now)
        pending.targets = (*asked, next_hop)


def forget_requester(state: State, neighbour: Neighbour) -> None:
    """Stop waiting on behalf of a neighbour that is gone."""
    for pending in state.requests.values():
        pending.requesters.pop(neighbour, None)
    state.held_requests = {key: None for key in state.held_requests if key[0] is not neighbour}


def _seqno_asked(state: State, asked: int, now: float) -> int:
    """Return the seqno to take: the next one, or what a neighbour remembers of a life of ours that we do not."""
    # Departs from §3.8.1.2, by which each request moves it by one: with a configured router-id and a lost state,
    # neighbours would refuse us for minutes. A jump closes no loop, since each router compares what it hears with what
    # it announced itself. All jumps of a life stay within half the numbers, so that nobody makes ours go round.
    if now >= state.purge_until or not 0 < seqno_difference(asked, state.memory.seqno) <= FARTHEST:
        return seqno_add(state.seqno, 1)
    return asked


def _raise_seqno(state: State, seqno: int) -> bool:
    """Move our seqno to what is asked for, or have that done as soon as it may; return whether it is done."""
    if not state.is_allowed(seqno):
        if state.wanted_seqno is None or seqno_lt(state.wanted_seqno, seqno):
            state.wanted_seqno = seqno
        return False
    if seqno_lt(state.seqno, seqno):
        if seqno != seqno_add(state.seqno, 1):
            state.count("seqno_caught_up")
        state.increase_seqno(seqno)
    return True


def _hold(state: State, neighbour: Neighbour, prefix: Prefix) -> None:
    """Let a request wait until its seqno may be used; one that gets no place is repeated by who asks (§3.8.1.2)."""
    key = (neighbour, prefix)
    if key in state.held_requests or len(state.held_requests) < MAX_HELD_REQUESTS:
        state.held_requests[key] = None
        state.count("request_held.seqno-not-reserved")
    else:
        state.count("request_ignored.seqno-not-reserved")


def _forward(state: State, requester: Neighbour, request: SeqnoRequest, now: float) -> None:
    """Pass a request on to one neighbour, unless an equal one is on its way (§3.8.1.2).

    One that is repeated goes to another neighbour each time: the speaker of who was asked before may be away. Departs
    from §3.8.1.2 where only the first has a feasible route: what only it could answer, it has been asked already.
    """
    source = Source(request.prefix, request.router_id)
    redundant = _is_redundant(state, source, request.seqno, RECENTLY, now)
    if redundant and _may_be_answered(state, state.requests[source], requester):
        state.count("request_suppressed.duplicate")
        _add_requester(state, state.requests[source], requester)
        return
    known = state.requests.get(source)
    asked = () if known is None or seqno_lt(known.seqno, request.seqno) else known.targets
    if (target := _next_towards(state, request.prefix, requester, asked)) is None:
        state.count("request_ignored.no-next-hop")
        return
    seqno = state.requests[source].seqno if redundant else request.seqno
    pending = _remember(state, source, seqno, requester, now)
    if pending is None:
        return
    _add_requester(state, pending, requester)
    state.timers.advance(pending.timer, now + FORWARDED_LIFETIME * state.parameters.request_timeout)
    _send(state, pending, [target], request.hop_count - 1, now)
    if target not in asked:
        pending.targets = (*asked, target)


def _may_be_answered(state: State, pending: PendingRequest, requester: Neighbour) -> bool:
    """Return whether anybody who was asked may still answer: not one who asks us in turn, or has lost the prefix."""
    prefix = pending.source.prefix
    return any(
        target is not requester
        and (route := target.routes.get(prefix)) is not None
        and _is_worth_asking(state, route)
        for target in pending.targets
    )


def _next_towards(
    state: State, prefix: Prefix, requester: Neighbour, asked: Sequence[Neighbour]
) -> Neighbour | None:
    """Return the next hop of a feasible route that is not the requester, else of an unfeasible one; the asked last."""
    selected = state.routes.selected[prefix].route
    others = [
        r
        for r in state.routes.candidates(prefix)
        if (r is selected or _is_worth_asking(state, r)) and r.neighbour is not requester
    ]
    if not others:
        return None

    def preference(route: Route) -> tuple[bool, bool, bool, int]:
        is_feasible = route is selected or state.is_feasible_route(route)
        return route.neighbour in asked, not is_feasible, route is not selected, route.metric

    return min(others, key=preference).neighbour


def _is_worth_asking(state: State, route: Route) -> bool:
    is_barred = route.filtered or route in state.routes.refused
    return route.refmetric < INFINITY and not is_barred and route.neighbour.reachable


def _next_seqno(state: State, prefix: Prefix, router_id: bytes) -> int | None:
    """Return the seqno that makes any update of a source feasible; None when every one already is."""
    distance = state.sources.get(prefix, router_id)
    return None if distance is None else seqno_add(distance.seqno, 1)


def _is_redundant(state: State, source: Source, seqno: int, recently: float, now: float) -> bool:
    """Return whether such a request was sent in so many seconds before now."""
    pending = state.requests.get(source)
    if pending is None or seqno_lt(pending.seqno, seqno):
        return False
    return now - pending.sent < recently


def _remember(
    state: State, source: Source, seqno: int, cause: Neighbour | None, now: float
) -> PendingRequest | None:
    """Return the table entry of a request that is about to be sent; None when there is no room for it."""
    if (pending := state.requests.get(source)) is None:
        if len(state.requests) >= state.parameters.max_pending_requests:
            state.count("request_suppressed.table-full")
            return None
        if cause is not None:
            if cause.account.pending_requests >= state.parameters.max_pending_requests_per_neighbour:
                state.count("request_suppressed.neighbour-limit")
                return None
            cause.account.pending_requests += 1
        pending = PendingRequest(source, seqno, Timer(partial(_handle_timeout, state, source)), cause, now)
        state.requests[source] = pending
    pending.seqno, pending.sent = seqno, now
    return pending


def _forget(state: State, pending: PendingRequest) -> None:
    state.timers.cancel(pending.timer)
    del state.requests[pending.source]
    if pending.cause is not None:
        pending.cause.account.pending_requests -= 1


def _add_requester(state: State, pending: PendingRequest, requester: Neighbour) -> None:
    if len(pending.requesters) < state.parameters.max_requesters:
        pending.requesters[requester] = None


def _send(
    state: State, pending: PendingRequest, targets: list[Neighbour], hop_count: int, now: float
) -> None:
    prefix, router_id = pending.source
    request = SeqnoRequest(prefix, router_id, pending.seqno, hop_count)
    pending.targets, pending.hop_count = tuple(dict.fromkeys(targets)), hop_count
    for neighbour in pending.targets:
        queue_request(state, neighbour, request, now)
        name = neighbour.interface.name
        state.emit(SeqnoRequested(prefix, router_id, pending.seqno, name, neighbour.address))


def _repeat_later(state: State, pending: PendingRequest, now: float) -> None:
    """Begin to wait for the answer to a request that is to be repeated."""
    pending.resends = RESENDS
    state.timers.set(pending.timer, now + _first_resend(state))


def _first_resend(state: State) -> float:
    return min(state.parameters.request_timeout, FIRST_RESEND + RESEND_PAUSE * len(state.requests))


def _handle_timeout(state: State, source: Source, now: float) -> None:
    """Repeat an unanswered request, so many times at most, while nothing is selected (§3.8.2.1)."""
    pending = state.requests[source]
    asked = [
        route.neighbour for route in state.routes.candidates(source.prefix) if _is_worth_asking(state, route)
    ]
    if pending.resends == 0 or source.prefix in state.routes.selected or not asked:
        _forget(state, pending)
        return
    pending.resends -= 1
    sent = RESENDS - pending.resends
    pause = _first_resend(state) * (SLOW_RESEND if sent >= QUICK_RESENDS else 1.0)
    pending.sent = now
    state.timers.set(pending.timer, now + pause)
    _send(state, pending, asked, HOP_COUNT, now)
