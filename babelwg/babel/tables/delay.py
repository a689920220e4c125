"""What is known of the delay of a link, and when it is measured (RFC 9616, section 3.1)."""

from collections.abc import Callable

from babelwg.babel.timers import Timer


class RoundTrip:
    """The delay to one neighbour and back; stamps are microseconds modulo 2^32."""

    __slots__ = ("origin", "penalty", "received", "rtt", "sampled", "samples", "since", "timer")

    def __init__(self, action: Callable[[float], None]) -> None:
        self.origin: int | None = None  # the neighbour's clock when its latest Hello left
        self.received: int | None = None  # our clock when that Hello came
        self.since = float("-inf")  # when the link came up last; what was sent before may have waited for it
        self.timer = Timer(action)  # for a delay that is not measured any more
        self.forget()

    def forget(self) -> None:
        """Forget what was measured."""
        self.rtt: float | None = None  # seconds, smoothed
        self.sampled = 0.0  # when the latest sample was taken
        self.samples = 0
        self.penalty = 0  # what the delay adds to the cost


class Probing:
    """The Hellos out of turn on one interface, by which both ends measure the delay; times in seconds."""

    __slots__ = ("answered", "sent", "timer", "traffic_until", "unanswered")

    def __init__(self, action: Callable[[float], None]) -> None:
        self.timer = Timer(action)
        self.traffic_until = float("-inf")
        self.sent = float("-inf")  # when the latest probe left
        self.answered = float("-inf")  # when a probe of a neighbour was last answered
        self.unanswered = 0  # probes since a neighbour last sent one
