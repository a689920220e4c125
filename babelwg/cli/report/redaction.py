"""Secrets taken out of a text in every way they are written, and on request addresses put under other names."""

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babelwg.config import BabeldConfig, Config

REDACTED = "(redacted)"
# Whatever looks like a key of 32 octets counts as secret until it is known as public.
KEY = re.compile(r"[A-Za-z0-9+/]{43}=")
HEX_KEY = re.compile(r"[0-9A-Fa-f]{64,}")
TOKEN = re.compile(r"(?i)((?:token|bearer|secret|password)[=: ]+)[A-Za-z0-9_+/-]{16,}=*")
# Words that may be addresses; what is none stays. In JSON a line may end just before one.
START = r"(?:(?<=\\n)|(?<=\\t)|(?<![\w:.]))"
WORD4 = re.compile(START + r"\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\w)")
WORD6 = re.compile(START + r"[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]*[0-9A-Fa-f:](?![\w:])")
ROUTER_ID = re.compile(r"(?:[0-9a-f]{2}:){7}[0-9a-f]{2}")
MAC = re.compile(START + r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}(?![\w:])")


class Redactor:
    """Takes known secrets, and all that looks like one, out of texts; `public` are keys that may stay (base64)."""

    def __init__(self, hidden: Iterable[bytes], public: Iterable[str] = ()) -> None:
        forms = {form for secret in hidden for form in written_forms(secret)}
        # The longest first, so that no part of one stays behind.
        ordered = sorted(forms, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, ordered)), re.IGNORECASE) if ordered else None
        self._public = frozenset(public)

    def __call__(self, text: str) -> str:
        """Return a text without secrets."""
        if self._known is not None:
            text = self._known.sub(REDACTED, text)
        text = KEY.sub(lambda match: match[0] if match[0] in self._public else REDACTED, text)
        return TOKEN.sub(rf"\1{REDACTED}", HEX_KEY.sub(REDACTED, text))


class Pseudonyms:
    """Gives every address the same other name wherever it stands; who has not the seed cannot tell which it was."""

    def __init__(self, seed: bytes, hosts: Iterable[str] = ()) -> None:
        self._seed = hashlib.blake2s(b"babelwg bugreport" + seed).digest()
        words = sorted({host for host in hosts if host}, key=len, reverse=True)
        pattern = "|".join(rf"(?<![\w.-]){re.escape(word)}(?![\w-])" for word in words)
        self._hosts = re.compile(pattern, re.IGNORECASE) if words else None

    def __call__(self, text: str) -> str:
        """Return a text with pseudonyms for addresses and for the names of hosts."""
        if self._hosts is not None:
            text = self._hosts.sub(lambda match: self._name("host", match[0].lower().encode()), text)
        text = MAC.sub(lambda match: self._name("mac", match[0].encode()), text)
        return WORD6.sub(self._address, WORD4.sub(self._address, text))

    def _address(self, match: re.Match[str]) -> str:
        word = match[0]
        if ROUTER_ID.fullmatch(word):
            return word  # drawn by chance, it says nothing of a place
        try:
            address = ip_address(word)
        except ValueError:
            return word
        if address.is_loopback or address.is_unspecified or address.is_multicast:
            return word
        # One that is made of a hardware address (RFC 4291, appendix A) says which machine it is.
        if address.is_link_local and address.packed[11:13] != b"\xff\xfe":
            return word
        return self._name(f"ip{address.version}", address.packed)

    def _name(self, kind: str, value: bytes) -> str:
        return f"{kind}-{hashlib.blake2s(value, key=self._seed, digest_size=4).hexdigest()}"


def written_forms(secret: bytes) -> set[str]:
    """Return the ways in which octets are written: base64 of both alphabets, hexadecimal, with colons and without."""
    plain, urlsafe = base64.b64encode(secret).decode(), base64.urlsafe_b64encode(secret).decode()
    forms = {
        plain,
        urlsafe,
        plain.rstrip("="),
        urlsafe.rstrip("="),
        secret.hex(),
        secret.hex(":"),
        secret.hex(" "),
    }
    try:
        text = secret.decode()
    except UnicodeDecodeError:
        text = ""
    forms |= {text} if text.isprintable() else set()
    # What is shorter would be found everywhere.
    return {form for form in forms if len(form) >= 8}


def secrets_of(config: "Config | BabeldConfig") -> list[bytes]:
    """Return the octets that nobody else may know: private and preshared keys, MAC keys, the token of the page."""
    from babelwg.config import Config

    babeld = config.babel.babeld if isinstance(config, Config) else config
    found = [key.value for key in babeld.keys] if babeld else []
    if isinstance(config, Config):
        found.append(config.node.private_key.octets)
        found += [peer.preshared_key.octets for peer in config.peers if peer.preshared_key]
        if config.web is not None and config.web.token_file is not None:
            found += _token(config.web.token_file)
    return [secret for secret in found if secret]


def public_keys_of(config: "Config | BabeldConfig") -> list[str]:
    """Return the public keys that may be seen."""
    from babelwg.config import Config, public_of

    if not isinstance(config, Config):
        return []
    return [str(public_of(config.node.private_key)), *(str(peer.public_key) for peer in config.peers)]


def hosts_of(config: "Config | BabeldConfig") -> list[str]:
    """Return the names of hosts that a configuration has."""
    from babelwg.config import Config

    if not isinstance(config, Config):
        return []
    return [
        endpoint.host
        for peer in config.peers
        for endpoint in peer.endpoints
        if not _is_address(endpoint.host)
    ]


def seed_of(config: "Config | BabeldConfig | None") -> bytes:
    """Return what makes the pseudonyms of one node the same in all its reports, by chance where there is none."""
    from babelwg.config import Config

    return config.node.private_key.octets if isinstance(config, Config) else secrets.token_bytes(32)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _token(path: Path) -> list[bytes]:
    try:
        return [path.read_bytes().strip()]
    except OSError:
        return []  # what we cannot read we do not report either
