"""`export`: a file of wg-quick for a device without Babel, whose address this node announces."""

import os
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from babelwg.cli.changing import Texts, changing, propose, put_in_place
from babelwg.cli.client import Answer, ask
from babelwg.cli.exits import CONFIGURATION, NEGATIVE, USAGE, Failure
from babelwg.cli.group import Reader, reading
from babelwg.cli.peers import no_reload
from babelwg.cli.setup import daemons_config, daemons_config_option

if TYPE_CHECKING:
    from babelwg.config import Config, Endpoint, Key, PeerConfig


@click.command()
@click.argument("peer")
@click.option(
    "--wg-quick", is_flag=True, required=True, help="The format, which the apps of WireGuard read too."
)
@click.option("--qr", is_flag=True, help="Print a QR code, for the camera of a phone.")
@click.option(
    "--to",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="Write a file of mode 0600 instead.",
)
@click.option(
    "--address", multiple=True, help="An address of the device; else the next free of leaf-networks."
)
@click.option("--public-key", metavar="KEY", help="The device has a key already, and this is its public one.")
@click.option("--endpoint", required=True, metavar="HOST[:PORT]", help="Where the device reaches this node.")
@click.option("--all-traffic", is_flag=True, help="The device sends everything through the tunnel.")
@click.option(
    "--allowed", multiple=True, metavar="PREFIX", help="What it sends; all that the mesh has by default."
)
@click.option("--dns", multiple=True, metavar="ADDRESS", help="A resolver for the device.")
@click.option(
    "--keepalive", type=click.IntRange(0, 65535), default=25, show_default=True, help="Seconds; 0 for none."
)
@daemons_config_option
@no_reload
@reading
def export(reader: Reader, config: Path | None, no_reload: bool, peer: str, **options: Any) -> None:
    """Write a file for a device without Babel, such as a phone.

    The device becomes a peer with a new key pair and an address that this node announces. Its private key is in the
    file, or the QR code, and nowhere else.
    """
    from babelwg.config.wgquick import leaf_text

    _check_before(options)
    path = daemons_config(reader.socket, config)
    with changing(path):
        node, private, notes = _ensure_peer(reader, path, no_reload, peer, options)
    entry = next(known for known in node.peers if known.name == peer)
    leaf = _leaf(reader, node, entry, private, options)
    text = leaf_text(leaf)
    data = {
        "peer": peer,
        "public_key": str(entry.public_key),
        "addresses": list(leaf.addresses),
        "endpoint": str(leaf.endpoint),
        "allowed_ips": list(leaf.allowed_ips),
        "wg_quick": text,
        "notes": notes,
    }
    if reader.output == "text":
        for note in notes:
            click.echo(note, err=True)
    _hand_over(reader, node, data, options)


def _check_before(options: dict[str, Any]) -> None:
    """Refuse what cannot be handed over before a key is made that nobody would see again."""
    from babelwg.config.addresses import parse_prefix

    parse_endpoint(options["endpoint"], 1)
    _check_words("--dns", options["dns"], _address_of)
    _check_words("--allowed", options["allowed"], parse_prefix)
    if options["qr"]:
        from babelwg.cli.render.qr import check_segno

        check_segno()
    target: Path | None = options["to"]
    if target is not None and not os.access(target.absolute().parent, os.W_OK):
        raise Failure(f"cannot write {target}: no such directory, or none of yours", NEGATIVE)


def _check_words(option: str, words: tuple[str, ...], parse: Callable[[str], object]) -> None:
    """Refuse what would become a line of its own in the file, such as a command that wg-quick runs."""
    for word in words:
        try:
            parse(word)
        except ValueError as error:
            raise Failure(f"{option}: {error}", USAGE) from None


def _address_of(text: str) -> object:
    # A zone may hold anything, a line feed too.
    return ip_address("" if "%" in text else text)


def parse_endpoint(text: str, port: int) -> "Endpoint":
    """Return the endpoint that HOST or HOST:PORT names. Raises Failure."""
    from babelwg.config import Endpoint

    for attempt in (text, f"{text}:{port}", f"[{text}]:{port}"):
        try:
            return Endpoint.parse(attempt)
        except ValueError:
            continue
    raise Failure(f'--endpoint: "{text}" is neither HOST nor HOST:PORT', USAGE)


def _ensure_peer(
    reader: Reader, config: Path, no_reload: bool, name: str, options: dict[str, Any]
) -> "tuple[Config, Key | None, list[str]]":
    """Return the configuration with the device in it, its private key if it is new, and what there is to say."""
    from babelwg.config import Key, generate_private, load, public_of
    from babelwg.config.files import read_text
    from babelwg.config.toml.edit import add_peers

    before = load(config)
    if (known := next((p for p in before.peers if p.name == name), None)) is not None:
        _check_known(known, options)
        return (
            before,
            None,
            [f"{name} is in the configuration already; its private key is only on the device."],
        )
    try:
        private = None if options["public_key"] else generate_private()
        public = public_of(private) if private else Key.parse(options["public_key"])
        addresses = _addresses(before, public, options["address"])
    except ValueError as error:
        raise Failure(str(error), USAGE) from None
    values: dict[str, Any] = {"name": name, "public-key": str(public)}
    values["leaf-addresses"] = addresses
    texts: Texts = {config: add_peers(read_text(config), [values])}
    node = propose(config, texts)
    reloaded, notes = put_in_place(config, texts, None if no_reload else reader.socket)
    added = f"Added {name} to {config}{'; the daemon has taken it' * reloaded}."
    return node, private, [added, *notes]


def _check_known(peer: "PeerConfig", options: dict[str, Any]) -> None:
    if not peer.leaf_addresses:
        raise Failure(
            f"{peer.name} is a peer that speaks Babel; a device without it has leaf-addresses", NEGATIVE
        )
    if options["address"] or options["public_key"]:
        hint = f"change it by `babelwg peer set {peer.name}`, or remove it first"
        raise Failure(f"{peer.name} has its key and its address already; {hint}", CONFIGURATION)


def _addresses(config: "Config", public: "Key", given: tuple[str, ...]) -> list[str]:
    from babelwg.config.addresses import parse_prefix
    from babelwg.config.leaves import free_addresses

    prefixes = [parse_prefix(text) for text in given] or free_addresses(config, public)
    return [str(prefix) for prefix in prefixes]


def _leaf(
    reader: Reader, node: "Config", peer: "PeerConfig", private: "Key | None", options: dict[str, Any]
) -> Any:
    from babelwg.config import public_of
    from babelwg.config.leaves import EVERYTHING, allowed_ips
    from babelwg.config.wgquick import Leaf

    allowed = options["allowed"] or (EVERYTHING if options["all_traffic"] else None)
    if allowed is None:
        allowed = allowed_ips(_prefixes(reader, node), peer.leaf_addresses)
    return Leaf(
        private,
        tuple(map(str, peer.leaf_addresses)),
        node.tunnels.mtu,
        options["dns"],
        public_of(node.node.private_key),
        _endpoint(reader, node, peer, options["endpoint"]),
        tuple(allowed),
        options["keepalive"],
    )


def _prefixes(reader: Reader, node: "Config") -> list[str]:
    """Return all that the mesh has as far as the daemon knows; without one, what this node has."""
    own = [*map(str, node.node.announce), *(str(address.host) for address in node.node.addresses)]
    own += [str(prefix) for peer in node.peers for prefix in peer.leaf_addresses]
    try:
        return own + [
            row["prefix"] for row in ask(reader.socket, "routes").data if row["state"] == "selected"
        ]
    except Failure:
        return own


def _endpoint(reader: Reader, node: "Config", peer: "PeerConfig", text: str) -> "Endpoint":
    """Return where the device finds its tunnel: with the kernel's back end each has a port of its own."""
    try:
        rows = ask(reader.socket, "peers").data
    except Failure:
        rows = []
    ports = [row["listen_port"] for row in rows if row["name"] == peer.name and row["listen_port"]]
    port = next(iter(ports), node.tunnels.listen_port)
    return parse_endpoint(text, port)


def _hand_over(reader: Reader, node: "Config", data: dict[str, Any], options: dict[str, Any]) -> None:
    from babelwg.config.files import write_named

    text = data["wg_quick"]
    if options["to"] is not None:
        try:
            write_named(options["to"], text.encode(), 0o600)
        except OSError as error:
            raise Failure(f"cannot write {options['to']}: {error.strerror}", NEGATIVE) from None
    if options["qr"] and reader.output == "text":
        from babelwg.cli.render.qr import qr_text

        code = qr_text(text)
        if code is None:
            click.echo("This is too much for a QR code; name fewer prefixes by --allowed.", err=True)
        click.echo(code or text, nl=False)
    elif options["to"] is None or reader.output != "text":
        reader.print(Answer(node.node.name, data), lambda data: data["wg_quick"].rstrip("\n"))
