"""An interface: one private key, the peers behind it and which inner addresses belong to each."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from babelwg.wireguard.allowedips import AllowedIps, Network
from babelwg.wireguard.events import Endpoint
from babelwg.wireguard.noise.crypto import PacketBuffer, dh
from babelwg.wireguard.noise.handshake import StaticKeys
from babelwg.wireguard.peer import Peer
from babelwg.wireguard.refusals import Reason, Refusals
from babelwg.wireguard.uapi import DeviceState, PeerConfig, PeerState, read_endpoint, write_endpoint

if TYPE_CHECKING:
    from babelwg.wireguard.device import Device

# Specification constants
DEFAULT_MTU = 1420  # octets: 1500 less the 80 that IPv6, UDP and WireGuard add


class Interface:
    """What one network interface holds; it sends and receives while a device has it attached."""

    def __init__(self, name: str, mtu: int = DEFAULT_MTU) -> None:
        self.name = name
        self.mtu = mtu  # octets of inner packets
        self.mark = 0  # the firewall mark of what it sends, 0 for none
        self.keys: StaticKeys | None = None
        self.device: Device | None = None
        self.peers: dict[bytes, Peer] = {}
        self.allowed_ips: AllowedIps[Peer] = AllowedIps()
        self.refusals: Refusals = Refusals()
        self._shared: dict[bytes, bytes] = {}

    def send_packet(self, buffer: PacketBuffer, now: float) -> None:
        """Send one inner packet to the peer that its destination belongs to."""
        peer = self.allowed_ips.find_destination(buffer.room[: buffer.length])
        if peer is None:
            self.refusals[Reason.NO_ALLOWED_IP] += 1
        elif peer.endpoint is None:
            self.refusals[Reason.NO_ENDPOINT] += 1
        else:
            peer.send_packet(buffer, now)

    def shared_secret(self, public_key: bytes) -> bytes:
        """Return the static-static secret with a peer, computed once; raises WeakPointError."""
        assert self.keys is not None, "an interface without a key is not attached"
        secret = self._shared.get(public_key)
        if secret is None:
            secret = self._shared[public_key] = dh(self.keys.private, public_key)
        return secret

    def set_private_key(self, private: bytes) -> None:
        """Change the private key, all zero for none; every session made with the old one ends."""
        assert self.device is None, "detach the interface before its key changes"
        self.keys = StaticKeys.of(private) if any(private) else None
        self._shared.clear()
        if self.keys is not None:
            self.remove_peer(self.keys.public)

    def set_mark(self, mark: int) -> None:
        """Change the firewall mark of what it sends from now on."""
        self.mark = mark
        for peer in self.peers.values():
            if peer.endpoint is not None:
                peer.endpoint = peer.endpoint._replace(mark=mark)

    def configure_peer(self, config: PeerConfig, now: float, zone_index: Callable[[str], int]) -> None:
        """Apply one section of a UAPI request; raises PeerConflict and then nothing has changed."""
        if self.keys is not None and config.public_key == self.keys.public:
            return
        if config.remove:
            self.remove_peer(config.public_key)
            return
        peer = self.peers.get(config.public_key)
        if peer is None:
            if config.update_only:
                return
            peer = self._add_peer(config.public_key)
        if config.preshared_key is not None:
            peer.preshared_key = config.preshared_key
        self._set_allowed_ips(peer, config)
        had_endpoint = peer.endpoint is not None
        if config.endpoint is not None:
            peer.endpoint = Endpoint(read_endpoint(config.endpoint, zone_index), None, self.mark)
        if config.persistent_keepalive_interval is not None:
            peer.set_persistent_keepalive(config.persistent_keepalive_interval, now)
        if peer.endpoint is not None and not had_endpoint:
            self.start_peer(peer, now)

    def start_peer(self, peer: Peer, now: float) -> None:
        """Begin at once with a peer that can now be reached, if its path is to be kept open."""
        if self.device is not None and peer.persistent_keepalive and peer.keypairs.current is None:
            peer.handshake.initiate(now)

    def remove_peer(self, public_key: bytes) -> None:
        """Forget a peer and its keys, if it is known."""
        peer = self.peers.pop(public_key, None)
        if peer is None:
            return
        self.allowed_ips.remove_all(peer)
        self._shared.pop(public_key, None)
        if self.device is not None:
            self.device.forget_peer(peer)

    def state(self, listen_port: int) -> DeviceState:
        """Return what a UAPI `get` reports."""
        return DeviceState(
            private_key=self.keys.private if self.keys is not None else None,
            listen_port=listen_port,
            fwmark=self.mark,
            peers=tuple(self._peer_state(peer) for peer in self.peers.values()),
        )

    def _add_peer(self, public_key: bytes) -> Peer:
        peer = Peer(self, public_key)
        if self.device is not None:
            self.device.learn_peer(peer)
        self.peers[public_key] = peer
        return peer

    def _set_allowed_ips(self, peer: Peer, config: PeerConfig) -> None:
        if config.replace_allowed_ips:
            self.allowed_ips.remove_all(peer)
        for text in config.allowed_ips:
            if text.startswith("-"):
                self.allowed_ips.remove(Network.parse(text[1:]), peer)
            else:
                self.allowed_ips.add(Network.parse(text), peer)

    def _peer_state(self, peer: Peer) -> PeerState:
        seconds = int(peer.last_handshake)
        return PeerState(
            public_key=peer.public_key,
            preshared_key=peer.preshared_key,
            endpoint=write_endpoint(peer.endpoint.remote) if peer.endpoint is not None else None,
            last_handshake_time_sec=seconds,
            last_handshake_time_nsec=int((peer.last_handshake - seconds) * 1e9),
            tx_bytes=peer.tx_bytes,
            rx_bytes=peer.rx_bytes,
            persistent_keepalive_interval=peer.persistent_keepalive,
            allowed_ips=tuple(str(network) for network in self.allowed_ips.of(peer)),
        )
