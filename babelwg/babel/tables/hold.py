"""Lost prefixes that stay unreachable, and awaited acknowledgments (RFC 8966, sections 3.3 and 3.5.4)."""

from babelwg.babel.tables.interface import Interface
from babelwg.babel.tables.neighbour import Neighbour
from babelwg.babel.timers import Timer
from babelwg.babel.wire.prefix import Prefix


class Hold:
    """A retracted prefix, and the neighbours that may still send packets for it to us."""

    __slots__ = ("prefix", "since", "timer", "waiting")

    def __init__(self, prefix: Prefix, waiting: dict[Neighbour, None], timer: Timer, now: float) -> None:
        self.prefix = prefix
        self.waiting = waiting
        self.timer = timer
        self.since = now


class PendingAcknowledgment:
    """Urgent updates of one packet whose reception is not yet confirmed by all."""

    __slots__ = ("interface", "retracted", "timer", "updates", "waiting")

    def __init__(
        self,
        interface: Interface,
        waiting: dict[Neighbour, None],
        updates: dict[Prefix, int],
        retracted: tuple[Prefix, ...],
        timer: Timer,
    ) -> None:
        self.interface = interface
        self.waiting = waiting
        self.updates = updates  # with the number of the copy
        self.retracted = retracted  # those of the updates that were retractions when they left
        self.timer = timer
