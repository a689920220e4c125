"""The sections of the TOML file, each read into its frozen dataclass."""

import re
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from babelwg.babel.wire.prefix import Prefix
from babelwg.config.addresses import Endpoint, InterfaceAddress, is_martian, parse_prefix
from babelwg.config.babeld import BabeldConfig, Line, lines_of, parse_lines
from babelwg.config.errors import ConfigError, ConfigErrors, did_you_mean, quoted
from babelwg.config.files import read_secret, read_text
from babelwg.config.keys import MAX_INTERFACE_NAME, Key, interface_name
from babelwg.config.model import (
    DEAD_AFTER,
    DEFAULT_FWMARK,
    DEFAULT_MTU,
    DEFAULT_PORT,
    DEFAULT_TABLE,
    HELLO_INTERVAL,
    HISTORY,
    MAIN_TABLE,
    BabelConfig,
    NodeConfig,
    PeerConfig,
    TunnelsConfig,
)
from babelwg.config.toml.babeld_lines import babeld_lines
from babelwg.config.toml.table import Table

NAME = re.compile(r"[a-z0-9-]{1,63}", re.ASCII)
INTERFACE_NAME = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
BACKEND = re.compile(r"[A-Za-z0-9._/+-]+", re.ASCII)
BACKENDS = ("auto", "kernel", "embedded")
UAPI_PROGRAMS = ("wireguard-go", "boringtun", "boringtun-cli", "wireguard-rs")
MIN_MTU = 1280  # octets; what IPv6 needs of every link
LOCAL_TABLE = 255
MAX_TABLE = 0xFFFFFFFF
# Intervals travel as 16 bits of centiseconds (RFC 8966 §4.6.5).
MIN_INTERVAL = 0.01  # seconds
MAX_INTERVAL = 655.0  # seconds
MAX_DEAD_AFTER = 60.0  # seconds
MAX_COST = 65534
MIN_HISTORY, MAX_HISTORY = 100, 100_000  # records


class DeclaredPeer(NamedTuple):
    """A peer and the table that declares it, for complaints that compare peers."""

    peer: PeerConfig
    table: Table


def read_node(table: Table, directory: Path) -> NodeConfig | None:
    """Return the [node] section; None after a complaint that leaves it without name or key."""
    if not table.values:
        table.complain(None, "[node] is missing; `babelwg init` writes a first configuration")
        return None
    name = table.parsed("name", parse_name, required=True)
    key_file = table.text("private-key-file", required=True)
    key = None
    if key_file is not None:
        key = table.parsed("private-key-file", lambda text: read_key(directory / text))
    addresses = table.parsed_list("addresses", parse_address)
    announce = table.parsed_list("announce", parse_announced)
    sysctls = table.boolean("sysctls", True)
    history = table.integer("history", HISTORY, MIN_HISTORY, MAX_HISTORY)
    history_file = table.parsed("history-file", lambda text: parse_file(text, directory))
    leaf_networks = table.parsed_list("leaf-networks", parse_leaf)
    table.finish()
    if name is None or key_file is None or key is None:
        return None
    file = directory / key_file
    return NodeConfig(name, key, file, addresses, announce, sysctls, history, history_file, leaf_networks)


def parse_file(text: str, directory: Path) -> Path:
    """Return the path of a file that the daemon writes, relative to the configuration."""
    if not text or text.endswith("/") or "\0" in text:
        raise ValueError(f"{quoted(text)} is not the name of a file")
    return directory / text


def read_tunnels(table: Table) -> TunnelsConfig:
    """Return the [tunnels] section."""
    backend = table.parsed("backend", parse_backend)
    listen_port = table.integer("listen-port", DEFAULT_PORT, 1, 65535)
    mtu = table.integer("mtu", DEFAULT_MTU, MIN_MTU, 65535)
    # Every ordinary packet has mark 0, so the rule that keeps our own out of the tunnels needs another.
    fwmark = table.integer("fwmark", DEFAULT_FWMARK, 1, 0xFFFFFFFF)
    table.finish()
    return TunnelsConfig(backend or "auto", listen_port, mtu, fwmark)


def read_babel(table: Table, directory: Path) -> BabelConfig:
    """Return the [babel] section with the file in babeld's language that it names."""
    file = table.text("config")
    hello_interval = table.seconds("hello-interval", HELLO_INTERVAL, MIN_INTERVAL, MAX_INTERVAL)
    update_interval = table.seconds("update-interval", None, MIN_INTERVAL, MAX_INTERVAL)
    dead_after = table.seconds("dead-after", DEAD_AFTER, 0, MAX_DEAD_AFTER)
    override = table.parsed_list("override", parse_prefix)
    kernel_table = _read_kernel_table(table)
    lines = babeld_lines(table, directory)
    table.finish()
    path = None if file is None else directory / file
    babeld = _read_babeld(path, lines, table.errors)
    return BabelConfig(path, hello_interval, update_interval, override, kernel_table, babeld, dead_after)


def _read_babeld(path: Path | None, lines: list[Line], errors: list[ConfigError]) -> BabeldConfig | None:
    """Return what a file in babeld's language says, and the same settings in TOML after it."""
    if path is None and not lines:
        return None
    try:
        written = lines_of(read_text(path), str(path)) if path is not None else []
        # An overlay announces what [node] says; the host's other addresses only where a line says so.
        return replace(parse_lines([*written, *lines]), implicit_local=False)
    except ConfigErrors as refused:
        errors.extend(refused.errors)
        return None


def read_peer(table: Table, directory: Path) -> DeclaredPeer | None:
    """Return one peer; None after a complaint that leaves it without name or key."""
    name = table.parsed("name", parse_name, required=True)
    public_key = table.parsed("public-key", parse_public_key, required=True)
    interface = table.parsed("interface", parse_interface)
    endpoints = table.parsed_list("endpoint", Endpoint.parse)
    key_file = table.text("preshared-key-file")
    preshared_key = None
    if key_file is not None:
        preshared_key = table.parsed("preshared-key-file", lambda text: read_key(directory / text))
    keepalive = table.integer("keepalive", 0, 0, 65535)
    cost = table.integer("cost", 0, 0, MAX_COST)
    backend = table.parsed("backend", parse_backend)
    leaf_addresses = table.parsed_list("leaf-addresses", parse_leaf)
    table.finish()
    if name is None or public_key is None:
        return None
    interface = interface or interface_name(name, public_key)
    peer = PeerConfig(
        name,
        public_key,
        interface,
        endpoints,
        preshared_key,
        keepalive,
        cost,
        backend,
        leaf_addresses,
        preshared_key_file=None if key_file is None else directory / key_file,
        source=Path(table.document.file),
    )
    return DeclaredPeer(peer, table)


def parse_name(text: str) -> str:
    """Return the name of a node."""
    if not NAME.fullmatch(text):
        raise ValueError(f"{quoted(text)} is not 1-63 characters of a-z, 0-9 and -")
    return text


def parse_interface(text: str) -> str:
    """Return a name that the kernel accepts for an interface."""
    if len(text) > MAX_INTERFACE_NAME:
        raise ValueError(f"{quoted(text)} has {len(text)} characters, the kernel allows {MAX_INTERFACE_NAME}")
    if not INTERFACE_NAME.fullmatch(text) or text in (".", "..", "lo", "all", "default"):
        raise ValueError(f"{quoted(text)} cannot be the name of a tunnel")
    return text


def parse_backend(text: str) -> str:
    """Return `auto`, `kernel`, `embedded` or the name or path of a program that speaks UAPI."""
    if not BACKEND.fullmatch(text):
        raise ValueError(f"{quoted(text)} is not auto, kernel, embedded or the name or path of a program")
    if text in BACKENDS or text in UAPI_PROGRAMS or "/" in text:
        return text
    hint = did_you_mean(text, (*BACKENDS, *UAPI_PROGRAMS))
    if hint:
        raise ValueError(f"{quoted(text)} is not a back end{hint} Any other program is given by its path")
    return text


def parse_address(text: str) -> InterfaceAddress:
    """Return an address that the node may have."""
    address = InterfaceAddress.parse(text)
    if is_martian(address.host):
        raise ValueError(f"{quoted(text)} is local or multicast, so that others cannot reach it")
    return address


def parse_announced(text: str) -> Prefix:
    """Return what the node may announce: a destination, or `D from S` for packets of some sources only (RFC 9079)."""
    destination, word, source = text.partition(" from ")
    prefix = parse_prefix(destination.strip())
    if word:
        prefix = prefix.with_source(parse_prefix(source.strip()))
    if is_martian(prefix):
        raise ValueError(f"{quoted(text)} is local or multicast and is never announced")
    return prefix


def parse_leaf(text: str) -> Prefix:
    """Return an address or a network of a peer that speaks no Babel."""
    prefix = parse_prefix(text)
    if is_martian(prefix):
        raise ValueError(f"{quoted(text)} is local or multicast and is never announced")
    return prefix


def parse_public_key(text: str) -> Key:
    """Return the public key of a peer."""
    key = Key.parse(text)
    if key.is_zero:
        raise ValueError("this key is all zero, which WireGuard takes for no key")
    return key


def read_key(path: Path) -> Key:
    """Return the key that a file of mode 0600 holds, as `wg genkey` writes it."""
    text = read_secret(path)
    try:
        key = Key.parse(text)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if key.is_zero:
        raise ValueError(f"{path}: this key is all zero, which WireGuard takes for no key")
    return key


def _read_kernel_table(table: Table) -> int:
    value = table.raw("table")
    if value is None:
        return DEFAULT_TABLE
    if value == "main":
        return MAIN_TABLE
    number = value if isinstance(value, int) and not isinstance(value, bool) else 0
    if number != LOCAL_TABLE and 1 <= number <= MAX_TABLE:
        return number
    table.complain("table", f'"table" must be "main" or 1-{MAX_TABLE}, and not {LOCAL_TABLE} (local)')
    return DEFAULT_TABLE
