"""Follows the tables for monitoring clients, a bounded part of the work at a time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from itertools import islice

from babelwg.babel.events import Event
from babelwg.babel.snapshot import InterfaceView, NeighbourView
from babelwg.babel.wire.prefix import Prefix
from babelwg.daemon.local.view import View
from babelwg.daemon.routing import RoutingService
from babelwg.daemon.waiting import wait_for_news

# Implementation constants
GATHER = 0.05  # seconds that changes wait for others, so that a burst of them is told once
LOOK = 1.0  # seconds between two looks where no event said that something changed
PREFIXES_AT_ONCE = 200  # before others get the loop


class Follower:
    """Keeps a view up to date while somebody uses it, and tells each change; else it costs nothing."""

    def __init__(self, routing: RoutingService, tell: Callable[[list[str]], None]) -> None:
        self.view = View()
        self._routing = routing
        self._tell = tell
        self._users = 0
        self._unread = 0  # prefixes that were there at the beginning and are not in the view yet
        self._pending: dict[Prefix, None] = {}
        self._announced: Mapping[Prefix, tuple[int, str]] | None = None  # as the view knows it
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def in_use(self) -> bool:
        """Whether anybody uses the view."""
        return self._users > 0

    @contextlib.asynccontextmanager
    async def using(self) -> AsyncIterator[View]:
        """Give a view that is up to date at this moment and kept so."""
        self.begin()
        try:
            await self.catch_up()
            yield self.view
        finally:
            self.end()

    def begin(self) -> None:
        """Follow for one user more."""
        self._users += 1
        if self._users == 1:
            self.view, self._announced = View(), None
            self._pending = dict.fromkeys(self._routing.speaker.prefixes())
            self._unread = len(self._pending)
            self._routing.speaker.watch(True)
            self._routing.listeners.append(self._hear)
            self._task = asyncio.create_task(self._follow())

    def end(self) -> None:
        """Follow for one user less."""
        self._users -= 1
        if self._users == 0 and self._task is not None:
            self._task.cancel()
            self._task = None
            self._routing.listeners.remove(self._hear)
            self._routing.speaker.watch(False)
            self.view, self._pending = View(), {}

    async def catch_up(self) -> None:
        """Return when the view holds what is so, or at least what was when it began."""
        while not self._step() and self._unread > 0:
            await asyncio.sleep(0)

    def _hear(self, events: list[Event]) -> None:
        del events  # which prefixes to look at is what the speaker's watch tells
        self._news.set()

    async def _follow(self) -> None:
        while True:
            await wait_for_news(self._news, LOOK)
            await asyncio.sleep(GATHER)
            self._news.clear()
            while not self._step():
                await asyncio.sleep(0)

    def _step(self) -> bool:
        """Bring a part of the view up to date and tell it; return whether nothing is left to do."""
        speaker, now = self._routing.speaker, asyncio.get_running_loop().time()
        self._pending.update(dict.fromkeys(speaker.touched()))
        interfaces, neighbours = self._links(now)
        lines = self.view.add_links(interfaces, neighbours)
        if self._announced is not self._routing.announced:
            self._announced = self._routing.announced
            lines += self.view.set_xroutes({p: metric for p, (metric, _) in self._announced.items()})
        for prefix in [*islice(self._pending, PREFIXES_AT_ONCE)]:
            del self._pending[prefix]
            # Those of the beginning stand before what was touched since, so no storm keeps them back.
            self._unread -= 1
            lines += self.view.set_routes(prefix, speaker.routes_for(prefix, now), speaker.is_held(prefix))
        if not self._pending:
            # What went takes its leave last: by now no route through it is known any more.
            lines += self.view.drop_links(interfaces, neighbours)
        if lines:
            self._tell(lines)
        return not self._pending

    def _links(self, now: float) -> tuple[Mapping[str, InterfaceView | None], tuple[NeighbourView, ...]]:
        interfaces, neighbours = self._routing.speaker.links(now)
        running = {view.name: view for view in interfaces}
        return {name: running.get(name) for name in self._routing.wanted}, neighbours
