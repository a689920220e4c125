"""Loops that wait for news end when they are cancelled."""

import asyncio

from babelwg.daemon.waiting import wait_for_news


def test_a_loop_ends_when_it_is_cancelled_in_the_moment_of_its_news() -> None:
    async def run() -> bool:
        news = asyncio.Event()

        async def loop() -> None:
            while True:
                await wait_for_news(news, 60.0)
                news.clear()

        task = asyncio.create_task(loop())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        news.set()
        await asyncio.sleep(0)  # an inner task, where there is one, has its result by now
        task.cancel()
        done, pending = await asyncio.wait({task}, timeout=60.0)
        for still in pending:
            still.cancel()
        return task in done

    assert asyncio.run(run())


def test_waiting_ends_after_its_time() -> None:
    asyncio.run(wait_for_news(asyncio.Event(), 0.0))
