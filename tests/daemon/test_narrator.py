"""Events of the speaker told to people: what changed, what was before, and why."""

from ipaddress import ip_address
from typing import Any

import pytest

from babelwg.babel.events import (
    Event,
    LinkCostChanged,
    LinkFailed,
    NeighbourAcquired,
    NeighbourLost,
    Origin,
    PacketDropped,
    RouteFlushed,
    RouteRetracted,
    RouteSelected,
    SeqnoIncreased,
    SeqnoRequested,
    TlvDropped,
)
from babelwg.babel.wire.prefix import Prefix
from babelwg.daemon.recorder.narrator import Narrator

NET = Prefix.parse("10.23.0.0/24")
B, C, L = (ip_address(f"fe80::{n}").packed for n in "bcd")
BRAVO, CHARLIE = ("bw-bravo", B), ("bw-charlie", C)
BRAVO_ID = bytes.fromhex("0200000000000002")
INF = 65535


class SomeNames:
    def peer_on(self, interface: str) -> str | None:
        return interface.removeprefix("bw-") if interface.startswith("bw-") else None

    def neighbour(self, interface: str, address: bytes) -> str | None:
        return self.peer_on(interface)

    def origin(self, router_id: bytes) -> str | None:
        return "bravo" if router_id == BRAVO_ID else None


def selected(
    way: tuple[str, bytes], metric: int, cause: str, by: Origin = None, old_metric: int | None = None
) -> RouteSelected:
    return RouteSelected(NET, way[1], way[0], metric, BRAVO_ID, way[1], 7, 0, cause, by, old_metric)


def cost(way: tuple[str, bytes], cost: int, rxcost: int = 96, txcost: int = 96) -> LinkCostChanged:
    return LinkCostChanged(*way, cost, rxcost, txcost)


def told(*events: Event) -> list[dict[str, Any]]:
    narrator = Narrator(SomeNames())
    records = [narrator.tell(event, 100.0) for event in events]
    return [record for record in records if record is not None]


def last_text(*events: Event) -> str:
    text = told(*events)[-1]["text"]
    assert isinstance(text, str)
    return text


def test_a_first_way_has_nothing_before_it() -> None:
    assert told(selected(BRAVO, 96, "update", BRAVO)) == [
        {
            "event": "route-selected",
            "prefix": "10.23.0.0/24",
            "peer": "bravo",
            "neighbour_name": "bravo",
            "interface": "bw-bravo",
            "next_hop": "fe80::b",
            "metric": 96,
            "router_id": "02:00:00:00:00:00:00:02",
            "origin": "bravo",
            "seqno": 7,
            "refmetric": 0,
            "cause": "update from bravo",
            "text": "10.23.0.0/24 goes via bravo, metric 96: update from bravo",
        }
    ]


def test_a_change_tells_the_way_before_and_what_it_would_cost_now() -> None:
    events = (
        cost(BRAVO, 96),
        selected(BRAVO, 96, "update", BRAVO),
        cost(BRAVO, 312, rxcost=312),
        selected(CHARLIE, 192, "link-cost", BRAVO, 312),
    )
    record = told(*events)[-1]
    assert (record["old_peer"], record["old_interface"], record["old_metric"]) == ("bravo", "bw-bravo", 312)
    assert record["text"] == (
        "10.23.0.0/24 now goes via charlie, metric 192 (was bravo, metric 312): "
        "bravo's link cost rose from 96 to 312"
    )


@pytest.mark.parametrize(
    ("cause", "by", "words"),
    [
        ("update", CHARLIE, "update from charlie"),
        ("retraction", BRAVO, "bravo retracted it"),
        ("expired", BRAVO, "bravo did not announce it again in time"),
        ("hysteresis", None, "the better path stayed better"),
        ("filter", None, "the filters changed"),
        ("announced-here", None, "this node announces it itself"),
        ("withdrawn", None, "this node announces it no more"),
        ("a-word-of-tomorrow", None, "a-word-of-tomorrow"),
        ("update", ("eth0", L), "update from fe80::d%eth0"),
    ],
)
def test_causes_are_words(cause: str, by: Origin, words: str) -> None:
    assert told(selected(CHARLIE, 96, cause, by))[0]["cause"] == words


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("silent", "bravo fell silent"),
        ("hello-seqno-jump", "bravo began anew"),
        ("interface-removed", "the interface to bravo is gone"),
        ("displaced", "bravo was not reachable, and another neighbour took its place"),
        ("another", "bravo was lost"),
    ],
)
def test_a_lost_neighbour_is_told_with_its_reason(reason: str, words: str) -> None:
    events = (
        selected(BRAVO, 96, "update", BRAVO),
        NeighbourLost(*BRAVO, reason),
        RouteRetracted(NET, "neighbour-lost", BRAVO),
    )
    assert last_text(*events) == f"10.23.0.0/24 is unreachable (was via bravo, metric 96): {words}"


def test_the_end_of_a_hold_is_told_without_a_way_before() -> None:
    events = (
        selected(BRAVO, 96, "update", BRAVO),
        RouteRetracted(NET, "retraction", BRAVO),
        RouteFlushed(NET, "acknowledged"),
    )
    records = told(*events)
    assert records[1]["old_metric"] == 96
    assert "old_metric" not in records[2]
    assert (
        records[2]["text"]
        == "10.23.0.0/24 is held unreachable no more: all neighbours know that it is unreachable"
    )


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ([cost(BRAVO, 96)], "the link to bravo is up, cost 96: each hears the other"),
        (
            [cost(BRAVO, 96), cost(BRAVO, 192, rxcost=192)],
            "the link to bravo costs 192 (was 96): we hear it worse",
        ),
        (
            [cost(BRAVO, 192, txcost=192), cost(BRAVO, 96)],
            "the link to bravo costs 96 (was 192): it hears us better",
        ),
        (
            [cost(BRAVO, 96), cost(BRAVO, 246)],
            "the link to bravo costs 246 (was 96): its delay or its configured cost changed",
        ),
        ([cost(BRAVO, 96), cost(BRAVO, INF, rxcost=INF)], "the link to bravo is down: its Hellos are missed"),
        (
            [cost(BRAVO, 96), cost(BRAVO, INF, txcost=INF)],
            "the link to bravo is down: it does not say that it hears us",
        ),
    ],
)
def test_a_link_is_told_with_what_changed(events: list[Event], text: str) -> None:
    assert last_text(*events) == text


def test_small_changes_of_a_link_gather_until_they_are_worth_a_record() -> None:
    records = told(cost(BRAVO, 96), cost(BRAVO, 103), cost(BRAVO, 111), cost(BRAVO, 112))
    assert [(record["cost"], record["old_cost"]) for record in records] == [(96, INF), (112, 96)]


def test_neighbours_and_seqnos_are_told() -> None:
    events = (
        NeighbourAcquired(*BRAVO),
        SeqnoIncreased(8),
        SeqnoRequested(NET, BRAVO_ID, 9, *BRAVO),
        NeighbourLost(*BRAVO, "silent"),
    )
    assert [record["text"] for record in told(*events)] == [
        "bravo is heard: its first Hello came",
        "our seqno is 8 now: a neighbour needs a newer one",
        "bravo is asked for 10.23.0.0/24 with seqno 9: without it the way is not feasible",
        "bravo is lost: it fell silent",
    ]


def test_refusals_are_told_once_a_minute() -> None:
    narrator = Narrator(SomeNames())
    refusal = PacketDropped("eth0", L, "mac-wrong")
    texts = [narrator.tell(refusal, now) for now in (0.0, 1.0, 59.9, 60.0)]
    assert [record["text"] if record else None for record in texts] == [
        "a packet from fe80::d%eth0 was refused: mac-wrong",
        None,
        None,
        "a packet from fe80::d%eth0 was refused (2 more since the last notice): mac-wrong",
    ]
    other = narrator.tell(TlvDropped("eth0", L, "malformed", "Hello body is 3 octets"), 61.0)
    assert other is not None
    assert other["text"] == "a TLV from fe80::d%eth0 was refused: Hello body is 3 octets"


def test_a_link_on_an_interface_that_was_made_anew_is_not_the_dead_one() -> None:
    failed, up, down = LinkFailed("bw-bravo", "no answer"), cost(BRAVO, 96), cost(BRAVO, INF, INF)
    acquired, lost = NeighbourAcquired(*BRAVO), NeighbourLost(*BRAVO, "interface-removed")
    assert "answers no more" in last_text(acquired, up, failed, down)
    assert "answers no more" not in last_text(acquired, up, failed, down, lost, acquired, up, down)
