"""Threads that wait for the disk: in order, without losing an answer, and left alone by who ends."""

import asyncio
import threading
from functools import partial

import pytest

from babelwg.daemon.diskthread import DiskThread


def test_one_thing_is_done_after_another_and_each_has_its_answer() -> None:
    thread = DiskThread("test")
    done: list[int] = []
    answers = [thread.submit(partial(done.append, number)) for number in range(100)]
    assert thread.wait(10)
    assert done == [*range(100)]
    assert all(answer.done() for answer in answers)
    assert thread.submit(lambda: 7).result(10) == 7, "it goes on after a rest"


def test_a_mistake_reaches_who_asked_and_nobody_else() -> None:
    async def main() -> int:
        thread = DiskThread("test")
        with pytest.raises(ZeroDivisionError):
            await thread.run(lambda: 1 // 0)
        return await thread.run(lambda: 8)

    assert asyncio.run(main()) == 8


def test_what_nobody_waits_for_any_more_is_done_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    thread, go = DiskThread("test"), threading.Event()
    done: list[str] = []

    async def main() -> None:
        thread.submit(go.wait)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await thread.run(lambda: done.append("later"))

    asyncio.run(main())
    assert not thread.wait(0.01)
    go.set()  # after the loop, which nobody can tell of it any more
    assert thread.wait(10)
    assert done == ["later"]
    assert caplog.messages == []


def test_a_thread_that_cannot_be_started_is_an_oserror_for_who_asked_and_tried_anew_by_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    thread = DiskThread("test")
    done: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        refused = thread.submit(lambda: done.append(1))
        with pytest.raises(OSError, match="no thread for the disk: can't start new thread"):
            refused.result(0)
        assert thread.wait(0)
    assert thread.submit(lambda: 2).result(10) == 2
    assert thread.wait(10)
    assert done == [], "what was answered is not done later"
