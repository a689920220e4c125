"""The loop: descriptors, deadlines and signals."""

import os
import signal
import socket

import pytest

from babelwg.dataplane.loop import MAX_WAIT, Loop


class Clock:
    """A clock that a test sets."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Alarm:
    """Something with one deadline."""

    def __init__(self, at):
        self.at = at
        self.rang = []

    def next_deadline(self):
        return self.at

    def handle_deadline(self, now):
        self.rang.append(now)
        self.at = None


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def loop(clock):
    loop = Loop(clock)
    yield loop
    loop.close()


def test_deadline_is_handled_when_it_has_come_and_not_before(loop, clock):
    alarm = Alarm(101.0)
    loop.add_clocked(alarm)
    assert loop._wait() == 1.0
    loop.turn(0.0)
    assert alarm.rang == []
    clock.now = 101.0
    loop.turn(0.0)
    assert alarm.rang == [101.0]
    assert loop._wait() == MAX_WAIT


def test_nearest_of_several_deadlines_counts_and_a_past_one_is_at_once(loop, clock):
    early, late = Alarm(100.5), Alarm(103.0)
    for alarm in (late, early):
        loop.add_clocked(alarm)
    assert loop._wait() == 0.5
    clock.now = 200.0
    assert loop._wait() == 0.0
    loop.remove_clocked(early)
    loop.turn(0.0)
    assert (early.rang, late.rang) == ([], [200.0])


def test_deadlines_are_handled_while_a_descriptor_is_always_ready(loop, clock):
    a, b = socket.socketpair()
    with a, b:
        b.send(b"x")
        calls = []
        loop.watch(a.fileno(), calls.append)  # never reads, so it stays ready
        alarm = Alarm(100.0)
        loop.add_clocked(alarm)
        loop.turn(0.0)
        assert (len(calls), alarm.rang) == (1, [100.0])
        loop.forget(a.fileno())


def test_descriptor_forgotten_by_an_earlier_callback_is_not_called(loop):
    pairs = [socket.socketpair() for _ in range(2)]
    calls = []

    def forget_all(number):
        calls.append(number)
        for pair in pairs:
            loop.forget(pair[0].fileno())

    for number, (reading, writing) in enumerate(pairs):
        writing.send(b"x")
        loop.watch(reading.fileno(), lambda _, number=number: forget_all(number))
    loop.turn(0.0)
    assert len(calls) == 1
    for pair in pairs:
        for end in pair:
            end.close()


def test_signal_stops_the_loop(loop):
    before = signal.getsignal(signal.SIGUSR1)
    loop.stop_on(signal.SIGUSR1)
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        loop.run()
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGUSR1, before)
