"""WireGuard on one UDP port: the identities that share it, the dispatch of datagrams and the clock of all peers."""

import heapq
import struct
from collections import deque
from collections.abc import Iterable
from ipaddress import ip_address
from math import inf

from babelwg.wireguard.allowedips import IPV4_HEADER, IPV6_HEADER
from babelwg.wireguard.callers import CallerTable
from babelwg.wireguard.events import Endpoint, Event, LocalAddress, SocketAddress
from babelwg.wireguard.indices import IndexTable
from babelwg.wireguard.interface import Interface
from babelwg.wireguard.keypair import REJECT_AFTER_MESSAGES
from babelwg.wireguard.noise.cookie import CookieServer, LoadMeter, RateLimiter, has_valid_mac1
from babelwg.wireguard.noise.crypto import (
    AuthenticationError,
    PacketBuffer,
    SecretSource,
    WeakPointError,
)
from babelwg.wireguard.noise.handshake import ReceivedInitiation, StaticKeys
from babelwg.wireguard.noise.messages import (
    COOKIE_REPLY_SIZE,
    INITIATION_SIZE,
    RESPONSE_SIZE,
    TRANSPORT_MINIMUM,
    CookieReply,
    Initiation,
    MessageType,
    Response,
)
from babelwg.wireguard.nudge import NUDGE_INDEX, receive_nudge
from babelwg.wireguard.peer import Peer
from babelwg.wireguard.refusals import Reason, Refusals
from babelwg.wireguard.timers import PROTOCOL_VALUES, TimerValues

# Specification constants
HANDSHAKE_TRAFFIC_CLASS = 0x88  # AF41, so that a full link does not lose the keys too
# Implementation constants
MAX_EVENTS = 1024  # kept for an owner that does not fetch them

_HEADER = struct.Struct("<IIQ")
_WORD = struct.Struct("<I")
_HANDSHAKE_SIZES: dict[int, int] = {
    MessageType.INITIATION: INITIATION_SIZE,
    MessageType.RESPONSE: RESPONSE_SIZE,
    MessageType.COOKIE_REPLY: COOKIE_REPLY_SIZE,
}

# What arrived: the buffer, who sent it, and the address of ours it came to if known.
Arrival = tuple[PacketBuffer, SocketAddress, LocalAddress | None]
# What leaves: where to, the octets, and the traffic class (DSCP and ECN) of the outer packet.
Outgoing = tuple[Endpoint, bytes | memoryview, int]


class PeerConflictError(Exception):
    """Two interfaces with one private key on one port have the same peer, so nobody could tell them apart."""


class Identity:
    """One private key on the port, and who may speak to it."""

    def __init__(self, keys: StaticKeys) -> None:
        self.keys = keys
        self.peers: dict[bytes, Peer] = {}
        self.interfaces: set[Interface] = set()


class Device:
    """WireGuard on one UDP port, performing no I/O.

    After any `send_`, `receive_` or `handle_` call, collect `datagrams_to_send()`, `packets_to_deliver()` and
    `events()`, then come back no later than `next_deadline()`. Views among the datagrams and packets lie in the
    buffers that were given and are valid until those are used again.
    """

    def __init__(
        self,
        secrets: SecretSource,
        indices: IndexTable | None = None,
        values: TimerValues = PROTOCOL_VALUES,
        clock_offset: float = 0.0,
    ) -> None:
        self.secrets = secrets
        self.indices = indices if indices is not None else IndexTable(secrets)
        self.values = values
        self.clock_offset = clock_offset  # seconds from the clock of `now` to Unix time
        self.identities: dict[bytes, Identity] = {}
        self.refusals: Refusals = Refusals()
        self.callers = CallerTable()
        self.spare = PacketBuffer()
        self.outgoing: list[Outgoing] = []
        self._delivered: list[tuple[Interface, memoryview]] = []
        self._events: deque[Event] = deque(maxlen=MAX_EVENTS)
        self._schedule: list[tuple[float, int, Peer]] = []
        self._scheduled = 0
        self._cookies = CookieServer(secrets)
        self._load = LoadMeter()
        self._limiter = RateLimiter()

    # Configuration

    def attach(self, interface: Interface, now: float) -> None:
        """Let an interface with a private key use this port; raises PeerConflictError."""
        assert interface.keys is not None
        assert interface.device is None
        identity = self.identities.get(interface.keys.public) or Identity(interface.keys)
        self._check_conflicts(identity, interface.peers)
        self.identities[interface.keys.public] = identity
        identity.interfaces.add(interface)
        identity.peers.update(interface.peers)
        interface.device = self
        for peer in interface.peers.values():
            peer.scheduled = inf
            self.schedule(peer, peer.timers.earliest())
            interface.start_peer(peer, now)

    def detach(self, interface: Interface, keep_sessions: bool = False) -> None:
        """Take an interface off this port; its sessions may be kept for another device with the same index table."""
        assert interface.device is self
        assert interface.keys is not None
        for peer in interface.peers.values():
            if not keep_sessions:
                peer.stop()
            self._unschedule(peer)
        identity = self.identities[interface.keys.public]
        for public_key in interface.peers:
            del identity.peers[public_key]
        identity.interfaces.discard(interface)
        if not identity.interfaces:
            del self.identities[interface.keys.public]
        interface.device = None

    def learn_peer(self, peer: Peer) -> None:
        """Let a new peer of an attached interface speak to it; raises PeerConflictError."""
        identity = self._identity_of(peer)
        self._check_conflicts(identity, [peer.public_key])
        identity.peers[peer.public_key] = peer

    def forget_peer(self, peer: Peer) -> None:
        """Drop the keys of a peer that is being removed."""
        del self._identity_of(peer).peers[peer.public_key]
        peer.stop()
        self._unschedule(peer)

    # Packets and datagrams

    def send_packets(self, interface: Interface, packets: Iterable[PacketBuffer], now: float) -> None:
        """Send inner packets that the interface read."""
        for buffer in packets:
            interface.send_packet(buffer, now)

    def receive_datagrams(self, arrivals: Iterable[Arrival], now: float) -> None:
        """Take datagrams that came to the port."""
        for buffer, source, local in arrivals:
            length = buffer.length
            if length >= TRANSPORT_MINIMUM and buffer.octets[:4] == b"\4\0\0\0":
                self._receive_transport(buffer, source, local, now)
            else:
                self._receive_handshake(bytes(buffer.datagram[:length]), source, local, now)

    def receive_datagram(
        self, data: bytes, source: SocketAddress, now: float, local: LocalAddress | None = None
    ) -> None:
        """Take one datagram given as octets."""
        buffer = PacketBuffer(max(len(data), TRANSPORT_MINIMUM))
        buffer.load_datagram(data)
        self.receive_datagrams([(buffer, source, local)], now)

    def datagrams_to_send(self, now: float) -> list[Outgoing]:
        """Return what leaves now, oldest first, and forget it."""
        outgoing, self.outgoing = self.outgoing, []
        return outgoing

    def packets_to_deliver(self) -> list[tuple[Interface, memoryview]]:
        """Return the inner packets that arrived, oldest first, and forget them."""
        delivered, self._delivered = self._delivered, []
        return delivered

    def events(self) -> list[Event]:
        """Return what happened, oldest first, and forget it."""
        events = list(self._events)
        self._events.clear()
        return events

    # Time

    def next_deadline(self) -> float | None:
        """Return when `handle_deadline` is due, None for never."""
        return self._schedule[0][0] if self._schedule else None

    def handle_deadline(self, now: float) -> None:
        """Let every peer do what is due."""
        while self._schedule and self._schedule[0][0] <= now:
            at, _, peer = heapq.heappop(self._schedule)
            if peer.scheduled != at:
                continue  # rescheduled earlier, or removed
            peer.scheduled = inf
            peer.handle_timers(now)
            self.schedule(peer, peer.timers.earliest())

    # For peers

    def schedule(self, peer: Peer, at: float) -> None:
        """Look at the timers of a peer at this time or before."""
        if at < peer.scheduled:
            peer.scheduled = at
            self._scheduled += 1
            heapq.heappush(self._schedule, (at, self._scheduled, peer))

    def emit(self, event: Event) -> None:
        """Tell the owner something."""
        self._events.append(event)

    def send_handshake(self, endpoint: Endpoint, data: bytes) -> None:
        """Queue a handshake message."""
        self.outgoing.append((endpoint, data, HANDSHAKE_TRAFFIC_CLASS))

    def copy_last_datagram(self) -> None:
        """Take the last queued datagram out of the spare buffer, which is needed again."""
        endpoint, data, traffic_class = self.outgoing[-1]
        self.outgoing[-1] = (endpoint, bytes(data), traffic_class)

    # Private

    def _receive_transport(
        self, buffer: PacketBuffer, source: SocketAddress, local: LocalAddress | None, now: float
    ) -> None:
        _, index, counter = _HEADER.unpack_from(buffer.octets)
        keypair = self.indices.sessions.get(index)
        if keypair is None or keypair.peer.interface.device is not self:
            self._receive_unknown(buffer, index, source, now)
            return
        peer = keypair.peer
        refusals = peer.interface.refusals
        if now - keypair.created >= self.values.reject_after_time or counter >= REJECT_AFTER_MESSAGES:
            refusals[Reason.SESSION_EXPIRED] += 1
        elif not keypair.receiving.open_packet(buffer, counter):
            refusals[Reason.UNAUTHENTIC] += 1
        elif not keypair.replay.accept(counter):
            refusals[Reason.REPLAYED_PACKET] += 1
        else:
            if buffer.length > TRANSPORT_MINIMUM:
                self._deliver(peer, buffer.room[: buffer.length - TRANSPORT_MINIMUM])
            peer.receive_packet(keypair, source, local, buffer.length, now)

    def _receive_unknown(self, buffer: PacketBuffer, index: int, source: SocketAddress, now: float) -> None:
        reason: Reason | None = Reason.UNKNOWN_INDEX
        if index == NUDGE_INDEX and buffer.length == TRANSPORT_MINIMUM:
            peers = (peer for identity in self.identities.values() for peer in identity.peers.values())
            reason = receive_nudge(peers, bytes(buffer.datagram[: buffer.length]), source, now)
        if reason is not None:
            self.refusals[reason] += 1

    def _deliver(self, peer: Peer, packet: memoryview) -> None:
        interface = peer.interface
        available = len(packet)
        version = packet[0] >> 4
        if version == 4 and available >= IPV4_HEADER:
            length = packet[2] << 8 | packet[3]
            valid = IPV4_HEADER <= length <= available
            address = packet[12:16]
        elif version == 6 and available >= IPV6_HEADER:
            length = IPV6_HEADER + (packet[4] << 8 | packet[5])
            valid = length <= available
            address = packet[8:24]
        else:
            interface.refusals[Reason.NOT_IP if version not in (4, 6) else Reason.WRONG_LENGTH] += 1
            return
        if not valid:
            interface.refusals[Reason.WRONG_LENGTH] += 1
        elif interface.allowed_ips.find(bytes(address)) is not peer:
            interface.refusals[Reason.WRONG_SOURCE] += 1
        else:
            self._delivered.append((interface, packet[:length]))

    def _receive_handshake(
        self, data: bytes, source: SocketAddress, local: LocalAddress | None, now: float
    ) -> None:
        reason = self._handle_handshake(data, source, local, now)
        if reason is not None:
            self.refusals[reason] += 1

    def _handle_handshake(
        self, data: bytes, source: SocketAddress, local: LocalAddress | None, now: float
    ) -> Reason | None:
        kind = _WORD.unpack_from(data)[0] if len(data) >= _WORD.size else 0
        if _HANDSHAKE_SIZES.get(kind) != len(data):
            return Reason.MALFORMED
        if kind == MessageType.COOKIE_REPLY:
            return self._receive_cookie(CookieReply.decode(data), now)
        identity = self._identity_addressed(data)
        if identity is None:
            self.callers.note(Reason.WRONG_MAC1, source, now)
            return Reason.WRONG_MAC1
        refused = self._refuse_under_load(identity, data, source, local, now)
        if refused is not None:
            return refused
        try:
            if kind == MessageType.INITIATION:
                return self._receive_initiation(identity, Initiation.decode(data), source, local, now)
            return self._receive_response(Response.decode(data), source, local, now)
        except AuthenticationError:
            return Reason.UNAUTHENTIC
        except WeakPointError:
            return Reason.WEAK_POINT

    def _identity_addressed(self, data: bytes) -> Identity | None:
        for identity in self.identities.values():
            if has_valid_mac1(identity.keys, data):
                return identity
        return None

    def _refuse_under_load(
        self, identity: Identity, data: bytes, source: SocketAddress, local: LocalAddress | None, now: float
    ) -> Reason | None:
        if not self._load.is_loaded(now):
            return None
        address = ip_address(source[0].partition("%")[0]).packed
        octets = address + source[1].to_bytes(2, "big")
        if self._cookies.has_valid_mac2(data, octets, now):
            return None if self._limiter.allows(address, now) else Reason.RATE_LIMITED
        sender = _WORD.unpack_from(data, 4)[0]
        reply = self._cookies.reply_to(identity.keys, sender, data, octets, now)
        mark = next(iter(identity.interfaces)).mark
        self.send_handshake(Endpoint(source, local, mark), reply)
        return Reason.UNDER_LOAD

    def _receive_cookie(self, reply: CookieReply, now: float) -> Reason | None:
        peer = self.indices.handshakes.get(reply.receiver)
        if peer is None:
            session = self.indices.sessions.get(reply.receiver)
            peer = session.peer if session is not None else None
        if peer is None or peer.interface.device is not self or not peer.handshake.jar.take(reply, now):
            return Reason.UNEXPECTED_COOKIE
        peer.rx_bytes += COOKIE_REPLY_SIZE
        return None

    def _receive_initiation(
        self,
        identity: Identity,
        message: Initiation,
        source: SocketAddress,
        local: LocalAddress | None,
        now: float,
    ) -> Reason | None:
        received = ReceivedInitiation(identity.keys, message)
        peer = identity.peers.get(received.static)
        if peer is None:
            self.callers.note(Reason.UNKNOWN_PEER, source, now, received.static)
            return Reason.UNKNOWN_PEER
        return peer.handshake.receive_initiation(received, source, local, now)

    def _receive_response(
        self, message: Response, source: SocketAddress, local: LocalAddress | None, now: float
    ) -> Reason | None:
        peer = self.indices.handshakes.get(message.receiver)
        if peer is None or peer.interface.device is not self:
            return Reason.UNEXPECTED_RESPONSE
        try:
            return peer.handshake.receive_response(message, source, local, now)
        except AuthenticationError:
            # It was read with the right private key, or it would not know our index: the preshared keys differ.
            peer.handshake.refused = now
            raise

    def _identity_of(self, peer: Peer) -> Identity:
        assert peer.interface.keys is not None
        return self.identities[peer.interface.keys.public]

    def _check_conflicts(self, identity: Identity, public_keys: Iterable[bytes]) -> None:
        for public_key in public_keys:
            other = identity.peers.get(public_key)
            if other is not None:
                raise PeerConflictError(
                    f"interface {other.interface.name} has the same private key, port and peer"
                )

    def _unschedule(self, peer: Peer) -> None:
        # Its entries in the heap no longer match and are passed over when they come up.
        peer.scheduled = inf
