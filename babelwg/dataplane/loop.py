"""The event loop: descriptors that are ready and deadlines that have come, one thread, nothing per packet."""

import select
import signal
import socket
import time
from collections.abc import Callable, Mapping
from typing import Protocol

# Implementation constants
MAX_WAIT = 3600.0  # seconds


def boot_time() -> float:
    """Return seconds since the machine started, with those it slept: sessions age meanwhile at the other end."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Clocked(Protocol):
    """Something with deadlines."""

    def next_deadline(self) -> float | None:
        """Return when `handle_deadline` is due, None for never."""

    def handle_deadline(self, now: float) -> None:
        """Do what is due."""


class Loop:
    """Calls back when a descriptor can be read or written, and when a deadline has come."""

    def __init__(self, clock: Callable[[], float] = boot_time) -> None:
        self.clock = clock
        self._epoll = select.epoll()
        self._ready: dict[int, Callable[[int], None]] = {}
        self._clocked: list[Clocked] = []
        self._running = False

    def watch(self, descriptor: int, ready: Callable[[int], None], events: int = select.EPOLLIN) -> None:
        """Call `ready(events)` whenever the descriptor has one of the events, or an error."""
        self._epoll.register(descriptor, events)
        self._ready[descriptor] = ready

    def change(self, descriptor: int, events: int) -> None:
        """Watch a descriptor for other events than before."""
        self._epoll.modify(descriptor, events)

    def forget(self, descriptor: int) -> None:
        """Stop watching a descriptor, before it is closed."""
        if self._ready.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def add_clocked(self, clocked: Clocked) -> None:
        """Honour the deadlines of something."""
        self._clocked.append(clocked)

    def remove_clocked(self, clocked: Clocked) -> None:
        """Stop honouring the deadlines of something."""
        self._clocked.remove(clocked)

    def run(self) -> None:
        """Go on until `stop`."""
        self._running = True
        while self._running:
            self.turn(self._wait())

    def turn(self, wait: float) -> None:
        """Wait at most so many seconds for something and do it."""
        for descriptor, events in self._epoll.poll(wait):
            ready = self._ready.get(descriptor)
            if ready is not None:  # An earlier callback of this turn may have closed it.
                ready(events)
        now = self.clock()
        for clocked in tuple(self._clocked):
            deadline = clocked.next_deadline()
            if deadline is not None and deadline <= now:
                clocked.handle_deadline(now)

    def stop(self) -> None:
        """Make `run` return after this turn."""
        self._running = False

    def stop_on(self, *signals: signal.Signals) -> None:
        """Make these signals stop the loop."""
        self.act_on(dict.fromkeys(signals, self.stop))

    def act_on(self, actions: Mapping[signal.Signals, Callable[[], None]]) -> None:
        """Do something on each of these signals, in the loop's turn."""
        reading, writing = socket.socketpair()
        reading.setblocking(False)
        writing.setblocking(False)
        # The handler is empty: its only effect is that the octet on the pair, its number, wakes the loop.
        for number in actions:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        self._wakeup = (reading, writing)

        def act(_: int) -> None:
            for number in reading.recv(64):
                if number in actions:
                    actions[signal.Signals(number)]()

        self.watch(reading.fileno(), act)

    def close(self) -> None:
        """Give the loop's own descriptors back."""
        self._epoll.close()
        for end in getattr(self, "_wakeup", ()):
            end.close()

    def _wait(self) -> float:
        deadlines = [deadline for c in self._clocked if (deadline := c.next_deadline()) is not None]
        if not deadlines:
            return MAX_WAIT
        return min(MAX_WAIT, max(0.0, min(deadlines) - self.clock()))
