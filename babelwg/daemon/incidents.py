"""What others did behind our back and was mended at once: kept for a while, so that somebody can still be told."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "address-lost",
    "clock-set-back",
    "data-plane-lost",
    "interface-lost",
    "route-lost",
    "rule-lost",
    "seqno-behind",
    "sysctl-changed",
    "tunnel-changed",
]

# Implementation constants
LATELY = 900.0  # seconds for which an incident is told
MAX_INCIDENTS = 64


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that happened to a subject so many times; `last` in seconds of the steady clock."""

    kind: Kind
    subject: str
    times: int
    last: float
    detail: str


class Incidents:
    """The incidents of the last minutes, one for each kind and subject; the oldest gives way to a new one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._found: dict[tuple[Kind, str], Incident] = {}
        self._counters: dict[Kind, int] = {}

    def note(self, kind: Kind, subject: str, detail: str = "", times: int = 1) -> None:
        """Take note of something that has just happened."""
        before = self._found.pop((kind, subject), None)
        if len(self._found) >= MAX_INCIDENTS:
            del self._found[next(iter(self._found))]
        now = self._clock()
        told = before.times if before and now - before.last < LATELY else 0
        self._found[kind, subject] = Incident(kind, subject, told + times, now, detail)

    def observe(self, kind: Kind, subject: str, counter: int) -> None:
        """Take note of a counter, which is an incident whenever it has grown."""
        grown = counter - self._counters.get(kind, 0)
        self._counters[kind] = counter
        if grown > 0:
            self.note(kind, subject, times=grown)

    def lately(self, kind: Kind) -> list[Incident]:
        """Return the incidents of a kind that are not long ago, the latest last."""
        now = self._clock()
        return [i for i in self._found.values() if i.kind == kind and now - i.last < LATELY]

    def age(self, incident: Incident) -> float:
        """Return how many seconds ago something happened last."""
        return self._clock() - incident.last
