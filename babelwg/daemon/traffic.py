"""Which interfaces carry packets of users: what the kernel counts, less our own datagrams."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

COUNTERS = Path("/proc/net/dev")
INTERVAL = 1.0  # seconds between two looks
RX_PACKETS, TX_PACKETS = 1, 9  # fields after the name
# A datagram that the kernel has counted and we have not yet read must not be traffic at the next look.
MEMORY = 2  # looks


class Routing(Protocol):
    """What a watch looks at and tells."""

    def own_datagrams(self) -> Mapping[str, int]: ...
    def note_traffic(self, interfaces: list[str]) -> None: ...


class TrafficWatch:
    """Compares each look with the ones before it."""

    def __init__(self) -> None:
        self._seen: dict[str, list[int]] = {}

    def look(self, packets: Mapping[str, int], own: Mapping[str, int]) -> list[str]:
        """Return the interfaces of `own` that carried others' packets since the last look."""
        busy = []
        seen = {name: packets[name] - own[name] for name in own.keys() & packets.keys()}
        for name, others in sorted(seen.items()):
            before = self._seen.get(name)
            if before is not None and others > max(before):
                busy.append(name)
        self._seen = {n: [*self._seen.get(n, []), others][-MEMORY:] for n, others in seen.items()}
        return busy


def read_packets(path: Path = COUNTERS) -> dict[str, int]:
    """Return how many packets each interface has received and sent."""
    packets = {}
    for line in path.read_text().splitlines()[2:]:
        name, _, values = line.partition(":")
        fields = values.split()
        packets[name.strip()] = int(fields[RX_PACKETS]) + int(fields[TX_PACKETS])
    return packets


async def watch_traffic(routing: Routing) -> None:
    """Tell routing every second where packets of users flow."""
    watch = TrafficWatch()
    while True:
        await asyncio.sleep(INTERVAL)
        if own := routing.own_datagrams():
            routing.note_traffic(watch.look(read_packets(), own))
