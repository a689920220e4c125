"""Requests of others: answered, or passed on towards who can answer (RFC 8966, section 3.8.1)."""

from babelwg.babel.operation.acknowledgments import tell_unacknowledged
from babelwg.babel.operation.dump import queue_dump
from babelwg.babel.operation.failure import ANSWER_INTERVAL
from babelwg.babel.operation.introduction import answer_introduction
from babelwg.babel.operation.queueing import queue_answer, queue_small
from babelwg.babel.operation.requests import (
    RECENTLY,
    answer_waiting,
    is_redundant,
    is_silent,
    is_worth_asking,
    remember_request,
    send_request,
)
from babelwg.babel.operation.selection import find_answer, select_route
from babelwg.babel.state import State
from babelwg.babel.tables.neighbour import Neighbour
from babelwg.babel.tables.request import PendingRequest
from babelwg.babel.tables.route import Route
from babelwg.babel.tables.source import Source
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.seqno import seqno_add, seqno_difference, seqno_lt
from babelwg.babel.wire.tlv import AcknowledgmentRequest, RouteRequest, SeqnoRequest

FORWARDED_LIFETIME = 2.0  # request timeouts for which a forwarded request is remembered
# Implementation constants
# How far our seqno may jump in a life: what is reserved with it still comes after what we had used.
FARTHEST = 0x7F00
MAX_HELD_REQUESTS = 64  # bounds memory against hostile neighbours


def handle_route_request(state: State, neighbour: Neighbour, request: RouteRequest, now: float) -> None:
    """Answer with an update or a retraction, or with everything (§3.8.1.1)."""
    if request.prefix is None:
        neighbour.has_asked = True
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

    Departs from §3.8.1.2 where the speaker of the next hop is away: others are asked, and who has an answer is used.
    """
    source, selected = Source(request.prefix, request.router_id), state.routes.selected[request.prefix].route
    redundant = is_redundant(state, source, request.seqno, RECENTLY, now)
    if redundant and _may_be_answered(state, state.requests[source], requester):
        state.count("request_suppressed.duplicate")
        _add_requester(state, state.requests[source], requester, selected)
        return
    if (target := _next_towards(state, selected, requester, source, now)) is None:
        state.count("request_ignored.no-next-hop")
        return
    seqno = state.requests[source].seqno if redundant else request.seqno
    pending = remember_request(state, source, seqno, requester, now)
    if pending is None:
        return
    _add_requester(state, pending, requester, selected)
    state.timers.advance(pending.timer, now + FORWARDED_LIFETIME * state.parameters.request_timeout)
    if find_answer(state, selected, now) is not None:
        select_route(state, request.prefix, "unanswered", now, selected.neighbour)
        answer_waiting(state, request.prefix, now)
        return
    send_request(state, pending, [target], request.hop_count - 1, now)
    if target is selected.neighbour and target.presence.is_to_be_asked(now):
        # Of a request that it passes on we would not hear.
        nonce = state.allocate_nonce()
        queue_small(state, target, AcknowledgmentRequest(nonce, ANSWER_INTERVAL), 0.0, now)


def _may_be_answered(state: State, pending: PendingRequest, requester: Neighbour) -> bool:
    """Return whether anybody who was asked may still answer: not one who asks us in turn, or has lost the prefix."""
    prefix = pending.source.prefix
    return any(
        target is not requester
        and (route := target.routes.get(prefix)) is not None
        and is_worth_asking(state, route)
        for target in pending.targets
    )


def _next_towards(
    state: State, selected: Route, requester: Neighbour, source: Source, now: float
) -> Neighbour | None:
    """Return the next hop of a feasible route that is not the requester, else of an unfeasible one.

    Where the selected one says nothing at all, it is the one that was asked for this the longest ago, if at all.
    """
    asked: dict[Neighbour, float] = {}
    if selected.neighbour is not requester:
        if not is_silent(state, selected.neighbour, now):
            return selected.neighbour
        pending = state.requests.get(source)
        asked = pending.asked if pending is not None else {selected.neighbour: now}

    def preference(route: Route) -> tuple[float, bool, int]:
        return asked.get(route.neighbour, 0.0), not state.is_feasible_route(route), route.metric

    candidates = state.routes.candidates(selected.prefix)
    others = [r for r in candidates if is_worth_asking(state, r) and r.neighbour is not requester]
    return min(others, key=preference).neighbour if others else None


def _add_requester(state: State, pending: PendingRequest, requester: Neighbour, selected: Route) -> None:
    if pending.told is None:
        pending.told = selected.seqno  # what is older than it asks for
    if len(pending.requesters) < state.parameters.max_requesters:
        pending.requesters[requester] = None
