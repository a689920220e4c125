"""The timers of the protocol, in virtual time."""

from itertools import pairwise

import pytest

from babelwg.wireguard.events import HandshakeAbandoned, HandshakeCompleted, HandshakeUnanswered
from babelwg.wireguard.timers import TimerValues
from tests.wireguard.conftest import ANY


@pytest.fixture
def connected(pair):
    return pair.connect()


def sizes(end):
    return [len(data) for data in end.sent]


@pytest.mark.conformance("W-tm-1")
def test_initiator_renews_when_it_sends_after_120_seconds(connected, packets):
    pair = connected
    pair.now = 119.0
    pair.send(pair.a, packets.ipv4())
    assert sizes(pair.a) == [64]
    pair.forget()
    pair.now = 120.5
    pair.send(pair.a, packets.ipv4())
    assert sizes(pair.a) == [64, 148, 32]
    assert sizes(pair.b) == [92]
    assert pair.a.peer.keypairs.current.created == 120.5


@pytest.mark.conformance("W-tm-1")
def test_responder_does_not_renew_by_age(connected, packets):
    pair = connected
    pair.now = 150.0
    pair.send(pair.b, packets.ipv4())
    assert sizes(pair.b) == [64]
    assert sizes(pair.a) == []


@pytest.mark.conformance("W-tm-2")
def test_initiator_that_only_receives_renews_once_after_165_seconds(connected, packets):
    pair = connected
    pair.passes = lambda sender, data: sender is pair.b
    pair.now = 164.9
    pair.send(pair.b, packets.ipv4())
    assert sizes(pair.a) == []
    pair.now = 165.0
    pair.send(pair.b, packets.ipv4())
    pair.send(pair.b, packets.ipv4())
    assert sizes(pair.a) == [148]
    pair.now = 172.0  # past REKEY_TIMEOUT, yet no second one for the same reason
    pair.send(pair.b, packets.ipv4())
    assert sizes(pair.a) == [148]


@pytest.mark.conformance("W-tm-3")
def test_initiations_are_five_to_five_and_a_third_seconds_apart(pair, packets):
    times = []

    def note(sender, data):
        times.append(pair.now)
        return False

    pair.passes = note
    for _ in range(300):
        pair.send(pair.a, packets.ipv4())
        pair.advance(0.1)
    gaps = [b - a for a, b in pairwise(times)]
    assert len(times) >= 5
    assert all(5.0 <= gap <= 5.4 for gap in gaps)
    assert len(set(gaps)) > 1  # jitter


@pytest.mark.conformance("W-tm-4")
def test_initiator_gives_up_after_90_seconds_and_starts_again_for_a_new_packet(pair, packets):
    pair.passes = lambda sender, data: False
    pair.send(pair.a, packets.ipv4())
    pair.advance(120.0)
    assert sizes(pair.a) == [148] * 19
    assert HandshakeAbandoned("a", pair.b.public) in pair.a.device.events()
    assert pair.a.refused() == {"no-session": 1}
    assert len(pair.a.peer.staged) == 0
    pair.advance(1000.0)
    assert len(pair.a.sent) == 19
    pair.passes = lambda sender, data: True
    pair.send(pair.a, packets.ipv4(b"again"))
    assert pair.b.packets == [packets.ipv4(b"again")]


def unanswered(end):
    """Return how often it was told that the peer does not answer, and forget all events."""
    return [type(event) for event in end.device.events()].count(HandshakeUnanswered)


def test_an_initiation_without_an_answer_is_told_once_when_it_is_repeated(pair, packets):
    pair.passes = lambda sender, data: False
    pair.send(pair.a, packets.ipv4())
    pair.advance(4.9)
    assert unanswered(pair.a) == 0
    pair.advance(0.5)
    assert sizes(pair.a) == [148] * 2
    assert pair.a.device.events() == [HandshakeUnanswered("a", pair.b.public)]
    for _ in range(60):  # more packets of users begin no new count
        pair.send(pair.a, packets.ipv4())
        pair.advance(1.0)
    assert unanswered(pair.a) == 0
    pair.passes = lambda sender, data: True
    pair.advance(6.0)
    assert HandshakeCompleted("a", pair.b.public, initiator=True) in pair.a.device.events()
    pair.passes = lambda sender, data: False
    pair.send(pair.a, packets.ipv4())
    pair.advance(30.0)  # called after fifteen seconds of silence
    assert unanswered(pair.a) == 1


def test_who_was_given_up_and_is_called_again_in_vain_is_told_again(pair, packets):
    pair.passes = lambda sender, data: False
    for _ in range(2):
        pair.send(pair.a, packets.ipv4())
        pair.advance(120.0)
        assert unanswered(pair.a) == 1


def test_an_initiation_that_was_only_postponed_is_not_called_unanswered(pair, packets):
    # b calls; a answers, but the answer is lost. When a has something to send, a response left just now.
    pair.b.configure(public_key=pair.a.public, endpoint="192.0.2.1:51820", allowed_ips=ANY)
    pair.passes = lambda sender, data: sender is pair.b
    pair.send(pair.b, packets.ipv4())
    pair.send(pair.a, packets.ipv4())
    assert sizes(pair.a) == [92]
    pair.passes = lambda sender, data: sender is pair.a
    pair.advance(5.4)
    assert sizes(pair.a) == [92, 148]
    assert unanswered(pair.a) == 0


@pytest.mark.conformance("W-tm-5")
def test_receiver_with_nothing_to_send_sends_one_keepalive_after_ten_seconds(connected, packets):
    pair = connected
    pair.advance(20.0)
    pair.forget()
    pair.send(pair.a, packets.ipv4())
    pair.advance(9.9)
    assert sizes(pair.b) == []
    pair.advance(0.2)
    assert sizes(pair.b) == [32]
    pair.advance(60.0)
    assert sizes(pair.b) == [32]  # and a has not answered a keepalive with a keepalive
    assert sizes(pair.a) == [64]


@pytest.mark.conformance("W-tm-5")
def test_receiver_of_a_stream_sends_keepalives_every_ten_seconds(connected, packets):
    pair = connected
    for _ in range(31):
        pair.send(pair.a, packets.ipv4())
        pair.advance(1.0)
    assert sizes(pair.b) == [32] * 3


@pytest.mark.conformance("W-tm-5")
def test_receiver_that_sends_needs_no_keepalive(connected, packets):
    pair = connected
    for _ in range(15):
        pair.send(pair.a, packets.ipv4())
        pair.send(pair.b, packets.ipv4())
        pair.advance(2.0)
    assert set(sizes(pair.b)) == {64}


@pytest.mark.conformance("W-tm-6")
def test_sender_that_hears_nothing_for_fifteen_seconds_starts_a_handshake(connected, packets):
    pair = connected
    pair.advance(20.0)
    pair.forget()
    pair.passes = lambda sender, data: False
    for _ in range(10):
        pair.send(pair.a, packets.ipv4())
        pair.advance(1.0)
    assert set(sizes(pair.a)) == {64}
    pair.advance(4.9)
    assert set(sizes(pair.a)) == {64}
    pair.advance(0.5)
    assert sizes(pair.a)[-1] == 148


@pytest.mark.conformance("W-tm-6")
def test_anything_heard_ends_the_wait(connected, packets):
    pair = connected
    pair.advance(20.0)
    pair.forget()
    pair.send(pair.a, packets.ipv4())
    pair.advance(100.0)  # b's keepalive after ten seconds is enough
    assert 148 not in sizes(pair.a)


@pytest.mark.conformance("W-tm-7")
def test_persistent_keepalive_is_sent_at_once_and_then_every_interval(connected):
    pair = connected
    pair.advance(20.0)
    pair.forget()
    pair.a.configure(pair.now, public_key=pair.b.public, persistent_keepalive_interval=25)
    pair.exchange()
    assert sizes(pair.a) == [32]
    pair.advance(76.0)
    assert sizes(pair.a) == [32] * 4
    pair.a.configure(pair.now, public_key=pair.b.public, persistent_keepalive_interval=0)
    pair.advance(60.0)
    assert sizes(pair.a) == [32] * 4


@pytest.mark.conformance("W-tm-7")
def test_traffic_in_either_direction_postpones_the_persistent_keepalive(connected, packets):
    pair = connected
    pair.a.configure(pair.now, public_key=pair.b.public, persistent_keepalive_interval=9)
    pair.exchange()
    pair.forget()
    for _ in range(10):
        pair.advance(6.0)
        pair.b.peer.send_keepalive(pair.now)
        pair.exchange()
    assert sizes(pair.a) == []
    pair.advance(9.5)
    assert sizes(pair.a) == [32]


@pytest.mark.conformance("W-tm-7")
def test_persistent_keepalive_keeps_a_session_for_hours(pair):
    pair.a.configure(public_key=pair.b.public, persistent_keepalive_interval=25)
    pair.advance(4 * 3600.0)
    assert pair.now - pair.a.peer.keypairs.current.created < 180.0
    assert 4 * 3600 / 146 <= sizes(pair.a).count(148) <= 4 * 3600 / 120
    assert len(pair.a.device.indices.sessions) <= 3
    assert len(pair.a.device._schedule) < 50


def test_endpoint_given_later_starts_a_kept_tunnel_at_once(pair):
    pair.b.configure(public_key=pair.a.public, persistent_keepalive_interval=25)
    assert pair.b.collect(0.0) == []
    pair.b.configure(1.0, public_key=pair.a.public, endpoint="192.0.2.1:51820")
    assert [len(d) for d in pair.b.collect(1.0)] == [148]


def test_deadline_is_never_in_the_past_after_it_was_handled(connected, packets):
    pair = connected
    pair.a.configure(pair.now, public_key=pair.b.public, persistent_keepalive_interval=3)
    for step in range(400):
        pair.now = step * 0.7
        for end in (pair.a, pair.b):
            end.device.handle_deadline(pair.now)
            deadline = end.device.next_deadline()
            assert deadline is None or deadline > pair.now
        if step % 5 == 0:
            pair.send(pair.a, packets.ipv4())
        pair.exchange()


def test_shortened_values_keep_their_relations():
    values = TimerValues(
        rekey_timeout=1.0, rekey_attempt_time=6.0, reject_after_time=30.0, keepalive_timeout=2.0
    )
    assert (values.attempts, values.last_minute, values.zero_keys_after) == (6, 27.0, 90.0)
    assert (TimerValues().attempts, TimerValues().last_minute, TimerValues().zero_keys_after) == (
        18,
        165.0,
        540.0,
    )


def test_idle_device_has_nothing_to_do(pair):
    assert pair.a.device.next_deadline() is None
    pair.advance(1000.0)
    assert pair.a.sent == pair.b.sent == []
