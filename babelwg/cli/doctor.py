"""`doctor`: what is wrong, why, and the command that mends it."""

from pathlib import Path
from typing import Any

import click

from babelwg.cli.client import Answer, ask
from babelwg.cli.exits import NEGATIVE, NO_DAEMON, Failure
from babelwg.cli.group import Reader, reading
from babelwg.cli.render.doctor import render_doctor
from babelwg.cli.render.layout import line_width
from babelwg.cli.setup import DEFAULT_CONFIG

PATIENCE = 3.0  # seconds for a sign of life, before an examination is asked for
TIMEOUT = 20.0  # seconds; an examination takes at most eight, and waits for one that is under way


@click.command()
@click.argument("peer", required=False)
@click.option("--all", "show_all", is_flag=True, help="Also list what is in order.")
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path, readable=False),
    default=DEFAULT_CONFIG,
    show_default=True,
    metavar="FILE",
    help="The configuration, for when no daemon runs.",
)
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path, readable=False),
    default=Path("/var/lib/babelwg"),
    show_default=True,
    metavar="DIR",
    help="The state directory, for when no daemon runs.",
)
@reading
def doctor(reader: Reader, peer: str | None, show_all: bool, config: Path, state_dir: Path) -> None:
    """Find what is wrong with this node or with one PEER, and what mends it.

    Packets are sent through the tunnels and beside them; nothing is changed. Exit code 1: there is a fault.
    """
    try:
        _expect_life(reader.socket)
        answer = ask(reader.socket, "doctor", {"peer": peer}, TIMEOUT)
    except Failure as failure:
        if failure.exit_code != NO_DAEMON:
            raise
        answer = Answer(None, _offline(config, state_dir, reader.socket, failure.message))
    if reader.output == "tsv":
        reader.print(Answer(answer.node, answer.data["findings"]), str)
    else:
        reader.print(answer, lambda data: render_doctor(data, line_width(reader.wide), show_all))
    if any(finding["verdict"] == "fail" for finding in answer.data["findings"]):
        raise SystemExit(NEGATIVE)


def _expect_life(socket: str) -> None:
    """Ask what costs nothing: a daemon that hangs shows at once. Raises Failure where none answers."""
    try:
        ask(socket, "words", {"kinds": []}, PATIENCE)
    except Failure as failure:
        # One of another version may not know the question; it lives.
        if failure.exit_code == NO_DAEMON:
            raise


def _offline(config: Path, state: Path, socket: str, why: str) -> dict[str, Any]:
    from babelwg.daemon.app import examine_without_daemon

    return {
        "daemon": False,
        "peer": None,
        "took_s": 0.0,
        "findings": examine_without_daemon(config, state, Path(socket), why),
    }
