"""`history` and `monitor`: what happened to a node, and what happens now."""

import re
from datetime import datetime, timedelta
from typing import Any

import click

from babelwg.cli.client import Answer, follow
from babelwg.cli.exits import NO_DAEMON, Failure
from babelwg.cli.group import Reader, envelope, reading
from babelwg.cli.render.layout import line_width

MOST = 5000  # records of one answer
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
AGE = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)([smhd])", re.ASCII)
DAY_TIME = re.compile(r"\d{1,2}:\d{2}(:\d{2})?", re.ASCII)
INTERRUPTED = 130  # as shells say of what SIGINT ended
COLUMNS = (
    "time", "event", "prefix", "neighbour_name", "interface", "metric", "old_metric", "cause", "text",
    "seq", "peer", "old_peer", "origin", "router_id",
)  # fmt: skip


@click.command()
@click.argument("about", required=False, metavar="[PREFIX|NAME]")
@click.option(
    "--since", metavar="TIME", help="From 10m, 2h or 3d ago on, or from 15:04 or 2026-03-21T15:04 on."
)
@click.option("--flaps", is_flag=True, help="Print the routes that change most.")
@click.option(
    "-n", "--limit", type=click.IntRange(1, MOST), metavar="N", help="Print the last N records only."
)
@reading
def history(reader: Reader, about: str | None, since: str | None, flaps: bool, limit: int | None) -> None:
    """Print what happened and why, the newest last.

    A name stands for a peer, an interface or the origin of routes, an address for every prefix that leads to it.
    """
    from babelwg.cli.render.history import render_flaps, render_history

    if flaps:
        if about is not None or since is not None:
            raise click.UsageError("--flaps goes with neither PREFIX|NAME nor --since")
        answer = reader.ask("flaps", {"limit": limit})
        reader.print(answer, lambda rows: render_flaps(rows, line_width(reader.wide)))
        return
    params: dict[str, Any] = {
        "about": about,
        "since_s": None if since is None else _seconds_since(since),
        "limit": limit,
    }
    answer = reader.ask("history", params)
    if reader.output == "tsv":
        answer = Answer(answer.node, [_row(record) for record in answer.data["records"]])
    asked = params["since_s"]
    reader.print(answer, lambda data: render_history(data, line_width(reader.wide), asked))


@click.command()
@click.argument("about", required=False, metavar="[PREFIX|NAME]")
@click.option("--routes", is_flag=True, help="First print the routes of now.")
@reading
def monitor(reader: Reader, about: str | None, routes: bool) -> None:
    """Print what happens, a line for each change with its cause, until interrupted.

    With --json each line is an object. Who reads too slowly is cut off, and told so.
    """
    try:
        stream = follow(reader.socket, "monitor", {"about": about, "routes": routes})
        if reader.output == "tsv":
            click.echo("\t".join(COLUMNS))
        for record in stream.events:
            click.echo(_line(reader, stream.answer.node, record))
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    raise Failure("the daemon has ended, and the stream with it", NO_DAEMON)


def _line(reader: Reader, node: str | None, record: dict[str, Any]) -> str:
    if reader.output == "json":
        return envelope(Answer(node, record))
    if reader.output == "tsv":
        from babelwg.cli.render.tsv import render_tsv

        return render_tsv([_row(record)]).splitlines()[1]
    from babelwg.cli.render.history import render_record

    return render_record(record, line_width(reader.wide))


def _row(record: dict[str, Any]) -> dict[str, Any]:
    """Return what a line of tab-separated values has of a record."""
    return {name: record.get(name) for name in COLUMNS}


def _seconds_since(text: str) -> float:
    """Return how many seconds ago a time was that is given as an age, a time of day, or a date."""
    if (age := AGE.fullmatch(text)) is not None:
        return float(age[1]) * UNITS[age[2]]
    now = datetime.now().astimezone()
    try:
        if DAY_TIME.fullmatch(text):
            then = datetime.combine(now.date(), datetime.strptime(text, _form(text)).time())
            then = then.astimezone()
            # 23:50 asked at 00:10 was yesterday.
            then -= timedelta(days=1) if then > now else timedelta()
        else:
            then = datetime.fromisoformat(text).astimezone()
        return max(0.0, (now - then).total_seconds())
    except (ValueError, OverflowError):
        raise click.UsageError(f'"{text}" is no time: use 10m, 2h, 15:04 or 2026-03-21T15:04') from None


def _form(text: str) -> str:
    return "%H:%M:%S" if text.count(":") == 2 else "%H:%M"
