"""The log: what anybody on a link can cause is written within bounds, and the rest as a number."""

import logging
from ipaddress import ip_address

import pytest

from babelwg.babel.events import Event, LinkCostChanged, NeighbourAcquired, NeighbourLost, RouteFlushed
from babelwg.babel.wire.prefix import Prefix
from babelwg.daemon.eventlog import EventLog
from babelwg.daemon.limits import MAX_SUBJECTS, Limits

B = ip_address("fe80::b").packed


def cost(interface: str, number: int) -> LinkCostChanged:
    return LinkCostChanged(interface, B, 96 + number, 96, 96)


def written(log: EventLog, events: list[Event], now: float, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Write events and return the lines above debug."""
    caplog.clear()
    log.write(events, now)
    return [record.getMessage() for record in caplog.records if record.levelno > logging.DEBUG]


@pytest.fixture(autouse=True)
def everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def test_a_neighbour_whose_cost_changes_without_end_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    log, lines = EventLog(), 0
    for millisecond in range(5000):
        lines += len(written(log, [cost("e0", millisecond)], 1000 + millisecond / 1000, caplog))
        assert len(caplog.records) == 1, "those who look closely see all"
    assert 400 <= lines <= 430
    told = written(log, [], 1015.0, caplog)
    assert told == [f"events-not-logged about=e0 count={5000 - lines}: --log-level debug shows them"]
    assert written(log, [], 1030.0, caplog) == []


def test_neighbours_that_come_and_go_fill_no_log(caplog: pytest.LogCaptureFixture) -> None:
    log = EventLog()
    events: list[Event] = []
    for number in range(1000):
        address = number.to_bytes(16, "big")
        events += [NeighbourAcquired("e0", address), NeighbourLost("e0", address, "silent")]
    assert len(written(log, events, 1000.0, caplog)) == 400


def test_one_interface_silences_neither_another_nor_the_routes(caplog: pytest.LogCaptureFixture) -> None:
    log = EventLog()
    written(log, [cost("e0", number) for number in range(1000)], 1000.0, caplog)
    flushed = RouteFlushed(Prefix.parse("2001:db8::/32"), "expired")
    assert written(log, [cost("e1", 1), flushed], 1000.0, caplog) == [str(cost("e1", 1)), str(flushed)]
    written(log, [flushed] * 200, 1000.0, caplog)
    assert written(log, [cost("e1", 2)], 1000.0, caplog) == [str(cost("e1", 2))]


def test_of_ever_new_interfaces_the_oldest_is_forgotten() -> None:
    limits = Limits(1, 0.1)
    for number in range(MAX_SUBJECTS + 1):
        assert limits.admits(f"e{number}", 0.0)
    assert not limits.admits("e1", 0.0)
    assert limits.admits("e0", 0.0)
