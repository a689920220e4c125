"""The configuration of a node as frozen values: what the TOML file says, checked and complete."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from babelwg.babel.wire.prefix import Prefix
from babelwg.config.addresses import Endpoint, InterfaceAddress, Listen
from babelwg.config.babeld.model import UPDATE_FACTOR, BabeldConfig, BabelInterface
from babelwg.config.keys import Key

MAIN_TABLE = 254
DEFAULT_TABLE = 6696
DEFAULT_PORT = 51820
DEFAULT_MTU = 1420  # octets
DEFAULT_FWMARK = 0x6277
HELLO_INTERVAL = 4.0  # seconds
DEAD_AFTER = 0.2  # seconds of silence, probed in vain, after which a tunnel in use is dead
HISTORY = 10_000  # records of what happened that are kept in memory
CHECK_INTERVAL, CHECK_TIMEOUT = 5.0, 2.0  # seconds
CHECK_FALL, CHECK_RISE = 3, 2  # results in a row
DEFAULT_WEB = "127.0.0.1:6698"

CheckKind = Literal["ping", "tcp", "http", "dns", "command"]


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Who this node is, which addresses it has and which networks stand behind it."""

    name: str
    private_key: Key
    private_key_file: Path
    addresses: tuple[InterfaceAddress, ...] = ()
    announce: tuple[Prefix, ...] = ()
    sysctls: bool = True
    history: int = HISTORY
    history_file: Path | None = None
    leaf_networks: tuple[Prefix, ...] = ()  # out of which `export` gives addresses


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
    dead_after: float = DEAD_AFTER  # seconds; 0.0 for never

    @property
    def effective_update_interval(self) -> float:
        """Seconds between two full updates on tunnels."""
        return self.update_interval or UPDATE_FACTOR * self.hello_interval

    @property
    def interfaces(self) -> tuple[BabelInterface, ...]:
        """The interfaces besides tunnels on which Babel runs."""
        return self.babeld.interfaces if self.babeld else ()


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """One peer and its tunnel; `keepalive` in seconds, 0 for none. Where it was written makes no difference.

    One with leaf addresses speaks no Babel: what it has, this node announces and sends through the tunnel.
    """

    name: str
    public_key: Key
    interface: str
    endpoints: tuple[Endpoint, ...] = ()
    preshared_key: Key | None = None
    keepalive: int = 0
    cost: int = 0
    backend: str | None = None
    leaf_addresses: tuple[Prefix, ...] = ()
    preshared_key_file: Path | None = field(default=None, compare=False)
    source: Path | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Check:
    """One question that an uplink must answer.

    `host` is what is pinged, connected to, asked by HTTP or looked up; `server` the packed address of a DNS server
    (None for the system's); `status` what HTTP must answer (None for any success); `command` the words of a program.
    """

    kind: CheckKind
    host: str = ""
    port: int = 0
    path: str = "/"
    tls: bool = False
    status: int | None = None
    server: bytes | None = None
    command: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.kind == "command":
            return f"command {self.command[0]}"
        if self.kind in ("tcp", "http"):
            return f"{self.kind} {Endpoint(self.host, self.port)}"
        return f"{self.kind} {self.host}"


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """A prefix that is announced only while checks hold over an interface (None: any); times in seconds.

    `fall` failures in a row make a check fail, `rise` successes make it hold again; all checks must hold, or any.
    """

    prefix: Prefix
    metric: int = 0
    interface: str | None = None
    checks: tuple[Check, ...] = ()
    interval: float = CHECK_INTERVAL
    timeout: float = CHECK_TIMEOUT
    fall: int = CHECK_FALL
    rise: int = CHECK_RISE
    require_all: bool = True


@dataclass(frozen=True, slots=True)
class WebConfig:
    """Where the page is served, the file of its token, and the names besides its address under which it is asked."""

    listen: Listen
    token_file: Path | None = None
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration of a node and the file that it came from."""

    node: NodeConfig
    tunnels: TunnelsConfig
    babel: BabelConfig
    peers: tuple[PeerConfig, ...]
    source: Path
    gateways: tuple[GatewayConfig, ...] = ()
    web: WebConfig | None = None
