"""How much one neighbour may have us do: so much at once, and so much a second after that."""


class Allowance:
    """A token bucket."""

    __slots__ = ("_counted", "_spent")

    def __init__(self) -> None:
        self._spent = 0.0  # of the burst, when last counted
        self._counted = 0.0

    def spend(self, amount: float, burst: float, rate: float, now: float) -> bool:
        """Return whether `amount` is left, and take it; what is spent grows back with `rate` a second.

        More than the burst is there for one who has spent nothing, or it never would be.
        """
        self._spent = max(0.0, self._spent - (now - self._counted) * rate)
        self._counted = now
        if self._spent and self._spent + amount > burst:
            return False
        self._spent += amount
        return True
