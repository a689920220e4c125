"""File text to frozen configuration; keys and persistent state."""

from babelwg.config.addresses import Endpoint, InterfaceAddress, Listen
from babelwg.config.babeld import (
    BabeldConfig,
    BabelInterface,
    FilterPolicy,
    InstallResult,
    load_babeld,
    parse_babeld,
)
from babelwg.config.errors import ConfigError, ConfigErrors
from babelwg.config.keys import (
    Key,
    generate_private,
    generate_psk,
    interface_name,
    link_local,
    node_address,
    public_of,
)
from babelwg.config.model import (
    BabelConfig,
    Check,
    Config,
    GatewayConfig,
    NodeConfig,
    PeerConfig,
    TunnelsConfig,
    WebConfig,
)
from babelwg.config.state import HelloFile, Journal, Loaded, RouteJournal, SourceJournal, State
from babelwg.config.toml import load

__all__ = [
    "BabelConfig",
    "BabelInterface",
    "BabeldConfig",
    "Check",
    "Config",
    "ConfigError",
    "ConfigErrors",
    "Endpoint",
    "FilterPolicy",
    "GatewayConfig",
    "HelloFile",
    "InstallResult",
    "InterfaceAddress",
    "Journal",
    "Key",
    "Listen",
    "Loaded",
    "NodeConfig",
    "PeerConfig",
    "RouteJournal",
    "SourceJournal",
    "State",
    "TunnelsConfig",
    "WebConfig",
    "generate_private",
    "generate_private_key",
    "generate_psk",
    "interface_name",
    "link_local",
    "load",
    "load_babeld",
    "node_address",
    "parse_babeld",
    "public_of",
]

generate_private_key = generate_private
