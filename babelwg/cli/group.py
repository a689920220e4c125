"""Groups of commands that suggest the nearest name, and the options that reading commands share."""

import functools
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import click

from babelwg.cli.exits import NEGATIVE, Failure, nearest
from babelwg.version import __version__

if TYPE_CHECKING:
    from babelwg.cli.client import Answer

DEFAULT_SOCKET = "/run/babelwg/control.sock"
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


class Entry(NamedTuple):
    """A command that is read when it is called: its module in `cli`, its name there, and what help says of it."""

    module: str
    attribute: str
    help: str


class LazyGroup(SuggestingGroup):
    """The group at the top: commands by section, each read only when it is called."""

    def __init__(self, *args: Any, sections: Mapping[str, Mapping[str, Entry]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, section by section."""
        return [name for section in self.sections.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, reading its module now."""
        for section in self.sections.values():
            if (entry := section.get(cmd_name)) is not None:
                command = getattr(import_module(f"babelwg.cli.{entry.module}"), entry.attribute)
                assert isinstance(command, click.Command), f"{cmd_name} is no command"
                return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by section, without reading any of them."""
        for title, section in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(name, entry.help) for name, entry in section.items()])


Output = Literal["text", "json", "tsv"]


class Settings(NamedTuple):
    """What the options before the command say."""

    socket: str = DEFAULT_SOCKET
    output: Output = "text"

    @property
    def as_json(self) -> bool:
        """Return whether JSON is wanted."""
        return self.output == "json"


class Reader(NamedTuple):
    """How a reading command asks and answers."""

    socket: str
    output: Output
    wide: bool

    def ask(
        self, method: str, params: dict[str, Any] | None = None, parse_float: Callable[[str], Any] = float
    ) -> "Answer":
        """Return the daemon's answer, fractions as `parse_float` makes them."""
        from babelwg.cli.client import ask

        return ask(self.socket, method, params, parse_float=parse_float)

    def relay(self, method: str, params: dict[str, Any] | None = None) -> bytes:
        """Print the daemon's whole answer as JSON; return it."""
        from babelwg.cli.client import ask_json

        text = ask_json(self.socket, method, SCHEMA, params)
        click.echo(text)
        return text

    def print(self, answer: "Answer", render: Callable[[Any], str]) -> None:
        """Print an answer as JSON, as tab-separated values, or as the text that `render` makes of its data."""
        if self.output == "json":
            click.echo(envelope(answer))
        elif self.output == "tsv":
            from babelwg.cli.render.tsv import render_tsv

            click.echo(render_tsv(answer.data), nl=False)
        else:
            click.echo(render(answer.data))


def envelope(answer: "Answer") -> str:
    """Return an answer as the JSON that scripts read."""
    import json

    return json.dumps({"schema": SCHEMA, "node": answer.node, "data": answer.data})


def socket_of(ctx: click.Context, given: str | None) -> str:
    """Return the socket that a command's own option names, else the one given before the command."""
    # An empty name is somebody's unset variable, and must not be taken for that of another daemon.
    return settings_of(ctx).socket if given is None else given


def settings_of(ctx: click.Context) -> Settings:
    """Return what the options before the command say."""
    return ctx.ensure_object(Settings)


def socket_option(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option --socket."""
    # Not for click to check: whether this user may use it has its own sentence and exit code.
    kind = click.Path(readable=False)
    return click.option("--socket", type=kind, metavar="PATH", help="The daemon's control socket.")(function)


def reading(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of reading commands, as one `reader` argument."""

    @socket_option
    @click.option("--wide", is_flag=True, help="Do not shorten anything.")
    @click.option("--json", "as_json", is_flag=True, help="The same as -o json.")
    @click.option(
        "-o",
        "--output",
        type=click.Choice(["text", "json", "tsv"]),
        help="Print text, JSON (schema babelwg/1), or tab-separated values.",
    )
    @click.pass_context
    @functools.wraps(function)
    def command(
        ctx: click.Context,
        /,
        *,
        as_json: bool = False,
        output: Output | None = None,
        wide: bool = False,
        socket: str | None = None,
        **arguments: Any,
    ) -> None:
        chosen: Output = "json" if as_json else output or settings_of(ctx).output
        reader = Reader(socket_of(ctx, socket), chosen, wide)
        try:
            function(reader, **arguments)
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            if (other := _other_version(reader.socket)) is None:
                raise
            words = f"it is {other}, this command is version {__version__}; restart the daemon"
            raise Failure(f"the daemon's answer is not understood: {words}", NEGATIVE) from error

    return command


def _other_version(path: str) -> str | None:
    """Return which version the daemon is where it is not this one, as after an upgrade without a restart."""
    from babelwg.cli.client import ask

    try:
        status = ask(path, "status").data
    except Failure:
        return None
    version = status.get("version") if isinstance(status, dict) else None
    if version == __version__:
        return None
    return f"version {version}" if isinstance(version, str) else "another version"
