"""`babelwg status`: the node in a few lines, a line for each peer, then what is wrong."""

from typing import Any

from babelwg.cli.render.layout import Column, Row, table, wrap
from babelwg.cli.render.units import age, metric, round_trip, share, word
from babelwg.cli.render.views import TRAFFIC

PEER_COLUMNS = (
    Column("PEER", lambda row: word(row.get("name")), False, 8),
    Column("STATE", lambda row: word(row.get("state"))),
    Column("PATH", lambda row: word(row.get("path")), False, 10),
    Column("RTT", lambda row: round_trip(row.get("rtt_s")), True),
    Column("LOSS", lambda row: share(row.get("loss")), True, 0, 1),
    Column("COST", lambda row: metric(row.get("cost")), True),
    Column("HEARD", lambda row: age(row.get("last_heard_s")), True),
    TRAFFIC,
    Column("ROUTES", lambda row: word(row.get("routes")), True, 0, 2),
)


def render_status(data: dict[str, Any], width: int) -> str:
    """Return the status of a node as text."""
    parts = [_head(data, width), *_peers(data, width), *_problems(data, width)]
    return "\n\n".join(parts)


def _head(data: dict[str, Any], width: int) -> str:
    routes = data["routes"]
    backend = f", {data['backend']} back end" if data.get("backend") else ""
    lines = [
        f"{data['name']}  {data['mode']}{backend}, up {age(data['uptime_s'])}, pid {data['pid']},"
        f" version {data['version']}",
        f"router-id  {data['router_id']}",
        f"routes     {routes['selected']} selected of {routes['total']}, in table {data['table']}",
    ]
    for title, key in (("addresses", "addresses"), ("announces", "announce")):
        if data.get(key):
            lines.append(f"{title}  {', '.join(data[key])}")
    return "\n".join(wrap(line, width, " " * 11) for line in lines)


def _peers(data: dict[str, Any], width: int) -> list[str]:
    if data["peers"]:
        return [table(PEER_COLUMNS, data["peers"], width)]
    return ["No peers."] if data["mode"] == "overlay" else []


def _problems(data: dict[str, Any], width: int) -> list[str]:
    problems: list[Row] = data["problems"]
    if not problems:
        return []
    lines = ["Problems:"]
    for problem in problems:
        lines.append(wrap(f"  {problem['subject']}: {problem['reason']}", width, "    "))
        if problem.get("hint"):
            lines.append(f"    {_command(problem['hint'])}")
    return ["\n".join(lines)]


def _command(hint: str) -> str:
    return f"babelwg {hint}" if hint.split(" ", 1)[0] in ("show", "route", "status") else hint
