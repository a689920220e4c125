"""`up`, `down` and `restart`: one tunnel at run time, whatever the configuration says."""

import click

from babelwg.cli.client import ask
from babelwg.cli.group import Reader, reading

SWITCH_TIMEOUT = 30.0  # seconds; a back end may have to start its program


@click.command()
@click.argument("peer")
@reading
def up(reader: Reader, peer: str) -> None:
    """Bring the tunnel of a peer up again that was taken down."""
    _switch(reader, "peer_up", peer, "is up", "was up already")


@click.command()
@click.argument("peer")
@reading
def down(reader: Reader, peer: str) -> None:
    """Take the tunnel of a peer down until `up` or a restart of the daemon.

    Everything is retracted towards the peer first, so that its traffic goes another way. It survives a reload.
    """
    _switch(reader, "peer_down", peer, "is down until `babelwg up`", "was down already")


@click.command()
@click.argument("peer")
@reading
def restart(reader: Reader, peer: str) -> None:
    """Take the tunnel of a peer down and up again."""
    _switch(reader, "peer_restart", peer, "is up, made anew", "is up, made anew")


def _switch(reader: Reader, method: str, peer: str, done: str, already: str) -> None:
    answer = ask(reader.socket, method, {"peer": peer}, timeout=SWITCH_TIMEOUT)
    reader.print(answer, lambda data: f"{data['peer']} {done if data['changed'] else already}.")
