"""The files of wg-quick(8), read and written."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from babelwg.config.addresses import Endpoint, InterfaceAddress
from babelwg.config.errors import ConfigError, ConfigErrors, did_you_mean, quoted
from babelwg.config.files import read_text
from babelwg.config.keys import Key

KEEPALIVE = 25  # seconds; what holes in firewalls need
HOOK = "commands are not run; use a unit of the system"
# What has no place here, and why.
NOT_TAKEN_OVER = {
    "dns": "the resolver of the system is not touched",
    "table": "routes go to tables of their own; see `table` in [babel]",
    "saveconfig": "the configuration is a file that you write",
    "preup": HOOK,
    "postup": HOOK,
    "predown": HOOK,
    "postdown": HOOK,
    "allowedips": "Babel tells what is behind a peer; one without Babel needs `leaf-addresses`",
}
MAX_BASE = 57  # characters of a name that a number follows; a name has 63 at most
NAME_COMMENTS = ("name", "friendly_name", "friendlyname")


class LeftOut(NamedTuple):
    """A line that has no equivalent."""

    line: int
    key: str
    value: str
    reason: str


@dataclass(slots=True)
class WgPeer:
    """One [Peer]; `label` is what a comment such as `# Name = bravo` calls it."""

    line: int
    public_key: Key | None = None
    preshared_key: Key | None = None
    endpoint: Endpoint | None = None
    keepalive: int = 0
    label: str | None = None


@dataclass(slots=True)
class WgQuick:
    """What a file says that a node can use."""

    private_key: Key | None = None
    addresses: list[InterfaceAddress] = field(default_factory=list)
    listen_port: int | None = None
    mtu: int | None = None
    fwmark: int | None = None
    peers: list[WgPeer] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


class Leaf(NamedTuple):
    """What a device without Babel needs: its own key (None: it has it already), its addresses, and the way here."""

    private_key: Key | None
    addresses: tuple[str, ...]
    mtu: int
    dns: tuple[str, ...]
    public_key: Key
    endpoint: Endpoint
    allowed_ips: tuple[str, ...]
    keepalive: int


def parse_wg_quick(text: str, file: str) -> WgQuick:
    """Return what a file of wg-quick says. Raises ConfigErrors with every complaint."""
    reader = _Reader(file)
    # Not splitlines: what wg-quick takes for the rest of a comment must not become a line of its own.
    for number, line in enumerate(text.split("\n"), 1):
        reader.read(number, line)
    return reader.finish()


def leaf_text(leaf: Leaf) -> str:
    """Return the file of wg-quick for a device."""
    own = leaf.private_key
    lines = [
        "[Interface]",
        f"PrivateKey = {own}" if own else "# PrivateKey = the device has it already",
        f"Address = {', '.join(leaf.addresses)}",
        *([f"DNS = {', '.join(leaf.dns)}"] if leaf.dns else []),
        f"MTU = {leaf.mtu}",
        "",
        "[Peer]",
        f"PublicKey = {leaf.public_key}",
        f"Endpoint = {leaf.endpoint}",
        f"AllowedIPs = {', '.join(leaf.allowed_ips)}",
        *([f"PersistentKeepalive = {leaf.keepalive}"] if leaf.keepalive else []),
    ]
    return "".join(f"{line}\n" for line in lines)


class _Reader:
    """Reads line by line; keys and sections are the same in any case, as for wg-quick."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found = WgQuick()
        self.errors: list[ConfigError] = []
        self.section = ""
        self.label: str | None = None  # of the peer that a comment speaks of
        self.setters: dict[str, dict[str, Callable[[str], None]]] = {
            "interface": {
                "privatekey": self._private_key,
                "address": self._addresses,
                "listenport": lambda v: setattr(self.found, "listen_port", _number(v, 1, 65535)),
                "mtu": lambda v: setattr(self.found, "mtu", _number(v, 1280, 65535)),
                "fwmark": self._fwmark,
            },
            "peer": {
                "publickey": lambda v: setattr(self.found.peers[-1], "public_key", Key.parse(v)),
                "presharedkey": lambda v: setattr(self.found.peers[-1], "preshared_key", Key.parse(v)),
                "endpoint": lambda v: setattr(self.found.peers[-1], "endpoint", Endpoint.parse(v)),
                "persistentkeepalive": self._keepalive,
            },
        }

    def read(self, number: int, line: str) -> None:
        code, _, comment = line.partition("#")
        if not code.strip():
            self._read_comment(comment)
            return
        if code.strip().startswith("["):
            self._read_section(number, code.strip())
            return
        key, equals, value = (part.strip() for part in code.partition("="))
        if not equals or not key or not value:
            self._complain(number, f"{quoted(code.strip())} is not KEY = VALUE")
            return
        self._read_assignment(number, key, value)

    def finish(self) -> WgQuick:
        if self.found.private_key is None:
            self._complain(None, "there is no PrivateKey in an [Interface]")
        for peer in self.found.peers:
            if peer.public_key is None:
                self._complain(peer.line, "this [Peer] has no PublicKey")
        if self.errors:
            raise ConfigErrors(self.errors)
        return self.found

    def _read_section(self, number: int, text: str) -> None:
        self.section = text.strip("[]").strip().lower()
        if self.section == "peer":
            self.found.peers.append(WgPeer(number, label=self.label))
        elif self.section != "interface":
            self._complain(number, f"{quoted(text)} is neither [Interface] nor [Peer]")
        self.label = None

    def _read_comment(self, comment: str) -> None:
        key, equals, value = (part.strip() for part in comment.partition("="))
        if not equals or key.lower() not in NAME_COMMENTS or not value:
            return
        # The comment may stand above the header of a peer or below it.
        if self.section == "peer" and self.found.peers[-1].public_key is None:
            self.found.peers[-1].label = value
        else:
            self.label = value

    def _read_assignment(self, number: int, key: str, value: str) -> None:
        setters = self.setters.get(self.section, {})
        if (setter := setters.get(key.lower())) is not None:
            try:
                setter(value)
            except ValueError as error:
                self._complain(number, f"{key}: {error}")
        elif (reason := NOT_TAKEN_OVER.get(key.lower())) is not None:
            self.found.left_out.append(LeftOut(number, key, value, reason))
        elif self.section in self.setters:
            known = [*setters, *NOT_TAKEN_OVER]
            self._complain(number, f"unknown key {quoted(key)}{did_you_mean(key.lower(), known)}")
        elif not self.section:
            self._complain(number, f"{quoted(key)} stands before the first section")

    def _private_key(self, value: str) -> None:
        self.found.private_key = Key.parse(value)

    def _addresses(self, value: str) -> None:
        self.found.addresses += [InterfaceAddress.parse(word) for word in _words(value)]

    def _fwmark(self, value: str) -> None:
        self.found.fwmark = None if value in ("off", "0") else _number(value, 1, 0xFFFFFFFF)

    def _keepalive(self, value: str) -> None:
        self.found.peers[-1].keepalive = 0 if value == "off" else _number(value, 0, 65535)

    def _complain(self, line: int | None, message: str) -> None:
        self.errors.append(ConfigError(self.file, line, message))


def unique_names(peers: Iterable[WgPeer], taken: Iterable[str]) -> list[str]:
    """Return a name for each peer that a configuration accepts: its label, its host, or a number."""
    used, names = set(taken), []
    counts: dict[str, int] = {}  # how far each beginning has been counted, as thousands may share one
    for number, peer in enumerate(peers, 1):
        host = peer.endpoint.host if peer.endpoint else ""
        # An address says nothing of who is there.
        guess = peer.label or (
            host.partition(".")[0] if any(c.isalpha() for c in host) and ":" not in host else ""
        )
        name = "".join(c if c.isascii() and (c.isalnum() or c == "-") else "-" for c in guess.lower())
        name = base = name.strip("-")[:60] or f"peer{number}"
        count = counts.get(base[:MAX_BASE], 2)
        while name in used:
            name, count = f"{base[:MAX_BASE]}-{count}", count + 1
        counts[base[:MAX_BASE]] = count
        used.add(name)
        names.append(name)
    return names


def read_file(path: Path) -> WgQuick:
    """Return what a file of wg-quick says. Raises ConfigErrors."""
    return parse_wg_quick(read_text(path), str(path))


def _words(value: str) -> list[str]:
    return [word.strip() for word in value.split(",") if word.strip()]


def _number(value: str, low: int, high: int) -> int:
    try:
        number = int(value, 0)
    except ValueError:
        raise ValueError(f"{quoted(value)} is not a number") from None
    if not low <= number <= high:
        raise ValueError(f"{number} is not {low}-{high}")
    return number
