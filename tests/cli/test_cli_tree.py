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


def test_no_option_has_click_say_that_a_file_is_not_readable() -> None:
    # That would be a wrong usage, where the command itself tells of a lack of permission, and what to do about it.
    def check(command: click.Command) -> None:
        for parameter in command.params:
            assert not isinstance(parameter.type, click.Path) or not parameter.type.readable, command.name
        if isinstance(command, click.Group):
            for name in command.list_commands(click.Context(command)):
                below = command.get_command(click.Context(command), name)
                assert below is not None
                check(below)

    check(cli)
