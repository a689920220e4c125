"""Keys as WireGuard writes them, and the link-local address and interface name that follow from one."""

import base64
import binascii
import hashlib
import secrets
from dataclasses import dataclass
from typing import Self

from nacl.bindings import crypto_scalarmult_base

KEY_OCTETS = 32
KEY_CHARACTERS = 44  # of base64, the last one "="
MAX_INTERFACE_NAME = 15  # octets; the kernel's IFNAMSIZ less the closing NUL
INTERFACE_PREFIX = "bw-"
INTERFACE_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-")
LINK_LOCAL_NETWORK = bytes.fromhex("fe80000000000000")
# One /48 for all nodes, drawn once (RFC 4193, section 3.2), so that a filter can name them together.
NODE_NETWORK = bytes.fromhex("fd7a84e16bd3")


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """A private, public or preshared key of 32 octets."""

    octets: bytes

    def __post_init__(self) -> None:
        assert len(self.octets) == KEY_OCTETS, f"a key has {KEY_OCTETS} octets, not {len(self.octets)}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the key that a text holds in base64; ValueError says in words what is wrong with it."""
        word = text.strip()
        if len(word) != KEY_CHARACTERS:
            raise ValueError(f"a key has {KEY_CHARACTERS} characters, this one has {len(word)}")
        try:
            octets = base64.b64decode(word, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("a key holds only letters, digits, + and /, and ends with one =") from None
        # A last character with stray bits would be a second spelling of the same key.
        if len(octets) != KEY_OCTETS or base64.b64encode(octets).decode() != word:
            raise ValueError(f"this is base64, but not of {KEY_OCTETS} octets")
        return cls(octets)

    @property
    def is_zero(self) -> bool:
        """Whether all octets are zero, which WireGuard takes for no key."""
        return not any(self.octets)

    def __str__(self) -> str:
        return base64.b64encode(self.octets).decode()

    # A private key must not reach a log or a traceback by way of repr().
    def __repr__(self) -> str:
        return f"Key(fingerprint {hashlib.blake2s(self.octets, digest_size=4).hexdigest()})"


def generate_private() -> Key:
    """Return a new private key, clamped for Curve25519."""
    octets = bytearray(secrets.token_bytes(KEY_OCTETS))
    octets[0] &= 0xF8
    octets[31] = octets[31] & 0x7F | 0x40
    return Key(bytes(octets))


def generate_psk() -> Key:
    """Return a new preshared key."""
    return Key(secrets.token_bytes(KEY_OCTETS))


def public_of(private: Key) -> Key:
    """Return the public key that belongs to a private key."""
    return Key(bytes(crypto_scalarmult_base(private.octets)))


def link_local(public_key: Key) -> bytes:
    """Return the packed link-local address that the owner of a public key has on all its tunnels."""
    identifier = hashlib.blake2s(b"babelwg link-local" + public_key.octets, digest_size=8).digest()
    return LINK_LOCAL_NETWORK + identifier


def node_address(public_key: Key) -> bytes:
    """Return the packed address that a node may take without asking anybody: unique local, from its key."""
    digest = hashlib.blake2s(b"babelwg node address" + public_key.octets, digest_size=10).digest()
    return NODE_NETWORK + digest


def interface_name(peer_name: str, public_key: Key) -> str:
    """Return the interface name of the tunnel to a peer for which none is configured."""
    name = INTERFACE_PREFIX + peer_name
    if len(name) <= MAX_INTERFACE_NAME and set(peer_name) <= INTERFACE_CHARACTERS:
        return name
    short = "".join(c if c in INTERFACE_CHARACTERS else "-" for c in peer_name[:7].lower())
    digest = hashlib.blake2s(b"babelwg interface name" + public_key.octets, digest_size=5).digest()
    return f"{INTERFACE_PREFIX}{short}-{base64.b32encode(digest).decode().lower()[:4]}"
