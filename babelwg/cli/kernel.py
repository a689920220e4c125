"""`show kernel`: what we want of the kernel beside what it has."""

from typing import Any, NoReturn

import click

from babelwg.cli.client import Answer
from babelwg.cli.exits import NEGATIVE, Failure, nearest
from babelwg.cli.group import Reader, reading
from babelwg.cli.render.kernel import render_kernel
from babelwg.cli.render.layout import line_width
from babelwg.cli.render.rows import Columns
from babelwg.cli.selection import check

DIFFERENCES = b'"differences":'
NOTHING = b'"routes": []}}'  # how an answer without routes ends


@click.command("kernel")
@click.argument("wanted", metavar="[FILTER]", required=False)
@click.option("--all", "everything", is_flag=True, help="List also the routes and rules that are as wanted.")
@reading
def kernel(reader: Reader, wanted: str | None, everything: bool) -> None:
    """What the kernel should have of ours, and whether it has it.

    Routes and rules are read anew from the kernel. Without FILTER or --all, text shows only what
    differs; "beaten" is a route of ours that another program's with a smaller metric takes the packets from.
    FILTER is a peer, an interface, an address or a prefix. The exit code is 1 when something differs, or
    when nothing matches FILTER.
    """
    check(wanted)
    if reader.output == "json":
        told = reader.relay("kernel", {"filter": wanted})
        if wanted is not None and told.endswith(NOTHING):
            _complain(reader, wanted)
        differences = differences_in(told)
    else:
        is_whole = everything or wanted is not None
        # Of ten thousand routes that are as wanted, text tells the number only.
        how = {"brief": True} if reader.output == "text" and not is_whole else {"columns": True}
        answer = reader.ask("kernel", how | {"filter": wanted})
        data: dict[str, Any] = answer.data
        routes = Columns.from_answer(data["routes"]) if "columns" in how else data["routes"]
        if wanted is not None and not routes:
            _complain(reader, wanted)
        shown = routes if reader.output == "tsv" else data | {"routes": routes}
        reader.print(
            Answer(answer.node, shown), lambda data: render_kernel(data, is_whole, line_width(reader.wide))
        )
        differences = data["differences"]
    if differences:
        raise SystemExit(NEGATIVE)


def _complain(reader: Reader, wanted: str) -> NoReturn:
    known = reader.ask("words", {"kinds": ["peers", "names", "interfaces"]}).data
    raise Failure(f'no route of ours in the kernel matches "{wanted}"{nearest(wanted, known)}', NEGATIVE)


def differences_in(text: bytes) -> int:
    """Return the number of differences that an answer tells as JSON; it stands before the routes, which are many."""
    start = text.index(DIFFERENCES) + len(DIFFERENCES)
    return int(text[start : text.index(b",", start)])
