"""Source-specific routes in a speaker (RFC 9079): own entries, own distances, own requests."""

import pytest

from babelwg.babel.parameters import InterfaceParameters, Parameters
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY, RouteRequest, SeqnoRequest, Update
from tests.babel.bench import (
    ORIGIN,
    OUR_ID,
    Bench,
    P,
    neighbour_address,
    retraction,
    seqno_requests,
    tlvs_of,
    update,
    updates,
)

DEFAULT = Prefix.parse("::/0")
S = Prefix.parse("::/0 from 2001:db8:5::/48")
T = Prefix.parse("::/0 from 2001:db8:6::/48")
S4 = Prefix.parse("0.0.0.0/0 from 192.0.2.0/24")


def bench(*interfaces: InterfaceParameters, node: Parameters | None = None) -> Bench:
    """Return a speaker with interfaces if0, if1, ... each with the reachable neighbour of its number."""
    found = Bench(node)
    for number, parameters in enumerate(interfaces or (InterfaceParameters(), InterfaceParameters())):
        found.interface(f"if{number}", parameters)
        found.meet(number, f"if{number}", hellos=16)
    found.live(3)
    found.events()
    return found


def receive(found: Bench, number: int, *tlvs) -> None:
    found.receive(tlvs, number, f"if{number}")


@pytest.mark.conformance("SS3-1", "SS3.2-1")
def test_routes_for_different_sources_are_different_routes() -> None:
    found = bench()
    receive(found, 0, update(DEFAULT, metric=10), update(S, metric=20, number=0), update(T, metric=30))
    receive(found, 1, update(S, metric=5, number=1))
    assert found.selected(DEFAULT) == neighbour_address(0)
    assert found.selected(S) == neighbour_address(1)
    assert found.selected(T) == neighbour_address(0)
    receive(found, 0, retraction(DEFAULT))
    assert (found.selected(DEFAULT), found.selected(T)) == (None, neighbour_address(0))


@pytest.mark.conformance("SS3.1-1")
def test_the_distance_of_one_source_prefix_does_not_bind_another() -> None:
    found = bench()
    receive(found, 0, update(DEFAULT, metric=10, number=0))
    found.sent()
    assert (found.distance(DEFAULT), found.distance(S)) == ((7, 106), None)
    receive(found, 0, update(S, metric=5000, number=0))
    found.sent()
    assert (found.distance(DEFAULT), found.distance(S)) == ((7, 106), (7, 5096))
    receive(found, 1, update(DEFAULT, metric=200, number=1), update(S, metric=200, number=1))
    assert found.route(1, DEFAULT, "if1").state == "unfeasible"
    assert found.route(1, S, "if1").state == "selected"


@pytest.mark.conformance("SS3.3-1", "SS5.1-1")
def test_a_seqno_request_for_one_source_prefix_is_passed_on_for_it_alone() -> None:
    found = bench()
    receive(found, 0, update(DEFAULT, metric=10, number=0), update(S, metric=10, number=0))
    found.wait(0.2)
    receive(found, 1, SeqnoRequest(S, ORIGIN, 8, 64))
    assert seqno_requests(found.wait(0.1)) == [SeqnoRequest(S, ORIGIN, 8, 63)]
    # The other one is no duplicate of it.
    receive(found, 1, SeqnoRequest(DEFAULT, ORIGIN, 8, 64))
    assert seqno_requests(found.wait(0.1)) == [SeqnoRequest(DEFAULT, ORIGIN, 8, 63)]
    receive(found, 0, update(S, metric=10, seqno=8, number=0))
    answered = found.wait(0.1)
    assert {u.seqno for u in updates(answered, S)} == {8}
    assert {u.seqno for u in updates(answered, DEFAULT)} <= {7}


@pytest.mark.conformance("SS5.1-1")
def test_a_route_request_is_answered_for_its_source_prefix_alone() -> None:
    found = bench()
    found.speaker.announce(S, 3, found.now)
    found.live(20)
    receive(found, 0, RouteRequest(S))
    assert [(u.prefix, u.metric) for u in found.sent() if isinstance(u, Update)] == [(S, 3)]
    receive(found, 0, RouteRequest(DEFAULT))
    assert [(u.prefix, u.metric) for u in found.sent() if isinstance(u, Update)] == [(DEFAULT, INFINITY)]


@pytest.mark.conformance("SS5.2-1")
def test_a_wildcard_retraction_takes_routes_of_all_sources_along() -> None:
    found = bench()
    receive(found, 0, update(DEFAULT, metric=10, number=0), update(S, number=0), update(S4, number=0))
    receive(found, 0, retraction(None))
    assert [found.selected(prefix) for prefix in (DEFAULT, S, S4)] == [None] * 3


@pytest.mark.conformance("SS5.2-3", "V2.3-4")
def test_a_wildcard_request_is_answered_with_routes_of_all_sources() -> None:
    found = bench()
    for prefix in (DEFAULT, S, T, S4, P):
        found.speaker.announce(prefix, 0, found.now)
    found.live(20)
    receive(found, 0, RouteRequest(None))
    dump = [u for u in found.sent() if isinstance(u, Update)]
    assert sorted(u.prefix for u in dump) == sorted((DEFAULT, S, T, S4, P))
    assert {u.router_id for u in dump} == {OUR_ID}


@pytest.mark.conformance("SS5.2-2", "SS5.2-4")
@pytest.mark.parametrize("body", ["0810 0000 0000 012c 0001 ffff 8003 10 2001 00", "0907 0000 8003 10 2001"])
def test_a_wildcard_with_a_source_prefix_moves_nothing_and_is_counted(body: str) -> None:
    found = bench()
    receive(found, 0, update(DEFAULT, metric=10, number=0), update(S, number=0))
    found.wait(1)
    before = found.snapshot()
    octets = bytes.fromhex(body)
    found.receive_octets(b"\x2a\x02" + len(octets).to_bytes(2, "big") + octets, 0, "if0")
    assert found.sent() == []
    assert found.snapshot() == before
    assert found.speaker.counters["tlv_dropped.wildcard-source-prefix"] == 1


@pytest.mark.parametrize(
    ("sub_tlvs", "reason"),
    [("8001 00", "source-bad-plen"), ("8002 10 20", "source-short-prefix"), ("8003 10", "truncated-sub-tlv")]
    + [("8003 10 2001 8003 10 2001", "repeated-source-prefix")],
)
def test_a_malformed_source_prefix_is_counted_and_moves_nothing(sub_tlvs: str, reason: str) -> None:
    found = bench()
    receive(found, 0, update(DEFAULT, metric=10, number=0), update(S, number=0))
    found.wait(1)
    before = found.snapshot()
    body = bytes.fromhex("02 00 00 00 012c 0008 ffff" + sub_tlvs)
    packet = bytes((8, len(body))) + body
    found.receive_octets(b"\x2a\x02" + len(packet).to_bytes(2, "big") + packet, 0, "if0")
    assert found.snapshot() == before
    assert found.speaker.counters[f"tlv_dropped.{reason}"] == 1


@pytest.mark.conformance("SS4-4")
def test_a_node_without_a_place_for_them_ignores_source_specific_routes() -> None:
    found = bench(node=Parameters(source_specific=False))
    receive(found, 0, update(S, metric=10, number=0), update(DEFAULT, metric=10, number=0))
    assert [view.prefix for view in found.snapshot().routes] == [DEFAULT]
    assert found.speaker.counters["update_refused.source-specific"] == 1
    assert "tlv-dropped" not in found.events()
    assert {u.metric for u in updates(found.wait(0.1), S)} == set()


@pytest.mark.conformance("SS6-1")
def test_source_specific_routes_are_kept_from_speakers_that_take_them_for_ordinary_ones() -> None:
    found = bench(InterfaceParameters(), InterfaceParameters(rfc6126_compatible=True))
    receive(found, 0, update(S, metric=10, number=0), update(DEFAULT, metric=10, number=0))
    found.speaker.announce(T, 0, found.now)
    receive(found, 1, RouteRequest(S), RouteRequest(None))
    sent: dict[str, set[Prefix]] = {"if0": set(), "if1": set()}
    for _, datagram in found.live(40):
        sent[datagram.interface] |= {t.prefix for t in tlvs_of(datagram) if isinstance(t, Update)}
    assert sent["if0"] == {T}
    assert sent["if1"] == {DEFAULT}
    # Nobody there has heard of it, so nobody there is waited for when it is lost.
    receive(found, 0, retraction(S))
    assert S not in found.snapshot().held
    receive(found, 1, update(S, metric=9, seqno=8, number=1))
    asked = [t for _, d in found.live(55) for t in tlvs_of(d) if isinstance(t, RouteRequest)]
    assert S not in [t.prefix for t in asked]
    assert found.speaker.counters["request_suppressed.rfc6126"] == 3


def test_a_martian_source_is_refused() -> None:
    found = bench()
    receive(found, 0, update(Prefix.parse("::/0 from ff00::/8"), number=0))
    receive(found, 0, update(Prefix.parse("0.0.0.0/0 from 127.0.0.0/8"), number=0))
    assert found.snapshot().routes == ()
    assert found.speaker.counters["update_refused.martian"] == 2
    with pytest.raises(ValueError, match="must not be routed"):
        found.speaker.announce(Prefix.parse("::/0 from fe80::/64"), 0, found.now)
