"""`babelwg status`: the node in a few lines, a line for each peer, then what is wrong."""

from typing import Any

from babelwg.cli.render.layout import Column, table, wrap
from babelwg.cli.render.rows import Row
from babelwg.cli.render.units import age, measured, metric, plain, round_trip, share, word

HEAD = 11  # columns of a title and the space behind it
COMMANDS = frozenset(
    (
        "show",
        "route",
        "status",
        "doctor",
        "history",
        "check-config",
        "config",
        "trace",
        "ping",
        "web",
        "bugreport",
    )
)


def _path(row: Row) -> str:
    # With its endpoint, "direct" tells which way the packets go.
    path, endpoint = word(row.get("path")), row.get("endpoint")
    return f"direct {endpoint}" if path == "direct" and endpoint else path


MEASURED = (
    Column("RTT", lambda row: round_trip(measured(row, "rtt_s")), True),
    Column("LOSS", lambda row: share(measured(row, "loss")), True),
    Column("COST", lambda row: metric(row.get("cost")), True),
    Column("ROUTES", lambda row: word(row.get("routes")), True),
    Column("SEEN", lambda row: age(row.get("last_heard_s")), True),
)
PEER_COLUMNS = (
    Column("PEER", lambda row: word(row.get("name")), False, 8),
    Column("STATE", lambda row: word(row.get("state"))),
    Column("PATH", _path, False, 23),
    *MEASURED,
)
NEIGHBOUR_COLUMNS = (
    Column("NEIGHBOUR", lambda row: word(row.get("name") or row.get("address")), False, 12),
    Column("STATE", lambda row: "up" if row.get("state") == "reachable" else "down"),
    Column("ON", lambda row: word(row.get("interface")), False, 8),
    *MEASURED,
)


def render_status(data: dict[str, Any], width: int) -> str:
    """Return the status of a node as text."""
    parts = [_head(data, width), *_peers(data, width), *_neighbours(data, width), *_problems(data, width)]
    return "\n\n".join(parts)


def _head(data: dict[str, Any], width: int) -> str:
    routes = data["routes"]
    backend = f", {data['backend']} back end" if data.get("backend") else ""
    lines = [
        f"{data['name']}  {data['mode']}{backend}, up {age(data['uptime_s'])}, pid {data['pid']},"
        f" version {data['version']}",
        *_peers_up(data),
        f"routes     {routes['selected']} selected of {routes['total']}, in table {data['table']}",
    ]
    for title, key in (("addresses", "addresses"), ("announces", "announce")):
        if data.get(key):
            lines.append(f"{title}  {', '.join(data[key])}")
    lines.append(f"router-id  {data['router_id']}")
    return "\n".join(wrap(line, width, " " * HEAD) for line in lines)


def _peers_up(data: dict[str, Any]) -> list[str]:
    if not data["peers"]:
        return []
    up = sum(peer.get("state") == "up" for peer in data["peers"])
    return [f"peers      {up} of {len(data['peers'])} up"]


def _peers(data: dict[str, Any], width: int) -> list[str]:
    if data["peers"]:
        return [table(PEER_COLUMNS, data["peers"], width)]
    return ["No peers."] if data["mode"] == "overlay" else []


def _neighbours(data: dict[str, Any], width: int) -> list[str]:
    """Return the neighbours that are no peers: those of LANs."""
    rows = data.get("neighbours")
    return [table(NEIGHBOUR_COLUMNS, rows, width)] if rows else []


def _problems(data: dict[str, Any], width: int) -> list[str]:
    problems: list[Row] = data["problems"]
    if not problems:
        return []
    return ["\n".join(["Problems:", *(_problem(problem, width) for problem in problems)])]


def _problem(problem: Row, width: int) -> str:
    """Return one thing that is wrong, with the command that tells more on the same line where it fits."""
    line = plain(f"  {problem['subject']}: {problem['reason']}")
    hint = plain(_command(problem["hint"])) if problem.get("hint") else ""
    if not hint:
        return wrap(line, width, "    ")
    whole = f"{line} ({hint})"
    return whole if len(whole) <= width else f"{wrap(line, width, '    ')}\n    {hint}"


def _command(hint: str) -> str:
    return f"babelwg {hint}" if hint.split(" ", 1)[0] in COMMANDS else hint
