"""mac1, mac2 and cookies: what keeps strangers from making us do expensive work."""

from dataclasses import dataclass

from babelwg.wireguard.noise.crypto import (
    MAC_SIZE,
    AuthenticationError,
    SecretSource,
    equal,
    mac,
    seal_extended,
    unseal_extended,
)
from babelwg.wireguard.noise.handshake import StaticKeys
from babelwg.wireguard.noise.messages import MACS_SIZE, NO_MAC, CookieReply, mac1_of

# Specification constants
COOKIE_LIFETIME = 120.0  # seconds
SECRET_LIFETIME = 120.0  # seconds
PACKETS_PER_SECOND = 20  # handshake messages of one source while under load
PACKETS_BURST = 5
# Implementation constants
NONCE_SIZE = 24  # octets
SECRET_SIZE = 32  # octets
LIMITER_ENTRIES = 8192  # sources remembered; more than these are refused while under load
LIMITER_FORGETS = 1.0  # seconds after which a silent source is forgotten
LOAD_WINDOW = 0.1  # seconds
LOAD_MESSAGES = 20  # handshake messages in one window that mean load: each costs about half a millisecond
LOAD_STICKS = 1.0  # seconds


def has_valid_mac1(keys: StaticKeys, data: bytes) -> bool:
    """Return whether an encoded handshake message is meant for these keys."""
    return equal(mac(keys.mac1_key, data[:-MACS_SIZE]), mac1_of(data))


class CookieServer:
    """The loaded side: makes cookies, which prove that a source can receive at its address."""

    def __init__(self, secrets: SecretSource) -> None:
        self._secrets = secrets
        self._secret = b""
        self._renewed = float("-inf")

    def cookie_for(self, source: bytes, now: float) -> bytes:
        """Return the cookie of a source, given as address and port in octets."""
        if now - self._renewed >= SECRET_LIFETIME:
            self._secret = self._secrets.octets(SECRET_SIZE)
            self._renewed = now
        return mac(self._secret, source)

    def has_valid_mac2(self, data: bytes, source: bytes, now: float) -> bool:
        """Return whether a handshake message carries the cookie of its source."""
        return equal(mac(self.cookie_for(source, now), data[:-MAC_SIZE]), data[-MAC_SIZE:])

    def reply_to(self, keys: StaticKeys, sender: int, data: bytes, source: bytes, now: float) -> bytes:
        """Return the encoded cookie reply to a handshake message."""
        nonce = self._secrets.octets(NONCE_SIZE)
        sealed = seal_extended(keys.cookie_key, nonce, self.cookie_for(source, now), mac1_of(data))
        return CookieReply(sender, nonce, sealed).encode()


@dataclass(slots=True)
class CookieJar:
    """The sending side: the peer's last cookie and the mac1 that the next one must answer."""

    mac1_key: bytes
    cookie_key: bytes
    last_mac1: bytes | None = None
    cookie: bytes | None = None
    received: float = 0.0  # seconds

    def add_macs(self, data: bytes, now: float) -> bytes:
        """Return a handshake message, encoded without macs, with both macs filled in."""
        body = data[:-MACS_SIZE]
        body += mac(self.mac1_key, body)
        self.last_mac1 = body[-MAC_SIZE:]
        if self.cookie is None or now - self.received >= COOKIE_LIFETIME:
            return body + NO_MAC
        return body + mac(self.cookie, body)

    def take(self, reply: CookieReply, now: float) -> bool:
        """Keep the cookie of a reply and return whether it answers our last message."""
        if self.last_mac1 is None:
            return False
        try:
            self.cookie = unseal_extended(self.cookie_key, reply.nonce, reply.cookie, self.last_mac1)
        except AuthenticationError:
            return False
        self.received = now
        # One message is answered once, so a recorded reply is of no use.
        self.last_mac1 = None
        return True


class LoadMeter:
    """Decides when handshake messages arrive faster than we want to work for strangers."""

    def __init__(self, limit: int = LOAD_MESSAGES) -> None:
        self._limit = limit
        self._window = 0.0
        self._count = 0
        self._until = float("-inf")

    def is_loaded(self, now: float) -> bool:
        """Count one handshake message and return whether there are too many."""
        if not 0.0 <= now - self._window < LOAD_WINDOW:
            self._window, self._count = now, 0
        self._count += 1
        if self._count > self._limit:
            self._until = now + LOAD_STICKS
        return now < self._until


class RateLimiter:
    """A token bucket per source, bounded in memory."""

    def __init__(self, entries: int = LIMITER_ENTRIES) -> None:
        self._entries = entries
        self._buckets: dict[bytes, tuple[float, float]] = {}

    def allows(self, source: bytes, now: float) -> bool:
        """Return whether a source, given as its address in octets, may make us work now."""
        # A host chooses freely within its /64, so that is what counts as one source.
        key = source[:8] if len(source) == 16 else source
        if key not in self._buckets and len(self._buckets) >= self._entries:
            self._forget(now)
            if len(self._buckets) >= self._entries:
                return False
        tokens, last = self._buckets.get(key, (float(PACKETS_BURST), now))
        tokens = min(PACKETS_BURST, tokens + max(0.0, now - last) * PACKETS_PER_SECOND)
        allowed = tokens >= 1.0
        self._buckets[key] = (tokens - 1.0 if allowed else tokens, now)
        return allowed

    def _forget(self, now: float) -> None:
        self._buckets = {k: v for k, v in self._buckets.items() if now - v[1] < LIMITER_FORGETS}
