"""`babelwg`: the command tree and the options before the command."""

import click

from babelwg.cli.group import DEFAULT_SOCKET, Entry, LazyGroup, Settings
from babelwg.version import __version__

EPILOG = "Exit codes: 0 ok, 1 no or failed, 2 usage, 3 no daemon, 4 permission, 5 configuration."

# A command's module is read when the command is called: what others need costs it nothing.
COMMANDS = {
    "Look": {
        "status": Entry("show", "status", "Print the state of this node, its peers and its problems."),
        "show": Entry("show", "show", "Print one of the node's tables."),
        "route": Entry("route", "route", "Ask about single routes."),
        "trace": Entry("probe", "trace", "Print the way of packets to a node or an address, hop by hop."),
        "ping": Entry("probe", "ping", "Print how long packets take to a node or an address and back."),
        "topology": Entry("topology", "topology", "Print the mesh as this node knows it."),
        "simulate": Entry(
            "simulate", "simulate", "Tell what would move if links or nodes failed, or costs changed."
        ),
        "web": Entry("web", "web", "Print the link to the page of this node."),
    },
    "Watch": {
        "history": Entry("history", "history", "Print what happened and why, the newest last."),
        "monitor": Entry(
            "history",
            "monitor",
            "Print what happens, a line for each change with its cause, until interrupted.",
        ),
        "metrics": Entry("metrics", "metrics", "Print figures of this node for Prometheus."),
    },
    "Mend": {
        "doctor": Entry(
            "doctor", "doctor", "Find what is wrong with this node or with one PEER, and what mends it."
        ),
        "bugreport": Entry(
            "bugreport", "bugreport", "Collect what explains a fault into one file, without keys."
        ),
    },
    "Set up": {
        "init": Entry("setup", "init", "Write a first configuration and a private key."),
        "check-config": Entry(
            "setup", "check_config", "Read a configuration and tell everything that is wrong with it."
        ),
        "config": Entry("configuration", "config", "Look at the configuration; no daemon has to run."),
        "peer": Entry("peers", "peer", "Add, change and remove peers in the configuration, and reload."),
        "import": Entry("importing", "import_", "Take over tunnels from a file of wg-quick."),
        "export": Entry("exporting", "export", "Write a file for a device without Babel, such as a phone."),
        "genkey": Entry("keys", "genkey", "Print a new private key."),
        "pubkey": Entry("keys", "pubkey", "Read a private key from stdin and print its public key."),
        "genpsk": Entry("keys", "genpsk", "Print a new preshared key."),
        "genmackey": Entry("keys", "genmackey", "Print a new value for a `key` line."),
    },
    "Run": {
        "daemon": Entry("running", "daemon", "Run the node in the foreground."),
        "reload": Entry("running", "reload", "Apply the configuration as it stands now."),
        "up": Entry("switching", "up", "Bring the tunnel of a peer up again."),
        "down": Entry("switching", "down", "Take the tunnel of a peer down until `up` or a restart."),
        "restart": Entry("switching", "restart", "Take the tunnel of a peer down and up again."),
        "stop": Entry("running", "stop", "Stop the daemon; its tunnels and routes stay."),
        "demo": Entry("running", "demo", "Build a mesh of four nodes, cut a link, and watch."),
    },
    "About": {
        "version": Entry("version", "version", "Print the version."),
        "schema": Entry("version", "schema", "Print the JSON Schema of what --json prints."),
        "man": Entry("manual", "man", "Write the manual pages to a directory where `man` looks."),
        "completion": Entry("version", "completion", "Print the completion script of a shell."),
    },
}


@click.group(
    cls=LazyGroup,
    sections=COMMANDS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)
@click.version_option(__version__, "-V", "--version", prog_name="babelwg", message="%(prog)s %(version)s")
@click.option(
    "--socket",
    type=click.Path(readable=False),
    envvar="BABELWG_SOCKET",
    default=DEFAULT_SOCKET,
    show_default=True,
    metavar="PATH",
    help="The daemon's control socket.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON (schema babelwg/1).")
@click.pass_context
def cli(ctx: click.Context, socket: str, as_json: bool) -> None:
    """A Babel-integrated WireGuard overlay: tunnels to your peers, and the best way through them.

    Without a command, `babelwg` prints the status of this node.
    """
    ctx.obj = Settings(socket, "json" if as_json else "text")
    if ctx.invoked_subcommand is None:
        status = cli.get_command(ctx, "status")
        assert status is not None, "there is a status command"
        ctx.invoke(status)
