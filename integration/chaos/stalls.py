"""When the machine had no time for the daemons of a mesh: they waited in the run queue instead of running."""

import time
from collections.abc import Callable
from pathlib import Path

from babelwg.lab.netns.mesh import Mesh
from babelwg.lab.outages import Span
from integration.chaos.looks import look_every

PAUSE = 0.25  # seconds between two looks
LONGEST_WAIT = 0.15  # seconds that a daemon may wait for a processor between them


class Stalls:
    """Watches how long the daemons of a mesh wait for a processor, as the kernel tells it, until closed."""

    def __init__(self, mesh: Mesh, is_away: Callable[[str], bool]) -> None:
        """Watch from now on, but no daemon that is away: one that starts computes, and so it waits."""
        self.spans: list[Span] = []
        self._mesh, self._is_away = mesh, is_away
        self._waited: dict[int, float] = {}
        self._looked = time.monotonic()
        self.close = look_every(PAUSE, self._look)

    def _look(self) -> None:
        now = time.monotonic()
        serving = [d.pid for name, d in [*self._mesh.daemons.items()] if not self._is_away(name)]
        waited = {pid: _waited(pid) for pid in serving}
        longest = max((w - self._waited.get(pid, w) for pid, w in waited.items()), default=0.0)
        if longest > LONGEST_WAIT or now - self._looked > PAUSE + LONGEST_WAIT:
            self.spans.append(Span(self._looked, now))
        self._waited, self._looked = waited, now


def _waited(pid: int) -> float:
    """Return the seconds that a process has waited in the run queue so far; 0 when it has ended."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0
