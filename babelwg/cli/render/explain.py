"""`babelwg route explain`: the answer first, then the candidates, then everything else that has a part in it."""

from collections.abc import Iterator
from typing import Any

from babelwg.cli.render.layout import NO_LIMIT, wrap
from babelwg.cli.render.rows import Row
from babelwg.cli.render.units import INFINITY, age, metric, word

TITLE = 10  # columns for the word that begins a line of details
PARTS = (
    ("nominal", "link"),
    ("loss", "loss"),
    ("delay", "delay"),
    ("configured", "configured"),
    ("filter", "filter"),
)
# Implementation constants
LISTED = 8  # of a kind, unless everything is wanted


def render_explain(data: dict[str, Any], width: int, everything: bool = False) -> str:
    """Return the explanation of one prefix as text."""
    blocks = [wrap(_answer(data), width, "  ")]
    if data["candidates"]:
        lines = [line for candidate in data["candidates"] for line in _candidate(candidate, data["route"])]
        blocks.append("\n".join(wrap(line, width, "      ") for line in lines))
    details = [*_details(data, NO_LIMIT if everything else LISTED)]
    if details:
        indent = " " * TITLE
        blocks.append("\n".join(wrap(f"{title:<{TITLE}}{text}", width, indent) for title, text in details))
    return "\n\n".join(blocks)


def _answer(data: dict[str, Any]) -> str:
    asked, prefix = data["asked"], data["prefix"]
    if asked == prefix or f"{asked}/32" == prefix or f"{asked}/128" == prefix:
        return str(data["answer"])
    return f"{asked} is in {prefix}. {data['answer']}"


def _candidate(candidate: Row, winner: Row | None) -> Iterator[str]:
    chosen = winner is not None and candidate["interface"] == winner["interface"]
    chosen = chosen and winner is not None and candidate["neighbour"] == winner["neighbour"]
    where = f" ({candidate['interface']})" if candidate["peer"] else ""
    yield f"{'*' if chosen else ' '} {candidate['via']}{where}  metric {_sum(candidate)}"
    yield f"    {candidate['words']}"
    origin = word(candidate["origin"] or candidate["router_id"])
    expiry = "forgotten" if candidate["refmetric"] >= INFINITY else "expires"
    yield (
        f"    announced by {origin}, seqno {candidate['seqno']}, learned {age(candidate['age_s'])} ago,"
        f" {expiry} in {age(max(0.0, candidate['expires_s']))}"
    )
    for line in candidate["filters"]:
        yield f"    {_filter(line)}"


def _sum(candidate: Row) -> str:
    """Return the metric as the sum of its parts, without those that are nothing."""
    parts, total = candidate["parts"], metric(candidate["metric"])
    if candidate["refmetric"] >= INFINITY:
        return f"{total}: nothing is announced any more"
    if parts["filter"] >= INFINITY:
        return f"{total}: denied"
    if parts["nominal"] + parts["loss"] >= INFINITY:
        return f"{total}: the link is down"
    shown = [f"{parts[key]} {name}" for key, name in PARTS if parts[key] or key == "nominal"]
    text = " + ".join([*shown, f"{parts['refmetric']} at {candidate['via']}"]).replace("+ -", "- ")
    if parts["rest"]:
        text += f" {'+' if parts['rest'] > 0 else '-'} {abs(parts['rest'])} for the limits of a metric"
    return f"{total} = {text}"


def _filter(line: Row) -> str:
    place = f" ({line['place']})" if line["place"] else ""
    effect = "denies it" if line["denies"] else f"adds {line['added']}" if line["added"] else "lets it pass"
    return f"`{line['line']}`{place} {effect}"


def _details(data: dict[str, Any], limit: int) -> Iterator[tuple[str, str]]:
    yield from _state(data)
    yield from _next(data)
    yield from _announced(data, limit)
    yield "kernel", data["kernel_words"].removeprefix("the kernel ")
    for number, taker in enumerate(data["takers"][:limit]):
        yield "" if number else "not here", _taker(taker)
    if (more := data["more_takers"] + max(0, len(data["takers"]) - limit)) > 0:
        yield "", f"and {more} more; --wide tells up to 50"
    if data["route"] is None and data["outcome"] not in ("announced", "refused"):
        for session in data["sessions"][:limit]:
            yield "session", f"{session['peer']}: {session['state']}, {word(session['reason'])}"


def _state(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if (waiting := data["waiting"]) is not None:
        since = waiting["clearly_better_s"]
        lasting = "" if since is None else f", clearly better for {since:.1f}s"
        yield (
            "waiting",
            f"{waiting['via']}, metric {metric(waiting['metric'])}{lasting}: {waiting['words']};"
            f" looked at again in {waiting['again_s']:.1f}s",
        )
    for request in data["requests"]:
        yield "request", _request(request)
    if (held := data["held"]) is not None:
        end = "" if held["ends_s"] is None else f", {age(held['ends_s'])} more at most"
        yield "held", f"unreachable for {age(held['age_s'])}{end}, for {_list(held['waiting'])}"
    for refused in data["refused"]:
        yield "refused", f"from {refused['via']} {age(refused['age_s'])} ago: {refused['words']}"


def _request(request: Row) -> str:
    origin = word(request["origin"] or request["router_id"])
    tries = request["resends"]
    more = f", {tries} more {'try' if tries == 1 else 'tries'}" if tries else ""
    passed = "" if request["for_us"] else f", passed on for {_list(request['requesters'])}"
    return (
        f"seqno {request['seqno']} of {origin}, asked of {_list(request['targets'])}"
        f" {request['sent_s']:.1f}s ago{more}{passed}"
    )


def _next(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if (following := data["next"]) is not None:
        yield "next", f"{following['via']}, metric {metric(following['metric'])}"
    elif data["route"] is not None and len(data["candidates"]) > 1:
        unfeasible = [c["via"] for c in data["candidates"] if c["verdict"] == "unfeasible"]
        after = f"; {unfeasible[0]} after a newer seqno" if unfeasible else ""
        yield "next", f"no other route may be used at once{after}"


def _announced(data: dict[str, Any], limit: int) -> Iterator[tuple[str, str]]:
    """Yield what the neighbours hear, interfaces that hear the same in one line."""
    groups: dict[str, list[str]] = {}
    for told in data["told"]:
        lines = "".join(f", {_filter(line)}" for line in told["filters"] if line["denies"] or line["added"])
        heard = f"metric {told['metric']}" if told["metric"] is not None else f"nothing: {told['words']}"
        groups.setdefault(heard + lines, []).append(told["peer"] or told["interface"])
    for number, (heard, names) in enumerate(groups.items()):
        some = ", ".join(names[:limit])
        more = f" and {len(names) - limit} more" if len(names) > limit else ""
        yield "" if number else "told", f"{some}{more}: {heard}"


def _taker(taker: Row) -> str:
    sources = f" from {taker['sources']}" if taker["sources"] else ""
    destination = str(taker["prefix"]).partition(" from ")[0]
    way = {
        "babel": f"via {word(taker['peer'] or taker['interface'])}",
        "held": "held unreachable",
        "announced": "announced here",
        "main": f"table main, on {word(taker['interface'])}",
    }[taker["by"]]
    return f"{destination}{sources}: {way}"


def _list(names: list[str]) -> str:
    shown = names[:LISTED]
    if len(names) > LISTED:
        shown.append(f"{len(names) - LISTED} more")
    if len(shown) < 2:
        return "".join(shown) or "nobody any more"
    return f"{', '.join(shown[:-1])} and {shown[-1]}"
