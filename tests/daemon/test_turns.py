"""Questions in turn, each of which holds the loop for a while."""

import asyncio

import pytest

from babelwg.daemon.turns import CREDIT, SHARE, Turns
from tests.daemon.virtualtime import run, work

HELD = 0.1  # seconds


async def hold() -> str:
    work(HELD)
    return "done"


async def wait() -> str:
    await asyncio.sleep(4 * HELD)
    return "waited"


def test_a_storm_of_questions_leaves_most_of_the_time_to_others() -> None:
    async def storm() -> tuple[float, int]:
        turns, loop = Turns(), asyncio.get_running_loop()
        questions = [asyncio.create_task(turns.take(hold())) for _ in range(30)]
        await asyncio.sleep(0)
        first = loop.time()  # how long they have the loop before anybody else gets it
        await asyncio.sleep(2.0)
        done = sum(question.done() for question in questions)
        for question in questions:
            question.cancel()
        await asyncio.gather(*questions, return_exceptions=True)
        return first, done

    first, done = run(storm())
    assert HELD < first < CREDIT + HELD
    assert 6 <= done <= (first + 2.0 + CREDIT) / (SHARE * HELD) + 1


def test_who_asks_alone_does_not_wait() -> None:
    async def ask() -> float:
        turns = Turns()
        assert await turns.take(hold()) == "done"
        assert await turns.take(wait()) == "waited"
        return asyncio.get_running_loop().time()

    assert run(ask()) == pytest.approx(5 * HELD)


def test_a_question_that_only_waits_keeps_nobody_waiting() -> None:
    async def ask() -> float:
        turns = Turns()
        await asyncio.gather(*(turns.take(wait()) for _ in range(20)))
        return asyncio.get_running_loop().time()

    assert run(ask()) == pytest.approx(4 * HELD)


def test_a_cancelled_question_hears_of_it_and_an_error_comes_through() -> None:
    heard = []

    async def ask() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError("broken")

    async def scene() -> None:
        turns = Turns()
        task = asyncio.create_task(turns.take(ask()))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(ZeroDivisionError):
            await turns.take(fail())

    run(scene())
    assert heard == ["cancelled"]
