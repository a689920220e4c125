"""`metrics`: figures for Prometheus, printed or written where node_exporter looks for them."""

from pathlib import Path

import click

from babelwg.cli.exits import NEGATIVE, NO_DAEMON, PERMISSION, Failure
from babelwg.cli.group import Reader, reading

DOWN = """\
# HELP babelwg_up Whether the daemon answers.
# TYPE babelwg_up gauge
babelwg_up 0
"""


@click.command()
@click.option(
    "--textfile",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="Write them to a file, for the textfile collector of node_exporter.",
)
@reading
def metrics(reader: Reader, textfile: Path | None) -> None:
    """Print figures of this node for Prometheus, in its text format.

    With --textfile the file is replaced whole. When no daemon answers, babelwg_up is 0 there or on standard output,
    and the exit code is 3.
    """
    try:
        answer = reader.ask("metrics")
    except Failure as failure:
        if failure.exit_code == NO_DAEMON:
            if textfile is not None:
                _write(textfile, DOWN)
            elif reader.output == "text":
                click.echo(DOWN, nl=False)
        raise
    if textfile is None:
        reader.print(answer, lambda data: str(data["text"]).rstrip("\n"))
    else:
        _write(textfile, str(answer.data["text"]))


def _write(path: Path, text: str) -> None:
    from babelwg.config.files import write_named

    try:
        # node_exporter is another user.
        write_named(path, text.encode(), 0o644)
    except PermissionError:
        raise Failure(f"this user may not write {path}", PERMISSION) from None
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror or error}", NEGATIVE) from None
