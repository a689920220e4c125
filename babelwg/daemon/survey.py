"""What tunnels tell of themselves: asked anew for each question, which does not wait long for one that hangs."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from babelwg.linux.tunnels.tunnel import Tunnel, TunnelState

# Implementation constants
AT_ONCE = 16  # tunnels that are asked side by side
PATIENCE = 0.25  # seconds that somebody who looks at the node waits for all of them


class Told(NamedTuple):
    """What a tunnel told, and how many seconds ago; 0.0 for just now."""

    state: TunnelState
    age: float


class Survey:
    """Asks tunnels, one question at a time for each, and remembers what each told last."""

    def __init__(self, ask: Callable[[str, Tunnel], Awaitable[TunnelState | None]]) -> None:
        """Ask by `ask`, which returns None for a tunnel that does not tell."""
        self._ask = ask
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._asked: dict[str, tuple[Tunnel, asyncio.Task[TunnelState | None]]] = {}
        self._told: dict[str, tuple[Tunnel, float, TunnelState]] = {}

    def close(self) -> None:
        """Wait for no answer any more."""
        for _, task in self._asked.values():
            task.cancel()

    def ask(self, name: str, tunnel: Tunnel) -> "asyncio.Task[TunnelState | None]":
        """Return the question to a tunnel that is under way, or a new one."""
        before, task = self._asked.get(name, (None, None))
        if task is None or task.done() or before is not tunnel:
            task = asyncio.create_task(self._put(name, tunnel))
            self._asked[name] = tunnel, task
            task.add_done_callback(lambda done: self._forget(name, done))
        return task

    async def answers(
        self, tunnels: Mapping[str, Tunnel], patience: float | None = None
    ) -> dict[str, TunnelState]:
        """Return what tunnels answer within `patience` seconds, None for as long as it takes."""
        asked = {name: self.ask(name, tunnel) for name, tunnel in tunnels.items()}
        if asked:
            await asyncio.wait(asked.values(), timeout=patience)
        found = {name: task.result() for name, task in asked.items() if task.done()}
        return {name: state for name, state in found.items() if state is not None}

    def told(self, tunnels: Mapping[str, Tunnel], now: Mapping[str, TunnelState]) -> dict[str, Told]:
        """Return the answers of `now`, and of the other tunnels what they told last."""
        time = asyncio.get_running_loop().time()
        self._told = {name: told for name, told in self._told.items() if tunnels.get(name) is told[0]}
        before = {name: Told(state, time - then) for name, (_, then, state) in self._told.items()}
        return before | {name: Told(state, 0.0) for name, state in now.items()}

    def _forget(self, name: str, task: "asyncio.Task[TunnelState | None]") -> None:
        if self._asked.get(name, (None, None))[1] is task:
            del self._asked[name]

    async def _put(self, name: str, tunnel: Tunnel) -> TunnelState | None:
        async with self._gate:
            state = await self._ask(name, tunnel)
        if state is not None and self._asked.get(name, (None, None))[0] is tunnel:
            self._told[name] = tunnel, asyncio.get_running_loop().time(), state
        return state
