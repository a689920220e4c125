"""What happened, a line for each record, the newest last."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from babelwg.cli.render.layout import Column, table, wrap
from babelwg.cli.render.rows import Row
from babelwg.cli.render.units import age, plain

INDENT = " " * 14  # behind the time of day


def render_history(data: dict[str, Any], width: int, asked: float | None = None) -> str:
    """Return records by day, and before them what was left out; only the last `asked` seconds were asked about."""
    about = f" about {plain(data['about'])}" if data.get("about") else ""
    if not data["records"]:
        spans = [seconds for seconds in (data.get("kept_s"), asked) if seconds is not None]
        kept = f" in the last {age(min(spans))}" if spans else ""
        return wrap(f"Nothing is recorded{about}{kept}.", width, "")
    lines = []
    if data.get("left_out"):
        lines.append(f"({data['left_out']} earlier records are left out; -n shows more)")
    lines += _by_day(data["records"], width)
    flaps = data.get("flaps")
    if flaps and flaps["changes"]:
        lines += ["", wrap(_flaps(flaps), width, "")]
    return "\n".join(lines)


def render_record(record: Row, width: int) -> str:
    """Return one record: the time of day here, and what happened."""
    # A line of a log must stay one, whatever a neighbour's name holds.
    line = f"{_moment(record).strftime('%H:%M:%S.%f')[:-3]}  {plain(str(record['text']))}"
    return wrap(line, width, INDENT)


def render_flaps(rows: list[Row], width: int) -> str:
    """Return the prefixes whose way changed most."""
    if not rows:
        return "No route has changed its way."
    columns = [
        Column("prefix", lambda row: plain(str(row["prefix"])), least=12),
        Column("last hour", lambda row: str(row["changes_last_hour"]), right=True),
        Column("in all", lambda row: str(row["changes"]), right=True),
        Column("last change", lambda row: age(row["last_change_s"]), right=True),
    ]
    return table(columns, rows, width)


def _by_day(records: list[Row], width: int) -> Iterator[str]:
    day = datetime.now().astimezone().date()
    for record in records:
        then = _moment(record).date()
        if then != day:
            yield f"-- {then.isoformat()} --"
            day = then
        yield render_record(record, width)


def _flaps(flaps: Row) -> str:
    times = "once" if flaps["changes"] == 1 else f"{flaps['changes']} times"
    lately = flaps["changes_last_hour"]
    return f"{plain(flaps['prefix'])} changed its way {times}, {lately} of them in the last hour."


def _moment(record: Row) -> datetime:
    return datetime.fromisoformat(str(record["time"])).astimezone()
