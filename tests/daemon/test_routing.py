"""The pump: nothing that one neighbour sends keeps the speaker from what it has promised to the others."""

import asyncio
import errno
import math
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from babelwg.babel.datagram import Datagram
from babelwg.babel.wire.encode import PacketWriter
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY, AcknowledgmentRequest, Hello, Ihu, SeqnoRequest, Tlv, Update
from babelwg.daemon.routing import RoutingService
from babelwg.linux.errors import KernelError
from babelwg.linux.mirror import IFF_UP, Link
from babelwg.linux.netlink import Refusal
from babelwg.linux.routes import UNICAST
from tests.babel.bench import tlvs_of
from tests.daemon.routingbench import OWN, PEER, BusySocket, PlayedSocket, packet, routing_over
from tests.walkless import forbid_walks

TABLE_ROW = Prefix.parse("2001:db8:0:9::/64")
OURS = Prefix.parse("2001:db8:5::/48")


async def meet(socket: PlayedSocket, *names: str) -> None:
    """Have a neighbour on each of these interfaces say three times that it is there; the last one speaks on."""
    for socket.interface in names * 3:
        socket.say(Hello(7, 4.0), Ihu(OWN, 96, 12.0))
        await asyncio.sleep(0.02)


def hellos(socket: BusySocket) -> list[Hello]:
    return [tlv for tlv in socket.told() if isinstance(tlv, Hello)]


def test_hellos_leave_in_time_beside_a_neighbour_that_never_stops_sending(tmp_path: Path) -> None:
    async def run() -> BusySocket:
        socket = BusySocket()
        async with routing_over(socket, tmp_path):
            while len(hellos(socket)) < 4:
                await asyncio.sleep(0)
        return socket

    socket = asyncio.run(run())
    seqnos = [hello.seqno for hello in hellos(socket)]
    assert seqnos[:4] == [(seqnos[0] + i) % 0x10000 for i in range(4)]
    assert socket.turns > 4


def test_a_neighbour_lives_on_while_its_hellos_may_wait_to_be_read(tmp_path: Path) -> None:
    async def run() -> tuple[bool, bool]:
        socket = BusySocket()
        async with routing_over(socket, tmp_path) as routing:
            now = asyncio.get_running_loop().time()
            socket.waiting = [packet(Hello(7, 0.05), Ihu(OWN, 96, 10.0))]
            while not routing.speaker.links(now)[1]:
                await asyncio.sleep(0)
            socket.flood, socket.came = packet(Ihu(OWN, 96, 10.0)), asyncio.get_running_loop().time()
            sent = len(hellos(socket))
            while len(hellos(socket)) < sent + 40:  # 2 s of ours, in which 40 of the neighbour's are due
                await asyncio.sleep(0)
            during = bool(routing.speaker.links(now)[1])
            socket.flood = None
            while routing.speaker.links(now)[1]:  # now its silence counts
                await asyncio.sleep(0)
            return during, True

    assert asyncio.run(run()) == (True, True)


def table(*numbers: int, metric: int) -> list[bytes]:
    """Return packets that announce these networks."""
    prefixes = [Prefix.parse(f"2001:db8:{n >> 8:x}:{n & 255:x}::/64") for n in numbers]
    writers = [PacketWriter(1400, PEER)]
    for prefix in prefixes:
        update = Update(prefix, b"\3" * 8, 1, metric, 60.0, PEER)
        if not writers[-1].add(update):
            writers.append(PacketWriter(1400, PEER))
            assert writers[-1].add(update)
    return [writer.packet() for writer in writers]


def test_one_update_among_ten_thousand_routes_looks_at_no_other_route(tmp_path: Path) -> None:
    async def run() -> tuple[RoutingService, dict[str, int]]:
        socket = BusySocket()
        async with routing_over(socket, tmp_path) as routing:
            socket.waiting = [*table(*range(10_000), metric=96), packet(Hello(7, 60.0), Ihu(OWN, 96, 60.0))]
            while len(routing.routes.installed) < 10_000:
                await asyncio.sleep(0)
            state = routing.speaker._state
            neighbour = state.interfaces["bw-a"].neighbours[PEER]
            forbid_walks(state.routes, "by_prefix", "selected")
            forbid_walks(neighbour, "routes", "finite")
            forbid_walks(state.sources, "_distances", "_used")
            forbid_walks(routing.installer, "_selected")
            forbid_walks(routing.routes, "learned", "installed", "_by_place")
            socket.waiting = [packet(Update(TABLE_ROW, None, 1, 0xFFFF, 60.0, None)), *table(7, metric=500)]
            socket.waiting += table(*range(100), metric=96)  # read first, and nothing new
            while TABLE_ROW in routing.routes.learned or socket.waiting:
                await asyncio.sleep(0)
            selected = state.routes.selected.get(Prefix.parse("2001:db8:0:7::/64"))
            assert selected is not None
            return routing, {"metric": selected.route.metric, **routing.all_counters()}

    routing, found = asyncio.run(run())
    assert found == {"metric": 596, "internal_error": 0, "kernel_failed": 0, "task_failed": 0}
    assert routing.routes.counters["route_set"] == 10_000
    assert routing.routes.counters["route_removed"] == 1


def test_neighbours_outlast_a_carrier_that_is_away_where_the_link_is_watched(tmp_path: Path) -> None:
    async def talk() -> None:
        async with routing_over(BusySocket(), tmp_path) as routing:
            given_up: list[str] = []
            routing.give_up = lambda name, why: not given_up.append(f"{name}: {why}")  # type: ignore[func-returns-value]
            routing._mirror.set_link(Link(3, "bw-a", 1420, IFF_UP, ""))
            routing.sync_interfaces()
            assert given_up == ["bw-a: its interface has no carrier"]
            assert [view.name for view in routing.speaker.links(0.0)[0]] == ["bw-a"]
            routing._mirror.set_link(Link(3, "bw-a", 1420, 0, ""))
            routing.sync_interfaces()
            assert routing.speaker.links(0.0)[0] == (), "it is down"

    asyncio.run(talk())


def test_no_route_is_set_over_an_interface_that_went_before_the_next_look_at_all(tmp_path: Path) -> None:
    async def talk() -> None:
        socket = PlayedSocket()
        async with routing_over(socket, tmp_path, ("bw-a", "bw-b"), 4.0) as routing:
            kernel: Any = routing.routes._requests
            await meet(socket, "bw-b", "bw-a")
            socket.say(*updates_of(TABLE_ROW, OURS))
            await asyncio.sleep(0.02)
            assert {route.interface for route in kernel.places.values()} == {3}
            routing.leave_lost({3, 4})
            assert len(routing.speaker.links(0.0)[0]) == 2, "both are up again"
            routing._mirror.drop_link(3)
            routing.routes.interface_lost(3)
            routing.leave_lost({3})
            kernel.places.clear()
            routing.pump()
            assert {route.interface for route in kernel.places.values()} == {0}, "held unreachable"
            assert [view.name for view in routing.speaker.links(0.0)[0]] == ["bw-b"]

    asyncio.run(talk())


def test_who_takes_leave_of_a_tunnel_says_so_and_nothing_more(tmp_path: Path) -> None:
    async def talk() -> list[Update]:
        socket = PlayedSocket()
        async with routing_over(socket, tmp_path, ("bw-a", "bw-b"), 4.0) as routing:
            await meet(socket, "bw-b", "bw-a")
            before = len(socket.told())
            await routing.take_leave(["bw-b", "gone"])
            assert [view.name for view in routing.speaker.links(0.0)[0]] == ["bw-a"]
            assert "bw-b" not in routing.wanted
            return [tlv for tlv in socket.told()[before:] if isinstance(tlv, Update)]

    assert [(update.prefix, update.metric) for update in asyncio.run(talk())] == [(None, INFINITY)]


def test_an_interface_without_a_carrier_is_left_where_nobody_watches_its_link(tmp_path: Path) -> None:
    async def talk() -> None:
        async with routing_over(BusySocket(), tmp_path) as routing:
            routing._mirror.set_link(Link(3, "bw-a", 1420, IFF_UP, ""))
            routing.sync_interfaces()
            assert routing.speaker.links(0.0)[0] == ()

    asyncio.run(talk())


def test_of_many_routes_that_the_kernel_refuses_a_few_are_logged_and_the_others_stand(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def talk() -> int:
        socket = PlayedSocket()
        async with routing_over(socket, tmp_path) as routing:
            kernel: Any = routing.routes._requests
            kernel.refuse = {Prefix.parse(f"2001:db8:0:{n:x}::/64"): errno.EINVAL for n in range(40)}
            for data in reversed([packet(Hello(7, 60.0), Ihu(OWN, 96, 60.0)), *table(*range(60), metric=96)]):
                socket.waiting.append(data)
                os.write(socket._writing, b"!")
            while len(routing.routes.installed) < 20:
                await asyncio.sleep(0)
            return len(routing.routes.installed)

    assert asyncio.run(talk()) == 20
    assert caplog.text.count("route-refused prefix=") == 5
    assert "route-refused further=35" in caplog.text


@pytest.mark.parametrize("rounds", [8, 1])
def test_a_way_that_the_kernel_refuses_interrupts_none_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    #   origin 3333 --- a --- us --- b --- origin      our kernel takes no way through b, which is the cheaper one
    monkeypatch.setattr("babelwg.daemon.routing.PUMP_ROUNDS", rounds)
    net = Prefix.parse("2001:db8:7::/48")
    good, bad = PEER, PEER[:-1] + b"\x0b"

    async def talk() -> tuple[list[set[tuple[int, bytes]]], set[int], list[int], bytes]:
        socket = PlayedSocket()
        held: list[set[tuple[int, bytes]]] = []

        async def play(interface: str, *tlvs: Tlv) -> None:
            socket.interface = interface
            socket.say(*tlvs)
            await asyncio.sleep(0.02)

        def ways() -> set[tuple[int, bytes]]:
            return {(route.kind, route.next_hop) for route in kernel.places.values()}

        async with routing_over(socket, tmp_path, ("bw-a", "bw-b"), 4.0) as routing:
            for name in ("bw-a", "bw-b") * 3:
                await play(name, Hello(7, 4.0), Ihu(OWN, 96, 12.0))
            kernel: Any = routing.routes._requests
            kernel.refuse_next_hops[bad] = errno.ENETUNREACH
            await play("bw-a", Update(net, b"\3" * 8, 1, 960, 16.0, good))
            asked = kernel.request
            kernel.request = lambda requests: (held.append(ways()), asked(requests), held.append(ways()))[1]
            await play("bw-b", Update(net, b"\3" * 8, 1, 0, 16.0, bad))
            routing.installer.tidy(asyncio.get_running_loop().time())  # it is tried again
            routing.pump()
            await asyncio.sleep(0.02)
            refused = routing.routes.counters["route_refused"]
            told = {t.metric for t in socket.told() if isinstance(t, Update) and t.prefix == net}
            del kernel.refuse_next_hops[bad]
            routing.installer.tidy(asyncio.get_running_loop().time())
            routing.pump()
            return held, told, [refused], kernel.table[net].next_hop

    held, told, refused, last = asyncio.run(talk())
    assert len(held) >= 4
    assert all(ways == {(UNICAST, good)} for ways in held[:4])
    assert (told, refused, last) == ({1056}, [2], bad)


def test_what_is_chosen_instead_of_a_refused_way_is_told_when_the_kernel_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    #   the way through a is retracted, the kernel takes none through b, and c has another one
    monkeypatch.setattr("babelwg.daemon.routing.PUMP_ROUNDS", 1)
    names, ways = ("bw-a", "bw-b", "bw-c"), [PEER[:-1] + bytes([n]) for n in (0x0A, 0x0B, 0x0C)]

    async def talk() -> list[tuple[int, bytes]]:
        socket = PlayedSocket()
        told: list[tuple[int, bytes]] = []
        async with routing_over(socket, tmp_path, names, 4.0) as routing:
            kernel: Any = routing.routes._requests
            kernel.refuse_next_hops[ways[1]] = errno.ENETUNREACH
            await meet(socket, *names)
            for socket.interface, way, metric in zip(names, ways, (960, 970, 980), strict=True):
                socket.say(Update(TABLE_ROW, b"\3" * 8, 1, metric, 16.0, way))
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.2)
            send = socket.send

            def watch(datagram: Datagram) -> None:
                updates = [t for t in tlvs_of(datagram) if isinstance(t, Update) and t.prefix == TABLE_ROW]
                told.extend((t.metric, kernel.table[TABLE_ROW].next_hop) for t in updates)
                send(datagram)

            socket.send = watch  # type: ignore[method-assign]
            socket.interface = names[0]
            socket.say(Update(TABLE_ROW, None, 1, INFINITY, 16.0, None))
            await asyncio.sleep(0.2)
        return told

    told = asyncio.run(talk())
    assert told and {way for metric, way in told if metric < INFINITY} == {ways[2]}


def test_what_waits_for_no_route_leaves_while_the_kernel_refuses_one_way_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("babelwg.daemon.routing.PUMP_ROUNDS", 1)

    async def talk() -> tuple[list[Tlv], list[Tlv]]:
        socket = PlayedSocket()
        async with routing_over(socket, tmp_path, ("bw-a", "bw-b"), 4.0) as routing:
            await meet(socket, "bw-a", "bw-b")
            kernel: Any = routing.routes._requests
            kernel.refuse[TABLE_ROW] = errno.EINVAL
            before = len(socket.told())
            socket.say(*updates_of(TABLE_ROW))
            async with asyncio.timeout(5.0):
                while not routing.routes.refused:
                    await asyncio.sleep(0)
            routing.speaker.ask("bw-a", asyncio.get_running_loop().time())
            routing.installer.tidy(asyncio.get_running_loop().time())
            routing.pump()  # the kernel refuses it once more
            meanwhile = socket.told()[before:]
            kernel.refuse.clear()
            routing.installer.tidy(asyncio.get_running_loop().time())
            routing.pump()
            await asyncio.sleep(0.15)
            return meanwhile, socket.told()

    meanwhile, told = asyncio.run(talk())
    assert [tlv for tlv in meanwhile if isinstance(tlv, AcknowledgmentRequest)]
    assert not [t for t in meanwhile if isinstance(t, Update) and t.metric < INFINITY]
    assert TABLE_ROW in [t.prefix for t in told if isinstance(t, Update) and t.metric < INFINITY]


@pytest.mark.parametrize("code", [errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN, errno.EINTR])
def test_what_the_kernel_has_no_memory_for_is_tried_again_at_once_and_announced_then(
    tmp_path: Path, code: int
) -> None:
    async def talk() -> None:
        socket = PlayedSocket()
        async with routing_over(socket, tmp_path, ("bw-a", "bw-b"), 4.0) as routing:
            kernel: Any = routing.routes._requests
            await meet(socket, "bw-b", "bw-a")
            kernel.refuse[TABLE_ROW] = code
            socket.say(*updates_of(TABLE_ROW, OURS))
            await asyncio.sleep(0.2)
            assert {OURS} == {route.prefix for route in kernel.places.values()}, "one does not keep the other"
            assert not any(
                isinstance(tlv, Update) and tlv.prefix in (TABLE_ROW, OURS) for tlv in socket.told()
            )
            assert 3 <= routing.routes.counters["route_postponed"] <= 6  # each attempt waits twice as long
            assert routing.routes.counters["route_refused"] == 0
            kernel.refuse.clear()
            while TABLE_ROW not in kernel.table:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0)
            told = {tlv.prefix: tlv.metric for tlv in socket.told() if isinstance(tlv, Update)}
            assert (told.get(TABLE_ROW), told.get(OURS)) == (192, 192)

    asyncio.run(talk())


def test_a_route_that_finds_no_memory_for_long_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    async def talk() -> None:
        socket = PlayedSocket()
        async with routing_over(socket, tmp_path, ("bw-a", "bw-b"), 4.0) as routing:
            kernel: Any = routing.routes._requests
            await meet(socket, "bw-b", "bw-a")
            kernel.refuse[TABLE_ROW] = errno.ENOMEM
            began = asyncio.get_running_loop().time()
            socket.say(*updates_of(TABLE_ROW))
            async with asyncio.timeout(5.0):
                while not routing.routes.refused:
                    await asyncio.sleep(0.01)
            assert asyncio.get_running_loop().time() < began + 3.0
            socket.say(*updates_of(OURS))
            await asyncio.sleep(0.02)
            assert OURS in {tlv.prefix for tlv in socket.told() if isinstance(tlv, Update)}
            postponed = routing.routes.counters["route_postponed"]
            routing.installer.tidy(asyncio.get_running_loop().time())
            routing.pump()
            assert routing.routes.counters["route_postponed"] == postponed, "it waits no more for a while"
            assert TABLE_ROW in routing.routes.refused

    asyncio.run(talk())


def updates_of(*prefixes: Prefix) -> list[Update]:
    return [Update(prefix, b"\3" * 8, 1, 96, 60.0, PEER) for prefix in prefixes]


def test_how_long_a_turn_of_the_pump_took_is_told(tmp_path: Path) -> None:
    async def talk() -> list[float]:
        socket = PlayedSocket()
        taken: list[float] = []
        async with routing_over(socket, tmp_path) as routing:
            routing.note_work = lambda seconds, now: taken.append(seconds)
            routing.listeners.append(lambda events: time.sleep(0.02))
            socket.say(Hello(7, 60.0), Ihu(OWN, 96, 60.0))
            while not routing.speaker.links(0.0)[1]:
                await asyncio.sleep(0)
        return taken

    assert max(asyncio.run(talk())) >= 0.02


def test_a_node_at_rest_wakes_for_nothing_but_what_is_due(tmp_path: Path) -> None:
    async def talk() -> list[float]:
        socket = PlayedSocket()
        early: list[float] = []
        async with routing_over(socket, tmp_path, hello_interval=5.0) as routing:
            handle = routing.speaker.handle_deadline

            def note(now: float, heard: float | None = None) -> None:
                due = routing.speaker.next_deadline()
                early.append(math.inf if due is None else due - now)
                handle(now, heard)

            routing.speaker.handle_deadline = note  # type: ignore[method-assign]
            # Each Hello puts off the moment from which its neighbour is missed.
            for seqno in range(12):
                socket.say(Hello(seqno, 0.1), Ihu(OWN, 96, 0.3))
                await asyncio.sleep(0.1)
        return early

    early = asyncio.run(talk())
    # The clock of asyncio is that coarse; a timer that was due before the Hello could be read is not put off.
    assert sum(seconds > 0.001 for seconds in early) <= 5


def test_nothing_is_announced_that_the_kernel_has_not_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    #   origin 3333 --- a --- us --- b --- origin      our kernel answers ENOBUFS while the way moves from a to b
    net = Prefix.parse("2001:db8:7::/48")

    def refuse(*arguments: object) -> list[Refusal]:
        raise KernelError("talk to", "rtnetlink", errno.ENOBUFS)

    async def talk() -> tuple[list[tuple[str, int]], int, list[tuple[str, int]], int]:
        socket = PlayedSocket()

        async def play(interface: str, *tlvs: Tlv) -> None:
            socket.interface = interface
            socket.say(*tlvs)
            await asyncio.sleep(0.02)

        def told() -> list[tuple[str, int]]:
            found = [(d.interface, tlv) for d in socket.sent for tlv in tlvs_of(d)]
            socket.sent.clear()
            return [
                (name, tlv.metric) for name, tlv in found if isinstance(tlv, Update) and tlv.prefix == net
            ]

        async with routing_over(socket, tmp_path, ("bw-a", "bw-b"), 4.0) as routing:
            for name in ("bw-a", "bw-b") * 3:
                await play(name, Hello(7, 4.0), Ihu(OWN, 96, 12.0))
            await play("bw-a", Update(net, b"\3" * 8, 1, 96, 16.0, PEER))
            kernel: Any = routing.routes._requests
            honest, kernel.request = kernel.request, refuse
            told()
            await play("bw-a", Update(net, None, 1, INFINITY, 16.0, None))
            await play("bw-b", Update(net, b"\3" * 8, 2, 96, 16.0, PEER))
            await asyncio.sleep(0.2)
            meanwhile, stale = told(), kernel.table[net].interface
            kernel.request = honest
            while kernel.table[net].interface == stale:
                await asyncio.sleep(0.01)  # nothing is received any more: the flush has a timer of its own
            await asyncio.sleep(0)
            assert 3 <= routing.all_counters()["kernel_failed"] <= 8  # each attempt waits twice as long
            return meanwhile, stale, told(), kernel.table[net].interface

    meanwhile, stale, after, new = asyncio.run(talk())
    assert (stale, new) == (3, 4)
    assert set(meanwhile) == {("bw-a", INFINITY), ("bw-b", INFINITY)}
    assert ("bw-a", 192) in after
    assert caplog.text.count("kernel-failed") == 1


def test_what_was_selected_reaches_the_kernel_whatever_becomes_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> tuple[bool, int, int]:
        socket = PlayedSocket()
        async with routing_over(socket, tmp_path) as routing:
            routing.announce({OURS: (0, "configured")})
            seqno = routing.speaker.snapshot(0.0).seqno

            def refuse(seqno: int) -> None:
                raise RuntimeError("a mistake of ours")

            monkeypatch.setattr(routing._store, "reserve", refuse)
            socket.say(
                Hello(7, 10.0),
                Ihu(OWN, 96, 10.0),
                SeqnoRequest(OURS, b"\2" * 8, seqno + 1, 64),
                Update(TABLE_ROW, b"\3" * 8, 1, 96, 60.0, PEER),
            )
            while not routing.speaker.selected_count:
                await asyncio.sleep(0.001)
            kernel: Any = routing.routes._requests
            has_route = any(prefix == TABLE_ROW for _, prefix in kernel.places)
            return has_route, routing.speaker.snapshot(0.0).seqno - seqno, routing.counters["internal_error"]

    assert asyncio.run(run()) == (True, 1, 1)


def test_a_neighbour_that_raises_our_seqno_on_a_slow_disk_delays_no_hello(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, honest = threading.Event(), os.fsync

    def fsync(descriptor: int) -> None:
        go.wait(1.5)
        honest(descriptor)

    async def run() -> tuple[list[int], float]:
        socket = PlayedSocket()
        async with routing_over(socket, tmp_path) as routing:
            loop, longest = asyncio.get_running_loop(), 0.0
            routing.announce({OURS: (0, "configured")})
            socket.say(Hello(7, 10.0), Ihu(OWN, 96, 10.0))
            monkeypatch.setattr("os.fsync", fsync)
            first, reached = routing.speaker.snapshot(0.0).seqno, []
            for turn in range(40):
                if turn == 20:
                    reached.append(routing.speaker.snapshot(0.0).seqno - first)
                    go.set()
                seqno = routing.speaker.snapshot(0.0).seqno
                since = loop.time()
                socket.say(*(SeqnoRequest(OURS, b"\2" * 8, seqno + n, 64) for n in range(1, 17)))
                await asyncio.sleep(0.02)
                longest = max(longest, loop.time() - since)
            reached.append(routing.speaker.snapshot(0.0).seqno - first)
            assert routing.speaker.counters["request_held.seqno-not-reserved"]
            return reached, longest

    reached, longest = asyncio.run(run())
    assert reached[0] == 15, "those that were reserved before"
    assert reached[1] > 15
    assert longest < 0.5
