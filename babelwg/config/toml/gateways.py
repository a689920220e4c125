"""The [[gateway]] tables: prefixes that are announced while checks hold."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from babelwg.babel.wire.prefix import Prefix, is_martian
from babelwg.config.addresses import Endpoint, InterfaceAddress, parse_prefix
from babelwg.config.errors import quoted
from babelwg.config.keys import MAX_INTERFACE_NAME
from babelwg.config.model import (
    CHECK_FALL,
    CHECK_INTERVAL,
    CHECK_RISE,
    CHECK_TIMEOUT,
    Check,
    GatewayConfig,
)
from babelwg.config.toml.sections import INTERFACE_NAME
from babelwg.config.toml.table import Table

MAX_METRIC = 65534
MAX_RESULTS = 1000  # in a row
MAX_INTERVAL = 86400.0  # seconds
MIN_INTERVAL = 0.1  # seconds


class DeclaredGateway(NamedTuple):
    """A gateway and the table that declares it, for complaints that compare gateways."""

    gateway: GatewayConfig
    table: Table


def read_gateways(tables: list[Table]) -> list[DeclaredGateway]:
    """Return the gateways; one with a complaint that leaves it without a prefix is left out."""
    found = []
    for table in tables:
        gateway = _read_gateway(table)
        if gateway is not None:
            found.append(DeclaredGateway(gateway, table))
    return found


def _read_gateway(table: Table) -> GatewayConfig | None:
    prefix = _read_prefix(table)
    metric = table.integer("metric", 0, 0, MAX_METRIC)
    interface = table.parsed("interface", _parse_uplink)
    checks = [_read_check(check) for check in table.tables("check")]
    interval = table.seconds("interval", CHECK_INTERVAL, MIN_INTERVAL, MAX_INTERVAL)
    timeout = table.seconds("timeout", min(CHECK_TIMEOUT, interval), MIN_INTERVAL, MAX_INTERVAL)
    if timeout > interval:
        table.complain("timeout", f'"timeout" must not be longer than "interval", {interval:g} seconds')
    fall = table.integer("fall", CHECK_FALL, 1, MAX_RESULTS)
    rise = table.integer("rise", CHECK_RISE, 1, MAX_RESULTS)
    require = table.text("require") or "all"
    if require not in ("all", "any"):
        table.complain("require", f'"require" must be "all" or "any", not {quoted(require)}')
    table.finish()
    if prefix is None:
        return None
    found = tuple(check for check in checks if check is not None)
    return GatewayConfig(
        prefix, metric, interface, found, interval, timeout, fall, rise, require_all=require == "all"
    )


def _read_prefix(table: Table) -> Prefix | None:
    prefix = table.parsed("prefix", parse_prefix, required=True)
    source = table.parsed("from", parse_prefix)
    if prefix is None:
        return None
    try:
        prefix = prefix.with_source(source)
    except ValueError as error:
        table.complain("from", f'"from": {error}')
        return None
    if is_martian(prefix):
        table.complain("prefix", f'"prefix": {prefix} is local or multicast and is never announced')
    return prefix


def _read_check(table: Table) -> Check | None:
    given = [kind for kind in KINDS if kind in table.values]
    if len(given) != 1:
        table.complain(
            None, f"a check has one of {', '.join(KINDS)}, this one has {' and '.join(given) or 'none'}"
        )
        return None
    check = READERS[given[0]](table)
    table.finish()
    return check


def _read_ping(table: Table) -> Check | None:
    host = table.parsed("ping", _parse_host_address)
    return None if host is None else Check("ping", host)


def _read_tcp(table: Table) -> Check | None:
    endpoint = table.parsed("tcp", Endpoint.parse)
    return None if endpoint is None else Check("tcp", endpoint.host, endpoint.port)


def _read_http(table: Table) -> Check | None:
    check = table.parsed("http", _parse_url)
    status = table.integer("status", 0, 100, 599)
    return None if check is None else replace(check, status=status or None)


def _read_dns(table: Table) -> Check | None:
    name = table.parsed("dns", lambda text: Endpoint.parse(f"{text}:53").host)
    server = table.parsed("server", lambda text: ip_address(_parse_host_address(text)).packed)
    return None if name is None else Check("dns", name, server=server)


def _read_command(table: Table) -> Check | None:
    words = table.parsed_list("command", str)
    if not words or not words[0].startswith("/"):
        table.complain("command", '"command" must be a list that begins with the path of a program')
        return None
    return Check("command", command=words)


def _parse_host_address(text: str) -> str:
    # A zone names an interface, which "interface" does for all checks.
    address = InterfaceAddress.parse(text)
    if address.plen != 8 * len(address.address):
        raise ValueError(f"{quoted(text)} is a network, not an address")
    return str(ip_address(address.address))


def _parse_url(text: str) -> Check:
    url = urlsplit(text)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"{quoted(text)} is not http://host/path or https://host/path")
    if url.username is not None or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"{quoted(text)} has a user name, or characters that a URL must escape")
    tls = url.scheme == "https"
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    endpoint = Endpoint.parse(f"{host}:{url.port or (443 if tls else 80)}")
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    return Check("http", endpoint.host, endpoint.port, path, tls)


def _parse_uplink(text: str) -> str:
    if not INTERFACE_NAME.fullmatch(text) or len(text) > MAX_INTERFACE_NAME:
        raise ValueError(f"{quoted(text)} cannot be the name of an interface")
    return text


READERS: dict[str, Callable[[Table], Check | None]] = {
    "ping": _read_ping,
    "tcp": _read_tcp,
    "http": _read_http,
    "dns": _read_dns,
    "command": _read_command,
}
KINDS = tuple(READERS)
