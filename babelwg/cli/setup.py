"""`init` writes a first configuration, `check-config` reads one and tells all that is wrong."""

import re
import socket
from ipaddress import ip_address
from pathlib import Path

import click

from babelwg.cli.client import Answer, ask
from babelwg.cli.exits import CONFIGURATION, PERMISSION, USAGE, Failure
from babelwg.cli.group import envelope, settings_of, socket_of

DEFAULT_CONFIG = Path("/etc/babelwg/babelwg.toml")
KEY_FILE = "node.key"

CONFIG_TEXT = """\
# The configuration of this babelwg node. `babelwg check-config` tells what is wrong with it;
# `babelwg reload` applies a change to a running node.

[node]
name = "{name}"
private-key-file = "{key_file}"
addresses = ["{address}/128"]     # made from the public key; add your own, as "10.23.0.1/32"
# announce = ["10.23.1.0/24"]     # networks behind this node

[tunnels]
listen-port = 51820

# One [[peer]] for each peer, or one file for each in peers.d/.
"""

PEER_TEXT = """\
[[peer]]
name = "{name}"
public-key = "{public_key}"
# endpoint = "HOST:51820"         # where {name} is reached; one of the two sides needs it
"""

config_option = click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path, readable=False),
    default=DEFAULT_CONFIG,
    show_default=True,
    metavar="FILE",
    help="The configuration.",
)

daemons_config_option = click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help=f"The configuration.  [default: the daemon's, else {DEFAULT_CONFIG}]",
)


def daemons_config(socket: str, given: Path | None) -> Path:
    """Return the configuration that is named, else the one that the daemon reads, else the usual one."""
    if given is not None:
        return given
    path, is_babeld = daemons_file(socket)
    return DEFAULT_CONFIG if is_babeld else path


def daemons_file(socket: str) -> tuple[Path, bool]:
    """Return the file that the daemon reads, and whether it is in babeld's language alone; without one the usual."""
    try:
        told = ask(socket, "status").data
    except Failure:
        return DEFAULT_CONFIG, False
    status = told if isinstance(told, dict) else {}
    path = Path(str(status.get("config")))
    # A relative name would be one of the daemon's directory, and not of ours.
    return (path, status.get("mode") == "babeld") if path.is_absolute() else (DEFAULT_CONFIG, False)


@click.command()
@config_option
@click.option("--name", metavar="NAME", help="The node's name; the host's by default.")
def init(config: Path, name: str | None) -> None:
    """Write a first configuration and a private key, and print what a peer needs."""
    from babelwg.config.files import create
    from babelwg.config.keys import generate_private, node_address, public_of

    name = node_name(name)
    key_file = config.with_name(KEY_FILE)
    private = generate_private()
    public = public_of(private)
    address = str(ip_address(node_address(public)))
    text = CONFIG_TEXT.format(name=name, key_file=KEY_FILE, address=address)
    try:
        _refuse_existing(config, key_file)
        (config.parent / "peers.d").mkdir(parents=True, exist_ok=True)
        create(config, text.encode(), 0o644)
        create(key_file, f"{private}\n".encode(), 0o600)
    except OSError as error:
        code = PERMISSION if isinstance(error, PermissionError) else CONFIGURATION
        raise Failure(f"cannot write {error.filename or config}: {error.strerror}", code) from None
    click.echo(f"Wrote {config} and {key_file}.")
    click.echo(f"name        {name}\npublic key  {public}\naddress     {address}")
    click.echo(f"\nOn each peer, in its babelwg.toml or as peers.d/{name}.toml:\n")
    click.echo(PEER_TEXT.format(name=name, public_key=public), nl=False)


@click.command("check-config")
@daemons_config_option
@click.option(
    "--babeld-conf",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="Check a file in babeld's language instead.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON (schema babelwg/1).")
@click.pass_context
def check_config(ctx: click.Context, config: Path | None, babeld_conf: Path | None, as_json: bool) -> None:
    """Read a configuration and tell everything that is wrong with it."""
    from babelwg.config import ConfigErrors, load, load_babeld

    as_json = as_json or settings_of(ctx).as_json
    name: str | None = None
    errors: ConfigErrors | None = None
    summary = ""
    try:
        if babeld_conf is not None:
            interfaces = len(load_babeld(babeld_conf).interfaces)
            summary = f"{babeld_conf}: ok, {_count(interfaces, 'interface')}"
        else:
            path = daemons_config(socket_of(ctx, None), config)
            loaded = load(path)
            name = loaded.node.name
            summary = f"{path}: ok, node {name}, {_count(len(loaded.peers), 'peer')}"
    except ConfigErrors as found:
        errors = found
    if as_json:
        listed = [
            {"file": error.file, "line": error.line, "column": error.column, "message": error.message}
            for error in (() if errors is None else errors.errors)
        ]
        click.echo(envelope(Answer(name, {"valid": errors is None, "errors": listed})))
    else:
        click.echo(summary if errors is None else str(errors), err=errors is not None)
    if errors is not None:
        ctx.exit(CONFIGURATION)


def node_name(given: str | None) -> str:
    """Return the name that was given for a node, else the host's as far as it can be one."""
    from babelwg.config.toml.sections import parse_name

    if given is None:
        host = re.sub("[^a-z0-9-]", "-", socket.gethostname().partition(".")[0].lower())[:63]
        return host or "node"
    try:
        return parse_name(given)
    except ValueError as error:
        raise Failure(f"--name: {error}", USAGE) from None


def _refuse_existing(*paths: Path) -> None:
    for path in paths:
        if path.exists():
            raise Failure(f"{path} exists; init never overwrites", CONFIGURATION)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
