"""What is known of a neighbour that has to prove itself: counters, index and challenge (RFC 8967, section 3.2)."""

from collections.abc import Callable

from babelwg.babel.tables.outbox import Outbox

# Specification constants
WINDOW = 128  # packet counters, RFC 9467 §3.2
MAX_COUNTER = 0xFFFFFFFF


_FULL = (1 << WINDOW) - 1


class CounterWindow:
    """The packet counters of one class of packets that were seen lately (RFC 9467, section 3.2)."""

    __slots__ = ("_highest", "_seen")

    def __init__(self, counter: int) -> None:
        """Begin with a counter that a challenge has proven."""
        self._highest = counter
        # Bit n stands for the counter n below the highest.
        # Departs from RFC 9467 §3.2: what lies below a proven counter counts as seen, because the window would admit
        # up to 127 packets that were recorded before we knew the neighbour.
        self._seen = _FULL

    def admit(self, counter: int) -> bool:
        """Take note of a counter; return False when it was seen before or lies below the window."""
        ahead = counter - self._highest
        if ahead > 0:
            self._seen = ((self._seen << ahead) | 1) & _FULL if ahead < WINDOW else 1
            self._highest = counter
            return True
        bit = 1 << -ahead
        if -ahead >= WINDOW or self._seen & bit:
            return False
        self._seen |= bit
        return True


class Association:
    """One neighbour's index and counters, our challenge to it, and what we owe it; times in seconds."""

    __slots__ = (
        "challenged",
        "index",
        "last_accepted",
        "multicast",
        "nonce",
        "nonce_expires",
        "outbox",
        "replied",
        "unicast",
    )

    def __init__(self, address: bytes, action: Callable[[float], None], now: float) -> None:
        self.index: bytes | None = None
        # Unicast and multicast packets overtake each other, so each class has its own (RFC 9467, section 3.1).
        self.multicast = CounterWindow(0)
        self.unicast = CounterWindow(0)
        self.nonce: bytes | None = None
        self.nonce_expires = now
        self.challenged = float("-inf")
        self.replied = float("-inf")
        self.last_accepted = now
        self.outbox = Outbox(address, action)

    def prove(self, index: bytes, counter: int, now: float) -> None:
        """Believe an index and counter from now on, whatever was known before."""
        self.index = index
        self.multicast, self.unicast = CounterWindow(counter), CounterWindow(counter)
        self.nonce = None
        self.last_accepted = now

    def forget(self) -> None:
        """Believe nothing without a challenge."""
        self.index = None
