"""Questions to tunnels: one that hangs holds up nobody for long, and what it told last is not forgotten."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from babelwg.daemon.survey import Survey
from babelwg.linux.tunnels.tunnel import TunnelState

STATE = TunnelState(None, 0.0, 0, 0, 51820, None)
A: Any = "the tunnel to a"
B: Any = "the tunnel to b"
NOW = 0.0  # seconds to wait for tunnels that answer at once
LONG = 3600.0


class Bench:
    """Two tunnels, of which `hanging` ones answer when they are told to."""

    def __init__(self) -> None:
        self.hanging: set[str] = set()
        self.asked: list[str] = []
        self.go_on = asyncio.Event()
        self.state: TunnelState | None = STATE
        self.survey = Survey(self._ask)
        self.tunnels = {"bw-a": A, "bw-b": B}

    async def _ask(self, name: str, tunnel: Any) -> TunnelState | None:
        self.asked.append(name)
        if name in self.hanging:
            await self.go_on.wait()
        return self.state

    async def hang(self, name: str) -> dict[str, TunnelState]:
        """Let a tunnel hang, and return what is answered while the others are done and it is not."""
        self.hanging.add(name)
        others = {n: t for n, t in self.tunnels.items() if n != name}
        self.survey.ask(name, self.tunnels[name])
        return await self.survey.answers(others) | await self.survey.answers(
            {name: self.tunnels[name]}, patience=NOW
        )


def run(story: Callable[[Bench], Awaitable[None]]) -> None:
    async def told() -> None:
        async with asyncio.timeout(60):
            await story(Bench())

    asyncio.run(told())


def test_a_tunnel_that_hangs_is_told_as_it_was() -> None:
    async def story(bench: Bench) -> None:
        survey, tunnels = bench.survey, bench.tunnels
        first = await survey.answers(tunnels)
        assert first == {"bw-a": STATE, "bw-b": STATE}
        assert [told.age for told in survey.told(tunnels, first).values()] == [0.0, 0.0]
        now = await bench.hang("bw-b")
        assert now == {"bw-a": STATE}
        told = survey.told(tunnels, now)
        assert (told["bw-b"].state, told["bw-a"].age) == (STATE, 0.0)
        assert told["bw-b"].age > 0
        # The question that was put is still under way, and no second one is.
        assert bench.asked == ["bw-a", "bw-b", "bw-b", "bw-a"]
        bench.state = replace(STATE, rx_bytes=7)
        bench.go_on.set()
        assert (await survey.answers(tunnels, LONG))["bw-b"].rx_bytes == 7

    run(story)


def test_of_a_tunnel_that_never_told_nothing_is_known() -> None:
    async def story(bench: Bench) -> None:
        now = await bench.hang("bw-b")
        assert bench.survey.told(bench.tunnels, now).keys() == {"bw-a"}
        bench.survey.close()

    run(story)


def test_what_a_tunnel_told_is_not_said_of_one_that_was_made_anew() -> None:
    async def story(bench: Bench) -> None:
        await bench.survey.answers(bench.tunnels)
        anew: Any = "another tunnel to b"
        assert bench.survey.told({"bw-a": A, "bw-b": anew}, {}).keys() == {"bw-a"}
        # Nor does the answer to a question about the old one count.
        bench.hanging.add("bw-b")
        old = bench.survey.ask("bw-b", B)
        assert bench.survey.ask("bw-b", anew) is not old
        bench.survey.close()

    run(story)


def test_a_tunnel_that_fails_keeps_what_it_told() -> None:
    async def story(bench: Bench) -> None:
        await bench.survey.answers(bench.tunnels)
        bench.state = None
        now = await bench.survey.answers(bench.tunnels)
        assert now == {}
        assert bench.survey.told(bench.tunnels, now)["bw-a"].state == STATE

    run(story)


def test_a_tunnel_that_was_made_anew_does_not_hurt_who_waits_for_the_old_one() -> None:
    async def story(bench: Bench) -> None:
        bench.hanging.add("bw-a")
        old = bench.survey.ask("bw-a", A)
        await asyncio.sleep(0)
        bench.hanging.clear()
        new: Any = "another tunnel to a"
        assert await bench.survey.answers({"bw-a": new}) == {"bw-a": STATE}
        bench.go_on.set()
        assert await old == STATE
        assert bench.survey.told({"bw-a": A}, {}) == {}

    run(story)
