"""`peer`: peers put into the configuration, changed and taken out; comments and order stay."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from babelwg.cli.changing import Texts, changing, find_peer, propose, put_in_place
from babelwg.cli.client import Answer
from babelwg.cli.exits import CONFIGURATION, USAGE, Failure
from babelwg.cli.group import Reader, SuggestingGroup, reading
from babelwg.cli.render.layout import Column, line_width, table
from babelwg.cli.render.units import word
from babelwg.cli.setup import daemons_config, daemons_config_option

NUMBERS = ("keepalive", "cost")
LISTS = ("endpoint", "leaf-addresses")
COLUMNS = (
    Column("NAME", lambda row: word(row["name"]), False, 8),
    Column("INTERFACE", lambda row: word(row["interface"]), False, 0, 3),
    Column("ENDPOINT", lambda row: word(", ".join(row["endpoints"])), False, 15),
    Column("KEEPALIVE", lambda row: word(row["keepalive_s"] or None), True, 0, 4),
    Column("COST", lambda row: word(row["cost"] or None), True, 0, 2),
    Column("KEY", lambda row: word(row["public_key"]), False, 9, 1),
    Column("FILE", lambda row: word(Path(row["file"]).name), False, 8, 5),
)
SENTENCES = {
    "added": "Added {peer} to {file}",
    "removed": "Removed {peer} from {file}",
    "renamed": "The peer is {peer} now in {file}",
    "changed": "Changed {peer} in {file}",
}
no_reload = click.option("--no-reload", is_flag=True, help="Only write; do not ask the daemon to reload.")


@click.group(cls=SuggestingGroup)
def peer() -> None:
    """Add, change and remove peers in the configuration, and reload."""


@peer.command("list")
@daemons_config_option
@reading
def list_peers(reader: Reader, config: Path | None) -> None:
    """Print the peers of the configuration; no daemon has to run."""
    from babelwg.cli.render.configuration import peer_data
    from babelwg.config import ConfigErrors, load

    try:
        loaded = load(daemons_config(reader.socket, config))
    except ConfigErrors as errors:
        raise Failure(str(errors), CONFIGURATION) from None
    rows = [peer_data(entry, loaded) for entry in loaded.peers]
    text = table(COLUMNS, rows, line_width(reader.wide)) if rows else "No peers."
    reader.print(Answer(loaded.node.name, rows), lambda _: text)


@peer.command()
@click.argument("name")
@click.option("--public-key", required=True, metavar="KEY", help="The peer's public key.")
@click.option("--endpoint", multiple=True, metavar="HOST:PORT", help="Where it is reached; may be repeated.")
@click.option(
    "--preshared-key-file",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="As `genpsk` writes it.",
)
@click.option("--keepalive", type=int, metavar="SECONDS", help="Keep holes in firewalls open.")
@click.option("--cost", type=int, help="What to add to the measured cost.")
@daemons_config_option
@no_reload
@reading
def add(reader: Reader, config: Path | None, no_reload: bool, **options: Any) -> None:
    """Add a peer at the end of the configuration."""
    from babelwg.config.files import read_text
    from babelwg.config.toml.edit import add_peers
    from babelwg.config.toml.table import parse_document

    def edit(config: Path) -> Texts:
        text = read_text(config)
        parse_document(text, str(config))
        return {config: add_peers(text, [peer_values(config, **options)])}

    _change(reader, config, no_reload, ("added", options["name"]), edit)


@peer.command()
@click.argument("name")
@daemons_config_option
@no_reload
@reading
def remove(reader: Reader, config: Path | None, no_reload: bool, name: str) -> None:
    """Remove a peer; a file of peers.d that held nothing else goes too."""
    from babelwg.config.toml.edit import peer_names, remove_peer

    def edit(config: Path) -> Texts:
        file, text = find_peer(config, name)
        alone = file != config and len(peer_names(text)) == 1
        return {file: None if alone else remove_peer(text, name)}

    _change(reader, config, no_reload, ("removed", name), edit)


@peer.command()
@click.argument("old")
@click.argument("new")
@daemons_config_option
@no_reload
@reading
def rename(reader: Reader, config: Path | None, no_reload: bool, old: str, new: str) -> None:
    """Give a peer another name; unless it has an `interface` of its own, its tunnel is made anew."""
    _set(reader, config, no_reload, ("renamed", new), old, {"name": new})


@peer.command("set")
@click.argument("name")
@click.argument("assignments", nargs=-1, required=True, metavar="KEY=VALUE...")
@daemons_config_option
@no_reload
@reading
def set_keys(
    reader: Reader, config: Path | None, no_reload: bool, name: str, assignments: tuple[str, ...]
) -> None:
    """Set keys of a peer; KEY= without a value takes the key away.

    Several endpoints or leaf-addresses are given with commas between them.
    """
    changes = dict(_assignment(text) for text in assignments)
    _set(reader, config, no_reload, ("changed", name), name, changes)


def peer_values(config: Path, name: str, **options: Any) -> dict[str, Any]:
    """Return the keys of a new peer as the options give them; a key file is named as the configuration sees it."""
    values: dict[str, Any] = {"name": name, "public-key": options["public_key"]}
    if endpoints := options.get("endpoint"):
        values["endpoint"] = endpoints[0] if len(endpoints) == 1 else list(endpoints)
    if key_file := options.get("preshared_key_file"):
        # The configuration reads relative names from its own directory, a command from the present one.
        file, home = key_file.absolute(), config.absolute().parent
        values["preshared-key-file"] = str(file.relative_to(home) if file.is_relative_to(home) else file)
    return values | {key: options[key] for key in NUMBERS if options.get(key) is not None}


def _assignment(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise Failure(f'"{text}" is not KEY=VALUE', USAGE)
    if key == "name":
        raise Failure("a name is changed by `babelwg peer rename OLD NEW`", USAGE)
    if not value:
        return key, None
    if key in LISTS:
        words = [word.strip() for word in value.split(",")]
        return key, words[0] if len(words) == 1 and key == "endpoint" else words
    # -1 is a number too, and is refused as the wrong one.
    is_number = value.isascii() and value.removeprefix("-").isdigit()
    return key, int(value) if key in NUMBERS and is_number else value


def _set(
    reader: Reader,
    config: Path | None,
    no_reload: bool,
    done: tuple[str, str],
    name: str,
    changes: dict[str, Any],
) -> None:
    from babelwg.config.toml.edit import set_peer

    def edit(config: Path) -> Texts:
        file, text = find_peer(config, name)
        return {file: set_peer(text, name, changes)}

    _change(reader, config, no_reload, done, edit)


def _change(
    reader: Reader, config: Path | None, no_reload: bool, done: tuple[str, str], edit: Callable[[Path], Texts]
) -> None:
    """Change the configuration and say what was done."""
    action, name = done
    path = daemons_config(reader.socket, config)
    with changing(path):
        texts = edit(path)
        node = propose(path, texts).node.name
        reloaded, notes = put_in_place(path, texts, None if no_reload else reader.socket)
    (file,) = texts
    data = {"peer": name, "action": action, "file": str(file), "reloaded": reloaded, "notes": notes}
    reader.print(Answer(node, data), _sentence)


def _sentence(data: dict[str, Any]) -> str:
    what = SENTENCES[data["action"]].format(**data)
    return "\n".join([f"{what}{'; the daemon has taken it' * data['reloaded']}.", *data["notes"]])
