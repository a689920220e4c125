"""A speaker that pauses says first what its neighbours must not miss until the next life."""

from babelwg.babel.datagram import Datagram
from babelwg.babel.operation.pausing import LAST_OCTETS
from babelwg.babel.parameters import InterfaceParameters
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY, Acknowledgment, AcknowledgmentRequest, RouteRequest, Update
from tests.babel.bench import Bench, P, Q, retraction, tlvs_of, update, updates
from tests.babel.test_hostile import prefixes

BURST = InterfaceParameters().burst


def with_listener() -> Bench:
    """Return a speaker with a neighbour that announces to it, and one on another interface that listens."""
    found = Bench()
    found.interface()
    found.meet()
    found.interface("other")
    found.meet(2, "other")
    return found


def to_listener(datagrams: list[Datagram]) -> list[Update]:
    return [tlv for d in datagrams if d.interface == "other" for tlv in tlvs_of(d) if isinstance(tlv, Update)]


def lose(bench: Bench, lost: list[Prefix]) -> list[Update]:
    """Learn routes and lose them all; return what is told of it in the first moment."""
    for start in range(0, len(lost), 500):
        bench.receive([update(prefix) for prefix in lost[start : start + 500]])
    bench.live(12.0)
    bench.receive([retraction(None)])
    return to_listener(bench.datagrams())


def test_all_that_is_lost_is_told_before_the_end_whatever_the_pace() -> None:
    found, lost = with_listener(), prefixes(8000)
    told = lose(found, lost)
    assert len(told) < 4000, "they wait for their turn"
    found.now += 0.05
    found.speaker.pause(found.now)
    told += to_listener(found.datagrams())
    assert {tlv.prefix for tlv in told} == {*lost}
    assert {tlv.metric for tlv in told} == {INFINITY}
    assert found.speaker.next_deadline() is None


def test_no_more_leaves_at_once_than_a_receive_buffer_holds() -> None:
    found = with_listener()
    lose(found, prefixes(20_000))
    found.speaker.pause(found.now)
    octets = sum(len(d.data) for d in found.datagrams() if d.interface == "other")
    assert LAST_OCTETS - 2000 < octets < LAST_OCTETS + BURST


def test_what_is_not_acknowledged_is_told_again() -> None:
    found = with_listener()
    for prefix in (P, Q):
        found.receive([update(prefix)])
    found.sent()
    found.receive([retraction(P)])
    (nonce,) = [
        tlv.opaque
        for datagram in found.datagrams()
        if datagram.interface == "other"
        for tlv in tlvs_of(datagram)
        if isinstance(tlv, AcknowledgmentRequest)
    ]
    found.receive([Acknowledgment(nonce)], 2, "other")
    found.receive([retraction(Q)])
    found.sent()
    found.speaker.pause(found.now)
    datagrams = found.datagrams()
    assert [(tlv.prefix, tlv.metric) for tlv in to_listener(datagrams)] == [(Q, INFINITY)]
    # Nobody waits for an answer any more.
    assert not any(isinstance(tlv, AcknowledgmentRequest) for d in datagrams for tlv in tlvs_of(d))
    assert found.wait(60.0) == []


def test_nothing_leaves_at_the_end_that_can_be_followed_and_no_question() -> None:
    found = with_listener()
    found.receive([RouteRequest(None)], 2, "other")
    found.receive([update(P)])
    found.receive([found.hello(3), found.ihu()], 3)  # who is asked for all that it has
    found.speaker.pause(found.now)
    datagrams = found.datagrams()
    assert to_listener(datagrams) == []
    assert not any(isinstance(tlv, RouteRequest) for d in datagrams for tlv in tlvs_of(d))
    assert found.distance() is None, "what was not told does not narrow what the next life may use"


def test_who_is_late_has_no_later_turn_for_any_interface() -> None:
    found, names = with_listener(), [f"tun{number}" for number in range(8)]
    for name in names:
        found.interface(name)
        found.meet(4, name)
    found.receive([update(P)])
    found.sent()
    found.now += 5.0
    found.speaker.handle_deadline(found.now)
    found.sent()
    found.receive([retraction(P)])
    found.speaker.pause(found.now)
    told = {d.interface for d in found.datagrams() for tlv in updates(tlvs_of(d)) if tlv.metric == INFINITY}
    assert told >= {*names}
