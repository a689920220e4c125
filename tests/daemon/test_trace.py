"""The way of packets, hop by hop, over a network that is none."""

import asyncio
from collections.abc import Mapping

import pytest

from babelwg.daemon.trace import MAX_HOPS, PROBES, WAVE, Trail, trace
from babelwg.linux.probes.echo import Reply
from babelwg.linux.probes.uplink import ProbeFailed
from tests.daemon import virtualtime

A, B, C, TARGET = (bytes([10, 0, 0, n]) for n in (1, 2, 3, 9))


class Network:
    """Answers requests by the hops that they live for: (kind, address, words), or not at all."""

    def __init__(
        self, hops: Mapping[int, tuple[str, bytes, str]], lost: frozenset[int] = frozenset()
    ) -> None:
        self.hops = hops
        self.lost = lost  # numbers of requests
        self.sent: list[int] = []
        self.forgotten = 0
        self.failure: str | None = None

    def send(self, hops: int) -> asyncio.Future[Reply]:
        if self.failure:
            raise ProbeFailed(self.failure)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Reply] = loop.create_future()
        self.sent.append(hops)
        # What lives longer than the way is long arrives all the same.
        place = hops if hops in self.hops else max((n for n in self.hops if n < hops), default=0)
        found = self.hops.get(place)
        if found and (place == hops or found[0] != "expired") and len(self.sent) not in self.lost:
            kind, address, words = found
            reply = Reply(kind, address, 0.001 * len(self.sent), words)  # type: ignore[arg-type]
            loop.call_soon(lambda: None if future.done() else future.set_result(reply))
        return future

    def forget(self, future: asyncio.Future[Reply]) -> None:
        future.cancel()
        self.forgotten += 1


def run(network: Network, patience: float = 0.05) -> Trail:
    return virtualtime.run(trace(network, patience))


def test_the_way_is_told_up_to_its_end_and_nobody_waits_for_more() -> None:
    network = Network({1: ("expired", A, ""), 2: ("expired", B, ""), 3: ("reply", TARGET, "")})
    trail = run(network, patience=60)
    assert (trail.end, trail.words) == ("reached", "reached in 3 hops")
    assert [(hop.number, hop.address, len(hop.replies), hop.lost) for hop in trail.hops] == [
        (1, A, 3, 0), (2, B, 3, 0), (3, TARGET, 3, 0),
    ]  # fmt: skip
    assert len(network.sent) == WAVE * PROBES


def test_a_hop_that_says_nothing_and_lost_requests_are_told() -> None:
    network = Network({1: ("expired", A, ""), 3: ("reply", TARGET, "")}, lost=frozenset({2}))
    trail = run(network)
    assert trail.end == "reached"
    assert [(hop.address, len(hop.replies), hop.lost) for hop in trail.hops] == [
        (A, 2, 1), (None, 0, 3), (TARGET, 3, 0),
    ]  # fmt: skip
    assert network.forgotten == 4


def test_a_way_that_ends_says_where_and_why() -> None:
    trail = run(Network({1: ("expired", A, ""), 2: ("unreachable", B, "no route")}))
    assert (trail.end, trail.words, len(trail.hops)) == ("unreachable", "ends at hop 2: no route", 2)


def test_a_loop_is_told_as_soon_as_a_hop_comes_again() -> None:
    way = [A, B, C, B]
    trail = run(Network({n: ("expired", address, "") for n, address in enumerate(way, 1)}))
    assert (trail.end, trail.words) == ("loop", "packets loop: hop 4 is hop 2 again")
    # A hop that answers twice in a row only counts one hop more.
    trail = run(Network({1: ("expired", A, ""), 2: ("expired", A, ""), 3: ("reply", TARGET, "")}))
    assert trail.end == "reached"


def test_silence_ends_the_search_after_one_wave() -> None:
    network = Network({1: ("expired", A, ""), 2: ("expired", B, "")})
    trail = run(network)
    assert (trail.end, trail.words) == ("silence", "nobody answers beyond hop 2")
    assert [hop.address for hop in trail.hops] == [A, B, None]
    assert max(network.sent) == 2 * WAVE
    assert run(Network({})).words == "nobody answers at all"


def test_no_way_is_longer_than_the_most_hops() -> None:
    hops = {n: ("expired", bytes([10, 1, 0, n]), "") for n in range(1, 64)}
    network = Network(hops)
    trail = run(network)
    assert (trail.end, trail.words) == ("too-far", f"further than {MAX_HOPS} hops")
    assert len(network.sent) == MAX_HOPS * PROBES


def test_what_cannot_leave_is_told() -> None:
    network = Network({})
    network.failure = "no route to host"
    trail = run(network)
    assert (trail.end, trail.words) == ("no-way", "packets do not leave this node: no route to host")


def test_a_trace_that_is_given_up_waits_for_nothing() -> None:
    network = Network({1: ("expired", A, "")})

    async def give_up() -> None:
        async with asyncio.timeout(0.02):
            await trace(network, 60)

    with pytest.raises(TimeoutError):
        virtualtime.run(give_up())
    assert network.forgotten == len(network.sent) - PROBES
