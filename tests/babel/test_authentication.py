"""Who is believed on an interface with keys: a live speaker, a neighbour played by the test (RFC 8967, RFC 9467)."""

from collections.abc import Iterable
from dataclasses import replace
from random import Random

import pytest

from babelwg.babel.datagram import Datagram
from babelwg.babel.memory import Memory
from babelwg.babel.operation.authentication import ASSOCIATION_LIFETIME
from babelwg.babel.parameters import GROUP, PORT, InterfaceParameters, Parameters
from babelwg.babel.speaker import Speaker
from babelwg.babel.tables.association import MAX_COUNTER, WINDOW, CounterWindow
from babelwg.babel.wire.encode import PacketWriter
from babelwg.babel.wire.mac import (
    Credentials,
    MacKey,
    compute_mac,
    is_authentic,
    macs_of,
    read_credentials,
    seal,
)
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import ChallengeReply, ChallengeRequest, Hello, RouteRequest, Tlv
from tests.babel.bench import OUR_ADDRESS, Bench, neighbour_address, tlvs_of, update
from tests.babel.test_two_speakers import carry

SHA = MacKey("old", "hmac-sha256", bytes(range(32)))
BLAKE = MacKey("new", "blake2s128", bytes(range(32)))
STRANGE = MacKey("strange", "hmac-sha256", bytes(32))
LAN = InterfaceParameters.wired()
THEIRS = neighbour_address(1)
PEER, OURS, ALL = (THEIRS, PORT), (OUR_ADDRESS, PORT), (GROUP, PORT)


class Neighbour:
    """A neighbour that signs what the test has it say, and remembers what it was sent."""

    def __init__(self, bench: Bench, keys: tuple[MacKey, ...] = (SHA,), name: str = "lan") -> None:
        self.bench = bench
        self.keys = keys
        self.name = name
        self.index = b"neighbor"
        self.counter = 0
        self.recorded: list[Datagram] = []

    def octets(self, tlvs: Iterable[Tlv | ChallengeRequest | ChallengeReply], to: tuple[bytes, int]) -> bytes:
        writer = PacketWriter(1200, THEIRS)
        for tlv in tlvs:
            assert writer.add(tlv)
        self.counter += 1
        return seal(writer.packet(), self.counter, self.index, self.keys, PEER, to)

    def say(self, *tlvs: Tlv | ChallengeRequest | ChallengeReply, to: tuple[bytes, int] = ALL) -> None:
        """Send a packet that is signed as it should be."""
        self.deliver(self.octets(tlvs, to), to)

    def deliver(self, data: bytes, to: tuple[bytes, int] = ALL) -> None:
        datagram = Datagram(data, PEER, to, self.name, self.bench.now)
        self.recorded.append(datagram)
        self.bench.speaker.receive_datagram(datagram, self.bench.now)

    def replay(self, datagram: Datagram) -> None:
        self.bench.speaker.receive_datagram(replace(datagram, received=self.bench.now), self.bench.now)

    def told(self) -> list[Credentials]:
        """Return the credentials of what the speaker sends to this neighbour alone, by now."""
        sent = [d for d in self.bench.datagrams() if d.destination == PEER]
        return [read_credentials(d.data[4 : 4 + int.from_bytes(d.data[2:4], "big")]) for d in sent]

    def challenged(self) -> bytes | None:
        """Return the nonce of the challenge that the speaker sends now."""
        return next((found.challenge for found in self.told() if found.challenge is not None), None)

    def prove(self) -> None:
        """Go through the challenge."""
        self.say(self.bench.hello(1, self.name))
        nonce = self.challenged()
        assert nonce is not None
        self.say(ChallengeReply(nonce), to=OURS)

    def meet(self) -> None:
        """Prove ourselves and become reachable."""
        self.prove()
        self.say(self.bench.hello(1, self.name), self.bench.ihu())
        self.bench.sent()


def bench(keys: tuple[MacKey, ...] = (SHA,), **options: bool) -> Bench:
    found = Bench()
    found.interface("lan", replace(LAN, keys=keys, **options))
    return found


def counted(found: Bench, reason: str) -> int:
    return found.speaker.counters.get(f"packet_dropped.{reason}", 0)


def believed(found: Bench) -> bool:
    """Return whether the neighbour has an entry in the tables."""
    return bool(found.snapshot().neighbours)


@pytest.mark.conformance("M4.3-1", "M4.3-3", "M6.1-1")
@pytest.mark.parametrize("body_mac", [b"", b"\x10\x20" + bytes(32)])
def test_packet_without_a_mac_in_its_trailer_is_dropped(body_mac: bytes) -> None:
    found = bench()
    hello = bytes.fromhex("0406000000010190") + body_mac
    Neighbour(found).deliver(b"\x2a\x02" + len(hello).to_bytes(2, "big") + hello)
    assert counted(found, "mac-missing") == 1
    assert not believed(found)
    assert not [d for d in found.datagrams() if d.destination == PEER]


@pytest.mark.conformance("M4.3-2", "M4.3-3")
def test_packet_with_a_wrong_mac_is_dropped_in_silence() -> None:
    found = bench()
    neighbour = Neighbour(found, (STRANGE,))
    neighbour.say(found.hello(1, "lan"))
    assert counted(found, "mac-wrong") == 1
    assert not believed(found)
    assert neighbour.told() == []


@pytest.mark.conformance("M4.3-2")
def test_packet_reflected_to_its_sender_or_sent_elsewhere_is_not_authentic() -> None:
    found = bench()
    neighbour = Neighbour(found)
    neighbour.meet()
    ours = next(d for _, d in found.wait_datagrams(5) if d.destination == ALL)
    neighbour.deliver(ours.data)
    assert counted(found, "mac-wrong") == 1
    neighbour.deliver(neighbour.octets([found.hello(1, "lan")], ALL), to=OURS)
    assert counted(found, "mac-wrong") == 2


@pytest.mark.conformance("M4.3-8")
def test_packet_without_a_counter_is_dropped() -> None:
    found = bench()
    neighbour = Neighbour(found)
    sealed = neighbour.octets([found.hello(1, "lan")], ALL)
    end = 4 + int.from_bytes(sealed[2:4], "big")
    bare = sealed[:2] + (end - 4 - 14).to_bytes(2, "big") + sealed[4 : end - 14]
    neighbour.deliver(bare + b"\x10\x20" + compute_mac(SHA, bare, PEER, ALL))
    assert counted(found, "mac-no-packet-counter") == 1
    assert not believed(found)


@pytest.mark.conformance("M4.3-10", "M4.3.1.1-1", "M3.1-1", "M3.2-1")
def test_unknown_index_is_challenged_at_the_neighbours_address_and_dropped() -> None:
    found = bench()
    neighbour = Neighbour(found)
    neighbour.say(found.hello(1, "lan"))
    assert counted(found, "mac-unproven-index") == 1
    assert not believed(found)
    (told,) = neighbour.told()
    assert told.challenge is not None
    assert len(told.challenge) == 8


@pytest.mark.conformance("M4.3-9", "M4.3-12", "MR3.1-2", "M4.3.1.3-3", "M4.3-5", "B6-1", "B6-2")
def test_neighbour_is_believed_once_it_has_answered_the_challenge() -> None:
    found = bench()
    neighbour = Neighbour(found)
    neighbour.counter = 5000
    neighbour.prove()
    assert not believed(found)
    neighbour.say(found.hello(1, "lan"))
    assert believed(found)
    neighbour.say(found.ihu(), to=OURS)
    assert found.neighbour(1, "lan").txcost == 96  # type: ignore[union-attr]
    assert neighbour.challenged() is None


@pytest.mark.conformance("M4.3-9")
def test_reply_itself_is_accepted_with_what_stands_beside_it() -> None:
    found = bench()
    neighbour = Neighbour(found)
    neighbour.say(found.hello(1, "lan"))
    nonce = neighbour.challenged()
    assert nonce is not None
    neighbour.say(found.hello(1, "lan"), ChallengeReply(nonce), to=OURS)
    assert believed(found)


@pytest.mark.conformance("M4.3.1.3-1", "M4.3.1.3-2", "M4.3.1.3-3")
def test_wrong_answer_fails_and_the_right_one_still_counts() -> None:
    found = bench()
    neighbour = Neighbour(found)
    neighbour.say(found.hello(1, "lan"))
    nonce = neighbour.challenged()
    assert nonce is not None
    for wrong in (nonce[:-1], nonce + b"\0", bytes(8), b""):
        neighbour.say(found.hello(1, "lan"), ChallengeReply(wrong), to=OURS)
        assert not believed(found)
    neighbour.say(found.hello(1, "lan"), ChallengeReply(nonce), to=OURS)
    assert believed(found)
    neighbour.index = b"another1"
    neighbour.say(found.hello(1, "lan"), ChallengeReply(nonce), to=OURS)
    assert counted(found, "mac-unproven-index") == 6


@pytest.mark.conformance("M4.3.1.3-1")
def test_answer_after_thirty_seconds_is_too_late() -> None:
    found = bench()
    neighbour = Neighbour(found)
    neighbour.say(found.hello(1, "lan"))
    nonce = neighbour.challenged()
    assert nonce is not None
    found.wait(30.1)
    neighbour.say(found.hello(1, "lan"), ChallengeReply(nonce), to=OURS)
    assert not believed(found)


@pytest.mark.conformance("M4.3-11", "MR3.1-3")
def test_replayed_packet_is_dropped_and_not_challenged() -> None:
    found = bench()
    neighbour = Neighbour(found)
    neighbour.meet()
    neighbour.say(update(Prefix.parse("2001:db8::/32")))
    before = found.snapshot()
    found.wait(1.0)
    for datagram in neighbour.recorded:
        neighbour.replay(datagram)
    assert counted(found, "mac-replayed") == len(neighbour.recorded) == 4
    assert neighbour.challenged() is None
    assert [(v.prefix, v.expires) for v in before.routes] == [
        (v.prefix, pytest.approx(v.expires + 1.0)) for v in found.snapshot().routes
    ]


@pytest.mark.conformance("M4.3-11")
def test_packets_recorded_before_a_restart_are_refused_after_it() -> None:
    found = bench()
    neighbour = Neighbour(found)
    neighbour.meet()
    neighbour.say(update(Prefix.parse("2001:db8::/32")))
    again = Bench(seed=2)  # nothing of authentication is stored
    again.interface("lan", replace(LAN, keys=(SHA,)))
    for datagram in neighbour.recorded:
        again.speaker.receive_datagram(datagram, again.now)
        again.sent()
        again.wait(0.5)
    assert not believed(again)
    assert again.snapshot().routes == ()
    assert counted(again, "mac-unproven-index") == len(neighbour.recorded)


@pytest.mark.conformance("M3.1-3", "M4.2-3", "M7-1")
def test_each_life_of_an_interface_has_an_index_of_its_own() -> None:
    def indices(found: Bench) -> set[bytes]:
        sent = [d for _, d in found.wait_datagrams(30)]
        return {read_credentials(d.data[4 : 4 + int.from_bytes(d.data[2:4], "big")]).index for d in sent}

    one, other = bench(), Bench(seed=2)
    other.interface("lan", replace(LAN, keys=(SHA,)))
    first = indices(one)
    one.speaker.remove_interface("lan", one.now)
    one.interface("lan", replace(LAN, keys=(SHA,)))
    lives = [first, indices(one), indices(other)]
    assert [len(life) for life in lives] == [1, 1, 1]
    assert len(set.union(*lives)) == 3
    assert all(len(index) == 8 for life in lives for index in life)


@pytest.mark.conformance("M4.2-2", "M4.2-3", "M4.2-5", "M4.2-6")
def test_every_packet_is_signed_with_all_keys_and_a_growing_counter() -> None:
    found = bench((SHA, BLAKE))
    neighbour = Neighbour(found, (SHA, BLAKE))
    neighbour.meet()
    found.speaker.announce(Prefix.parse("2001:db8::/32"), 0, found.now)
    neighbour.say(RouteRequest(None), to=OURS)
    datagrams = [d for _, d in found.wait_datagrams(30)]
    assert {d.destination for d in datagrams} == {PEER, ALL}
    counters = []
    for datagram in datagrams:
        end = 4 + int.from_bytes(datagram.data[2:4], "big")
        packet, trailer = datagram.data[:end], datagram.data[end:]
        assert packet.count(b"\x11\x0c") == 1
        assert len(macs_of(trailer)) == 2
        for key in (SHA, BLAKE):
            assert is_authentic(packet, trailer, [key], datagram.source, datagram.destination)
        counters.append(read_credentials(packet[4:]).counter)
    assert counters == sorted(set(counters))  # type: ignore[type-var]


@pytest.mark.conformance("M4.2-4")
def test_counter_that_would_overflow_gives_way_to_a_new_index() -> None:
    found = bench()
    interface = found.speaker._state.interfaces["lan"]
    old = interface.index
    interface.counter = MAX_COUNTER
    sent = [d for _, d in found.wait_datagrams(5)]
    credentials = read_credentials(sent[0].data[4 : 4 + int.from_bytes(sent[0].data[2:4], "big")])
    assert (credentials.counter, credentials.index != old) == (1, True)


@pytest.mark.conformance("M4.2-1")
def test_full_packets_have_room_for_counter_and_macs() -> None:
    found = bench((SHA, BLAKE))
    for number in range(300):
        found.speaker.announce(Prefix(6, b"\x20\x01" + number.to_bytes(14, "big"), 128), 0, found.now)
    neighbour = Neighbour(found, (SHA, BLAKE))
    neighbour.meet()
    neighbour.say(RouteRequest(None), to=OURS)
    sizes = [len(d.data) for _, d in found.wait_datagrams(3)]
    assert LAN.packet_size - 240 < max(sizes) <= LAN.packet_size


@pytest.mark.conformance("M4.3-7", "M4.3.1.2-1", "M4.3.1.2-3")
def test_challenge_is_answered_even_when_its_packet_is_dropped() -> None:
    found = bench()
    neighbour = Neighbour(found)
    neighbour.say(ChallengeRequest(b"nonce!"), to=OURS)
    assert counted(found, "mac-unproven-index") == 1
    told = neighbour.told()
    assert [reply for credentials in told for reply in credentials.replies] == [b"nonce!"]


@pytest.mark.conformance("M4.3.1.2-2")
def test_challenge_to_all_is_ignored() -> None:
    found = bench()
    neighbour = Neighbour(found)
    neighbour.say(ChallengeRequest(b"nonce!"))
    assert [credentials.replies for credentials in neighbour.told()] == [()]
    assert found.speaker.counters["challenge_ignored.multicast"] == 1


@pytest.mark.conformance("M4.3.1.2-4", "M4.3-13")
def test_challenges_are_answered_at_most_every_300_ms_and_replayed_ones_not_at_all() -> None:
    found = bench()
    neighbour = Neighbour(found)
    neighbour.meet()
    replies = []
    for _ in range(20):
        neighbour.say(ChallengeRequest(b"x"), to=OURS)
        replies += [reply for credentials in neighbour.told() for reply in credentials.replies]
        found.wait(0.1)
    assert 6 <= len(replies) <= 8
    found.wait(1.0)
    neighbour.replay(neighbour.recorded[-1])
    assert neighbour.told() == []


@pytest.mark.conformance("M4.3.1.1-2", "M4.3.1.1-3", "M7-1")
def test_challenges_have_new_nonces_and_leave_at_most_every_300_ms() -> None:
    found = bench()
    neighbour = Neighbour(found)
    nonces = []
    for _ in range(40):
        neighbour.say(found.hello(1, "lan"))
        nonces += [credentials.challenge for credentials in neighbour.told()]
        found.now += 0.05
    assert 6 <= len(nonces) <= 8
    assert len(set(nonces)) == len(nonces)


@pytest.mark.conformance("M4.4-1", "M4.4-2", "M4.4-3")
def test_index_is_forgotten_five_minutes_after_the_last_good_packet() -> None:
    found = bench()
    neighbour = Neighbour(found)
    neighbour.meet()
    silent_since = found.now
    index = neighbour.index
    while found.now < silent_since + ASSOCIATION_LIFETIME + 1:
        neighbour.index = b"wrong-ix"  # challenges that nobody answers prolong nothing
        neighbour.say(found.hello(1, "lan"))
        found.wait(10)
    neighbour.index = index
    before = counted(found, "mac-unproven-index")
    neighbour.say(found.hello(1, "lan"))
    assert counted(found, "mac-unproven-index") == before + 1
    assert not believed(found)


@pytest.mark.conformance("M4.4-1")
def test_index_stays_known_as_long_as_good_packets_come() -> None:
    found = bench()
    neighbour = Neighbour(found)
    neighbour.meet()
    before = counted(found, "mac-unproven-index")
    for _ in range(3):
        found.wait(ASSOCIATION_LIFETIME - 1)
        neighbour.say(found.hello(1, "lan"))
    assert counted(found, "mac-unproven-index") == before
    assert believed(found)


@pytest.mark.conformance("M4.4-1")
def test_associations_of_those_who_left_make_room_for_others() -> None:
    found = Bench(Parameters(max_neighbours_per_interface=2))
    found.interface("lan", replace(LAN, keys=(SHA,)))
    for number in (1, 2, 3):
        address = neighbour_address(number)
        writer = PacketWriter(1200, address)
        writer.add(Hello(1, 4.0))
        data = seal(writer.packet(), 1, b"index", [SHA], (address, PORT), ALL)
        found.speaker.receive_datagram(Datagram(data, (address, PORT), ALL, "lan", found.now), found.now)
        found.now += 1 if number == 1 else ASSOCIATION_LIFETIME - 0.5
    assert counted(found, "mac-association-limit") == 0
    assert len(found.speaker._state.interfaces["lan"].associations) == 2


def test_associations_are_bounded() -> None:
    found = Bench(Parameters(max_neighbours_per_interface=2))
    found.interface("lan", replace(LAN, keys=(SHA,)))
    for number in (1, 2, 3):
        address = neighbour_address(number)
        data = seal(b"\x2a\x02\0\0", 1, b"index", [SHA], (address, PORT), ALL)
        found.speaker.receive_datagram(Datagram(data, (address, PORT), ALL, "lan", found.now), found.now)
    assert counted(found, "mac-association-limit") == 1


@pytest.mark.conformance("M5-1", "M5-2", "M3.1-1")
def test_keys_change_without_losing_the_neighbour() -> None:
    found = bench((SHA,))
    neighbour = Neighbour(found, (SHA,))
    neighbour.meet()
    for keys, theirs in (((SHA, BLAKE), (SHA,)), ((SHA, BLAKE), (SHA, BLAKE)), ((BLAKE,), (BLAKE,))):
        found.speaker.set_interface("lan", replace(LAN, keys=keys), OUR_ADDRESS, found.now)
        neighbour.keys = theirs
        neighbour.say(found.hello(1, "lan"), found.ihu())
        assert believed(found)
    assert "neighbour-lost" not in found.events()
    assert [name for name in found.speaker.counters if name.startswith("packet_dropped.mac-wrong")] == []


@pytest.mark.conformance("M3.1-2")
def test_unproven_packets_are_taken_and_counted_while_keys_are_introduced() -> None:
    found = bench(accept_bad_signatures=True)
    plain = Neighbour(found)
    plain.deliver(bytes.fromhex("2a0200080406000000010190"))
    assert believed(found)
    assert found.speaker.counters["packet_accepted_unproven.mac-missing"] == 1
    signed = [d for _, d in found.wait_datagrams(5)]
    assert signed
    assert all(macs_of(d.data[4 + int.from_bytes(d.data[2:4], "big") :]) for d in signed)


@pytest.mark.conformance("M4.3-14", "M6.1-1")
def test_authentication_tlvs_are_no_complaint_to_the_parser() -> None:
    found = bench()
    neighbour = Neighbour(found)
    neighbour.meet()
    assert not [name for name in found.speaker.counters if name.startswith("tlv_dropped")]


@pytest.mark.conformance("MR3.1-1", "MR3.1-3", "MR3.1.1-1", "MR3.3-1")
def test_unicast_overtaken_by_multicast_is_still_accepted() -> None:
    found = bench()
    neighbour = Neighbour(found)
    neighbour.meet()
    late = neighbour.octets([found.ihu(rxcost=123)], OURS)
    for _ in range(WINDOW + 10):
        neighbour.say(Hello(0, 0.0))
    neighbour.deliver(late, to=OURS)
    assert found.neighbour(1, "lan").txcost == 123  # type: ignore[union-attr]
    assert counted(found, "mac-replayed") == 0
    neighbour.replay(neighbour.recorded[-1])
    assert counted(found, "mac-replayed") == 1


@pytest.mark.conformance("MR3.2-1", "MR3.2-2", "MR3.2-3")
@pytest.mark.parametrize(
    ("counters", "admitted"),
    [
        ([100], [False]),
        ([101, 101], [True, False]),
        ([99], [False]),
        ([1], [False]),
        ([102, 101, 101, 100], [True, True, False, False]),
        ([300, 200, 200, 173, 172], [True, True, False, True, False]),
        ([100 + WINDOW, 101, 100, 101], [True, True, False, False]),
        ([99 + WINDOW, 101, 100], [True, True, False]),
        ([0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFF80, 0xFFFFFF7F], [True, False, True, False]),
        ([10**6, 5], [True, False]),
    ],
)
def test_window_admits_each_counter_once(counters: list[int], admitted: list[bool]) -> None:
    window = CounterWindow(100)
    assert [window.admit(counter) for counter in counters] == admitted


@pytest.mark.parametrize("seed", range(20))
def test_two_speakers_with_keys_meet_and_exchange_routes(seed: int) -> None:
    prefix = Prefix.parse("2001:db8::/32")
    speakers = []
    for number, address in ((1, OUR_ADDRESS), (2, THEIRS)):
        router_id = bytes((2, 0, 0, 0, 0, 0, 0, number))
        speaker = Speaker(router_id, Parameters(), Random(seed * 2 + number), Memory(lost=False))
        speaker.add_interface("lan", replace(LAN, keys=(SHA, BLAKE)), address, 0.0)
        speakers.append(speaker)
    speakers[0].announce(prefix, 0, 0.0)
    carry(*speakers, 0.0, 12.0)
    assert [view.prefix for view in speakers[1].snapshot(12.0).routes if view.state == "selected"] == [prefix]


@pytest.mark.parametrize("seed", range(5))
def test_any_octets_in_and_around_a_signed_packet_are_survived(seed: int) -> None:
    found, rng = bench(), Random(seed)
    neighbour = Neighbour(found)
    neighbour.meet()
    good = neighbour.octets([found.hello(1, "lan"), found.ihu()], ALL)
    for _ in range(300):
        data = bytearray(good)
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        neighbour.deliver(bytes(data[: rng.randrange(len(data) + 1)]))
        body = rng.randbytes(rng.randrange(60))
        signed = seal(b"\x2a\x02\0\0" + body, rng.randrange(2**32), neighbour.index, [SHA], PEER, ALL)
        neighbour.deliver(signed)
    for datagram in found.datagrams():
        tlvs_of(datagram)
    dropped = sum(v for name, v in found.speaker.counters.items() if name.startswith("packet_dropped."))
    assert dropped >= 300
