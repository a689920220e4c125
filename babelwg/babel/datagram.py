"""A UDP datagram as cores and shells exchange it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Datagram:
    """Octets between two (packed address, port) pairs; `received` in monotonic seconds."""

    data: bytes
    source: tuple[bytes, int]
    destination: tuple[bytes, int]
    interface: str
    received: float
