"""What a device makes of handshake messages, good, bad and hostile."""

import pytest

from babelwg.wireguard.events import EndpointMoved, HandshakeCompleted, LocalAddress
from babelwg.wireguard.noise.cookie import LOAD_MESSAGES, LoadMeter, RateLimiter, has_valid_mac1
from babelwg.wireguard.noise.handshake import StaticKeys
from babelwg.wireguard.noise.messages import Initiation, Response

STRANGER = ("198.51.100.9", 4000)


@pytest.fixture
def initiation(pair, packets):
    """The first message of a towards b, not yet carried."""
    pair.a.send(packets.ipv4(), 0.0)
    [data] = pair.a.collect(0.0)
    return data


def answer(pair, data, now=0.1, source=STRANGER):
    pair.b.receive(data, source, now)
    return pair.b.collect(now)


@pytest.mark.conformance("W-tm-8", "W-hs-9")
def test_first_packet_survives_the_handshake(pair, packets):
    pair.send(pair.a, packets.ipv4(b"first"))
    assert [len(data) for data in pair.a.sent] == [148, 64]
    assert [len(data) for data in pair.b.sent] == [92]
    assert pair.b.packets == [packets.ipv4(b"first")]
    assert pair.a.device.events() == [HandshakeCompleted("a", pair.b.public, initiator=True)]
    assert pair.b.device.events() == [
        EndpointMoved("b", pair.a.public, pair.a.source),
        HandshakeCompleted("b", pair.a.public, initiator=False),
    ]


def test_counters_hold_whole_udp_payloads(pair):
    # Recorded against wireguard-go: one handshake, a keepalive and one ping.
    pair.a.peer.handshake.initiate(0.0)
    pair.exchange()
    assert (pair.a.peer.tx_bytes, pair.a.peer.rx_bytes) == (148 + 32, 92)
    assert (pair.b.peer.tx_bytes, pair.b.peer.rx_bytes) == (92, 148 + 32)
    assert pair.a.peer.last_handshake == 1_700_000_000.0


@pytest.mark.conformance("W-msg-1", "W-msg-2")
@pytest.mark.parametrize(
    "change",
    [
        lambda d: d[:-1],
        lambda d: d + b"\0",
        lambda d: b"\1\0\1\0" + d[4:],
        lambda d: b"\5\0\0\0" + d[4:],
        lambda d: b"\0" * 148,
        lambda d: b"",
        lambda d: b"\4\0\0\0" + bytes(27),
    ],
    ids=["short", "long", "reserved", "type", "zeros", "empty", "short-transport"],
)
def test_message_of_wrong_form_is_dropped_silently(pair, initiation, change):
    assert answer(pair, change(initiation)) == []
    assert pair.b.refused() == {"malformed": 1}


@pytest.mark.conformance("W-mac-1")
def test_message_with_wrong_mac1_is_dropped_silently(pair, initiation):
    bad = bytearray(initiation)
    bad[116] ^= 1
    assert answer(pair, bytes(bad)) == []
    assert pair.b.refused() == {"wrong-mac1": 1}


@pytest.mark.conformance("W-mac-1")
def test_both_messages_carry_the_mac1_of_their_receiver(pair, initiation):
    assert has_valid_mac1(StaticKeys.of(b"\x22" * 32), initiation)
    [response] = answer(pair, initiation)
    assert has_valid_mac1(StaticKeys.of(b"\x11" * 32), response)


@pytest.mark.conformance("W-mac-3")
def test_mac2_is_ignored_without_load(pair, initiation):
    assert len(answer(pair, initiation[:-16] + b"garbage!garbage!")) == 1


@pytest.mark.conformance("W-hs-1")
def test_initiation_of_an_unknown_peer_is_dropped(pair, make_end):
    eve = make_end("eve", b"\x66" * 32, "198.51.100.9", 3)
    eve.configure(public_key=pair.b.public, endpoint="192.0.2.2:51820")
    eve.peer.handshake.initiate(0.0)
    [data] = eve.collect(0.0)
    assert answer(pair, data) == []
    assert pair.b.refused() == {"unknown-peer": 1}


@pytest.mark.conformance("W-hs-2", "W-roam-2")
def test_replayed_initiation_is_not_answered_and_moves_nothing(pair, initiation):
    assert len(answer(pair, initiation, 0.1, pair.a.source)) == 1
    assert answer(pair, initiation, 5.0) == []
    assert pair.b.refused() == {"replayed-initiation": 1}
    assert pair.b.peer.endpoint.remote == pair.a.source


@pytest.mark.conformance("W-hs-3")
def test_initiations_within_20_ms_are_not_answered(pair, make_end):
    messages = []
    for number in range(3):
        twin = make_end("a", b"\x11" * 32, "192.0.2.1", 10 + number)
        twin.device.clock_offset += number
        twin.configure(public_key=pair.b.public, endpoint="192.0.2.2:51820")
        twin.peer.handshake.initiate(0.0)
        messages += twin.collect(0.0)
    assert len(answer(pair, messages[0], 1.0)) == 1
    assert answer(pair, messages[1], 1.019) == []
    assert pair.b.refused() == {"initiation-flood": 1}
    assert len(answer(pair, messages[2], 1.021)) == 1


@pytest.mark.conformance("W-hs-4")
@pytest.mark.parametrize("offset", [8, 40, 88], ids=["ephemeral", "static", "timestamp"])
def test_failed_initiation_leaves_the_peer_as_it_was(pair, initiation, offset):
    bad = bytearray(initiation)
    bad[offset] ^= 1
    pair.b.peer.handshake.jar.last_mac1 = None
    forged = pair.a.peer.handshake.jar.add_macs(bytes(bad[:116]) + bytes(32), 0.0)
    assert answer(pair, forged) == []
    assert pair.b.refused() == {"unauthentic": 1}
    peer = pair.b.peer
    assert (peer.handshake.greatest_timestamp, peer.endpoint, peer.rx_bytes, peer.keypairs.next) == (
        b"",
        None,
        0,
        None,
    )
    assert len(answer(pair, initiation)) == 1


@pytest.mark.conformance("W-hs-6")
def test_ephemeral_of_low_order_is_refused(pair, initiation):
    forged = pair.a.peer.handshake.jar.add_macs(
        initiation[:8] + bytes(32) + initiation[40:116] + bytes(32), 0.0
    )
    assert answer(pair, forged) == []
    assert pair.b.refused() == {"weak-point": 1}


@pytest.mark.conformance("W-hs-6")
def test_peer_key_of_low_order_gets_no_handshake(pair):
    pair.a.configure(public_key=bytes(32), endpoint="192.0.2.3:1")
    pair.a.interface.peers[bytes(32)].handshake.initiate(0.0)
    assert pair.a.collect(0.0) == []
    assert pair.a.refused() == {"weak-point": 1}


@pytest.mark.conformance("W-hs-5")
def test_second_response_is_ignored(pair, initiation):
    [response] = answer(pair, initiation, 0.1, pair.a.source)
    pair.a.receive(response, pair.b.source, 0.2)
    session = pair.a.peer.keypairs.current
    pair.a.receive(response, pair.b.source, 0.3)
    assert pair.a.peer.keypairs.current is session
    assert pair.a.refused() == {"unexpected-response": 1}


@pytest.mark.conformance("W-hs-5")
def test_response_for_another_index_is_ignored(pair, initiation):
    [response] = answer(pair, initiation)
    wrong = pair.b.peer.handshake.jar.add_macs(
        response[:8] + b"\xff\xff\xff\xff" + response[12:60] + bytes(32), 0.0
    )
    pair.a.receive(wrong, pair.b.source, 0.2)
    assert pair.a.refused() == {"unexpected-response": 1}
    assert pair.a.peer.keypairs.current is None


@pytest.mark.conformance("W-hs-4")
def test_forged_response_leaves_the_handshake_open(pair, initiation):
    [response] = answer(pair, initiation)
    body = bytearray(response[:60])
    body[50] ^= 1
    pair.a.receive(pair.b.peer.handshake.jar.add_macs(bytes(body) + bytes(32), 0.0), pair.b.source, 0.2)
    assert pair.a.refused() == {"unauthentic": 1}
    pair.a.receive(response, pair.b.source, 0.3)
    assert pair.a.peer.keypairs.current is not None


@pytest.mark.conformance("W-hs-7", "W-tm-3")
def test_repeated_initiation_has_a_new_ephemeral_index_and_timestamp(pair):
    pair.passes = lambda sender, data: False
    pair.a.device.clock_offset = 1_700_000_000.0
    pair.a.peer.handshake.initiate(0.0)
    pair.advance(30.0)
    messages = [Initiation.decode(data) for data in pair.a.sent]
    assert len(messages) in (5, 6)
    assert len({m.ephemeral for m in messages}) == len(messages)
    assert len({m.sender for m in messages}) == len(messages)
    assert pair.a.device.indices.handshakes == {messages[-1].sender: pair.a.peer}
    # Each is fresh for the responder, so the last of them is answered though the first was.
    assert len(answer(pair, pair.a.sent[0], 31.0)) == 1
    assert len(answer(pair, pair.a.sent[-1], 32.0)) == 1


@pytest.mark.conformance("W-hs-2")
def test_timestamps_grow_though_the_wall_clock_is_set_back(pair):
    pair.passes = lambda sender, data: False
    pair.a.peer.handshake.initiate(0.0)
    pair.a.device.clock_offset -= 86400.0
    pair.advance(6.0)
    assert len(pair.a.sent) == 2
    assert len(answer(pair, pair.a.sent[0], 7.0)) == 1
    assert len(answer(pair, pair.a.sent[1], 8.0)) == 1


@pytest.mark.conformance("W-hs-8")
def test_indices_are_never_shared_by_two_live_sessions(pair, secrets):
    table = pair.a.device.indices
    drawn = iter([b"\1\0\0\0", b"\1\0\0\0", b"\2\0\0\0"])
    table._secrets = type("Fixed", (), {"octets": lambda self, count: next(drawn)})()
    first = table.draw()
    table.handshakes[first] = pair.a.peer
    assert (first, table.draw()) == (1, 2)


@pytest.mark.conformance("W-hs-10")
def test_peer_with_our_own_key_is_ignored(pair):
    pair.a.configure(public_key=pair.a.public, endpoint="192.0.2.9:1")
    assert list(pair.a.interface.peers) == [pair.b.public]


@pytest.mark.conformance("W-hs-9", "W-sess-1")
def test_responder_does_not_send_before_the_session_is_confirmed(pair, initiation, packets):
    [response] = answer(pair, initiation, 0.1, pair.a.source)
    pair.b.send(packets.ipv4(b"early"), 0.2)
    assert pair.b.collect(0.2) == []
    assert pair.b.peer.keypairs.current is None
    pair.a.receive(response, pair.b.source, 0.3)
    [confirmation] = pair.a.collect(0.3)
    pair.b.receive(confirmation, pair.a.source, 0.4)
    [data] = pair.b.collect(0.4)
    pair.a.receive(data, pair.b.source, 0.5)
    assert pair.a.packets == [packets.ipv4(b"early")]


def test_both_ends_that_start_at_once_are_connected_at_once(pair, packets):
    pair.b.configure(public_key=pair.a.public, endpoint="192.0.2.1:51820")
    pair.a.send(packets.ipv4(b"from a"), 0.0)
    pair.b.send(packets.ipv4(b"from b"), 0.0)
    crossing = [(pair.b, d, pair.a.source) for d in pair.a.collect(0.0)]
    crossing += [(pair.a, d, pair.b.source) for d in pair.b.collect(0.0)]
    assert [len(data) for _, data, _ in crossing] == [148, 148]
    for end, data, source in crossing:
        end.receive(data, source, 0.1)
    pair.exchange()
    assert (pair.a.packets, pair.b.packets) == ([packets.ipv4(b"from b")], [packets.ipv4(b"from a")])
    pair.send(pair.a, packets.ipv4(b"more"))
    pair.send(pair.b, packets.ipv4(b"back"))
    # Both have settled on one session, so a renewal drops none that is in use.
    assert pair.a.peer.keypairs.current.remote_index == pair.b.peer.keypairs.current.local_index
    assert pair.a.peer.keypairs.current.initiator is (pair.a.public > pair.b.public)
    assert pair.b.packets[1:] == [packets.ipv4(b"more")]
    assert pair.a.packets[1:] == [packets.ipv4(b"back")]
    assert pair.a.refused() == pair.b.refused() == {}


@pytest.mark.parametrize("first", ["a", "b"])
def test_ends_that_start_at_once_settle_on_one_session_in_any_order(pair, packets, first):
    pair.b.configure(public_key=pair.a.public, endpoint="192.0.2.1:51820")
    for end in (pair.a, pair.b):
        end.send(packets.ipv4(b"x"), 0.0)
    slow = pair.b if first == "a" else pair.a
    quick = pair.other(slow)
    # What the quick end sends arrives and is answered before anything of the slow one does.
    held = slow.collect(0.0)
    for _ in range(3):
        for data in quick.collect(0.1):
            slow.receive(data, quick.source, 0.1)
        held, arriving = slow.collect(0.1), held
        for data in arriving:
            quick.receive(data, slow.source, 0.1)
    for data in held:
        quick.receive(data, slow.source, 0.1)
    pair.exchange()
    for end in (pair.a, pair.b, pair.a):
        pair.send(end, packets.ipv4(b"settle"))
    sessions = [end.peer.keypairs.current for end in (pair.a, pair.b)]
    assert sessions[0].remote_index == sessions[1].local_index
    assert pair.a.refused() == pair.b.refused() == {}
    # A renewal while packets of the old session are still under way loses none of them.
    pair.forget()
    pair.now = 30.0
    under_way = []
    for end in (pair.a, pair.b):
        end.send(packets.ipv4(b"late"), pair.now)
        under_way += [(pair.other(end), data, end.source) for data in end.collect(pair.now)]
    initiator = pair.a if sessions[0].initiator else pair.b
    initiator.peer.handshake.initiate(pair.now)
    pair.exchange()
    renewed = [end.peer.keypairs.current for end in (pair.a, pair.b)]
    for end, data, source in under_way:
        end.receive(data, source, pair.now)
    assert [end.packets for end in (pair.a, pair.b)] == [[packets.ipv4(b"late")]] * 2
    assert [end.peer.keypairs.current for end in (pair.a, pair.b)] == renewed


@pytest.mark.conformance("W-hs-9")
def test_preshared_keys_must_agree(pair, packets):
    pair.a.configure(public_key=pair.b.public, preshared_key=b"p" * 32)
    pair.send(pair.a, packets.ipv4(b"x"))
    assert pair.b.packets == []
    assert pair.a.refused() == {"unauthentic": 1}
    pair.b.configure(public_key=pair.a.public, preshared_key=b"p" * 32)
    pair.advance(6.0)
    assert pair.b.packets == [packets.ipv4(b"x")]


@pytest.mark.conformance("W-ecn-1")
def test_handshakes_carry_dscp_af41_and_data_does_not(pair, packets):
    pair.a.send(packets.ipv4(), 0.0)
    [(endpoint, _, traffic_class)] = pair.a.device.datagrams_to_send(0.0)
    assert (endpoint.remote, traffic_class) == (("192.0.2.2", 51820), 0x88)
    pair.advance(6.0)
    pair.a.send(packets.ipv4(), pair.now)
    [(_, _, traffic_class)] = pair.a.device.datagrams_to_send(pair.now)
    assert traffic_class == 0


# Under load


@pytest.fixture
def loaded(pair, initiation):
    """b after a flood of messages with valid mac1 from strangers; the flood itself was answered as it should be."""
    for number in range(LOAD_MESSAGES + 1):
        answer(pair, initiation, 0.1, (f"203.0.113.{number}", 1))
    pair.b.device.refusals.clear()
    return pair


@pytest.mark.conformance("W-cookie-1", "W-cookie-2", "W-cookie-4", "W-mac-2")
def test_loaded_device_answers_with_a_cookie_and_then_to_its_bearer(loaded):
    pair = loaded
    pair.a.peer.handshake.initiate(6.0)
    pair.b.device._load._until = 60.0
    [initiation] = pair.a.collect(6.0)
    [reply] = answer(pair, initiation, 6.0, pair.a.source)
    assert (len(reply), reply[0]) == (64, 3)
    assert pair.b.refused() == {"under-load": 1}
    assert reply[4:8] == initiation[4:8]
    pair.a.receive(reply, pair.b.source, 6.1)
    assert pair.a.collect(6.1) == []
    pair.now = 6.2
    pair.passes = lambda sender, data: sender is pair.a
    pair.advance(5.5)
    assert pair.a.sent[-1][-16:] != bytes(16)
    assert [len(d) for d in pair.b.sent[-1:]] == [92]


@pytest.mark.conformance("W-cookie-1")
def test_loaded_device_does_no_work_for_a_wrong_mac1(loaded, initiation):
    bad = initiation[:116] + bytes(32)
    assert answer(loaded, bad, 0.2) == []
    assert loaded.b.refused() == {"wrong-mac1": 1}


@pytest.mark.conformance("W-cookie-2")
def test_loaded_device_limits_the_bearers_of_cookies_by_source(loaded, initiation):
    pair = loaded
    pair.b.device._load._until = 60.0
    [reply] = answer(pair, initiation, 1.0, STRANGER)
    pair.a.receive(reply, pair.b.source, 1.0)
    with_cookie = pair.a.peer.handshake.jar.add_macs(initiation, 1.0)
    pair.b.device.refusals.clear()
    for _ in range(7):
        answer(pair, with_cookie, 1.0, STRANGER)
    assert pair.b.refused() == {"replayed-initiation": 5, "rate-limited": 2}


@pytest.mark.conformance("W-cookie-3")
def test_forged_cookie_reply_is_ignored(pair, initiation):
    forged = b"\3\0\0\0" + initiation[4:8] + bytes(56)
    pair.a.receive(forged, STRANGER, 0.1)
    assert pair.a.refused() == {"unexpected-cookie": 1}
    assert pair.a.peer.handshake.jar.cookie is None


def test_rate_limiter_allows_a_burst_then_twenty_a_second():
    limiter = RateLimiter()
    source = bytes([192, 0, 2, 1])
    assert sum(limiter.allows(source, 0.0) for _ in range(10)) == 5
    assert sum(limiter.allows(source, 0.01 * n) for n in range(1, 101)) in (19, 20)


def test_rate_limiter_counts_an_ipv6_network_as_one_source():
    limiter = RateLimiter()
    network = b"\x20\x01\x0d\xb8" + bytes(4)
    assert sum(limiter.allows(network + bytes([n]) * 8, 0.0) for n in range(20)) == 5
    assert limiter.allows(b"\x20\x01\x0d\xb9" + bytes(12), 0.0)


def test_rate_limiter_is_bounded_and_recovers():
    limiter = RateLimiter(entries=4)
    assert [limiter.allows(bytes([n, 0, 0, 1]), 0.0) for n in range(6)] == [True] * 4 + [False] * 2
    assert limiter.allows(b"\7\0\0\1", 2.0)
    assert len(limiter._buckets) <= 4


def test_load_ends_a_second_after_the_flood():
    meter = LoadMeter(limit=10)
    assert [meter.is_loaded(0.001 * n) for n in range(11)] == [False] * 10 + [True]
    assert meter.is_loaded(0.9)
    assert not meter.is_loaded(1.2)


@pytest.mark.conformance("W-roam-3")
def test_reply_leaves_from_the_address_the_message_came_to(pair, initiation):
    local = LocalAddress(bytes([192, 0, 2, 2]), 7)
    pair.b.receive(initiation, pair.a.source, 0.1, local)
    [(endpoint, _, _)] = pair.b.device.datagrams_to_send(0.1)
    assert (endpoint.remote, endpoint.local) == (pair.a.source, local)


@pytest.mark.conformance("W-roam-3")
def test_local_address_is_forgotten_when_the_handshake_is_retried(pair, initiation):
    local = LocalAddress(bytes([192, 0, 2, 1]), 3)
    [response] = answer(pair, initiation, 0.1, pair.a.source)
    pair.a.receive(response, pair.b.source, 0.2, local)
    assert pair.a.peer.endpoint.local == local
    pair.passes = lambda sender, data: False
    pair.now = 0.3
    pair.a.peer.handshake.initiate(5.3)
    pair.now = 5.3
    pair.advance(5.5)
    assert pair.a.peer.endpoint.local is None


def test_response_decodes_with_both_indices(pair, initiation):
    [response] = answer(pair, initiation)
    assert Response.decode(response).receiver == Initiation.decode(initiation).sender
