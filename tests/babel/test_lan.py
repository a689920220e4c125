"""Several speakers on one shared network, all real."""

from heapq import heappop, heappush
from random import Random

import pytest

from babelwg.babel.datagram import Datagram
from babelwg.babel.memory import Memory
from babelwg.babel.parameters import GROUP, InterfaceParameters, Parameters
from babelwg.babel.speaker import Speaker
from babelwg.babel.wire.prefix import Prefix

DELAY = 0.001  # seconds


class Lan:
    """A shared network that loses a share of what each receiver should hear."""

    def __init__(
        self, parameters: InterfaceParameters, size: int, loss: float = 0.0, lost: bool = True
    ) -> None:
        self.now = 0.0
        self.rng = Random(7)
        self.loss = loss
        self.datagrams = 0
        self.silent: set[int] = set()
        self.addresses = [bytes.fromhex("fe80") + bytes(13) + bytes([n + 1]) for n in range(size)]
        self.speakers = [
            Speaker(bytes([2, 0, 0, 0, 0, 0, 0, n + 1]), Parameters(), Random(n), Memory(lost=lost))
            for n in range(size)
        ]
        self.flying: list[tuple[float, int, int, Datagram]] = []
        for number, speaker in enumerate(self.speakers):
            speaker.add_interface("lan", parameters, self.addresses[number], self.now)
            speaker.announce(prefix_of(number), 0, self.now)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while True:
            for number, speaker in enumerate(self.speakers):
                speaker.handle_deadline(self.now)
                for datagram in speaker.datagrams_to_send(self.now):
                    self.carry(number, datagram)
            moments = [m for m in (speaker.next_deadline() for speaker in self.speakers) if m is not None]
            self.now = max(self.now, min([*moments, *(item[0] for item in self.flying[:1])]))
            if self.now > end:
                self.now = end
                return
            while self.flying and self.flying[0][0] <= self.now:
                _, _, receiver, datagram = heappop(self.flying)
                self.speakers[receiver].receive_datagram(datagram, self.now)

    def carry(self, sender: int, datagram: Datagram) -> None:
        """Put a datagram on the way to whom it is for."""
        for receiver, address in enumerate(self.addresses):
            wanted = datagram.destination[0] in (GROUP, address) and receiver != sender
            if wanted and not self.silent & {sender, receiver} and self.rng.random() >= self.loss:
                self.datagrams += 1
                heappush(self.flying, (self.now + DELAY, self.datagrams, receiver, datagram))

    def metrics(self, number: int) -> list[int]:
        """Return the metrics of the selected routes of a speaker."""
        routes = self.speakers[number].snapshot(self.now).routes
        return sorted(view.metric for view in routes if view.state == "selected")


def prefix_of(number: int) -> Prefix:
    return Prefix(6, bytes.fromhex("fd00") + number.to_bytes(6, "big") + bytes(8), 64)


@pytest.mark.parametrize(
    ("parameters", "cost"), [(InterfaceParameters.wired(), 96), (InterfaceParameters.wireless(), 256)]
)
def test_all_speakers_of_a_shared_network_know_each_other_directly(
    parameters: InterfaceParameters, cost: int
) -> None:
    lan = Lan(parameters, 8)
    lan.run(60)
    for number in range(8):
        assert lan.metrics(number) == [cost] * 7


def test_a_shared_network_settles_within_a_second() -> None:
    lan = Lan(InterfaceParameters.wired(), 10)
    lan.run(1.5)
    assert [len(lan.metrics(number)) for number in range(10)] == [9] * 10


def test_a_speaker_that_falls_silent_is_forgotten_by_all() -> None:
    lan = Lan(InterfaceParameters.wired(), 5)
    lan.run(30)
    lan.silent.add(2)
    lan.run(11)
    assert [len(lan.metrics(number)) for number in (0, 1, 3, 4)] == [3] * 4
    lan.silent.clear()
    lan.run(10)
    assert [len(lan.metrics(number)) for number in range(5)] == [4] * 5


def test_loss_is_survived_on_a_shared_network() -> None:
    lan = Lan(InterfaceParameters.wireless(), 6, loss=0.2)
    lan.run(120)
    lan.loss = 0.0
    lan.run(60)
    assert [len(lan.metrics(number)) for number in range(6)] == [5] * 6


def test_a_quiet_shared_network_stays_quiet() -> None:
    lan = Lan(InterfaceParameters.wired(), 5)
    lan.run(60)
    before = sum(speaker.counters["packets_sent"] for speaker in lan.speakers)
    lan.run(160)
    sent = sum(speaker.counters["packets_sent"] for speaker in lan.speakers) - before
    # Per speaker: a Hello in each interval and an update in every fourth, each a little early.
    assert sent <= 5 * (160 / 3.6 + 160 / 13.6 + 4)
