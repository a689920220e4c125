"""What others did behind our back and was mended at once: kept for a while, so that somebody can still be told."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal[
    "address-lost",
    "clock-set-back",
    "data-plane-lost",
    "interface-lost",
    "interface-renamed",
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


# What the services of a node take note of: the kind of incident, and the field that names its subject
HEARD: dict[str, tuple[Kind, str]] = {
    "data-plane-lost": ("data-plane-lost", ""),
    "routes-removed-by-another": ("route-lost", ""),
    "rule-removed-by-another": ("rule-lost", "rule"),
    "sysctl-changed-by-another": ("sysctl-changed", "setting"),
    "tunnel-changed-by-another": ("tunnel-changed", "peer"),
    "tunnel-lost-its-address": ("address-lost", "peer"),
    "tunnel-renamed": ("interface-renamed", "peer"),
    "tunnel-vanished": ("interface-lost", "peer"),
}


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

    def hear(self, event: str, fields: Mapping[str, Any]) -> None:
        """Take in what a service took note of, where that is an incident."""
        if event in HEARD:
            kind, subject = HEARD[event]
            count = fields.get("count", 1) if kind == "route-lost" else 1
            self.note(kind, str(fields.get(subject, "node")), times=count)

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
