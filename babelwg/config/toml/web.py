"""The section [web]: where the page is served, and to whom."""

from pathlib import Path

from babelwg.config.addresses import HOST_NAME, MAX_HOST_NAME, Listen
from babelwg.config.errors import quoted
from babelwg.config.model import DEFAULT_WEB, WebConfig
from babelwg.config.toml.table import Table

# Ports from 1024 on that no browser connects to (Fetch standard, "port blocking"); 6697 is IRC's
BLOCKED_PORTS = frozenset(
    {1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, *range(6665, 6670), 6679, 6697, 10080}
)


def read_web(table: Table, directory: Path) -> WebConfig | None:
    """Return the section [web]; None where the file has none, so that no page is served."""
    listen = table.parsed("listen", parse_place) or Listen.parse(DEFAULT_WEB)
    token_file = table.text("token-file")
    hosts = table.parsed_list("hosts", parse_host_name)
    table.finish()
    if not listen.is_local and token_file is None:
        table.complain(
            "listen", f'"listen": {listen} is open to others than this machine, so "token-file" must be given'
        )
    return WebConfig(listen, None if token_file is None else directory / token_file, hosts)


def parse_place(text: str) -> Listen:
    """Return where the page shall be, unless browsers refuse to go there."""
    listen = Listen.parse(text)
    if listen.port in BLOCKED_PORTS:
        raise ValueError(f"browsers refuse to connect to port {listen.port}; take another, as 6698")
    return listen


def parse_host_name(text: str) -> str:
    """Return a name or an IPv4 address under which browsers ask for the page, without a port."""
    if len(text) > MAX_HOST_NAME or not HOST_NAME.fullmatch(text):
        raise ValueError(f"{quoted(text)} is not a host name without a port")
    return text.rstrip(".").lower()
