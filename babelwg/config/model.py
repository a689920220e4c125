"""The configuration of a node as frozen values: what the TOML file says, checked and complete."""

from dataclasses import dataclass
from pathlib import Path

from babelwg.babel.wire.prefix import Prefix
from babelwg.config.addresses import Endpoint, InterfaceAddress
from babelwg.config.babeld.model import BabeldConfig, BabelInterface
from babelwg.config.keys import Key

MAIN_TABLE = 254
DEFAULT_TABLE = 6696
DEFAULT_PORT = 51820
DEFAULT_MTU = 1420  # octets
DEFAULT_FWMARK = 0x6277
HELLO_INTERVAL = 4.0  # seconds


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Who this node is, which addresses it has and which networks stand behind it."""

    name: str
    private_key: Key
    private_key_file: Path
    addresses: tuple[InterfaceAddress, ...] = ()
    announce: tuple[Prefix, ...] = ()
    sysctls: bool = True


@dataclass(frozen=True, slots=True)
class TunnelsConfig:
    """What all tunnels share; `mtu` in octets."""

    backend: str = "auto"
    listen_port: int = DEFAULT_PORT
    mtu: int = DEFAULT_MTU
    fwmark: int = DEFAULT_FWMARK


@dataclass(frozen=True, slots=True)
class BabelConfig:
    """How Babel runs: intervals in seconds, the kernel table, and what a file in babeld's language adds."""

    config: Path | None = None
    hello_interval: float = HELLO_INTERVAL
    update_interval: float | None = None
    override: tuple[Prefix, ...] = ()
    table: int = DEFAULT_TABLE
    babeld: BabeldConfig | None = None

    @property
    def interfaces(self) -> tuple[BabelInterface, ...]:
        """The interfaces besides tunnels on which Babel runs."""
        return self.babeld.interfaces if self.babeld else ()


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """One peer and its tunnel; `keepalive` in seconds, 0 for none."""

    name: str
    public_key: Key
    interface: str
    endpoints: tuple[Endpoint, ...] = ()
    preshared_key: Key | None = None
    keepalive: int = 0
    cost: int = 0
    backend: str | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration of a node and the file that it came from."""

    node: NodeConfig
    tunnels: TunnelsConfig
    babel: BabelConfig
    peers: tuple[PeerConfig, ...]
    source: Path
