"""The timers of a peer and the values they run with."""

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class TimerValues:
    """Durations in seconds; the defaults are the protocol's, others are for tests."""

    rekey_after_time: float = 120.0
    reject_after_time: float = 180.0
    rekey_attempt_time: float = 90.0
    rekey_timeout: float = 5.0
    rekey_jitter: float = 0.333
    keepalive_timeout: float = 10.0
    nudge_interval: float = inf  # not of the protocol: who knows nudges sets it

    @property
    def attempts(self) -> int:
        """Return how many times an initiation is repeated."""
        return int(self.rekey_attempt_time / self.rekey_timeout)

    @property
    def last_minute(self) -> float:
        """Return the age at which an initiator that only receives renews its session."""
        return self.reject_after_time - self.keepalive_timeout - self.rekey_timeout

    @property
    def zero_keys_after(self) -> float:
        """Return the age at which unused keys are erased."""
        return 3 * self.reject_after_time


PROTOCOL_VALUES = TimerValues()


class Timers:
    """When each thing is due, in seconds; infinity is never."""

    __slots__ = (
        "keepalive",
        "new_handshake",
        "nudge",
        "persistent_keepalive",
        "retransmit",
        "zero_keys",
    )

    def __init__(self) -> None:
        self.nudge = inf  # the initiation was not answered, and there never was a session
        self.retransmit = inf  # the initiation was not answered
        self.keepalive = inf  # we received and had nothing to send
        self.new_handshake = inf  # we sent and heard nothing
        self.zero_keys = inf  # the keys are too old for anything
        self.persistent_keepalive = inf  # the path must be kept open

    def earliest(self) -> float:
        """Return when the next of them is due."""
        return min(
            self.nudge,
            self.retransmit,
            self.keepalive,
            self.new_handshake,
            self.zero_keys,
            self.persistent_keepalive,
        )
