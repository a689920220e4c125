"""`babelwg`: the command tree and the options before the command."""

from pathlib import Path

import click

from babelwg.cli.client import DEFAULT_SOCKET
from babelwg.cli.configuration import config
from babelwg.cli.group import Settings, SuggestingGroup
from babelwg.cli.keys import genkey, genmackey, genpsk, pubkey
from babelwg.cli.running import daemon, demo, reload, stop
from babelwg.cli.setup import check_config, init
from babelwg.cli.show import route, show, status
from babelwg.cli.version import completion, version
from babelwg.version import __version__

EPILOG = "Exit codes: 0 ok, 1 no or failed, 2 usage, 3 no daemon, 4 permission, 5 configuration."


@click.group(
    cls=SuggestingGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)
@click.version_option(__version__, "-V", "--version", prog_name="babelwg", message="%(prog)s %(version)s")
@click.option(
    "--socket",
    type=click.Path(path_type=Path),
    envvar="BABELWG_SOCKET",
    default=DEFAULT_SOCKET,
    show_default=True,
    metavar="PATH",
    help="The daemon's control socket.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON (schema babelwg/1).")
@click.pass_context
def cli(ctx: click.Context, socket: Path, as_json: bool) -> None:
    """A Babel-integrated WireGuard overlay: tunnels to your peers, and the best way through them.

    Without a command, `babelwg` prints the status of this node.
    """
    ctx.obj = Settings(socket, as_json)
    if ctx.invoked_subcommand is None:
        ctx.invoke(status, as_json=as_json, wide=False, socket=None)


for command in (
    genkey,
    pubkey,
    genpsk,
    genmackey,
    init,
    check_config,
    config,
    daemon,
    stop,
    reload,
    status,
    show,
    route,
    demo,
    version,
    completion,
):
    cli.add_command(command)
