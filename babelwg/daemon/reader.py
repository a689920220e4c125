"""From the socket to the speaker: read at once, handled in turns in which no neighbour keeps the others waiting."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

from babelwg.babel.datagram import Datagram
from babelwg.babel.events import address_text
from babelwg.daemon.inbox import Inbox, Key
from babelwg.daemon.recorder import Note

log = logging.getLogger(__name__)

# Implementation constants: of one turn, before others get the loop
READ_BATCH, READ_TIME = 64, 0.02  # datagrams between two looks at the clock, and seconds
HANDLED, HANDLING_TIME = 64, 0.1  # datagrams, and seconds
LEAST_HANDLING_TIME = 0.005  # seconds, where more comes than can be read, or others wait too long
LONG_TURN = 0.3  # seconds of a turn with all that follows from it
LONGEST_UNREAD = 15.0  # seconds for which a socket that is never empty lets nobody's Hello count as missed
TOLD_PAUSE = 60.0  # seconds until it is said again that a neighbour sends too much
MAX_TOLD = 256  # neighbours of whom it is known when that was said


class Socket(Protocol):
    """What gives the datagrams."""

    def fileno(self) -> int: ...
    def receive(self, now: float, limit: int) -> Iterable[Datagram]: ...


class Reader:
    """Reads what comes and hands it on, to each neighbour the same time."""

    def __init__(
        self,
        socket: Socket,
        share: Callable[[Datagram], Key],
        handle: Callable[[Datagram, float], None],
        finish: Callable[[float], None],
        note: Note,
    ) -> None:
        """Have datagrams handled, then all that follows from them with the moment of the turn's begin.

        Datagrams have the same time as those of any other `share`: an interface, or one and an address there.
        """
        self.counters: Counter[str] = Counter()
        self._socket, self._share = socket, share
        self._handle, self._finish, self._note = handle, finish, note
        self._inbox = Inbox()
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.Handle | None = None
        self._emptied, self._latest = (
            True,
            0.0,
        )  # whether the socket was, and when the last came that was read
        self._allowed = HANDLING_TIME
        self._dropped: dict[Key, int] = {}
        self._told: dict[Key, float] = {}
        self._loop.add_reader(socket.fileno(), self._read)

    def close(self) -> None:
        """Read no more."""
        self._loop.remove_reader(self._socket.fileno())
        if self._next is not None:
            self._next.cancel()

    @property
    def busy(self) -> bool:
        """Whether something waits to be handled."""
        return bool(self._inbox) or not self._emptied

    def heard(self, now: float) -> float:
        """Return until when all that came was handled, but for that of neighbours who send more than is fair."""
        waiting = [] if self._emptied else [self._latest]
        if (oldest := self._inbox.oldest()) is not None:
            waiting.append(oldest)
        return max(min(waiting, default=now), now - LONGEST_UNREAD)

    def _read(self) -> None:
        if self._next is None:  # otherwise the next turn reads it
            self._turn()

    def _turn(self) -> None:
        self._next = None
        began = self._loop.time()
        self._drain(began)
        handled = self._hand_on()
        self._finish(began)
        self._inbox.settle(self._loop.time() - handled)
        self._adapt(self._loop.time() - began)
        if self.busy:
            self._next = self._loop.call_soon(self._turn)

    def _drain(self, began: float) -> None:
        """Read what has come, for some time, so that the kernel has room for what comes next."""
        self._emptied, now = False, began
        while not self._emptied and now - began < READ_TIME:
            read = 0
            for datagram in self._socket.receive(now, READ_BATCH):
                read += 1
                self._latest = datagram.received
                if (loser := self._inbox.put(self._share(datagram), datagram)) is not None:
                    self._drop(loser, now)
            self._emptied = read < READ_BATCH
            passed, now = now, self._loop.time()
            if now == passed:
                break  # time stands still, as it does while it is played

    def _hand_on(self) -> float:
        """Have some of what waits handled, and return when that was done."""
        now = began = self._loop.time()
        for _ in range(HANDLED):
            if (taken := self._inbox.take()) is None:
                break
            queue, datagram = taken
            before = now
            self._handle(datagram, now)
            now = self._loop.time()
            self._inbox.charge(queue, now - before)
            if now - began > self._allowed:
                break
        return now

    def _adapt(self, took: float) -> None:
        """Handle less in a turn where more comes than can be read, or where much follows from what is handled."""
        if not self._emptied or took > LONG_TURN:
            self._allowed = max(self._allowed / 2, LEAST_HANDLING_TIME)
        else:
            self._allowed = min(self._allowed * 2, HANDLING_TIME)

    def _drop(self, key: Key, now: float) -> None:
        self.counters["datagram_dropped.neighbour-share"] += 1
        self._dropped[key] = self._dropped.get(key, 0) + 1
        if now < self._told.get(key, -TOLD_PAUSE) + TOLD_PAUSE:
            return
        if len(self._told) >= MAX_TOLD:
            self._told.clear()
            self._dropped = {key: self._dropped[key]}
        self._told[key] = now
        count = self._dropped.pop(key)
        name, address = key if isinstance(key, tuple) else (str(key), None)
        who = name if address is None else address_text(address, name)
        log.warning("datagrams-dropped neighbour=%s count=%d: it sends more than its share", who, count)
        text = f"{count} datagrams of the neighbour {who} were dropped"
        self._note("datagrams-dropped", text, "it sends more than its share", interface=name, count=count)
