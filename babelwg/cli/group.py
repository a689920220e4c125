"""Groups of commands that suggest the nearest name, and the options that reading commands share."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from babelwg.cli.client import DEFAULT_SOCKET, Answer, ask
from babelwg.cli.exits import nearest

ALIASES = {"neighbors": "neighbours"}
SCHEMA = "babelwg/1"


class SuggestingGroup(click.Group):
    """A group whose complaint about an unknown command names the nearest one."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name or another spelling of it."""
        return super().get_command(ctx, ALIASES.get(cmd_name, cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name."""
        name = args[0]
        is_unknown = not name.startswith("-") and self.get_command(ctx, name) is None
        if is_unknown and not ctx.resilient_parsing:
            raise click.UsageError(f'no such command "{name}"{nearest(name, self.list_commands(ctx))}', ctx)
        return super().resolve_command(ctx, args)


@dataclass(slots=True)
class Settings:
    """What the options before the command say."""

    socket: Path = DEFAULT_SOCKET
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class Reader:
    """How a reading command asks and answers."""

    socket: Path
    as_json: bool
    wide: bool

    def ask(self, method: str, params: dict[str, Any] | None = None) -> Answer:
        """Return the daemon's answer."""
        return ask(self.socket, method, params)

    def print(self, answer: Answer, render: Callable[[Any], str]) -> None:
        """Print an answer as data or as text."""
        click.echo(envelope(answer) if self.as_json else render(answer.data))


def envelope(answer: Answer) -> str:
    """Return an answer as the JSON that scripts read."""
    import json

    return json.dumps({"schema": SCHEMA, "node": answer.node, "data": answer.data})


def socket_of(ctx: click.Context, given: Path | None) -> Path:
    """Return the socket that a command's own option names, else the one given before the command."""
    return given or settings_of(ctx).socket


def settings_of(ctx: click.Context) -> Settings:
    """Return what the options before the command say."""
    return ctx.ensure_object(Settings)


def socket_option(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option --socket."""
    kind = click.Path(path_type=Path)
    return click.option("--socket", type=kind, metavar="PATH", help="The daemon's control socket.")(function)


def reading(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of reading commands, as one `reader` argument."""

    @socket_option
    @click.option("--wide", is_flag=True, help="Do not shorten anything.")
    @click.option("--json", "as_json", is_flag=True, help="Print JSON (schema babelwg/1).")
    @click.pass_context
    @functools.wraps(function)
    def command(
        ctx: click.Context, /, *, as_json: bool, wide: bool, socket: Path | None, **arguments: Any
    ) -> None:
        reader = Reader(socket_of(ctx, socket), as_json or settings_of(ctx).as_json, wide)
        function(reader, **arguments)

    return command
