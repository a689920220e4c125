"""What earlier lives announced and this one does not is retracted, when the kernel forwards it no more."""

from collections.abc import Callable

from babelwg.babel.datagram import Datagram
from babelwg.babel.memory import Chosen, Heard, Memory, RouteRecord, SourceRecord
from babelwg.babel.operation.restoration import ANSWER
from babelwg.babel.parameters import InterfaceParameters
from babelwg.babel.tables.source import Source
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY, Hello, Update
from tests.babel.bench import (
    ORIGIN,
    OUR_ADDRESS,
    OUR_ID,
    Bench,
    P,
    Q,
    neighbour_address,
    retraction,
    tlvs_of,
    update,
)
from tests.babel.test_hostile import prefixes

ONE = neighbour_address(1)
CHOSEN = Chosen("tun", ONE, ONE, ORIGIN, seqno=7, refmetric=50, txcost=96, interval=16.0, since=400.0)
SOURCES = tuple(SourceRecord(prefix, ORIGIN, 7, 146) for prefix in (P, Q))


class Disk:
    """What a life leaves for the next one, as the shell keeps it."""

    def __init__(self) -> None:
        self.sources: dict[Source, SourceRecord] = {}
        self.routes: dict[Prefix, RouteRecord] = {}
        self.hellos: dict[str, int] = {}
        self.heard: dict[tuple[str, bytes], Heard] = {}

    def store(self, bench: Bench) -> None:
        for source in bench.speaker.sources_to_store():
            self.sources[Source(source.prefix, source.router_id)] = source
        for route in (*bench.speaker.routes_to_store(), *bench.speaker.new_routes_to_store()):
            self.routes[route.prefix] = route
        sent, heard = bench.speaker.hellos_to_store()
        self.hellos |= sent
        self.heard |= heard

    def memory(self) -> Memory:
        routes = tuple(route for route in self.routes.values() if route.chosen is not None)
        return Memory(100, tuple(self.sources.values()), self.hellos, False, routes, self.heard)


def retracted(datagrams: list[Datagram]) -> list[Prefix | None]:
    """Return what is retracted where somebody listens."""
    told = [tlv for d in datagrams if d.interface == "other" for tlv in tlvs_of(d) if isinstance(tlv, Update)]
    return [tlv.prefix for tlv in told if tlv.metric == INFINITY]


def start(memory: Memory, listener: bool = True) -> Bench:
    """Return a speaker that comes back to a tunnel, where it may hear somebody, and to one where somebody listens."""
    found = Bench(memory=memory)
    found.speaker.add_interface("tun", InterfaceParameters(), OUR_ADDRESS, found.now)
    found.interface("other")
    if listener:
        found.meet(2, "other")
    return found


def told_in(bench: Bench, seconds: float) -> list[Prefix | None]:
    return retracted([datagram for _, datagram in bench.live(seconds)])


def settle(bench: Bench, *forwarded: Prefix) -> list[Prefix | None]:
    """Have the shell say that the kernel forwards just this of the earlier lives; return what is retracted at once."""
    bench.sent()
    bench.speaker.retract_former(bench.now, frozenset(forwarded))
    return retracted(bench.datagrams())


def killed(change: Callable[[Bench], None]) -> Memory:
    """Return what a life leaves that announced P and Q, and ends as soon as this has happened."""
    found, disk = Bench(), Disk()
    found.interface()
    found.meet()
    found.interface("other")
    found.meet(2, "other")
    found.receive([update(P, 50), update(Q, 50)])
    found.sent()
    change(found)
    found.sent()
    disk.store(found)
    return disk.memory()


def test_a_retraction_that_nobody_acknowledged_is_told_by_the_next_life() -> None:
    memory = killed(lambda bench: bench.receive([retraction(P)]))
    found = start(memory)
    assert settle(found) == [P]
    assert told_in(found, 0.6) == [P], "until it is acknowledged"
    assert settle(found) == []


def test_what_the_kernel_forwards_is_retracted_when_it_ends() -> None:
    found = start(Memory(100, SOURCES, {}, False))
    assert settle(found, P) == [Q]
    assert settle(found, P) == []
    assert settle(found) == [P]
    assert settle(found) == []


def test_what_is_selected_again_first_is_not_retracted() -> None:
    found = start(Memory(100, SOURCES, {}, False))
    found.receive([found.hello(), found.ihu(), update(P, 50)])
    assert settle(found) == [Q]


def test_what_is_ours_no_more_is_retracted() -> None:
    sources = tuple(SourceRecord(prefix, OUR_ID, 99, 0) for prefix in (P, Q))
    found = start(Memory(100, sources, {}, False))
    found.speaker.announce(P, 0, found.now)
    assert settle(found) == [Q]


def test_what_was_forgotten_or_never_announced_is_not_retracted() -> None:
    sources = (SOURCES[0]._replace(seqno=None, metric=None),)
    assert settle(start(Memory(100, sources, {}, False))) == []


def test_without_memory_all_is_retracted_in_another_way() -> None:
    found = start(Memory(100, SOURCES, {"tun": 51}, True))
    found.sent()
    assert settle(found) == []


def test_a_neighbour_that_comes_later_is_told_too() -> None:
    found = start(Memory(100, SOURCES, {}, False), listener=False)
    assert settle(found, P) == []
    found.wait(3.0)
    found.receive([found.hello(2, "other"), found.ihu()], 2, "other")
    assert retracted(found.datagrams()) == [Q]
    found.receive([update(Q, 50)], 2, "other")
    found.receive([found.hello(), found.ihu()])
    assert Q not in retracted(found.datagrams()), "by now there is a way"


def test_who_says_later_that_it_hears_us_is_told_too() -> None:
    found = start(Memory(100, SOURCES, {}, False), listener=False)
    found.speaker.add_interface("lan", InterfaceParameters.wired(), OUR_ADDRESS, found.now)
    found.meet(2, "lan")
    found.receive([found.hello(3, "lan")], 3, "lan")
    settle(found)
    for _ in range(3):
        found.receive([found.hello(2, "lan"), found.ihu()], 2, "lan")
        found.receive([found.hello(3, "lan")], 3, "lan")
        found.wait(4.0)
    found.receive([found.ihu()], 3, "lan")
    told = [d for _, d in found.wait_datagrams(0.2) if d.destination[0] == neighbour_address(3)]
    assert {u.prefix for d in told for u in tlvs_of(d) if isinstance(u, Update)} == {P, Q}


def test_who_comes_when_nobody_remembers_it_is_not_told() -> None:
    found = start(Memory(100, SOURCES, {}, False))
    assert len(settle(found)) == 2
    found.wait(181.0)
    found.receive([found.hello(2, "other"), found.ihu()], 2, "other")
    assert retracted(found.datagrams()) == []


def test_what_was_learned_from_a_neighbour_that_fell_silent_before_is_given_up_soon() -> None:
    """It was last heard at 989, 9 s before the kill, and others until then: 2 s later it has said nothing for 11 s."""
    heard = {("tun", ONE): Heard(70, 4.0, 999.0), ("other", ONE): Heard(70, 4.0, 1008.0)}
    routes = (RouteRecord(P, CHOSEN), RouteRecord(Q, CHOSEN))
    found = start(Memory(100, SOURCES, {"tun": 51}, False, routes, heard))
    assert told_in(found, ANSWER - 0.1) == []
    assert settle(found, P, Q) == []
    assert {*told_in(found, 0.2)} == {P, Q}
    # The kernel drops its route when neighbours hear of it, and refuses packets until they have.
    assert found.events().count("route-retracted") == 2
    found.wait(3.0)
    assert settle(found) == []


def test_a_neighbour_to_which_nobody_could_listen_has_its_whole_time_to_speak() -> None:
    """It was heard when we were there for the last time, 12 s ago; for all we know it has spoken ever since."""
    heard = {("tun", ONE): Heard(70, 4.0, 998.0)}
    routes = (RouteRecord(P, CHOSEN), RouteRecord(Q, CHOSEN))
    found = start(Memory(100, SOURCES, {"tun": 51}, False, routes, heard))
    assert told_in(found, 9.8) == []
    found.receive([Hello(72, 4.0), found.ihu(), update(P, 50)])
    found.seqnos["tun", 1] = 72
    assert found.selected() == ONE
    assert told_in(found, 10.0) == [], "what it does not announce again, the kernel forwards for a while"
    assert settle(found) == [Q]


def test_a_neighbour_that_was_not_heard_in_its_whole_time_is_given_up() -> None:
    heard = {("tun", ONE): Heard(70, 4.0, 998.0)}
    found = start(Memory(100, SOURCES, {"tun": 51}, False, (RouteRecord(P, CHOSEN),), heard))
    assert told_in(found, 9.9) == []
    assert told_in(found, 0.2) == [P]


def test_what_another_neighbour_announces_outlasts_the_silent_one() -> None:
    heard = {("tun", ONE): Heard(70, 4.0, 998.0)}
    found = start(Memory(100, SOURCES, {"tun": 51}, False, (RouteRecord(P, CHOSEN),), heard))
    found.receive([update(P, 40)], 2, "other")
    assert P not in told_in(found, 20.0)
    assert found.selected() == neighbour_address(2)


def test_what_was_had_over_an_interface_that_is_not_wanted_any_more_is_given_up_at_once() -> None:
    gone = CHOSEN._replace(interface="gone")
    heard = {(name, ONE): Heard(1, 4.0, 1010.0) for name in ("gone", "tun")}
    memory = Memory(100, SOURCES, {}, False, (RouteRecord(P, gone), RouteRecord(Q, CHOSEN)), heard)
    found = start(memory)
    found.events()
    found.speaker.forget_interfaces({"tun", "other"}, found.now)
    assert retracted(found.datagrams()) == [P]
    assert found.events() == ["route-retracted"], "the kernel is told before the interface goes"
    assert settle(found, Q) == []


def test_what_fails_meanwhile_does_not_wait_for_all_that_earlier_lives_announced() -> None:
    known = prefixes(3000)
    sources = tuple(SourceRecord(prefix, ORIGIN, 7, 146) for prefix in known)
    found = start(Memory(100, sources, {}, False))
    found.meet(1)
    found.receive([update(P)])
    found.wait(1)
    settle(found)
    found.receive([retraction(P)])
    told = [(when, d) for when, d in found.live(4.0) if d.interface == "other"]
    heard = [(when, prefix) for when, d in told for prefix in retracted([d])]
    assert {prefix for _, prefix in heard} >= {*known[200:], P}
    first = {prefix: when for when, prefix in reversed(heard)}
    assert first[P] < first[known[400]] < first[known[-1]]


def silent_and_restarted() -> tuple[Bench, Disk]:
    """Return a speaker whose neighbour fell silent before its last life ended, and its disk, empty but for sources."""
    heard = {("tun", ONE): Heard(70, 4.0, 999.0), ("other", ONE): Heard(70, 4.0, 1008.0)}
    routes = (RouteRecord(P, CHOSEN), RouteRecord(Q, CHOSEN))
    found = start(Memory(100, SOURCES, {"tun": 51}, False, routes, heard))
    disk = Disk()
    disk.sources = {Source(source.prefix, source.router_id): source for source in SOURCES}
    found.sent()
    return found, disk


def test_what_a_silent_neighbour_had_is_given_up_also_when_the_next_life_is_too_short_for_it() -> None:
    found, disk = silent_and_restarted()
    disk.store(found)
    assert disk.routes == {prefix: RouteRecord(prefix, CHOSEN) for prefix in (P, Q)}
    assert found.speaker.selected_routes() == [*disk.routes.values()]
    second = start(disk.memory())
    assert settle(second, P, Q) == []
    assert {*told_in(second, ANSWER + 0.1)} == {P, Q}
    disk.store(second)
    assert disk.memory().routes == ()
    assert second.speaker.selected_routes() == []


def test_what_a_neighbour_had_that_speaks_again_is_stored_no_more() -> None:
    found, disk = silent_and_restarted()
    disk.store(found)
    found.receive([found.hello()])
    # At once: by this Hello, the next life would find the neighbour alive and take up its routes.
    assert found.speaker.routes_to_store() == [RouteRecord(P, None), RouteRecord(Q, None)]
    assert found.speaker.selected_routes() == []


def test_what_another_neighbour_has_takes_the_place_of_what_the_silent_one_had() -> None:
    found, disk = silent_and_restarted()
    disk.store(found)
    found.receive([update(P, 40)], 2, "other")
    whole = [(r.prefix, r.chosen and r.chosen.neighbour) for r in found.speaker.selected_routes()]
    assert whole == [(P, neighbour_address(2)), (Q, ONE)]
    found.receive([retraction(P)], 2, "other")
    disk.store(found)
    assert disk.routes[P] == RouteRecord(P, None)
