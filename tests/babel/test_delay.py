"""The delay of links (RFC 9616): stamps, samples, what they cost, and Hellos out of turn while traffic flows."""

from dataclasses import replace
from itertools import pairwise

import pytest

from babelwg.babel.datagram import Datagram
from babelwg.babel.operation.delay import compute_penalty
from babelwg.babel.parameters import GROUP, PORT, InterfaceParameters
from babelwg.babel.wire.encode import PacketWriter
from babelwg.babel.wire.tlv import INFINITY, Hello, Ihu, SubTlv, Tlv, Update
from tests.babel.bench import OUR_ADDRESS, Bench, neighbour_address, tlvs_of

MODULUS = 1 << 32
TUNNEL = InterfaceParameters()


class Peer:
    """A neighbour with a clock of its own behind a link with a delay; it echoes what our speaker last said."""

    def __init__(self, found: Bench, offset: int = 0xFFFF_F000, name: str = "tun") -> None:
        self.found, self.name = found, name
        self.offset = offset
        self.flying: list[tuple[float, int]] = []  # when a stamp of ours arrives, and which
        self.heard: tuple[int, int] | None = None  # our latest stamp, and when it came by this clock
        self.delay = 0.005  # seconds one way

    def clock(self, moment: float) -> int:
        return (round(moment * 1e6) + self.offset) % MODULUS

    def listen(self, datagrams: list[tuple[float, Datagram]]) -> None:
        """Hear what our speaker sent, each datagram at its moment."""
        for moment, datagram in datagrams:
            for tlv in tlvs_of(datagram):
                if isinstance(tlv, Hello) and tlv.sub_tlvs and datagram.interface == self.name:
                    stamp = int.from_bytes(tlv.sub_tlvs[0].body[:4], "big")
                    self.flying.append((moment + self.delay, stamp))
        self.hear()

    def hear(self) -> None:
        """Take note of what has arrived by the time at which a packet of ours that arrives now has left."""
        while self.flying and self.flying[0][0] <= self.found.now - self.delay:
            moment, stamp = self.flying.pop(0)
            self.heard = stamp, self.clock(moment)

    def speak(self, hello: Hello | None = None, *others: Tlv, ihu_first: bool = False) -> None:
        """Send a stamped Hello with an IHU that echoes; it arrives now."""
        hello = hello or self.found.hello(1, self.name)
        stamp = self.clock(self.found.now - self.delay).to_bytes(4, "big")
        self.hear()
        stamped = replace(hello, sub_tlvs=(SubTlv(3, stamp),))
        ihu = self.found.ihu()
        if self.heard is not None:
            body = b"".join(part.to_bytes(4, "big") for part in self.heard)
            ihu = replace(ihu, sub_tlvs=(SubTlv(3, body),))
        tlvs = (ihu, stamped) if ihu_first else (stamped, ihu)
        self.found.receive([*tlvs, *others], 1, self.name)

    def talk(self, seconds: float, interval: float = 4.0, **keywords: bool) -> None:
        """Let time pass with our speaker's and this neighbour's Hellos."""
        end = self.found.now + seconds
        while self.found.now < end - 1e-6:
            self.listen(self.found.wait_datagrams(min(interval, end - self.found.now)))
            self.speak(**keywords)


def bench(parameters: InterfaceParameters = TUNNEL) -> tuple[Bench, Peer]:
    found = Bench()
    found.interface("tun", parameters)
    return found, Peer(found)


def stamps_of(datagram: Datagram) -> list[tuple[str, bytes]]:
    """Return the kind of each stamped TLV of a datagram, and its stamps."""
    tlvs = [t for t in tlvs_of(datagram) if isinstance(t, Hello | Ihu)]
    return [(type(t).__name__, s.body) for t in tlvs for s in t.sub_tlvs if s.type == 3]


@pytest.mark.conformance("R3.2-1", "R3.2-3", "R3.2-4", "R3.1-1")
def test_every_hello_is_stamped_and_ihus_beside_it_echo_what_was_heard() -> None:
    found, peer = bench()
    datagrams = found.wait_datagrams(9)
    assert all(len(stamps_of(d)) == 1 for _, d in datagrams if any(isinstance(t, Hello) for t in tlvs_of(d)))
    said, heard_at = peer.clock(found.now - peer.delay), found.now
    peer.speak()
    for _ in range(12):
        for when, datagram in found.wait_datagrams(4):
            kinds = [kind for kind, _ in stamps_of(datagram)]
            hellos = [t for t in tlvs_of(datagram) if isinstance(t, Hello)]
            assert kinds.count("Hello") == len(hellos)
            assert "Ihu" not in kinds or "Hello" in kinds
            for kind, body in stamps_of(datagram):
                if kind == "Ihu":
                    assert body[:4] == said.to_bytes(4, "big")
                    hello = next(b for k, b in stamps_of(datagram) if k == "Hello")
                    held = int.from_bytes(hello, "big") - int.from_bytes(body[4:], "big")
                    assert held % MODULUS == pytest.approx((when - heard_at) * 1e6, abs=2)
        said, heard_at = peer.clock(found.now - peer.delay), found.now
        peer.speak()
    assert found.speaker.counters["rtt_discarded.negative"] == 0


@pytest.mark.conformance("R3.2-3")
def test_an_ihu_without_a_hello_beside_it_has_no_stamps() -> None:
    found, peer = bench()
    found.wait(1)
    peer.speak()
    (datagram,) = [d for d in found.datagrams() if any(isinstance(t, Ihu) for t in tlvs_of(d))]
    assert [kind for kind, _ in stamps_of(datagram)] == ["Hello", "Ihu"]
    # The neighbour falls silent, and hears at once that it is not heard any more.
    sent = [d for _, d in found.wait_datagrams(20)]
    alone = [d for d in sent if not any(isinstance(t, Hello) for t in tlvs_of(d))]
    assert [t.rxcost for d in alone for t in tlvs_of(d) if isinstance(t, Ihu)] == [INFINITY]
    assert not any(stamps_of(d) for d in alone)
    peer.speak()
    found.speaker.set_interface("tun", replace(TUNNEL, timestamps=False), OUR_ADDRESS, found.now)
    assert not any(stamps_of(d) for _, d in found.wait_datagrams(20))


@pytest.mark.conformance("R3.2-2", "R3.2-5", "R3.3-4", "R4.1-1")
@pytest.mark.parametrize("ihu_first", [False, True])
@pytest.mark.parametrize("delay", [0.0001, 0.005, 0.2])
def test_the_delay_is_what_four_stamps_say_on_clocks_that_wrap(delay: float, ihu_first: bool) -> None:
    found, peer = bench()
    found.speaker._state.clock_origin = MODULUS - round(1010 * 1e6) % MODULUS
    peer.offset = -round(1020 * 1e6) % MODULUS
    peer.delay = delay
    peer.talk(40, ihu_first=ihu_first)
    assert found.neighbour().rtt == pytest.approx(2 * delay, abs=5e-6)
    assert not [name for name in found.speaker.counters if name.startswith("rtt_discarded")]


@pytest.mark.conformance("R3.2-6")
def test_the_time_of_arrival_is_the_kernels() -> None:
    found, peer = bench()
    peer.talk(12)
    stamped = replace(found.hello(), sub_tlvs=(SubTlv(3, peer.clock(found.now).to_bytes(4, "big")),))
    writer = PacketWriter(1000, neighbour_address(1))
    writer.add(stamped)
    source, to = (neighbour_address(1), PORT), (GROUP, PORT)
    datagram = Datagram(writer.packet(), source, to, "tun", found.now - 0.5)
    found.speaker.receive_datagram(datagram, found.now)
    state = found.speaker._state
    (neighbour,) = state.interfaces["tun"].neighbours.values()
    moment = (round((found.now - 0.5) * 1e6) + state.clock_origin) % MODULUS
    assert neighbour.round_trip.received == moment


@pytest.mark.conformance("R3.3-1", "R3.3-2", "R3.3-3")
@pytest.mark.parametrize(
    ("origin", "echoed", "departure", "reason"),
    [
        (+10, 0, 0, "origin-age"),  # seconds; our own stamp lies in the future
        (-181, 0, 0, "origin-age"),
        (-1, +5, 0, "hello-age"),  # heard after it spoke
        (-1, -200, 0, "hello-age"),
        (-1, -0.5, -50, "hello-age"),  # older than what it said before
        (-0.1, -0.5, 0, "negative"),
    ],
)
def test_stamps_that_make_no_sense_are_recorded_and_give_no_sample(
    origin: float, echoed: float, departure: float, reason: str
) -> None:
    found, peer = bench()
    peer.talk(20)
    before = found.neighbour()
    state = found.speaker._state
    ours = (round((found.now + origin) * 1e6) + state.clock_origin) % MODULUS
    theirs = peer.clock(found.now + echoed)
    left = peer.clock(found.now + departure)
    hello = replace(found.hello(), sub_tlvs=(SubTlv(3, left.to_bytes(4, "big")),))
    body = ours.to_bytes(4, "big") + theirs.to_bytes(4, "big")
    found.receive([hello, replace(found.ihu(), sub_tlvs=(SubTlv(3, body),))])
    after = found.neighbour()
    assert (after.rtt, after.penalty, after.cost) == (before.rtt, before.penalty, before.cost)
    assert found.speaker.counters[f"rtt_discarded.{reason}"] == 1
    (neighbour,) = state.interfaces["tun"].neighbours.values()
    assert neighbour.round_trip.origin == left


@pytest.mark.conformance("R3.3-3")
def test_a_hello_much_newer_than_the_recorded_one_gives_no_sample() -> None:
    found, peer = bench()
    peer.talk(20)
    peer.offset = (peer.offset + round(300 * 1e6)) % MODULUS  # it has another clock now
    assert peer.heard is not None
    peer.heard = peer.heard[0], (peer.heard[1] + round(300 * 1e6)) % MODULUS
    peer.speak()
    assert found.speaker.counters["rtt_discarded.hello-age"] == 1
    peer.talk(4)
    assert found.speaker.counters["rtt_discarded.hello-age"] == 1


@pytest.mark.conformance("R3.2-5")
@pytest.mark.parametrize("what", ["no hello stamp", "no ihu stamp", "other address", "ihu alone"])
def test_a_packet_that_lacks_a_part_gives_no_sample(what: str) -> None:
    found, peer = bench()
    peer.listen(found.wait_datagrams(5))
    peer.speak()
    peer.listen(found.wait_datagrams(5))
    known = found.neighbour().rtt
    (neighbour,) = found.speaker._state.interfaces["tun"].neighbours.values()
    neighbour.round_trip.forget()
    assert known is not None
    assert peer.heard is not None
    body = b"".join(part.to_bytes(4, "big") for part in peer.heard)
    hello = replace(found.hello(), sub_tlvs=(SubTlv(3, peer.clock(found.now).to_bytes(4, "big")),))
    ihu = replace(found.ihu(), sub_tlvs=(SubTlv(3, body),))
    packets: dict[str, list[Tlv]] = {
        "no hello stamp": [replace(hello, sub_tlvs=()), ihu],
        "no ihu stamp": [hello, replace(ihu, sub_tlvs=())],
        "other address": [hello, replace(ihu, address=neighbour_address(9))],
        "ihu alone": [ihu],
    }
    found.receive(packets[what])
    assert found.neighbour().rtt is None


@pytest.mark.conformance("R6.1-1", "R6.2-1")
def test_octets_after_the_stamps_are_ignored() -> None:
    found, peer = bench()
    peer.listen(found.wait_datagrams(5))
    assert peer.heard is not None
    for _ in range(2):
        hello = SubTlv(3, peer.clock(found.now - 0.005).to_bytes(4, "big") + b"\xff\xff")
        ihu = SubTlv(3, b"".join(part.to_bytes(4, "big") for part in peer.heard) + b"\xff")
        found.receive(
            [replace(found.hello(), sub_tlvs=(hello,)), replace(found.ihu(), sub_tlvs=(SubTlv(9, b"?"), ihu))]
        )
    assert found.neighbour().rtt == pytest.approx(0.01, abs=1e-5)


@pytest.mark.conformance("R6.1-2", "R6.2-2")
@pytest.mark.parametrize("size", [0, 1, 3, 4, 7])
def test_stamps_that_are_too_short_are_counted_and_their_tlvs_kept(size: int) -> None:
    found, _ = bench()
    hello = SubTlv(3, bytes(min(size, 3)))
    ihu = SubTlv(3, bytes(size))
    found.receive([replace(found.hello(), sub_tlvs=(hello,)), replace(found.ihu(77), sub_tlvs=(ihu,))])
    assert (found.neighbour().reach, found.neighbour().txcost, found.neighbour().rtt) == (1, 77, None)
    assert found.speaker.counters["sub_tlv_ignored.short-timestamp"] == 1
    stamped = replace(found.hello(), sub_tlvs=(SubTlv(3, bytes(4)),))
    found.receive([stamped, replace(found.ihu(78), sub_tlvs=(ihu,))])
    assert (found.neighbour().txcost, found.neighbour().rtt) == (78, None)
    assert found.speaker.counters["sub_tlv_ignored.short-timestamp"] == 2


@pytest.mark.conformance("R4.2-1")
@pytest.mark.parametrize(
    ("rtt", "penalty"), [(0.0, 0), (0.005, 0), (0.01, 0), (0.065, 75), (0.12, 150), (0.5, 150), (9.0, 150)]
)
def test_the_penalty_grows_with_the_delay_and_is_bounded(rtt: float, penalty: int) -> None:
    assert compute_penalty(TUNNEL, rtt) == penalty
    assert compute_penalty(replace(TUNNEL, max_rtt_penalty=0), rtt) == 0
    assert compute_penalty(replace(TUNNEL, rtt_min=0.2, rtt_max=0.2), rtt) == (0 if rtt <= 0.2 else 150)


def test_a_link_without_loss_and_delay_costs_exactly_96_and_all_that_is_added_is_bounded() -> None:
    found, peer = bench()
    peer.talk(80)
    assert (found.neighbour().cost, found.neighbour().penalty) == (96, 0)
    peer.delay = 0.5
    peer.talk(400)
    assert (found.neighbour().cost, found.neighbour().penalty) == (246, 150)
    expensive = replace(TUNNEL, cost=65000, max_rtt_penalty=60000)
    found.speaker.set_interface("tun", expensive, OUR_ADDRESS, found.now)
    assert (found.neighbour().cost, found.neighbour().penalty) == (65534, 60000)


@pytest.mark.conformance("R4.1-1", "R4.1-2")
def test_a_sample_weighs_42_of_256_and_many_in_a_short_time_weigh_no_more_together() -> None:
    found, peer = bench()
    peer.talk(40)
    peer.delay = 0.105
    peer.talk(4)
    assert found.neighbour().rtt == pytest.approx(0.010 + 0.2 * 42 / 256, abs=1e-4)
    close, spaced = [], []
    for results, interval in ((spaced, 0.4), (close, 0.1)):
        found, peer = bench()
        peer.talk(40)
        peer.delay = 0.105
        # Between two of its packets our speaker says little, so that all echo the same Hello.
        peer.listen(found.wait_datagrams(4))
        peer.speak(replace(found.hello(), interval=0.0))
        for _ in range(round(2.0 / interval)):
            found.wait(interval)
            peer.speak(replace(found.hello(), interval=0.0))
        results.append(found.neighbour().rtt)
    assert close[0] == pytest.approx(spaced[0], rel=0.05)


def test_the_first_samples_of_a_slow_start_do_not_count_once_a_smaller_one_came() -> None:
    found, peer = bench()
    peer.delay = 0.05
    peer.talk(4)
    assert found.neighbour().rtt == pytest.approx(0.1, abs=1e-3)
    peer.delay = 0.001
    peer.talk(16)
    assert found.neighbour().rtt < 0.003


@pytest.mark.parametrize("found_dead", ["by probes", "by silence"])
def test_what_lay_while_the_link_was_dead_says_nothing_of_its_delay(found_dead: str) -> None:
    found, peer = bench()
    peer.talk(40)
    before = found.neighbour()
    (measured,) = (n.round_trip for n in found.speaker._state.interfaces["tun"].neighbours.values())
    samples = measured.samples
    peer.listen(found.wait_datagrams(4))
    peer.delay = 9.0  # of what waits for a new session
    if found_dead == "by probes":
        found.speaker.fail_link("tun", "8 probes in 120 ms were not answered", found.now)
    peer.listen(found.wait_datagrams(18))
    peer.hear()
    assert found.neighbour().cost == INFINITY
    peer.speak(replace(found.hello(), interval=0.0))
    found.speaker.restore_link("tun", found.now)
    peer.speak()
    peer.delay = 0.005
    peer.talk(12)
    assert found.neighbour().cost == 96
    assert found.neighbour().rtt == pytest.approx(before.rtt, abs=1e-4)
    assert measured.samples > samples
    assert found.speaker.counters["rtt_discarded.dead-link"] >= 2


def test_what_a_former_life_stamped_says_nothing_of_the_delay() -> None:
    # The neighbour repeats a stamp of a clock with another origin, by chance one that is not too old.
    found, peer = bench()
    ours = (round((found.now - 100) * 1e6) + found.speaker._state.clock_origin) % MODULUS
    peer.heard = ours, peer.clock(found.now - 0.01)
    peer.speak()
    assert (found.neighbour().rtt, found.neighbour().cost) == (None, 96)
    assert found.speaker.counters["rtt_discarded.former-life"] == 1
    peer.talk(8)
    assert found.neighbour().rtt == pytest.approx(0.01, abs=1e-4)


def test_a_delay_that_is_measured_no_more_is_forgotten_after_three_minutes() -> None:
    found, peer = bench()
    peer.delay = 0.05
    peer.talk(100)
    assert found.neighbour().penalty == compute_penalty(TUNNEL, found.neighbour().rtt)
    assert found.neighbour().cost > 200
    found.keep(seconds=176)
    assert found.neighbour().rtt is not None
    found.keep(seconds=8)
    assert (found.neighbour().rtt, found.neighbour().penalty, found.neighbour().cost) == (None, None, 96)


@pytest.mark.conformance("R5-1", "R8-1")
def test_without_timestamps_nothing_is_stamped_measured_or_probed() -> None:
    found, peer = bench(replace(TUNNEL, timestamps=False))
    peer.heard = 0, 0
    for _ in range(20):
        found.speaker.note_traffic("tun", found.now)
        assert not any(stamps_of(d) for _, d in found.wait_datagrams(2))
        peer.speak(replace(found.hello(), interval=0.0))
        peer.speak()
    assert found.neighbour().rtt is None
    assert not [name for name in found.speaker.counters if name.startswith("rtt_")]


def unscheduled(datagrams: list[tuple[float, Datagram]]) -> list[float]:
    """Return when Hellos out of turn were sent; each must have an IHU beside it."""
    times = []
    for when, datagram in datagrams:
        tlvs = tlvs_of(datagram)
        if any(isinstance(t, Hello) and not t.interval for t in tlvs):
            assert any(isinstance(t, Ihu) for t in tlvs)
            assert not any(t.unicast for t in tlvs if isinstance(t, Hello))
            times.append(when)
    return times


@pytest.mark.conformance("R3.2-3", "B3.4.1-5", "B3.4.2-7")
def test_probes_leave_while_traffic_flows_and_an_idle_tunnel_sends_none() -> None:
    found, peer = bench()
    peer.talk(20)
    assert unscheduled(found.wait_datagrams(4)) == []
    times: list[float] = []
    for _ in range(20):
        found.speaker.note_traffic("tun", found.now)
        times += unscheduled(found.wait_datagrams(1))
        peer.speak(replace(found.hello(), interval=0.0))
        peer.speak()
    assert all(0.3 < later - earlier < 0.9 for earlier, later in pairwise(times))
    assert len(times) > 40
    found.wait(3.1)
    assert unscheduled(found.wait_datagrams(60)) == []


def test_a_neighbour_that_never_probes_is_probed_little() -> None:
    found, peer = bench()
    peer.talk(20)
    times: list[float] = []
    for _ in range(300):
        found.speaker.note_traffic("tun", found.now)
        times += unscheduled(found.wait_datagrams(1))
        if found.now % 4 < 1:
            peer.speak()
    assert len(times) == 5 + 4


def test_a_probe_is_answered_once_and_answers_are_not() -> None:
    found, peer = bench()
    peer.talk(20)
    found.wait(1)
    peer.speak(replace(found.hello(), interval=0.0))
    answers = unscheduled(found.wait_datagrams(2))
    assert len(answers) == 1
    # Many at once are not answered one by one.
    for _ in range(50):
        peer.speak(replace(found.hello(), interval=0.0))
    assert len(unscheduled(found.wait_datagrams(1))) == 1
    # While we probe ourselves, nothing more needs to be said.
    found.speaker.note_traffic("tun", found.now)
    count = 0
    for _ in range(10):
        count += len(unscheduled(found.wait_datagrams(0.2)))
        peer.speak(replace(found.hello(), interval=0.0))
    assert count <= 6


def test_an_answer_that_comes_late_is_answered_no_more() -> None:
    found, peer = bench()
    peer.delay = 0.4
    peer.talk(20)
    found.wait(3)
    peer.speak(replace(found.hello(), interval=0.0))
    assert len(unscheduled(found.wait_datagrams(0.8))) == 1
    # Our answer has reached the neighbour, and what it says of it has just come back.
    peer.speak(replace(found.hello(), interval=0.0))
    assert unscheduled(found.wait_datagrams(0.8)) == []


def test_a_neighbour_that_stamps_nothing_is_neither_probed_nor_answered() -> None:
    found, _ = bench()
    found.meet()
    sent = []
    for _ in range(10):
        found.speaker.note_traffic("tun", found.now)
        found.receive([replace(found.hello(), interval=0.0), found.ihu()])
        sent += found.wait_datagrams(1)
    assert unscheduled(sent) == []


def test_a_tunnel_that_is_avoided_for_its_delay_is_watched_while_traffic_flows_elsewhere() -> None:
    found, peer = bench()
    peer.delay = 0.05
    found.interface("other")
    found.meet(2, "other", hellos=16)
    peer.talk(60)
    assert found.neighbour().penalty > 0
    on_slow: list[float] = []
    for _ in range(10):
        found.speaker.note_traffic("other", found.now)
        on_slow += unscheduled([(w, d) for w, d in found.wait_datagrams(1) if d.interface == "tun"])
        peer.speak(replace(found.hello(), interval=0.0))
    assert 8 <= len(on_slow) <= 12


@pytest.mark.conformance("SS6-1", "BF-1")
def test_speakers_of_rfc_6126_are_sent_no_hellos_out_of_turn() -> None:
    found, peer = bench(replace(TUNNEL, rfc6126_compatible=True))
    peer.talk(20)
    sent = []
    for _ in range(20):
        found.speaker.note_traffic("tun", found.now)
        peer.speak(replace(found.hello(), interval=0.0))
        peer.speak()
        sent += found.wait_datagrams(1)
    assert unscheduled(sent) == []
    assert not any(t.unicast for _, d in sent for t in tlvs_of(d) if isinstance(t, Hello))


def test_hellos_out_of_turn_say_nothing_about_loss_and_end_no_link() -> None:
    found, _ = bench()
    found.meet(hellos=16)
    for _ in range(10):
        for number in range(8):
            hello = replace(found.hello(), interval=0.0)
            if number % 3 == 0:  # two of three of them are lost
                found.receive([hello, found.ihu()])
            found.wait(0.5)
        found.receive([found.hello(), found.ihu()])
    assert (found.neighbour().reach, found.neighbour().cost) == (0xFFFF, 96)
    # A Hello that was promised and did not come counts as before.
    found.hello()
    for _ in range(14):
        found.wait(0.5)
        found.receive([replace(found.hello(), interval=0.0)])
    assert found.neighbour().reach == 0xFFFE
    found.receive([found.hello(), found.ihu()])
    assert found.neighbour().reach == 0xFFFD


def test_stamps_from_strangers_on_a_lan_are_bounded_like_any_hello() -> None:
    found, _ = bench()
    for number in range(9):
        found.receive(
            [Hello(1, 0.0, False, (SubTlv(3, bytes(4)),)), Update(None, None, 0, INFINITY, 1, None)], number
        )
    assert len(found.snapshot().neighbours) == 2
