"""`trace` and `ping`: packets through the mesh, sent by the daemon."""

from typing import Any

import click

from babelwg.cli.client import Answer, Stream, ask, follow
from babelwg.cli.exits import NEGATIVE, NO_DAEMON, Failure
from babelwg.cli.group import Reader, envelope, reading
from babelwg.cli.render.layout import line_width

TRACE_TIMEOUT = 12.0  # seconds; the daemon takes ten at most
COLUMNS = ("seq", "from", "rtt_s", "words")


@click.command()
@click.argument("target", metavar="NAME|ADDRESS")
@reading
def trace(reader: Reader, target: str) -> None:
    """Print the way of packets to a node or an address, hop by hop.

    METRIC is what this node's route to the hop costs, ONWARD what the hop, where it is a neighbour, says of the rest.
    """
    from babelwg.cli.render.probes import render_trace

    answer = ask(reader.socket, "trace", {"target": target}, TRACE_TIMEOUT)
    rows = Answer(answer.node, answer.data["hops"]) if reader.output == "tsv" else answer
    reader.print(rows, lambda data: render_trace(data, line_width(reader.wide)))
    if answer.data["end"] != "reached":
        raise SystemExit(NEGATIVE)


@click.command()
@click.argument("target", metavar="NAME|ADDRESS")
@click.option("-c", "--count", type=click.IntRange(1), metavar="N", help="Stop after N packets.")
@click.option(
    "-i",
    "--interval",
    type=click.FloatRange(0.25, 60),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="The time between two packets.",
)
@reading
def ping(reader: Reader, target: str, count: int | None, interval: float) -> None:
    """Print how long packets take to a node or an address and back, until interrupted or -c packets are sent.

    With --json each line is an object; the last one is the sum.
    """
    params = {"target": target, "count": count, "interval_s": interval}
    answers: list[dict[str, Any]] = []
    stream, is_whole = follow(reader.socket, "ping", params), False
    try:
        _print_answers(reader, stream, answers)
        is_whole = len(answers) == count
    except KeyboardInterrupt:
        is_whole = True
    total = _finish(reader, stream.answer, answers)
    if not is_whole:
        raise Failure("the daemon has ended, and the stream with it", NO_DAEMON)
    if not total["received"]:
        raise SystemExit(NEGATIVE)


def _print_answers(reader: Reader, stream: Stream, answers: list[dict[str, Any]]) -> None:
    """Print each answer as it comes, and gather them all."""
    from babelwg.cli.render.probes import render_answer, render_head

    if reader.output == "text":
        click.echo(render_head(stream.answer.data, line_width(reader.wide)))
    elif reader.output == "tsv":
        click.echo("\t".join(COLUMNS))
    for event in stream.events:
        answers.append(event)
        if reader.output == "json":
            click.echo(envelope(Answer(stream.answer.node, event)))
        elif reader.output == "tsv":
            from babelwg.cli.render.tsv import render_tsv

            click.echo(render_tsv([{name: event.get(name) for name in COLUMNS}]).splitlines()[1])
        else:
            click.echo(render_answer(event, stream.answer.data, line_width(reader.wide)))


def _finish(reader: Reader, head: Answer, answers: list[dict[str, Any]]) -> dict[str, Any]:
    """Print and return the sum of all answers."""
    from babelwg.cli.render.probes import render_sum, sum_up

    total = sum_up(answers)
    if reader.output == "json":
        click.echo(envelope(Answer(head.node, total)))
    elif reader.output == "text":
        click.echo(render_sum(total, head.data))
    return total
