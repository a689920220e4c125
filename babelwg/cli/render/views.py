"""The columns of every `show` command."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from babelwg.cli.render.layout import Column, Keyed, table, wrap
from babelwg.cli.render.rows import Columns, Row, column_of
from babelwg.cli.render.units import age, interval, measured, metric, octets, round_trip, share, word


class View(NamedTuple):
    """One kind of row: its columns, and the sentence where there is none."""

    columns: tuple[Column, ...]
    nothing: str


def text(title: str, key: str, least: int = 0, spare: int = 0) -> Column:
    """Return a column of words."""
    return Column(title, Keyed(word, key), False, least, spare)


def number(title: str, key: str, spare: int = 0) -> Column:
    """Return a column of plain numbers."""
    return Column(title, Keyed(word, key), True, 0, spare)


def render_view(name: str, rows: Sequence[Row], width: int) -> str:
    """Return the rows of one kind as a table, with a line for each reason that a row gives."""
    view = VIEWS[name]
    if not rows:
        return view.nothing
    # A gateway has no name but its prefix.
    given = [rows[i] for i, reason in enumerate(column_of(rows, "reason")) if reason]
    named = {(row.get("name") or row["prefix"], row["reason"]): None for row in given}
    reasons = [wrap(f"{who}: {reason}", width, "  ") for who, reason in named]
    return "\n".join([table(view.columns, rows, width), *([""] if reasons else []), *reasons])


def remark(name: str, data: Any, width: int) -> str:
    """Return what is to be said of an answer besides its rows; mostly nothing."""
    if name != "stats" or not isinstance(data, dict) or "dataplane_age_s" not in data:
        return ""
    old = data["dataplane_age_s"]
    if old == 0:
        return ""
    known = f"what it counts is {interval(round(old, 1))} old" if old else "what it counts is not known"
    return wrap(f"The data plane does not answer: {known}.", width, "  ")


def fields_of(name: str) -> list[str]:
    """Return the fields that the columns of a view need."""
    wanted = [column.value for column in VIEWS[name].columns]
    return list(dict.fromkeys(key for value in wanted if isinstance(value, Keyed) for key in value.keys))


def rows_of(name: str, data: Any) -> Sequence[Row]:
    """Return the rows that an answer holds."""
    if isinstance(data, Columns):
        return data
    if isinstance(data, dict) and "columns" in data:
        return Columns.from_answer(data)
    if name == "stats":
        return [{"name": key, "value": value} for key, value in sorted(data["counters"].items())]
    return list(data)


def _first(*values: object) -> str:
    """Return the first of several names that is there."""
    return word(next((value for value in values if value), None))


def route_state(state: object, installed: object, reason: object, held: object) -> str:
    """Return the state of a route in words."""
    if state == "selected":
        return "installed" if installed else "not installed"
    if state == "feasible":
        return "refused" if reason else "feasible, not best"
    # Nothing leads there, and packets do not follow a shorter prefix either.
    return "held" if state == "retracted" and held else word(state)


STATE = Keyed(route_state, "state", "installed", "reason", "held")
VIA = Keyed(_first, "peer", "neighbour_name", "neighbour")
ORIGIN = Keyed(_first, "origin", "router_id")


def _traffic(row: Row) -> str:
    return f"{octets(row.get('rx_bytes'))}/{octets(row.get('tx_bytes'))}"


def _ages(title: str, key: str, spare: int = 0) -> Column:
    return Column(title, Keyed(age, key), True, 0, spare)


def _metrics(title: str, key: str, spare: int = 0) -> Column:
    return Column(title, Keyed(metric, key), True, 0, spare)


TRAFFIC = Column("RX/TX", _traffic, True, 0, 3)
LOSS = Column("LOSS", lambda row: share(row.get("loss")), True, 0, 3)
RTT = Column("RTT", lambda row: round_trip(row.get("rtt_s")), True, 0, 2)
RTTCOST = number("RTTCOST", "rttcost", 4)


def _checks(row: Row) -> str:
    checks = "; ".join(f"{check['check']}: {check['latest']}" for check in row.get("checks", ()))
    return str(checks or row.get("reason") or "none")


VIEWS: dict[str, View] = {
    "peers": View(
        (
            text("NAME", "name", 8),
            text("STATE", "state"),
            text("INTERFACE", "interface", 8, spare=2),
            text("ENDPOINT", "endpoint", 15),
            _ages("HANDSHAKE", "latest_handshake_s", 1),
            TRAFFIC,
            _metrics("COST", "cost"),
            Column("RTT", lambda row: round_trip(measured(row, "rtt_s")), True, 0, 7),
            Column("RTTCOST", lambda row: word(measured(row, "rttcost")), True, 0, 8),
            number("ROUTES", "routes", 4),
            text("BACKEND", "backend", spare=6),
            text("KEY", "public_key", 9, 5),
        ),
        "No peers.",
    ),
    "neighbours": View(
        (
            Column("NAME", lambda row: word(row.get("name") or row.get("peer")), False, 8),
            text("INTERFACE", "interface", 8),
            text("ADDRESS", "address", 12),
            text("STATE", "state"),
            text("REACH", "reach", spare=6),
            _metrics("RXCOST", "rxcost", 5),
            _metrics("TXCOST", "txcost", 5),
            _metrics("COST", "cost"),
            LOSS,
            RTT,
            RTTCOST,
            Column("HELLO", lambda row: interval(row.get("hello_interval_s")), True, 0, 7),
            _ages("HEARD", "last_heard_s", 1),
            number("ROUTES", "routes", 8),
        ),
        "No neighbours.",
    ),
    "routes": View(
        (
            text("PREFIX", "prefix", 20),
            Column("VIA", VIA, False, 8),
            text("INTERFACE", "interface", 8, spare=4),
            _metrics("METRIC", "metric"),
            _metrics("REFMETRIC", "refmetric", 6),
            Column("STATE", STATE),
            Column("ORIGIN", ORIGIN, False, 8, 3),
            number("SEQNO", "seqno", 5),
            _ages("AGE", "age_s", 1),
            _ages("EXPIRES", "expires_s", 7),
        ),
        "No routes.",
    ),
    "xroutes": View(
        (text("PREFIX", "prefix"), _metrics("METRIC", "metric"), text("ORIGIN", "origin")),
        "Nothing is announced.",
    ),
    "sources": View(
        (
            text("PREFIX", "prefix", 20),
            text("ORIGIN", "origin", 8),
            text("ROUTER-ID", "router_id", spare=1),
            number("SEQNO", "seqno"),
            _metrics("METRIC", "metric"),
            _ages("EXPIRES", "expires_s"),
        ),
        "No sources.",
    ),
    "interfaces": View(
        (
            text("NAME", "name", 8),
            text("KIND", "kind"),
            text("PEER", "peer", 8, 3),
            text("UP", "up"),
            number("MTU", "mtu", 4),
            text("LINK-LOCAL", "link_local", 12),
            text("IPV4", "ipv4", spare=2),
            Column("HELLO", lambda row: interval(row.get("hello_interval_s")), True, 0, 5),
            Column("UPDATE", lambda row: interval(row.get("update_interval_s")), True, 0, 6),
            number("SEQNO", "hello_seqno", 7),
            number("NEIGHBOURS", "neighbours", 1),
        ),
        "Babel runs on no interface.",
    ),
    "filters": View(
        (text("KIND", "kind"), text("FILTER", "filter", 40), number("MATCHES", "matches")),
        "There are no filters.",
    ),
    "gateways": View(
        (
            text("PREFIX", "prefix"),
            _metrics("METRIC", "metric"),
            text("INTERFACE", "interface", 8),
            text("STATE", "state"),
            Column("CHECKS", _checks, False, 20),
        ),
        "This node is no gateway.",
    ),
    "stats": View((text("COUNTER", "name", 40), number("VALUE", "value")), "Nothing has been counted."),
}
