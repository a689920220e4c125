"""A speaker that is late: its Hellos leave first, its tables are told less often, and it says so."""

from collections.abc import Sequence
from itertools import pairwise

import pytest

from babelwg.babel.operation.overload import LONGEST_STRETCH
from babelwg.babel.parameters import InterfaceParameters, Parameters
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import Hello, Tlv, Update
from tests.babel.bench import Bench, P, Q, tlvs_of

INTERVAL = 16.0  # seconds between full updates
LINKS = 20


def bench(links: int = 1, prefixes: int = 1) -> Bench:
    """Return a speaker that announces some prefixes, with a neighbour on each of its links."""
    found = Bench(Parameters())
    for number in range(prefixes):
        found.speaker.announce(Prefix.parse(f"2001:db8:{number:x}::/48"), 0, found.now)
    for number in range(links):
        found.interface(f"tun{number}")
        found.meet(number, f"tun{number}")
    found.live(20)
    return found


def be_late(found: Bench, seconds: float) -> None:
    """Let time pass in which nobody is served, until a Hello is late by so much or up to 0.4 seconds more."""
    deadline = found.speaker.next_deadline()
    assert deadline is not None
    while not any(isinstance(tlv, Hello) for tlv in found.wait(max(0.0, deadline - found.now))):
        deadline = found.speaker.next_deadline()
        assert deadline is not None
    found.now += 4.0 + seconds
    found.speaker.handle_deadline(found.now)


def updates(found: Bench, seconds: float) -> list[tuple[float, float]]:
    """Return when P was told and with which interval, in seconds from now."""
    start = found.now
    return [
        (when - start, tlv.interval)
        for when, datagram in found.live(seconds)
        for tlv in tlvs_of(datagram)
        if isinstance(tlv, Update)
    ]


def test_a_speaker_in_time_tells_its_table_as_often_as_it_is_told_to() -> None:
    found = bench()
    told = updates(found, 100)
    assert len(told) in (6, 7)
    assert {interval for _, interval in told} == {INTERVAL}
    assert found.speaker.counters["updates_stretched"] == 0


def test_a_late_speaker_tells_its_table_less_often_and_announces_it() -> None:
    found = bench()
    be_late(found, 5.0)
    told = updates(found, 120)
    assert found.speaker.counters["updates_stretched"] >= 1
    longest = max(interval for _, interval in told)
    assert INTERVAL < longest <= LONGEST_STRETCH * INTERVAL
    # Whatever was promised is kept, or a neighbour would forget the route in the end.
    for (when, promised), (later, _) in pairwise(told):
        assert later - when <= promised
    # What is long ago is forgotten.
    assert told[-1][1] == INTERVAL


def test_a_promise_never_means_that_there_is_no_next_update() -> None:
    found = Bench()
    found.interface("tun0", InterfaceParameters(update_interval=600.0))
    found.meet(0, "tun0")
    found.speaker.announce(P, 0, found.now)
    found.live(500)
    be_late(found, 5.0)
    assert all(interval <= 655.34 for _, interval in updates(found, 1500))


def test_hellos_of_all_links_leave_before_the_tables_of_any() -> None:
    found = bench(LINKS, prefixes=200)
    found.now += 40.0  # everything is due everywhere
    found.speaker.handle_deadline(found.now)
    found.now += 1.0  # past all jitter
    datagrams = found.datagrams()
    first = datagrams[:LINKS]
    assert {datagram.interface for datagram in first} == {f"tun{number}" for number in range(LINKS)}
    for datagram in first:
        tlvs = tlvs_of(datagram)
        assert any(isinstance(tlv, Hello) for tlv in tlvs)
        assert not any(isinstance(tlv, Update) for tlv in tlvs)


def test_the_tables_of_a_late_speaker_are_told_a_few_links_at_a_time_and_all_in_the_end() -> None:
    found = bench(LINKS, prefixes=200)
    found.now += 40.0
    found.speaker.handle_deadline(found.now)
    found.now += 1.0
    told = [{d.interface for d in found.datagrams() if holds_updates(tlvs_of(d))}]
    assert 0 < len(told[0]) < LINKS // 2
    deadline = found.speaker.next_deadline()
    assert deadline is not None
    assert deadline <= found.now
    for _ in range(LINKS):
        told.append({d.interface for d in found.datagrams() if holds_updates(tlvs_of(d))})
    assert set.union(*told) == {f"tun{number}" for number in range(LINKS)}


def test_a_change_goes_before_the_tables_of_a_late_speaker() -> None:
    found = bench(LINKS, prefixes=200)
    found.now += 40.0
    found.speaker.handle_deadline(found.now)
    found.now += 1.0
    found.speaker.withdraw(Q, found.now)
    found.speaker.announce(Prefix.parse("2001:db8:ffff::/48"), 0, found.now)
    new = [
        tlv.prefix
        for _ in range(LINKS)
        for datagram in found.datagrams()
        for tlv in tlvs_of(datagram)
        if isinstance(tlv, Update)
    ]
    assert new.index(Prefix.parse("2001:db8:ffff::/48")) < len(new) // 2


@pytest.mark.parametrize("seconds", [-0.4, -0.2])
def test_a_little_lateness_changes_nothing(seconds: float) -> None:
    found = bench()
    be_late(found, seconds)
    assert {interval for _, interval in updates(found, 50)} == {INTERVAL}


def holds_updates(tlvs: Sequence[Tlv]) -> bool:
    """Return whether a packet tells of prefixes."""
    return any(isinstance(tlv, Update) for tlv in tlvs)
