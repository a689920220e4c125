"""`import`: tunnels taken over from a file of wg-quick."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from babelwg.cli.changing import Texts, changing, propose, put_in_place, secrets
from babelwg.cli.client import Answer
from babelwg.cli.exits import CONFIGURATION, Failure
from babelwg.cli.group import Reader, reading
from babelwg.cli.peers import no_reload
from babelwg.cli.render.layout import line_width, wrap
from babelwg.cli.setup import KEY_FILE, daemons_config, daemons_config_option, node_name

if TYPE_CHECKING:
    from babelwg.config.wgquick import WgPeer, WgQuick


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, readable=False))
@click.option("--name", metavar="NAME", help="The node's name in a new configuration; the host's by default.")
@daemons_config_option
@no_reload
@reading
def import_(reader: Reader, config: Path | None, no_reload: bool, file: Path, name: str | None) -> None:
    """Take over tunnels from a file of wg-quick.

    Where there is no configuration yet, one is written with the file's key, addresses and peers; else only the peers
    are added. Keys go to files of mode 0600. What has no equivalent is listed.
    """
    from babelwg.config import ConfigErrors
    from babelwg.config.wgquick import read_file

    try:
        found = read_file(file)
    except ConfigErrors as errors:
        raise Failure(str(errors), CONFIGURATION) from None
    path = daemons_config(reader.socket, config)
    if path.exists():
        data, node = _add(found, path, None if no_reload else reader.socket)
    else:
        data, node = _write_new(found, path, node_name(name))
    data["left_out"] = [entry._asdict() for entry in found.left_out]
    data["notes"] += _open_to_others(file)
    reader.print(Answer(node, data), lambda data: _text(data, line_width(reader.wide)))


def _add(found: "WgQuick", config: Path, socket: str | None) -> tuple[dict[str, Any], str]:
    """Add the peers to a configuration that exists."""
    from babelwg.config import load, public_of
    from babelwg.config.files import read_text
    from babelwg.config.toml.edit import add_peers

    with changing(config):
        before = load(config)
        tables, keys = _peer_tables(found.peers, {before.node.name, *(peer.name for peer in before.peers)})
        text = add_peers(read_text(config), tables)
        with secrets({config.with_name(name): key for name, key in keys.items()}) as files:
            texts: Texts = {config: text}
            propose(config, texts)
            reloaded, notes = put_in_place(config, texts, socket)
    own = public_of(before.node.private_key)
    assert found.private_key is not None, "a file without a key is refused"
    if public_of(found.private_key) != own:
        notes.append(f"This node keeps its own key, so the peers must be told of it: {own}.")
    return _data(config, files, tables, reloaded, notes), before.node.name


def _write_new(found: "WgQuick", config: Path, name: str) -> tuple[dict[str, Any], str]:
    """Write a configuration with all that the file says."""
    from babelwg.config.toml.edit import add_peers, value_text

    tables, keys = _peer_tables(found.peers, {name})
    addresses = [str(address) for address in found.addresses]
    text = f"[node]\nname = {value_text(name)}\nprivate-key-file = {value_text(KEY_FILE)}\n"
    text += f"addresses = {value_text(addresses)}\n"
    numbers = {"listen-port": found.listen_port, "mtu": found.mtu, "fwmark": found.fwmark}
    lines = [f"{key} = {value}\n" for key, value in numbers.items() if value is not None]
    text += "\n[tunnels]\n" + "".join(lines) if lines else ""
    text = add_peers(text, tables)
    keys[KEY_FILE] = str(found.private_key)
    with (
        changing(config, is_new=True),
        secrets({config.with_name(n): key for n, key in keys.items()}) as files,
    ):
        propose(config, {config: text})
        put_in_place(config, {config: text}, None)
    return _data(config, files, tables, False, []), name


def _peer_tables(peers: "list[WgPeer]", taken: set[str]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return a table for each peer, and the preshared keys by the names of their files."""
    from babelwg.config.wgquick import unique_names

    tables: list[dict[str, Any]] = []
    keys: dict[str, str] = {}
    for name, peer in zip(unique_names(peers, taken), peers, strict=True):
        table: dict[str, Any] = {"name": name, "public-key": str(peer.public_key)}
        if peer.endpoint is not None:
            table["endpoint"] = str(peer.endpoint)
        if peer.preshared_key is not None:
            table["preshared-key-file"] = f"{name}.psk"
            keys[f"{name}.psk"] = str(peer.preshared_key)
        if peer.keepalive:
            table["keepalive"] = peer.keepalive
        tables.append(table)
    return tables, keys


def _data(
    config: Path, files: list[Path], tables: list[dict[str, Any]], reloaded: bool, notes: list[str]
) -> dict[str, Any]:
    return {
        "file": str(config),
        "key_files": [str(file) for file in files],
        "peers": [table["name"] for table in tables],
        "reloaded": reloaded,
        "notes": notes,
    }


def _open_to_others(file: Path) -> list[str]:
    if file.stat().st_mode & 0o077:
        return [f"{file} holds a private key that others may read; run: chmod 600 {file}"]
    return []


def _text(data: dict[str, Any], width: int) -> str:
    lines = [f"Wrote {', '.join([data['file'], *data['key_files']])}."]
    lines.append(f"Peers: {', '.join(data['peers']) or 'none'}.")
    if data["reloaded"]:
        lines.append("The daemon has taken them.")
    lines += data["notes"]
    if data["left_out"]:
        lines.append("Not taken over:")
    for entry in data["left_out"]:
        lines.append(f"  line {entry['line']}: {entry['key']} = {entry['value']}: {entry['reason']}")
    return "\n".join(wrap(line, width, "    ") for line in lines)
