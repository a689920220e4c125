"""Sessions in use: slots, counters, expiry, padding, cryptokey routing and roaming."""

import pytest

from babelwg.wireguard.events import EndpointMoved, SessionLost
from babelwg.wireguard.keypair import REJECT_AFTER_MESSAGES, Keypair, Keypairs
from babelwg.wireguard.noise.crypto import PacketBuffer
from babelwg.wireguard.noise.handshake import TransportKeys
from babelwg.wireguard.peer import MAX_STAGED_PACKETS
from babelwg.wireguard.uapi import PeerConfig

KEYS = TransportKeys(b"i" * 32, b"r" * 32)


def keypair(initiator):
    return Keypair(None, KEYS, initiator, 1, 2, 0.0)


@pytest.fixture
def connected(pair):
    return pair.connect()


def rekey(pair):
    """Complete another handshake from a."""
    pair.now += 10.0
    pair.a.peer.handshake.initiate(pair.now)
    pair.exchange()


@pytest.mark.conformance("W-sess-1")
def test_initiators_new_session_replaces_the_current_one():
    slots = Keypairs()
    first, second, third = keypair(True), keypair(True), keypair(True)
    assert slots.start_as_initiator(first) == []
    assert slots.start_as_initiator(second) == []
    assert (slots.previous, slots.current, slots.next) == (first, second, None)
    assert slots.start_as_initiator(third) == [first]
    waiting, fourth = keypair(False), keypair(True)
    assert slots.start_as_responder(waiting) == [second]
    assert slots.start_as_initiator(fourth) == [third]
    assert (slots.previous, slots.current, slots.next) == (waiting, fourth, None)


@pytest.mark.conformance("W-sess-1")
def test_responders_new_session_waits_and_drops_the_previous_one():
    slots = Keypairs()
    first, second, third = keypair(False), keypair(False), keypair(False)
    slots.start_as_responder(first)
    assert slots.confirm() == []
    slots.start_as_responder(second)
    assert (slots.previous, slots.current, slots.next) == (None, first, second)
    assert slots.confirm() == []
    assert (slots.previous, slots.current, slots.next) == (first, second, None)
    assert slots.start_as_responder(third) == [first]
    assert slots.clear() == [second, third]


@pytest.mark.conformance("W-sess-1")
def test_packet_under_the_previous_session_is_still_read(connected, packets):
    pair = connected
    pair.a.send(packets.ipv4(b"late"), 1.0)
    [late] = pair.a.collect(1.0)
    rekey(pair)
    pair.b.receive(late, pair.a.source, pair.now)
    assert pair.b.packets == [packets.ipv4(b"late")]
    assert len(pair.b.device.indices.sessions) == 2


@pytest.mark.conformance("W-hs-7", "W-sess-1")
def test_dropped_session_is_erased_and_its_index_forgotten(connected, packets):
    pair = connected
    pair.a.send(packets.ipv4(b"late"), 1.0)
    [late] = pair.a.collect(1.0)
    for _ in range(2):
        rekey(pair)
    pair.b.receive(late, pair.a.source, pair.now)
    assert pair.b.packets == []
    assert pair.b.refused() == {"unknown-index": 1}
    assert len(pair.a.device.indices.sessions) == 2
    assert pair.a.device.indices.handshakes == {}


@pytest.mark.conformance("W-sess-2")
def test_counters_start_at_zero_and_grow_by_one(connected, packets):
    pair = connected
    assert pair.a.peer.keypairs.current.counter == 1
    for number in range(1, 5):
        pair.a.send(packets.ipv4(), 1.0)
        [data] = pair.a.collect(1.0)
        assert int.from_bytes(data[8:16], "little") == number


@pytest.mark.conformance("W-sess-2", "W-tm-1")
def test_session_with_too_many_messages_is_renewed_and_then_not_used(connected, packets):
    pair = connected
    pair.now = 10.0
    pair.a.peer.keypairs.current.counter = 2**60 + 1
    pair.send(pair.a, packets.ipv4(b"x"))
    assert [len(d) for d in pair.a.sent] == [64, 148, 32]
    pair.now = 20.0
    pair.a.peer.keypairs.current.counter = REJECT_AFTER_MESSAGES
    pair.passes = lambda sender, data: False
    pair.forget()
    pair.send(pair.a, packets.ipv4(b"y"))
    assert [len(d) for d in pair.a.sent] == [148]


@pytest.mark.conformance("W-tm-1")
def test_responder_also_renews_after_too_many_messages(connected, packets):
    pair = connected
    pair.now = 10.0
    pair.b.peer.keypairs.current.counter = 2**60 + 1
    pair.send(pair.b, packets.ipv4(b"x"))
    assert [len(d) for d in pair.b.sent] == [64, 148, 32]


@pytest.mark.conformance("W-sess-3", "W-roam-2")
def test_replayed_packet_is_dropped_and_moves_nothing(connected, packets):
    pair = connected
    pair.a.send(packets.ipv4(b"once"), 1.0)
    [data] = pair.a.collect(1.0)
    pair.b.receive(data, pair.a.source, 1.0)
    pair.b.receive(data, ("198.51.100.9", 1), 1.0)
    assert pair.b.packets == [packets.ipv4(b"once")]
    assert pair.b.refused() == {"replayed-packet": 1}
    assert pair.b.peer.endpoint.remote == pair.a.source


@pytest.mark.conformance("W-sess-3")
def test_forged_packet_does_not_move_the_window(connected, packets):
    pair = connected
    pair.a.send(packets.ipv4(b"real"), 1.0)
    [data] = pair.a.collect(1.0)
    forged = data[:8] + (2**40).to_bytes(8, "little") + data[16:]
    pair.b.receive(forged, ("198.51.100.9", 1), 1.0)
    pair.b.receive(data, pair.a.source, 1.0)
    assert pair.b.packets == [packets.ipv4(b"real")]
    assert pair.b.refused() == {"unauthentic": 1}
    assert pair.b.peer.endpoint.remote == pair.a.source


@pytest.mark.conformance("W-sess-3")
def test_counter_beyond_the_limit_is_dropped(connected, packets):
    pair = connected
    pair.a.peer.keypairs.current.counter = REJECT_AFTER_MESSAGES - 1
    pair.a.send(packets.ipv4(b"last"), 1.0)
    data = next(d for d in pair.a.collect(1.0) if d[0] == 4)
    beyond = data[:8] + REJECT_AFTER_MESSAGES.to_bytes(8, "little") + data[16:]
    pair.b.receive(beyond, pair.a.source, 1.0)
    assert pair.b.refused() == {"session-expired": 1}
    pair.b.receive(data, pair.a.source, 1.0)
    assert pair.b.packets == [packets.ipv4(b"last")]


@pytest.mark.conformance("W-sess-4")
def test_session_neither_receives_nor_sends_after_180_seconds(connected, packets):
    pair = connected
    pair.passes = lambda sender, data: False
    pair.a.send(packets.ipv4(b"x"), 1.0)
    [data] = pair.a.collect(1.0)
    pair.b.receive(data, pair.a.source, 179.9)
    assert len(pair.b.packets) == 1
    pair.a.send(packets.ipv4(b"y"), 1.0)
    [data] = pair.a.collect(1.0)
    pair.b.receive(data, pair.a.source, 180.0)
    assert len(pair.b.packets) == 1
    assert pair.b.refused() == {"session-expired": 1}
    pair.a.send(packets.ipv4(b"z"), 180.0)
    assert [len(d) for d in pair.a.collect(180.0)] == [148]


@pytest.mark.conformance("W-sess-5")
def test_keys_are_erased_after_540_seconds_without_a_new_session(connected):
    pair = connected
    pair.advance(539.0)
    assert pair.a.peer.keypairs.current is not None
    pair.forget()
    pair.advance(2.0)
    for end in (pair.a, pair.b):
        assert end.peer.keypairs.clear() == []
        assert end.device.indices.sessions == {}
        assert end.device.events() == [SessionLost(end.name, pair.other(end).public)]


# Padding


@pytest.mark.conformance("W-pad-1")
@pytest.mark.parametrize(
    ("length", "mtu", "padded"),
    [
        (20, 1420, 32),
        (32, 1420, 32),
        (33, 1420, 48),
        (1419, 1420, 1420),
        (1420, 1420, 1420),
        (1408, 1420, 1408),
    ]
    + [(1409, 1420, 1420), (25, 30, 30), (60, 30, 60)],
)
def test_packets_are_padded_to_16_but_not_beyond_the_mtu(connected, packets, length, mtu, padded):
    pair = connected
    pair.a.interface.mtu = mtu
    packet = packets.ipv4(b"x" * (length - 20))
    pair.send(pair.a, packet)
    assert [len(d) - 32 for d in pair.a.sent] == [padded]
    assert pair.b.packets == [packet]


def deliver_raw(pair, plaintext):
    """Let a seal any octets, as a broken or hostile peer might."""
    current = pair.a.peer.keypairs.current
    buffer = PacketBuffer()
    buffer.load_packet(plaintext)
    buffer.octets[:16] = (
        b"\4\0\0\0" + current.remote_index.to_bytes(4, "little") + current.counter.to_bytes(8, "little")
    )
    current.sending.seal_packet(buffer, len(plaintext), current.counter)
    current.counter += 1
    pair.b.receive(bytes(buffer.datagram[: 32 + len(plaintext)]), pair.a.source, pair.now)


@pytest.mark.conformance("W-pad-2", "W-aip-4")
def test_inner_lengths_that_do_not_fit_are_dropped(connected, packets):
    pair = connected
    good = packets.ipv4(b"abc")
    deliver_raw(pair, good[:2] + b"\0\x30" + good[4:])  # longer than what is there
    deliver_raw(pair, good[:2] + b"\0\x13" + good[4:])  # shorter than its own header
    deliver_raw(pair, good[:19])
    deliver_raw(pair, packets.ipv6(b"abc")[:39])
    deliver_raw(pair, packets.ipv6(b"abc")[:42])
    assert pair.b.refused() == {"wrong-length": 5}
    deliver_raw(pair, b"\x00" * 40)
    deliver_raw(pair, b"\x75" * 40)
    assert pair.b.refused() == {"wrong-length": 5, "not-ip": 2}
    assert pair.b.packets == []
    deliver_raw(pair, packets.ipv6(b"abc") + bytes(13))
    assert pair.b.packets == [packets.ipv6(b"abc")]


# Cryptokey routing


@pytest.mark.conformance("W-aip-2")
def test_packet_with_a_source_that_is_not_the_peers_is_dropped(connected, packets):
    pair = connected
    pair.b.configure(public_key=pair.a.public, replace_allowed_ips=True, allowed_ips=("10.0.0.1/32",))
    pair.send(pair.a, packets.ipv4(b"good"))
    pair.send(pair.a, packets.ipv4(b"spoofed", source="10.0.0.9"))
    assert pair.b.packets == [packets.ipv4(b"good")]
    assert pair.b.refused() == {"wrong-source": 1}


@pytest.mark.conformance("W-aip-1", "W-aip-4")
def test_packet_for_nobody_is_dropped_and_counted(connected, packets):
    pair = connected
    pair.a.configure(public_key=pair.b.public, replace_allowed_ips=True, allowed_ips=("10.0.0.2/32",))
    pair.send(pair.a, packets.ipv4(destination="10.0.0.3"))
    pair.send(pair.a, packets.ipv6())
    pair.send(pair.a, b"")
    pair.send(pair.a, b"\x45")
    assert pair.a.sent == []
    assert pair.a.refused() == {"no-allowed-ip": 4}


@pytest.mark.conformance("W-aip-1", "W-aip-2", "W-aip-3")
def test_two_peers_behind_one_interface_get_their_own_packets(connected, packets, make_end):
    pair = connected
    third = make_end("c", b"\x33" * 32, "192.0.2.3", 3)
    third.configure(public_key=pair.a.public, allowed_ips=("0.0.0.0/0",))
    pair.a.configure(public_key=third.public, endpoint="192.0.2.3:51820", allowed_ips=("10.0.3.0/24",))
    pair.a.send(packets.ipv4(b"to c", destination="10.0.3.1"), 1.0)
    [initiation] = pair.a.collect(1.0)
    third.receive(initiation, pair.a.source, 1.0)
    pair.a.receive(third.collect(1.0)[0], third.source, 1.0)
    third.receive(pair.a.collect(1.0)[0], pair.a.source, 1.0)
    assert third.packets == [packets.ipv4(b"to c", destination="10.0.3.1")]
    third.send(packets.ipv4(b"lie", source="10.0.0.2"), 1.0)
    third.send(packets.ipv4(b"true", source="10.0.3.1"), 1.0)
    for data in third.collect(1.0):
        pair.a.receive(data, third.source, 1.0)
    assert pair.a.packets == [packets.ipv4(b"true", source="10.0.3.1")]


def test_packet_to_a_peer_without_endpoint_is_dropped_and_counted(pair, packets):
    pair.send(pair.b, packets.ipv4())
    assert pair.b.sent == []
    assert pair.b.refused() == {"no-endpoint": 1}


@pytest.mark.conformance("W-tm-8")
def test_full_queue_drops_the_oldest_and_counts(pair, packets):
    pair.passes = lambda sender, data: False
    for number in range(MAX_STAGED_PACKETS + 3):
        pair.send(pair.a, packets.ipv4(number.to_bytes(2, "big")))
    assert pair.a.refused() == {"no-session": 3}
    pair.passes = lambda sender, data: True
    pair.advance(6.0)
    expected = [packets.ipv4(n.to_bytes(2, "big")) for n in range(3, MAX_STAGED_PACKETS + 3)]
    assert pair.b.packets == expected


# Roaming


@pytest.mark.conformance("W-roam-1")
@pytest.mark.parametrize("what", ["data", "keepalive", "handshake"])
def test_authentic_packet_from_elsewhere_moves_the_endpoint(connected, packets, what):
    pair = connected
    pair.now = 10.0
    if what == "data":
        pair.a.send(packets.ipv4(), pair.now)
    elif what == "keepalive":
        pair.a.peer.send_keepalive(pair.now)
    else:
        pair.a.peer.handshake.initiate(pair.now)
    pair.b.receive(pair.a.collect(pair.now)[0], ("203.0.113.5", 9), pair.now)
    assert pair.b.peer.endpoint.remote == ("203.0.113.5", 9)
    assert pair.b.device.events() == [EndpointMoved("b", pair.a.public, ("203.0.113.5", 9))]
    pair.b.device.datagrams_to_send(pair.now)
    pair.b.send(packets.ipv4(), pair.now)
    assert {e.remote for e, _, _ in pair.b.device.datagrams_to_send(pair.now)} == {("203.0.113.5", 9)}


def test_initiator_follows_a_responder_that_answers_from_elsewhere(pair, packets):
    pair.a.send(packets.ipv4(), 0.0)
    pair.b.receive(pair.a.collect(0.0)[0], pair.a.source, 0.0)
    pair.a.receive(pair.b.collect(0.0)[0], ("203.0.113.6", 8), 0.0)
    assert pair.a.peer.endpoint.remote == ("203.0.113.6", 8)


def test_removed_peer_takes_its_keys_along(connected, packets):
    pair = connected
    pair.a.send(packets.ipv4(), 1.0)
    [data] = pair.a.collect(1.0)
    pair.b.interface.configure_peer(PeerConfig(pair.a.public, remove=True), 1.0, int)
    pair.b.receive(data, pair.a.source, 1.0)
    assert pair.b.refused() == {"unknown-index": 1}
    assert pair.b.device.indices.sessions == {}
    pair.b.device.handle_deadline(10_000.0)  # its timers have gone with it
    assert pair.b.collect(10_000.0) == []


def test_same_seed_gives_the_same_octets(make_pair, packets):
    def run():
        pair = make_pair()
        pair.send(pair.a, packets.ipv4(b"x"))
        pair.advance(400.0)
        return pair.a.sent, pair.b.sent

    assert run() == run()
