"""`show kernel`: what we want of the kernel beside what it has."""

from typing import Any

import click

from babelwg.cli.client import Answer
from babelwg.cli.exits import NEGATIVE, Failure
from babelwg.cli.group import Reader, reading
from babelwg.cli.render.kernel import render_kernel
from babelwg.cli.render.layout import line_width
from babelwg.cli.selection import check, select


@click.command("kernel")
@click.argument("wanted", metavar="[FILTER]", required=False)
@click.option("--all", "everything", is_flag=True, help="List also the routes and rules that are as wanted.")
@reading
def kernel(reader: Reader, wanted: str | None, everything: bool) -> None:
    """What the kernel should have of ours, and whether it has it.

    Routes and rules are read anew from the kernel. Without FILTER or --all, text shows only what
    differs; "beaten" is a route of ours that another program's with a smaller metric takes the packets from.
    FILTER is a peer, an interface, an address or a prefix. The exit code is 1 when something differs.
    """
    check(wanted)
    is_whole = everything or wanted is not None
    # Of ten thousand routes that are as wanted, text tells the number only.
    answer = reader.ask("kernel", {"brief": True} if reader.output == "text" and not is_whole else None)
    data: dict[str, Any] = answer.data
    if wanted is not None:
        data = data | {
            "routes": select([_with_interface(row) for row in data["routes"]], wanted),
            "rules": [],
        }
        if not data["routes"] and reader.output == "text":
            raise Failure(f'no route of ours in the kernel matches "{wanted}"', NEGATIVE)
    shown = data["routes"] if reader.output == "tsv" else data
    reader.print(
        Answer(answer.node, shown), lambda data: render_kernel(data, is_whole, line_width(reader.wide))
    )
    if data["differences"]:
        raise SystemExit(NEGATIVE)


def _with_interface(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row that an interface selects."""
    ours = row["wanted"] if row["state"] == "beaten" else row["present"] or row["wanted"]
    return row | {"interface": ours["interface"]}
