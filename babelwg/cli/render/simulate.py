"""What a simulation came to: a table of the ways that are others, and what the change took."""

from typing import Any

from babelwg.cli.render.layout import Column, table, wrap
from babelwg.cli.render.rows import Row
from babelwg.cli.render.units import interval, metric, word

FROM = Column("FROM", lambda row: word(row["source"]), False, 8)
COLUMNS = (
    Column("DESTINATION", lambda row: word(row["destination"]), False, 12),
    Column("BEFORE", lambda row: _way(row["before"], row, "no way"), False, 12),
    Column("AFTER", lambda row: _way(row["after"], row, "lost"), False, 12),
    Column("WITHOUT A WAY", lambda row: _gap(row), True),
)


def render_simulation(data: dict[str, Any], width: int) -> str:
    """Return each phase with its table, then what to bear in mind."""
    columns = COLUMNS if len(data["sources"]) == 1 else (FROM, *COLUMNS)
    seen = f" (seen from {data['sources'][0]})" if len(data["sources"]) == 1 else ""
    parts = []
    for phase in data["phases"]:
        parts.append(wrap(f"If {phase['change']}{seen}:", width, "  "))
        if phase["moves"]:
            parts.append(table(columns, phase["moves"], width))
        parts.append("\n".join(wrap(line, width, "  ") for line in _summary(phase)))
    parts += [wrap(note, width, "  ") for note in data["notes"]]
    return "\n\n".join(parts)


def _summary(phase: dict[str, Any]) -> list[str]:
    moves = phase["moves"]
    lost = sum(row["after"] is None for row in moves)
    line = f"{len(moves)} of {phase['destinations']} ways change, {lost} of them are lost"
    if not moves:
        line = f"None of {phase['destinations']} ways changes"
    lines = [
        f"{line}; it takes {phase['duration_s']:.1f} s, {phase['seqno_requests']} seqno requests and about"
        f" {phase['datagrams']} datagrams more than in calm."
    ]
    if not phase["calm"]:
        lines.append("It did not come to rest within the time that was given.")
    return lines


def _way(way: dict[str, Any] | None, row: Row, nothing: str) -> str:
    if way is None:
        return nothing
    via = "direct" if way["via"] == row["destination"] else f"via {way['via']}"
    return f"{via}, {metric(way['metric'])}"


def _gap(row: Row) -> str:
    if row["gap_s"] is None:
        return "for good"
    return interval(round(row["gap_s"], 1)) if row["gap_s"] else "-"
