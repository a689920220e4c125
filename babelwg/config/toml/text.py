"""A whole configuration written out as TOML: every setting with the value that holds, secrets left out."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path

from babelwg.config.addresses import Endpoint
from babelwg.config.babeld import BabeldConfig, BabelInterface
from babelwg.config.babeld.filter_text import clauses_text
from babelwg.config.babeld.text import (
    DETECTED,
    Setting,
    directive_text,
    directives,
    filters_of,
    implicit_lines,
    is_open,
    parameters,
    unsaid_text,
)
from babelwg.config.keys import public_of
from babelwg.config.model import (
    MAIN_TABLE,
    BabelConfig,
    Check,
    Config,
    GatewayConfig,
    NodeConfig,
    PeerConfig,
    TunnelsConfig,
    WebConfig,
)
from babelwg.config.toml.babeld_lines import GLOBALS, is_word

NUMBER = re.compile(r"(0|[1-9][0-9]*)(\.[0-9]+)?", re.ASCII)


def toml_text(config: Config) -> str:
    """Return a text in TOML that says all that a configuration holds; read again it gives an equal one."""
    sections: list[Iterable[str]] = [_node(config.node), _tunnels(config.tunnels), _babel(config.babel)]
    if config.babel.babeld is not None:
        sections += [_key(key.id, key.algorithm) for key in config.babel.babeld.keys]
        sections += [_interface(interface) for interface in config.babel.babeld.interfaces]
    sections += [section for gateway in config.gateways for section in _gateway(gateway)]
    sections += [] if config.web is None else [_web(config.web)]
    sections += [_peer(peer, config) for peer in config.peers]
    return "\n".join("".join(f"{line}\n" for line in section) for section in sections)


def string(text: str) -> str:
    """Return a string of TOML, which is one of JSON but for one control character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _node(node: NodeConfig) -> Iterator[str]:
    yield "[node]"
    yield f"name = {string(node.name)}"
    yield f"private-key-file = {_path(node.private_key_file)}"
    yield f"# public-key = {string(str(public_of(node.private_key)))}"
    yield f"addresses = {_list(map(str, node.addresses))}"
    yield f"announce = {_list(map(str, node.announce))}"
    yield f"sysctls = {_boolean(node.sysctls)}"
    yield f"history = {node.history}"
    if node.history_file is not None:
        yield f"history-file = {_path(node.history_file)}"
    if node.leaf_networks:
        yield f"leaf-networks = {_list(map(str, node.leaf_networks))}"


def _tunnels(tunnels: TunnelsConfig) -> Iterator[str]:
    yield "[tunnels]"
    yield f"backend = {string(tunnels.backend)}"
    yield f"listen-port = {tunnels.listen_port}"
    yield f"mtu = {tunnels.mtu}"
    yield f"fwmark = 0x{tunnels.fwmark:x}"


def _babel(babel: BabelConfig) -> Iterator[str]:
    yield "[babel]"
    if babel.config is not None:
        yield f"# config = {_path(babel.config)}: what it says is below"
    yield f"hello-interval = {_number(babel.hello_interval)}"
    comment = "# " if babel.update_interval is None else ""
    yield f"{comment}update-interval = {_number(babel.effective_update_interval)}"
    yield f"dead-after = {_number(babel.dead_after)}"
    yield f"table = {string('main') if babel.table == MAIN_TABLE else babel.table}"
    yield f"override = {_list(map(str, babel.override))}"
    # Where nothing of babeld's language is said, its settings hold their defaults without anybody reading them.
    comment = "# " if babel.babeld is None else ""
    for line in _babeld(babel.babeld or BabeldConfig(implicit_local=False)):
        yield line if line.startswith("#") else comment + line


def _babeld(babeld: BabeldConfig) -> Iterator[str]:
    default = {setting.name: setting for setting in directives(BabeldConfig())}
    yield f"import-table = {list(babeld.import_tables)}"
    for setting in directives(babeld):
        if setting.name == "import-table":
            continue
        if setting.name in GLOBALS and (setting.word is None or is_word(setting.word)):
            yield _assignment(setting)
        elif setting != default.get(setting.name):
            yield f"# only babeld's language can say: {directive_text(setting)}"
    implicit = implicit_lines(babeld)
    for kind, filters in filters_of(babeld).items():
        yield f"{kind} = {_list(map(clauses_text, filters))}"
        if kind in implicit:
            yield f"# implicit: {implicit[kind]}"


def _key(name: str, algorithm: str) -> Iterator[str]:
    yield "[[babel.key]]"
    yield f"id = {string(name)}"
    yield f"type = {string(algorithm)}"
    yield "# value left out"


def _interface(interface: BabelInterface) -> Iterator[str]:
    yield "[[babel.interface]]"
    yield f"name = {string(interface.name)}"
    if is_open(interface):
        yield f"# {DETECTED}"
    yield from (_assignment(setting) for setting in parameters(interface))
    yield f"keys = {_list(key.id for key in interface.keys)}"


def check_keys(check: Check) -> Mapping[str, str | int | list[str]]:
    """Return the keys by which a check of a gateway is said."""
    if check.kind == "command":
        return {"command": list(check.command)}
    if check.kind == "tcp":
        return {"tcp": str(Endpoint(check.host, check.port))}
    if check.kind == "http":
        url = f"http{'s' * check.tls}://{Endpoint(check.host, check.port)}{check.path}"
        return {"http": url} | ({} if check.status is None else {"status": check.status})
    if check.server is not None:
        return {check.kind: check.host, "server": str(ip_address(check.server))}
    return {check.kind: check.host}


def _gateway(gateway: GatewayConfig) -> Iterator[Iterable[str]]:
    lines = ["[[gateway]]", f"prefix = {string(str(gateway.prefix.destination))}"]
    if gateway.prefix.source is not None:
        lines.append(f"from = {string(str(gateway.prefix.source))}")
    lines.append(f"metric = {gateway.metric}")
    if gateway.interface is not None:
        lines.append(f"interface = {string(gateway.interface)}")
    lines += [f"interval = {_number(gateway.interval)}", f"timeout = {_number(gateway.timeout)}"]
    lines += [f"fall = {gateway.fall}", f"rise = {gateway.rise}"]
    yield [*lines, f"require = {string('all' if gateway.require_all else 'any')}"]
    for check in gateway.checks:
        yield ["[[gateway.check]]", *(f"{key} = {_value(value)}" for key, value in check_keys(check).items())]


def _value(value: str | int | list[str]) -> str:
    if isinstance(value, list):
        return _list(value)
    return string(value) if isinstance(value, str) else str(value)


def _web(web: WebConfig) -> Iterator[str]:
    yield "[web]"
    yield f"listen = {string(str(web.listen))}"
    if web.token_file is not None:
        yield f"token-file = {_path(web.token_file)}"
    yield f"hosts = {_list(web.hosts)}"


def _peer(peer: PeerConfig, config: Config) -> Iterator[str]:
    yield "[[peer]]"
    if peer.source not in (None, config.source):
        yield f"# from {peer.source}"
    yield f"name = {string(peer.name)}"
    yield f"public-key = {string(str(peer.public_key))}"
    yield f"interface = {string(peer.interface)}"
    yield f"endpoint = {_list(map(str, peer.endpoints))}"
    if peer.preshared_key_file is not None:
        yield f"preshared-key-file = {_path(peer.preshared_key_file)}"
    yield f"keepalive = {peer.keepalive}"
    yield f"cost = {peer.cost}"
    comment = "# " if peer.backend is None else ""
    yield f"{comment}backend = {string(peer.backend or config.tunnels.backend)}"
    if peer.leaf_addresses:
        yield f"leaf-addresses = {_list(map(str, peer.leaf_addresses))}"


def _assignment(setting: Setting) -> str:
    if setting.word is None:
        return unsaid_text(setting)
    is_plain = setting.word in ("true", "false") or NUMBER.fullmatch(setting.word) is not None
    is_plain = is_plain and not isinstance(setting.value, str)
    return f"{setting.name} = {setting.word if is_plain else string(setting.word)}"


def _list(texts: Iterable[str]) -> str:
    items = [string(text) for text in texts]
    if len(items) <= 1:
        return f"[{''.join(items)}]"
    return "[\n" + "".join(f"    {item},\n" for item in items) + "]"


def _path(path: Path) -> str:
    # A relative name would mean another file where this text is read.
    return string(str(path.absolute()))


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
