"""How late the loop is: what comes late here makes Hellos late, too."""

import asyncio
import math
from collections import deque

from babelwg.daemon.waiting import wait_for_news

# Implementation constants
LAG_INTERVAL, CALM_INTERVAL = 0.1, 12.8  # seconds between two looks; when nothing was late for long
PAUSE = 1.6  # seconds between two looks of who waits
LATE = 5.0  # milliseconds that are worth a comparison
ALARMING = 50.0  # milliseconds that no other program explains that has the processor for its turn
BUSY = 250.0  # milliseconds; what is not urgent should wait
MINUTE = 60.0  # seconds for which the maximum counts


class LagMeter:
    """Compares when it was to run with when it did; milliseconds."""

    def __init__(self) -> None:
        self.last = 0.0
        self.total = 0.0
        self._worst: deque[tuple[float, float]] = (
            deque()
        )  # falling, with their times: the first is the maximum
        self._alarm = asyncio.Event()  # when something held up the loop for long

    @property
    def maximum(self) -> float:
        """Return the greatest lag of the last minute."""
        return self._worst[0][1] if self._worst else 0.0

    async def run(self) -> None:
        """Measure for ever."""
        loop = asyncio.get_running_loop()
        interval = LAG_INTERVAL
        while True:
            due = loop.time() + interval
            await wait_for_news(self._alarm, interval)
            if self._alarm.is_set():
                self._alarm.clear()
                due = loop.time() + LAG_INTERVAL
                await asyncio.sleep(LAG_INTERVAL)
            now = loop.time()
            self.note(max(0.0, now - due) * 1000, now)
            # Each look wakes a node that is at rest.
            interval = LAG_INTERVAL if self.last > ALARMING else min(2 * interval, CALM_INTERVAL)

    async def calm(self, patience: float, news: asyncio.Event) -> None:
        """Return when nothing is late any more; where there are news, or after so many seconds, all the same."""
        loop = asyncio.get_running_loop()
        end = loop.time() + patience
        while self.last > BUSY and loop.time() < end and not news.is_set():
            await wait_for_news(news, PAUSE)

    def note(self, lag: float, now: float) -> None:
        """Take in one measured lag."""
        self.last = lag
        self.total += lag
        self._compare(lag, now)

    def note_work(self, seconds: float, now: float) -> None:
        """Take in how long something has held up the loop: what was due when it began came as late.

        The looks are so far apart on a node at rest that most of what happens falls between two of them.
        """
        if seconds * 1000 > LATE:
            self._compare(seconds * 1000, now)
        if seconds * 1000 > ALARMING:
            self._alarm.set()

    def _compare(self, lag: float, now: float) -> None:
        while self._worst and self._worst[-1][1] <= lag:
            self._worst.pop()
        self._worst.append((now, lag))
        while self._worst[0][0] < now - MINUTE:
            self._worst.popleft()

    def counters(self) -> dict[str, int]:
        """Return the figures in whole milliseconds, rounded up where one is shown as the worst."""
        return {
            "lag_ms": round(self.last),
            "lag_ms_max": math.ceil(self.maximum),
            "lag_ms_total": round(self.total),
        }
