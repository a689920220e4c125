"""A configuration as the JSON of `config show`: what holds, with the values of keys left out."""

from dataclasses import fields
from typing import Any

from babelwg.config import BabelConfig, BabeldConfig, BabelInterface, Config, PeerConfig, public_of
from babelwg.config.babeld.filter_text import clauses_text
from babelwg.config.babeld.text import directives, filters_of, implicit_lines, is_open, value_text
from babelwg.config.model import GatewayConfig, WebConfig
from babelwg.config.toml.text import check_keys

SECONDS = ("hello_interval", "update_interval", "rtt_min", "rtt_max")


def config_data(config: Config | BabeldConfig, file: str) -> dict[str, Any]:
    """Return what a configuration in either language holds; what a language does not know is null."""
    if isinstance(config, BabeldConfig):
        return {
            "file": file,
            "language": "babeld",
            "node": None,
            "tunnels": None,
            "babel": None,
            "peers": [],
            "gateways": [],
            "web": None,
            **_babeld(config),
        }
    return {
        "file": file,
        "language": "toml",
        "node": _node(config),
        "tunnels": {
            "backend": config.tunnels.backend,
            "listen_port": config.tunnels.listen_port,
            "mtu": config.tunnels.mtu,
            "fwmark": config.tunnels.fwmark,
        },
        "babel": _babel(config.babel),
        "peers": [peer_data(peer, config) for peer in config.peers],
        "gateways": [_gateway(gateway) for gateway in config.gateways],
        "web": _web(config.web),
        **_babeld(config.babel.babeld or BabeldConfig(implicit_local=False)),
    }


def peer_data(peer: PeerConfig, config: Config) -> dict[str, Any]:
    """Return what a configuration says of one peer."""
    return {
        "name": peer.name,
        "public_key": str(peer.public_key),
        "interface": peer.interface,
        "endpoints": [str(endpoint) for endpoint in peer.endpoints],
        "preshared_key_file": None if peer.preshared_key_file is None else str(peer.preshared_key_file),
        "keepalive_s": peer.keepalive,
        "cost": peer.cost,
        "backend": peer.backend or config.tunnels.backend,
        "leaf_addresses": [str(prefix) for prefix in peer.leaf_addresses],
        "file": str(peer.source or config.source),
    }


def _node(config: Config) -> dict[str, Any]:
    node = config.node
    return {
        "name": node.name,
        "public_key": str(public_of(node.private_key)),
        "private_key_file": str(node.private_key_file),
        "addresses": [str(address) for address in node.addresses],
        "announce": [str(prefix) for prefix in node.announce],
        "sysctls": node.sysctls,
        "history": node.history,
        "history_file": None if node.history_file is None else str(node.history_file),
        "leaf_networks": [str(prefix) for prefix in node.leaf_networks],
    }


def _gateway(gateway: GatewayConfig) -> dict[str, Any]:
    return {
        "prefix": str(gateway.prefix),
        "metric": gateway.metric,
        "interface": gateway.interface,
        "interval_s": gateway.interval,
        "timeout_s": gateway.timeout,
        "fall": gateway.fall,
        "rise": gateway.rise,
        "require": "all" if gateway.require_all else "any",
        "checks": [check_keys(check) for check in gateway.checks],
    }


def _web(web: WebConfig | None) -> dict[str, Any] | None:
    if web is None:
        return None
    token_file = None if web.token_file is None else str(web.token_file)
    return {"listen": str(web.listen), "token_file": token_file, "hosts": list(web.hosts)}


def _babel(babel: BabelConfig) -> dict[str, Any]:
    return {
        "config": None if babel.config is None else str(babel.config),
        "hello_interval_s": babel.hello_interval,
        "update_interval_s": babel.effective_update_interval,
        "table": babel.table,
        "override": [str(prefix) for prefix in babel.override],
    }


def _babeld(babeld: BabeldConfig) -> dict[str, Any]:
    # import-table may stand several times, so it has a list of its own.
    settings = {s.name: value_text(s) for s in directives(babeld) if s.name != "import-table"}
    return {
        "settings": settings,
        "import_tables": list(babeld.import_tables),
        "keys": [{"id": key.id, "type": key.algorithm} for key in babeld.keys],
        "interfaces": [_interface(interface) for interface in babeld.interfaces],
        "filters": {
            kind: [clauses_text(line) for line in lines] for kind, lines in filters_of(babeld).items()
        },
        "implicit": list(implicit_lines(babeld).values()),
    }


def _interface(interface: BabelInterface) -> dict[str, Any]:
    names = (field.name for field in fields(BabelInterface) if field.name not in ("keys", "options"))
    settled = {f"{name}_s" if name in SECONDS else name: getattr(interface, name) for name in names}
    # Where the type is left open, the kernel may say that the interface is wireless, with other defaults.
    return {**settled, "detects_wireless": is_open(interface), "keys": [key.id for key in interface.keys]}
