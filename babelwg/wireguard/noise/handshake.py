"""Noise_IKpsk2: the four steps that turn static keys and a preshared key into two transport keys."""

from dataclasses import dataclass
from typing import NamedTuple

from babelwg.wireguard.noise.crypto import dh, hash_of, kdf, public_key, seal, unseal
from babelwg.wireguard.noise.messages import Initiation, Response

# Specification constants
CONSTRUCTION = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
IDENTIFIER = b"WireGuard v1 zx2c4 Jason@zx2c4.com"
LABEL_MAC1 = b"mac1----"
LABEL_COOKIE = b"cookie--"
CHAIN_START = hash_of(CONSTRUCTION)
HASH_START = hash_of(CHAIN_START, IDENTIFIER)


@dataclass(frozen=True, slots=True)
class StaticKeys:
    """A private key with what is derived from it once."""

    private: bytes
    public: bytes
    mac1_key: bytes
    cookie_key: bytes

    @classmethod
    def of(cls, private: bytes) -> "StaticKeys":
        """Return the keys that belong to a private key."""
        public = public_key(private)
        return cls(private, public, mac1_key(public), cookie_key(public))


def mac1_key(public: bytes) -> bytes:
    """Return the key of mac1 in messages to the owner of a public key."""
    return hash_of(LABEL_MAC1, public)


def cookie_key(public: bytes) -> bytes:
    """Return the key of cookie replies from the owner of a public key."""
    return hash_of(LABEL_COOKIE, public)


class TransportKeys(NamedTuple):
    """The two keys of a session, as seen from the initiator."""

    initiator_sends: bytes
    responder_sends: bytes


class Transcript:
    """The chaining key and the hash of everything said so far."""

    __slots__ = ("chain", "hash")

    def __init__(self, responder_public: bytes) -> None:
        self.chain = CHAIN_START
        self.hash = hash_of(HASH_START, responder_public)

    def mix_ephemeral(self, public: bytes) -> None:
        """Take in a public ephemeral key."""
        self.chain = kdf(1, self.chain, public)[0]
        self.mix_hash(public)

    def mix_hash(self, data: bytes) -> None:
        """Take in octets that both sides see."""
        self.hash = hash_of(self.hash, data)

    def mix_secret(self, secret: bytes) -> None:
        """Take in a shared secret."""
        self.chain = kdf(1, self.chain, secret)[0]

    def mix_secret_for_key(self, secret: bytes) -> bytes:
        """Take in a shared secret and return a key for the next encrypted field."""
        self.chain, key = kdf(2, self.chain, secret)
        return key

    def mix_preshared_key(self, preshared: bytes) -> bytes:
        """Take in the preshared key and return the key for the last encrypted field."""
        self.chain, tau, key = kdf(3, self.chain, preshared)
        self.mix_hash(tau)
        return key

    def seal(self, key: bytes, plaintext: bytes) -> bytes:
        """Return an encrypted field, which joins the transcript."""
        ciphertext = seal(key, 0, plaintext, self.hash)
        self.mix_hash(ciphertext)
        return ciphertext

    def unseal(self, key: bytes, ciphertext: bytes) -> bytes:
        """Return a decrypted field, which joins the transcript; raises AuthenticationError."""
        plaintext = unseal(key, 0, ciphertext, self.hash)
        self.mix_hash(ciphertext)
        return plaintext

    def transport_keys(self) -> TransportKeys:
        """Return the keys of the session and forget all that led to them."""
        keys = TransportKeys(*kdf(2, self.chain, b""))
        self.chain = self.hash = b""
        return keys


class SentInitiation:
    """What the initiator keeps until the response comes."""

    __slots__ = ("_ephemeral", "_transcript")

    def __init__(self, transcript: Transcript, ephemeral: bytes) -> None:
        self._transcript = transcript
        self._ephemeral = ephemeral

    def read_response(self, ours: StaticKeys, preshared: bytes, message: Response) -> TransportKeys:
        """Return the keys of the session; raises AuthenticationError or WeakPointError and then keeps its state."""
        transcript = Transcript(b"")
        transcript.chain, transcript.hash = self._transcript.chain, self._transcript.hash
        transcript.mix_ephemeral(message.ephemeral)
        transcript.mix_secret(dh(self._ephemeral, message.ephemeral))
        transcript.mix_secret(dh(ours.private, message.ephemeral))
        key = transcript.mix_preshared_key(preshared)
        transcript.unseal(key, message.empty)
        return transcript.transport_keys()

    def erase(self) -> None:
        """Forget the secrets."""
        self._ephemeral = b""
        self._transcript.chain = self._transcript.hash = b""


def write_initiation(
    ours: StaticKeys, theirs: bytes, shared: bytes, ephemeral: bytes, timestamp: bytes, sender: int
) -> tuple[Initiation, SentInitiation]:
    """Return the first message and what to keep; `shared` is the static-static secret."""
    transcript = Transcript(theirs)
    ephemeral_public = public_key(ephemeral)
    transcript.mix_ephemeral(ephemeral_public)
    static = transcript.seal(transcript.mix_secret_for_key(dh(ephemeral, theirs)), ours.public)
    sealed_timestamp = transcript.seal(transcript.mix_secret_for_key(shared), timestamp)
    message = Initiation(sender, ephemeral_public, static, sealed_timestamp)
    return message, SentInitiation(transcript, ephemeral)


class ReceivedInitiation:
    """An initiation being read: first who sent it, then whether it is fresh, then the answer."""

    __slots__ = ("_message", "_transcript", "static")

    def __init__(self, ours: StaticKeys, message: Initiation) -> None:
        """Read the sender's static key; raises AuthenticationError or WeakPointError."""
        self._message = message
        self._transcript = Transcript(ours.public)
        self._transcript.mix_ephemeral(message.ephemeral)
        key = self._transcript.mix_secret_for_key(dh(ours.private, message.ephemeral))
        self.static = self._transcript.unseal(key, message.static)

    def read_timestamp(self, shared: bytes) -> bytes:
        """Return the timestamp, proving that the sender has the static key; raises AuthenticationError."""
        return self._transcript.unseal(self._transcript.mix_secret_for_key(shared), self._message.timestamp)

    def write_response(
        self, preshared: bytes, ephemeral: bytes, sender: int
    ) -> tuple[Response, TransportKeys]:
        """Return the second message and the keys; raises WeakPointError."""
        transcript = self._transcript
        ephemeral_public = public_key(ephemeral)
        transcript.mix_ephemeral(ephemeral_public)
        transcript.mix_secret(dh(ephemeral, self._message.ephemeral))
        transcript.mix_secret(dh(ephemeral, self.static))
        empty = transcript.seal(transcript.mix_preshared_key(preshared), b"")
        response = Response(sender, self._message.sender, ephemeral_public, empty)
        return response, transcript.transport_keys()
