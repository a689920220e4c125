"""Whether the speaker of a neighbour is there: while its daemon is away its kernel forwards, and nobody answers."""

# Implementation constants: seconds, unless said otherwise
ASKED_AGAIN = 0.08  # after the last time, at least
ASKED_ENOUGH = 3  # times, before its silence says anything: questions and answers are lost
SILENCE = 0.12  # after the last of these times, at least
UNMEASURED_SILENCE = 0.5  # where its round trip is not known
BESIDE_ROUND_TRIPS, ROUND_TRIPS = 0.05, 2.0  # and this beside so many of it


class Presence:
    """When a neighbour spoke, and how often it was asked since whether it is there; times in monotonic seconds."""

    __slots__ = ("_asked", "_enough", "_since", "_times", "spoke")

    def __init__(self) -> None:
        self.spoke = 0.0  # when its last packet came
        self._since = 0.0  # when it was asked for the first time that was not followed by a packet
        self._asked = 0.0  # when it was asked last
        self._times = 0  # how often since
        self._enough = 0.0  # when that was often enough

    def is_to_be_asked(self, now: float) -> bool:
        """Return whether to ask now, which is noted; an answer to a question of a moment ago may be on its way."""
        if now < self._asked + ASKED_AGAIN:
            return False
        if self.spoke >= self._since:
            self._since, self._times = now, 0
        self._asked = now
        self._times += 1
        if self._times == ASKED_ENOUGH:
            self._enough = now
        return True

    def is_silent(self, round_trip: float | None, busy: float, now: float) -> bool:
        """Return whether it has said nothing at all for longer than an answer takes.

        That is known from the round trip in seconds, and how long it is `busy` with what all ask for.
        """
        if self.spoke >= self._since or self._times < ASKED_ENOUGH:
            return False
        measured = UNMEASURED_SILENCE if round_trip is None else BESIDE_ROUND_TRIPS + ROUND_TRIPS * round_trip
        return now >= self._enough + max(SILENCE, measured) + busy
