"""Links of the simulator: they delay, jitter, lose, and fall silent."""

from dataclasses import dataclass
from random import Random


@dataclass(slots=True)
class SimLink:
    """A point-to-point link, the same in both directions apart from who is silent; times in seconds."""

    a: str
    b: str
    cost: int
    delay: float
    jitter: float
    loss: float
    silent: frozenset[str] = frozenset()  # the ends whose datagrams are lost
    dead: bool = False  # the data plane of an end does not run

    @property
    def up(self) -> bool:
        """Whether datagrams go both ways."""
        return not self.silent and not self.dead

    def carries(self, sender: str) -> bool:
        """Return whether anything comes through from one end."""
        return sender not in self.silent and not self.dead

    def other(self, name: str) -> str:
        """Return the node at the other end."""
        return self.b if name == self.a else self.a

    def transit(self, sender: str, rng: Random) -> float | None:
        """Return how long a datagram takes, or None when it is lost."""
        if not self.carries(sender) or (self.loss and rng.random() < self.loss):
            return None
        return self.delay + rng.uniform(0.0, self.jitter)
