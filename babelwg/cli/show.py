"""`status` and `show`: questions to the daemon."""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import click

from babelwg.cli.client import Answer
from babelwg.cli.exits import NEGATIVE, Failure, nearest
from babelwg.cli.group import ALIASES, Reader, SuggestingGroup, reading
from babelwg.cli.render.layout import line_width
from babelwg.cli.render.rows import Columns, Row
from babelwg.cli.render.views import VIEWS, fields_of, remark, render_view, rows_of
from babelwg.cli.selection import check, is_network, names_in, select

ABOUT = {
    "peers": "The peers, their tunnels and sessions.",
    "neighbours": "The Babel neighbours and the cost of each link.",
    "routes": "Every route learned, selected or not.",
    "xroutes": "What this node announces.",
    "sources": "The source table: feasibility distances.",
    "interfaces": "The interfaces that Babel runs on.",
    "filters": "The filter lines in force, and how often each decided.",
    "gateways": "The gateways of this node and what their checks say.",
    "stats": "Counters of traffic and refusals, by reason.",
}


@click.command()
@reading
def status(reader: Reader) -> None:
    """Print the state of this node, its peers and its problems."""
    from babelwg.cli.render.status import render_status

    reader.print(reader.ask("status"), lambda data: render_status(data, line_width(reader.wide)))


class Views(SuggestingGroup):
    """The commands below `show`, each made when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return their names."""
        return sorted((*VIEWS, "kernel"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command that shows one table."""
        name = ALIASES.get(cmd_name, cmd_name)
        if name == "kernel":
            from babelwg.cli.kernel import kernel

            return kernel
        if name in VIEWS and name not in self.commands:
            self.add_command(_view_command(name))
        return super().get_command(ctx, name)


@click.group(cls=Views)
def show() -> None:
    """Print one of the node's tables."""


def _view_command(name: str) -> click.Command:
    @click.command(name, help=ABOUT[name] + " FILTER is a peer, an interface, an address or a prefix.")
    @click.argument("wanted", metavar="[FILTER]", required=False)
    @reading
    def command(reader: Reader, wanted: str | None) -> None:
        _show(reader, name, wanted)

    return command


def _show(reader: Reader, name: str, wanted: str | None) -> None:
    check(wanted)
    if reader.output == "json" and (wanted is None or name == "routes"):
        told = reader.relay(name, _params(reader, name, wanted))
        if wanted is None or not told.endswith(b'"data": []}'):
            return
        _complain(reader, name, wanted, [])
    # Tab-separated values are rows, whatever the shape of the answer, with numbers as they came.
    is_tsv = reader.output == "tsv"
    answer = reader.ask(name, _params(reader, name, wanted), str if is_tsv else float)
    rows = rows_of(name, answer.data)
    if wanted is None:
        shown = rows if is_tsv or isinstance(rows, Columns) else answer.data
        reader.print(Answer(answer.node, shown), _renderer(reader, name))
        return
    # Of ten thousand routes the daemon chooses.
    chosen = rows if name == "routes" else select(rows, wanted, _named(reader, name, wanted))
    if name == "stats" and not is_tsv:
        data: Any = {**answer.data, "counters": {row["name"]: row["value"] for row in chosen}}
    else:
        data = chosen
    if chosen or reader.output != "text":
        reader.print(Answer(answer.node, data), _renderer(reader, name))
    if not chosen:
        _complain(reader, name, wanted, rows)


def _named(reader: Reader, name: str, wanted: str) -> list[str]:
    """Return what else a name stands for, as the daemon and its hosts file know."""
    if name == "stats" or is_network(wanted):
        return []
    try:
        words = reader.ask("named", {"name": wanted}).data
    except Failure:
        return []  # it is of another version, or has just ended: the word itself still selects
    return [str(word) for word in words] if isinstance(words, list) else []


def _complain(reader: Reader, name: str, wanted: str, rows: Sequence[Row]) -> NoReturn:
    few = {"columns": ["peer", "interface"]} if name == "routes" else None
    hint = nearest(wanted, names_in(rows or rows_of(name, reader.ask(name, few).data)))
    raise Failure(f'nothing in `show {name}` matches "{wanted}"{hint}', NEGATIVE)


def _params(reader: Reader, name: str, wanted: str | None) -> dict[str, Any] | None:
    """Return what keeps an answer small where it may have ten thousand rows."""
    if name == "sources" and reader.output != "json":
        return {"columns": True, "whole_seconds": reader.output == "text"}
    if name != "routes":
        return None
    columns = {"text": fields_of(name), "tsv": True, "json": None}[reader.output]
    return {"filter": wanted, "columns": columns, "whole_seconds": reader.output == "text"}


def _renderer(reader: Reader, name: str) -> Callable[[Any], str]:
    def render(data: Any) -> str:
        width = line_width(reader.wide)
        text, more = render_view(name, rows_of(name, data), width), remark(name, data, width)
        return f"{text}\n\n{more}" if more else text

    return render
