"""When handshakes were, on the clock of the day as it goes now: somebody may have set it since."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from babelwg.linux.tunnels.tunnel import TunnelState

# Implementation constants
STEP = 1.0  # seconds that the clock of a back end may be ahead


class Seen(NamedTuple):
    """A handshake as its back end tells it, and when it was on the steady clock; None for who knows when."""

    told: float  # Unix seconds, 0.0 for never
    happened: float | None  # seconds of the steady clock
    looked: float  # seconds of the steady clock, at the latest look


def steady_clock() -> float:
    """Return seconds that nobody can set, and that go on while the machine sleeps, as sessions do."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class HandshakeClock:
    """Keeps the age of each handshake whatever becomes of the clock of the day."""

    def __init__(
        self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = steady_clock
    ) -> None:
        self._wall, self._steady = wall, steady
        self._seen: dict[str, Seen] = {}  # by interface

    def corrected(self, interface: str, state: TunnelState) -> TunnelState:
        """Return a state with its handshake on the present clock; 0.0 where nobody can tell when it was."""
        now, told, before = self._steady(), state.latest_handshake, self._seen.get(interface)
        happened = self._happened(now, told, before)
        self._seen[interface] = Seen(told, happened, now)
        # Never in the future: a session would last until the clock has caught up.
        latest = 0.0 if happened is None else self._wall() - (now - happened)
        return replace(state, latest_handshake=latest)

    def _happened(self, now: float, told: float, before: Seen | None) -> float | None:
        """Return when a handshake was on the steady clock."""
        if not told:
            return None
        age = self._wall() - told
        if before is not None and before.told != told:
            # It came since the latest look, whatever its stamp says.
            return now - min(max(age, 0.0), now - before.looked)
        if before is not None and before.happened is not None:
            return before.happened
        return now - max(age, 0.0) if age > -STEP else None
