"""A link that is new or returns: both ends agree within a second, though Hellos and IHUs come seldom and get lost."""

from babelwg.babel.parameters import InterfaceParameters
from babelwg.babel.wire.tlv import INFINITY, Hello, Ihu, RouteRequest, Tlv
from tests.babel.bench import Bench, update

WHY = "8 probes in 120 ms were not answered"


def probes(tlvs: list[Tlv]) -> int:
    """Return how many Hellos there are that promise nothing."""
    return sum(isinstance(tlv, Hello) and not tlv.interval for tlv in tlvs)


def settled() -> Bench:
    """Return a speaker whose link to a neighbour is used, and known to both."""
    bench = Bench()
    bench.interface()
    bench.meet()
    bench.receive([update()])
    bench.keep(seconds=8.0)
    return bench


def test_a_tunnel_is_probed_when_it_starts_for_a_peer_that_thinks_it_is_known_already() -> None:
    bench = Bench()
    bench.interface()
    assert probes(bench.wait(0.2)) == 1
    assert probes(bench.wait(2.8)) >= 5
    assert probes(bench.wait(30.0)) == 0


def test_a_neighbour_that_does_not_say_that_it_hears_us_is_probed_until_it_does() -> None:
    bench = settled()
    bench.interface("new")
    bench.wait(20.0)
    bench.receive([bench.hello(2, "new")], 2, "new")
    assert probes(bench.wait(0.2)) == 1
    assert probes(bench.wait(0.9)) >= 2
    bench.receive([bench.hello(2, "new"), bench.ihu(), update(number=2)], 2, "new")
    assert probes(bench.wait(20.0)) == 0


def test_everything_is_asked_for_again_until_something_is_announced() -> None:
    bench = Bench()
    bench.interface()
    bench.meet()
    asked = [t for t in bench.wait(1.0) if t == RouteRequest(None)]
    assert len(asked) >= 2
    bench.receive([update()])
    assert RouteRequest(None) not in bench.wait(10.0)


def test_what_a_neighbour_never_announces_is_not_asked_for_without_end() -> None:
    bench = Bench()
    bench.interface()
    bench.meet()
    bench.keep(seconds=4.0)
    assert RouteRequest(None) not in bench.keep(seconds=60.0)


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
    assert sum(isinstance(tlv, Ihu) and tlv.rxcost < INFINITY for tlv in told) >= 4
    bench.receive([update()])
    assert probes(bench.keep(seconds=20.0)) == 0


def test_where_hellos_out_of_turn_are_not_known_none_are_sent() -> None:
    bench = Bench()
    bench.interface("old", InterfaceParameters(rfc6126_compatible=True))
    bench.interface("lan", InterfaceParameters.wired())
    bench.receive([bench.hello(1, "old")], 1, "old")
    bench.receive([bench.hello(1, "lan")], 1, "lan")
    assert probes(bench.wait(10.0)) == 0
