"""What the data plane counts: one that hangs holds up nobody, and its latest figures are told with their age."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from babelwg.daemon.dataplane_counters import DataPlaneCounters
from babelwg.linux.tunnels.tunnel import TunnelError

NOW = 0.01  # seconds to wait for one that hangs


class Plane:
    """A data plane that answers when `go_on` is set, unless its silence is an error."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.is_deaf = False
        self.asked = 0
        self.counters = DataPlaneCounters(self._ask, NOW)

    async def _ask(self) -> Mapping[str, int]:
        self.asked += 1
        await self.go_on.wait()
        if self.is_deaf:
            raise TunnelError("no proper answer")
        return {"bw-a.replayed": self.asked}


def run(story: Callable[[Plane], Awaitable[None]]) -> None:
    async def told() -> None:
        async with asyncio.timeout(60):
            await story(Plane())

    asyncio.run(told())


def test_what_hangs_is_told_as_it_was_and_asked_once() -> None:
    async def story(plane: Plane) -> None:
        assert await plane.counters.read() == ({"bw-a.replayed": 1}, 0.0)
        plane.go_on.clear()
        values, age = await plane.counters.read()
        assert (values, age is not None and age > 0) == ({"bw-a.replayed": 1}, True)
        later = (await plane.counters.read()).age
        assert (plane.asked, later is not None and age is not None and later > age) == (2, True)
        plane.go_on.set()
        assert await plane.counters.read() == ({"bw-a.replayed": 2}, 0.0)

    run(story)


def test_what_does_not_answer_properly_is_told_as_it_was_too() -> None:
    async def story(plane: Plane) -> None:
        plane.is_deaf = True
        assert await plane.counters.read() == ({}, None)
        plane.is_deaf = False
        assert await plane.counters.read() == ({"bw-a.replayed": 2}, 0.0)
        plane.is_deaf = True
        values, age = await plane.counters.read()
        assert (values, age is not None and age > 0) == ({"bw-a.replayed": 2}, True)

    run(story)


def test_what_hangs_from_the_beginning_has_no_age() -> None:
    async def story(plane: Plane) -> None:
        plane.go_on.clear()
        assert await plane.counters.read() == ({}, None)

    run(story)
