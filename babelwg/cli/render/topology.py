"""The mesh as two tables: nodes with the way to each, and links with what they cost."""

from typing import Any

from babelwg.cli.render.layout import Column, table, wrap
from babelwg.cli.render.rows import Row
from babelwg.cli.render.units import metric, round_trip, share, word

NODES = (
    Column("NODE", lambda row: word(row["label"]), False, 12),
    Column("KIND", lambda row: word(row["kind"]), False, 0, 2),
    Column("METRIC", lambda row: metric(row["metric"]), True),
    Column("VIA", lambda row: word(row["via_label"]), False, 8),
    Column("ADDRESS", lambda row: word(next(iter(row["addresses"]), None)), False, 16, 1),
    Column("PREFIXES", lambda row: word(row["prefix_count"]), True, 0, 3),
)
LINKS = (
    Column("FROM", lambda row: word(row["source_name"]), False, 10),
    Column("TO", lambda row: word(row["target_name"]), False, 10),
    Column("COST", lambda row: metric(row["cost"]), True),
    Column("RTT", lambda row: round_trip(row["rtt_s"]), True, 0, 2),
    Column("LOSS", lambda row: share(row["loss"]), True, 0, 3),
    Column("INTERFACE", lambda row: word(row["interface"]), False, 0, 1),
    Column("KNOWN", lambda row: "inferred" if row["inferred"] else "measured"),
)
GUESS = "Inferred links are guesses: the fewest that explain the metrics which neighbours announce."


def render_topology(data: dict[str, Any], width: int) -> str:
    """Return the nodes and the links, and what the words mean."""
    names = labels(data)
    parts = [table(NODES, [_node_row(node, names) for node in data["nodes"]], width)]
    rows = link_rows(data)
    if rows:
        parts.append(table(LINKS, rows, width))
    if any(row["inferred"] for row in rows):
        parts.append(wrap(GUESS, width, ""))
    if data["omitted"]:
        parts.append(f"{data['omitted']} more nodes are left out.")
    return "\n\n".join(parts)


def link_rows(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the links with the names of their ends."""
    names = labels(data)
    return [
        {"source_name": names[link["source"]], "target_name": names[link["target"]], **link}
        for link in data["links"]
    ]


def labels(data: dict[str, Any]) -> dict[str, str]:
    """Return what each node is called: its name, else its id."""
    return {node["id"]: node["name"] or node["id"] for node in data["nodes"]}


def _node_row(node: dict[str, Any], names: dict[str, str]) -> Row:
    via = "direct" if node["via"] == node["id"] else names.get(node["via"])
    return {**node, "label": names[node["id"]], "via_label": via}
