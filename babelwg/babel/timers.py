"""Deadlines on one heap, cheap to move: a refreshed timer costs two assignments."""

from collections.abc import Callable, Iterator
from heapq import heappop, heappush

# Implementation constant: entries on the heap below which it is not worth clearing of dead ones
MIN_COMPACTION = 256


class Timer:
    """A moment at which an action is due, or None while it is not set."""

    __slots__ = ("action", "queued", "when")

    def __init__(self, action: Callable[[float], None]) -> None:
        self.action = action
        self.when: float | None = None
        self.queued: float | None = None  # the earliest place of this timer on the heap


class Timers:
    """Timers in the order of their deadlines; equal ones in the order they were set."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._count = 0
        self._dead = 0  # entries on the heap that nobody waits for

    def set(self, timer: Timer, when: float) -> None:
        """Make a timer due at `when`, and not at an earlier or later moment set before."""
        cancelled, timer.when = timer.when is None, when
        # A later deadline stays at its old place on the heap and moves when that place comes up.
        if timer.queued is None:
            self._push(timer, when)
        elif when < timer.queued:
            self._dead += not cancelled
            self._push(timer, when)
            self._compact()
        elif cancelled:
            self._dead -= 1

    def advance(self, timer: Timer, when: float) -> None:
        """Make a timer due at `when`, unless it is due earlier."""
        if timer.when is None or when < timer.when:
            self.set(timer, when)

    def cancel(self, timer: Timer) -> None:
        """Make a timer never due."""
        if timer.when is not None:
            timer.when = None
            self._dead += 1
            self._compact()

    def clear(self) -> None:
        """Forget all timers."""
        for _, _, timer in self._heap:
            timer.when = timer.queued = None
        self._heap.clear()
        self._dead = 0

    def next(self) -> float | None:
        """Return the earliest deadline."""
        if not self._heap:
            return None
        place, _, timer = self._heap[0]
        if timer.queued == place and timer.when == place:
            return place
        return self._heap[0][0] if self._settle() else None

    def due(self, now: float) -> Iterator[Timer]:
        """Yield and clear the timers due at `now`, also those that become due meanwhile."""
        while self._settle() and self._heap[0][0] <= now:
            timer = heappop(self._heap)[2]
            timer.queued = timer.when = None
            yield timer

    def _settle(self) -> bool:
        """Bring a timer that is really due to the top of the heap; False when there is none."""
        while self._heap:
            place, _, timer = self._heap[0]
            if timer.queued == place:
                if timer.when == place:
                    return True
                timer.queued = None
                heappop(self._heap)
                if timer.when is not None:
                    self._push(timer, timer.when)
                else:
                    self._dead -= 1
            else:
                heappop(self._heap)
                self._dead -= 1
        return False

    def _compact(self) -> None:
        """Drop the dead entries when they are the most, or they would hold memory until their deadline."""
        if len(self._heap) < MIN_COMPACTION or 2 * self._dead <= len(self._heap):
            return
        kept: dict[Timer, tuple[float, int, Timer]] = {}
        for entry in sorted(self._heap):
            place, _, timer = entry
            if timer.when is None:
                timer.queued = None
            elif timer.queued == place:
                kept.setdefault(timer, entry)
        self._heap, self._dead = list(kept.values()), 0

    def _push(self, timer: Timer, when: float) -> None:
        timer.queued = when
        self._count += 1
        heappush(self._heap, (when, self._count, timer))
