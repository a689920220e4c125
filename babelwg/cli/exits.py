"""Exit codes, and failures that carry one; complaints go to stderr in one sentence."""

from typing import IO, Any

import click

OK, NEGATIVE, USAGE, NO_DAEMON, PERMISSION, CONFIGURATION = range(6)


class Failure(click.ClickException):
    """A command cannot go on: one sentence, and the exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.exit_code = code  # type: ignore[misc]  # set per exception, as click documents

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the sentence to stderr."""
        from babelwg.cli.render.units import plain

        # A sentence may repeat what a stranger sent; lines of its own it may have.
        lines = [plain(line) for line in self.format_message().split("\n")]
        click.echo("babelwg: " + "\n".join(lines), file=file, err=True)


def nearest(word: str, known: list[str]) -> str:
    """Return `; did you mean "…"?` when a known word is near, else nothing."""
    import difflib

    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""
