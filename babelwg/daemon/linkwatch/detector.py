"""One link: suspected when packets cease, probed, found dead, tried again. No clock and no socket of its own.

RFC 8966 leaves the sensing of a link open (section 3.4). Hellos say in seconds what packets of users say in
milliseconds: a link that carried some and falls silent is asked, and one that does not answer is dead.
"""

import math
from collections.abc import Callable
from enum import Enum

from babelwg.daemon.linkwatch.bounds import Bounds
from babelwg.daemon.linkwatch.roundtrip import RoundTripEstimate

# Implementation constants: seconds, unless said otherwise
ACTIVE = 1.0  # after the last packet of users, a link is in use
HINTED = 10.0  # after the last packet of users, a hint from elsewhere counts
SAMPLE_INTERVAL = 0.25  # between two probes of a link in use that only measure
INTRODUCTIONS, INTRODUCTION_INTERVAL = 5, 1.0  # probes of a new link, until one shows that they are answered
LATE_INTRODUCTION = 5.0  # between two more while it is in use: it may have been dead when it was new
SHORTEST_PROBE_INTERVAL = 0.005
MARGIN = 0.01  # for an answer, beyond its round trip
GAP_WEIGHT, LOSS_WEIGHT = 0.25, 0.05  # of a new sample
SAME_MOMENT = 0.001
STALL_HALF_LIFE = 10.0  # of the longest silence that was none
STALL_LIMIT = 0.8
STALL_PATIENCE = (
    0.5  # at most for such silences, so that traffic finds another way within a second all the same
)
SLOW_HALF_LIFE = 120.0  # of how long answers took that came after the verdict
SLOW_MARGIN = 1.25
SLOW_STEADY = 60.0  # after which such a verdict, where patience cannot help, is the only one
MUTE = 2.0  # of probes without an answer while packets come, beyond what answers take, until it is asked in earnest
BLIND = 60.0  # after which a neighbour that answers no probe is asked again
QUICK_RETRY, QUICK_FOR = 0.1, 2.0  # the first probes of a dead link: it may have been a false alarm
RECENT_RETRY, RECENT_FOR = 0.5, 60.0  # one that died lately is used again within a second of its return
SLOW_RETRY, SLOW_FOR = 1.0, 600.0  # and another one within two
TRIAL_INTERVAL, TRIAL_ANSWERS, TRIAL_LIMIT = 0.04, 5, 1.0  # how a link proves that it lives again
# A link that fails so soon after it was used again is unstable, and stays unused for ever longer.
UNSTABLE, LONGEST_HOLD = 1.0, 64.0


class Action(Enum):
    """What the shell shall do now."""

    PROBE = "probe"
    FAIL = "fail"
    RESTORE = "restore"


class State(Enum):
    """What is thought of a link."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    DEAD = "dead"


class LinkDetector:
    """Is told what a link carried, and tells when to probe it, to give it up and to use it again."""

    def __init__(
        self,
        bounds: Bounds,
        now: float,
        hello_interval: float = 4.0,
        is_alone: Callable[[], bool] = lambda: False,
        is_needed: Callable[[], bool] = lambda: False,
    ) -> None:
        """Watch from now on; a link dead for long is tried once in a `hello_interval`, in seconds.

        `is_alone` tells whether nothing could be done with the news of a dead link, `is_needed` whether a dead one
        would be used at once: nothing else leads to where it leads.
        """
        self.bounds = bounds
        self.state = State.ALIVE
        self.since = now  # of the state
        self.answers = False  # whether the neighbour ever answered a probe
        self.echoes = False  # whether it was its kernel that did so last
        self.round_trip = RoundTripEstimate()
        self.loss = 0.0  # the share of probes that stay without an answer
        self.late = 0.0  # by how much we ourselves were late lately
        self.hello_interval = hello_interval
        self._is_alone, self._is_needed = is_alone, is_needed
        self._alone = False  # in this suspicion
        self._stall = (0.0, now)  # a silence that ended by itself, in seconds, and when
        self._slow = (0.0, now)  # how long answers took that came after the verdict, in seconds, and when
        self._was_slow = (
            False  # whether it was last found dead for answers that take longer than any patience
        )
        self._heard = now
        self._used = -math.inf  # when packets of users were last seen
        self._pending = False  # whether something was carried since the link last proved to live
        self._outstanding: list[float] = []  # when the probes left that are not answered yet
        self._mute_since = now  # the last answer, or the first probe after a pause
        self.one_way = False  # whether the link is suspected, or was found dead, though packets come
        self._gap = bounds.silence / 3
        self._sent = 0  # probes of this suspicion, or of this trial
        self._probed = -math.inf
        self._hasty = False  # whether the next probe leaves at once
        self._blind_until = -math.inf
        self._introductions = INTRODUCTIONS
        self._trial: float | None = None  # since when a dead link answers
        self._proven = -math.inf  # what left earlier may have waited while the link was dead
        self._trial_answers = 0
        self.verdict = ""  # why the link was last found dead
        self.hold = 0.0  # seconds for which a link that fails again and again stays unused
        self._was_seen = False  # whether it was not for silence that the link was found dead
        self._was_short = False  # whether it was dead for so short that it was perhaps only silent
        self._restored = -math.inf

    def is_active(self, now: float) -> bool:
        """Return whether the link has to be looked at often."""
        return self.state is State.SUSPECT or now < self._used + ACTIVE

    def look(self, received: int, incoming: int, outgoing: int, now: float) -> None:
        """Take in how many packets came since the last look, and how many packets of users came and went."""
        if received and not self.one_way:
            self._clear(now)
            self._hasty = self.state is State.DEAD
        if incoming:
            gap = min((now - self._heard) / incoming, ACTIVE)
            self._gap += GAP_WEIGHT * (gap - self._gap)
        if received:
            self._heard = now
        if incoming or outgoing:
            self._used, self._pending = now, True

    def suspect(self, now: float, idle: bool = False) -> bool:
        """Take a hint from elsewhere: ask at once whether a link that was lately in use lives, or an `idle` one too.

        Return whether it is asked.
        """
        is_of_use = idle or now < self._used + HINTED
        if self.state is not State.ALIVE or now < self._blind_until or not is_of_use:
            return False
        self._become(State.SUSPECT, now)
        return True

    def presume(self, now: float) -> None:
        """Ask at once on a link that answered in an earlier life: it may have died since."""
        self.answers = True
        self.suspect(now, idle=True)

    def overrule(self, now: float) -> None:
        """Take a dead link for a living one because its Hellos come; its probes say nothing until one is answered."""
        if self.state is State.DEAD:
            self.answers, self._restored = False, now
            self._become(State.ALIVE, now)

    def give_up(self, why: str, now: float) -> None:
        """Take the link for dead because something else shows it, for a reason in words."""
        self.verdict, self.hold, self._was_seen, self.one_way = why, 0.0, True, False
        self._become(State.DEAD, now)

    def answered(self, rtt: float, now: float, echoed: bool = True) -> None:
        """Take in the answer to a probe and after how many seconds it came, from a kernel or (not `echoed`) Babel."""
        self.answers, self._blind_until = True, -math.inf
        if self.state is not State.DEAD:
            self.echoes = echoed or (self.echoes and not self.in_doubt)
        self._note_losses(now - rtt)
        self._mute_since = now
        self._clear(now)
        if self.state is State.DEAD:
            self._try(now - rtt, now)
        if now - rtt >= self._proven:
            self.round_trip.add(rtt, now)
        self._heard, self._pending = now, False

    def _try(self, left: float, now: float) -> None:
        """Count the answer to a probe of a dead link; where that left before the verdict, the verdict was wrong."""
        if self._trial is None:
            self._trial, self._trial_answers = now, 0
            self._proven = now
        self._trial_answers += 1
        is_late = left <= self.since and now - left <= self.bounds.longest_patience
        if is_late and not (self._was_seen or self.one_way):
            self._proven = left
            self._slow = max(now - left, self._decayed(self._slow, SLOW_HALF_LIFE, now)), now
            self._was_slow = now - left > STALL_PATIENCE
            self._trial_answers = TRIAL_ANSWERS

    def step(self, now: float) -> Action | None:
        """Return what is to be done now; to be called until there is nothing."""
        if self.state is State.DEAD:
            return self._step_dead(now)
        if self.state is State.ALIVE:
            if self._is_silent(now):
                self._become(State.SUSPECT, now)
            elif self._wants_sample(now):
                return self._probe(now)
            elif self._is_mute(now):
                self._become(State.SUSPECT, now)
                self.one_way = self._alone = True
            elif self._introduces(now):
                self._introductions = max(0, self._introductions - 1)
                return self._probe(now)
            else:
                return None
        return self._step_suspect(now)

    def deadline(self, now: float) -> float:
        """Return when the next `step` is due."""
        if self.state is State.SUSPECT:
            due = self._probed + self._probe_interval if self._sent < self.needed else self._verdict_at
        elif self.state is State.DEAD:
            due = self._probed + self._retry_interval(now)
        elif self._pending and now < self._used + ACTIVE:
            due = max(self._heard + self._silence, self._blind_until)
        else:
            due = self._probed + INTRODUCTION_INTERVAL if self._wants_introduction else math.inf
        return due

    @property
    def patience(self) -> float:
        """Seconds from the suspicion to the verdict: some round trips and their jitter, and what we were late."""
        bounds = self.bounds
        least = bounds.lone_patience if self._alone or self._is_presumed else bounds.patience
        slow = SLOW_MARGIN * self._decayed(self._slow, SLOW_HALF_LIFE, self.since)
        remembered = max(slow, 2 * self._stalled(self.since))
        wanted = max(least, self.round_trip.patience, min(remembered, STALL_PATIENCE))
        return min(wanted + 2 * self.late, bounds.longest_patience)

    @property
    def needed(self) -> int:
        """How many probes in a row have to stay without an answer."""
        bounds = self.bounds
        loss = min(max(self.loss, 1e-6), 0.9)
        wanted = math.ceil(math.log(bounds.false_alarm) / math.log(loss))
        return bounds.most_probes if self._alone else min(max(bounds.probes, wanted), bounds.most_probes)

    @property
    def in_doubt(self) -> bool:
        """Whether so many probes of a suspicion are without an answer that others should be tried beside them."""
        return self.state is State.SUSPECT and self._sent > self.needed // 2

    @property
    def _is_presumed(self) -> bool:
        """Whether it is only from an earlier life that we know of answers, and not how long they take."""
        return self.answers and not self.round_trip.is_known

    @property
    def _wants_introduction(self) -> bool:
        return (not self.answers or self._is_presumed) and self._introductions > 0

    @property
    def _silence(self) -> float:
        return min(max(self.bounds.silence, 3 * self._gap), self.bounds.longest_silence)

    @property
    def _probe_interval(self) -> float:
        estimate = self.round_trip
        room = self.patience - min(estimate.smoothed + 2 * estimate.variation, estimate.slowest)
        return max(SHORTEST_PROBE_INTERVAL, room / self.needed)

    @property
    def _verdict_at(self) -> float:
        slowest = self.round_trip.slowest + MARGIN + self.late
        return max(self.since + self.patience, self._probed + slowest)

    def _is_silent(self, now: float) -> bool:
        is_used = self._pending and now < self._used + ACTIVE
        return is_used and now >= self._heard + self._silence and now >= self._blind_until

    def _is_mute(self, now: float) -> bool:
        """Return whether packets come on a link, but no answers: ours may get lost on their way.

        A daemon that is away answers nothing, so only a kernel is judged by that.
        """
        is_asked = self.echoes and now < self._used + ACTIVE
        if not is_asked or now < self._mute_since + MUTE + self.round_trip.patience:
            return False
        self._mute_since = now  # where it is alone, it is looked at again after as long
        return not self._is_alone()

    def _introduces(self, now: float) -> bool:
        if self._wants_introduction:
            return now >= self._probed + INTRODUCTION_INTERVAL
        return not self.answers and now < self._used + ACTIVE and now >= self._probed + LATE_INTRODUCTION

    def _wants_sample(self, now: float) -> bool:
        return now < self._used + ACTIVE and now >= max(self._probed + SAMPLE_INTERVAL, self._blind_until)

    def _step_suspect(self, now: float) -> Action | None:
        if self._sent < self.needed:
            return self._probe(now) if now >= self._probed + self._probe_interval else None
        if now < self._verdict_at:
            return None
        if not self.answers:
            # Its firewall may be what is silent; there the Hellos have to tell.
            self._blind_until = now + BLIND
            self._become(State.ALIVE, now)
            return None
        if not self._alone and self._is_alone():
            self._alone = True
            return self._step_suspect(now)
        self.verdict = self._reason(now)
        # Where one short silence follows another, so will the next; and it takes seconds to see that no answers come.
        steady = STALL_HALF_LIFE if self._was_short or self.hold or self.one_way else UNSTABLE
        steady = SLOW_STEADY if self._was_slow else steady
        is_unstable = now < self._restored + max(steady, 2 * self.hold)
        self.hold = min(max(1.0, 2 * self.hold), LONGEST_HOLD) if is_unstable else 0.0
        self._was_seen = self._was_slow = False
        self._become(State.DEAD, now)
        return Action.FAIL

    def _reason(self, now: float) -> str:
        """Return why the link is found dead, and what made us wait for long, where something did."""
        causes = []
        if self.round_trip.slowest > self.bounds.patience:
            causes.append(f"others took up to {round(1000 * self.round_trip.slowest)} ms")
        if self.late > MARGIN:
            causes.append(f"we were {round(1000 * self.late)} ms late")
        why = f" ({', '.join(causes)})" if causes else ""
        although = ", though packets came" if self.one_way else ""
        return (
            f"{self._sent} probes in {round(1000 * (now - self.since))} ms were not answered{why}{although}"
        )

    def _step_dead(self, now: float) -> Action | None:
        if self._trial is not None:
            if self._trial_answers >= TRIAL_ANSWERS:
                self._trial = None
                if now >= self.since + self.hold or self._is_needed():
                    self._restored = now
                    silence = now - self.since
                    self._was_short = not self._was_seen and silence < STALL_LIMIT
                    if self._was_short:
                        self._stall = silence, now  # it was away so shortly that perhaps it was not away
                    self._become(State.ALIVE, now)
                    return Action.RESTORE
            elif now > self._trial + TRIAL_LIMIT:
                self._trial = None
        if now >= self._probed + self._retry_interval(now):
            self._hasty = False
            return self._probe(now)
        return None

    def _retry_interval(self, now: float) -> float:
        if self._trial is not None or self._hasty:
            return TRIAL_INTERVAL
        if now < self.since + QUICK_FOR:
            return QUICK_RETRY
        if now < self.since + RECENT_FOR:
            return RECENT_RETRY
        is_slow = self.one_way or now < self.since + SLOW_FOR
        return SLOW_RETRY if is_slow else max(SLOW_RETRY, self.hello_interval)

    def _probe(self, now: float) -> Action:
        if now > max([self._mute_since, *self._outstanding[-1:]]) + ACTIVE:
            self._mute_since = now
        self._probed = now
        self._sent += 1
        self._outstanding = [*self._outstanding[1 - self.bounds.most_probes :], now]
        return Action.PROBE

    def _note_losses(self, answered: float) -> None:
        """Count the probes that left before the answered one as lost, and that one as not."""
        # A probe leaves a little after it was noted, on a slow machine many milliseconds.
        gone = [left for left in self._outstanding if left <= answered + SAME_MOMENT]
        self._outstanding = self._outstanding[len(gone) :]
        for number, _ in enumerate(gone, 1):
            is_lost = number < len(gone) and self.state is not State.DEAD
            self.loss += LOSS_WEIGHT * (is_lost - self.loss)

    def _clear(self, now: float) -> None:
        """End a suspicion, and remember how long a silence was that meant nothing."""
        if self.state is State.SUSPECT:
            if not self.one_way:
                silence = min(now - self.since, STALL_LIMIT)
                self._stall = max(self._stalled(now), silence), now
            self._become(State.ALIVE, now)

    def _stalled(self, now: float) -> float:
        return self._decayed(self._stall, STALL_HALF_LIFE, now)

    @staticmethod
    def _decayed(found: tuple[float, float], half_life: float, now: float) -> float:
        """Return what is left of something that was found at some time."""
        longest, since = found
        return longest * math.exp2(-max(0.0, now - since) / half_life)

    def _become(self, state: State, now: float) -> None:
        self.state, self.since = state, now
        self._sent, self._trial = 0, None
        self._hasty = self._alone = False
        self.one_way = self.one_way and state is State.DEAD
        if state is State.SUSPECT:
            self._probed = -math.inf
        elif state is State.DEAD:
            self._outstanding = []
            self.echoes = False
        else:
            self._heard, self._pending = now, False
