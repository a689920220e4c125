"""Manual pages: babelwg(1), a page for each command, and babelwg.toml(5), made of what the program itself knows."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click

from babelwg.cli.exits import NEGATIVE, PERMISSION, Failure
from babelwg.cli.group import LazyGroup
from babelwg.cli.manual_text import ABOUT, ENVIRONMENT, EXAMPLES, EXITS, FILES, TOML_ABOUT, TOML_EXAMPLE
from babelwg.cli.render.roff import definitions, example, header, heading, inline, paragraphs
from babelwg.version import __version__


class Page(NamedTuple):
    """One page: its name, its section of the manual, and its text."""

    name: str
    section: int
    text: str

    @property
    def path(self) -> str:
        """Return where it stands below a directory of manual pages."""
        return f"man{self.section}/{self.name}.{self.section}"


@click.command("man")
@click.option(
    "--output",
    type=click.Path(path_type=Path, readable=False),
    default=Path.home() / ".local/share/man",
    metavar="DIR",
    help="A directory of manual pages.  [default: ~/.local/share/man]",
)
@click.pass_context
def man(ctx: click.Context, output: Path) -> None:
    """Write the manual pages to a directory where `man` looks."""
    from babelwg.config.files import write_named

    root = ctx.find_root().command
    assert isinstance(root, LazyGroup), "the command at the top has all others"
    made = pages(root)
    try:
        for page in made:
            path = output / page.path
            path.parent.mkdir(parents=True, exist_ok=True)
            # A link that is there is replaced, and not what it leads to.
            write_named(path, page.text.encode(), 0o644)
    except OSError as error:
        code = PERMISSION if isinstance(error, PermissionError) else NEGATIVE
        raise Failure(f"cannot write {error.filename or output}: {error.strerror}", code) from None
    click.echo(f"Wrote {len(made)} pages to {output}.")


def pages(root: LazyGroup) -> list[Page]:
    """Return all pages."""
    commands = list(_walk(root, click.Context(root, info_name="babelwg", **root.context_settings)))
    return [_command_page(ctx) for ctx in commands] + [_toml_page()]


def _walk(command: click.Command, ctx: click.Context) -> Iterator[click.Context]:
    yield ctx
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            below = command.get_command(ctx, name)
            if below is not None and not below.hidden:
                yield from _walk(below, click.Context(below, info_name=name, parent=ctx))


def _command_page(ctx: click.Context) -> Page:
    name = page_name(ctx)
    lines = [*header(name, 1, __version__), heading("Name"), _name_line(name, ctx.command)]
    lines += [heading("Synopsis"), *_synopsis(ctx)]
    lines += [heading("Description"), *paragraphs(ctx.command.help or "")]
    if ctx.parent is None:
        lines += paragraphs(ABOUT)
    else:
        lines += paragraphs(ctx.command.epilog or "")
    lines += [*_options(ctx), *_commands(ctx)]
    lines += _examples(ctx.command_path.partition(" ")[2])
    lines += [heading("Exit status"), *definitions(EXITS)]
    if ctx.parent is None:
        lines += [heading("Files"), *definitions(FILES), heading("Environment"), *definitions(ENVIRONMENT)]
    lines += [heading("See also"), inline(", ".join(_related(ctx)))]
    return Page(name, 1, "\n".join(lines) + "\n")


def page_name(ctx: click.Context) -> str:
    """Return the name of a command's page, such as babelwg-route-get."""
    return ctx.command_path.replace(" ", "-")


def _name_line(name: str, command: click.Command) -> str:
    said = (command.help or "").strip().split("\n\n")[0]
    sentence = " ".join(said.split()).partition(". ")[0].rstrip(".").replace("`", "")
    return rf"{inline(name)} \- {inline(sentence[:1].lower() + sentence[1:])}"


def _synopsis(ctx: click.Context) -> list[str]:
    pieces = " ".join(ctx.command.collect_usage_pieces(ctx))
    return [inline(f"`{ctx.command_path}` {pieces}")]


def _options(ctx: click.Context) -> list[str]:
    records = [parameter.get_help_record(ctx) for parameter in ctx.command.get_params(ctx)]
    # An argument has no help of its own here; the description speaks of it.
    rows = [record for record in records if record is not None and record[1]]
    return [heading("Options"), *definitions(rows)] if rows else []


def _commands(ctx: click.Context) -> list[str]:
    command = ctx.command
    if isinstance(command, LazyGroup):
        lines = [heading("Commands")]
        for title, section in command.sections.items():
            rows = [(name, entry.help) for name, entry in section.items()]
            lines += [f'.SS "{title}"', *definitions(rows)]
        return lines
    if not isinstance(command, click.Group):
        return []
    found = [(name, command.get_command(ctx, name)) for name in command.list_commands(ctx)]
    rows = [(name, below.get_short_help_str(200)) for name, below in found if below and not below.hidden]
    return [heading("Commands"), *definitions(rows)]


def _examples(command: str) -> list[str]:
    if command not in EXAMPLES:
        return []
    lines = [heading("Examples")]
    for words, shown in EXAMPLES[command]:
        lines += [".PP", inline(words), *example(shown.splitlines())]
    return lines


def _related(ctx: click.Context) -> list[str]:
    if ctx.parent is None:
        return ["babelwg.toml(5)", "wg(8)", "ip-route(8)", "babeld(8)"]
    names = []
    parent: click.Context | None = ctx.parent
    while parent is not None:
        names.append(f"{page_name(parent)}(1)")
        parent = parent.parent
    if isinstance(ctx.command, click.Group):
        names += [f"{page_name(ctx)}-{name}(1)" for name in ctx.command.list_commands(ctx)]
    return [*names, "babelwg.toml(5)"]


def _toml_page() -> Page:
    from babelwg.config.toml.reference import SECTIONS

    lines = [*header("babelwg.toml", 5, __version__), heading("Name")]
    lines += [r"babelwg.toml \- the configuration of a babelwg node"]
    lines += [heading("Description"), *paragraphs(TOML_ABOUT)]
    for section in SECTIONS:
        lines += [heading(section.heading), inline(section.meaning)]
        for key in section.keys:
            default = f", default `{key.default}`" if key.default not in (None, "required") else ""
            required = ", required" if key.default == "required" else ""
            lines += definitions([(key.name, f"({key.type}{default}{required}) {key.meaning}")])
    lines += [heading("Examples"), *example(TOML_EXAMPLE.splitlines())]
    lines += [heading("Files"), *definitions(FILES)]
    lines += [
        heading("See also"),
        inline("babelwg(1), babelwg-check-config(1), babelwg-config-show(1), babeld(8)"),
    ]
    return Page("babelwg.toml", 5, "\n".join(lines) + "\n")
