"""The filter lines in force, and how often each of them decided."""

from typing import Any

from babelwg.config import FilterPolicy
from babelwg.config.babeld import FilterList
from babelwg.config.babeld.filter_text import clauses_text
from babelwg.config.babeld.filters import Filter
from babelwg.daemon.control import Params
from babelwg.daemon.effective import babeld_of
from babelwg.daemon.queries.context import Context, Method
from babelwg.daemon.redistribute import redistributed_xroutes
from babelwg.daemon.texts import ip_text

# What becomes of that which no line matches; what is not redistributed stays out.
UNMATCHED = {"in": "allow", "out": "allow", "redistribute": "deny", "install": "allow"}


class Filters:
    """Answers about the filters."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def methods(self) -> dict[str, Method]:
        """Return these answers by their names on the control socket."""
        return {"filters": self._filters}

    async def _filters(self, params: Params) -> Any:
        del params
        node = self._context.node
        lists = {kind: FilterList(()) for kind in UNMATCHED}
        if isinstance(node.policy, FilterPolicy):
            lists |= node.policy.lists
        babeld = babeld_of(node.config)
        if babeld is not None:
            # The kernel's routes are filtered anew at each change, so what counts is what matches now.
            lists["redistribute"] = babeld.redistribution()
            redistributed_xroutes(babeld, node.monitor.mirror, lists["redistribute"])
        written = {"redistribute": len(babeld.filters) if babeld else 0}
        return [
            row
            for kind, lines in lists.items()
            for row in _rows(kind, lines, written.get(kind, len(lines.lines)))
        ]


def _rows(kind: str, filters: FilterList, written: int) -> list[dict[str, Any]]:
    """Return the lines of one kind, the first `written` of which stand in the configuration."""
    rows = [
        _row(kind, clauses_text(line), number >= written, filters.matches[number], line)
        for number, line in enumerate(filters.lines)
    ]
    # Where there is no line at all, nobody is asked and nothing is counted.
    unmatched = filters.unmatched if filters.lines else None
    return [*rows, _row(kind, f"no match: {UNMATCHED[kind]}", True, unmatched, Filter())]


def _row(kind: str, text: str, is_implicit: bool, matches: int | None, line: Filter) -> dict[str, Any]:
    return {
        "kind": kind,
        "filter": text,
        "implicit": is_implicit,
        "matches": matches,
        "prefix": str(line.prefix) if line.prefix is not None else None,
        "interface": line.interface,
        "neighbour": ip_text(line.neighbour) if line.neighbour is not None else None,
    }
