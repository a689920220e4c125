"""A peer: its sessions, its timers, its endpoint and the packets that wait for a session."""

import struct
from collections import deque
from math import inf
from typing import TYPE_CHECKING

from babelwg.wireguard.events import Endpoint, EndpointMoved, LocalAddress, SessionLost, SocketAddress
from babelwg.wireguard.handshake import Handshake
from babelwg.wireguard.keypair import REJECT_AFTER_MESSAGES, REKEY_AFTER_MESSAGES, Keypair, Keypairs
from babelwg.wireguard.noise.crypto import HEADER_SIZE, KEY_SIZE, TAG_SIZE, PacketBuffer
from babelwg.wireguard.noise.messages import MessageType
from babelwg.wireguard.nudge import Nudges
from babelwg.wireguard.refusals import Reason
from babelwg.wireguard.timers import Timers

if TYPE_CHECKING:
    from babelwg.wireguard.device import Device
    from babelwg.wireguard.interface import Interface

# Specification constants
MAX_STAGED_PACKETS = 128
PADDING_MULTIPLE = 16  # octets
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
        self.handshake = Handshake(self)
        self.nudges = Nudges(self)
        self.keypairs = Keypairs()
        self.timers = Timers()
        self.scheduled = inf  # when the device will look at the timers
        self.staged: deque[bytes] = deque()
        self._need_another_keepalive = False
        self._sent_last_minute_handshake = False

    # Packets

    def send_packet(self, buffer: PacketBuffer, now: float) -> None:
        """Seal a packet and queue it for sending, or keep it until there is a session."""
        if not self._seal(buffer, now):
            self._stage(bytes(buffer.room[: buffer.length]))
            self.handshake.initiate(now)
            return
        if self.timers.new_handshake == inf:
            self._arm_new_handshake(now)
        self._keep_fresh_sending(now)

    def send_keepalive(self, now: float) -> None:
        """Send an empty packet, or start a handshake, after which one follows anyway."""
        buffer = self.device.spare
        buffer.length = 0
        if self._seal(buffer, now):
            self.device.copy_last_datagram()
            self._keep_fresh_sending(now)
        else:
            self.handshake.initiate(now)

    def receive_packet(
        self, keypair: Keypair, source: SocketAddress, local: LocalAddress | None, size: int, now: float
    ) -> None:
        """Note that an authentic transport message of so many octets came by a session."""
        self.note_received(source, local, size, now)
        keypairs = self.keypairs
        if keypair is not keypairs.current:
            if keypair is keypairs.next:
                self.device.indices.drop(keypairs.confirm())
                self._sent_last_minute_handshake = False
                self.handshake.complete(initiator=False, now=now)
                self._send_staged(now)
            elif keypair.preferred:
                keypair.preferred = False  # A late packet must not bring it back after a renewal.
                keypairs.go_back()
        if size > HEADER_SIZE + TAG_SIZE:
            self._owe_keepalive(now)
        self._keep_fresh_receiving(now)

    # Sessions

    def start_session(self, keypair: Keypair, now: float) -> None:
        """Put a new session into its slot."""
        start = self.keypairs.start_as_initiator if keypair.initiator else self.keypairs.start_as_responder
        self.device.indices.drop(start(keypair))
        self.device.indices.sessions[keypair.local_index] = keypair
        self.timers.zero_keys = now + self.device.values.zero_keys_after
        self.schedule(self.timers.zero_keys)

    def confirm_session(self, now: float) -> None:
        """Send something by the session we have initiated: the responder may use it only after that."""
        self._sent_last_minute_handshake = False
        if self.staged:
            self._send_staged(now)
        else:
            self.send_keepalive(now)

    def forget_sessions(self) -> None:
        """Erase all keys and any handshake under way."""
        self.device.indices.drop(self.keypairs.clear())
        self.handshake.forget()

    def drop_staged(self) -> None:
        """Drop the packets that waited for a session in vain."""
        self.interface.refusals[Reason.NO_SESSION] += len(self.staged)
        self.staged.clear()

    # Timers

    def handle_timers(self, now: float) -> None:
        """Do everything that is due."""
        timers = self.timers
        if timers.nudge <= now:
            timers.nudge = inf
            self.nudges.send(now)
        if timers.retransmit <= now:
            timers.retransmit = inf
            self.handshake.repeat(now)
        if timers.keepalive <= now:
            timers.keepalive = inf
            self.send_keepalive(now)
            if self._need_another_keepalive:
                self._need_another_keepalive = False
                timers.keepalive = now + self.device.values.keepalive_timeout
        if timers.new_handshake <= now:
            timers.new_handshake = inf
            self.forget_local_address()
            self.handshake.initiate(now)
        if timers.zero_keys <= now:
            timers.zero_keys = inf
            self.forget_sessions()
            self.device.emit(SessionLost(self.interface.name, self.public_key))
        if timers.persistent_keepalive <= now:
            timers.persistent_keepalive = now + self.persistent_keepalive
            self.send_keepalive(now)

    def set_persistent_keepalive(self, interval: int, now: float) -> None:
        """Set the interval in seconds, 0 for none, and send one at once when it is switched on."""
        switched_on = interval > 0 and self.persistent_keepalive == 0
        self.persistent_keepalive = interval
        self.timers.persistent_keepalive = now + interval if interval else inf
        if self.interface.device is None:
            return
        self.schedule(self.timers.persistent_keepalive)
        if switched_on and self.endpoint is not None:
            self.send_keepalive(now)

    def stop(self) -> None:
        """Erase all keys and stop all timers but the persistent keepalive, which waits for the next device."""
        self.forget_sessions()
        self.handshake.reset()
        persistent = self.timers.persistent_keepalive
        self.timers = Timers()
        self.timers.persistent_keepalive = persistent

    # For the handshake

    @property
    def device(self) -> "Device":
        """Return the device that the interface is attached to."""
        device = self.interface.device
        assert device is not None, "an interface without a port neither sends nor receives"
        return device

    def schedule(self, at: float) -> None:
        """Have the timers looked at by this time."""
        # Most timers move later with every packet; only an earlier one needs the device.
        if at < self.scheduled:
            self.device.schedule(self, at)

    def send_handshake(self, data: bytes, now: float) -> None:
        """Send an encoded handshake message to where the peer is."""
        assert self.endpoint is not None
        self._note_sent(len(data), now)
        self.device.send_handshake(self.endpoint, data)

    def note_received(self, source: SocketAddress, local: LocalAddress | None, size: int, now: float) -> None:
        """Note that something authentic and new, of so many octets, came from an address."""
        self.rx_bytes += size
        self.timers.new_handshake = inf
        if self.persistent_keepalive:
            self._rearm_persistent(now)
        endpoint = self.endpoint
        if endpoint is None or endpoint.remote != source or endpoint.local != local:
            self._move(source, local)

    def forget_local_address(self) -> None:
        """Let the kernel choose where to send from: the address we used may be why nothing comes back."""
        if self.endpoint is not None:
            self.endpoint = self.endpoint._replace(local=None)

    # Private

    def _seal(self, buffer: PacketBuffer, now: float) -> bool:
        keypair = self.keypairs.current
        device = self.device
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
        self._note_sent(size, now)
        device.outgoing.append((endpoint, buffer.datagram[:size], 0))
        return True

    def _stage(self, packet: bytes) -> None:
        if len(self.staged) >= MAX_STAGED_PACKETS:
            self.staged.popleft()
            self.interface.refusals[Reason.NO_SESSION] += 1
        self.staged.append(packet)

    def _send_staged(self, now: float) -> None:
        if not self.staged:
            return
        spare = self.device.spare
        while self.staged:
            spare.load_packet(self.staged[0])
            if not self._seal(spare, now):
                return
            self.device.copy_last_datagram()
            self.staged.popleft()
        self._arm_new_handshake(now)

    def _keep_fresh_sending(self, now: float) -> None:
        keypair = self.keypairs.current
        if keypair is None:
            return
        too_old = keypair.initiator and now - keypair.created >= self.device.values.rekey_after_time
        if too_old or keypair.counter > REKEY_AFTER_MESSAGES:
            self.handshake.initiate(now)

    def _keep_fresh_receiving(self, now: float) -> None:
        keypair = self.keypairs.current
        if keypair is None or not keypair.initiator or self._sent_last_minute_handshake:
            return
        if now - keypair.created >= self.device.values.last_minute:
            self._sent_last_minute_handshake = True
            self.handshake.initiate(now)

    def _owe_keepalive(self, now: float) -> None:
        if self.timers.keepalive != inf:
            self._need_another_keepalive = True
            return
        self.timers.keepalive = now + self.device.values.keepalive_timeout
        self.schedule(self.timers.keepalive)

    def _note_sent(self, size: int, now: float) -> None:
        self.tx_bytes += size
        self.timers.keepalive = inf
        if self.persistent_keepalive:
            self._rearm_persistent(now)

    def _rearm_persistent(self, now: float) -> None:
        self.timers.persistent_keepalive = now + self.persistent_keepalive
        self.schedule(self.timers.persistent_keepalive)

    def _arm_new_handshake(self, now: float) -> None:
        values = self.device.values
        self.timers.new_handshake = (
            now + values.keepalive_timeout + values.rekey_timeout + self.handshake.jitter
        )
        self.schedule(self.timers.new_handshake)

    def _move(self, source: SocketAddress, local: LocalAddress | None) -> None:
        before = self.endpoint
        self.endpoint = Endpoint(source, local, self.interface.mark)
        if before is None or before.remote != source:
            self.device.emit(EndpointMoved(self.interface.name, self.public_key, source))
