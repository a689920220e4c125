"""The manual: a page for every command, in clean roff, with examples that the command line understands."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import Result

from babelwg.cli.commands import cli
from babelwg.cli.manual import Page, pages
from babelwg.cli.manual_text import EXAMPLES
from babelwg.cli.render.roff import escape, inline, paragraphs

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def made() -> dict[str, Page]:
    return {page.name: page for page in pages(cli)}


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for below in command.list_commands(click.Context(command)):
            found = command.get_command(click.Context(command), below)
            assert found is not None
            if not found.hidden:
                yield from commands(found, f"{name}-{below}")


def test_every_command_has_its_page_and_every_option_its_words(made: dict[str, Page]) -> None:
    expected = dict(commands(cli, "babelwg"))
    assert made.keys() == expected.keys() | {"babelwg.toml"}
    for name, command in expected.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert all(escape(option) in made[name].text for option in parameter.opts), name


def test_pages_are_roff_without_a_warning(made: dict[str, Page], tmp_path: Path) -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff: not installed")
    for page in made.values():
        file = tmp_path / page.name
        file.write_text(page.text)
        result = subprocess.run(
            ["groff", "-Tutf8", "-ww", "-man", str(file)], capture_output=True, text=True, check=True
        )
        assert result.stderr == "", page.name


def test_man_shows_the_pages_without_a_warning(made: dict[str, Page], tmp_path: Path) -> None:
    if shutil.which("man") is None:
        pytest.skip("man: not installed")
    for name in ("babelwg", "babelwg.toml"):
        file = tmp_path / made[name].path
        file.parent.mkdir()
        file.write_text(made[name].text)
        environment = {"PATH": "/usr/bin:/bin", "MANWIDTH": "80", "LC_ALL": "C.UTF-8"}
        result = subprocess.run(
            ["man", "--warnings", "-l", str(file)],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        assert result.stderr == ""
        assert max(len(line) for line in result.stdout.splitlines()) <= 80


@pytest.mark.parametrize("command", EXAMPLES)
def test_examples_are_command_lines_that_are_understood(command: str) -> None:
    for _, shown in EXAMPLES[command]:
        for line in shown.replace("&&", "\n").replace(";", "\n").splitlines():
            words = line.partition(">")[0].partition("<")[0].partition("|")[0].split()
            if words[0] == "babelwg":
                _parse(cli, "babelwg", words[1:])


def _parse(command: click.Command, name: str, words: list[str], parent: click.Context | None = None) -> None:
    ctx = command.make_context(name, words, parent)
    if isinstance(command, click.Group) and (rest := [*ctx._protected_args, *ctx.args]):
        name_below, below, rest = command.resolve_command(ctx, rest)
        assert below is not None and name_below is not None
        _parse(below, name_below, rest, ctx)


def test_examples_name_commands_that_exist(made: dict[str, Page]) -> None:
    for command in EXAMPLES:
        assert "-".join(["babelwg", *command.split()]) in made


def test_text_is_never_taken_for_a_request() -> None:
    assert inline(".SH is text") == r"\&.SH is text"
    assert inline("'tis `--json`") == r"\(aqtis \fB\-\-json\fR"
    assert escape(r"a\b") == r"a\eb"
    assert paragraphs("One\ntwo.\n\n\b\n.as\n  is") == [
        ".PP", "One two.", ".PP", ".RS 4", ".nf", r"\&.as", "  is", ".fi", ".RE"
    ]  # fmt: skip


def test_pages_are_written_where_they_are_asked_for(run: Run, tmp_path: Path) -> None:
    result = run("man", "--output", str(tmp_path / "man"))
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "man/man1/babelwg-route-get.1").read_text().startswith('.TH "BABELWG\\-ROUTE\\-GET" 1')
    assert (tmp_path / "man/man5/babelwg.toml.5").exists()
    (tmp_path / "file").write_text("")
    refused = run("man", "--output", str(tmp_path / "file"))
    assert refused.exit_code == 1
    assert refused.stderr.startswith("babelwg: cannot write ")


def test_pages_replace_a_link_and_not_what_it_leads_to(run: Run, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    link = tmp_path / "man" / "man1" / "babelwg.1"
    link.parent.mkdir(parents=True)
    link.symlink_to(precious)
    result = run("man", "--output", str(tmp_path / "man"))
    assert result.exit_code == 0, result.stderr
    assert precious.read_text() == "mine"
    assert not link.is_symlink()
    assert link.read_text().startswith(".TH")
