"""The TOML file and `peers.d/` beside it, read into one `Config` or into all complaints at once."""

from collections.abc import Mapping
from pathlib import Path

from babelwg.config.errors import ConfigError, ConfigErrors
from babelwg.config.model import Config
from babelwg.config.toml.checks import (
    check_addresses,
    check_gateways,
    check_interfaces,
    check_leaves,
    check_peers,
)
from babelwg.config.toml.gateways import read_gateways
from babelwg.config.toml.sections import DeclaredPeer, read_babel, read_node, read_peer, read_tunnels
from babelwg.config.toml.table import Document, Table, parse_document, read_document
from babelwg.config.toml.web import read_web

__all__ = ["load", "load_proposed", "parse", "peer_files"]

Proposed = Mapping[Path, str | None]

PEERS_DIRECTORY = "peers.d"
MAX_PEER_FILES = 10_000  # bounds the time a mistaken directory can take


def load(path: Path) -> Config:
    """Return the configuration in a file; ConfigErrors holds every complaint about it."""
    return _assemble(read_document(path), path, {})


def parse(text: str, path: Path) -> Config:
    """Return the configuration in a text, with relative names resolved as if it stood at `path`."""
    return _assemble(parse_document(text, str(path)), path, {})


def load_proposed(path: Path, proposed: Proposed) -> Config:
    """Return what `load` would when some files held these texts; None for one that would be gone."""
    text = proposed.get(path)
    document = read_document(path) if text is None else parse_document(text, str(path))
    return _assemble(document, path, proposed)


def peer_files(path: Path) -> list[Path]:
    """Return the files of `peers.d/` beside a configuration, in the order in which they are read. Raises OSError."""
    try:
        files = (path.parent / PEERS_DIRECTORY).iterdir()
        return sorted(p for p in files if p.suffix == ".toml" and not p.name.startswith("."))
    except FileNotFoundError:
        return []


def _assemble(document: Document, path: Path, proposed: Proposed) -> Config:
    errors: list[ConfigError] = []
    root = Table(document, (), document.values, errors)
    node_table = root.table("node")
    node = read_node(node_table, path.parent)
    tunnels = read_tunnels(root.table("tunnels"))
    babel = read_babel(root.table("babel"), path.parent)
    peers = _read_peers(root.tables("peer"), path.parent)
    gateways = read_gateways(root.tables("gateway"))
    web = read_web(root.table("web"), path.parent) if "web" in document.values else None
    root.known.add("web")
    root.finish()
    peers += _read_directory(path, errors, proposed)
    if node is not None:
        check_addresses(node, node_table)
        check_gateways(node, gateways)
        check_leaves(node, peers)
    check_peers(node, peers)
    check_interfaces(babel, peers)
    if errors:
        raise ConfigErrors(sorted(errors, key=lambda e: (e.file != document.file, e.file, e.line or 0)))
    assert node is not None, "a [node] that cannot be used is complained about"
    return Config(
        node,
        tunnels,
        babel,
        tuple(declared.peer for declared in peers),
        path,
        tuple(g.gateway for g in gateways),
        web,
    )


def _read_peers(tables: list[Table], directory: Path) -> list[DeclaredPeer]:
    peers = (read_peer(table, directory) for table in tables)
    return [peer for peer in peers if peer is not None]


def _read_directory(path: Path, errors: list[ConfigError], proposed: Proposed) -> list[DeclaredPeer]:
    directory = path.parent / PEERS_DIRECTORY
    try:
        files = [file for file in peer_files(path) if proposed.get(file, "") is not None]
    except OSError as error:
        errors.append(ConfigError(str(directory), None, f"cannot be read: {error.strerror or error}"))
        return []
    if len(files) > MAX_PEER_FILES:
        errors.append(ConfigError(str(directory), None, f"holds more than {MAX_PEER_FILES} files"))
        return []
    peers: list[DeclaredPeer] = []
    for file in files:
        try:
            text = proposed.get(file)
            document = read_document(file) if text is None else parse_document(text, str(file))
        except ConfigErrors as refused:
            errors.extend(refused.errors)
            continue
        peers += _read_peers(_peer_tables(document, errors), directory)
    return peers


def _peer_tables(document: Document, errors: list[ConfigError]) -> list[Table]:
    root = Table(document, (), document.values, errors)
    if "peer" not in document.values:
        return [root]
    tables = root.tables("peer")
    root.finish()
    return tables
