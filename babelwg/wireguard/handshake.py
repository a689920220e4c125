"""The handshakes of one peer: initiations sent and repeated, answers given and taken, within their limits."""

from math import inf
from typing import TYPE_CHECKING

from babelwg.wireguard.callers import Signs
from babelwg.wireguard.events import (
    HandshakeAbandoned,
    HandshakeCompleted,
    HandshakeUnanswered,
    LocalAddress,
    SocketAddress,
)
from babelwg.wireguard.keypair import Keypair
from babelwg.wireguard.noise.cookie import CookieJar
from babelwg.wireguard.noise.crypto import KEY_SIZE, WeakPointError, random_below
from babelwg.wireguard.noise.handshake import (
    ReceivedInitiation,
    SentInitiation,
    cookie_key,
    mac1_key,
    write_initiation,
)
from babelwg.wireguard.noise.messages import INITIATION_SIZE, RESPONSE_SIZE, Response
from babelwg.wireguard.noise.tai64n import successor, timestamp_of
from babelwg.wireguard.refusals import Reason

if TYPE_CHECKING:
    from babelwg.wireguard.peer import Peer

# Specification constants
INITIATION_GAP = 0.02  # seconds between initiations consumed from one peer
# Implementation constants
RESPONSE_PATIENCE = 0.9  # seconds for which a response may be under way


class Handshake:
    """What a peer remembers of its handshakes, past and under way."""

    def __init__(self, peer: "Peer") -> None:
        self._peer = peer
        self.jar = CookieJar(mac1_key(peer.public_key), cookie_key(peer.public_key))
        self.greatest_timestamp = b""  # seen from the peer
        self.refused = -inf  # seconds, when an answer could not be authenticated
        self.jitter = 0.0  # seconds, drawn anew for every initiation
        self._sent_timestamp = b""
        self._initiation: SentInitiation | None = None
        self._index = 0  # of the initiation under way
        self._initiated = -inf  # seconds
        self._last_consumed = -inf  # seconds
        self._last_sent = -inf  # seconds
        self._attempts = 0
        self._response = b""  # the last one of ours, until the peer uses the session
        self._is_late = False  # whether an initiation is known to be unanswered

    @property
    def signs(self) -> Signs:
        """When what was last sent, taken and refused."""
        return Signs(self._initiated, self._last_consumed, self.refused)

    @property
    def is_under_way(self) -> bool:
        """Whether an initiation of ours waits for its answer."""
        return self._initiation is not None

    def initiate(self, now: float, retry: bool = False) -> None:
        """Send the first message unless one was sent within REKEY_TIMEOUT."""
        peer = self._peer
        if not retry:
            self._attempts = 0
        if now - self._last_sent < peer.device.values.rekey_timeout:
            if peer.timers.retransmit == inf:
                self._arm_retransmit()  # Postponed: what was sent just now may have been a response.
            return
        if peer.endpoint is None:
            peer.interface.refusals[Reason.NO_ENDPOINT] += 1
            return
        try:
            self._write_initiation(peer.interface.shared_secret(peer.public_key), now)
        except WeakPointError:
            peer.interface.refusals[Reason.WEAK_POINT] += 1

    def begin_for(self, now: float) -> None:
        """Do what a peer without a session asks for: repeat our response, and begin as well as soon as one may.

        That a response was sent within REKEY_TIMEOUT is no hindrance, for it has not arrived; it may only be under way.
        """
        if now - self._last_consumed < RESPONSE_PATIENCE:
            return
        if self._response:
            self._send(self._response, now)
        if now - self._initiated >= self._peer.device.values.rekey_timeout:
            self._last_sent = -inf
        self.initiate(now)

    def repeat(self, now: float) -> None:
        """Send another initiation, or give up after REKEY_ATTEMPT_TIME."""
        peer = self._peer
        if self._attempts < peer.device.values.attempts:
            self._attempts += 1
            self._note_lateness()
            peer.forget_local_address()
            self.initiate(now, retry=True)
            return
        self.forget()
        self._is_late = False
        peer.timers.keepalive = inf
        peer.drop_staged()
        if peer.timers.zero_keys == inf and peer.keypairs.current is not None:
            peer.timers.zero_keys = now + peer.device.values.zero_keys_after
        peer.device.emit(HandshakeAbandoned(peer.interface.name, peer.public_key))

    def receive_initiation(
        self, received: ReceivedInitiation, source: SocketAddress, local: LocalAddress | None, now: float
    ) -> Reason | None:
        """Answer an initiation of this peer; raises as its readers do, and then nothing has changed."""
        peer = self._peer
        timestamp = received.read_timestamp(peer.interface.shared_secret(peer.public_key))
        if timestamp <= self.greatest_timestamp:
            return Reason.REPLAYED_INITIATION
        if now - self._last_consumed < INITIATION_GAP:
            return Reason.INITIATION_FLOOD
        device = peer.device
        index = device.indices.draw()
        response, keys = received.write_response(peer.preshared_key, device.secrets.octets(KEY_SIZE), index)
        # Departs from the reference in that our own initiation, if one is under way, stays valid: when both ends
        # start at once each can complete its own, and nobody waits five seconds to repeat it.
        self.greatest_timestamp = timestamp
        self._last_consumed = now
        peer.note_received(source, local, INITIATION_SIZE, now)
        peer.start_session(Keypair(peer, keys, False, index, response.receiver, now), now)
        self._response = response.encode()
        self._send(self._response, now)
        return None

    def receive_response(
        self, message: Response, source: SocketAddress, local: LocalAddress | None, now: float
    ) -> Reason | None:
        """Start the session that a response confirms; raises as its reader does, and then nothing has changed."""
        peer, keys = self._peer, self._peer.interface.keys
        if self._initiation is None or message.receiver != self._index or keys is None:
            return Reason.UNEXPECTED_RESPONSE
        transport = self._initiation.read_response(keys, peer.preshared_key, message)
        index = self._index
        self.forget()
        peer.note_received(source, local, RESPONSE_SIZE, now)
        self._settle_crossing(keys.public)
        peer.start_session(Keypair(peer, transport, True, index, message.sender, now), now)
        self.complete(initiator=True, now=now)
        peer.confirm_session(now)
        return None

    def complete(self, initiator: bool, now: float) -> None:
        """Note that a session has been confirmed."""
        peer = self._peer
        peer.timers.retransmit = inf
        self._attempts = 0
        self._response = b""
        self._is_late = False
        peer.last_handshake = now + peer.device.clock_offset
        peer.device.emit(HandshakeCompleted(peer.interface.name, peer.public_key, initiator))

    def forget(self) -> None:
        """Erase the initiation under way, if there is one."""
        if self._initiation is not None:
            self._initiation.erase()
            self._initiation = None
            self._peer.device.indices.release(self._index)

    def reset(self) -> None:
        """Forget the initiation under way and when one was sent, as for a new private key."""
        self.forget()
        self._response = b""
        self._is_late = False
        self._last_sent = -inf

    def _note_lateness(self) -> None:
        peer = self._peer
        # None is under way where it was only postponed.
        if self._initiation is not None and not self._is_late:
            self._is_late = True
            peer.device.emit(HandshakeUnanswered(peer.interface.name, peer.public_key))

    def _settle_crossing(self, ours: bytes) -> None:
        # When both ends have started at once there are two sessions, and a renewal would drop the one that the other
        # end still sends by. So both end up with the session that the greater key has initiated.
        keypairs = self._peer.keypairs
        rival = keypairs.next or keypairs.current
        if rival is None or rival.initiator or rival.created < self._initiated:
            return
        rival.preferred = ours < self._peer.public_key

    def _write_initiation(self, shared: bytes, now: float) -> None:
        peer, device, keys = self._peer, self._peer.device, self._peer.interface.keys
        assert keys is not None, "an interface without a key is not attached"
        self.forget()
        # The clock may have been set back; a timestamp must still grow.
        timestamp = timestamp_of(now + device.clock_offset)
        if self._sent_timestamp and timestamp <= self._sent_timestamp:
            timestamp = successor(self._sent_timestamp)
        self._sent_timestamp = timestamp
        self._index = device.indices.draw()
        message, self._initiation = write_initiation(
            keys, peer.public_key, shared, device.secrets.octets(KEY_SIZE), timestamp, self._index
        )
        device.indices.handshakes[self._index] = peer
        self._initiated = now
        self.jitter = random_below(device.secrets, 1000) / 1000 * device.values.rekey_jitter
        self._send(message.encode(), now)
        self._arm_retransmit()
        peer.nudges.schedule(now)

    def _send(self, data: bytes, now: float) -> None:
        self._last_sent = now
        self._peer.send_handshake(self.jar.add_macs(data, now), now)

    def _arm_retransmit(self) -> None:
        peer = self._peer
        peer.timers.retransmit = self._last_sent + peer.device.values.rekey_timeout + self.jitter
        peer.schedule(peer.timers.retransmit)
