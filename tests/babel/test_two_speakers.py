"""Two speakers on one link, both real: from the first Hello to a route and back."""

from random import Random

from babelwg.babel.datagram import Datagram
from babelwg.babel.events import RouteSelected
from babelwg.babel.memory import Memory
from babelwg.babel.parameters import InterfaceParameters, Parameters
from babelwg.babel.speaker import Speaker
from babelwg.babel.wire.prefix import Prefix

A = bytes.fromhex("fe80000000000000000000000000000a")
B = bytes.fromhex("fe80000000000000000000000000000b")


def make(name: int, lost: bool = False) -> Speaker:
    memory = Memory(seqno=1, lost=lost)
    return Speaker(bytes([2, 0, 0, 0, 0, 0, 0, name]), Parameters(), Random(name), memory)


def carry(
    a: Speaker, b: Speaker, start: float, end: float, delay: float = 0.01
) -> list[tuple[float, Speaker]]:
    """Drive both speakers in virtual time over a link with a delay in seconds; return who sent something, and when."""
    sent: list[tuple[float, Speaker]] = []
    flying: list[tuple[float, Speaker, Datagram]] = []
    now = start
    while True:
        for sender, receiver in ((a, b), (b, a)):
            sender.handle_deadline(now)
            for datagram in sender.datagrams_to_send(now):
                flying.append((now + delay, receiver, datagram))
                sent.append((now, sender))
        moments = [
            m for m in (a.next_deadline(), b.next_deadline(), *(f[0] for f in flying)) if m is not None
        ]
        now = max(now, min(moments))
        if now > end:
            return sent
        for item in [f for f in flying if f[0] <= now]:
            flying.remove(item)
            item[1].receive_datagram(item[2], now)


def test_a_route_crosses_a_new_tunnel_within_a_second() -> None:
    a, b = make(10, lost=True), make(11, lost=True)
    prefix = Prefix.parse("2001:db8::/32")
    a.add_interface("tun", InterfaceParameters(), A, 0.0)
    b.add_interface("tun", InterfaceParameters(), B, 0.0)
    a.announce(prefix, 0, 0.0)
    carry(a, b, 0.0, 0.3)
    selected = [event for event in b.events() if isinstance(event, RouteSelected)]
    assert [(event.prefix, event.next_hop, event.metric) for event in selected] == [(prefix, A, 96)]


def test_a_withdrawn_prefix_is_forgotten_once_the_neighbour_knows() -> None:
    a, b = make(10), make(11)
    prefix = Prefix.parse("10.1.0.0/16")
    a.add_interface("tun", InterfaceParameters(), A, 0.0)
    b.add_interface("tun", InterfaceParameters(), B, 0.0)
    a.announce(prefix, 0, 0.0)
    carry(a, b, 0.0, 5.0)
    b.events()
    a.withdraw(prefix, 5.0)
    carry(a, b, 5.0, 5.5)
    assert [str(event).split()[0] for event in b.events()] == ["route-retracted", "route-flushed"]
    assert a.snapshot(5.5).held == b.snapshot(5.5).held == ()


def test_the_hellos_of_both_ends_of_a_tunnel_leave_together_and_as_often_as_before() -> None:
    a, b = make(10), make(11)
    a.add_interface("tun", InterfaceParameters(), A, 0.0)
    carry(a, b, 0.0, 2.0)
    b.add_interface("tun", InterfaceParameters(), B, 2.0)
    carry(a, b, 2.0, 20.0)
    sent = carry(a, b, 20.0, 620.0)
    fewer, more = sorted(([when for when, who in sent if who is speaker] for speaker in (a, b)), key=len)
    assert 150 <= len(fewer) <= 175
    assert len(more) - len(fewer) <= 1, "of a pair at either end of the time one is within"
    assert all(min(abs(mine - yours) for yours in more) < 0.011 for mine in fewer)


def test_the_hellos_of_many_interfaces_share_their_moments() -> None:
    speaker = make(10)
    for number in range(50):
        speaker.add_interface(f"eth{number}", InterfaceParameters(), A, number / 10)
    moments, now = [], 10.0
    while (now := speaker.next_deadline() or now) < 50.0:
        speaker.handle_deadline(now)
        moments += [now] * len(speaker.datagrams_to_send(now))
        speaker.events()
    assert len(moments) > 400
    assert len({round(when, 4) for when in moments if when > 20.0}) <= 310, "no more than ten a second"
