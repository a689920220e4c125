"""The lag of the loop: seen when something holds it up, and forgotten after a minute."""

import asyncio
import time

from babelwg.daemon.lag import LagMeter
from tests.daemon.virtualtime import run as virtual
from tests.daemon.virtualtime import work


def test_what_holds_the_loop_up_is_seen() -> None:
    async def run() -> LagMeter:
        meter = LagMeter()
        task = asyncio.create_task(meter.run())
        await asyncio.sleep(0)
        time.sleep(0.3)
        while not meter.maximum:
            await asyncio.sleep(0.01)
        task.cancel()
        return meter

    meter = asyncio.run(run())
    assert meter.counters()["lag_ms_max"] >= 150
    assert meter.counters()["lag_ms_total"] >= 150


def test_work_between_two_looks_is_seen_and_leaves_the_latest_look_alone() -> None:
    meter = LagMeter()
    meter.note(1.0, 10.0)
    meter.note_work(0.004, 11.0)
    meter.note_work(0.25, 12.0)
    assert meter.counters() == {"lag_ms": 1, "lag_ms_max": 250, "lag_ms_total": 1}
    meter.note(2.0, 72.5)
    assert meter.counters() == {"lag_ms": 2, "lag_ms_max": 2, "lag_ms_total": 3}


def test_what_can_wait_waits_while_the_loop_is_late_and_no_longer_than_it_can() -> None:
    async def main() -> list[float]:
        meter, loop, news = LagMeter(), asyncio.get_running_loop(), asyncio.Event()
        ends = []
        await meter.calm(60.0, news)
        ends.append(loop.time())
        meter.note(300.0, loop.time())
        loop.call_later(7.0, meter.note, 1.0, 7.0)
        await meter.calm(60.0, news)
        ends.append(loop.time())
        meter.note(300.0, loop.time())
        await meter.calm(60.0, news)
        ends.append(loop.time() - ends[-1])
        news.set()
        await meter.calm(60.0, news)
        ends.append(loop.time() - sum(ends[1:]))
        return ends

    at_once, when_calm, at_last, with_news = virtual(main())
    assert (at_once, with_news) == (0.0, 0.0)
    assert 7.0 <= when_calm <= 9.0
    assert 60.0 <= at_last <= 62.0


def test_a_calm_loop_is_looked_at_seldom_and_a_late_one_often() -> None:
    """A machine on which others work, too, makes every look a little late, and that is no reason for more."""

    async def main() -> tuple[int, int, int]:
        meter, looks = LagMeter(), []
        meter.note = lambda lag, now: looks.append(now) or setattr(meter, "last", lag)  # type: ignore[method-assign]
        task = asyncio.create_task(meter.run())
        await asyncio.sleep(60.0)
        calm = len(looks)
        for _ in range(600):
            await asyncio.sleep(0.001)
            work(0.02)
        shared = len(looks) - calm
        for number in range(100):
            await asyncio.sleep(0.001)
            work(0.15 + 0.001 * number)
        task.cancel()
        return calm, shared, len(looks) - calm - shared

    calm, shared, late = virtual(main())
    assert calm <= 20
    assert shared <= 3
    assert late >= 20


def test_work_that_holds_the_loop_up_has_it_looked_at_soon() -> None:
    async def main() -> tuple[int, int]:
        meter, looks, loop = LagMeter(), [], asyncio.get_running_loop()
        meter.note = lambda lag, now: looks.append(now)  # type: ignore[method-assign]
        task = asyncio.create_task(meter.run())
        await asyncio.sleep(60.0)
        calm = len(looks)
        meter.note_work(0.04, loop.time())
        await asyncio.sleep(1.0)
        little = len(looks) - calm
        for _ in range(20):
            meter.note_work(0.3, loop.time())
            await asyncio.sleep(0.05)
        task.cancel()
        return little, len(looks) - calm - little

    little, much = virtual(main())
    assert little <= 1
    assert much >= 8, "one after the other, they do not keep each other from being looked at"


def test_the_maximum_is_of_the_last_minute() -> None:
    meter = LagMeter()
    seen = []
    for now, lag in ((0.0, 5.0), (10.0, 3.0), (59.0, 1.0), (60.0, 1.0), (61.0, 2.0), (71.0, 0.5)):
        meter.note(lag, now)
        seen.append(meter.maximum)
    assert seen == [5.0, 5.0, 5.0, 5.0, 3.0, 2.0]
    assert meter.counters() == {"lag_ms": 0, "lag_ms_max": 2, "lag_ms_total": 12}
