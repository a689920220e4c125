"""The primitives of WireGuard: X25519, ChaCha20-Poly1305, BLAKE2s and the key derivation; the only user of PyNaCl."""

import hashlib
import hmac
from typing import Any, Protocol

# Importing `nacl.bindings` also initialises libsodium, without which it would run its slow reference code.
from nacl import bindings
from nacl._sodium import ffi, lib
from nacl.exceptions import CryptoError as SodiumError

# Specification constants
KEY_SIZE = 32  # octets
MAC_SIZE = 16  # octets
TAG_SIZE = 16  # octets
HEADER_SIZE = 16  # octets of a transport message before the encrypted packet
# Implementation constants
PADDING_ROOM = 16  # octets that padding may add

_encrypt = lib.crypto_aead_chacha20poly1305_ietf_encrypt
_decrypt = lib.crypto_aead_chacha20poly1305_ietf_decrypt


class AuthenticationError(Exception):
    """Octets were not sealed with this key, nonce and associated data."""


class WeakPointError(Exception):
    """A public key for which every private key gives the same, known, secret."""


class SecretSource(Protocol):
    """Where all randomness comes from; must be unpredictable outside tests."""

    def octets(self, count: int) -> bytes:
        """Return so many random octets."""


def random_below(secrets: SecretSource, limit: int) -> int:
    """Return an integer from 0 to limit - 1; the bias is below 2^-32 for the small limits used here."""
    return int.from_bytes(secrets.octets(8), "little") % limit


def public_key(private: bytes) -> bytes:
    """Return the X25519 public key of a private key."""
    return bytes(bindings.crypto_scalarmult_base(private))


def dh(private: bytes, public: bytes) -> bytes:
    """Return the X25519 shared secret; an all-zero one raises WeakPointError."""
    try:
        return bytes(bindings.crypto_scalarmult(private, public))
    except SodiumError as error:
        raise WeakPointError from error


def seal(key: bytes, counter: int, plaintext: bytes, associated: bytes) -> bytes:
    """Return the ciphertext and tag of ChaCha20-Poly1305 with a counter nonce."""
    nonce = bytes(4) + counter.to_bytes(8, "little")
    return bytes(bindings.crypto_aead_chacha20poly1305_ietf_encrypt(plaintext, associated, nonce, key))


def unseal(key: bytes, counter: int, ciphertext: bytes, associated: bytes) -> bytes:
    """Return the plaintext of `seal`; raises AuthenticationError."""
    nonce = bytes(4) + counter.to_bytes(8, "little")
    try:
        return bytes(bindings.crypto_aead_chacha20poly1305_ietf_decrypt(ciphertext, associated, nonce, key))
    except SodiumError as error:
        raise AuthenticationError from error


def seal_extended(key: bytes, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
    """Return the ciphertext and tag of XChaCha20-Poly1305 with a random nonce of 24 octets."""
    return bytes(bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, associated, nonce, key))


def unseal_extended(key: bytes, nonce: bytes, ciphertext: bytes, associated: bytes) -> bytes:
    """Return the plaintext of `seal_extended`; raises AuthenticationError."""
    try:
        return bytes(bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(ciphertext, associated, nonce, key))
    except SodiumError as error:
        raise AuthenticationError from error


def hash_of(*parts: bytes) -> bytes:
    """Return BLAKE2s-256 over the concatenation of the parts."""
    return hashlib.blake2s(b"".join(parts)).digest()


def mac(key: bytes, data: bytes) -> bytes:
    """Return keyed BLAKE2s with 16 octets of output, which is not the same as a truncated HMAC."""
    return hashlib.blake2s(data, key=key, digest_size=MAC_SIZE).digest()


def equal(a: bytes, b: bytes) -> bool:
    """Return whether two secrets are equal, in constant time."""
    return hmac.compare_digest(a, b)


def kdf(count: int, key: bytes, data: bytes) -> list[bytes]:
    """Return KDF_count(key, data): `count` keys derived by HMAC-BLAKE2s."""
    root = hmac.digest(key, data, "blake2s")
    keys: list[bytes] = []
    previous = b""
    for number in range(1, count + 1):
        previous = hmac.digest(root, previous + bytes([number]), "blake2s")
        keys.append(previous)
    return keys


class PacketBuffer:
    """Room for one transport message, sealed and opened in place.

    A packet to send lies at `room` (after the header), a datagram received at `datagram`; `length` counts its octets.
    """

    __slots__ = ("datagram", "length", "octets", "pointer", "room")

    def __init__(self, packet_limit: int = 65535) -> None:
        self.octets = bytearray(HEADER_SIZE + packet_limit + PADDING_ROOM + TAG_SIZE)
        self.datagram = memoryview(self.octets)
        self.room = self.datagram[HEADER_SIZE : HEADER_SIZE + packet_limit]
        self.length = 0
        self.pointer: Any = ffi.from_buffer(self.octets) + HEADER_SIZE

    def load_packet(self, packet: bytes) -> None:
        """Copy a packet in, to be sent."""
        self.length = len(packet)
        self.room[: self.length] = packet

    def load_datagram(self, datagram: bytes) -> None:
        """Copy a received datagram in; one longer than the buffer is cut, and then fails to authenticate."""
        self.length = min(len(datagram), len(self.octets))
        self.datagram[: self.length] = datagram[: self.length]


class Cipher:
    """One direction of a session: ChaCha20-Poly1305 with a key that can be erased."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key: Any = ffi.new("unsigned char[]", key)

    def seal_packet(self, buffer: PacketBuffer, length: int, counter: int) -> None:
        """Encrypt `length` octets after the header in place; the tag follows them."""
        at = buffer.pointer
        nonce = bytes(4) + counter.to_bytes(8, "little")
        _encrypt(at, ffi.NULL, at, length, ffi.NULL, 0, ffi.NULL, nonce, self._key)

    def open_packet(self, buffer: PacketBuffer, counter: int) -> bool:
        """Decrypt what follows the header in place and return whether it is authentic."""
        at = buffer.pointer
        nonce = bytes(4) + counter.to_bytes(8, "little")
        length = buffer.length - HEADER_SIZE
        return bool(_decrypt(at, ffi.NULL, ffi.NULL, at, length, ffi.NULL, 0, nonce, self._key) == 0)

    def octets(self) -> bytes:
        """Return the key, for a process that follows this one."""
        return bytes(ffi.buffer(self._key, KEY_SIZE))

    def erase(self) -> None:
        """Overwrite the key; the cipher must not be used again."""
        lib.sodium_memzero(self._key, KEY_SIZE)
