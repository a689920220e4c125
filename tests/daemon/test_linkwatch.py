"""Which links are watched, what of their traffic is users', and what the speaker is told."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import replace
from typing import Any

import pytest

from babelwg.babel.events import Event, LinkRestored, NeighbourAcquired, SeqnoIncreased
from babelwg.daemon.linkwatch import service
from babelwg.daemon.linkwatch.bounds import Bounds
from babelwg.daemon.linkwatch.detector import LinkDetector, State
from babelwg.daemon.linkwatch.service import LinkWatch
from babelwg.daemon.linkwatch.watched import Place, WatchedLink
from babelwg.linux.errors import KernelError
from babelwg.linux.linkstats import Packets
from babelwg.linux.probes.linkecho import Answer

OURS, THEIRS, OTHERS = (bytes.fromhex("fe80") + bytes(13) + bytes([n]) for n in (1, 2, 3))
PLACE = Place("bw-b", 7, OURS, THEIRS)


class Echo:
    """Stands for the raw socket: remembers what was asked, and answers when told to."""

    def __init__(self) -> None:
        self.received: dict[int, int] = {}
        self.sent: dict[int, int] = {}
        self.counters: dict[str, int] = {}
        self.asked: list[tuple[int, bytes, bytes]] = []
        self.waiting: list[Answer] = []
        self.answering = self.sending = True

    def fileno(self) -> int:
        raise AssertionError("nobody waits for it here")

    def close(self) -> None:
        pass

    def send(self, interface: int, source: bytes, destination: bytes) -> bool:
        self.asked.append((interface, source, destination))
        if not self.sending:
            return False
        self.sent[interface] = self.sent.get(interface, 0) + 1
        if self.answering:
            self.waiting.append(Answer(interface, destination, 0.001))
            self.received[interface] = self.received.get(interface, 0) + 1
        return True

    def listen(self, interfaces: Collection[int]) -> None:
        self.interfaces = interfaces

    def receive(self) -> Iterator[Answer]:
        waiting, self.waiting = self.waiting, []
        yield from waiting


class Routing:
    """Stands for the routing service and its speaker."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[list[Event]], None]] = []
        self.speaker = self
        self.socket = self
        self.received: dict[str, int] = {}
        self.sent: dict[str, int] = {}
        self.known = [PLACE]
        self.failed: dict[str, str] = {}
        self.traffic: list[list[str]] = []
        self.asked: list[str] = []
        self.acknowledging = False
        self.acknowledged: list[tuple[str, float]] = []
        self.broken = False
        self.needed: set[str] = set()

    def places(self) -> list[Place]:
        return self.known

    def failed_links(self) -> frozenset[str]:
        return frozenset(self.failed)

    def fail_link(self, interface: str, why: str, one_way: bool = False) -> None:
        self.failed[interface] = why
        self.one_way = one_way
        if self.broken:
            raise ValueError("a mistake of ours")

    def restore_link(self, interface: str) -> None:
        self.failed.pop(interface, None)

    def has_alternative(self, interface: str) -> bool:
        return True

    def is_needed(self, interface: str) -> bool:
        return interface in self.needed

    def ask(self, interface: str) -> None:
        self.asked.append(interface)
        if self.acknowledging:
            self.acknowledged.append((interface, 0.001))

    def answers(self) -> list[tuple[str, float]]:
        answers, self.acknowledged = self.acknowledged, []
        return answers

    def note_traffic(self, interfaces: list[str]) -> None:
        self.traffic.append(interfaces)


class Bench:
    """A watch whose kernel is a table of counters; a test turns it by hand, in time of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.routing, self.echo = Routing(), Echo()
        self.packets = {7: Packets(1000, 1000)}
        self.now = 50.0
        monkeypatch.setattr(service, "read_packets", self._read)
        self.answering: set[tuple[str, bytes]] = set()
        self.watch = LinkWatch(self.routing, None, self)  # type: ignore[arg-type]
        self.watch._echo = self.echo  # type: ignore[assignment]
        self.watch._loop = self  # type: ignore[assignment]
        self.watch._used_at = self.now
        self.routing.listeners.append(self.watch._heed)

    def time(self) -> float:
        return self.now

    def answers(self, neighbour: tuple[str, bytes]) -> bool:
        return neighbour in self.answering

    def remember_answers(self, neighbour: tuple[str, bytes], answers: bool) -> None:
        (self.answering.add if answers else self.answering.discard)(neighbour)

    def call_at(self, when: float, action: Callable[[], None]) -> Any:
        self.due = when
        return asyncio.TimerHandle(when, action, (), asyncio.get_running_loop())

    def _read(self, requests: None, wanted: Collection[int]) -> dict[int, Packets]:
        return {index: self.packets[index] for index in wanted if index in self.packets}

    def turn(self, seconds: float = 0.015, received: int = 0, sent: int = 0) -> None:
        """Let time pass in which so many packets of users came and went."""
        self.now += seconds
        if 7 in self.packets:
            echo, socket = self.echo, self.routing
            own = echo.received.get(7, 0) + socket.received.get("bw-b", 0), echo.sent.get(7, 0)
            users = self._users
            users[0] += received
            users[1] += sent
            self.packets[7] = Packets(1000 + own[0] + users[0], 1000 + own[1] + users[1])
        self.watch._take_answers()
        self.watch._turn()

    _users = [0, 0]

    def fail(self) -> None:
        """Have the link found dead."""
        self.turn(0.6)
        self.turn(0.6, 1, 1)
        self.turn()
        self.echo.answering = False
        for _ in range(40):
            self.turn(sent=1)
        assert "bw-b" in self.routing.failed


def on_bench(
    monkeypatch: pytest.MonkeyPatch, talk: Callable[[Bench], Awaitable[None]] | Callable[[Bench], None]
) -> None:
    async def run() -> None:
        monkeypatch.setattr(Bench, "_users", [0, 0])
        bench = Bench(monkeypatch)
        talk(bench)

    asyncio.run(run())


def test_own_packets_are_no_traffic() -> None:
    link = WatchedLink(PLACE, Packets(10, 10), Packets(2, 2), LinkDetector(Bounds(), 0.0))
    assert not link.look(Packets(13, 12), Packets(5, 4), 0.1)
    assert link.look(Packets(14, 12), Packets(5, 4), 0.2)
    assert link.look(Packets(14, 13), Packets(5, 4), 0.3)


def test_a_datagram_that_is_still_unread_makes_no_lasting_traffic() -> None:
    link = WatchedLink(PLACE, Packets(0, 0), Packets(0, 0), LinkDetector(Bounds(), 0.0))
    looks = [link.look(Packets(n + 1, 0), Packets(n - n % 2, 0), n / 10) for n in range(100, 120)]
    assert looks[1:].count(True) <= 1


def test_probes_that_a_dead_link_dropped_uncounted_hide_no_packets_of_users() -> None:
    link = WatchedLink(PLACE, Packets(0, 0), Packets(0, 0), LinkDetector(Bounds(), 0.0))
    link.detector.state = State.DEAD
    assert not link.look(Packets(0, 0), Packets(0, 500), 0.1)
    link.detector.state = State.ALIVE
    assert not link.look(Packets(1, 1), Packets(1, 501), 0.2)
    assert link.look(Packets(1, 2), Packets(1, 501), 0.3)


def test_counters_that_begin_anew_are_no_traffic() -> None:
    link = WatchedLink(PLACE, Packets(1000, 1000), Packets(10, 10), LinkDetector(Bounds(), 0.0))
    assert not link.look(Packets(1, 1), Packets(10, 10), 0.1)


def test_a_link_that_ceases_to_answer_is_told_to_the_speaker_and_tried_until_it_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def talk(bench: Bench) -> None:
        bench.fail()
        assert "probes" in bench.routing.failed["bw-b"]
        assert bench.watch.dead_for("bw-b") is not None
        # A neighbour that is forgotten for its silence is still asked where it was.
        bench.routing.known = []
        bench.routing.listeners[0]([NeighbourAcquired("bw-c", OTHERS)])
        bench.turn(3.0)
        before = len(bench.echo.asked)
        bench.turn(3.0)
        assert bench.echo.asked[before:] == [(7, OURS, THEIRS)]
        bench.echo.answering = True
        for _ in range(60):
            bench.turn(0.05)
        assert not bench.routing.failed
        assert bench.watch.counters == {"suspected": 1, "failed": 1, "restored": 1}

    on_bench(monkeypatch, talk)


def test_an_unstable_link_stays_unused_until_the_speaker_has_no_other_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def talk(bench: Bench) -> None:
        bench.fail()
        bench.watch.links["bw-b"].detector.hold = 30.0
        bench.echo.answering = True
        for _ in range(60):
            bench.turn(0.05)
        assert "bw-b" in bench.routing.failed
        bench.routing.needed = {"bw-b"}
        for _ in range(20):
            bench.turn(0.05)
        assert not bench.routing.failed

    on_bench(monkeypatch, talk)


def test_a_link_whose_interface_lost_its_carrier_is_dead_at_once_and_tried_until_it_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def talk(bench: Bench) -> None:
        bench.turn(0.6)
        assert not bench.watch.give_up("bw-c", "no carrier"), "nobody knows it"
        bench.turn(0.6, 1, 1)
        bench.turn()
        bench.echo.answering = False
        assert bench.watch.give_up("bw-b", "no carrier")
        assert bench.watch.give_up("bw-b", "no carrier")
        assert bench.routing.failed == {"bw-b": "no carrier"}
        for _ in range(20):
            bench.turn(0.05)
        assert bench.routing.failed
        bench.echo.answering = True
        for _ in range(10):
            bench.turn(0.05)
        assert not bench.routing.failed
        assert bench.watch.counters == {"suspected": 0, "failed": 1, "restored": 1}

    on_bench(monkeypatch, talk)


def test_without_a_carrier_a_link_that_never_answered_is_given_up_too_until_its_hellos_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def talk(bench: Bench) -> None:
        bench.echo.answering = False
        assert bench.watch.give_up("bw-b", "no carrier"), "its neighbour was heard a moment ago"
        bench.turn(0.6, 1, 1)
        assert bench.routing.failed == {"bw-b": "no carrier"}
        bench.routing.failed.clear()
        bench.routing.listeners[0]([LinkRestored("bw-b", 12.0)])
        bench.turn(0.6, 1, 1)
        assert bench.watch.links["bw-b"].detector.state is State.ALIVE

    on_bench(monkeypatch, talk)


def test_what_one_neighbour_answers_says_nothing_of_another_that_takes_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def talk(bench: Bench) -> None:
        bench.turn(0.6, 1, 1)
        bench.turn(0.6, 1, 1)
        assert bench.answering == {("bw-b", THEIRS)}
        bench.echo.answering = False
        bench.routing.known = [replace(PLACE, neighbour=OTHERS)]
        bench.routing.listeners[0]([NeighbourAcquired("bw-b", OTHERS)])
        for _ in range(40):
            bench.turn(sent=1)
        assert bench.watch.links["bw-b"].key == ("bw-b", OTHERS)
        assert not bench.routing.failed, "it never answered, as behind a firewall"
        assert not bench.answering

    on_bench(monkeypatch, talk)


def test_a_link_that_died_between_two_lives_is_found_dead_at_once_though_nobody_uses_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def talk(bench: Bench) -> None:
        bench.answering.add(("bw-b", THEIRS))
        bench.echo.answering = False
        for _ in range(50):
            bench.turn()
        assert list(bench.routing.failed) == ["bw-b"]

    on_bench(monkeypatch, talk)


def test_one_who_answered_in_an_earlier_life_is_judged_before_its_first_answer_in_this(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def talk(bench: Bench) -> None:
        bench.answering.add(("bw-b", THEIRS))
        bench.echo.answering = False
        bench.turn(0.6)
        for _ in range(100):
            bench.turn(sent=1)
        assert list(bench.routing.failed) == ["bw-b"]
        bench.routing.failed.clear()
        bench.routing.listeners[0]([LinkRestored("bw-b", 12.0)])
        assert not bench.answering, "its Hellos came, and no answer"
        bench.echo.answering = True
        bench.turn(6.0)
        bench.turn(0.6, 1, 1)
        for _ in range(3):
            bench.turn(0.05, 1, 1)
        assert bench.answering == {("bw-b", THEIRS)}
        bench.routing.known.clear()
        bench.routing.listeners[0]([NeighbourAcquired("bw-c", OTHERS)])
        bench.turn(3.0)
        assert not bench.answering, "it is no neighbour any more"

    on_bench(monkeypatch, talk)


def test_the_speaker_is_told_where_a_link_is_dead_although_packets_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def talk(bench: Bench) -> None:
        bench.turn(0.6)
        bench.turn(0.6, 1, 1)
        bench.turn()
        bench.echo.answering = False
        for _ in range(400):
            bench.turn(received=1, sent=1)
        assert bench.routing.failed["bw-b"].endswith("though packets came")
        assert bench.routing.one_way

    on_bench(monkeypatch, talk)


def test_without_an_answer_to_echo_requests_babel_is_asked_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    def talk(bench: Bench) -> None:
        bench.echo.answering = False
        bench.turn(0.6)
        bench.turn(0.6, 1, 1)
        assert bench.routing.asked

    on_bench(monkeypatch, talk)


@pytest.mark.parametrize("what", ["answering", "sending"])
def test_a_firewall_that_closes_later_is_no_dead_link_where_babel_is_answered(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def talk(bench: Bench) -> None:
        bench.turn(0.6)
        bench.turn(0.6, 1, 1)
        bench.turn()
        assert bench.watch.links["bw-b"].detector.echoes
        bench.routing.asked.clear()
        setattr(bench.echo, what, False)
        bench.routing.acknowledging = True
        for _ in range(200):
            bench.turn(sent=1)
        assert not bench.routing.failed
        assert bench.routing.asked
        assert bench.watch.counters["suspected"] > 0

    on_bench(monkeypatch, talk)


def test_a_dead_link_whose_neighbour_answers_babel_alone_is_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def talk(bench: Bench) -> None:
        bench.fail()
        bench.routing.acknowledging = True
        for _ in range(60):
            bench.turn(0.05)
        assert not bench.routing.failed

    on_bench(monkeypatch, talk)


def test_a_link_that_hellos_brought_back_lives_at_once_and_is_judged_by_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def talk(bench: Bench) -> None:
        bench.fail()
        detector = bench.watch.links["bw-b"].detector
        bench.routing.failed.clear()
        bench.routing.listeners[0]([LinkRestored("bw-b", 12.0)])
        assert bench.watch.dead_for("bw-b") is None
        bench.turn(0.6)
        assert bench.watch.links["bw-b"].detector is detector
        for _ in range(100):
            bench.turn(sent=1)
        assert not bench.routing.failed, "what answers no probe is not judged by probes"

    on_bench(monkeypatch, talk)


def test_no_link_stays_unused_that_nobody_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    def talk(bench: Bench) -> None:
        bench.turn(0.6)
        bench.routing.failed |= {"bw-b": "who knows", "bw-c": "who knows"}
        bench.watch._stale_at = 0.0
        bench.turn(0.6)
        assert not bench.routing.failed

    on_bench(monkeypatch, talk)


def test_late_news_of_a_return_brings_no_link_back_that_failed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def talk(bench: Bench) -> None:
        bench.fail()
        bench.routing.listeners[0]([LinkRestored("bw-b", 12.0)])
        assert bench.watch.links["bw-b"].detector.state is State.DEAD

    on_bench(monkeypatch, talk)


def test_a_mistake_of_ours_does_not_end_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    def talk(bench: Bench) -> None:
        bench.turn(0.6)
        bench.turn(0.6, 1, 1)
        bench.turn()
        bench.echo.answering, bench.routing.broken = False, True
        with pytest.raises(ValueError, match="a mistake of ours"):
            for _ in range(40):
                bench.turn(sent=1)
        assert bench.due > bench.now
        bench.routing.broken, bench.echo.answering = False, True
        for _ in range(60):
            bench.turn(0.05)
        assert not bench.routing.failed

    on_bench(monkeypatch, talk)


def test_who_is_late_is_patient_even_if_an_answer_came_before_the_timer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def talk(bench: Bench) -> None:
        bench.turn(0.6)
        bench.turn(0.6, 1, 1)
        bench.now = bench.due + 0.3
        bench.echo.waiting.append(Answer(7, THEIRS, 0.001))
        bench.watch._receive()
        assert bench.watch.links["bw-b"].detector.late == pytest.approx(0.3)

    on_bench(monkeypatch, talk)


def test_a_hint_in_the_middle_of_a_turn_does_not_make_the_next_one_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def talk(bench: Bench) -> None:
        bench.turn(0.6)
        bench.turn(0.6, 1, 1)
        bench.watch.links["bw-b"].detector.suspect(bench.now)
        bench.watch._wake_at(bench.watch._next(bench.now))
        assert bench.due == bench.now

    on_bench(monkeypatch, talk)


def test_what_the_kernel_does_not_tell_is_complained_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(requests: None, wanted: Collection[int]) -> dict[int, Packets]:
        raise KernelError("talk to", "rtnetlink", 105)

    def talk(bench: Bench) -> None:
        bench.turn(0.6)
        told = service.read_packets
        monkeypatch.setattr(service, "read_packets", refuse)
        for _ in range(10):
            bench.turn(0.6)
        assert caplog.text.count("links-not-read") == 1
        monkeypatch.setattr(service, "read_packets", told)
        bench.turn(0.6)
        monkeypatch.setattr(service, "read_packets", refuse)
        bench.turn(0.6)
        assert caplog.text.count("links-not-read") == 2

    on_bench(monkeypatch, talk)


def test_an_interface_that_was_made_anew_is_judged_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    def talk(bench: Bench) -> None:
        bench.fail()
        bench.routing.failed.clear()  # as by a speaker that was told of another interface
        bench.watch._stale_at = 0.0
        bench.turn(0.6)
        assert bench.watch.links["bw-b"].detector.state is not State.DEAD

    on_bench(monkeypatch, talk)


def test_a_neighbour_with_another_address_is_asked_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def talk(bench: Bench) -> None:
        bench.turn(0.6, 1, 1)
        bench.routing.known = [Place("bw-b", 7, OURS, OTHERS)]
        bench.routing.listeners[0]([NeighbourAcquired("bw-b", OTHERS)])
        bench.turn(0.6, 1, 1)
        bench.turn(0.6, 1, 1)
        assert bench.echo.asked[-1] == (7, OURS, OTHERS)

    on_bench(monkeypatch, talk)


def test_an_interface_that_is_gone_is_looked_at_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def talk(bench: Bench) -> None:
        bench.turn(0.6, 1, 1)
        del bench.packets[7]
        bench.routing.known = []
        bench.turn(0.6)
        bench.turn(0.6)
        assert not bench.watch.links

    on_bench(monkeypatch, talk)


def test_a_request_for_a_newer_seqno_makes_links_in_use_prove_themselves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def talk(bench: Bench) -> None:
        bench.turn(0.6)
        bench.turn(0.6)
        asked = len(bench.echo.asked)
        bench.routing.listeners[0]([SeqnoIncreased(7)])
        bench.turn(1.1)
        assert len(bench.echo.asked) == asked, "an idle link has nothing to prove"
        bench.turn(0.6, 1, 1)
        bench.turn(1.1)
        bench.turn(1.1)
        asked = len(bench.echo.asked)
        bench.routing.listeners[0]([SeqnoIncreased(8)])
        bench.turn()
        assert len(bench.echo.asked) == asked + 1
        bench.turn()
        bench.routing.listeners[0]([SeqnoIncreased(9)])
        bench.turn()
        assert len(bench.echo.asked) == asked + 1, "once a second"

    on_bench(monkeypatch, talk)


def test_who_does_not_want_it_has_no_dead_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def talk(bench: Bench) -> None:
        bench.fail()
        bench.watch.configure(0.0)
        assert not bench.routing.failed
        asked = len(bench.echo.asked)
        for _ in range(40):
            bench.turn(sent=1)
        assert not bench.routing.failed
        assert len(bench.echo.asked) == asked
        assert ["bw-b"] in bench.routing.traffic, "the delay is measured all the same"

    on_bench(monkeypatch, talk)


def test_other_bounds_hold_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def talk(bench: Bench) -> None:
        bench.turn(0.6)
        bench.watch.configure(2.0)
        assert bench.watch.links["bw-b"].detector.patience == pytest.approx(1.2)

    on_bench(monkeypatch, talk)


def test_without_the_right_to_ask_it_says_so_and_watches_traffic(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise KernelError("open", "a raw socket for echo requests", 1)

    def talk(bench: Bench) -> None:
        monkeypatch.setattr(service, "LinkEcho", refuse)
        bench.watch.start()
        assert bench.watch.error is not None and "raw socket" in bench.watch.error

    on_bench(monkeypatch, talk)


def test_the_hello_interval_of_an_interface_is_its_links_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def talk(bench: Bench) -> None:
        bench.routing.known = [Place("bw-b", 7, OURS, THEIRS, 30.0)]
        bench.turn(0.6, 1, 1)
        assert bench.watch.links["bw-b"].detector.hello_interval == 30.0
        bench.routing.known = [Place("bw-b", 7, OURS, THEIRS, 10.0)]
        bench.watch._stale_at = 0.0
        bench.turn(0.6, 1, 1)
        assert bench.watch.links["bw-b"].detector.hello_interval == 10.0

    on_bench(monkeypatch, talk)


def hints(bench: Bench) -> dict[str, int]:
    return {name: n for name, n in bench.watch.all_counters().items() if name.startswith("hint")}


def test_links_that_tell_of_their_first_use_are_seldom_looked_at_and_then_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def talk(bench: Bench) -> None:
        for _ in range(20):
            bench.turn(0.6)
        bench.turn(1.0)
        assert bench.due - bench.now == pytest.approx(1.0), "nobody tells"
        bench.watch.tells_use = lambda interface: interface == "bw-b"
        bench.turn(1.0)
        assert bench.due - bench.now == pytest.approx(10.0)
        bench.now += 3.0
        bench.watch.note_use()
        assert bench.due == bench.now
        bench.turn(0.0, sent=1)
        assert bench.due - bench.now < 0.016, "it is in use"
        bench.echo.answering = False
        for _ in range(40):
            bench.turn(sent=1)
        assert "bw-b" in bench.routing.failed

    on_bench(monkeypatch, talk)


def test_a_link_that_was_just_used_is_looked_at_often_though_it_pauses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def talk(bench: Bench) -> None:
        bench.watch.tells_use = lambda interface: True
        for _ in range(20):
            bench.turn(1.0)
        bench.watch.note_use()
        bench.turn(0.0)
        for _ in range(4):
            assert bench.due - bench.now <= 0.5
            bench.turn(0.5)

    on_bench(monkeypatch, talk)


def test_a_new_neighbour_is_looked_at_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    def talk(bench: Bench) -> None:
        bench.watch.tells_use = lambda interface: True
        for _ in range(20):
            bench.turn(1.0)
        assert bench.due - bench.now > 1.0
        bench.routing.listeners[0]([NeighbourAcquired("bw-c", OTHERS)])
        assert bench.due - bench.now <= 0.5

    on_bench(monkeypatch, talk)


def test_without_links_nothing_is_looked_at_until_a_neighbour_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    def talk(bench: Bench) -> None:
        known, bench.routing.known = bench.routing.known, []
        for _ in range(20):
            bench.turn(1.0)
        assert bench.due - bench.now == pytest.approx(10.0)
        bench.routing.known = known
        bench.routing.listeners[0]([NeighbourAcquired("bw-b", THEIRS)])
        assert bench.due - bench.now <= 0.5
        bench.turn(0.5)
        assert "bw-b" in bench.watch.links

    on_bench(monkeypatch, talk)


def test_an_idle_link_is_found_dead_by_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    def talk(bench: Bench) -> None:
        bench.turn(0.6)
        bench.turn(0.6)
        asked = len(bench.echo.asked)
        for _ in range(120):
            bench.turn(0.5)
        assert len(bench.echo.asked) == asked, "it is idle"
        bench.echo.answering = False
        bench.watch.suspect("bw-b", "icmp")
        assert bench.due == bench.now, "it is asked at once"
        # A Hello that came before the hint does not speak for the link.
        bench.routing.received["bw-b"] = 1
        bench.turn(0.0)
        for _ in range(20):
            bench.turn()
        assert "probes" in bench.routing.failed["bw-b"]
        assert hints(bench) == {"hint.icmp": 1}
        bench.watch.suspect("bw-b", "icmp")
        assert hints(bench) == {"hint.icmp": 1, "hint_ignored.known": 1}

    on_bench(monkeypatch, talk)


def test_a_forged_hint_about_a_living_link_costs_a_probe_or_two_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def talk(bench: Bench) -> None:
        bench.turn(0.6)
        bench.turn(0.6)
        asked = len(bench.echo.asked)
        for _ in range(1000):  # ten seconds
            bench.watch.suspect("bw-b", "icmp")
            bench.turn(0.01)
        assert not bench.routing.failed
        assert bench.watch.links["bw-b"].detector.state is State.ALIVE
        assert 10 <= len(bench.echo.asked) - asked <= 20
        assert hints(bench)["hint.icmp"] == 10
        assert hints(bench)["hint_ignored.too-often"] >= 980

    on_bench(monkeypatch, talk)


def test_a_hint_counts_only_where_an_answer_can_be_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    def talk(bench: Bench) -> None:
        bench.watch.suspect("bw-b", "icmp")
        assert hints(bench) == {"hint_ignored.not-watched": 1}
        bench.echo.answering = False
        bench.turn(0.6)
        bench.watch.suspect("bw-b", "handshake")
        for _ in range(40):
            bench.turn()
        assert not bench.routing.failed, "it never answered a probe"
        assert hints(bench)["hint.handshake"] == 1
        bench.turn(2.0)
        bench.watch.suspect("bw-b", "handshake")
        bench.turn()
        assert hints(bench)["hint_ignored.not-asked"] == 1
        bench.watch.configure(0.0)
        bench.watch.suspect("bw-b", "icmp")
        assert hints(bench)["hint_ignored.not-watched"] == 2

    on_bench(monkeypatch, talk)


def test_a_hint_about_a_link_that_goes_meanwhile_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def talk(bench: Bench) -> None:
        bench.turn(0.6)
        bench.watch.suspect("bw-b", "icmp")
        del bench.watch.links["bw-b"]
        bench.routing.known = []
        bench.turn()
        assert hints(bench) == {"hint_ignored.not-asked": 1}

    on_bench(monkeypatch, talk)
