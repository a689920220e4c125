"""The clock of the day may go anywhere; what has passed does not depend on it."""

from babelwg.daemon.clock import Life


def test_age_does_not_follow_the_clock_of_the_day() -> None:
    wall, steady = [100.0], [5000.0]
    life = Life(lambda: wall[0], lambda: steady[0])
    wall[0], steady[0] = 1_800_000_000.0, 5060.0  # a router without a clock has asked a time server
    assert (life.age, life.began) == (60.0, 1_799_999_940.0)
    wall[0] -= 86400  # and was wrong
    assert (life.age, life.began) == (60.0, 1_799_913_540.0)
