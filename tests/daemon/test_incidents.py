"""What was mended at once is told for a while; the clock that goes back is remembered."""

import os
from pathlib import Path

from babelwg.daemon.clock import ClockWatch
from babelwg.daemon.incidents import LATELY, MAX_INCIDENTS, Incidents


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_incidents_are_counted_and_forgotten() -> None:
    clock = Clock(100.0)
    incidents = Incidents(clock)
    incidents.note("route-lost", "routes", "fd00::/64", times=3)
    clock.now += 10
    incidents.note("route-lost", "routes", "fd01::/64")
    (incident,) = incidents.lately("route-lost")
    assert (incident.times, incident.detail, incidents.age(incident)) == (4, "fd01::/64", 0.0)
    assert incidents.lately("rule-lost") == []
    clock.now += LATELY
    assert incidents.lately("route-lost") == []
    incidents.note("route-lost", "routes")
    assert incidents.lately("route-lost")[0].times == 1


def test_a_counter_is_an_incident_when_it_grows() -> None:
    incidents = Incidents(Clock(0.0))
    incidents.observe("seqno-behind", "own seqno", 0)
    assert incidents.lately("seqno-behind") == []
    incidents.observe("seqno-behind", "own seqno", 2)
    incidents.observe("seqno-behind", "own seqno", 2)
    assert incidents.lately("seqno-behind")[0].times == 2


def test_what_services_note_is_heard() -> None:
    incidents = Incidents(Clock(0.0))
    incidents.hear("routes-removed-by-another", {"count": 5})
    incidents.hear("tunnel-vanished", {"peer": "bravo", "count": 5})
    incidents.hear("route-selected", {"prefix": "x"})
    assert [(i.subject, i.times) for i in incidents.lately("route-lost")] == [("node", 5)]
    assert [(i.subject, i.times) for i in incidents.lately("interface-lost")] == [("bravo", 1)]


def test_incidents_are_bounded() -> None:
    incidents = Incidents(Clock(0.0))
    for number in range(MAX_INCIDENTS + 5):
        incidents.note("tunnel-changed", f"peer-{number}")
    found = incidents.lately("tunnel-changed")
    assert len(found) == MAX_INCIDENTS
    assert found[0].subject == "peer-5"


def test_a_clock_that_was_ahead_in_an_earlier_life_is_behind_now(tmp_path: Path) -> None:
    wall = Clock(2_000_000_000.0)
    ClockWatch(tmp_path, Incidents(), wall, Clock(5.0)).keep()
    wall.now -= 7200
    watch = ClockWatch(tmp_path, Incidents(), wall, Clock(5.0))
    assert watch.behind == 7200.0
    watch.keep()  # what was seen is not unseen
    assert ClockWatch(tmp_path, Incidents(), wall, Clock(5.0)).behind == 7200.0
    wall.now += 7201
    watch.keep()
    assert watch.behind == 0.0
    assert ClockWatch(tmp_path, Incidents(), wall, Clock(5.0)).latest == wall.now


def test_a_step_back_is_an_incident_and_a_drift_is_none(tmp_path: Path) -> None:
    incidents, wall, steady = Incidents(Clock(0.0)), Clock(2e9), Clock(50.0)
    watch = ClockWatch(tmp_path, incidents, wall, steady)
    wall.now, steady.now = wall.now + 9.5, steady.now + 10
    watch.look()
    assert incidents.lately("clock-set-back") == []
    wall.now, steady.now = wall.now - 590, steady.now + 10
    watch.look()
    assert incidents.lately("clock-set-back")[0].detail == "600 s"
    watch.look()
    assert incidents.lately("clock-set-back")[0].times == 1


def test_a_torn_clock_file_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "clock").write_bytes(os.urandom(50))
    assert ClockWatch(tmp_path, Incidents(), Clock(2e9), Clock(0.0)).behind == 0.0
