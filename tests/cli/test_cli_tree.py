"""The command tree: what help says without reading a command is what the command says of itself."""

import click
import pytest

from babelwg.cli.commands import COMMANDS, cli

ENTRIES = [(name, entry) for section in COMMANDS.values() for name, entry in section.items()]


@pytest.mark.parametrize(("name", "entry"), ENTRIES, ids=[name for name, _ in ENTRIES])
def test_each_command_begins_as_help_says(name: str, entry: object) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    said = " ".join((command.help or "").split())
    first = entry.help.rstrip(".")  # type: ignore[attr-defined]
    assert said.startswith(first), f"{name}: {said!r} does not begin with {first!r}"


def test_no_name_stands_twice() -> None:
    names = [name for name, _ in ENTRIES]
    assert len(names) == len(set(names))
