"""How far our seqno may go: as far as the disk has it that no later life uses the same under our router-id."""

import asyncio
import contextlib
from collections.abc import Callable

from babelwg.babel.events import Event, SeqnoIncreased
from babelwg.babel.speaker import Speaker
from babelwg.daemon.store import Store


class SeqnoRoom:
    """Lets the speaker raise its seqno as the disk follows, for which nobody waits but who asked for it."""

    def __init__(self, speaker: Speaker, store: Store, pump: Callable[[], None]) -> None:
        self._speaker = speaker
        self._store = store
        self._pump = pump
        self._loop = asyncio.get_running_loop()
        self._limit: int | None = None  # as the speaker knows it
        store.when_answered(self._wake)
        self._move_limit()

    def follow(self, events: list[Event]) -> None:
        """Have the disk follow what happened to our seqno and what is asked for, and the speaker follow the disk."""
        for event in events:
            if isinstance(event, SeqnoIncreased):
                self._store.reserve(event.seqno)
        if (wanted := self._speaker.wanted_seqno()) is not None:
            self._store.make_room(wanted)
        self._move_limit()

    def _move_limit(self) -> None:
        self._limit = self._store.seqno_limit()
        self._speaker.limit_seqno(self._limit, self._loop.time())

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            self._loop.call_soon_threadsafe(self._go_on)

    def _go_on(self) -> None:
        # Not where the disk has refused: that would have it tried again without end.
        if self._store.seqno_limit() != self._limit:
            self._pump()
