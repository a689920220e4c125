"""`daemon`, `stop`, `reload` and `demo`: what makes things run, and what ends them."""

from pathlib import Path

import click

from babelwg.cli.client import ask, wait_until_gone
from babelwg.cli.exits import NEGATIVE, Failure
from babelwg.cli.group import Reader, reading, socket_of, socket_option
from babelwg.cli.setup import DEFAULT_CONFIG

STOP_TIMEOUT = 10.0  # seconds for a daemon to end after it has said that it will
RELOAD_TIMEOUT = 30.0  # seconds; hundreds of new tunnels take their time


@click.command()
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help=f"The configuration.  [default: {DEFAULT_CONFIG}]",
)
@click.option(
    "--babeld-conf",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="Only route, on the interfaces that a file in babeld's language names.",
)
@click.option(
    "--state-dir",
    type=click.Path(path_type=Path, readable=False),
    metavar="DIR",
    help="Where identity and sequence numbers are kept.  [default: /var/lib/babelwg]",
)
@socket_option
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="How much to say on stderr.",
)
@click.pass_context
def daemon(
    ctx: click.Context,
    config: Path | None,
    babeld_conf: Path | None,
    state_dir: Path | None,
    socket: str | None,
    log_level: str,
) -> None:
    """Run the node in the foreground.

    SIGHUP reloads the configuration. SIGTERM leaves tunnels and routes for the next start,
    SIGINT removes them.
    """
    if config is not None and babeld_conf is not None:
        raise click.UsageError("--config and --babeld-conf exclude each other", ctx)
    from babelwg.daemon.app import DaemonOptions, main

    if babeld_conf is None and config is None:
        config = DEFAULT_CONFIG
    ctx.exit(main(DaemonOptions(config, babeld_conf, state_dir, Path(socket_of(ctx, socket)), log_level)))


@click.command()
@click.option("--withdraw", is_flag=True, help="Retract all routes and remove the tunnels too.")
@socket_option
@click.pass_context
def stop(ctx: click.Context, withdraw: bool, socket: str | None) -> None:
    """Stop the daemon; its tunnels and routes stay unless they are withdrawn."""
    path = socket_of(ctx, socket)
    data = ask(path, "stop", {"withdraw": withdraw}).data
    if not wait_until_gone(path, STOP_TIMEOUT):
        raise Failure(f"the daemon has not ended within {STOP_TIMEOUT:g} s", NEGATIVE)
    withdrawn = isinstance(data, dict) and data.get("withdraw", withdraw)
    rest = "everything of it is removed" if withdrawn else "its tunnels and routes stay for the next start"
    click.echo(f"The daemon has stopped; {rest}.")


@click.command()
@reading
def reload(reader: Reader) -> None:
    """Apply the configuration as it stands now; what did not change is not touched."""
    answer = ask(reader.socket, "reload", timeout=RELOAD_TIMEOUT)
    notes = answer.data.get("notes") or [] if isinstance(answer.data, dict) else []
    reader.print(answer, lambda data: "\n".join(["The configuration is applied.", *map(str, notes)]))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--hold", is_flag=True, help="Keep the mesh up and tell how to look around.")
@click.option("--sim", "simulate", is_flag=True, help="Use the simulator instead of real namespaces.")
@click.option("--backend", default="embedded", show_default=True, help="The back end of the tunnels.")
@click.pass_context
def demo(ctx: click.Context, as_json: bool, hold: bool, simulate: bool, backend: str) -> None:
    """Build a mesh of four nodes, cut a link, and watch the traffic go another way."""
    from babelwg.lab.netns.demo import DemoOptions, run

    ctx.exit(run(DemoOptions(as_json, hold, simulate, backend)))
