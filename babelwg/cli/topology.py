"""`topology`: the mesh as this node knows it, as text or for programs that draw."""

from typing import Any

import click

from babelwg.cli.client import Answer
from babelwg.cli.group import Reader, reading
from babelwg.cli.render.layout import line_width


@click.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["netjson", "dot", "mermaid"]),
    help="Print a NetJSON NetworkGraph, a graph for Graphviz, or one for Mermaid.",
)
@reading
def topology(reader: Reader, form: str | None) -> None:
    """Print the mesh as this node knows it: its own links as measured, the rest inferred.

    Babel tells of distances and not of links: what neighbours announce is explained by as few links as possible, and
    each of those is a guess.
    """
    from babelwg.cli.render.graphs import FORMATS
    from babelwg.cli.render.topology import link_rows, render_topology

    answer = reader.ask("topology")
    if form is not None:
        click.echo(FORMATS[form](answer.data))
    elif reader.output == "tsv":
        reader.print(Answer(answer.node, link_rows(answer.data)), _unused)
    else:
        reader.print(answer, lambda data: render_topology(data, line_width(reader.wide)))


def _unused(data: Any) -> str:
    raise AssertionError(f"{len(data)} rows are no text")
