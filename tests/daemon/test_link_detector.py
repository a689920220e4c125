"""The link detector against a simulated link in virtual time."""

import re
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from itertools import pairwise
from random import Random

import pytest

from babelwg.daemon.linkwatch.bounds import Bounds
from babelwg.daemon.linkwatch.detector import Action, LinkDetector, State


@dataclass
class Link:
    """Both ends of a link watched by a detector each; user packets and probes are lost like each other."""

    delay: float = 0.001
    jitter: float = 0.0
    loss: float = 0.0
    interval: float = 0.01  # between two packets of users from the first end
    replies: bool = True
    back: float = 0.0  # seconds between two packets from the other end that answer nothing; 0.0 for none
    answering: bool = True
    tick: float = 0.015  # seconds between two looks at a link in use
    rng: Random = field(default_factory=lambda: Random(1))

    def __post_init__(self) -> None:
        self.now = 0.0
        self.up = True
        self.mute: int | None = None  # the end of which nothing arrives
        self.ends = [LinkDetector(Bounds(), 0.0) for _ in range(2)]
        self.seen = [[0, 0, 0], [0, 0, 0]]  # received, incoming, outgoing since the last look
        self.log: list[tuple[float, int, Action]] = []
        self.probes = [0, 0]
        self._heap: list[tuple[float, int, object]] = []
        self._count = 0
        if self.interval:
            self._at(0.0, self._talk)
        if self.back:
            self._at(0.0, self._talk_back)
        for end in range(2):
            self._at(self.tick, lambda end=end: self._look(end))

    def _at(self, when: float, action: object) -> None:
        self._count += 1
        heappush(self._heap, (when, self._count, action))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self._heap[0][0] <= end:
            self.now, _, action = heappop(self._heap)
            action()  # type: ignore[operator]
        self.now = end

    def _cross(self, end: int, action: object) -> None:
        if self.up and end != self.mute and self.rng.random() >= self.loss:
            self._at(self.now + self.delay + self.rng.uniform(0, self.jitter), action)

    def _talk(self) -> None:
        self.seen[0][2] += 1
        self._cross(0, self._hear)
        self._at(self.now + self.interval, self._talk)

    def _hear(self) -> None:
        self.seen[1][0] += 1
        self.seen[1][1] += 1
        if self.replies:
            self.seen[1][2] += 1
            self._cross(1, self._hear_reply)

    def _talk_back(self) -> None:
        self.seen[1][2] += 1
        self._cross(1, self._hear_reply)
        self._at(self.now + self.back, self._talk_back)

    def _hear_reply(self) -> None:
        self.seen[0][0] += 1
        self.seen[0][1] += 1

    def _look(self, end: int) -> None:
        self._drive(end)
        self._at(self.now + self.tick, lambda: self._look(end))

    def _drive(self, end: int) -> None:
        detector = self.ends[end]
        detector.look(*self.seen[end], self.now)
        self.seen[end] = [0, 0, 0]
        while (action := detector.step(self.now)) is not None:
            self.log.append((self.now, end, action))
            if action is Action.PROBE:
                self.probes[end] += 1
                sent = self.now
                self._cross(end, partial(self._answer, end, sent))
        due = detector.deadline(self.now)
        assert due > self.now, "or the shell would never sleep"
        if due < self.now + self.tick:
            self._at(due, lambda: self._drive(end))

    def _answer(self, end: int, sent: float) -> None:
        self.seen[1 - end][0] += 1
        if self.answering:
            self._cross(1 - end, lambda: self._take(end, sent))

    def _take(self, end: int, sent: float) -> None:
        self.seen[end][0] += 1
        self.ends[end].answered(self.now - sent, self.now)
        self._drive(end)

    def verdicts(self, action: Action = Action.FAIL) -> list[tuple[float, int]]:
        return [(when, end) for when, end, what in self.log if what is action]


@pytest.mark.parametrize("delay", [0.0002, 0.001, 0.005, 0.01])
@pytest.mark.parametrize("replies", [True, False])
def test_a_silent_cut_is_found_within_a_fifth_of_a_second(delay: float, replies: bool) -> None:
    link = Link(delay=delay, replies=replies)
    link.run(3.0)
    assert not link.verdicts()
    link.up = False
    cut = link.now
    link.run(1.0)
    assert {end for _, end in link.verdicts()} == {0, 1}
    assert all(when - cut <= 0.22 for when, _ in link.verdicts())


@pytest.mark.parametrize(("replies", "interval"), [(True, 0.05), (False, 0.2)])
def test_no_false_alarm_in_an_hour_of_five_percent_loss(replies: bool, interval: float) -> None:
    link = Link(delay=0.01, jitter=0.005, loss=0.05, interval=interval, replies=replies, tick=0.05)
    link.run(3600.0)
    assert not link.verdicts()


def test_an_idle_link_is_not_probed() -> None:
    link = Link(interval=0.0, tick=0.5)
    link.run(3600.0)
    assert link.probes == [1, 1], "the ones by which they got to know each other"


def test_a_link_that_is_cut_with_the_first_packet_is_found_dead_too() -> None:
    link = Link(interval=0.0)
    link.run(3.0)
    link.interval = 0.01
    link._at(link.now, link._talk)
    link.up = False
    cut = link.now
    link.run(1.0)
    assert [end for _, end in link.verdicts()] == [0]
    assert link.verdicts()[0][0] - cut <= 0.25


def test_who_never_answers_is_asked_a_few_times_only() -> None:
    link = Link(interval=0.0, answering=False)
    link.run(3600.0)
    assert link.probes == [5, 5]


def test_a_flow_that_ends_costs_a_probe_or_two() -> None:
    link = Link()
    link.run(5.0)
    link.interval = 1e9
    link.run(1.1)
    before = list(link.probes)
    link.run(100.0)
    assert link.probes == before


def test_a_link_that_comes_back_proves_itself_and_is_used_again() -> None:
    link = Link()
    link.run(3.0)
    link.up = False
    link.run(20.0)
    link.up = True
    back = link.now
    link.run(5.0)
    restored = link.verdicts(Action.RESTORE)
    assert {end for _, end in restored} == {0, 1}
    assert all(when - back < 2.5 for when, _ in restored)
    assert all(detector.state is State.ALIVE for detector in link.ends)


def unused_after(life: float, times: int, is_needed: bool = False) -> list[float]:
    """Return for how long a link that lives for so many seconds each time stays unused after its returns."""
    link, unused = Link(), []
    link.ends[0]._is_needed = lambda: is_needed
    link.run(3.0)
    for _ in range(times):
        link.up = False
        link.run(1.0)
        link.up = True
        back = link.now
        while link.ends[0].state is not State.ALIVE:
            link.run(0.1)
        unused.append(link.now - back)
        link.run(life)
    return unused


def test_a_link_that_fails_again_and_again_is_left_alone_for_ever_longer() -> None:
    unused = unused_after(0.3, 10)
    assert unused[0] < 1.0
    assert 60.0 < unused[-1] < 70.0


def test_a_link_that_fails_again_and_again_is_used_at_once_where_nothing_else_leads() -> None:
    assert max(unused_after(0.3, 10, is_needed=True)) < 1.0


def test_an_unstable_link_is_used_again_as_soon_as_no_other_one_is_left() -> None:
    link = Link()
    detector = link.ends[0]
    detector.hold, detector._restored = 16.0, 3.0
    link.run(3.0)
    link.up = False
    link.run(1.0)
    assert (detector.state, detector.hold) == (State.DEAD, 32.0)
    link.up = True
    link.run(10.0)
    assert detector.state is State.DEAD
    detector._is_needed = lambda: True
    link.run(1.0)
    assert detector.state is State.ALIVE


def test_a_link_that_hellos_brought_back_and_that_fails_again_is_unstable_too() -> None:
    link = Link()
    link.run(3.0)
    link.up = False
    link.run(10.0)
    detector = link.ends[0]
    assert (detector.state, detector.hold) == (State.DEAD, 0.0)
    link.up = True
    detector.overrule(link.now)
    link.run(0.5)
    assert detector.state is State.ALIVE
    link.up = False
    link.run(1.0)
    assert (detector.state, detector.hold) == (State.DEAD, 1.0)


def test_a_link_that_stays_for_a_while_is_used_at_once_each_time() -> None:
    assert max(unused_after(2.0, 20)) < 1.0


def test_a_neighbour_that_answers_no_probe_is_not_given_up() -> None:
    link = Link(answering=False, replies=False)
    link.run(120.0)
    assert not link.verdicts()
    assert link.probes[0] < 50


def test_a_link_with_a_long_round_trip_has_the_time_it_needs() -> None:
    link = Link(delay=0.3, jitter=0.05)
    link.run(60.0)
    assert not link.verdicts()
    link.up = False
    cut = link.now
    link.run(10.0)
    assert all(1.0 < when - cut < 4.0 for when, _ in link.verdicts())
    assert len(link.verdicts()) == 2


def test_no_false_alarm_in_an_hour_where_round_trips_are_long_and_differ_by_a_multiple() -> None:
    link = Link(delay=0.02, jitter=0.1, loss=0.05, interval=0.2, replies=False, tick=0.05)
    link.run(3600.0)
    assert not link.verdicts()


@pytest.mark.parametrize("seconds", [1.0, 1.7, 4.5, 20.0])
def test_a_link_that_is_cut_after_its_round_trip_grew_all_of_a_sudden_does_not_take_longer_for_the_step(
    seconds: float,
) -> None:
    link = Link(loss=0.02, replies=False)
    link.run(20.0)
    link.delay, link.jitter = 0.057, 0.005
    link.run(seconds)
    assert not link.verdicts()
    link.up = False
    cut = link.now
    link.run(1.0)
    assert link.verdicts()[0][0] - cut <= 0.45


@pytest.mark.parametrize("delay", [0.15, 0.3])
@pytest.mark.parametrize("replies", [True, False])
def test_a_link_that_is_only_slow_all_of_a_sudden_is_used_again_with_its_first_answer(
    delay: float, replies: bool
) -> None:
    link = Link(delay=0.0025, replies=replies)
    link.run(30.0)
    slow = link.now
    link.delay = delay
    link.run(60.0)
    assert link.verdicts()
    for end in range(2):
        times = [
            when - slow for when, which, action in link.log if which == end and action is not Action.PROBE
        ]
        if times:
            dead, lives = (when for when in times if when > 0)
            assert lives <= dead + 2 * delay


def test_who_was_wrongly_taken_for_dead_is_asked_for_longer_while_that_is_remembered() -> None:
    link = Link(delay=0.01, interval=0.02)
    link.run(20.0)
    for turn in range(14):
        link.delay = 0.01 if turn % 2 else 0.2
        link.run(20.0)
    assert 1 <= len(link.verdicts()) <= 6
    link.delay = 0.01
    link.run(300.0)
    link.ends[0].suspect(link.now)
    assert link.ends[0].patience < 0.2, "it is forgotten"


def test_one_answer_that_had_to_wait_for_seconds_makes_nobody_patient() -> None:
    detector = LinkDetector(Bounds(), 0.0)
    for _ in range(20):
        detector.answered(0.002, 1.0)
    detector.answered(10.0, 11.0)
    assert detector.patience < 0.4
    first = LinkDetector(Bounds(), 0.0)
    first.answered(10.0, 11.0)
    assert first.patience == pytest.approx(0.6)
    first.answered(0.01, 11.25)
    assert first.patience == pytest.approx(Bounds().patience)


def test_two_answers_that_had_to_wait_for_seconds_make_nobody_wait_for_one() -> None:
    detector = LinkDetector(Bounds(), 0.0)
    for _ in range(20):
        detector.answered(0.01, 1.0)
    for when in (11.0, 11.25):
        detector.answered(10.0, when)
    assert detector.patience < 0.8


def test_answers_that_waited_while_the_link_was_dead_say_nothing_of_its_round_trip() -> None:
    link = Link()
    link.run(3.0)
    link.up = False
    link.run(11.0)
    link.up = True
    detector = link.ends[0]
    assert detector.state is State.DEAD
    for seconds in range(11, 0, -1):
        detector.answered(float(seconds), link.now)
    link.run(1.0)
    assert detector.state is State.ALIVE
    assert detector.round_trip.slowest < 0.02
    detector.suspect(link.now)
    assert detector.patience == pytest.approx(Bounds().patience)


def test_of_answers_that_waited_together_the_fastest_tells_the_round_trip() -> None:
    # The other end found the link dead one way; then all that waited for a session of the tunnel leaves at once.
    detector = LinkDetector(Bounds(), 0.0)
    for count in range(40):
        detector.answered(0.01, 1.0 + count / 4)
    before = detector.patience
    for waited in range(56, 0, -1):
        detector.answered(0.01 + waited / 4, 25.0 + (56 - waited) * 0.0005)
    assert detector.round_trip.slowest > 0.1
    detector.answered(0.01, 25.03)
    assert detector.patience == pytest.approx(before, rel=0.01)


def test_answers_that_come_one_after_the_other_are_all_believed() -> None:
    detector = LinkDetector(Bounds(), 0.0)
    for count in range(40):
        detector.answered(0.5, 1.0 + count / 4)
    assert detector.round_trip.smoothed == pytest.approx(0.5, rel=0.05)


def test_the_verdict_says_why_it_took_its_time() -> None:
    link = Link(delay=0.15)
    link.run(30.0)
    link.up = False
    link.ends[0].late = 0.1
    link.run(3.0)
    assert re.fullmatch(
        r"\d+ probes in \d+ ms were not answered \(others took up to 3\d\d ms, we were 100 ms late\)",
        link.ends[0].verdict,
    )


@pytest.mark.parametrize("seconds", [0.2, 5.0, 60.0])
def test_who_wants_more_patience_gets_it(seconds: float) -> None:
    bounds = Bounds.dead_after(seconds)
    assert LinkDetector(bounds, 0.0).patience == pytest.approx(0.6 * seconds)
    assert bounds.lone_patience >= bounds.patience


def test_who_was_late_itself_waits_longer() -> None:
    detector = LinkDetector(Bounds(), 0.0)
    before = detector.patience
    detector.late = 0.2
    assert detector.patience == pytest.approx(before + 0.4)


def test_more_probes_are_needed_where_packets_are_lost() -> None:
    detector = LinkDetector(Bounds(), 0.0)
    assert detector.needed == 8
    detector.loss = 0.3
    assert detector.needed == 18
    detector.loss = 0.9
    assert detector.needed == 24


def test_a_probe_that_left_a_while_after_it_was_noted_is_not_lost() -> None:
    detector = LinkDetector(Bounds(), 0.0)
    for number in range(1, 50):
        noted = float(number)
        detector.look(1, 1, 1, noted)
        assert detector.step(noted) is Action.PROBE
        detector.answered(0.002, noted + 0.012)  # it left ten milliseconds later
    assert detector.loss == 0.0


def test_a_probe_without_an_answer_counts_as_lost_with_the_next_answer() -> None:
    detector = LinkDetector(Bounds(), 0.0)
    for noted in (1.0, 2.0):
        detector.look(1, 1, 1, noted)
        assert detector.step(noted) is Action.PROBE
    detector.answered(0.002, 2.002)
    assert 0.04 < detector.loss < 0.05


def test_a_link_without_an_alternative_is_given_more_time() -> None:
    link = Link()
    link.ends[0]._is_alone = lambda: True
    link.run(3.0)
    link.up = False
    cut = link.now
    link.run(3.0)
    when = {end: at - cut for at, end in link.verdicts()}
    assert when[1] < 0.25
    assert 0.6 < when[0] < 0.8


def test_a_link_that_is_dead_one_way_is_found_by_both_ends_though_packets_come_the_other_way() -> None:
    link = Link(back=0.01)
    link.run(3.0)
    link.mute = 0
    cut = link.now
    link.run(5.0)
    when = {end: at - cut for at, end in link.verdicts()}
    assert when[1] < 0.25, "it hears nothing any more"
    assert 2.2 < when[0] < 3.0
    assert link.ends[0].verdict.endswith("though packets came")
    assert len(link.verdicts()) == 2
    before = link.probes[0]
    link.run(60.0)
    assert link.probes[0] - before <= 130, "what comes does not make it hasty"
    link.mute = None
    link.run(3.0)
    assert {end for _, end in link.verdicts(Action.RESTORE)} == {0, 1}
    assert len(link.verdicts()) == 2
    detector = link.ends[0]
    detector.suspect(link.now)
    detector.look(1, 1, 0, link.now)
    assert detector.state is State.ALIVE, "what comes speaks for it again"


def test_a_link_that_is_dead_one_way_is_kept_where_nothing_leads_anywhere_else() -> None:
    asked = []
    link = Link(back=0.01)
    link.ends[0]._is_alone = lambda: asked.append(link.now) or True
    link.run(3.0)
    link.mute = 0
    link.run(60.0)
    assert {end for _, end in link.verdicts()} == {1}
    assert len(asked) <= 30, "it is dear to know"


def mute(seconds: float) -> tuple[Link, LinkDetector]:
    """Return a link of which one direction is dead for so long, and the detector that does not see it at once."""
    link = Link(back=0.01)
    link.run(3.0)
    link.mute = 0
    link.run(seconds)
    return link, link.ends[0]


def test_a_suspicion_that_answers_end_makes_nobody_patient_where_packets_came_all_the_time() -> None:
    link, detector = mute(2.2)
    assert (detector.state, detector.one_way) == (State.SUSPECT, True)
    link.mute = None
    link.run(0.2)
    assert detector.state is State.ALIVE
    detector.suspect(link.now)
    assert detector.patience == pytest.approx(Bounds().patience)


def test_a_link_that_dies_one_way_again_and_again_is_left_alone_for_ever_longer() -> None:
    link = Link(back=0.01)
    link.run(3.0)
    for _ in range(300):
        link.mute = 0
        link.run(1.0)
        if link.ends[0].state is State.DEAD:
            link.run(1.0)
            link.mute = None
            link.run(1.0)
    assert len([end for _, end in link.verdicts() if end == 0]) <= 12


def test_a_link_that_was_dead_one_way_for_long_is_used_again_as_soon_as_others() -> None:
    link, detector = mute(700.0)
    detector.hello_interval = 20.0
    link.run(20.0)
    back = link.now
    link.mute = None
    link.run(3.0)
    assert [when - back < 2.0 for when, end in link.verdicts(Action.RESTORE) if end == 0] == [True]


def test_what_is_seen_to_be_down_is_not_dead_one_way() -> None:
    link, detector = mute(2.2)
    assert detector.one_way
    detector.give_up("its interface has no carrier", link.now)
    assert not detector.one_way


def test_the_answers_of_a_kernel_do_not_keep_a_dead_link_from_asking_its_daemon() -> None:
    detector = LinkDetector(Bounds(), 0.0)
    detector.answered(0.002, 0.0)
    detector.give_up("it is said to be dead", 1.0)
    detector.answered(0.002, 2.0)
    assert not detector.echoes


def test_a_kernel_that_never_answered_is_not_judged_by_its_answers_where_packets_come() -> None:
    link = Link(back=0.01)
    for end in link.ends:
        end.answered(0.002, 0.0, echoed=False)
    link.answering = False
    link.run(60.0)
    assert not link.verdicts()


def test_a_kernel_that_answers_no_more_is_not_judged_where_its_daemon_answers() -> None:
    detector = LinkDetector(Bounds(), 0.0)
    detector.answered(0.002, 0.0)
    assert detector.echoes
    for number in range(4000):
        now = 0.1 + number * 0.01
        detector.look(1, 1, 1, now)
        while detector.step(now) is not None:
            assert detector.state is not State.DEAD
        if detector.in_doubt:
            detector.answered(0.004, now, echoed=False)
            assert not detector.echoes
    assert not detector.echoes


def test_answers_that_come_ever_later_are_no_dead_link() -> None:
    link = Link(back=0.01, interval=0.05)
    link.run(3.0)
    while link.delay < 2.0:
        link.delay += 0.02
        link.run(0.1)
    before = link.probes[0]
    link.run(60.0)
    assert link.probes[0] - before <= 250, "it is not even suspected"
    link.delay = 0.001
    link.run(60.0)
    assert not link.verdicts()


def test_a_neighbour_that_is_far_away_has_the_time_it_needs_to_answer_after_a_pause() -> None:
    detector = LinkDetector(Bounds(), 0.0)
    for count in range(50):
        detector.answered(3.0, 3.0 + count / 4)
    for number in range(300):
        now = 60.0 + number * 0.01
        detector.look(1, 1, 1, now)
        while detector.step(now) is not None:
            pass
        assert detector.state is State.ALIVE


def test_pauses_between_packets_do_not_add_up_to_a_link_without_answers() -> None:
    detector = LinkDetector(Bounds(), 0.0)
    detector.answered(0.002, 0.0)
    for second in range(10, 1000, 10):
        detector.look(1, 1, 1, float(second))
        assert detector.step(float(second)) is Action.PROBE
        assert detector.step(float(second)) is None
        assert detector.state is State.ALIVE


def test_silences_that_ended_by_themselves_make_patient_for_a_while() -> None:
    detector = LinkDetector(Bounds(), 0.0)
    detector.look(1, 1, 1, 0.0)
    detector.suspect(0.1)
    detector.look(1, 1, 0, 0.2)
    detector.suspect(0.3)
    assert detector.patience == pytest.approx(0.2, rel=0.02)
    detector.look(1, 1, 0, 1.2)
    detector.suspect(1.3)
    assert detector.patience == pytest.approx(0.5), (
        "traffic must find another way within a second all the same"
    )
    detector.look(1, 1, 0, 1.31)
    detector.look(1, 1, 0, 59.9)
    detector.suspect(60.0)
    assert detector.patience == pytest.approx(Bounds().patience)


def test_a_link_that_was_seen_to_be_down_for_a_moment_makes_nobody_patient() -> None:
    detector = LinkDetector(Bounds(), 0.0)
    detector.give_up("its interface has no carrier", 0.0)
    for number in range(10):
        detector.answered(0.001, 0.3 + number / 50)
        detector.step(0.3 + number / 50)
    assert detector.state is State.ALIVE
    detector.suspect(0.6, idle=True)
    assert detector.patience == pytest.approx(Bounds().patience)


def test_a_link_that_falls_silent_for_a_moment_again_and_again_is_left_alone_for_longer_and_longer() -> None:
    link = Link()
    link.run(3.0)
    for _ in range(20):
        link.up = False
        link.run(0.6)
        link.up = True
        link.run(5.4)
    failures = [at for at, end in link.verdicts() if end == 0]
    assert 2 <= len(failures) <= 8


@pytest.mark.parametrize(("hello_interval", "pause"), [(4.0, 4.0), (30.0, 30.0), (0.5, 1.0)])
def test_a_dead_link_is_tried_twice_a_second_for_a_minute_and_each_for_ten_and_then_as_often_as_hellos_go(
    hello_interval: float, pause: float
) -> None:
    detector = LinkDetector(Bounds(), 0.0, hello_interval)
    probed: list[float] = []
    for tick in range(1, 40 * 720):
        now = tick / 40
        detector.look(1 if tick < 40 else 0, 1 if tick < 40 else 0, 1, now)
        if detector.step(now) is Action.PROBE and detector.state is State.DEAD:
            probed.append(now)
        if tick < 40:
            detector.answered(0.002, now)
    pauses = [(then, round(after - then, 6)) for then, after in pairwise(probed)]
    assert {p for then, p in pauses if 10.0 < then < 60.0} == {0.5}
    assert {p for then, p in pauses if 70.0 < then < 590.0} == {1.0}
    assert {p for then, p in pauses if then > 610.0} == {pause}


def test_a_link_that_was_dead_when_it_was_new_is_found_to_answer_while_it_is_in_use() -> None:
    detector = LinkDetector(Bounds(), 0.0)

    def pass_time(since: int, until: int, alive: bool) -> list[Action]:
        done = []
        for tick in range(since, until):
            now = tick / 40
            detector.look(int(alive), int(alive), 1, now)
            while (action := detector.step(now)) is not None:
                done.append(action)
                if alive:
                    detector.answered(0.002, now)
        return done

    assert Action.FAIL not in pass_time(0, 400, alive=False), "perhaps it never answers"
    assert Action.PROBE in pass_time(400, 800, alive=True)
    assert Action.FAIL in pass_time(800, 840, alive=False)


def test_a_hint_about_an_idle_link_is_heeded_where_it_is_about_that_link() -> None:
    detector = LinkDetector(Bounds(), 0.0)
    detector.answered(0.002, 0.1)
    assert not detector.suspect(60.0), "it was not in use lately"
    assert detector.suspect(60.0, idle=True)
    assert detector.state is State.SUSPECT and detector.is_active(60.0)
    assert not detector.suspect(60.0, idle=True), "it is suspected already"
    assert detector.step(60.0) is Action.PROBE
    detector.answered(0.002, 60.002)
    assert detector.state is State.ALIVE and detector.step(60.002) is None


def test_an_idle_link_is_dead_within_a_fifth_of_a_second_of_a_hint() -> None:
    detector = LinkDetector(Bounds(), 0.0)
    detector.answered(0.002, 0.1)
    detector.suspect(60.0, idle=True)
    done, now = [], 60.0
    while Action.FAIL not in done:
        assert now < 60.2
        while (action := detector.step(now)) is not None:
            done.append(action)
        now = max(now + 0.001, detector.deadline(now))
    assert done.count(Action.PROBE) == Bounds().probes


@pytest.mark.parametrize("delay", [0.065, 0.08, 0.1])
@pytest.mark.parametrize("replies", [False, True])
def test_a_good_slow_link_of_which_only_an_earlier_life_knows_is_not_found_dead(
    delay: float, replies: bool
) -> None:
    link = Link(delay=delay, replies=replies)
    for end in link.ends:
        end.presume(0.0)
    link.run(30.0)
    assert not [entry for entry in link.log if entry[2] is Action.FAIL]


@pytest.mark.parametrize("interval", [0.0, 0.01])
def test_what_an_earlier_life_knew_of_a_link_is_asked_at_once_and_a_dead_one_is_found(
    interval: float,
) -> None:
    good, dead = (Link(interval=interval, delay=0.1) for _ in range(2))
    dead.up = False
    for end in [*good.ends, *dead.ends]:
        end.presume(0.0)
    good.run(0.5)
    assert not good.verdicts()
    assert max(good.probes) <= 4
    assert all(end.round_trip.slowest > 0.2 for end in good.ends)
    dead.run(0.65)
    assert {end for _, end in dead.verdicts()} == {0, 1}
    assert max(dead.probes) <= Bounds().probes + 1, "and one that tries it again"
