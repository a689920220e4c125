"""A link that is new or returns: both ends agree within a second, though Hellos and IHUs come seldom and get lost."""

from babelwg.babel.parameters import InterfaceParameters, Parameters
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY, Hello, Ihu, RouteRequest, Tlv
from tests.babel.bench import Bench, P, Q, neighbour_address, retraction, tlvs_of, update, updates

WHY = "8 probes in 120 ms were not answered"
EVERYTHING = RouteRequest(None)
PREFIXES = [Prefix.parse(f"2001:db8:{number:x}::/48") for number in range(65)]


def hellos(tlvs: list[Tlv]) -> int:
    """Return how many Hellos there are; each promises the next one, or BIRD would let go of us."""
    found = [tlv for tlv in tlvs if isinstance(tlv, Hello)]
    assert all(hello.interval for hello in found)
    return len(found)


def settled() -> Bench:
    """Return a speaker whose link to a neighbour is used, and known to both."""
    bench = Bench()
    bench.interface()
    bench.meet()
    bench.receive([update()])
    bench.keep(seconds=20.0)
    return bench


def test_a_tunnel_that_starts_asks_who_is_there_for_a_while() -> None:
    bench = Bench()
    bench.interface()
    first = bench.wait(0.25)
    assert (hellos(first), first.count(EVERYTHING)) == (1, 1)
    more = bench.wait(2.75)
    assert hellos(more) == more.count(EVERYTHING) >= 5
    assert EVERYTHING not in bench.wait(30.0)


def test_who_asks_for_everything_is_told_that_we_are_there_and_hear_it() -> None:
    bench = settled()
    bench.receive([EVERYTHING])
    told = bench.sent()
    assert hellos(told) == 1
    assert [tlv.rxcost for tlv in told if isinstance(tlv, Ihu)] == [96]
    # Not without end: the dumps of a neighbour are bounded, and this with them.
    for _ in range(50):
        bench.receive([EVERYTHING])
        told += bench.wait(0.01)
    assert hellos(told) <= 4


def test_a_neighbour_that_does_not_say_that_it_hears_us_is_told_of_us_again_until_it_does() -> None:
    bench = settled()
    bench.interface("new")
    bench.wait(20.0)
    bench.receive([bench.hello(2, "new")], 2, "new")
    bench.sent()
    assert hellos(bench.wait(0.25)) == 1
    assert hellos(bench.wait(0.9)) >= 2
    for _ in range(2):
        bench.receive([bench.hello(2, "new"), bench.ihu(), update(number=2)], 2, "new")
        bench.wait(0.6)
    assert hellos(bench.wait(3.0)) <= 2


def times_told(asks: bool) -> list[float]:
    """Return after how many seconds a neighbour is told alone what we announce, having met us when we knew nothing."""
    bench = Bench()
    bench.speaker.announce(Q, 0, bench.now)
    bench.interface()
    bench.wait(20.0)
    met = bench.now
    bench.receive([bench.hello(), bench.ihu(), update(), *([EVERYTHING] if asks else [])])
    told = [(when, d) for when, d in bench.live(8.0) if updates(tlvs_of(d), Q)]
    return [when - met for when, datagram in told if datagram.destination[0] == neighbour_address(1)]


def test_a_neighbour_that_asks_for_nothing_since_it_knows_us_is_told_everything_once() -> None:
    (told,) = times_told(asks=False)
    assert 0.3 <= told <= 1.0


def test_a_neighbour_that_asks_for_everything_is_told_it_once() -> None:
    (told,) = times_told(asks=True)
    assert told < 0.2


def test_everything_is_asked_for_again_until_it_is_told_and_once_more() -> None:
    bench = Bench()
    bench.interface()
    bench.meet()
    assert bench.wait(0.39).count(EVERYTHING) == 0, "it has had no time to answer"
    assert bench.wait(1.0).count(EVERYTHING) >= 2
    # This may be news of a moment ago, and what it was asked for be lost.
    bench.receive([update()])
    assert EVERYTHING in bench.wait(0.6)
    bench.receive([update()])
    assert EVERYTHING not in bench.wait(10.0)


def test_a_large_table_is_not_asked_for_again() -> None:
    bench = Bench()
    bench.interface()
    bench.meet()
    bench.receive([update(prefix) for prefix in PREFIXES])
    assert EVERYTHING not in bench.wait(10.0)


def test_a_link_that_lives_again_has_its_table_asked_for_twice_again() -> None:
    bench = settled()
    bench.speaker.fail_link("tun", WHY, bench.now)
    bench.wait(1.0)
    bench.speaker.restore_link("tun", bench.now)
    asked = 0
    for _ in range(8):
        bench.receive([bench.hello(), bench.ihu(), update()])
        asked += bench.wait(0.25).count(EVERYTHING)
    assert asked == 2


def test_a_round_trip_that_waited_for_a_session_makes_nobody_wait_as_long_for_an_answer() -> None:
    bench = Bench()
    bench.interface()
    bench.receive([bench.hello(), bench.ihu()])
    (neighbour,) = bench.speaker._state.interfaces["tun"].neighbours.values()
    neighbour.round_trip.rtt = 12.0
    assert bench.wait(2.9).count(EVERYTHING) >= 2


def test_what_was_too_much_to_be_heard_is_asked_for_again() -> None:
    bench = Bench(Parameters(route_work=0, route_work_burst=2))
    bench.interface()
    bench.meet()
    bench.receive([RouteRequest(P), RouteRequest(P)])
    bench.receive([update()])
    assert bench.speaker.counters["tlv_dropped.rate"] == 1
    assert EVERYTHING in bench.wait(1.0)


def test_what_a_neighbour_never_announces_is_not_asked_for_without_end() -> None:
    bench = Bench()
    bench.interface()
    bench.meet()
    bench.keep(seconds=4.0)
    assert EVERYTHING not in bench.keep(seconds=60.0)


def test_who_retracts_everything_has_not_told_what_it_announces() -> None:
    bench = Bench()
    bench.interface()
    bench.meet()
    bench.receive([retraction(None)])
    assert EVERYTHING in bench.wait(1.0)


def test_a_neighbour_whose_link_fails_is_asked_for_nothing() -> None:
    bench = Bench()
    bench.interface()
    bench.meet()
    bench.speaker.fail_link("tun", WHY, bench.now)
    assert EVERYTHING not in bench.wait(3.0)


def test_a_link_that_returns_is_told_of_more_than_once() -> None:
    bench = settled()
    bench.speaker.fail_link("tun", WHY, bench.now)
    bench.wait(1.0)
    bench.speaker.restore_link("tun", bench.now)
    told: list[Tlv] = []
    for _ in range(5):
        # The neighbour says all it has to, but does not hear us yet: what it says of us is what it said before.
        told += bench.wait(0.25)
        bench.receive([bench.hello(), bench.ihu(), update()])
    assert sum(isinstance(tlv, Ihu) and tlv.rxcost < INFINITY for tlv in told) >= 3


def test_a_neighbour_that_begins_to_be_heard_cuts_no_return_short() -> None:
    bench = settled()
    bench.speaker.fail_link("tun", WHY, bench.now)
    bench.wait(1.0)
    bench.speaker.restore_link("tun", bench.now)
    for number in (1, 2):
        bench.receive([bench.hello(number), bench.ihu(), update(number=number)], number)
    bench.sent()
    assert hellos(bench.wait(1.0)) >= 2


def test_who_comes_by_ever_new_addresses_has_us_introduce_ourselves_now_and_then_only() -> None:
    bench = settled()
    asked = 0
    for second in range(60):
        number = 2 + second % 3
        bench.receive([bench.hello(number)], number)
        asked += bench.wait(1.0).count(EVERYTHING)
    assert asked <= 110


def test_on_a_lan_and_beside_it_nothing_is_repeated() -> None:
    bench = Bench()
    bench.interface("lan", InterfaceParameters.wired())
    bench.receive([bench.hello(1, "lan")], 1, "lan")
    bench.sent()
    told = bench.wait(3.5)
    assert EVERYTHING not in told
    assert hellos(told) <= 1
