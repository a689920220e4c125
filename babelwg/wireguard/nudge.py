"""Nudges: who has lost all sessions asks the other end, which keeps one, to begin a handshake.

A process that starts while its path is cut loses its first initiation, and may not send another for REKEY_TIMEOUT. The
other end goes on with a session that nobody else has, and may begin at once, if only it knew; or its response was lost,
and may be repeated. A nudge has the form of a keepalive by a session that never exists, so who does not know it drops
it without an answer. Departs from WireGuard, which knows four types of messages and nothing else:

    type 4 and three zeros | receiver index 0 | stamp, 8 octets | MAC, 16 octets

The stamp is in nanoseconds of Unix time and grows, the MAC is keyed by the static-static secret and the sender's public
key: nobody else can write one, send it twice or send it back.
"""

import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING

from babelwg.wireguard.events import SocketAddress
from babelwg.wireguard.noise.crypto import WeakPointError, equal, hash_of, mac
from babelwg.wireguard.noise.messages import MessageType
from babelwg.wireguard.refusals import Reason

if TYPE_CHECKING:
    from babelwg.wireguard.peer import Peer

NUDGE_INDEX = 0  # which no session and no handshake has
# Implementation constants
QUICK_NUDGES = 60  # to one peer, which may not know them, or not be there
SLOW = 5.0  # intervals between two after that
LABEL = b"babelwg nudge"

_HEADER = struct.Struct("<IIQ")


class Nudges:
    """Those sent to one peer, and the last one that came from it."""

    def __init__(self, peer: "Peer") -> None:
        self._peer = peer
        self.seen = 0  # the greatest stamp from the peer, nanoseconds
        self.sent = 0  # our last stamp, nanoseconds
        self._left = QUICK_NUDGES

    def schedule(self, now: float) -> None:
        """Have one sent soon, unless there ever was a session; after half a minute not as soon."""
        peer = self._peer
        if not peer.last_handshake:
            interval = peer.device.values.nudge_interval
            peer.timers.nudge = now + (interval if self._left else SLOW * interval)
            peer.schedule(peer.timers.nudge)

    def send(self, now: float) -> None:
        """Nudge the peer, if it still has not answered our initiation."""
        peer = self._peer
        if peer.last_handshake or peer.endpoint is None or not peer.handshake.is_under_way:
            return
        self._left = max(0, self._left - 1)
        self.sent = max(round((now + peer.device.clock_offset) * 1e9), self.sent + 1)
        assert peer.interface.keys is not None, "an interface without a key is not attached"
        header = _HEADER.pack(MessageType.TRANSPORT, NUDGE_INDEX, self.sent)
        peer.send_handshake(header + _mac(peer, peer.interface.keys.public, header), now)
        self.schedule(now)

    def receive(self, data: bytes, now: float) -> Reason | None:
        """Do for a handshake what may be done, if the peer has written this; return why it is refused, or None."""
        header, tag = data[: _HEADER.size], data[_HEADER.size :]
        stamp = _HEADER.unpack(header)[2]
        try:
            if not equal(tag, _mac(self._peer, self._peer.public_key, header)):
                return Reason.UNAUTHENTIC
        except WeakPointError:
            return Reason.WEAK_POINT
        if stamp <= self.seen:
            return Reason.REPLAYED_PACKET
        self.seen = stamp
        self._peer.handshake.begin_for(now)
        return None


def receive_nudge(peers: Iterable["Peer"], data: bytes, source: SocketAddress, now: float) -> Reason | None:
    """Give a nudge to the peer whose endpoint it came from; return why it is refused, or None."""
    reason: Reason | None = Reason.UNKNOWN_INDEX
    for peer in peers:
        if peer.endpoint is not None and peer.endpoint.remote == source:
            reason = peer.nudges.receive(data, now)
            if reason is not Reason.UNAUTHENTIC:
                break
    return reason


def _mac(peer: "Peer", sender: bytes, header: bytes) -> bytes:
    """Return the MAC of a nudge between us and a peer by one of both. Raises WeakPointError."""
    return mac(hash_of(LABEL, peer.interface.shared_secret(peer.public_key), sender), header)
