"""What a neighbour says of many routes in a row is known as a whole, and means what its updates mean one by one."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babelwg.babel.operation import reception
from babelwg.babel.parameters import InterfaceParameters
from babelwg.babel.wire.decode import NOTHING_KNOWN, decode_packet
from babelwg.babel.wire.encode import PacketWriter
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.recognition import LONGEST_PASSAGE, Known, Passage
from babelwg.babel.wire.tlv import INFINITY, Hello, Ihu, Update
from tests.babel.bench import ORIGIN, Bench, neighbour_address, retraction, update

OTHER = bytes.fromhex("02000000000000bb")
PREFIXES = [Prefix.parse(f"2001:db8:{n}::/48") for n in range(1, 6)] + [Prefix.parse("192.0.2.0/24")]
WIRED = InterfaceParameters(split_horizon=False)


def table(number: int = 1, metric: int = 128, origin: bytes = ORIGIN) -> list[Update]:
    return [update(prefix, metric, number=number, router_id=origin) for prefix in PREFIXES]


def with_neighbours(count: int = 1) -> Bench:
    bench = Bench()
    bench.interface(parameters=WIRED)
    for number in range(1, count + 1):
        bench.meet(number, hellos=2)
    return bench


def heard(bench: Bench, tlvs: Iterable[Any], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return as what a speaker knew each Update or passage of a packet."""
    found: list[str] = []

    def decode(*args: Any) -> Any:
        packet = decode_packet(*args)
        found.extend(type(tlv).__name__ for tlv in packet.tlvs if not isinstance(tlv, Hello | Ihu))
        return packet

    with monkeypatch.context() as patch:
        patch.setattr(reception, "decode_packet", decode)
        bench.receive(tlvs)
    return found


def single(data: bytes, source: bytes, known: Known = NOTHING_KNOWN) -> Any:
    """Decode a packet as if no passage were known."""
    alone = Known()
    alone.updates = known.updates
    return replace(decode_packet(data, source, alone), passages=())


def known(bench: Bench) -> Known:
    (neighbour,) = bench.speaker._state.interfaces["tun"].neighbours.values()
    return neighbour.heard


def test_what_is_said_a_third_time_is_known_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = with_neighbours()
    assert heard(bench, table(), monkeypatch) == 6 * ["Update"]
    assert heard(bench, table(), monkeypatch) == 6 * ["Route"]
    assert heard(bench, [bench.hello(), *table()], monkeypatch) == ["Passage"]
    # Behind it the packet goes on, and its router-id and prefixes hold there.
    more = update(Prefix.parse("2001:db8:5:7::/64"))
    assert heard(bench, [*table(), more], monkeypatch) == ["Passage", "Update"]
    route = bench.route(prefix=more.prefix or PREFIXES[0])
    assert route is not None and route.router_id == ORIGIN
    assert heard(bench, [*table(), more], monkeypatch) == ["Passage", "Route"]


def test_its_routes_live_as_long_as_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = with_neighbours()
    for _ in range(2):
        bench.receive([bench.hello(), bench.ihu(), *table()])  # a small table is asked for twice
        bench.wait(1.0)
    for _ in range(20):
        bench.receive([bench.hello(interval=16.0), bench.ihu(interval=60.0), *table()])
        sent = bench.wait(16.0)
        assert not [tlv for tlv in sent if type(tlv).__name__ == "RouteRequest"]
    assert len(known(bench).passages) == 1
    assert {view.expires for view in bench.snapshot().routes} == {3.5 * 16.0 - 16.0}
    # Nothing is said of them any more: they are asked about, then retracted, then forgotten.
    sent = bench.keep(seconds=41.0)
    assert [tlv for tlv in sent if type(tlv).__name__ == "RouteRequest"]
    assert "route-retracted" in bench.events()
    assert not known(bench).passages
    bench.keep(seconds=60.0)
    assert not bench.snapshot().routes


@pytest.mark.parametrize(
    "news", [retraction(PREFIXES[2]), update(PREFIXES[2], 200), update(PREFIXES[2], seqno=8)]
)
def test_any_change_of_one_ends_it_and_the_others_live_on(
    news: Update, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = with_neighbours()
    for _ in range(3):
        bench.receive([bench.hello(), bench.ihu(), *table()])
    bench.keep(seconds=8.0)
    bench.receive(table())
    bench.receive([news])
    assert not known(bench).passages
    others = [view for view in bench.snapshot().routes if view.prefix != PREFIXES[2]]
    assert {view.expires for view in others} == {3.5 * 16.0}
    # In the packet of the change itself it is not known either, though its octets are there.
    for _ in range(2):
        assert heard(bench, table(), monkeypatch)[0] != "Passage"
    assert heard(bench, table(), monkeypatch) == ["Passage"]
    assert "Passage" not in heard(bench, [news, *table()], monkeypatch)


def test_a_prefix_without_a_route_is_looked_at_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = with_neighbours()
    for _ in range(3):
        bench.receive(table())
    bench.speaker.announce(PREFIXES[0], 0, bench.now)
    assert heard(bench, table(), monkeypatch) == 6 * ["Route"]
    assert heard(bench, table(), monkeypatch) == 6 * ["Route"]
    bench.speaker.withdraw(PREFIXES[0], bench.now)
    bench.receive(table())
    assert bench.selected(PREFIXES[0]) == neighbour_address(1)
    assert heard(bench, table(), monkeypatch) == ["Passage"]


def test_a_passage_whose_prefixes_begin_before_it_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = with_neighbours()
    # The writer omits octets of the prefix before, which another router-id announces.
    first = update(PREFIXES[0], router_id=OTHER)
    for _ in range(3):
        assert len(heard(bench, [first, *table()[1:5]], monkeypatch)) == 5
    elsewhere = update(Prefix.parse("2001:db9:1::/48"), router_id=OTHER)
    bench.receive([elsewhere, *table()[1:5]])
    assert {view.prefix for view in bench.snapshot().routes} == {*PREFIXES[:5], elsewhere.prefix}


def body(*tlvs: Update) -> bytes:
    """Return the octets of TLVs as a packet of their own has them."""
    writer = PacketWriter(60000, neighbour_address(1))
    assert all(writer.add(tlv) for tlv in tlvs)
    return writer.packet()[4:]


def say(bench: Bench, *bodies: bytes) -> None:
    """Receive a packet of these octets."""
    octets = b"".join(bodies)
    bench.receive_octets(b"\x2a\x02" + len(octets).to_bytes(2, "big") + octets)


def test_the_same_octets_after_another_next_hop_are_another_thing() -> None:
    bench = with_neighbours()
    by = neighbour_address(9)
    for _ in range(3):
        bench.receive(table())
    next_hop = bytes((7, 18, 2, 0)) + by
    for _ in range(4):
        say(bench, next_hop, body(*table()))
        assert {view.next_hop for view in bench.snapshot().routes} == {by}


def test_what_a_packet_says_before_and_after_a_passage_counts_in_its_order() -> None:
    bench = with_neighbours()
    third, whole = PREFIXES[2], body(*table())

    def metric() -> int:
        return {view.prefix: view.refmetric for view in bench.snapshot().routes}[third]

    bench.receive(table())
    say(bench, whole, body(update(third, 100)))  # not known as a whole yet
    assert metric() == 100
    for _ in range(3):
        say(bench, whole)
        assert metric() == 128
    say(bench, whole, body(update(third, 100)))
    assert metric() == 100
    for _ in range(3):
        say(bench, whole)
    say(bench, body(retraction(third)), whole)
    assert metric() == 128
    assert bench.selected(third) == neighbour_address(1)


@pytest.mark.parametrize(("times", "kind"), [(1, 6 * ["Route"]), (3, ["Passage"])])
def test_what_ended_while_the_packet_was_read_is_learned_anew(
    times: int, kind: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = with_neighbours()
    for _ in range(times):
        bench.receive(table())
    bench.seqnos["tun", 1] += 1000  # it has restarted, and its routes go
    assert heard(bench, [bench.hello(), bench.ihu(), *table()], monkeypatch) == kind
    assert {view.prefix for view in bench.snapshot().routes} == {*PREFIXES}
    assert not known(bench).passages


def test_a_passage_that_is_cut_off_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = with_neighbours()
    for _ in range(3):
        bench.receive(table())
    (passage,) = known(bench).passages.values()
    packet = b"\x2a\x02" + len(passage.octets).to_bytes(2, "big") + passage.octets
    source = neighbour_address(1)
    assert decode_packet(packet, source, known(bench)).tlvs == (passage,)
    for size in range(4, len(packet)):
        # A body that ends early, and a datagram that does.
        short = packet[:2] + (size - 4).to_bytes(2, "big") + packet[4:]
        for data in (short, short[:size]):
            plain = decode_packet(data, source, known(bench))
            assert not [tlv for tlv in plain.tlvs if isinstance(tlv, Passage)]
            assert plain.tlvs == single(data, source, known(bench)).tlvs


VARIANTS = st.lists(
    st.tuples(st.sampled_from(PREFIXES), st.sampled_from([128, 160, 900, INFINITY]), st.sampled_from([7, 8])),
    max_size=2,
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.sampled_from([1, 2]), VARIANTS, st.sampled_from([1, 3])),
        st.tuples(st.just("wait"), st.sampled_from([1.0, 9.0, 30.0, 60.0])),
        st.tuples(st.just("announce"), st.sampled_from(PREFIXES)),
        st.tuples(st.just("withdraw"), st.sampled_from(PREFIXES)),
        st.tuples(st.just("cost"), st.sampled_from([1, 2]), st.sampled_from([96, 400, INFINITY])),
    ),
    min_size=3,
    max_size=14,
)


def live(steps: list[Any], decode: Callable[..., Any]) -> list[Any]:
    """Return all that a speaker with two neighbours knows and does."""
    told: list[Any] = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(reception, "decode_packet", decode)
        bench = with_neighbours(2)
        for number in (1, 2):
            for _ in range(3):
                bench.receive(table(number, 128 * number), number)
        for step in steps:
            take(bench, step)
            told += [bench.events(), bench.sent()]
            told.append(bench.snapshot().routes)
        told += [bench.speaker.counters, bench.snapshot().sources]
    return told


def take(bench: Bench, step: Any) -> None:
    """Let one thing happen."""
    match step:
        case ("say", number, variants, times):
            said = {tlv.prefix: tlv for tlv in table(number, 128 * number)}
            for prefix, metric, seqno in variants:
                origin = None if metric == INFINITY else ORIGIN
                said[prefix] = replace(said[prefix], metric=metric, seqno=seqno, router_id=origin)
            for _ in range(times):
                bench.receive([bench.hello(number), bench.ihu(), *said.values()], number)
        case ("wait", seconds):
            bench.keep((1, 2), seconds=seconds)
        case ("announce", prefix):
            bench.speaker.announce(prefix, 0, bench.now)
        case ("withdraw", prefix):
            bench.speaker.withdraw(prefix, bench.now)
        case ("cost", number, rxcost):
            bench.receive([bench.hello(number), bench.ihu(rxcost)], number)


@settings(max_examples=150)
@given(steps=STEPS)
def test_it_makes_no_difference_whether_passages_are_known(steps: list[Any]) -> None:
    assert live(steps, decode_packet) == live(steps, single)


def test_what_says_nothing_more_makes_no_passage(monkeypatch: pytest.MonkeyPatch) -> None:
    said = body(*table())
    twice = body(*table(), table()[5])
    # Without padding and repetition it is known as a whole the third time, and so is it not with them.
    for octets, is_known in ((said, True), (said + bytes(2000), True), (twice, False)):
        bench = with_neighbours()
        for _ in range(4):
            say(bench, octets)
        assert bool(known(bench).passages) == is_known
        assert all(len(passage.octets) <= len(said) for passage in known(bench).passages.values())
    # Padding in its middle parts it.
    bench = with_neighbours()
    first, rest = body(*table()[:3]), body(*table())[len(body(*table()[:3])) :]
    for _ in range(4):
        say(bench, first, bytes(3000), rest)
    assert {len(passage.remembered) for passage in known(bench).passages.values()} <= {3}


def test_the_octets_of_a_passage_are_bounded() -> None:
    bench = with_neighbours()
    for _ in range(4):
        bench.receive(update(Prefix.parse(f"2001:db8:{n:x}::/48"), 128) for n in range(1, 400))
    assert all(len(passage.octets) <= LONGEST_PASSAGE for passage in known(bench).passages.values())
    assert bench.snapshot().routes[0].metric < INFINITY
