"""`babelwg show kernel`: what differs first, then the sum, then the tables."""

from collections.abc import Sequence
from typing import Any

from babelwg.cli.render.layout import Column, Keyed, table, wrap
from babelwg.cli.render.rows import Columns, Row, column_of
from babelwg.cli.render.units import word


def _way(route: Row | None) -> str:
    """Return where a route leads."""
    if route is None:
        return word(None)
    # What makes another program's route come first must not be what a narrow terminal cuts off.
    words = [f"proto {route['protocol']} metric {route['priority']}"] if route.get("protocol") else []
    words += [] if route["type"] == "unicast" else [route["type"]]
    words += [f"via {route['next_hop']}"] if route.get("next_hop") else []
    words += [f"dev {route['interface']}"] if route.get("interface") else []
    words += [f"src {route['source']}"] if route.get("source") else []
    return " ".join(words)


def _present(state: object, route: Row | None) -> str:
    return "the same" if state == "ok" else _way(route)


ROUTES = (
    Column("PREFIX", Keyed(word, "prefix"), False, 18),
    Column("TABLE", Keyed(word, "table"), True),
    Column("STATE", Keyed(word, "state")),
    Column("WANTED", Keyed(_way, "wanted"), False, 12),
    Column("IN THE KERNEL", Keyed(_present, "state", "present"), False, 12),
)
RULES = (
    Column("RULE", lambda row: word(row.get("priority")), True),
    Column("IPV", lambda row: word(row.get("family")), True),
    Column("STATE", lambda row: word(row.get("state"))),
    Column("MEANING", lambda row: word(row.get("rule")), False, 20),
)
TABLES = (
    Column("TABLE", lambda row: word(row.get("table")), True),
    Column("WANTED", lambda row: word(row.get("wanted")), True),
    Column("PRESENT", lambda row: word(row.get("present")), True),
    Column("FOR PACKETS FROM", lambda row: word(row.get("source")), False, 18),
)


def render_kernel(data: dict[str, Any], is_whole: bool, width: int) -> str:
    """Return what differs, or everything, and the sum of it."""
    parts = []
    for key, columns in (("routes", ROUTES), ("rules", RULES)):
        rows = _in_order(data[key], is_whole)
        if rows:
            parts.append(table(columns, rows, width))
            parts += _reasons(rows, width)
    # Of what FILTER selects, all is listed.
    wanted = len(data["routes"]) if is_whole else sum(row["wanted"] for row in data["tables"])
    parts.append(wrap(_sum(data, wanted), width, "  "))
    if len(data["tables"]) > 1:
        parts.append(table(TABLES, data["tables"], width))
    return "\n\n".join(parts)


def _in_order(rows: Sequence[Row], is_whole: bool) -> Sequence[Row]:
    """Return what differs and, where everything is wanted, behind it what does not."""
    states = column_of(rows, "state")
    numbers = [number for number, state in enumerate(states) if state != "ok"]
    if is_whole:
        numbers += [number for number, state in enumerate(states) if state == "ok"]
    return rows.pick(numbers) if isinstance(rows, Columns) else [rows[number] for number in numbers]


def _reasons(rows: Sequence[Row], width: int) -> list[str]:
    given = [rows[number] for number, reason in enumerate(column_of(rows, "reason")) if reason]
    lines = [wrap(f"{row['prefix']}: {row['reason']}", width, "  ") for row in given]
    return ["\n".join(lines)] if lines else []


def _sum(data: dict[str, Any], routes: int) -> str:
    rules = sum(row["state"] != "not wanted" for row in data["rules"])
    if not data["differences"]:
        ruled = f" and {_count(rules, 'rule')}" if data["rules"] else ""
        return f"the kernel has all {_count(routes, 'route')}{ruled} that are wanted"
    return (
        f"{_count(data['differences'], 'difference')}; what can be mended is within a minute,"
        " and `babelwg doctor` looks for the cause"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
