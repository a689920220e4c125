"""Several interfaces on one UDP port."""

import pytest

from babelwg.wireguard.device import Device, PeerConflictError
from babelwg.wireguard.indices import IndexTable
from babelwg.wireguard.interface import Interface
from babelwg.wireguard.noise.crypto import PacketBuffer
from babelwg.wireguard.uapi import PeerConfig

HUB = b"\x77" * 32
ANY = ("0.0.0.0/0", "::/0")
ADDRESS = ("192.0.2.100", 51820)


class Hub:
    """One port with an interface per peer."""

    def __init__(self, secrets):
        self.indices = IndexTable(secrets)
        self.secrets = secrets
        self.device = self.port()

    def port(self):
        return Device(self.secrets, self.indices, clock_offset=1_700_000_000.0)

    def add(self, name, private, peer, device=None):
        interface = Interface(name)
        interface.set_private_key(private)
        interface.configure_peer(PeerConfig(peer, allowed_ips=ANY), 0.0, int)
        (device or self.device).attach(interface, 0.0)
        return interface

    def take(self, end, now=0.0, device=None):
        """Carry what `end` has to send here and return (interface name, packet) for what arrived."""
        device = device or self.device
        arrived = []
        for _ in range(4):
            for data in end.collect(now):
                device.receive_datagram(data, end.source, now)
            arrived += [(i.name, bytes(packet)) for i, packet in device.packets_to_deliver()]
            for endpoint, data, _ in device.datagrams_to_send(now):
                assert endpoint.remote == end.source
                end.receive(bytes(data), ADDRESS, now)
        return arrived


@pytest.fixture
def hub(secrets):
    return Hub(secrets)


def spoke(make_end, number, hub_key, pair):
    end = make_end(f"s{number}", bytes([number]) * 32, f"192.0.2.{number}", number)
    end.configure(public_key=hub_key, endpoint="192.0.2.100:51820", allowed_ips=ANY)
    return end


def test_each_peers_packets_come_out_of_its_own_interface(hub, make_end, packets, pair):
    public = hub.add("one", HUB, b"\x01" * 32).keys.public
    ends = [spoke(make_end, number, public, pair) for number in (2, 3, 4)]
    for end in ends:
        hub.add(f"to-{end.name}", HUB, end.public)
    for end in ends:
        end.send(packets.ipv4(end.name.encode()), 0.0)
        assert hub.take(end) == [(f"to-{end.name}", packets.ipv4(end.name.encode()))]
    assert len(hub.device.identities) == 1


def test_two_private_keys_share_a_port(hub, make_end, packets, pair):
    first = hub.add("first", HUB, b"\x01" * 32)
    second = Interface("second")
    second.set_private_key(b"\x55" * 32)
    hub.device.attach(second, 0.0)
    for number, interface in ((2, first), (3, second)):
        end = spoke(make_end, number, interface.keys.public, pair)
        interface.configure_peer(PeerConfig(end.public, allowed_ips=("10.0.0.0/8",)), 0.0, int)
        end.send(packets.ipv4(b"x"), 0.0)
        assert hub.take(end) == [(interface.name, packets.ipv4(b"x"))]
    assert len(hub.device.identities) == 2


def test_same_key_port_and_peer_twice_is_refused(hub):
    hub.add("first", HUB, b"\x01" * 32)
    with pytest.raises(PeerConflictError, match="interface first has the same private key, port and peer"):
        hub.add("second", HUB, b"\x01" * 32)
    third = hub.add("third", HUB, b"\x02" * 32)
    with pytest.raises(PeerConflictError):
        third.configure_peer(PeerConfig(b"\x01" * 32), 0.0, int)
    assert list(third.peers) == [b"\x02" * 32]


def test_same_peer_twice_works_on_two_ports(hub):
    hub.add("first", HUB, b"\x01" * 32)
    hub.add("second", HUB, b"\x01" * 32, device=hub.port())
    assert len(hub.device.identities) == 1


def test_session_moves_with_its_interface_to_another_port(hub, make_end, packets, pair):
    interface = hub.add("one", HUB, b"\x01" * 32)
    end = spoke(make_end, 2, interface.keys.public, pair)
    interface.configure_peer(PeerConfig(end.public, allowed_ips=ANY), 0.0, int)
    end.send(packets.ipv4(b"before"), 0.0)
    assert hub.take(end) == [("one", packets.ipv4(b"before"))]
    other = hub.port()
    hub.device.detach(interface, keep_sessions=True)
    other.attach(interface, 1.0)
    end.send(packets.ipv4(b"after"), 1.0)
    [data] = end.collect(1.0)
    hub.device.receive_datagram(data, end.source, 1.0)
    assert dict(hub.device.refusals) == {"unknown-index": 1}
    other.receive_datagram(data, end.source, 1.0)
    assert [(i.name, bytes(p)) for i, p in other.packets_to_deliver()] == [("one", packets.ipv4(b"after"))]
    assert hub.device.identities == {}
    # The timers have moved along: after ten seconds without an answer of ours, a keepalive leaves by the new port.
    hub.device.handle_deadline(20.0)
    other.handle_deadline(20.0)
    assert hub.device.datagrams_to_send(20.0) == []
    assert 32 in [len(data) for _, data, _ in other.datagrams_to_send(20.0)]


def test_new_private_key_ends_all_sessions(hub, make_end, packets, pair):
    interface = hub.add("one", HUB, b"\x01" * 32)
    end = spoke(make_end, 2, interface.keys.public, pair)
    interface.configure_peer(PeerConfig(end.public, allowed_ips=ANY), 0.0, int)
    end.send(packets.ipv4(b"x"), 0.0)
    hub.take(end)
    hub.device.detach(interface)
    interface.set_private_key(b"\x78" * 32)
    hub.device.attach(interface, 1.0)
    assert hub.indices.sessions == {}
    end.send(packets.ipv4(b"y"), 1.0)
    assert hub.take(end, 1.0) == []
    end.configure(1.0, public_key=interface.keys.public, endpoint="192.0.2.100:51820", allowed_ips=ANY)
    end.send(packets.ipv4(b"z"), 1.0)
    assert hub.take(end, 1.0) == [("one", packets.ipv4(b"z"))]


def test_key_that_becomes_our_own_removes_that_peer(hub):
    interface = Interface("x")
    interface.set_private_key(HUB)
    own = interface.keys.public
    interface.set_private_key(bytes(32))
    assert interface.keys is None
    interface.configure_peer(PeerConfig(own), 0.0, int)
    assert list(interface.peers) == [own]
    interface.set_private_key(HUB)
    assert interface.peers == {}


def test_mark_of_the_interface_goes_with_its_datagrams(hub, packets):
    interface = hub.add("one", HUB, b"\x01" * 32)
    interface.configure_peer(PeerConfig(b"\x02" * 32, endpoint="192.0.2.2:1", allowed_ips=ANY), 0.0, int)
    interface.set_mark(0x6277)
    buffer = PacketBuffer()
    buffer.load_packet(packets.ipv4())
    hub.device.send_packets(interface, [buffer], 0.0)
    assert [endpoint.mark for endpoint, _, _ in hub.device.datagrams_to_send(0.0)] == [0x6277]


@pytest.mark.conformance("W-uapi-3")
def test_removing_or_updating_an_absent_peer_changes_nothing(hub):
    interface = hub.add("one", HUB, b"\x01" * 32)
    interface.configure_peer(PeerConfig(b"\x09" * 32, remove=True), 0.0, int)
    interface.configure_peer(PeerConfig(b"\x09" * 32, update_only=True, endpoint="192.0.2.2:1"), 0.0, int)
    assert list(interface.peers) == [b"\x01" * 32]


def test_state_reports_what_was_configured(hub):
    interface = hub.add("one", HUB, b"\x01" * 32)
    config = PeerConfig(b"\x01" * 32, False, False, b"p" * 32, "[2001:db8::1]:5", 25, True, ("10.0.0.0/8",))
    interface.configure_peer(config, 0.0, int)
    state = interface.state(51820)
    assert (state.private_key, state.listen_port, state.fwmark) == (HUB, 51820, 0)
    [peer] = state.peers
    assert (peer.preshared_key, peer.endpoint, peer.persistent_keepalive_interval) == (
        b"p" * 32,
        "[2001:db8::1]:5",
        25,
    )
    assert (peer.allowed_ips, peer.last_handshake_time_sec) == (("10.0.0.0/8",), 0)
