"""Who has lost its sessions asks the other end, which keeps one, to begin; in virtual time."""

import json
from dataclasses import replace
from itertools import pairwise
from math import inf

import pytest

from babelwg.wireguard.device import Device
from babelwg.wireguard.handover import describe_interface, restore_interface
from babelwg.wireguard.interface import Interface
from babelwg.wireguard.nudge import QUICK_NUDGES
from babelwg.wireguard.timers import PROTOCOL_VALUES
from babelwg.wireguard.uapi import PeerConfig
from tests.wireguard.conftest import ANY, End

ENDPOINTS = {"a": "192.0.2.1:51820", "b": "192.0.2.2:51820"}
INITIATION, RESPONSE, NUDGE = 148, 92, 32


def configure(pair):
    """Tell both ends where the other is."""
    for end in (pair.a, pair.b):
        end.device.values = replace(PROTOCOL_VALUES, nudge_interval=0.5)
        other = pair.other(end)
        end.configure(pair.now, public_key=other.public, endpoint=ENDPOINTS[other.name], allowed_ips=ANY)


def start_anew(pair, packets):
    """Let a's process be replaced by one that knows nothing, and send at once."""
    pair.a = End("a", b"\x11" * 32, "192.0.2.1", 3)
    configure(pair)
    pair.send(pair.a, packets.ipv4(b"first"))


@pytest.fixture
def reborn(pair, packets):
    """b has a session with an earlier life of a, whose first initiation was lost at 20 s like all since."""
    configure(pair)
    pair.connect()
    pair.now = 20.0
    pair.passes = lambda sender, data: False
    start_anew(pair, packets)
    return pair


def sizes(end):
    return [len(data) for data in end.sent]


def test_the_end_that_kept_its_session_begins_as_soon_as_the_path_returns(reborn):
    reborn.advance(1.2)
    assert sizes(reborn.a) == [INITIATION, NUDGE, NUDGE]
    reborn.passes = lambda sender, data: True
    reborn.advance(0.5)
    assert sizes(reborn.b).count(INITIATION) == 1
    assert sizes(reborn.a)[:5] == [INITIATION, *3 * [NUDGE], RESPONSE]
    assert len(reborn.b.packets) == 1
    assert reborn.b.refused() == {}


def test_a_response_that_was_lost_is_repeated(reborn):
    reborn.passes = lambda sender, data: sender is reborn.a
    reborn.a.peer.handshake.reset()
    reborn.advance(0.0)
    reborn.a.peer.handshake.initiate(reborn.now)
    reborn.advance(3.2)
    assert sizes(reborn.a)[-7:] == [INITIATION, *6 * [NUDGE]]
    assert sizes(reborn.b).count(RESPONSE) >= 5
    assert sizes(reborn.b).count(INITIATION) == 1
    reborn.passes = lambda sender, data: True
    reborn.advance(0.5)
    assert len(reborn.b.packets) == 1
    assert sizes(reborn.b).count(INITIATION) == 1


def test_a_response_that_was_sent_does_not_keep_from_beginning(reborn):
    """The response is of an initiation that a later life knows nothing of."""
    reborn.passes = lambda sender, data: sender is reborn.a and len(data) == INITIATION
    reborn.a.peer.handshake.reset()
    reborn.a.peer.handshake.initiate(reborn.now)
    reborn.exchange()
    assert sizes(reborn.b).count(RESPONSE) == 1
    reborn.passes = lambda sender, data: len(data) != RESPONSE or sender is reborn.a
    reborn.advance(1.0)
    assert sizes(reborn.b).count(INITIATION) == 1
    assert len(reborn.b.packets) == 1


def test_nobody_is_nudged_who_answers_or_has_answered(reborn, packets):
    reborn.passes = lambda sender, data: True
    reborn.advance(60.0)
    assert reborn.b.packets
    reborn.forget()
    reborn.passes = lambda sender, data: False
    reborn.send(reborn.a, packets.ipv4(b"into the void"))
    reborn.advance(60.0)
    assert INITIATION in sizes(reborn.a)
    assert NUDGE not in sizes(reborn.a)


def test_who_never_answers_is_nudged_less_often_after_half_a_minute(reborn, packets):
    for _ in range(10):
        reborn.advance(90.0)
        reborn.send(reborn.a, packets.ipv4(b"still there?"))
    assert sizes(reborn.a).count(INITIATION) > 100
    assert QUICK_NUDGES < sizes(reborn.a).count(NUDGE) <= QUICK_NUDGES + 900 / 2.5


def test_a_nudge_that_crosses_the_response_leads_to_nothing(reborn):
    """As on every link whose round trip takes longer than the first nudge waits."""
    reborn.passes = lambda sender, data: sender is reborn.a
    reborn.a.peer.handshake.reset()
    reborn.a.peer.handshake.initiate(reborn.now)
    reborn.advance(0.8)
    assert sizes(reborn.a)[-1:] == [NUDGE]
    assert (sizes(reborn.b).count(RESPONSE), sizes(reborn.b).count(INITIATION)) == (1, 0)


def test_nobody_nudges_by_the_values_of_the_protocol(pair, packets):
    pair.passes = lambda sender, data: False
    pair.send(pair.a, packets.ipv4(b"first"))
    pair.advance(30.0)
    assert set(sizes(pair.a)) == {INITIATION}


@pytest.mark.conformance("W-tm-3")
def test_nudges_do_not_make_handshakes_more_frequent(reborn):
    reborn.passes = lambda sender, data: sender is reborn.a and len(data) == NUDGE
    begun = []
    for _ in range(240):
        before = sizes(reborn.b).count(INITIATION)
        reborn.advance(0.1)
        if sizes(reborn.b).count(INITIATION) > before:
            begun.append(reborn.now)
    assert len(begun) >= 4
    assert min(after - before for before, after in pairwise(begun)) >= 4.9


def nudge_of(pair):
    pair.advance(0.6)
    (data,) = [data for data in pair.a.sent if len(data) == NUDGE]
    return data


def refusals_after(pair, data, source=None):
    pair.b.receive(data, source or pair.a.source, pair.now)
    assert pair.b.collect(pair.now) == []
    return pair.b.refused()


def test_a_nudge_counts_once(reborn):
    data = nudge_of(reborn)
    reborn.b.receive(data, reborn.a.source, reborn.now)
    assert list(map(len, reborn.b.collect(reborn.now))) == [INITIATION]
    reborn.now += 10.0
    assert refusals_after(reborn, data) == {"replayed-packet": 1}


def test_a_nudge_from_elsewhere_leads_to_nothing(reborn):
    data = nudge_of(reborn)
    assert refusals_after(reborn, data, ("192.0.2.9", 51820)) == {"unknown-index": 1}


@pytest.mark.parametrize("position", [8, 15, 16, 31])
def test_a_forged_nudge_leads_to_nothing(reborn, position):
    data = bytearray(nudge_of(reborn))
    data[position] ^= 1
    assert refusals_after(reborn, bytes(data)) == {"unauthentic": 1}


def test_a_nudge_that_is_sent_back_leads_to_nothing(reborn):
    data = nudge_of(reborn)
    reborn.now += 10.0
    reborn.a.collect(reborn.now)
    reborn.a.receive(data, reborn.b.source, reborn.now)
    assert reborn.a.collect(reborn.now) == []
    assert reborn.a.refused() == {"unauthentic": 1}


def test_a_longer_message_of_that_index_is_no_nudge(reborn):
    assert refusals_after(reborn, nudge_of(reborn) + bytes(16)) == {"unknown-index": 1}


def test_the_stamp_grows_even_when_the_clock_was_set_back(reborn):
    nudge_of(reborn)
    reborn.a.device.clock_offset -= 3600.0
    reborn.advance(0.5)
    first, second = (data for data in reborn.a.sent if len(data) == NUDGE)
    assert int.from_bytes(first[8:16], "little") < int.from_bytes(second[8:16], "little")


def test_no_session_and_no_handshake_has_the_index_of_nudges(reborn):
    drawn = iter((bytes(4), b"\1\0\0\0"))
    reborn.a.device.indices._secrets = type("Fixed", (), {"octets": lambda self, count: next(drawn)})()
    assert reborn.a.device.indices.draw() == 1


def test_a_nudge_finds_its_peer_where_another_has_the_same_address(reborn):
    end, other = reborn.b, Interface("other")
    end.device.detach(end.interface, keep_sessions=True)
    other.set_private_key(b"\x33" * 32)
    stranger = End("c", b"\x44" * 32, "192.0.2.1", 4)
    other.configure_peer(PeerConfig(stranger.public, endpoint=ENDPOINTS["a"]), reborn.now, int)
    for interface in (other, end.interface):
        end.device.attach(interface, reborn.now)
    end.receive(nudge_of(reborn), reborn.a.source, reborn.now)
    assert end.peer.nudges.seen > 0
    assert end.refused() == {}


def test_a_successor_takes_no_nudge_twice(reborn):
    data = nudge_of(reborn)
    reborn.b.receive(data, reborn.a.source, reborn.now)
    device, values = (
        Device(reborn.b.device.secrets),
        json.loads(json.dumps(describe_interface(reborn.b.interface))),
    )
    reborn.b.device.detach(reborn.b.interface)
    reborn.b.device, reborn.b.interface = device, restore_interface("b", values, device.indices)
    device.attach(reborn.b.interface, reborn.now)
    reborn.now += 10.0
    assert refusals_after(reborn, data) == {"replayed-packet": 1}


def test_who_is_replaced_may_not_have_known_nudges(pair):
    values = describe_interface(pair.connect().a.interface)
    for peer in values["peers"]:
        del peer["nudges"], peer["timers"]["nudge"]
    restored = restore_interface("a", values, pair.a.device.indices)
    (peer,) = restored.peers.values()
    assert peer.timers.nudge == inf
    assert peer.nudges.seen == 0
