"""A peer: its sessions, its timers, its endpoint and the packets that wait for a session."""

import struct
from collections import deque
from math import inf
from typing import TYPE_CHECKING

from babelwg.wireguard.events import (
    Endpoint,
    EndpointMoved,
    HandshakeAbandoned,
    HandshakeCompleted,
    LocalAddress,
    SessionLost,
    SocketAddress,
)
from babelwg.wireguard.keypair import REJECT_AFTER_MESSAGES, REKEY_AFTER_MESSAGES, Keypair, Keypairs
from babelwg.wireguard.noise.cookie import CookieJar
from babelwg.wireguard.noise.crypto import (
    HEADER_SIZE,
    KEY_SIZE,
    TAG_SIZE,
    PacketBuffer,
    WeakPointError,
    random_below,
)
from babelwg.wireguard.noise.handshake import (
    ReceivedInitiation,
    SentInitiation,
    cookie_key,
    mac1_key,
    write_initiation,
)
from babelwg.wireguard.noise.messages import INITIATION_SIZE, RESPONSE_SIZE, MessageType, Response
from babelwg.wireguard.noise.tai64n import successor, timestamp_of
from babelwg.wireguard.refusals import Reason
from babelwg.wireguard.timers import Timers

if TYPE_CHECKING:
    from babelwg.wireguard.device import Device
    from babelwg.wireguard.interface import Interface

# Specification constants
MAX_STAGED_PACKETS = 128
PADDING_MULTIPLE = 16  # octets
INITIATION_GAP = 0.02  # seconds between initiations consumed from one peer
NO_PRESHARED_KEY = bytes(KEY_SIZE)

_HEADER = struct.Struct("<IIQ")
_ZEROS = bytes(PADDING_MULTIPLE)


class Peer:
    """The other end of an interface's tunnel (or of one of them)."""

    def __init__(self, interface: "Interface", public_key: bytes) -> None:
        self.interface = interface
        self.public_key = public_key
        self.preshared_key = NO_PRESHARED_KEY
        self.endpoint: Endpoint | None = None
        self.persistent_keepalive = 0  # seconds, 0 for none
        self.rx_bytes = 0  # octets of UDP payload
        self.tx_bytes = 0
        self.last_handshake = 0.0  # Unix seconds, 0 for never
        self.keypairs = Keypairs()
        self.timers = Timers()
        self.scheduled = inf  # when the device will look at the timers
        self.staged: deque[bytes] = deque()
        self.jar = CookieJar(mac1_key(public_key), cookie_key(public_key))
        self.greatest_timestamp = b""
        self._sent_timestamp = b""
        self._initiation: SentInitiation | None = None
        self._initiation_index = 0
        self._last_consumed = -inf
        self._last_sent_handshake = -inf
        self._attempts = 0
        self._jitter = 0.0  # seconds, drawn anew for every handshake
        self._need_another_keepalive = False
        self._sent_last_minute_handshake = False

    # Packets

    def send_packet(self, buffer: PacketBuffer, now: float) -> None:
        """Seal a packet and queue it for sending, or keep it until there is a session."""
        if not self._seal(buffer, now):
            self._stage(bytes(buffer.room[: buffer.length]))
            self.send_initiation(now)
            return
        if self.timers.new_handshake == inf:
            self._arm_new_handshake(now)
        self._keep_fresh_sending(now)

    def send_keepalive(self, now: float) -> None:
        """Send an empty packet, or start a handshake, after which one follows anyway."""
        buffer = self._device.spare
        buffer.length = 0
        if self._seal(buffer, now):
            self._device.copy_last_datagram()
            self._keep_fresh_sending(now)
        else:
            self.send_initiation(now)

    def receive_packet(
        self, keypair: Keypair, source: SocketAddress, local: LocalAddress | None, octets: int, now: float
    ) -> None:
        """Note that an authentic packet of so many inner octets, 0 for a keepalive, came by a session."""
        self._move(source, local)
        if keypair is self.keypairs.next:
            self._device.indices.drop(self.keypairs.confirm())
            self._complete(initiator=False, now=now)
            self._send_staged(now)
        self._note_received(now)
        if octets and self.timers.keepalive == inf:
            self.timers.keepalive = now + self._device.values.keepalive_timeout
            self._schedule(self.timers.keepalive)
        elif octets:
            self._need_another_keepalive = True
        values = self._device.values
        if (
            keypair.initiator
            and keypair is self.keypairs.current
            and now - keypair.created >= values.last_minute
            and not self._sent_last_minute_handshake
        ):
            self._sent_last_minute_handshake = True
            self.send_initiation(now)

    # Handshakes

    def send_initiation(self, now: float, retry: bool = False) -> None:
        """Send the first message unless one was sent within REKEY_TIMEOUT."""
        if not retry:
            self._attempts = 0
        device, keys = self._device, self.interface.keys
        assert keys is not None, "an interface without a key is not attached"
        if now - self._last_sent_handshake < device.values.rekey_timeout:
            if self.timers.retransmit == inf:
                self._arm_retransmit()  # Postponed: what was sent just now may have been a response.
            return
        if self.endpoint is None:
            self.interface.refusals[Reason.NO_ENDPOINT] += 1
            return
        try:
            shared = self.interface.shared_secret(self.public_key)
            self._write_initiation(shared, now)
        except WeakPointError:
            self.interface.refusals[Reason.WEAK_POINT] += 1

    def receive_initiation(
        self,
        received: ReceivedInitiation,
        source: SocketAddress,
        local: LocalAddress | None,
        now: float,
    ) -> Reason | None:
        """Answer an initiation of this peer; raises as its readers do, and then nothing has changed."""
        timestamp = received.read_timestamp(self.interface.shared_secret(self.public_key))
        if timestamp <= self.greatest_timestamp:
            return Reason.REPLAYED_INITIATION
        if now - self._last_consumed < INITIATION_GAP:
            return Reason.INITIATION_FLOOD
        device = self._device
        index = device.indices.draw()
        response, keys = received.write_response(self.preshared_key, device.secrets.octets(KEY_SIZE), index)
        # Departs from the reference in that our own initiation, if one is under way, stays valid: when both ends
        # start at once each can complete its own, and nobody waits five seconds to repeat it.
        self.greatest_timestamp = timestamp
        self._last_consumed = now
        self.rx_bytes += INITIATION_SIZE
        self._move(source, local)
        self._note_received(now)
        self._start_session(Keypair(self, keys, False, index, response.receiver, now), now)
        self._send_handshake(response.encode(), now)
        return None

    def receive_response(
        self, message: Response, source: SocketAddress, local: LocalAddress | None, now: float
    ) -> Reason | None:
        """Start the session that a response confirms; raises as its reader does, and then nothing has changed."""
        keys = self.interface.keys
        if self._initiation is None or message.receiver != self._initiation_index or keys is None:
            return Reason.UNEXPECTED_RESPONSE
        transport = self._initiation.read_response(keys, self.preshared_key, message)
        index = self._initiation_index
        self._forget_initiation()
        self.rx_bytes += RESPONSE_SIZE
        self._move(source, local)
        self._note_received(now)
        self._start_session(Keypair(self, transport, True, index, message.sender, now), now)
        self._complete(initiator=True, now=now)
        # The responder may use the session only after it has heard from us.
        if self.staged:
            self._send_staged(now)
        else:
            self.send_keepalive(now)
        return None

    # Timers

    def handle_timers(self, now: float) -> None:
        """Do everything that is due."""
        timers = self.timers
        if timers.retransmit <= now:
            timers.retransmit = inf
            self._repeat_initiation(now)
        if timers.keepalive <= now:
            timers.keepalive = inf
            self.send_keepalive(now)
            if self._need_another_keepalive:
                self._need_another_keepalive = False
                timers.keepalive = now + self._device.values.keepalive_timeout
        if timers.new_handshake <= now:
            timers.new_handshake = inf
            self._forget_local()
            self.send_initiation(now)
        if timers.zero_keys <= now:
            timers.zero_keys = inf
            self.forget_sessions()
            self._device.emit(SessionLost(self.interface.name, self.public_key))
        if timers.persistent_keepalive <= now:
            timers.persistent_keepalive = now + self.persistent_keepalive
            self.send_keepalive(now)

    def forget_sessions(self) -> None:
        """Erase all keys and any handshake under way."""
        self._device.indices.drop(self.keypairs.clear())
        self._forget_initiation()

    def stop(self) -> None:
        """Erase all keys and stop all timers but the persistent keepalive, which waits for the next device."""
        self.forget_sessions()
        persistent = self.timers.persistent_keepalive
        self.timers = Timers()
        self.timers.persistent_keepalive = persistent
        self._last_sent_handshake = -inf

    def set_persistent_keepalive(self, interval: int, now: float) -> None:
        """Set the interval in seconds, 0 for none, and send one at once when it is switched on."""
        switched_on = interval > 0 and self.persistent_keepalive == 0
        self.persistent_keepalive = interval
        self.timers.persistent_keepalive = now + interval if interval else inf
        if self.interface.device is None:
            return
        self._schedule(self.timers.persistent_keepalive)
        if switched_on and self.endpoint is not None:
            self.send_keepalive(now)

    # Private

    @property
    def _device(self) -> "Device":
        device = self.interface.device
        assert device is not None, "an interface without a port neither sends nor receives"
        return device

    def _seal(self, buffer: PacketBuffer, now: float) -> bool:
        keypair = self.keypairs.current
        device = self._device
        if (
            keypair is None
            or now - keypair.created >= device.values.reject_after_time
            or keypair.counter >= REJECT_AFTER_MESSAGES
        ):
            return False
        endpoint = self.endpoint
        assert endpoint is not None, "a session came from somewhere"
        length = buffer.length
        padded = min(-(-length // PADDING_MULTIPLE) * PADDING_MULTIPLE, max(self.interface.mtu, length))
        if padded != length:
            buffer.datagram[HEADER_SIZE + length : HEADER_SIZE + padded] = _ZEROS[: padded - length]
        _HEADER.pack_into(buffer.octets, 0, MessageType.TRANSPORT, keypair.remote_index, keypair.counter)
        keypair.sending.seal_packet(buffer, padded, keypair.counter)
        keypair.counter += 1
        size = HEADER_SIZE + padded + TAG_SIZE
        self.tx_bytes += size
        self.timers.keepalive = inf
        if self.persistent_keepalive:
            self._rearm_persistent(now)
        device.outgoing.append((endpoint, buffer.datagram[:size], 0))
        return True

    def _stage(self, packet: bytes) -> None:
        if len(self.staged) >= MAX_STAGED_PACKETS:
            self.staged.popleft()
            self.interface.refusals[Reason.NO_SESSION] += 1
        self.staged.append(packet)

    def _send_staged(self, now: float) -> None:
        spare = self._device.spare
        while self.staged:
            spare.load_packet(self.staged[0])
            if not self._seal(spare, now):
                return
            self._device.copy_last_datagram()
            self.staged.popleft()
        self._arm_new_handshake(now)

    def _keep_fresh_sending(self, now: float) -> None:
        keypair = self.keypairs.current
        if keypair is None:
            return
        too_old = keypair.initiator and now - keypair.created >= self._device.values.rekey_after_time
        if too_old or keypair.counter > REKEY_AFTER_MESSAGES:
            self.send_initiation(now)

    def _write_initiation(self, shared: bytes, now: float) -> None:
        device, keys = self._device, self.interface.keys
        assert keys is not None
        self._forget_initiation()
        # The clock may have been set back; a timestamp must still grow.
        timestamp = timestamp_of(now + device.clock_offset)
        if self._sent_timestamp and timestamp <= self._sent_timestamp:
            timestamp = successor(self._sent_timestamp)
        self._sent_timestamp = timestamp
        index = device.indices.draw()
        message, self._initiation = write_initiation(
            keys, self.public_key, shared, device.secrets.octets(KEY_SIZE), timestamp, index
        )
        device.indices.handshakes[index] = self
        self._initiation_index = index
        self._jitter = random_below(device.secrets, 1000) / 1000 * device.values.rekey_jitter
        self._send_handshake(message.encode(), now)
        self._arm_retransmit()

    def _send_handshake(self, data: bytes, now: float) -> None:
        endpoint = self.endpoint
        assert endpoint is not None
        self._last_sent_handshake = now
        self.tx_bytes += len(data)
        self.timers.keepalive = inf
        if self.persistent_keepalive:
            self._rearm_persistent(now)
        self._device.send_handshake(endpoint, self.jar.add_macs(data, now))

    def _start_session(self, keypair: Keypair, now: float) -> None:
        start = self.keypairs.start_as_initiator if keypair.initiator else self.keypairs.start_as_responder
        self._device.indices.drop(start(keypair))
        self._device.indices.sessions[keypair.local_index] = keypair
        self.timers.zero_keys = now + self._device.values.zero_keys_after
        self._schedule(self.timers.zero_keys)

    def _complete(self, initiator: bool, now: float) -> None:
        self.timers.retransmit = inf
        self._attempts = 0
        self._sent_last_minute_handshake = False
        self.last_handshake = now + self._device.clock_offset
        self._device.emit(HandshakeCompleted(self.interface.name, self.public_key, initiator))

    def _repeat_initiation(self, now: float) -> None:
        if self._attempts < self._device.values.attempts:
            self._attempts += 1
            self._forget_local()
            self.send_initiation(now, retry=True)
            return
        self.timers.keepalive = inf
        self._forget_initiation()
        self.interface.refusals[Reason.NO_SESSION] += len(self.staged)
        self.staged.clear()
        if self.timers.zero_keys == inf and self.keypairs.current is not None:
            self.timers.zero_keys = now + self._device.values.zero_keys_after
        self._device.emit(HandshakeAbandoned(self.interface.name, self.public_key))

    def _forget_initiation(self) -> None:
        if self._initiation is not None:
            self._initiation.erase()
            self._initiation = None
            self._device.indices.release(self._initiation_index)

    def _note_received(self, now: float) -> None:
        self.timers.new_handshake = inf
        if self.persistent_keepalive:
            self._rearm_persistent(now)

    def _rearm_persistent(self, now: float) -> None:
        self.timers.persistent_keepalive = now + self.persistent_keepalive
        self._schedule(self.timers.persistent_keepalive)

    def _arm_new_handshake(self, now: float) -> None:
        values = self._device.values
        self.timers.new_handshake = now + values.keepalive_timeout + values.rekey_timeout + self._jitter
        self._schedule(self.timers.new_handshake)

    def _arm_retransmit(self) -> None:
        self.timers.retransmit = self._last_sent_handshake + self._device.values.rekey_timeout + self._jitter
        self._schedule(self.timers.retransmit)

    def _schedule(self, at: float) -> None:
        # Most timers move later with every packet; only an earlier one needs the device.
        if at < self.scheduled:
            self._device.schedule(self, at)

    def _move(self, source: SocketAddress, local: LocalAddress | None) -> None:
        endpoint = self.endpoint
        if endpoint is not None and endpoint.remote == source and endpoint.local == local:
            return
        self.endpoint = Endpoint(source, local, self.interface.mark)
        if endpoint is None or endpoint.remote != source:
            self._device.emit(EndpointMoved(self.interface.name, self.public_key, source))

    def _forget_local(self) -> None:
        # The address we sent from may be why nothing comes back.
        if self.endpoint is not None:
            self.endpoint = self.endpoint._replace(local=None)
