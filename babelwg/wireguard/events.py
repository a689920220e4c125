"""What the core tells its owner: changes of sessions and endpoints, never single packets."""

from base64 import b64encode
from dataclasses import dataclass
from typing import NamedTuple

# As the socket module writes it: (host, port) for IPv4, (host, port, flow, scope) for IPv6.
SocketAddress = tuple[str, int] | tuple[str, int, int, int]


class LocalAddress(NamedTuple):
    """The address of ours that a datagram came to, packed, and the interface it came by."""

    address: bytes
    interface_index: int


class Endpoint(NamedTuple):
    """Where a datagram goes: the peer's address, ours to send from if known, and the firewall mark."""

    remote: SocketAddress
    local: LocalAddress | None = None
    mark: int = 0


@dataclass(frozen=True, slots=True)
class HandshakeCompleted:
    """A session with a peer can be used."""

    interface: str
    public_key: bytes
    initiator: bool


@dataclass(frozen=True, slots=True)
class HandshakeUnanswered:
    """A peer has not answered for REKEY_TIMEOUT; told once until it does, or is given up."""

    interface: str
    public_key: bytes


@dataclass(frozen=True, slots=True)
class HandshakeAbandoned:
    """A peer has not answered for REKEY_ATTEMPT_TIME."""

    interface: str
    public_key: bytes


@dataclass(frozen=True, slots=True)
class EndpointMoved:
    """An authenticated packet came from a new address."""

    interface: str
    public_key: bytes
    remote: SocketAddress


@dataclass(frozen=True, slots=True)
class SessionLost:
    """The last keys of a peer were erased because they were not renewed."""

    interface: str
    public_key: bytes


Event = HandshakeCompleted | HandshakeUnanswered | HandshakeAbandoned | EndpointMoved | SessionLost


def describe(event: Event) -> str:
    """Return an event as one line of words and key=value pairs."""
    words = "".join(f"-{c.lower()}" if c.isupper() else c for c in type(event).__name__).lstrip("-")
    peer = b64encode(event.public_key).decode()
    line = f"{words} interface={event.interface} peer={peer}"
    if isinstance(event, EndpointMoved):
        return f"{line} endpoint={event.remote[0]}:{event.remote[1]}"
    if isinstance(event, HandshakeCompleted):
        return f"{line} role={'initiator' if event.initiator else 'responder'}"
    return line
