"""Timers on one heap."""

from random import Random

from babelwg.babel.timers import Timer, Timers


def test_timers_fire_in_order_and_only_at_their_latest_deadline() -> None:
    timers, fired = Timers(), []
    first, second, third = (Timer(lambda now, name=name: fired.append(name)) for name in "abc")
    timers.set(first, 1.0)
    timers.set(second, 2.0)
    timers.set(third, 3.0)
    timers.set(first, 5.0)
    timers.set(third, 0.5)
    timers.cancel(second)
    assert timers.next() == 0.5
    for timer in timers.due(4.0):
        timer.action(4.0)
    assert fired == ["c"]
    assert timers.next() == 5.0
    timers.advance(first, 9.0)
    assert timers.next() == 5.0
    timers.advance(first, 4.5)
    assert timers.next() == 4.5


def test_timers_agree_with_a_plain_list_over_random_use() -> None:
    rng = Random(1)
    timers = Timers()
    pool = [Timer(lambda now: None) for _ in range(20)]
    plain: dict[int, float] = {}
    now = 0.0
    for _ in range(5000):
        index = rng.randrange(20)
        action = rng.random()
        if action < 0.6:
            plain[index] = now + rng.choice((0.0, 1.0, rng.random() * 10))
            timers.set(pool[index], plain[index])
        elif action < 0.75:
            plain.pop(index, None)
            timers.cancel(pool[index])
        else:
            now += rng.random()
            due = sorted(pool.index(timer) for timer in timers.due(now))
            assert due == sorted(i for i, when in plain.items() if when <= now)
            plain = {i: when for i, when in plain.items() if when > now}
        assert timers.next() == min(plain.values(), default=None)


def test_timers_forget_cancelled_deadlines_long_before_they_are_due() -> None:
    timers = Timers()
    lasting = Timer(lambda now: None)
    timers.set(lasting, 900.0)
    for n in range(10_000):
        timer = Timer(lambda now: None)
        timers.set(timer, 1000.0 + n)
        timers.cancel(timer)
        timers.set(lasting, 899.0 - n / 100)
    assert len(timers._heap) < 1000
    assert timers.next() == 899.0 - 99.99
