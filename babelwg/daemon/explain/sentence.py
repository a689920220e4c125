"""The answer in one sentence: which way a prefix goes and why, or why it goes none."""

from collections.abc import Sequence
from typing import Any

from babelwg.babel.explain import Explanation, Held
from babelwg.daemon.explain.filterlines import line_words

# Implementation constants
NAMED = 3  # peers in one sentence


def answer(explanation: Explanation, data: dict[str, Any], refusal: str | None) -> str:
    """Return the answer; `data` is what is said besides, `refusal` why the kernel or we do not install the route."""
    prefix, route = data["prefix"], data["route"]
    if route is not None:
        via = f"via {route['via']}, metric {route['metric']}"
        if refusal is not None:
            return f"{prefix} should go {via}, but is not installed: {refusal}"
        if data["agrees"] is False:
            return f"{prefix} should go {via}, but {data['kernel_words']}"
        return f"{prefix} goes {via}, because {explanation.why}"
    if explanation.outcome == "announced":
        origin = data["announced"]["origin"]
        return f"{prefix} is announced here, metric {explanation.announced} ({origin})"
    if explanation.outcome == "refused":
        if refusal is not None:
            return f"{prefix} is not used: {refusal}"
        return f"{prefix} is left to table main, which has a route of its own for it (guard)"
    if explanation.outcome == "recovering":
        waiting = ", ".join(explanation.recovering[:NAMED])
        return f"{prefix} has no route yet: after a loss of memory, the neighbours on {waiting} must confirm"
    return f"{prefix} has no route: {'; '.join(_reasons(explanation, data))}"


def request_words(request: dict[str, Any]) -> str:
    """Return a seqno request in words, with whom it went to and when."""
    asked = " and ".join(request["targets"][:NAMED]) or "nobody any more"
    return f"seqno {request['seqno']} was requested from {asked} {request['sent_s']:.1f} s ago"


def held_words(held: Held) -> str:
    """Return a hold in words."""
    end = "" if held.ends is None else f" for at most {held.ends:.0f} s"
    return f"held unreachable{end}, until the neighbours confirm"


def _reasons(explanation: Explanation, data: dict[str, Any]) -> list[str]:
    reasons = [explanation.why]
    ours = [r for r in data["requests"] if r["for_us"]]
    if explanation.outcome == "unfeasible" and ours:
        reasons.append(request_words(max(ours, key=lambda r: r["age_s"])))
    if explanation.outcome == "filtered":
        reasons[0] = _filtered(data["candidates"]) or explanation.why
    if explanation.outcome in ("unknown", "unreachable", "retracted", "expired") and data["sessions"]:
        reasons.append(_no_session(data["sessions"]))
    if explanation.refused:
        reasons.append(f"an announcement was not believed: {explanation.refused[0].words}")
    if explanation.held is not None:
        reasons.append(held_words(explanation.held))
    return reasons


def _filtered(candidates: Sequence[dict[str, Any]]) -> str | None:
    """Return the lines that keep routes away, in words."""
    lines = [
        line for c in candidates if c["verdict"] == "filtered" for line in c["filters"] if line["denies"]
    ]
    words = [*dict.fromkeys(line_words(line) for line in lines)]
    return f"filtered by {' and '.join(words[:NAMED])}" if words else None


def _no_session(sessions: Sequence[dict[str, Any]]) -> str:
    named = ", ".join(session["peer"] for session in sessions[:NAMED])
    more = f" and {len(sessions) - NAMED} more" if len(sessions) > NAMED else ""
    return f"no Babel session with {named}{more}"
