"""The clock of the day: whether it goes back, in this life of the daemon or since an earlier one.

WireGuard's handshakes carry it, and a peer refuses each that is older than the newest it has seen.
"""

import time
from collections.abc import Callable
from pathlib import Path

from babelwg.daemon.incidents import Incidents

# Implementation constants
CLOCK_FILE = "clock"
STEP = 1.0  # seconds that a correction may take the clock back without being told
TOLERANCE = 60.0  # seconds between two looks, and a little drift, that an earlier life may have been ahead


class ClockWatch:
    """Remembers the latest time that this node has seen; a disk that fails costs the memory, nothing else."""

    def __init__(
        self,
        directory: Path,
        incidents: Incidents | None = None,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = directory / CLOCK_FILE
        self.incidents = incidents or Incidents()
        self._wall, self._steady = wall, steady
        self.latest = _read(self.path)  # Unix seconds, 0 for never
        self._offset = wall() - steady()

    @property
    def behind(self) -> float:
        """Seconds that the clock is behind what this node has seen, 0 where it is not."""
        behind = self.latest - self._wall()
        return behind if behind > TOLERANCE else 0.0

    def look(self) -> None:
        """Notice a step back since the last look."""
        offset = self._wall() - self._steady()
        if offset < self._offset - STEP:
            self.incidents.note("clock-set-back", "clock", f"{self._offset - offset:.0f} s")
        self._offset = offset

    def keep(self) -> None:
        """Write down the time, unless it was later before. Raises OSError."""
        self.look()
        now = self._wall()
        if now > self.latest:
            self.latest = now
            # Not fsynced: what a crash loses is a minute, and the disk has better things to do.
            fresh = self.path.with_name(f"{self.path.name}.new")
            fresh.write_text(f"{now:.0f}\n")
            fresh.replace(self.path)


class Life:
    """How long the daemon runs, whatever becomes of the clock of the day: many a router begins in 1970."""

    def __init__(
        self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall, self._steady = wall, steady
        self._start = steady()

    @property
    def age(self) -> float:
        """Seconds since it began."""
        return self._steady() - self._start

    @property
    def began(self) -> float:
        """When it began, in Unix seconds of the clock as it goes now."""
        return self._wall() - self.age


def _read(path: Path) -> float:
    try:
        return float(path.read_text(errors="replace")[:32])
    except (OSError, ValueError):
        return 0.0  # never written, or torn: nothing is known of an earlier time
