"""What a device remembers of handshakes that fail: enough to tell which key is wrong, and not more than a few."""

from math import inf

from babelwg.wireguard.callers import MAX_CALLERS, CallerTable, Calls
from babelwg.wireguard.refusals import Reason
from tests.wireguard.conftest import ANY, Pair

WRONG = b"\x33" * 32
PACKET = bytes.fromhex("4500001400000000400100000a0000010a000002")


def test_a_caller_that_knows_us_by_another_key_is_seen_at_its_address():
    pair = Pair()
    pair.a.interface.remove_peer(pair.b.public)
    pair.a.configure(public_key=WRONG, endpoint="192.0.2.2:51820", allowed_ips=ANY)
    pair.a.send(PACKET, 1.0)
    for data in pair.a.collect(1.0):
        pair.b.receive(data, pair.a.source, 1.0)
    ((caller, calls),) = pair.b.device.callers
    assert (caller.reason, caller.address, caller.port, caller.public_key) == (
        Reason.WRONG_MAC1,
        "192.0.2.1",
        51820,
        b"",
    )
    assert calls == Calls(1, 1.0)


def test_a_caller_that_no_peer_is_leaves_its_key():
    pair = Pair()
    pair.b.interface.remove_peer(pair.a.public)
    pair.a.send(PACKET, 1.0)
    for data in pair.a.collect(1.0):
        pair.b.receive(data, pair.a.source, 1.0)
    ((caller, _),) = pair.b.device.callers
    assert (caller.reason, caller.public_key) == (Reason.UNKNOWN_PEER, pair.a.public)


def test_another_preshared_key_shows_at_the_end_that_called():
    pair = Pair()
    pair.a.configure(public_key=pair.b.public, preshared_key=b"\x01" * 32)
    pair.a.send(PACKET, 1.0)
    for data in pair.a.collect(1.0):
        pair.b.receive(data, pair.a.source, 1.0)
    for data in pair.b.collect(1.1):
        pair.a.receive(data, pair.b.source, 1.1)
    assert pair.a.peer.handshake.signs == (1.0, -inf, 1.1)
    assert pair.b.peer.handshake.signs == (-inf, 1.0, -inf)


def test_the_table_keeps_the_latest_callers_and_counts_each():
    table = CallerTable()
    for number in range(MAX_CALLERS + 5):
        table.note(Reason.WRONG_MAC1, (f"192.0.2.{number}", 1), float(number))
    table.note(Reason.WRONG_MAC1, ("192.0.2.36", 1), 99.0)
    table.note(Reason.MALFORMED, ("192.0.2.99", 1), 99.0)
    found = {caller.address: calls for caller, calls in table}
    assert len(found) == MAX_CALLERS
    assert "192.0.2.4" not in found
    assert found["192.0.2.36"] == Calls(2, 99.0)
