"""The age of handshakes while somebody sets the clock of the day."""

import pytest

from babelwg.daemon.handshakes import HandshakeClock
from babelwg.linux.tunnels.tunnel import TunnelState

NOON = 1_800_000_000.0


class Clocks:
    """A clock of the day that can be set, and a steady one."""

    def __init__(self) -> None:
        self.wall, self.steady = NOON, 5000.0
        self.handshakes = HandshakeClock(lambda: self.wall, lambda: self.steady)

    def age(self, told: float) -> float | None:
        """Return how many seconds ago a handshake was that a back end tells, None for never or unknown."""
        state = self.handshakes.corrected("bw-a", TunnelState(None, told, 0, 0, 7, None))
        return self.wall - state.latest_handshake if state.latest_handshake else None

    def wait(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.mark.parametrize("step", [0.0, -3600.0, 3600.0])
def test_a_handshake_grows_old_at_the_same_pace_whatever_the_clock_does(step: float) -> None:
    clocks = Clocks()
    assert clocks.age(NOON - 30) == 30.0
    clocks.wall += step
    clocks.wait(20.0)
    assert clocks.age(NOON - 30) == 50.0
    clocks.wait(200.0)
    assert clocks.age(NOON - 30) == 250.0


def test_a_handshake_of_the_future_that_nobody_saw_is_none_until_the_clock_has_passed_it() -> None:
    clocks = Clocks()
    assert clocks.age(NOON + 100) is None
    clocks.wait(10.0)
    assert clocks.age(NOON + 100) is None
    clocks.wait(100.0)
    assert clocks.age(NOON + 100) == 10.0


def test_a_little_ahead_is_just_now() -> None:
    assert Clocks().age(NOON + 0.9) == 0.0
    assert Clocks().age(NOON + 1.1) is None


@pytest.mark.parametrize(("stamp", "age"), [(3600.0, 0.0), (-3600.0, 15.0), (10.0, 5.0)])
def test_a_new_handshake_came_since_the_latest_look_whatever_its_stamp(stamp: float, age: float) -> None:
    clocks = Clocks()
    assert clocks.age(0.0) is None
    clocks.wait(15.0)
    assert clocks.age(NOON + stamp) == age
    clocks.wait(7.0)
    assert clocks.age(NOON + stamp) == age + 7.0


def test_tunnels_are_told_apart_and_one_made_anew_has_no_handshake() -> None:
    clocks = Clocks()
    assert clocks.age(NOON - 30) == 30.0
    state = TunnelState(None, NOON + 100, 0, 0, 7, None)
    assert clocks.handshakes.corrected("bw-b", state).latest_handshake == 0.0
    assert clocks.age(0.0) is None
    assert clocks.age(NOON) == 0.0
