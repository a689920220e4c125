"""The selected routes on disk: what ends or changes before anybody hears of it, what is new when there is time."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import pytest

from babelwg.babel.datagram import Datagram
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import Hello, Ihu, Tlv, Update
from babelwg.config import RouteJournal
from babelwg.daemon.routekeeper import RouteKeeper
from babelwg.daemon.store import Store
from tests.babel.bench import Bench, P, Q, retraction, tlvs_of, update, updates
from tests.daemon.routingbench import OWN, PEER, BusySocket, PlayedSocket, packet, routing_over
from tests.daemon.virtualtime import run, work

INFINITY = 0xFFFF
MEETING = Hello(7, 60.0), Ihu(OWN, 96, 60.0)
MANY = [update(Prefix.parse(f"2001:db8:{number:x}::/48"), 50) for number in range(1200)]

T = TypeVar("T")


def stored(directory: Path) -> dict[Prefix, int]:
    """Return the metric with which the neighbour announced each route that a later life would find."""
    records = RouteJournal(directory).read().records
    return {prefix: chosen.refmetric for prefix, chosen in records if chosen is not None}


class Listener(PlayedSocket):
    """A socket that looks at the disk when a datagram leaves."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.seen: list[tuple[int, int | None]] = []  # the metric of P in it, and what is stored of P
        self._directory = directory

    def send(self, datagram: Datagram) -> None:
        super().send(datagram)
        for told in updates(tlvs_of(datagram)):
            self.seen.append((told.metric, stored(self._directory).get(P)))


def announced(prefix: Prefix, metric: int, seqno: int = 7) -> Update:
    return update(prefix, metric, seqno, next_hop=PEER)


def test_what_changes_or_ends_is_stored_before_a_datagram_tells_of_it(tmp_path: Path) -> None:
    async def main() -> list[tuple[int, int | None]]:
        socket = Listener(tmp_path)
        async with routing_over(socket, tmp_path, ("bw-a", "bw-b")):
            for socket.interface in ("bw-b", "bw-a"):
                socket.say(*MEETING)
                await asyncio.sleep(0.1)
            for tlv in (announced(P, 50), announced(P, 600, seqno=8), retraction()):
                socket.say(tlv)
                await asyncio.sleep(1.0)
        return socket.seen

    changes = [key for key, _ in groupby(run(main()))]
    # A new one is told of first; from then on nothing is told that a later life would not know.
    assert changes == [(146, None), (146, 50), (696, 600), (INFINITY, None)]


@pytest.mark.parametrize(("farewell", "found"), [(False, {P: 146}), (True, {P: 146, Q: 156})])
def test_a_later_life_goes_on_with_what_was_stored(
    tmp_path: Path, farewell: bool, found: dict[Prefix, int]
) -> None:
    async def main() -> dict[Prefix, int]:
        socket = PlayedSocket()
        async with routing_over(socket, tmp_path) as routing:
            for tlvs in (MEETING, [announced(P, 50)], [announced(Q, 60)]):
                await asyncio.sleep(0.3)
                socket.say(*tlvs)
            await asyncio.sleep(0.1)
            if farewell:
                routing.pause()
        async with routing_over(PlayedSocket(), tmp_path) as routing:
            return dict(routing.speaker.selected_metrics())

    assert run(main()) == found


def test_a_later_life_retracts_what_was_lost_when_nobody_heard_it(tmp_path: Path) -> None:
    async def main() -> list[int]:
        socket = PlayedSocket()
        async with routing_over(socket, tmp_path, ("bw-a", "bw-b"), hello_interval=60.0):
            for socket.interface, tlvs in (
                ("bw-b", MEETING),
                ("bw-a", MEETING),
                ("bw-a", [announced(P, 50), announced(Q, 50)]),
                ("bw-a", [retraction(P)]),
            ):
                socket.say(*tlvs)
                await asyncio.sleep(0.1)
        socket = PlayedSocket()
        async with routing_over(socket, tmp_path, ("bw-a", "bw-b"), hello_interval=60.0) as routing:
            socket.interface = "bw-b"
            socket.say(*MEETING)
            await asyncio.sleep(1.0)
            routing.speaker.retract_former(asyncio.get_running_loop().time(), frozenset([Q]))
            routing.pump()
            datagrams = [d for d in socket.sent if d.interface == "bw-b"]
            return [tlv.metric for d in datagrams for tlv in updates(tlvs_of(d)) if tlv.prefix == P]

    assert run(main()) == [INFINITY]


def test_nothing_is_read_after_the_last_hello(tmp_path: Path) -> None:
    async def main() -> None:
        socket = PlayedSocket()
        async with routing_over(socket, tmp_path) as routing:
            for tlvs in (MEETING, [announced(P, 50)]):
                await asyncio.sleep(0.3)
                socket.say(*tlvs)
            await asyncio.sleep(0.1)
            routing.pause()
            sent, known = len(socket.sent), dict(routing.speaker.selected_metrics())
            socket.say(announced(P, 60))
            socket.say(announced(Q, 60))
            await asyncio.sleep(1.0)
            assert len(socket.waiting) == 2
            assert (len(socket.sent), dict(routing.speaker.selected_metrics())) == (sent, known)

    run(main())


def test_a_new_route_waits_while_there_is_more_to_read(tmp_path: Path) -> None:
    class SlowSocket(BusySocket):
        def receive(self, now: float, limit: int) -> Iterator[Datagram]:
            work(0.01)
            return super().receive(now, limit)

    async def main() -> list[set[Prefix]]:
        socket, seen = SlowSocket(), []
        async with routing_over(socket, tmp_path, hello_interval=60.0):
            socket.waiting = [packet(announced(P, 50)), packet(*MEETING)]
            socket.flood = packet(Ihu(OWN, 96, 60.0))
            for seconds in (1.8, 0.6):
                await asyncio.sleep(seconds)
                seen.append({*stored(tmp_path)})
        return seen

    assert run(main()) == [set(), {P}]


class Desk:
    """A keeper of routes, the speaker whose routes they are, and the disk."""

    def __init__(self, directory: Path) -> None:
        self.busy = False
        self.bench = Bench()
        self.bench.interface()
        self.bench.meet()
        self.store = Store(directory, "key")
        self.keeper = RouteKeeper(self.bench.speaker, self.store, lambda: self.busy)
        self._directory = directory

    def receive(self, *tlvs: Tlv) -> None:
        self.bench.receive(tlvs)
        self.keeper.note()

    async def after(self, seconds: float) -> int:
        """Return how many routes are stored some time later."""
        await asyncio.sleep(seconds)
        return len(stored(self._directory))


def at_desk(directory: Path, play: Callable[[Desk], Coroutine[Any, Any, T]]) -> T:
    async def main() -> T:
        desk = Desk(directory)
        try:
            return await play(desk)
        finally:
            desk.store.close()

    return run(main())


def test_a_new_route_is_stored_a_fifth_of_a_second_after_it_came(tmp_path: Path) -> None:
    async def play(desk: Desk) -> list[int]:
        desk.receive(update(P, 50))
        seen = [await desk.after(0.19), await desk.after(0.02)]
        desk.receive(update(P, 50))  # nothing new
        await asyncio.sleep(0.1)
        desk.receive(update(Q, 50))
        return [*seen, await desk.after(0.19), await desk.after(0.02)]

    assert at_desk(tmp_path, play) == [0, 1, 1, 2]


def test_a_new_route_waits_for_calm_but_not_for_ever(tmp_path: Path) -> None:
    async def play(desk: Desk) -> list[int]:
        await asyncio.sleep(100.0)
        desk.busy = True
        desk.receive(update(P, 50))
        seen = [await desk.after(0.9)]
        desk.busy = False
        seen.append(await desk.after(0.2))
        desk.busy = True
        desk.receive(update(Q, 50))
        for _ in range(19):
            desk.receive(update(Q, 50))
            seen.append(await desk.after(0.1))
        return [*seen, await desk.after(0.4)]

    assert at_desk(tmp_path, play) == [0, *[1] * 20, 2]


def test_others_have_the_loop_between_parts_of_many_new_routes(tmp_path: Path) -> None:
    async def play(desk: Desk) -> list[int]:
        desk.receive(*MANY)
        return [await desk.after(seconds) for seconds in (0.202, 0.005, 0.005)]

    assert at_desk(tmp_path, play) == [500, 1000, 1200]


def test_who_finishes_stores_all_at_once_and_nothing_more_until_told_again(tmp_path: Path) -> None:
    async def play(desk: Desk) -> list[int]:
        desk.receive(*MANY)
        desk.keeper.finish()
        seen = [await desk.after(0.0)]
        desk.bench.receive([update(Prefix.parse("10.0.0.0/8"), 50)])
        seen.append(await desk.after(1.0))
        desk.keeper.note()
        return [*seen, await desk.after(0.3)]

    assert at_desk(tmp_path, play) == [1200, 1200, 1201]


def test_who_is_closed_stores_nothing_more(tmp_path: Path) -> None:
    async def play(desk: Desk) -> int:
        desk.receive(update(P, 50))
        desk.receive(update(Q, 50))
        desk.keeper.close()
        return await desk.after(1.0)

    assert at_desk(tmp_path, play) == 0
