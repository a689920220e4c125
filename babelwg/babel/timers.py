"""Deadlines on one heap, cheap to move: a refreshed timer costs two assignments."""

from collections.abc import Callable, Iterator
from heapq import heappop, heappush


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

    def set(self, timer: Timer, when: float) -> None:
        """Make a timer due at `when`, and not at an earlier or later moment set before."""
        timer.when = when
        # A later deadline stays at its old place on the heap and moves when that place comes up.
        if timer.queued is None or when < timer.queued:
            self._push(timer, when)

    def advance(self, timer: Timer, when: float) -> None:
        """Make a timer due at `when`, unless it is due earlier."""
        if timer.when is None or when < timer.when:
            self.set(timer, when)

    def cancel(self, timer: Timer) -> None:
        """Make a timer never due."""
        timer.when = None

    def clear(self) -> None:
        """Forget all timers."""
        for _, _, timer in self._heap:
            timer.when = timer.queued = None
        self._heap.clear()

    def next(self) -> float | None:
        """Return the earliest deadline."""
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
                heappop(self._heap)
        return False

    def _push(self, timer: Timer, when: float) -> None:
        timer.queued = when
        self._count += 1
        heappush(self._heap, (when, self._count, timer))
