"""`status`, `show` and `route get`: questions to the daemon."""

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import click

from babelwg.cli.client import Answer
from babelwg.cli.exits import NEGATIVE, Failure, nearest
from babelwg.cli.group import Reader, SuggestingGroup, reading
from babelwg.cli.kernel import kernel
from babelwg.cli.render.layout import line_width
from babelwg.cli.render.route import render_route_get
from babelwg.cli.render.status import render_status
from babelwg.cli.render.views import VIEWS, render_view, rows_of
from babelwg.cli.selection import names_in, select

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
    reader.print(reader.ask("status"), lambda data: render_status(data, line_width(reader.wide)))


@click.group(cls=SuggestingGroup)
def show() -> None:
    """Print one of the node's tables."""


@click.group(cls=SuggestingGroup)
def route() -> None:
    """Ask about single routes."""


@route.command("get")
@click.argument("address")
@click.argument("source", nargs=-1, metavar="[from SOURCE]")
@reading
def route_get(reader: Reader, address: str, source: tuple[str, ...]) -> None:
    """Print the way that a packet to ADDRESS takes, and why."""
    if source and (len(source) != 2 or source[0] != "from"):
        raise click.UsageError("expected ADDRESS, or ADDRESS from SOURCE")
    params = {"address": _address(address), "source": _address(source[1]) if source else None}
    if source and (":" in str(params["address"])) != (":" in str(params["source"])):
        raise click.UsageError("ADDRESS and SOURCE are of different families")
    answer = reader.ask("route_get", params)
    reader.print(answer, lambda data: render_route_get(data, line_width(reader.wide)))
    if not _has_way(answer.data):
        raise SystemExit(NEGATIVE)


def _address(text: str) -> str:
    if "%" in text:
        raise click.UsageError(f'"{text}" names an interface; Babel routes no link-local addresses')
    try:
        return str(ip_address(text))
    except ValueError:
        raise click.UsageError(f'"{text}" is not an IPv4 or IPv6 address') from None


def _has_way(data: dict[str, Any]) -> bool:
    kernel = data.get("kernel")
    return bool(data.get("local") or data.get("route") or (kernel and kernel.get("type") == "unicast"))


def _view_command(name: str) -> click.Command:
    @click.command(name, help=ABOUT[name] + " FILTER is a peer, an interface, an address or a prefix.")
    @click.argument("wanted", metavar="[FILTER]", required=False)
    @reading
    def command(reader: Reader, wanted: str | None) -> None:
        _show(reader, name, wanted)

    return command


def _show(reader: Reader, name: str, wanted: str | None) -> None:
    answer = reader.ask(name)
    rows = rows_of(name, answer.data)
    if wanted is None:
        reader.print(answer, _renderer(reader, name))
        return
    chosen = select(rows, wanted)
    if name == "stats":
        data: Any = {"counters": {row["name"]: row["value"] for row in chosen}}
    else:
        data = chosen
    if chosen or reader.output != "text":
        reader.print(Answer(answer.node, data), _renderer(reader, name))
    if not chosen:
        hint = nearest(wanted, names_in(rows))
        raise Failure(f'nothing in `show {name}` matches "{wanted}"{hint}', NEGATIVE)


def _renderer(reader: Reader, name: str) -> Callable[[Any], str]:
    return lambda data: render_view(name, rows_of(name, data), line_width(reader.wide))


for _name in VIEWS:
    show.add_command(_view_command(_name))
show.add_command(kernel)
