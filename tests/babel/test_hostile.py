"""What one hostile neighbour may cost: its work and memory are bounded, and others do not suffer."""

import time

from babelwg.babel.parameters import Parameters
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY, Hello
from tests.babel.bench import Bench, P, Q, retraction, update


def bench(parameters: Parameters | None = None) -> Bench:
    """Return a speaker with tunnels to two reachable neighbours."""
    found = Bench(parameters)
    for number in (1, 2):
        found.interface(f"tun{number}")
        found.meet(number, f"tun{number}", hellos=16)
    found.wait(0.5)
    found.events()
    return found


def prefixes(count: int) -> list[Prefix]:
    return [Prefix(6, bytes.fromhex("20010db8") + n.to_bytes(4, "big") + bytes(8), 64) for n in range(count)]


def announce(found: Bench, count: int, number: int = 1) -> None:
    known = prefixes(count)
    for start in range(0, count, 1000):
        found.receive([update(p, number=number) for p in known[start : start + 1000]], number, f"tun{number}")


def test_a_hundred_wildcard_retractions_cost_no_more_than_one() -> None:
    found = bench()
    announce(found, 5000)
    begin = time.process_time()
    found.receive([retraction(None)], 1, "tun1")
    once = time.process_time() - begin
    assert {view.state for view in found.snapshot().routes} == {"retracted"}
    begin = time.process_time()
    found.receive([retraction(None)] * 110, 1, "tun1")
    assert time.process_time() - begin < once / 2
    assert found.speaker.counters["tlv_ignored.nothing-to-retract"] == 110


def test_a_wildcard_retraction_acts_again_on_what_was_announced_since() -> None:
    found = bench()
    found.receive([update(P), retraction(None), update(P), update(Q), retraction(None)], 1, "tun1")
    assert {view.refmetric for view in found.snapshot().routes} == {INFINITY}
    assert found.selected(P) is None


def test_a_wildcard_retraction_excuses_the_neighbour_from_a_hold_of_anothers_prefix() -> None:
    found = bench()
    found.receive([update(P)], 1, "tun1")
    found.receive([retraction(P)], 1, "tun1")
    assert found.snapshot().held == (P,)
    found.receive([retraction(None)], 2, "tun2")
    assert found.snapshot().held == ()


def test_jumping_hellos_make_one_new_neighbour_a_second() -> None:
    found = bench()
    for n in range(1, 200):
        found.receive([Hello(n * 1000 % 0x10000, 655.0)], 1, "tun1")
    assert found.events().count("neighbour-lost") == 1
    assert found.speaker.counters["tlv_dropped.hello-seqno-jump-rate"] == 198
    found.wait(1.0)
    found.events()
    found.receive([Hello(33333, 4.0)], 1, "tun1")
    assert found.events().count("neighbour-lost") == 1


def test_of_many_hellos_in_one_packet_a_few_count() -> None:
    found = bench()
    first = found.hello(1, "tun1").seqno
    found.receive([Hello((first + n) % 0x10000, 4.0) for n in range(100)], 1, "tun1")
    assert found.speaker.counters["tlv_dropped.hello-rate"] == 96
    # The fifth was not acted on, so it is still the one expected, and no later one has shown a jump.
    found.receive([Hello((first + 4) % 0x10000, 4.0)], 1, "tun1")
    assert found.events() == []
