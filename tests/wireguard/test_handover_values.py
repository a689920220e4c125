"""A device that is described, and restored by another process: nobody at the other end notices."""

import json

import pytest

from babelwg.wireguard.device import Device
from babelwg.wireguard.handover import (
    describe_interface,
    describe_refusals,
    restore_interface,
    restore_refusals,
)
from babelwg.wireguard.refusals import Reason, Refusals


def succeed(pair, end):
    """Put another device in the place of an end's, from nothing but text."""
    text = json.dumps(describe_interface(end.interface))
    device = Device(end.device.secrets, clock_offset=end.device.clock_offset)
    end.device.detach(end.interface)  # which erases its keys: what is shared would show
    end.interface = restore_interface(end.name, json.loads(text), device.indices)
    end.device = device
    device.attach(end.interface, pair.now)
    pair.exchange()


@pytest.mark.parametrize("who", ["a", "b"])
def test_packets_go_on_both_ways_without_a_handshake(pair, packets, who):
    pair.connect()
    succeed(pair, getattr(pair, who))
    for end in (pair.a, pair.b):
        pair.send(end, packets.ipv4(b"on"))
    assert pair.a.packets == pair.b.packets == [packets.ipv4(b"on")]
    assert all(data[0] == 4 for end in (pair.a, pair.b) for data in end.sent)
    assert pair.a.refused() == pair.b.refused() == {}


def test_counters_go_on_and_nothing_is_accepted_twice(pair, packets):
    pair.connect()
    pair.send(pair.a, packets.ipv4(b"once"))
    replayed = pair.a.sent[-1]
    counter = pair.b.peer.keypairs.current.counter
    succeed(pair, pair.b)
    pair.forget()
    pair.b.receive(replayed, pair.a.source, pair.now)
    assert pair.b.packets == []
    assert pair.b.refused() == {"replayed-packet": 1}
    assert pair.b.peer.keypairs.current.counter == counter


def test_what_a_peer_was_told_and_counted_stays(pair, packets):
    pair.a.configure(public_key=pair.b.public, preshared_key=b"\x07" * 32, persistent_keepalive_interval=25)
    pair.b.configure(public_key=pair.a.public, preshared_key=b"\x07" * 32)
    pair.connect()
    pair.a.interface.set_mark(77)
    before = pair.a.interface.state(51820)
    succeed(pair, pair.a)
    assert pair.a.interface.state(51820) == before
    assert pair.a.peer.endpoint.mark == 77
    assert before.peers[0].tx_bytes > 0


@pytest.mark.parametrize("who", ["a", "b"])
def test_a_handshake_that_is_under_way_is_completed(pair, packets, who):
    held = []
    pair.passes = lambda sender, data: held.append((sender, data)) is not None
    pair.send(pair.a, packets.ipv4(b"first"))
    succeed(pair, getattr(pair, who))
    pair.passes = lambda sender, data: True
    for sender, data in held:
        pair.other(sender).receive(data, sender.source, pair.now)
    pair.exchange()
    assert pair.b.packets == [packets.ipv4(b"first")]


def test_timers_go_on(pair, packets):
    pair.connect()
    pair.advance(100.0)
    succeed(pair, pair.a)
    pair.send(pair.a, packets.ipv4(b"kept"))
    pair.advance(19.0)
    assert not [data for data in pair.a.sent if data[0] == 1]
    pair.advance(2.0)
    pair.send(pair.a, packets.ipv4(b"renews"))
    assert [data for data in pair.a.sent if data[0] == 1]
    assert pair.b.packets == [packets.ipv4(b"kept"), packets.ipv4(b"renews")]


def test_an_interface_without_a_key_is_one_again(pair):
    pair.a.device.detach(pair.a.interface)
    pair.a.interface.set_private_key(bytes(32))
    values = json.loads(json.dumps(describe_interface(pair.a.interface)))
    restored = restore_interface("a", values, pair.a.device.indices)
    assert restored.keys is None
    assert list(restored.peers) == [pair.b.public]


def test_reasons_that_are_not_known_any_more_are_left_out():
    values = describe_refusals(Refusals({Reason.MALFORMED: 3}))
    assert restore_refusals({**values, "of-another-version": 5}) == {Reason.MALFORMED: 3}


def test_a_window_of_another_size_is_refused(pair):
    pair.connect()
    values = describe_interface(pair.a.interface)
    values["peers"][0]["keypairs"]["current"]["replay"] = (5, [0, 0])
    with pytest.raises(ValueError, match="a window of 2 words, expected 128"):
        restore_interface("a", values, pair.a.device.indices)
