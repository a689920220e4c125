"""One watched link: what its interface has counted, less what is ours, and its detector."""

import math
from dataclasses import dataclass

from babelwg.daemon.linkwatch.detector import LinkDetector, State
from babelwg.linux.linkstats import Packets


@dataclass(frozen=True, slots=True)
class Place:
    """Where a link is: its interface with its index, both packed addresses, and the Hello interval in seconds."""

    interface: str
    index: int
    ours: bytes
    neighbour: bytes
    hello_interval: float = 4.0


@dataclass(slots=True)
class _Direction:
    """Packets of users one way: all that the kernel counted, less ours; the most ever seen."""

    total: int
    users: int

    def look(self, total: int, own: int) -> tuple[int, int]:
        """Return how many packets came since the last look, and how many of users."""
        every = max(0, total - self.total)
        # A packet that the kernel has counted and we have not yet read must not count as a user's at each look.
        users = max(0, total - own - self.users)
        self.total, self.users = total, self.users + users
        return every, users

    def settle(self, own: int) -> None:
        """Take all that was counted until now, less ours, for what there was of users."""
        self.users = self.total - own


class WatchedLink:
    """Turns counters of an interface into what its detector wants to know."""

    def __init__(self, place: Place, packets: Packets, own: Packets, detector: LinkDetector) -> None:
        self.place = place
        self.detector = detector
        self.hinted = -math.inf  # when a hint about it was last heeded
        self._received = _Direction(packets.received, packets.received - own.received)
        self._sent = _Direction(packets.sent, packets.sent - own.sent)

    @property
    def key(self) -> tuple[str, bytes]:
        """The interface and the neighbour's packed address."""
        return self.place.interface, self.place.neighbour

    def is_at(self, place: Place) -> bool:
        """Return whether a place is this link's, with the same neighbour: what another one answers is not known."""
        return (place.index, place.neighbour) == (self.place.index, self.place.neighbour)

    def look(self, packets: Packets, own: Packets, now: float) -> bool:
        """Tell the detector what was carried since the last look; return whether packets of users were."""
        received, incoming = self._received.look(packets.received, own.received)
        _, outgoing = self._sent.look(packets.sent, own.sent)
        if self.detector.state is State.DEAD:
            # What we send is dropped and not counted; as many packets of users would go unseen later.
            self._received.settle(own.received)
            self._sent.settle(own.sent)
        self.detector.look(received, incoming, outgoing, now)
        return bool(incoming or outgoing)
