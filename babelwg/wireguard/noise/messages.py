"""The three handshake messages in octets; indices are little-endian and the three reserved octets zero."""

import struct
from dataclasses import dataclass
from enum import IntEnum

from babelwg.wireguard.noise.crypto import MAC_SIZE

# Specification constants: octets of whole messages
INITIATION_SIZE = 148
RESPONSE_SIZE = 92
COOKIE_REPLY_SIZE = 64
TRANSPORT_MINIMUM = 32  # a keepalive: header and tag

_INITIATION = struct.Struct("<II32s48s28s16s16s")
_RESPONSE = struct.Struct("<III32s16s16s16s")
_COOKIE_REPLY = struct.Struct("<II24s32s")
MACS_SIZE = 2 * MAC_SIZE
NO_MAC = bytes(MAC_SIZE)


class MessageType(IntEnum):
    """The first octet of a message and, with the reserved ones, its first word."""

    INITIATION = 1
    RESPONSE = 2
    COOKIE_REPLY = 3
    TRANSPORT = 4


@dataclass(frozen=True, slots=True)
class Initiation:
    """The first message, from initiator to responder."""

    sender: int
    ephemeral: bytes
    static: bytes  # encrypted
    timestamp: bytes  # encrypted
    mac1: bytes = NO_MAC
    mac2: bytes = NO_MAC

    def encode(self) -> bytes:
        """Return the 148 octets."""
        return _INITIATION.pack(
            MessageType.INITIATION,
            self.sender,
            self.ephemeral,
            self.static,
            self.timestamp,
            self.mac1,
            self.mac2,
        )

    @classmethod
    def decode(cls, data: bytes) -> "Initiation":
        """Return the message in octets of checked type and length."""
        return cls(*_INITIATION.unpack(data)[1:])


@dataclass(frozen=True, slots=True)
class Response:
    """The second message, from responder to initiator."""

    sender: int
    receiver: int
    ephemeral: bytes
    empty: bytes  # encrypted nothing
    mac1: bytes = NO_MAC
    mac2: bytes = NO_MAC

    def encode(self) -> bytes:
        """Return the 92 octets."""
        return _RESPONSE.pack(
            MessageType.RESPONSE,
            self.sender,
            self.receiver,
            self.ephemeral,
            self.empty,
            self.mac1,
            self.mac2,
        )

    @classmethod
    def decode(cls, data: bytes) -> "Response":
        """Return the message in octets of checked type and length."""
        return cls(*_RESPONSE.unpack(data)[1:])


@dataclass(frozen=True, slots=True)
class CookieReply:
    """What a loaded receiver sends instead of answering."""

    receiver: int
    nonce: bytes
    cookie: bytes  # encrypted

    def encode(self) -> bytes:
        """Return the 64 octets."""
        return _COOKIE_REPLY.pack(MessageType.COOKIE_REPLY, self.receiver, self.nonce, self.cookie)

    @classmethod
    def decode(cls, data: bytes) -> "CookieReply":
        """Return the message in octets of checked type and length."""
        return cls(*_COOKIE_REPLY.unpack(data)[1:])


def mac1_of(data: bytes) -> bytes:
    """Return the mac1 field of an encoded initiation or response."""
    return data[-MACS_SIZE:-MAC_SIZE]
