"""Full dumps say what is true, and what has not changed is not encoded again."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from babelwg.babel.operation import dump
from babelwg.babel.parameters import InterfaceParameters, Parameters
from babelwg.babel.policy import AllowAll
from babelwg.babel.state import State
from babelwg.babel.tables.batch import MOST, Batch, Batches
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import (
    INFINITY,
    AcknowledgmentRequest,
    Hello,
    RouteRequest,
    SeqnoRequest,
    Update,
)
from tests.babel.bench import ORIGIN, OUR_ADDRESS, OUR_ID, Bench, neighbour_address, tlvs_of

OTHER = bytes.fromhex("02000000000000bb")
PREFIXES = [Prefix.parse(f"2001:db8:{n:x}::/48") for n in range(40)] + [Prefix.parse("192.0.2.0/24")]
SOURCED = PREFIXES[0].with_source(Prefix.parse("2001:db8:ffff::/48"))
WIRED = InterfaceParameters.wired()
INTERVAL = WIRED.update_interval


class Dearer(AllowAll):
    """Filters that make all that is announced worse, and keep some of it back."""

    def metric_out(self, announcement: Any) -> int:
        return INFINITY if announcement.prefix == PREFIXES[1] else 10


def bench(node: Parameters | None = None) -> Bench:
    """Return a speaker with a neighbour on each of two interfaces."""
    found = Bench(node)
    for number, name in enumerate(("if0", "if1")):
        found.interface(name, WIRED)
        found.meet(number, name, hellos=16)
    return found


def say(found: Bench, prefixes: list[Prefix], metric: int, seqno: int, router_id: bytes) -> None:
    """Have the first neighbour announce prefixes."""
    next_hop = neighbour_address(0)
    updates = [
        Update(p, router_id, seqno, metric, 160.0, next_hop)
        if metric < INFINITY
        else Update(p, None, seqno, INFINITY, 160.0, None)
        for p in prefixes
    ]
    found.receive([found.hello(0, "if0"), found.ihu(), *updates], 0, "if0")


def keep(found: Bench, seconds: float) -> list[tuple[float, Any]]:
    """Let time pass with both neighbours alive; return what is sent."""
    told = []
    for _ in range(max(1, round(seconds / 4))):
        for number, name in enumerate(("if0", "if1")):
            found.receive([found.hello(number, name), found.ihu()], number, name)
        told += found.wait_datagrams(min(seconds, 4.0))
    return told


CHOSEN = st.lists(st.sampled_from([*PREFIXES, SOURCED]), min_size=1, max_size=12)
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("say"),
            CHOSEN,
            st.sampled_from([100, 128, 300, INFINITY]),
            st.sampled_from([7, 8]),
            st.sampled_from([ORIGIN, OTHER]),
        ),
        st.tuples(st.just("announce"), st.sampled_from(PREFIXES), st.sampled_from([0, 10])),
        st.tuples(st.just("withdraw"), st.sampled_from(PREFIXES)),
        st.tuples(st.just("request"), st.sampled_from([0, 1])),
        st.tuples(st.just("seqno"), st.sampled_from(PREFIXES)),
        st.tuples(st.just("policy"), st.booleans()),
        st.tuples(st.just("move")),
        st.tuples(st.just("ipv4"), st.sampled_from([None, bytes([192, 0, 2, 1])])),
        st.tuples(st.just("wait"), st.sampled_from([1.0, 20.0, 200.0])),
    ),
    max_size=14,
)


def do(found: Bench, step: tuple[Any, ...]) -> None:
    """Do one step of a story."""
    kind, *rest = step
    if kind == "say":
        say(found, *rest)
    elif kind == "announce":
        found.speaker.announce(rest[0], rest[1], found.now)
    elif kind == "withdraw":
        found.speaker.withdraw(rest[0], found.now)
    elif kind == "request":
        found.receive([RouteRequest(None)], rest[0], f"if{rest[0]}")
    elif kind == "seqno":
        ours = found.speaker.snapshot(found.now).seqno
        found.receive([SeqnoRequest(rest[0], OUR_ID, (ours + 1) % 0x10000, 8)], 1, "if1")
    elif kind == "move":
        found.speaker.set_interface("if1", WIRED, neighbour_address(99), found.now)
    elif kind == "policy":
        found.speaker.set_policy(Dearer() if rest[0] else AllowAll(), found.now)
    elif kind == "ipv4":
        found.speaker.set_interface("if1", replace(WIRED, ipv4=rest[0]), OUR_ADDRESS, found.now)


def live(steps: list[tuple[Any, ...]], node: Parameters) -> Any:
    """Return all that a speaker sends, knows and counts in a story."""
    found = bench(node)
    say(found, PREFIXES[:20], 128, 7, ORIGIN)
    told = keep(found, 20)
    for step in steps:
        do(found, step)
        told += keep(found, step[1] if step[0] == "wait" else 20)
    return told, found.snapshot(), found.speaker.counters


@example([("announce", PREFIXES[30], 0), ("wait", 20.0), ("policy", True)], Parameters())
@example([("announce", PREFIXES[30], 0), ("wait", 20.0), ("seqno", PREFIXES[30])], Parameters())
@example([("announce", PREFIXES[-1], 0), ("wait", 20.0), ("ipv4", bytes([192, 0, 2, 1]))], Parameters())
@example([("announce", PREFIXES[-1], 0), ("wait", 20.0), ("move",)], Parameters())
@given(steps=STEPS, node=st.sampled_from([Parameters(), Parameters(max_sources=15)]))
def test_it_makes_no_difference_whether_encodings_are_kept(
    steps: list[tuple[Any, ...]], node: Parameters
) -> None:
    kept = live(steps, node)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dump, "_is_true", lambda *_: False)
        assert live(steps, node) == kept


def count_encoded(monkeypatch: pytest.MonkeyPatch) -> list[Prefix]:
    """Note each prefix whose update is built for a dump."""
    encoded: list[Prefix] = []
    build = dump.build_update

    def noting(state: Any, interface: Any, prefix: Prefix, **words: Any) -> Any:
        encoded.append(prefix)
        return build(state, interface, prefix, **words)

    monkeypatch.setattr(dump, "build_update", noting)
    return encoded


@pytest.mark.parametrize(
    "change",
    [
        lambda found: say(found, [PREFIXES[5]], 300, 8, ORIGIN),
        lambda found: say(found, [PREFIXES[5]], INFINITY, 8, ORIGIN),
        lambda found: found.speaker.announce(PREFIXES[5], 0, found.now),
    ],
    ids=["metric", "retraction", "own"],
)
def test_after_a_change_only_what_lies_beside_it_is_encoded_again(
    change: Callable[[Bench], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = bench()
    say(found, PREFIXES, 128, 7, ORIGIN)
    keep(found, 3 * INTERVAL)
    encoded = count_encoded(monkeypatch)
    keep(found, 2 * INTERVAL)
    assert encoded == []
    change(found)
    keep(found, 2 * INTERVAL)
    assert 1 <= len(set(encoded)) <= 2 * MOST < len(PREFIXES) * 2
    assert len(encoded) <= 4 * MOST


def test_a_forgotten_source_is_recorded_again_before_it_is_announced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(State, "source_lifetime", INTERVAL / 2)
    found = bench()
    say(found, PREFIXES[:3], 128, 7, ORIGIN)
    for _ in range(4):
        told = keep(found, INTERVAL)
        finite = [d for _, d in told if d.interface == "if1"]
        assert finite
        assert {s.prefix for s in found.snapshot().sources} <= set(PREFIXES[:3])
    assert found.distance(PREFIXES[0]) is not None


def test_what_was_said_of_a_forgotten_source_is_recorded_anew_also_when_sources_live_longer_now() -> None:
    found = bench()
    say(found, PREFIXES[:3], 128, 7, ORIGIN)
    keep(found, 3 * INTERVAL)
    for _ in range(80):  # its only listener is away for some minutes
        found.receive([found.hello(0, "if0"), found.ihu()], 0, "if0")
        if found.now % 80 < 4:
            say(found, PREFIXES[:3], 128, 7, ORIGIN)
        found.wait(4.0)
    assert found.distance(PREFIXES[0]) is None
    found.interface("slow", replace(WIRED, update_interval=600.0))
    told = [d for _, d in keep(found, INTERVAL) if d.interface == "if1"]
    assert [
        tlv for datagram in told for tlv in tlvs_of(datagram) if isinstance(tlv, Update) and tlv.metric < 500
    ]
    assert found.distance(PREFIXES[0]) is not None


def test_batches_end_where_they_did_when_a_prefix_comes_or_goes() -> None:
    batches = Batches()
    prefixes = [Prefix.parse(f"2001:db8:{n:x}::/48") for n in range(2000)]
    batches.cut(prefixes)
    before = [*batches.all()]
    assert [p for batch in before for p in batch.prefixes] == prefixes
    assert max(len(batch.prefixes) for batch in before) <= MOST
    for changed in (prefixes[:777] + prefixes[778:], [*prefixes[:900], SOURCED, *prefixes[900:]]):
        batches.cut(changed)
        after: list[Batch] = [*batches.all()]
        assert [p for batch in after for p in batch.prefixes] == changed
        # Where a batch is full its end moves, and the next one ends where it did.
        assert len(set(after) - set(before)) <= 8
        batches.cut(prefixes)


def test_a_dump_says_what_new_filters_say_of_our_own_prefixes() -> None:
    found = bench()
    found.speaker.announce(PREFIXES[3], 0, found.now)
    keep(found, 2 * INTERVAL)
    found.speaker.set_policy(Dearer(), found.now)
    keep(found, INTERVAL / 4)
    dump = [t for _, d in keep(found, 2 * INTERVAL) for t in tlvs_of(d) if isinstance(t, Update)]
    assert {t.metric for t in dump if t.prefix == PREFIXES[3]} == {10}


def test_a_batch_that_is_longer_than_a_packet_is_told_in_two() -> None:
    found = Bench()
    for number, name in enumerate(("if0", "if1")):
        found.interface(name, replace(WIRED, mtu=500))
        found.meet(number, name, hellos=16)
    # Nothing of them is like the one before, and each names its sources.
    sources = Prefix.parse("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff/128")
    networks = [bytes([0x20 + n]) + bytes(range(n, n + 15)) for n in range(60)]
    prefixes = {Prefix(6, network, 128).with_source(sources) for network in networks if network[0] < 0xFC}
    say(found, [*prefixes], 128, 7, ORIGIN)
    keep(found, INTERVAL)
    told = [d for _, d in keep(found, 2 * INTERVAL) if d.interface == "if1"]
    assert prefixes <= {t.prefix for d in told for t in tlvs_of(d) if isinstance(t, Update)}
    assert max(len(d.data) for d in told) <= 512


def dumps_of(found: Bench, seconds: float) -> list[tuple[float, bool]]:
    """Return when each periodic update began on the first interface, and whether a Hello was in the packet."""
    told = []
    for when, datagram in keep(found, seconds):
        tlvs = tlvs_of(datagram)
        if datagram.interface == "if0" and any(type(t) is Update and t.prefix == PREFIXES[0] for t in tlvs):
            told.append((when, any(type(t) is Hello for t in tlvs)))
    return told


def test_a_periodic_update_shares_the_packet_of_a_hello_and_keeps_its_promise() -> None:
    found = bench()
    found.speaker.announce(PREFIXES[0], 0, found.now)
    keep(found, 2 * INTERVAL)
    told = dumps_of(found, 12 * INTERVAL)
    assert all(with_hello for _, with_hello in told)
    pauses = [later - before for (before, _), (later, _) in pairwise(told)]
    assert max(pauses) <= INTERVAL
    # Not with every Hello that comes along: no more often than by the timer alone.
    assert min(pauses) >= 0.8 * INTERVAL
    assert len(told) <= 12 / 0.85


@pytest.mark.parametrize("change", [{"unicast": True}, {"update_interval": 2.0}])
def test_an_update_that_does_not_go_where_hellos_go_or_more_often_has_its_own_packets(
    change: dict[str, Any],
) -> None:
    found = bench()
    found.speaker.announce(PREFIXES[0], 0, found.now)
    parameters = replace(WIRED, **change)
    found.speaker.set_interface("if0", parameters, OUR_ADDRESS, found.now)
    keep(found, 2 * INTERVAL)
    told = dumps_of(found, 4 * INTERVAL)
    assert len(told) >= 4 * INTERVAL / parameters.update_interval
    assert sum(with_hello for _, with_hello in told) < len(told) / 2


def test_a_dump_says_what_was_kept_back_when_it_was_asked_for() -> None:
    found = bench()
    say(found, PREFIXES[:2], 0, 7, ORIGIN)
    keep(found, 2 * INTERVAL)
    assert found.selected(PREFIXES[0]) == neighbour_address(0)
    # The first neighbour asks for all, of which split horizon keeps back what it announces itself.
    found.receive([RouteRequest(None)], 0, "if0")
    other = [Update(p, ORIGIN, 8, 0, 160.0, neighbour_address(1)) for p in PREFIXES[:2]]
    found.receive([found.hello(1, "if1"), found.ihu()], 1, "if1")
    say(found, PREFIXES[:2], INFINITY, 7, ORIGIN)
    found.receive(other, 1, "if1")
    assert found.selected(PREFIXES[0]) == neighbour_address(1)
    sent = [tlvs_of(d) for _, d in found.wait_datagrams(1.0) if d.destination[0] == neighbour_address(0)]
    # Copies of what was urgent ask for an acknowledgment; a dump does not.
    dumped = [tlvs for tlvs in sent if not any(type(t) is AcknowledgmentRequest for t in tlvs)]
    told = {t.prefix for tlvs in dumped for t in tlvs if type(t) is Update and t.metric < INFINITY}
    assert set(PREFIXES[:2]) <= told
