"""A whole prefix: which route is used and why, or why none is; it asks what the selection asks."""

from collections.abc import Iterable, Sequence
from typing import get_args

from babelwg.babel.explain.explanation import (
    Candidate,
    Explanation,
    Held,
    OutcomeCode,
    PeerAddress,
    Refused,
    Request,
    VerdictCode,
    Waiting,
)
from babelwg.babel.explain.told import told
from babelwg.babel.explain.verdict import REFUSALS, judge
from babelwg.babel.operation.selection import choose
from babelwg.babel.state import State
from babelwg.babel.tables.neighbour import Neighbour
from babelwg.babel.tables.request import PendingRequest
from babelwg.babel.tables.route import Route
from babelwg.babel.wire.prefix import Prefix

# Of several candidates that may not be used, the one that is nearest to being usable says why there is none.
NEAREST: tuple[VerdictCode, ...] = (
    "refused",
    "unfeasible",
    "unconfirmed",
    "too-far",
    "unreachable",
    "filtered",
    "expired",
    "retracted",
)


def explain(state: State, prefix: Prefix, now: float) -> Explanation:
    """Return why a prefix is routed as it is; nothing of the state changes."""
    judged = {route: judge(state, route, now) for route in state.routes.candidates(prefix)}
    selection = state.routes.selected.get(prefix)
    winner = None if selection is None else judged[selection.route]
    ranked = _ranked(judged.values(), winner)
    waiting = _waiting(state, prefix, judged, now)
    following = next((c for c in ranked if c.usable and c is not winner), None)
    outcome, why = _outcome(state, prefix, winner, ranked, waiting)
    xroute = state.xroutes.get(prefix)
    return Explanation(
        prefix=prefix,
        outcome=outcome,
        why=why,
        winner=winner,
        following=following,
        candidates=ranked,
        waiting=waiting,
        requests=tuple(_request(p, now) for s, p in state.requests.items() if s.prefix == prefix),
        held=_held(state, prefix, now),
        refused=tuple(_refused(state, prefix, now)),
        told=tuple(told(state, prefix)),
        announced=None if xroute is None else xroute.metric,
        recovering=tuple(state.gate),
    )


def _ranked(candidates: Iterable[Candidate], winner: Candidate | None) -> tuple[Candidate, ...]:
    """Return the winner, then what may be used, then the rest, each by its metric."""
    return tuple(
        sorted(
            candidates, key=lambda c: (c is not winner, not c.usable, c.view.metric, _rank(c.verdict.code))
        )
    )


def _rank(code: VerdictCode) -> int:
    return NEAREST.index(code) if code in NEAREST else -1


def _outcome(
    state: State,
    prefix: Prefix,
    winner: Candidate | None,
    ranked: Sequence[Candidate],
    waiting: Waiting | None,
) -> tuple[OutcomeCode, str]:
    if winner is not None:
        return "selected", _why_winner(winner, ranked, waiting)
    if prefix in state.xroutes:
        return "announced", "it is announced here"
    if prefix in state.refused:
        return "refused", "this node's kernel goes its own way there"
    if state.gate:
        return "recovering", f"after a loss of memory, {_count(state.gate, 'interface')} must confirm first"
    if not ranked:
        return "unknown", "no neighbour announces it"
    if any(c.usable for c in ranked) and prefix in state.undecided:
        return "unselected", "it came and went too often lately, and is looked at again within a second"
    if any(c.usable for c in ranked):
        return "unselected", "a route has become usable, and the next update about it selects it"
    nearest = min(ranked, key=lambda c: _rank(c.verdict.code))
    return _no_winner(nearest.verdict.code, ranked)


def _why_winner(winner: Candidate, ranked: Sequence[Candidate], waiting: Waiting | None) -> str:
    others = [c for c in ranked if c.usable and c is not winner]
    if not others:
        return "it is the only usable route" if len(ranked) > 1 else "it is the only route"
    if waiting is not None:
        return "it is in use, and a better one is not taken yet"
    if any(c.view.metric < winner.view.metric for c in others):
        return "it is in use, and a better one has only just come"
    if any(c.view.metric == winner.view.metric for c in others):
        return f"none of {len(others) + 1} usable routes has a smaller metric"
    return f"it has the smallest metric of {len(others) + 1} usable routes"


def _no_winner(code: VerdictCode, ranked: Sequence[Candidate]) -> tuple[OutcomeCode, str]:
    several = len(ranked) > 1
    words: dict[VerdictCode, str] = {
        "refused": "this node's kernel refused all routes"
        if several
        else "this node's kernel refused its only route",
        "unfeasible": "no route is feasible" if several else "its only route is not feasible",
        "unconfirmed": "its neighbour has not confirmed yet",
        "too-far": "the metric is beyond 65534",
        "unreachable": "the link does not work both ways",
        "filtered": "filters keep all routes away" if several else "a filter keeps its only route away",
        "expired": "no update came in time",
        "retracted": "all neighbours retracted it" if several else "its only neighbour retracted it",
    }
    assert code != "feasible", "what is usable is selected at once"
    return code, words[code]


def _waiting(state: State, prefix: Prefix, judged: dict[Route, Candidate], now: float) -> Waiting | None:
    """Return the better route that the selection would pass over even now."""
    undecided = state.undecided.get(prefix)
    choice = choose(state, prefix, None if undecided is None else undecided.since, now)
    if choice.waiting is None or choice.again is None:
        return None
    parameters, better = state.parameters, judged[choice.waiting]
    if undecided is not None and undecided.since is not None and choice.since is not None:
        words = f"it is clearly better, and taken when it has been for {parameters.clear_delay:g} s"
        return Waiting(better, now - undecided.since, choice.again - now, words)
    words = (
        f"it is less than {parameters.clearly_better} better; taken when it is so on average"
        f" and {parameters.calm_time:g} s after the last change"
    )
    if choice.since is not None:
        words = f"it has just become clearly better, and is taken in {parameters.clear_delay:g} s"
    return Waiting(better, None, choice.again - now, words)


def _request(pending: PendingRequest, now: float) -> Request:
    return Request(
        router_id=pending.source.router_id,
        seqno=pending.seqno,
        age=now - pending.since,
        sent=now - pending.sent,
        resends=pending.resends,
        targets=tuple(_address(n) for n in pending.targets),
        requesters=tuple(_address(n) for n in pending.requesters),
        # What was only passed on was caused by the neighbour that waits for it.
        for_us=pending.cause is None or pending.cause not in pending.requesters,
    )


def _held(state: State, prefix: Prefix, now: float) -> Held | None:
    if (hold := state.holds.get(prefix)) is None:
        return None
    when = hold.timer.when
    ends = None if when is None else when - now
    return Held(now - hold.since, ends, tuple(_address(n) for n in hold.waiting))


def _refused(state: State, prefix: Prefix, now: float) -> Iterable[Refused]:
    for interface in state.interfaces.values():
        for neighbour in interface.neighbours.values():
            if (update := neighbour.refused.get(prefix)) is not None:
                yield Refused(
                    neighbour=_address(neighbour),
                    reason=update.reason,
                    words=REFUSALS[update.reason],
                    router_id=update.router_id,
                    seqno=update.seqno,
                    refmetric=update.metric,
                    age=now - update.at,
                )


def _address(neighbour: Neighbour) -> PeerAddress:
    return PeerAddress(neighbour.interface.name, neighbour.address)


def _count(things: Iterable[object], word: str) -> str:
    number = len([*things])
    return f"{number} {word}{'' if number == 1 else 's'}"


assert {*NEAREST} == {*get_args(VerdictCode)} - {"feasible"}, "every verdict has its rank"
