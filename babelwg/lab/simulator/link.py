"""Links of the simulator: they delay, jitter, lose, and fall silent."""

from dataclasses import dataclass
from random import Random


@dataclass(slots=True)
class SimLink:
    """A point-to-point link, the same in both directions; times in seconds."""

    a: str
    b: str
    cost: int
    delay: float
    jitter: float
    loss: float
    up: bool = True

    def other(self, name: str) -> str:
        """Return the node at the other end."""
        return self.b if name == self.a else self.a

    def transit(self, rng: Random) -> float | None:
        """Return how long a datagram takes, or None when it is lost."""
        if not self.up or (self.loss and rng.random() < self.loss):
            return None
        return self.delay + rng.uniform(0.0, self.jitter)
