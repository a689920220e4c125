"""Repairs of the kernel that somebody asks for, once and again and again."""

import asyncio
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from babelwg.config.babeld.model import BabeldConfig
from babelwg.daemon.checkpoints import Checkpoints
from babelwg.daemon.repair import Repair
from tests.daemon.virtualtime import run


class Bench:
    """A node without a kernel, and when it was compared with it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr("time.monotonic", loop.time)
        self.turns: list[float] = []
        self.looks: list[bool] = []
        self.changed_by_another = False

        async def calm(patience: float, news: asyncio.Event) -> None:
            del patience, news

        async def configure(babeld: object) -> None:
            del babeld
            self.turns.append(loop.time())
            if self.changed_by_another:
                loop.call_soon(self.repair.ask, False)

        node: Any = SimpleNamespace(
            config=BabeldConfig(kernel_check_interval=1000.0),
            lag=SimpleNamespace(calm=calm),
            changing=asyncio.Lock(),
            local=SimpleNamespace(configure=configure),
            tidy=lambda: None,
            checkpoints=Checkpoints(self._checkpoint),
        )
        self.repair = Repair(node)

        async def repair(looks: bool) -> None:
            self.looks.append(looks)

        self.repair._repair = repair  # type: ignore[method-assign]
        self.checkpoints: Checkpoints = node.checkpoints
        self.checkpoints_begun = 0
        self.disk_answers = asyncio.Event()

    async def _checkpoint(self) -> None:
        self.checkpoints_begun += 1
        await self.disk_answers.wait()


def test_what_is_asked_for_once_is_done_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        bench = Bench(monkeypatch)
        task = asyncio.create_task(bench.repair.run())
        await asyncio.sleep(5.0)
        bench.repair.ask(look=True)
        await asyncio.sleep(20.0)
        bench.repair.ask(look=False)
        await asyncio.sleep(20.0)
        task.cancel()
        assert bench.turns == [5.0, 25.0]
        assert bench.looks == [True, False]

    run(main())


def test_what_somebody_changes_again_and_again_is_set_right_ever_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        bench = Bench(monkeypatch)
        task = asyncio.create_task(bench.repair.run())
        bench.changed_by_another = True
        bench.repair.ask(look=False)
        await asyncio.sleep(300.0)
        task.cancel()
        pauses = [later - sooner for sooner, later in pairwise(bench.turns)]
        assert pauses[:5] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6])
        assert pauses[-1] == pytest.approx(60.0)

    run(main())


def test_repairs_go_on_while_a_checkpoint_waits_for_a_disk_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        bench = Bench(monkeypatch)
        tasks = [asyncio.create_task(run()) for run in (bench.repair.run, bench.checkpoints.run)]
        for _ in range(3):
            bench.repair.ask(look=False)
            await asyncio.sleep(50.0)
        assert bench.turns == [0.0, 50.0, 100.0]
        assert bench.checkpoints_begun == 1
        bench.disk_answers.set()
        await asyncio.sleep(1.0)
        assert bench.checkpoints_begun == 2, "one for all that were asked for meanwhile"
        for task in tasks:
            task.cancel()

    run(main())
