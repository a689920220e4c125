"""The filter lines that touched a route, as they are written and where."""

from typing import Any, Literal

from babelwg.babel.policy import Announcement, Policy
from babelwg.config import FilterPolicy
from babelwg.config.babeld.filter_text import filter_text
from babelwg.config.babeld.filters import Filter

Kind = Literal["in", "out", "install"]


def lines_for(policy: Policy, announcement: Announcement, kinds: tuple[Kind, ...]) -> list[dict[str, Any]]:
    """Return the line of each kind that decided about an announcement; none where no line matched."""
    if not isinstance(policy, FilterPolicy):
        return []
    asked = {"in": policy.line_in, "out": policy.line_out, "install": policy.line_install}
    found = [(kind, asked[kind](announcement)) for kind in kinds]
    return [describe_line(kind, line) for kind, line in found if line is not None]


def describe_line(kind: Kind, line: Filter) -> dict[str, Any]:
    """Return a filter line as JSON tells it."""
    return {
        "kind": kind,
        "line": filter_text(kind, line),
        "place": line.place or None,
        "denies": line.denies,
        "added": min(line.metric, 65535),
    }


def line_words(line: dict[str, Any]) -> str:
    """Return a line in words, with where it stands."""
    place = f" ({line['place']})" if line["place"] else ""
    return f"`{line['line']}`{place}"
