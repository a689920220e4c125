"""How late the loop is: what comes late here makes Hellos late, too."""

import asyncio
import math
from collections import deque

# Implementation constants
LAG_INTERVAL = 0.1  # seconds between two looks
MINUTE = 60.0  # seconds for which the maximum counts


class LagMeter:
    """Compares when it was to run with when it did; milliseconds."""

    def __init__(self) -> None:
        self.last = 0.0
        self.total = 0.0
        self._worst: deque[tuple[float, float]] = (
            deque()
        )  # falling, with their times: the first is the maximum

    @property
    def maximum(self) -> float:
        """Return the greatest lag of the last minute."""
        return self._worst[0][1] if self._worst else 0.0

    async def run(self) -> None:
        """Measure for ever."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_INTERVAL
            await asyncio.sleep(LAG_INTERVAL)
            now = loop.time()
            self.note(max(0.0, now - due) * 1000, now)

    def note(self, lag: float, now: float) -> None:
        """Take in one measured lag."""
        self.last = lag
        self.total += lag
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
