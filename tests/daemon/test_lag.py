"""The lag of the loop: seen when something holds it up, and forgotten after a minute."""

import asyncio
import time

from babelwg.daemon.lag import LagMeter


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


def test_the_maximum_is_of_the_last_minute() -> None:
    meter = LagMeter()
    seen = []
    for now, lag in ((0.0, 5.0), (10.0, 3.0), (59.0, 1.0), (60.0, 1.0), (61.0, 2.0), (71.0, 0.5)):
        meter.note(lag, now)
        seen.append(meter.maximum)
    assert seen == [5.0, 5.0, 5.0, 5.0, 3.0, 2.0]
    assert meter.counters() == {"lag_ms": 0, "lag_ms_max": 2, "lag_ms_total": 12}
