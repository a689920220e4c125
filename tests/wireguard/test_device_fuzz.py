"""Any octets give a counted refusal and nothing else."""

import random

import pytest


def mutate(rng, data):
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        kind = rng.randrange(4)
        if kind == 0 and changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del changed[rng.randrange(len(changed) + 1) :]
        elif kind == 2:
            changed += rng.randbytes(rng.randrange(20))
        elif changed:
            at = rng.randrange(len(changed))
            changed[at : at + 4] = rng.randbytes(4)
    return bytes(changed)


@pytest.mark.parametrize("seed", range(10))
def test_random_octets_are_refused_and_counted(pair, seed):
    rng = random.Random(seed)
    pair.connect()
    before = (pair.b.peer.endpoint, pair.b.peer.rx_bytes)
    for _ in range(300):
        length = rng.choice([0, 1, 3, 31, 32, 33, 48, 64, 92, 148, 1452, rng.randrange(200)])
        data = bytes([rng.randrange(6), 0, 0, 0])[: rng.randrange(5)] + rng.randbytes(length)
        pair.b.receive(data[:length], ("198.51.100.1", 9), 1.0)
    assert sum(pair.b.refused().values()) == 300
    assert pair.b.collect(1.0) == []
    assert pair.b.packets == []
    assert (pair.b.peer.endpoint, pair.b.peer.rx_bytes) == before


@pytest.mark.parametrize("seed", range(10))
def test_mutated_messages_never_do_harm(pair, packets, seed):
    rng = random.Random(seed)
    pair.send(pair.a, packets.ipv4(b"real"))
    pair.advance(130.0)
    pair.send(pair.a, packets.ipv6(b"real"))
    recorded = pair.a.sent + pair.b.sent
    good = {packets.ipv4(b"real"), packets.ipv6(b"real")}
    source = ("2001:db8::9", 9, 0, 0)
    handled = 0
    for _ in range(400):
        end = rng.choice([pair.a, pair.b])
        before = sum(end.refused().values()), len(end.packets)
        end.receive(mutate(rng, rng.choice(recorded)), source, pair.now)
        handled += sum(end.refused().values()) - before[0]
        assert set(end.packets) <= good
    assert handled == 400
    for end in (pair.a, pair.b):
        assert end.peer.endpoint.remote[0].startswith("192.0.2.")
        # Only handshake messages with a valid mac1 are ever answered, and those with a cookie under load.
        assert all(len(data) == 64 for data in end.collect(pair.now))


@pytest.mark.parametrize("seed", range(5))
def test_random_packets_to_send_are_sent_or_counted(pair, seed):
    rng = random.Random(seed)
    pair.connect()
    for _ in range(300):
        packet = bytes([rng.choice([0x45, 0x60, 0, 0xFF])]) + rng.randbytes(rng.randrange(100))
        pair.a.send(packet[: rng.randrange(len(packet) + 1)], 1.0)
    sent = len(pair.a.collect(1.0))
    refused = pair.a.refused()
    assert set(refused) == {"no-allowed-ip"}
    assert sent + refused["no-allowed-ip"] == 300
