"""Who may ask the page for what: names it answers to, sites it is asked from, tokens, and how often."""

import hmac
from collections import OrderedDict
from collections.abc import Collection, Mapping
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from babelwg.babel.tables.allowance import Allowance
from babelwg.config import Listen

# Implementation constants
REQUEST_RATE, REQUEST_BURST = 40.0, 200  # requests of one address in a second, and at once
MAX_ADDRESSES = 256  # whose requests are counted
ANY_ADDRESS = ("0.0.0.0", "::")
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

# What a browser may do with the page: nothing from elsewhere, nothing inline, no text taken for markup.
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Refusal(NamedTuple):
    """Why a request is not answered: HTTP status, the word it is counted under, one sentence."""

    status: int
    reason: str
    sentence: str


def host_refusal(host: str, listen: Listen, names: Collection[str]) -> Refusal | None:
    """Return why a request under this Host is refused: it may come from a name that was pointed at us."""
    name = _name_of(f"//{host}")
    if name and (name in LOOPBACK_NAMES or name in names or name == listen.address):
        return None
    # On all addresses any of them may be asked; a literal address cannot be pointed elsewhere by a name server.
    if listen.address in ANY_ADDRESS and _is_address(name):
        return None
    sentence = 'the page does not answer to this host name; add it to "hosts" in [web]'
    return Refusal(421, "host", sentence)


def site_refusal(headers: Mapping[str, str], host: str, is_document: bool) -> Refusal | None:
    """Return why a request that another site made is refused; following a link to a document is not one."""
    origin = headers.get("Origin")
    foreign = origin is not None and origin.lower() not in (
        f"http://{host}".lower(),
        f"https://{host}".lower(),
    )
    if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        follows = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"
        foreign = foreign or not (is_document and follows)
    return Refusal(403, "origin", "the page answers no requests of other sites") if foreign else None


def token_refusal(headers: Mapping[str, str], token: str | None) -> Refusal | None:
    """Return why a request that needs the token is refused."""
    if token is None:
        return Refusal(403, "token-missing", "this page has no token; run `babelwg web`")
    kind, _, given = headers.get("Authorization", "").partition(" ")
    if not given:
        return Refusal(401, "token-missing", "the token is needed; `babelwg web` prints a link that has it")
    # What is no text is no token either, and must not be a mistake of ours.
    octets = given.strip().encode(errors="surrogateescape")
    if kind.lower() != "bearer" or not hmac.compare_digest(octets, token.encode()):
        return Refusal(401, "token-wrong", "this is not the token of this page; `babelwg web` prints it")
    return None


class Rates:
    """Counts the requests of each address, and forgets the address that was silent longest."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Allowance] = OrderedDict()

    def refusal(self, address: str, now: float) -> Refusal | None:
        """Return why one more request of an address is refused."""
        allowance = self._known.pop(address, None) or Allowance()
        self._known[address] = allowance
        while len(self._known) > MAX_ADDRESSES:
            self._known.popitem(last=False)
        if allowance.spend(1, REQUEST_BURST, REQUEST_RATE, now):
            return None
        return Refusal(429, "rate", f"more than {REQUEST_RATE:g} requests a second")


def _name_of(url: str) -> str:
    """Return the host of a URL in small letters, without its port; nothing when it has none or is none."""
    try:
        parts = urlsplit(url)
        name, _ = parts.hostname or "", parts.port
    except ValueError:
        return ""
    is_host = parts.username is None and not (parts.path or parts.query or parts.fragment)
    return name.rstrip(".") if is_host else ""


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
