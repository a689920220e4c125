"""What a neighbour says again is known by its octets, and means what it meant when it was read."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from babelwg.babel.operation import reception
from babelwg.babel.tables.route import Route
from babelwg.babel.wire.decode import decode_packet
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY, Update
from tests.babel.bench import ORIGIN, Bench, neighbour_address

OTHER = bytes.fromhex("02000000000000bb")
PREFIXES = [
    Prefix.parse(t) for t in ("2001:db8:1::/48", "2001:db8:1:2::/64", "192.0.2.0/24", "2001:db8::/32")
]
SOURCED = [PREFIXES[0].with_source(Prefix.parse("2001:db8:ffff::/48"))]


def update(prefix: Prefix | None, metric: int = 128, seqno: int = 7, router_id: bytes = ORIGIN) -> Update:
    if metric == INFINITY or prefix is None:
        return Update(prefix, None, seqno, INFINITY, 16.0, None)
    return Update(prefix, router_id, seqno, metric, 16.0, neighbour_address(1))


UPDATES = st.builds(
    update,
    st.sampled_from([*PREFIXES, *SOURCED, None]),
    st.sampled_from([128, 300, INFINITY]),
    st.sampled_from([7, 8]),
    st.sampled_from([ORIGIN, OTHER]),
)
STEPS = st.lists(
    st.tuples(st.sampled_from([0.0, 1.0, 20.0]), st.lists(UPDATES, min_size=1, max_size=6)),
    min_size=2,
    max_size=8,
)


def live(
    steps: list[tuple[float, list[Update]]], decode: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Any:
    """Return what a speaker knows, tells and counts after these packets, each of them said twice."""
    with monkeypatch.context() as patch:
        patch.setattr(reception, "decode_packet", decode)
        bench = Bench()
        bench.interface()
        bench.meet(hellos=2)
        told: list[Any] = []
        for pause, updates in steps:
            for _ in range(2):
                bench.receive([bench.hello(), bench.ihu(), *updates])
                told += [bench.wait(pause), bench.events()]
    snapshot = bench.snapshot()
    return snapshot.routes, snapshot.held, told, bench.speaker.counters


@given(steps=STEPS)
def test_it_makes_no_difference_whether_a_repeated_update_is_recognised(
    steps: list[tuple[float, list[Update]]],
) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        plain = live(steps, lambda data, source, known: decode_packet(data, source), monkeypatch)
        assert live(steps, decode_packet, monkeypatch) == plain


def heard(bench: Bench, updates: list[Update], monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return of each update in a packet whether it was recognised."""
    found: list[bool] = []

    def decode(*args: Any) -> Any:
        packet = decode_packet(*args)
        found.extend(isinstance(tlv, Route) for tlv in packet.tlvs if isinstance(tlv, Route | Update))
        return packet

    with monkeypatch.context() as patch:
        patch.setattr(reception, "decode_packet", decode)
        bench.receive(updates)
    return found


def test_only_what_is_said_again_octet_for_octet_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.interface()
    bench.meet(hellos=2)
    table = [update(prefix) for prefix in PREFIXES]
    assert heard(bench, table, monkeypatch) == [False] * 4
    assert heard(bench, table, monkeypatch) == [True] * 4
    changed = [table[0], replace(table[1], seqno=8), *table[2:]]
    assert heard(bench, changed, monkeypatch) == [True, False, True, True]
    other_origin = [replace(one, router_id=OTHER) for one in table]
    assert heard(bench, other_origin, monkeypatch) == [False] * 4
    assert heard(bench, other_origin, monkeypatch) == [True] * 4


def test_after_a_retraction_nothing_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.interface()
    bench.meet(hellos=2)
    table = [update(prefix) for prefix in PREFIXES]
    bench.receive(table)
    # What one packet retracts and says again is said anew, in the order of the packet.
    assert heard(bench, [table[0], update(PREFIXES[0], INFINITY), table[0], table[1]], monkeypatch) == [
        True, False, False, True,
    ]  # fmt: skip
    assert [view.state for view in bench.snapshot().routes if view.prefix == PREFIXES[0]] == ["selected"]
    assert heard(bench, [update(None), *table], monkeypatch) == [False] * 5
    assert heard(bench, table, monkeypatch) == [True] * 4
    bench.receive([update(None)])
    assert heard(bench, table, monkeypatch) == [False] * 4


def test_a_recognised_route_that_ended_meanwhile_is_learned_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.interface()
    bench.meet(hellos=2)
    table = [update(prefix) for prefix in PREFIXES]
    bench.receive(table)
    # A neighbour whose Hello seqno jumps has restarted: its routes go while the packet is handled.
    bench.seqnos["tun", 1] += 1000
    assert heard(bench, [bench.hello(), bench.ihu(), *table], monkeypatch) == [True] * 4  # type: ignore[list-item]
    assert {view.prefix for view in bench.snapshot().routes} == {*PREFIXES}


def test_what_is_remembered_ends_with_its_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.interface()
    bench.meet(hellos=2)
    bench.receive([update(prefix) for prefix in PREFIXES])
    bench.receive([update(prefix, seqno=8) for prefix in PREFIXES])
    (neighbour,) = bench.speaker._state.interfaces["tun"].neighbours.values()
    assert len(neighbour.heard.updates) == len(PREFIXES)
    bench.keep(seconds=80.0)
    assert not neighbour.heard.updates


def test_the_octets_that_an_update_omits_count(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.interface()
    bench.meet(hellos=2)
    one, other = (
        [update(Prefix.parse(f"2001:db8:{n}::/48")), update(Prefix.parse(f"2001:db8:{n}:2::/64"))]
        for n in (1, 9)
    )
    # Of the second prefix only the last two octets are said, which are the same in both packets.
    assert heard(bench, one, monkeypatch) == [False, False]
    assert heard(bench, other, monkeypatch) == [False, False]
    assert {view.prefix for view in bench.snapshot().routes} == {tlv.prefix for tlv in (*one, *other)}
    assert heard(bench, one, monkeypatch) == heard(bench, other, monkeypatch) == [True, True]
