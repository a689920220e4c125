"""`route get` and `route explain`: questions about one destination."""

from ipaddress import ip_address, ip_network
from typing import Any

import click

from babelwg.cli.exits import NEGATIVE
from babelwg.cli.group import Reader, SuggestingGroup, reading
from babelwg.cli.render.layout import line_width

ADDRESS_SIGNS, NO_NAME = (
    set("0123456789."),
    set(":/%"),
)  # what only an address is made of, and what no name has


@click.group(cls=SuggestingGroup)
def route() -> None:
    """Ask about single routes."""


@route.command("get")
@click.argument("address", metavar="ADDRESS|NAME")
@click.argument("source", nargs=-1, metavar="[from SOURCE]")
@reading
def route_get(reader: Reader, address: str, source: tuple[str, ...]) -> None:
    """Print the way that a packet to ADDRESS takes, and what the kernel says.

    The name of a node stands for the first of its addresses that can be reached. The exit code is 1 when packets have
    no way, and when the kernel's is not the one that Babel selected.
    """
    from babelwg.cli.render.route import render_route_get

    address, origin = _split(address, source, "ADDRESS")
    is_name = not origin and not set(address) <= ADDRESS_SIGNS and not set(address) & NO_NAME
    params = {
        "address": address if is_name else _address(address),
        "source": _address(origin) if origin else None,
    }
    if origin and (":" in str(params["address"])) != (":" in str(params["source"])):
        raise click.UsageError("ADDRESS and SOURCE are of different families")
    answer = reader.ask("route_get", params)
    reader.print(answer, lambda data: render_route_get(data, line_width(reader.wide)))
    if not _has_way(answer.data) or answer.data.get("agrees") is False:
        raise SystemExit(NEGATIVE)


@route.command("explain")
@click.argument("prefix")
@click.argument("source", nargs=-1, metavar="[from SOURCE]")
@reading
def route_explain(reader: Reader, prefix: str, source: tuple[str, ...]) -> None:
    """Print why PREFIX is routed as it is, or why it is not.

    PREFIX is a prefix, an address (the longest prefix that holds it is explained), or the name of a node. The exit
    code is 1 when there is no route, and when the kernel goes another way than the one that Babel selected.
    """
    from babelwg.cli.render.explain import render_explain

    prefix, origin = _split(prefix, source, "PREFIX")
    if "/" in prefix or ":" in prefix:
        _check_network(prefix)
    if origin is not None:
        _check_network(origin)
    text = f"{prefix} from {origin}" if origin else prefix
    answer = reader.ask("route_explain", {"prefix": text})
    reader.print(answer, lambda data: render_explain(data, line_width(reader.wide), reader.wide))
    if not answer.data.get("has_route") or answer.data.get("agrees") is False:
        raise SystemExit(NEGATIVE)


def _split(text: str, source: tuple[str, ...], what: str) -> tuple[str, str | None]:
    """Return a destination and its source, in three words or in one as tables show them."""
    words = [*text.split(" from ", 1)] if " from " in text else [text]
    words += [source[1]] if len(source) == 2 and source[0] == "from" else []
    if len(words) > 2 or (source and len(source) != 2) or (source and source[0] != "from"):
        raise click.UsageError(f"expected {what}, or {what} from SOURCE")
    return words[0], words[1] if len(words) == 2 else None


def _address(text: str) -> str:
    if "%" in text:
        raise click.UsageError(f'"{text}" names an interface; Babel routes no link-local addresses')
    try:
        return str(ip_address(text))
    except ValueError:
        raise click.UsageError(f'"{text}" is not an IPv4 or IPv6 address') from None


def _check_network(text: str) -> None:
    if "%" in text:
        raise click.UsageError(f'"{text}" names an interface; Babel routes no link-local addresses')
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        raise click.UsageError(f'"{text}" is not an IPv4 or IPv6 prefix') from None
    if "/" in text and str(meant.network_address) != str(ip_address(text.partition("/")[0])):
        raise click.UsageError(f'"{text}" has bits set beyond its length; did you mean {meant}?')


def _has_way(data: dict[str, Any]) -> bool:
    kernel = data.get("kernel")
    return bool(data.get("local") or data.get("route") or (kernel and kernel.get("type") == "unicast"))
