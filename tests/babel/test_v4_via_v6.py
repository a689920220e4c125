"""IPv4 routes with IPv6 next hops (RFC 9229): which encoding goes where, and what is not announced or accepted."""

import pytest

from babelwg.babel.datagram import Datagram
from babelwg.babel.parameters import InterfaceParameters, Parameters
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY, RouteRequest, SeqnoRequest
from tests.babel.bench import (
    ORIGIN,
    OUR_ADDRESS,
    OUR_ID,
    V4,
    Bench,
    P,
    neighbour_address,
    retraction,
    tlvs_of,
    update,
    updates,
)

OURS = bytes([192, 0, 2, 1])
SPECIFIC = Prefix.parse("10.0.0.0/8 from 192.0.2.0/24")


def bench(*interfaces: InterfaceParameters, node: Parameters | None = None) -> Bench:
    """Return a speaker with interfaces if0, if1, ... each with the reachable neighbour of its number."""
    found = Bench(node)
    for number, parameters in enumerate(interfaces):
        found.interface(f"if{number}", parameters)
        found.meet(number, f"if{number}", hellos=16)
    found.live(3)
    found.events()
    return found


def receive(found: Bench, number: int, *tlvs) -> None:
    found.receive(tlvs, number, f"if{number}")


def encodings(datagrams: list[Datagram], name: str) -> set[int]:
    """Return the address encodings of the updates for IPv4 prefixes sent on an interface."""
    seen = set()
    for datagram in datagrams:
        position, body = 4, datagram.data
        while position < len(body) and datagram.interface == name:
            if body[position] == 8 and body[position + 2] in (1, 4):
                seen.add(body[position + 2])
            position += 2 + body[position + 1]
    return seen


@pytest.mark.conformance("V2.1-1", "V2.1-2", "V2.3-3", "V2.3-4")
def test_an_interface_with_an_ipv4_address_uses_it_for_everything_and_one_without_never() -> None:
    found = bench(InterfaceParameters(), InterfaceParameters(ipv4=OURS))
    found.speaker.announce(V4, 0, found.now)
    found.speaker.announce(SPECIFIC, 0, found.now)
    datagrams = [d for _, d in found.live(40)]
    for number in (0, 1):
        receive(found, number, RouteRequest(V4), RouteRequest(None), SeqnoRequest(V4, OUR_ID, 101, 64))
    datagrams += [d for _, d in found.live(5)]
    assert (encodings(datagrams, "if0"), encodings(datagrams, "if1")) == ({4}, {1})


@pytest.mark.conformance("V2.1-1")
def test_an_address_that_appears_or_goes_changes_the_encoding_with_the_next_update() -> None:
    found = bench(InterfaceParameters(), InterfaceParameters())
    found.speaker.announce(V4, 0, found.now)
    found.live(5)
    found.speaker.set_interface("if0", InterfaceParameters(ipv4=OURS), OUR_ADDRESS, found.now)
    datagrams = [d for _, d in found.live(40)]
    assert (encodings(datagrams, "if0"), encodings(datagrams, "if1")) == ({1}, {4})
    found.speaker.set_interface("if0", InterfaceParameters(), OUR_ADDRESS, found.now)
    assert encodings([d for _, d in found.live(40)], "if0") == {4}


@pytest.mark.conformance("V2.2-6")
@pytest.mark.parametrize("per_node", [True, False])
def test_without_the_capability_ipv4_is_announced_and_accepted_only_over_ipv4_next_hops(
    per_node: bool,
) -> None:
    without = InterfaceParameters(v4_via_v6=per_node)
    node = Parameters(v4_via_v6=not per_node)
    with_address = InterfaceParameters(v4_via_v6=per_node, ipv4=OURS)
    found = bench(without, with_address, node=node)
    receive(found, 0, update(V4, metric=10, number=0), update(P, metric=10, number=0))
    assert [view.prefix for view in found.snapshot().routes] == [P]
    assert found.speaker.counters["update_refused.v4-via-v6"] == 1
    receive(found, 1, update(V4, metric=10, number=1, next_hop=bytes([192, 0, 2, 9])))
    assert found.selected(V4) == neighbour_address(1)
    told = [d.interface for _, d in found.live(40) for u in updates(tlvs_of(d), V4)]
    assert told == []
    receive(found, 0, RouteRequest(V4))
    assert [u.metric for u in updates(found.sent(), V4)] == [INFINITY]
    # Nobody on an interface that never heard of it is waited for.
    receive(found, 1, retraction(V4))
    assert found.snapshot().held == ()


@pytest.mark.conformance("V2.1-3")
def test_an_interface_that_loses_the_capability_retracts_and_gives_up_what_went_over_it() -> None:
    found = bench(InterfaceParameters(), InterfaceParameters(), InterfaceParameters())
    other = Prefix.parse("198.51.100.0/24")
    found.speaker.announce(other, 0, found.now)
    receive(found, 1, update(V4, metric=10, number=1), update(P, metric=10, number=1))
    found.live(5)
    found.speaker.set_interface("if1", InterfaceParameters(v4_via_v6=False), OUR_ADDRESS, found.now)
    assert (found.selected(V4), found.selected(P)) == (None, neighbour_address(1))
    datagrams = [d for _, d in found.wait_datagrams(0.1)]
    on_if1 = [u for d in datagrams if d.interface == "if1" for u in updates(tlvs_of(d), other)]
    assert {u.metric for u in on_if1} == {INFINITY}
    assert INFINITY in [u.metric for d in datagrams if d.interface == "if0" for u in updates(tlvs_of(d), V4)]
    found.speaker.set_interface("if1", InterfaceParameters(), OUR_ADDRESS, found.now)
    again = [u for _, d in found.live(5) if d.interface == "if1" for u in updates(tlvs_of(d), other)]
    assert {u.metric for u in again} == {0}


@pytest.mark.conformance("V2.2-1", "V2.2-4", "V2.1-3")
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("080e 04 00 21 00 012c 0001 0060 c0000201", "bad-plen"),
        ("080d 04 00 20 00 012c 0001 0060 c00002", "short-prefix"),
        ("080b 04 00 20 03 012c 0001 0060 01", "bad-omitted"),
        ("0706 04 00 c0000201", "unknown-ae"),
        ("050a 04 00 0001 012c c0000201", "unknown-ae"),
        ("0906 04 21 c0000201", "bad-plen"),
    ],
)
def test_a_malformed_ae_4_is_counted_and_moves_nothing(body: str, reason: str) -> None:
    found = bench(InterfaceParameters(), InterfaceParameters())
    receive(found, 0, update(V4, metric=10, number=0))
    found.wait(1)
    before = found.snapshot()
    octets = bytes.fromhex(body)
    octets = octets[:1] + bytes((len(octets) - 2,)) + octets[2:]
    found.receive_octets(b"\x2a\x02" + len(octets).to_bytes(2, "big") + octets, 0, "if0")
    assert found.snapshot() == before
    assert sum(v for k, v in found.speaker.counters.items() if k.startswith("tlv_dropped.")) == 1
    assert found.speaker.counters[f"tlv_dropped.{reason}"] == 1


@pytest.mark.conformance("V2.3-2")
@pytest.mark.parametrize("encoding", [1, 4])
def test_a_request_of_either_encoding_is_answered_alike(encoding: int) -> None:
    found = bench(InterfaceParameters(), InterfaceParameters())
    receive(found, 1, update(V4, metric=10, number=1, router_id=ORIGIN))
    found.live(20)
    body = bytes((9, 5, encoding, 24, 192, 0, 2))
    found.receive_octets(b"\x2a\x02" + len(body).to_bytes(2, "big") + body, 0, "if0")
    assert [u.metric for u in updates(found.sent(), V4)] == [106]
