"""Requests: answered, forwarded, repeated (RFC 8966, section 3.8)."""

import pytest

from babelwg.babel.memory import Memory
from babelwg.babel.parameters import Parameters
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import (
    INFINITY,
    Acknowledgment,
    AcknowledgmentRequest,
    RouteRequest,
    SeqnoRequest,
)
from tests.babel.bench import (
    GROUP,
    ORIGIN,
    OUR_ID,
    V4,
    Bench,
    P,
    Q,
    neighbour_address,
    retraction,
    seqno_requests,
    tlvs_of,
    update,
    updates,
)

OTHER = bytes.fromhex("02000000000000bb")
# A request for a lost prefix and its repetitions, in seconds since the loss
RESENT = [*(0.12 * number for number in range(9)), *(0.96 + 0.78 * number for number in range(1, 21))]


def bench(parameters: Parameters | None = None, numbers: tuple[int, ...] = (1, 2, 3)) -> Bench:
    """Return a speaker with tunnels to reachable neighbours."""
    found = Bench(parameters)
    for number in numbers:
        found.interface(f"tun{number}")
        found.meet(number, f"tun{number}", hellos=16)
    found.wait(0.5)
    return found


@pytest.fixture
def found() -> Bench:
    return bench()


def receive(bench: Bench, number: int, *tlvs, to: bytes = GROUP) -> None:
    bench.receive(tlvs, number, f"tun{number}", to)


def sent_by_interface(bench: Bench) -> dict[str, list]:
    """Return what leaves now to whom; everything but multicast must name the neighbour of its tunnel."""
    sent: dict[str, list] = {}
    for datagram in bench.datagrams():
        if datagram.destination[0] != GROUP:
            assert datagram.destination[0] == neighbour_address(int(datagram.interface[-1]))
            sent.setdefault(datagram.interface, []).extend(tlvs_of(datagram))
    return sent


def request(seqno: int, prefix: Prefix = P, router_id: bytes = ORIGIN, hop_count: int = 64) -> SeqnoRequest:
    return SeqnoRequest(prefix, router_id, seqno, hop_count)


@pytest.mark.conformance("B3.8.1.1-1", "B3.8.1-1", "B3.1-3")
@pytest.mark.parametrize("to", [GROUP, bytes.fromhex("fe800000000000000000000000000001")])
def test_a_route_request_for_a_selected_route_is_answered_by_an_update(found: Bench, to: bytes) -> None:
    receive(found, 1, update(metric=100))
    found.wait(0.2)
    receive(found, 2, RouteRequest(P), to=to)
    answers = updates(sent_by_interface(found)["tun2"])
    assert [(u.metric, u.seqno, u.router_id) for u in answers] == [(196, 7, ORIGIN)]


@pytest.mark.conformance("B3.8.1.1-1")
def test_the_next_hop_itself_gets_an_update_when_it_asks(found: Bench) -> None:
    receive(found, 1, update(metric=100))
    found.wait(0.2)
    receive(found, 1, RouteRequest(P))
    assert [u.metric for u in updates(sent_by_interface(found)["tun1"])] == [196]


@pytest.mark.conformance("B3.8.1.1-2")
def test_a_route_request_for_an_unknown_prefix_is_answered_by_a_retraction(found: Bench) -> None:
    receive(found, 2, RouteRequest(P), RouteRequest(V4))
    sent = sent_by_interface(found)["tun2"]
    assert [u.metric for u in updates(sent)] == [INFINITY]
    assert [u.metric for u in updates(sent, V4)] == [INFINITY]


@pytest.mark.conformance("B3.8.1.1-5")
def test_route_requests_are_never_forwarded(found: Bench) -> None:
    receive(found, 1, update(metric=100))
    found.wait(0.2)
    receive(found, 2, RouteRequest(P), RouteRequest(Q))
    assert not [t for t in found.wait(1) if isinstance(t, RouteRequest) and t.prefix]


@pytest.mark.conformance("B3.8.1.1-3", "V2.3-4", "V2.3-3")
def test_a_wildcard_request_is_answered_by_everything(found: Bench) -> None:
    found.speaker.announce(Q, 0, found.now)
    receive(found, 1, update(P, metric=100), update(V4, metric=100))
    found.wait(3)
    receive(found, 2, RouteRequest(None))
    sent = sent_by_interface(found)["tun2"]
    assert [(u.metric, u.router_id) for u in updates(sent, Q)] == [(0, OUR_ID)]
    assert [u.metric for u in updates(sent, P)] == [196]
    assert [(u.metric, u.next_hop is not None and len(u.next_hop)) for u in updates(sent, V4)] == [(196, 16)]


@pytest.mark.conformance("B3.8.1.1-4")
@pytest.mark.parametrize(("others", "at_once"), [(1000, 3), (0, 7)])
def test_full_dumps_to_one_neighbour_are_rate_limited(found: Bench, others: int, at_once: int) -> None:
    known = [Prefix.parse(f"2001:db8:{number:x}::/48") for number in range(0x100, 0x100 + others)]
    for prefix in (Q, *known):
        found.speaker.announce(prefix, 0, found.now)
    found.wait(5)
    dumps = []
    for _ in range(50):
        receive(found, 2, RouteRequest(None))
        dumps += updates(sent_by_interface(found).get("tun2", []), Q)
        found.now += 0.01
    assert len(dumps) == at_once
    later = [t for when, d in found.wait_datagrams(3) if d.destination[0] != GROUP for t in tlvs_of(d)]
    assert len(updates(later, Q)) == 1


def test_a_small_table_does_not_wait_for_what_a_larger_one_had_cost(found: Bench) -> None:
    known = [Prefix.parse(f"2001:db8:{number:x}::/48") for number in range(0x100, 0x100 + 1000)]
    found.speaker.announce(Q, 0, found.now)
    receive(found, 1, *(update(prefix) for prefix in known))
    found.live(20)
    for _ in range(3):
        receive(found, 2, RouteRequest(None))
        found.wait(0.05)
    receive(found, 1, retraction(None))
    found.wait(0.5)
    receive(found, 2, RouteRequest(None))
    told = [tlv for _, d in found.wait_datagrams(0.3) if d.interface == "tun2" for tlv in tlvs_of(d)]
    assert updates(told, Q)


@pytest.mark.conformance("B3.8.1.2-1")
@pytest.mark.parametrize(("router_id", "seqno"), [(ORIGIN, 7), (ORIGIN, 6), (OTHER, 9)])
def test_a_seqno_request_that_our_route_satisfies_is_answered(
    found: Bench, router_id: bytes, seqno: int
) -> None:
    receive(found, 1, update(metric=100, seqno=7))
    found.wait(0.2)
    receive(found, 2, request(seqno, router_id=router_id))
    sent = sent_by_interface(found)
    assert list(sent) == ["tun2"]
    assert [(u.seqno, u.metric) for u in updates(sent["tun2"])] == [(7, 196)]


@pytest.mark.conformance("B3.8.1.2-2", "B3.8.1.2-3", "B3.7-2", "B3.2.2-1", "B3-1")
def test_our_seqno_rises_by_one_for_a_request_and_never_by_itself(found: Bench) -> None:
    found.speaker.announce(Q, 0, found.now)
    found.wait(1000)
    assert found.snapshot().seqno == 100
    for number in (1, 2, 3):
        found.meet(number, f"tun{number}")
    receive(found, 2, request(1100, Q, OUR_ID))
    assert found.events() == ["seqno-increased"]
    assert [(u.seqno, u.metric) for u in updates(sent_by_interface(found)["tun2"], Q)] == [(101, 0)]
    receive(found, 2, request(101, Q, OUR_ID))
    assert found.events() == []
    assert [u.seqno for u in updates(sent_by_interface(found)["tun2"], Q)] == [101]


@pytest.mark.conformance("B3.8.1.2-4", "B3.8.1.2-5", "B3.8.1.2-7", "B3.8.1.2-8", "B3.8.1.2-11", "B4.6.11-5")
def test_a_seqno_request_is_forwarded_at_once_to_one_next_hop(found: Bench) -> None:
    receive(found, 1, update(metric=100))
    receive(found, 3, update(metric=900, number=3, seqno=9))
    found.wait(0.2)
    receive(found, 2, request(50, hop_count=9))
    sent = sent_by_interface(found)
    assert list(sent) == ["tun1"]
    assert seqno_requests(sent["tun1"]) == [request(50, hop_count=8)]


@pytest.mark.conformance("B3.8.1.2-4", "B4.6.11-5")
def test_a_seqno_request_at_its_last_hop_is_dropped(found: Bench) -> None:
    receive(found, 1, update(metric=100))
    found.wait(0.2)
    receive(found, 2, request(50, hop_count=1))
    assert seqno_requests(found.wait(1)) == []
    assert found.speaker.counters["request_ignored.hop-count"] == 1


@pytest.mark.conformance("B3.8.1.2-5", "B3.8.1.2-6")
def test_a_request_from_our_next_hop_goes_to_another_neighbour(found: Bench) -> None:
    receive(found, 1, update(metric=100))
    found.wait(0.2)
    receive(found, 3, update(metric=900, number=3))  # unfeasible
    receive(found, 1, request(50))
    assert seqno_requests(sent_by_interface(found)["tun3"]) == [request(50, hop_count=63)]
    receive(found, 2, update(metric=150, number=2))  # feasible
    receive(found, 1, request(51))
    assert seqno_requests(sent_by_interface(found)["tun2"]) == [request(51, hop_count=63)]


def test_a_request_that_could_only_go_back_is_dropped(found: Bench) -> None:
    receive(found, 1, update(metric=100))
    found.wait(0.2)
    receive(found, 1, request(50))
    assert sent_by_interface(found) == {}
    assert found.speaker.counters["request_ignored.no-next-hop"] == 1


def test_a_request_for_what_we_do_not_announce_is_dropped(found: Bench) -> None:
    receive(found, 2, request(50))
    receive(found, 2, request(50, router_id=OUR_ID))
    assert sent_by_interface(found) == {}
    assert found.speaker.counters["request_ignored.not-announced"] == 2


@pytest.mark.conformance("B3.8.1.2-10", "B3.2.7-1")
def test_a_duplicate_is_not_forwarded_but_a_newer_one_and_another_router_are(found: Bench) -> None:
    receive(found, 1, update(metric=100))
    found.wait(0.2)
    receive(found, 2, request(50))
    receive(found, 3, request(50))
    receive(found, 3, request(49))
    assert len(seqno_requests(found.sent())) == 1
    receive(found, 3, request(51))
    assert len(seqno_requests(found.sent())) == 1
    receive(found, 1, update(metric=100, router_id=OTHER, seqno=3))
    receive(found, 2, request(4, router_id=OTHER))
    assert len(seqno_requests(found.sent())) == 1
    found.wait(5)
    receive(found, 2, request(4, router_id=OTHER))
    assert len(seqno_requests(found.sent())) == 1


def test_a_duplicate_that_comes_later_is_forwarded_for_the_first_may_be_lost(found: Bench) -> None:
    receive(found, 1, update(metric=100))
    found.wait(0.2)
    receive(found, 2, request(50))
    assert len(seqno_requests(found.sent())) == 1
    found.wait(0.05)
    receive(found, 3, request(50))
    assert seqno_requests(found.sent()) == []
    found.wait(0.05)
    receive(found, 3, request(50))
    assert len(seqno_requests(found.sent())) == 1


def test_a_request_is_passed_on_to_a_next_hop_that_is_selected_before_the_answer_comes(found: Bench) -> None:
    receive(found, 1, update(metric=100))
    found.wait(0.2)
    receive(found, 3, update(metric=120, number=3))
    receive(found, 2, request(8))
    assert [name for name, tlvs in sent_by_interface(found).items() if seqno_requests(tlvs)] == ["tun1"]
    receive(found, 1, retraction())
    assert found.selected() == neighbour_address(3)
    assert seqno_requests(sent_by_interface(found)["tun3"]) == [request(8, hop_count=63)]
    receive(found, 3, update(metric=121, number=3))
    assert seqno_requests(found.sent()) == []
    receive(found, 3, update(metric=120, seqno=8, number=3))
    assert [u.seqno for u in updates(sent_by_interface(found)["tun2"])] == [8]


def test_a_next_hop_that_has_what_is_asked_for_is_not_asked(found: Bench) -> None:
    receive(found, 1, update(metric=100))
    found.wait(0.2)
    receive(found, 3, request(8))
    receive(found, 2, update(metric=100, number=2, seqno=8))
    found.sent()
    found.speaker.fail_link("tun1", "no answer", found.now)
    assert found.selected() == neighbour_address(2)
    assert seqno_requests(found.sent()) == []


def test_what_only_we_asked_for_is_not_asked_of_a_next_hop_that_does_without(found: Bench) -> None:
    receive(found, 1, update(metric=100))
    found.wait(0.2)
    receive(found, 2, update(metric=300, number=2))
    receive(found, 1, retraction())
    assert seqno_requests(found.sent()) == [request(8)]
    receive(found, 3, update(metric=90, number=3))
    assert found.selected() == neighbour_address(3)
    assert seqno_requests(found.sent()) == []


def test_a_request_goes_on_when_only_its_sender_was_asked_for_the_same(found: Bench) -> None:
    receive(found, 1, update(metric=100))
    found.wait(0.2)
    receive(found, 3, update(metric=150, number=3))
    receive(found, 2, request(50))
    assert list(sent_by_interface(found)) == ["tun1"]
    # Our next hop has lost its own route meanwhile, and now asks us: nobody else has heard of the request.
    receive(found, 1, request(50))
    sent = sent_by_interface(found)
    assert {name for name, tlvs in sent.items() if seqno_requests(tlvs)} == {"tun3"}
    receive(found, 1, request(50))
    receive(found, 2, request(50))
    assert seqno_requests(found.sent()) == []
    receive(found, 1, retraction())
    found.sent()
    receive(found, 3, update(metric=150, number=3, seqno=50))
    sent = sent_by_interface(found)
    assert [u.seqno for u in updates(sent["tun1"])] == [u.seqno for u in updates(sent["tun2"])] == [50]


def test_a_request_goes_on_when_who_was_asked_for_the_same_has_lost_the_prefix(found: Bench) -> None:
    receive(found, 1, update(metric=100))
    found.wait(0.2)
    receive(found, 3, update(metric=150, number=3))
    receive(found, 2, request(50))
    assert list(sent_by_interface(found)) == ["tun1"]
    receive(found, 1, retraction())
    assert seqno_requests(found.wait(0.2)) == [request(50, hop_count=63)]
    receive(found, 3, retraction())
    receive(found, 1, update(metric=90, seqno=7))
    found.wait(0.2)
    receive(found, 2, request(50))
    assert seqno_requests(sent_by_interface(found)["tun1"]) == [request(50, hop_count=63)]


def test_an_unfeasible_route_of_a_dead_link_is_asked_about_when_the_link_lives_again(found: Bench) -> None:
    receive(found, 1, update(metric=100, seqno=7))
    found.wait(0.2)
    found.speaker.fail_link("tun2", "no answer", found.now)
    receive(found, 2, update(metric=300, seqno=7, number=2))
    receive(found, 1, retraction())
    assert seqno_requests(found.wait(0.2)) == []  # there was nobody to ask
    found.speaker.restore_link("tun2", found.now)
    receive(found, 2, found.hello(2, "tun2"), found.ihu())
    sent = sent_by_interface(found)
    assert {r.seqno for r in seqno_requests(sent["tun2"])} == {8}


# Seconds between two repetitions; after four the next hop is silent, as its round trip is not known.
ROUND = 0.26


def asked_in_turn(found: Bench, rounds: int) -> list[str]:
    """Have tun3 ask so often, and return whom we asked, in order."""
    names = []
    for _ in range(rounds):
        receive(found, 3, request(8))
        names += [name for name, tlvs in sent_by_interface(found).items() if seqno_requests(tlvs)]
        found.wait(ROUND)
    return names


def two_ways(found: Bench, metric: int = 300, seqno: int = 7) -> None:
    """Have tun1 the next hop, and tun2 another way."""
    receive(found, 1, update(metric=100))
    found.wait(0.2)
    receive(found, 2, update(metric=metric, number=2, seqno=seqno))


def test_a_repeated_request_goes_to_each_neighbour_in_turn_where_the_next_hop_is_silent() -> None:
    found = bench(numbers=(1, 2, 3, 4))
    two_ways(found)
    receive(found, 4, update(metric=400, number=4))
    assert asked_in_turn(found, 8) == ["tun1"] * 4 + ["tun2", "tun4", "tun1", "tun2"]
    receive(found, 1, found.hello(1, "tun1"))
    found.sent()
    assert asked_in_turn(found, 3) == ["tun1"] * 3


@pytest.mark.parametrize(("seqno", "repeats"), [(7, False), (8, False), (8, True)])
def test_a_longer_way_is_used_where_the_next_hop_is_silent(found: Bench, seqno: int, repeats: bool) -> None:
    two_ways(found, seqno=seqno)
    assert asked_in_turn(found, 4) == ["tun1"] * 4
    if seqno == 7:
        assert asked_in_turn(found, 1) == ["tun2"]
    # With 8, what is asked for was known of the other already.
    if seqno == 7 or repeats:
        receive(found, 2, update(metric=300, number=2, seqno=8))
    else:
        receive(found, 3, request(8))
    assert found.selected() == neighbour_address(2)
    assert {(u.seqno, u.metric) for u in updates(sent_by_interface(found)["tun3"])} == {(8, 396)}
    # The next hop is back, and is asked for what makes its way feasible again.
    receive(found, 1, update(metric=100, seqno=7))
    assert request(9) in seqno_requests([t for _, d in found.live(5) for t in tlvs_of(d)])
    receive(found, 1, update(metric=100, seqno=9))
    found.live(20)
    assert found.selected() == neighbour_address(1)


@pytest.mark.parametrize(("most", "asked"), [(2.0, "tun1"), (0.3, "tun2")])
def test_a_next_hop_has_more_time_where_thousands_wait(most: float, asked: str) -> None:
    found = bench(Parameters(request_timeout=most))
    two_ways(found)
    prefixes = [Prefix.parse(f"2001:db8:{n:x}::/48") for n in range(0x1000, 0x1000 + 900)]
    receive(found, 1, *(update(prefix=prefix, metric=100) for prefix in prefixes))
    found.wait(0.2)
    for _ in range(4):
        receive(found, 3, *(request(8, prefix) for prefix in (P, *prefixes)))
        found.wait(ROUND)
    found.wait(0.32)
    receive(found, 3, request(8))
    assert [name for name, tlvs in sent_by_interface(found).items() if seqno_requests(tlvs)] == [asked]


def test_a_longer_way_is_not_used_as_long_as_the_next_hop_may_answer(found: Bench) -> None:
    two_ways(found)
    assert asked_in_turn(found, 3) == ["tun1"] * 3
    receive(found, 2, update(metric=300, number=2, seqno=8))
    assert found.selected() == neighbour_address(1)


def test_a_next_hop_whose_speaker_is_there_is_kept_though_it_has_no_answer(found: Bench) -> None:
    two_ways(found, seqno=8)
    for _ in range(8):
        receive(found, 3, request(8))
        sent = sent_by_interface(found)
        asked = [t for t in sent["tun1"] if isinstance(t, AcknowledgmentRequest)]
        assert list(sent) == ["tun1"] and len(asked) == 1
        found.wait(ROUND)
        receive(found, 1, Acknowledgment(asked[0].opaque))
    assert found.selected() == neighbour_address(1)


def test_the_answer_of_another_is_used_at_once_where_the_next_hop_itself_asks(found: Bench) -> None:
    two_ways(found)
    receive(found, 1, request(8))
    assert list(sent_by_interface(found)) == ["tun2"]
    receive(found, 2, update(metric=300, number=2, seqno=8))
    assert found.selected() == neighbour_address(2)
    assert {u.seqno for u in updates(sent_by_interface(found)["tun1"])} == {8}


@pytest.mark.parametrize(("metric", "seqno"), [(300, 7), (3000, 8), (300, 50)])
def test_what_is_too_old_or_far_longer_or_far_newer_is_no_answer(
    found: Bench, metric: int, seqno: int
) -> None:
    two_ways(found)
    asked_in_turn(found, 5)
    receive(found, 2, update(metric=metric, number=2, seqno=seqno))
    receive(found, 3, request(8))
    assert found.selected() == neighbour_address(1)


@pytest.mark.conformance("B3.8.1.2-9", "B3.7.2-7")
def test_the_update_that_satisfies_a_forwarded_request_is_passed_on_at_once(found: Bench) -> None:
    receive(found, 1, update(metric=100))
    found.live(6)
    receive(found, 1, update(metric=100, seqno=8))
    assert updates(found.wait(1)) == []  # a new seqno alone is no news
    receive(found, 2, request(50))
    receive(found, 3, request(50))
    found.sent()
    # It is less than they wait for, but may be enough for some behind them; once is enough.
    for _ in range(2):
        receive(found, 1, update(metric=100, seqno=49))
    sent = sent_by_interface(found)
    assert {name: [u.seqno for u in updates(tlvs)] for name, tlvs in sent.items()} == {
        "tun2": [49],
        "tun3": [49],
    }
    receive(found, 1, update(metric=101, seqno=49))
    assert sent_by_interface(found) == {}
    receive(found, 1, update(metric=100, seqno=50))
    sent = sent_by_interface(found)
    assert sorted(sent) == ["tun2", "tun3"]
    assert [u.seqno for u in updates(sent["tun2"])] == [50]


@pytest.mark.conformance("B3.8.2.1-1", "B3.8.2.1-2", "B3.8.2.1-3", "B3.8.2.1-4")
def test_losing_the_last_feasible_route_asks_all_who_have_an_unfeasible_one(found: Bench) -> None:
    receive(found, 1, update(metric=100, seqno=7))
    found.wait(0.2)
    receive(found, 2, update(metric=300, seqno=7, number=2))
    receive(found, 3, update(metric=400, seqno=6, number=3))
    found.sent()
    receive(found, 1, retraction())
    sent = sent_by_interface(found)
    assert sorted(sent) == ["tun2", "tun3"]
    assert seqno_requests(sent["tun2"]) == seqno_requests(sent["tun3"]) == [request(8)]
    receive(found, 3, update(metric=400, seqno=8, number=3))
    assert found.selected() == neighbour_address(3)


@pytest.mark.conformance("B3.8.2.1-5", "B3.8.2-1")
def test_an_unanswered_request_is_repeated_eight_times_soon_and_twenty_times_later(found: Bench) -> None:
    receive(found, 1, update(metric=100, seqno=7))
    found.wait(0.2)
    receive(found, 2, update(metric=300, seqno=7, number=2))
    found.sent()
    receive(found, 1, retraction())
    start = found.now
    times = [when - start for when, d in found.live(40) if seqno_requests(tlvs_of(d))]
    assert times == pytest.approx(RESENT, abs=0.1)


def test_a_request_is_not_repeated_once_there_is_a_route(found: Bench) -> None:
    receive(found, 1, update(metric=100, seqno=7))
    found.wait(0.2)
    receive(found, 2, update(metric=300, seqno=7, number=2))
    receive(found, 1, retraction())
    found.sent()
    receive(found, 2, update(metric=300, seqno=8, number=2))
    assert seqno_requests(found.wait(20)) == []


@pytest.mark.conformance("B3.8.2.2-2")
def test_a_better_but_unfeasible_route_is_asked_for_a_newer_seqno(found: Bench) -> None:
    receive(found, 1, update(metric=100, seqno=7))
    found.wait(0.2)
    receive(found, 1, update(metric=600, seqno=8))
    found.wait(0.2)  # announced at 696 with seqno 8; the distance for seqno 8 is 696
    receive(found, 2, update(metric=200, seqno=7, number=2))
    assert [r.seqno for r in seqno_requests(sent_by_interface(found)["tun2"])] == [9]
    found.wait(3)
    receive(found, 2, update(metric=900, seqno=7, number=2))  # worse than what we have: nothing is asked
    assert seqno_requests(found.sent()) == []


@pytest.mark.conformance("B3.8.2.2-2")
def test_an_unfeasible_route_is_asked_for_also_when_nothing_is_selected(found: Bench) -> None:
    receive(found, 1, update(metric=100, seqno=7))
    found.wait(0.2)
    receive(found, 1, retraction())
    found.wait(1)
    receive(found, 2, update(metric=300, seqno=7, number=2))
    assert found.selected() is None
    assert seqno_requests(sent_by_interface(found)["tun2"]) == [request(8)]


def test_an_unfeasible_route_is_asked_for_again_while_nothing_is_selected(found: Bench) -> None:
    receive(found, 1, update(metric=100, seqno=7))
    found.wait(0.2)
    receive(found, 1, retraction())
    found.wait(1)
    receive(found, 2, update(metric=300, seqno=7, number=2))
    start = found.now
    times = [when - start for when, d in found.live(40) if seqno_requests(tlvs_of(d))]
    assert times == pytest.approx(RESENT, abs=0.1)


def test_a_better_path_is_not_asked_for_as_often_as_a_lost_prefix(found: Bench) -> None:
    receive(found, 1, update(metric=100, seqno=7))
    found.wait(0.2)
    receive(found, 1, update(metric=600, seqno=8))
    found.wait(0.2)
    for _ in range(10):
        receive(found, 2, update(metric=200, seqno=7, number=2))
        found.now += 0.15
    assert len(seqno_requests(found.sent())) == 1


def test_where_many_prefixes_are_lost_at_once_each_request_waits_longer_for_its_answer(found: Bench) -> None:
    prefixes = [Prefix.parse(f"2001:db8:{n:x}::/48") for n in range(400)]
    receive(found, 1, *(update(prefix=p, metric=100, seqno=7) for p in prefixes))
    found.wait(1)
    receive(found, 2, *(update(prefix=p, metric=300, seqno=7, number=2) for p in prefixes))
    found.sent()
    receive(found, 1, retraction(None))
    assert len(seqno_requests(found.wait(0.11))) == 400
    assert len(seqno_requests(found.wait(0.3))) == 400


def test_requests_are_not_repeated_before_all_have_left() -> None:
    found = bench(Parameters(request_timeout=0.01))
    prefixes = [Prefix.parse(f"2001:db8:{n:x}::/48") for n in range(1000)]
    receive(found, 1, *(update(prefix=p, metric=100, seqno=7) for p in prefixes))
    found.wait(1)
    receive(found, 2, *(update(prefix=p, metric=300, seqno=7, number=2) for p in prefixes))
    found.sent()
    receive(found, 1, retraction(None))
    assert len(seqno_requests(found.wait(1.0))) < 9000


def test_requests_for_the_same_source_do_not_pile_up(found: Bench) -> None:
    receive(found, 1, update(metric=100, seqno=7))
    found.wait(0.2)
    receive(found, 1, retraction())
    for _ in range(100):
        receive(found, 2, update(metric=300, seqno=7, number=2))
        receive(found, 2, update(metric=301, seqno=7, number=2))
    assert len(seqno_requests(found.sent())) == 1


def test_a_lost_prefix_is_asked_for_where_only_a_next_hop_that_died_was_asked_a_moment_ago(
    found: Bench,
) -> None:
    receive(found, 1, update(metric=100, seqno=7))
    found.wait(0.2)
    receive(found, 2, request(9))
    assert [name for name, tlvs in sent_by_interface(found).items() if seqno_requests(tlvs)] == ["tun1"]
    found.now += 0.02
    found.speaker.fail_link("tun1", "no answer", found.now)
    assert found.selected() is None
    found.now += 0.02
    receive(found, 3, update(metric=300, seqno=7, number=3))
    # The requester wants a newer one than would do for us.
    assert seqno_requests(sent_by_interface(found)["tun3"]) == [request(9)]
    assert seqno_requests(found.wait(0.3)) == [request(9), request(9)]
    receive(found, 3, update(metric=300, seqno=9, number=3))
    assert [u.seqno for u in updates(sent_by_interface(found)["tun2"])] == [9]
    assert seqno_requests(found.wait(5)) == []


def test_two_who_announce_a_lost_prefix_in_turn_are_asked_no_more_often_than_one(found: Bench) -> None:
    receive(found, 1, update(metric=100, seqno=7))
    found.wait(0.2)
    receive(found, 1, retraction())
    for metric in range(300, 400):
        for number in (2, 3):
            receive(found, number, update(metric=metric, seqno=7, number=number))
    sent = sent_by_interface(found)
    assert [len(seqno_requests(sent[name])) for name in ("tun2", "tun3")] == [1, 1]
    for metric in range(300, 400):
        for number in (2, 3):
            receive(found, number, update(metric=metric, seqno=7, number=number))
            assert seqno_requests(found.sent()) == []


def test_pending_requests_are_bounded_and_counted() -> None:
    found = bench(Parameters(max_pending_requests=3), (1, 2))
    prefixes = [Prefix.parse(f"2001:db8:{number:x}::/48") for number in range(5)]
    receive(found, 1, *[update(prefix, metric=100) for prefix in prefixes])
    found.wait(0.2)
    receive(found, 2, *[request(50, prefix) for prefix in prefixes])
    assert len(seqno_requests(found.sent())) == 3
    assert found.speaker.counters["request_suppressed.table-full"] == 2


def test_answers_for_one_neighbour_are_bounded_and_counted() -> None:
    found = bench(Parameters(max_queued_answers=10), (1,))
    receive(found, 1, *[RouteRequest(Prefix.parse(f"2001:db8:{number:x}::/48")) for number in range(30)])
    assert len(found.sent()) == 10
    assert found.speaker.counters["answer_suppressed.queue-full"] == 20


def test_a_request_far_ahead_of_our_own_seqno_is_counted(found: Bench) -> None:
    found.speaker.announce(Q, 0, found.now)
    found.wait(1)
    ours = found.snapshot().seqno
    receive(found, 1, request(ours + 1, Q, OUR_ID))
    assert found.speaker.counters["request_ahead.own-seqno"] == 0
    receive(found, 1, request(found.snapshot().seqno + 40, Q, OUR_ID))
    assert found.speaker.counters["request_ahead.own-seqno"] == 1


def life_without_memory(seqno: int) -> Bench:
    """Return a speaker that announces Q and has lost what an earlier life knew."""
    found = Bench(memory=Memory(seqno=seqno, lost=True))
    found.interface("tun1")
    found.meet(1, "tun1")
    found.speaker.announce(Q, 0, found.now)
    found.wait(1)
    return found


def test_after_a_loss_of_memory_our_seqno_becomes_what_a_neighbour_remembers() -> None:
    found = life_without_memory(seqno=65530)
    receive(found, 1, request(300, Q, OUR_ID))
    assert [(tlv.seqno, tlv.metric) for tlv in updates(found.sent(), Q)] == [(300, 0)]
    assert found.speaker.counters["seqno_caught_up"] == 1
    receive(found, 1, request(200, Q, OUR_ID))  # of another neighbour, who has heard less
    assert found.snapshot().seqno == 300


def test_nobody_makes_our_seqno_go_round_after_a_loss_of_memory() -> None:
    found = life_without_memory(seqno=0)
    for seqno in (20000, 0x7F00, 52000, 60000, 5000):
        receive(found, 1, request(seqno, Q, OUR_ID))
    # What is no more than half the numbers from where this life began is taken, what is further counts as one more.
    assert found.snapshot().seqno == 0x7F00 + 2
    assert found.speaker.counters["seqno_caught_up"] == 2


def test_a_storm_of_requests_after_a_loss_of_memory_moves_our_seqno_no_more_often() -> None:
    found = life_without_memory(seqno=0)
    for seqno in range(100, 2100, 2):
        receive(found, 1, request(seqno, Q, OUR_ID))
    assert found.speaker.counters["seqno_caught_up"] == 16
    assert found.speaker.counters["request_ignored.seqno-rate"] == 984


def test_long_after_a_loss_of_memory_our_seqno_goes_on_by_one() -> None:
    found = life_without_memory(seqno=0)
    found.now += 2400.0  # longer than anybody holds a route of our former life
    found.meet(1, "tun1")
    receive(found, 1, request(300, Q, OUR_ID))
    assert found.snapshot().seqno == 1


def node_with_seqnos(*requests: int) -> Bench:
    """Return the life at seqno 100 that may use five seqnos, after these were asked for."""
    found = bench()
    found.speaker.announce(Q, 0, found.now)
    found.wait(1)
    found.speaker.limit_seqno(105, found.now)
    for seqno in requests:
        receive(found, 1, request(seqno, Q, OUR_ID))
    return found


def test_our_seqno_is_not_raised_to_one_that_a_later_life_may_use() -> None:
    found = node_with_seqnos(101, 102, 103, 104)
    assert found.snapshot().seqno == 104
    assert found.speaker.wanted_seqno() is None
    found.wait(1)
    for _ in range(3):
        receive(found, 1, request(105, Q, OUR_ID))
        assert updates(found.wait(0.1), Q) == []
    assert found.snapshot().seqno == 104
    assert found.speaker.wanted_seqno() == 105
    assert found.speaker.counters["request_held.seqno-not-reserved"] == 3
    assert found.speaker.counters["request_ignored.seqno-rate"] == 0


def test_a_request_that_was_held_is_answered_once_its_seqno_may_be_used() -> None:
    found = node_with_seqnos(101, 102, 103, 104, 105)
    found.wait(1)
    found.speaker.limit_seqno(105, found.now)
    assert updates(found.wait(0.1), Q) == []
    found.speaker.limit_seqno(121, found.now)
    assert [(tlv.seqno, tlv.metric) for tlv in updates(found.sent(), Q)] == [(105, 0)]
    assert found.speaker.wanted_seqno() is None
    found.speaker.limit_seqno(137, found.now)
    assert found.snapshot().seqno == 105, "nobody asks any more"


def test_without_a_limit_all_seqnos_may_be_used() -> None:
    found = node_with_seqnos(101, 102, 103, 104, 105)
    found.speaker.limit_seqno(None, found.now)
    assert found.snapshot().seqno == 105
    receive(found, 1, request(106, Q, OUR_ID))
    assert found.snapshot().seqno == 106


def test_held_requests_are_bounded_and_go_with_who_asked() -> None:
    found = node_with_seqnos(101, 102, 103, 104)
    prefixes = [Prefix.parse(f"2001:db8:{n + 16:x}::/48") for n in range(70)]
    for prefix in prefixes:
        found.speaker.announce(prefix, 0, found.now)
        receive(found, 1, request(105, prefix, OUR_ID))
    assert found.speaker.counters["request_held.seqno-not-reserved"] == 64
    assert found.speaker.counters["request_ignored.seqno-not-reserved"] == 6


def test_what_was_reserved_is_taken_also_when_who_asked_is_gone() -> None:
    found = life_without_memory(seqno=100)
    found.speaker.limit_seqno(116, found.now)
    receive(found, 1, request(400, Q, OUR_ID))
    assert found.speaker.wanted_seqno() == 400
    found.speaker.remove_interface("tun1", found.now)
    found.speaker.limit_seqno(416, found.now)
    assert (found.snapshot().seqno, found.speaker.wanted_seqno()) == (400, None)


def test_no_jump_goes_so_far_that_what_is_reserved_with_it_seems_old() -> None:
    for asked, seqno in ((100 + 0x7F00, 100 + 0x7F00), (100 + 0x7FF1, 101), (100 + 0x8000, 100)):
        found = life_without_memory(seqno=100)
        receive(found, 1, request(asked, Q, OUR_ID))
        assert found.snapshot().seqno == seqno


def test_after_a_loss_of_memory_what_a_neighbour_remembers_is_taken_once_it_may_be_used() -> None:
    found = life_without_memory(seqno=100)
    found.speaker.announce(P, 0, found.now)
    found.speaker.limit_seqno(116, found.now)
    receive(found, 1, request(400, Q, OUR_ID))
    receive(found, 1, request(300, P, OUR_ID))
    assert found.snapshot().seqno == 100
    assert found.speaker.wanted_seqno() == 400
    found.speaker.limit_seqno(416, found.now)
    assert found.snapshot().seqno == 400
    assert found.speaker.counters["seqno_caught_up"] == 1
