"""The server of babeld's local protocol, spoken to by clients of every kind."""

import asyncio
import socket
import stat
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from babelwg.babel.wire.prefix import Prefix
from babelwg.daemon.local import follower, server
from babelwg.daemon.local.view import View
from babelwg.version import __version__
from tests.daemon.localbench import A, Client, FakeNode, converse, interface, neighbour, route, until
from tests.daemon.ports import free_port

P = "2001:db8::/32"


def fill(node: FakeNode) -> None:
    """Give a node an interface, a neighbour, an xroute and a route."""
    node.routing.wanted["e0"] = None
    node.tables.interfaces["e0"] = replace(interface("fe80::a"), name="e0")
    node.tables.neighbours = [neighbour("fe80::1", "e0")]
    node.tables.set_routes(route(P, A, 96, 0, "fe80::1", "e0"))
    node.routing.announced = {Prefix.parse("10.0.0.0/8"): (5, "announce")}


def kinds(lines: list[str]) -> list[str]:
    return [" ".join(line.split()[:2]) for line in lines]


ALL = ["add interface", "add neighbour", "add xroute", "add route", "ok"]


@pytest.mark.conformance("LP-1", "LP-2", "LP-3")
def test_requests_sent_before_the_greeting_are_answered_in_order(tmp_path: Path) -> None:
    async def talk(node: FakeNode) -> None:
        fill(node)
        client = await Client.at(tmp_path / "s", greeted=False)
        client.writer.write(b"dump\nlink-detect true\n\nmonitor\nquit\n")
        said = []
        while line := await client.line():
            said.append(line)
        assert said[:5] == [
            "BABEL 1.0",
            f"version babelwg-{__version__}",
            f"host {socket.gethostname()}",
            "my-id 02:00:00:00:00:00:00:0a",
            "ok",
        ]
        assert kinds(said[5:]) == [*ALL, "bad", "ok", *ALL]

    converse(tmp_path / "s", talk)


@pytest.mark.conformance("LP-4")
def test_a_refused_line_spoils_none_that_follow(tmp_path: Path) -> None:
    async def talk(node: FakeNode) -> None:
        client = await Client.at(tmp_path / "s")
        client.writer.write(b"bogus\ndump\nlink-detect false\nflush interface nosuch\nunmonitor\n")
        assert [await client.line() for _ in range(5)] == ["bad", "ok", "ok", "no No such interface", "ok"]

    converse(tmp_path / "s", talk, rw=True)


@pytest.mark.conformance("LP-5", "LP-6", "LP-14")
@pytest.mark.parametrize(
    ("line", "answer", "read_only"),
    [
        ("dump", "ok", "ok"),
        ("  dump", "ok", "ok"),
        ("dump # x\r", "ok", "ok"),
        ("dump#x", "ok", "ok"),
        ("", "ok", "ok"),
        ("# a comment", "ok", "ok"),
        ("unmonitor", "ok", "ok"),
        ("DUMP", "bad", "bad"),
        ("bogus", "bad", "bad"),
        ("dump extra", "bad", "bad"),
        ("monitor x", "bad", "bad"),
        ("quit x", "bad", "bad"),
        ('"dump"', "bad", "bad"),
        ("flush", "bad", "bad"),
        ("flush interface", "bad", "bad"),
        ('flush interface "e0"', "bad", "bad"),
        ("flush interface e0 x", "bad", "bad"),
        ("flush neighbour x", "bad", "bad"),
        ("flush interface nosuch", "no No such interface", "bad"),
        ("redistribute local deny", "bad", "bad"),
        ("in deny", "bad", "bad"),
        ("router-id 02:00:00:00:00:00:00:0b", "bad", "bad"),
        ("local-port 33123", "bad", "bad"),
        ("debug 2", "bad", "bad"),
        ("key id k1 type hmac-sha256 value 0", "bad", "bad"),
        ("key id k1 type hmac-sha256 value 00ff", "ok", "bad"),
        ("interface", "bad", "bad"),
        ("interface nosuch0 type tunnel", "ok", "bad"),
        ("interface nosuch0 bogus 3", "bad", "bad"),
        ("interface nosuch0 key nokey", "bad", "bad"),
        ("default rxcost 200", "ok", "bad"),
        ("smoothing-half-life 8", "ok", "bad"),
        ("link-detect true", "ok", "bad"),
        ("link-detect maybe", "bad", "bad"),
        ("log-file /nonexistent/log", "ok", "bad"),
        ("reopen-logfile", "ok", "bad"),
        ("reopen-logfile x", "bad", "bad"),
        ("x" * 1023, "bad", "bad"),
        ("\udcff\x00", "bad", "bad"),
    ],
)
def test_each_line_is_answered_as_babeld_answers_it(
    line: str, answer: str, read_only: str, tmp_path: Path
) -> None:
    for rw, expected in ((True, answer), (False, read_only)):

        async def talk(node: FakeNode, expected: str = expected) -> None:
            client = await Client.at(tmp_path / "s")
            client.writer.write(line.encode(errors="surrogateescape") + b"\n")
            assert await client.line() == expected

        converse(tmp_path / "s", talk, rw=rw)


@pytest.mark.conformance("LP-7")
def test_half_a_line_waits_and_one_without_end_closes(tmp_path: Path) -> None:
    async def talk(node: FakeNode) -> None:
        client = await Client.at(tmp_path / "s")
        client.writer.write(b"du")
        other = await Client.at(tmp_path / "s")
        assert await other.ask("dump") == ["ok"]
        client.writer.write(b"mp\n")
        assert await client.line() == "ok"
        client.writer.write(b"a" * 1100)
        assert await client.is_at_end()
        other.writer.write(b"a" * 1024 + b"\n")
        assert await other.is_at_end()

    assert converse(tmp_path / "s", talk).service.counters["client_dropped.line-too-long"] == 2


@pytest.mark.conformance("LP-13")
def test_a_fifth_client_waits_until_one_leaves_and_a_flood_is_refused(tmp_path: Path) -> None:
    async def talk(node: FakeNode) -> None:
        clients = [await Client.at(tmp_path / "s") for _ in range(4)]
        waiting = [await Client.at(tmp_path / "s", greeted=False) for _ in range(server.MAX_WAITING)]
        refused = await Client.at(tmp_path / "s", greeted=False)
        assert await refused.is_at_end()
        assert await clients[3].ask("dump") == ["ok"]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await waiting[0].reader.readline()
        clients[0].writer.write(b"quit\n")
        assert (await waiting[0].lines_until("ok"))[0] == "BABEL 1.0"

    counters = converse(tmp_path / "s", talk).service.counters
    assert counters["client_refused.too-many"] == 1


@pytest.mark.conformance("LP-18")
def test_monitor_goes_on_until_unmonitor_and_tells_everything_again_when_repeated(tmp_path: Path) -> None:
    async def talk(node: FakeNode) -> None:
        fill(node)
        client = await Client.at(tmp_path / "s")
        assert kinds(await client.ask("monitor")) == ALL
        node.tables.set_routes(route(P, A, 97, 0, "fe80::1", "e0"))
        node.routing.listeners[0]([])
        assert " metric 97 " in await client.line()
        assert kinds(await client.ask("monitor")) == ALL
        assert await client.ask("unmonitor") == ["ok"]
        node.tables.set_routes(route(P, A, 98, 0, "fe80::1", "e0"))
        assert node.routing.listeners == []
        assert not node.tables.watched
        assert " metric 98 " in (await client.ask("dump"))[3]

    converse(tmp_path / "s", talk)


def test_tables_are_watched_only_while_somebody_monitors(tmp_path: Path) -> None:
    async def talk(node: FakeNode) -> None:
        first, second = [await Client.at(tmp_path / "s") for _ in range(2)]
        assert not node.tables.watched
        await first.ask("monitor")
        await second.ask("monitor")
        first.close()
        await asyncio.sleep(0.05)
        assert node.tables.watched
        second.close()
        await until(lambda: not node.tables.watched)
        assert node.routing.listeners == []

    converse(tmp_path / "s", talk)


@pytest.mark.conformance("LP-15")
def test_a_slow_client_is_cut_off_and_others_hear_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "GATHER", 0.0)
    monkeypatch.setattr(server, "MAX_UNREAD", 1 << 16)

    async def talk(node: FakeNode) -> None:
        fill(node)
        slow, good = [await Client.at(tmp_path / "s") for _ in range(2)]
        await slow.ask("monitor")
        await good.ask("monitor")
        slow.reader._transport.pause_reading()  # type: ignore[attr-defined]
        number = 0
        while not node.service.counters.get("client_dropped.slow"):
            number += 1
            assert number < 20_000
            node.tables.set_routes(route(P, A, number % 60_000, 0, "fe80::1", "e0"))
            node.routing.listeners[0]([])
            assert f" metric {number % 60_000} " in await good.line()
        slow.reader._transport.resume_reading()  # type: ignore[attr-defined]
        assert await good.ask("dump")

    converse(tmp_path / "s", talk)


def test_a_client_that_never_reads_its_dump_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "READ_TIMEOUT", 0.1)

    async def talk(node: FakeNode) -> None:
        fill(node)
        for number in range(5000):
            node.tables.set_routes(route(f"10.{number >> 8}.{number & 255}.0/24", A, 96, 0, "fe80::1", "e0"))
        client = await Client.at(tmp_path / "s")
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        client.writer.write(b"dump\n")
        await until(lambda: node.service.counters.get("client_lost") == 1)
        client.reader._transport.resume_reading()  # type: ignore[attr-defined]

    converse(tmp_path / "s", talk)


def test_events_never_come_between_the_lines_of_a_reply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "GATHER", 0.0)
    monkeypatch.setattr(server, "LINES_AT_ONCE", 1)

    async def talk(node: FakeNode) -> None:
        fill(node)
        for number in range(2000):
            node.tables.set_routes(route(f"10.{number >> 8}.{number & 255}.0/24", A, 96, 0, "fe80::1", "e0"))
        client = await Client.at(tmp_path / "s")
        await client.ask("monitor")
        client.writer.write(b"dump\n")
        begun = await client.line()
        node.tables.set_routes(route(P, A, 500, 0, "fe80::1", "e0"))
        node.routing.listeners[0]([])
        reply = [begun, *await client.lines_until("ok")]
        assert len(reply) == 2005
        assert all(line.startswith("add ") for line in reply[:-1])
        assert (await client.line()).startswith("change route")

    converse(tmp_path / "s", talk)


def test_a_storm_of_changes_does_not_keep_a_new_client_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "PREFIXES_AT_ONCE", 2)

    async def talk(node: FakeNode) -> None:
        fill(node)
        prefixes = [f"10.{number}.0.0/16" for number in range(20)]
        for prefix in prefixes:
            node.tables.set_routes(route(prefix, A, 96, 0, "fe80::1", "e0"))

        def touch_all(now: float) -> Any:
            for prefix in prefixes:
                node.tables.touch(Prefix.parse(prefix))
            return tuple(node.tables.interfaces.values()), tuple(node.tables.neighbours)

        monkeypatch.setattr(node.tables, "links", touch_all)
        client = await Client.at(tmp_path / "s")
        assert len(await client.ask("monitor")) == 25

    converse(tmp_path / "s", talk)


@pytest.mark.conformance("LP-19")
def test_an_interface_comes_and_goes_at_run_time(tmp_path: Path) -> None:
    async def talk(node: FakeNode) -> None:
        client = await Client.at(tmp_path / "s")
        await client.ask("monitor")
        assert await client.ask("default rxcost 200 hello-interval 1") == ["ok"]
        assert await client.ask("interface nosuch0 hello-interval 2") == [
            "add interface nosuch0 up false",
            "ok",
        ]
        made = node.config.interfaces[0]
        assert (made.rxcost, made.hello_interval) == (200, 2.0)
        assert await client.ask("interface nosuch0 rxcost 7") == ["ok"]
        assert node.config.interfaces == (made,)
        assert await client.ask("flush interface nosuch0") == ["flush interface nosuch0 up false", "ok"]
        assert node.config.interfaces == ()
        assert node.config.default.rxcost == 200

    converse(tmp_path / "s", talk, rw=True)


def test_a_key_is_replaced_on_the_interfaces_that_have_it(tmp_path: Path) -> None:
    async def talk(node: FakeNode) -> None:
        client = await Client.at(tmp_path / "s")
        assert await client.ask("key id k type blake2s128 value 0a") == ["ok"]
        assert await client.ask("interface e0 key k") == ["ok"]
        assert await client.ask("key id k type blake2s128 value 0b") == ["ok"]
        assert [key.value for key in node.config.interfaces[0].keys] == [b"\x0b"]

    converse(tmp_path / "s", talk, rw=True)


def test_a_tunnel_of_ours_is_neither_changed_nor_flushed(tmp_path: Path) -> None:
    async def talk(node: FakeNode) -> None:
        node.routing.wanted["bw-b"] = None
        client = await Client.at(tmp_path / "s")
        assert await client.ask("interface bw-b rxcost 7") == ["ok"]
        assert node.config.interfaces == ()
        assert await client.ask("flush interface bw-b") == ["no Couldn't flush interface"]

    converse(tmp_path / "s", talk, rw=True)


def test_the_server_moves_with_its_configuration(tmp_path: Path) -> None:
    async def talk(node: FakeNode) -> None:
        client = await Client.at(tmp_path / "s")
        await node.configure(f"local-path {tmp_path / 't'}\n")
        assert await client.is_at_end()
        assert not (tmp_path / "s").exists()
        other = await Client.at(tmp_path / "t")
        await node.configure(f"local-path {tmp_path / 't'}\ninterface e0\n")  # the same place
        assert await other.ask("dump") == ["add interface e0 up false", "ok"]
        await node.configure(f"local-path-readwrite {tmp_path / 't'}\n")
        assert await other.is_at_end()
        assert stat.S_IMODE((tmp_path / "t").stat().st_mode) == 0o660
        await node.configure("")
        assert not (tmp_path / "t").exists()

    converse(tmp_path / "s", talk)


def test_the_port_is_open_on_loopback_alone(tmp_path: Path) -> None:
    async def talk(node: FakeNode) -> None:
        port = free_port("::1")
        await node.configure(f"local-port {port}\n")
        reader, writer = await asyncio.open_connection("::1", port)
        assert await reader.readline() == b"BABEL 1.0\n"
        writer.close()
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", port)

    converse(tmp_path / "s", talk)


def test_a_socket_of_somebody_else_is_left_alone_and_a_dead_one_replaced(tmp_path: Path) -> None:
    async def talk(node: FakeNode) -> None:
        other = FakeNode()
        await other.configure(f"local-path {tmp_path / 's'}\n")
        assert (
            other.service.error
            == f"cannot listen on {tmp_path / 's'}: a daemon already answers on {tmp_path / 's'}"
        )
        client = await Client.at(tmp_path / "s")
        assert await client.ask("dump") == ["ok"]
        await node.service.close()
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(tmp_path / "s"))
        await other.service.configure(other.config)  # as the daemon does now and then
        assert other.service.error is None
        await Client.at(tmp_path / "s")
        await other.service.close()

    converse(tmp_path / "s", talk)


def test_a_client_that_hangs_up_ends_nothing_else(tmp_path: Path) -> None:
    async def talk(node: FakeNode) -> None:
        for request in (b"", b"monitor\n", b"dump\nmonitor\ndump\n", b"x" * 50):
            client: Any = await Client.at(tmp_path / "s")
            client.writer.write(request)
            client.writer.transport.abort()
        client = await Client.at(tmp_path / "s")
        assert await client.ask("dump") == ["ok"]
        await until(lambda: not node.tables.watched)

    converse(tmp_path / "s", talk)


def test_a_page_in_a_browser_cannot_have_its_text_taken_for_requests(tmp_path: Path) -> None:
    # fetch("http://[::1]:33123/", {method: "POST", mode: "no-cors", body: "interface eth9\n"})
    async def talk(node: FakeNode) -> None:
        client = await Client.at(tmp_path / "s")
        client.writer.write(b"POST / HTTP/1.1\r\nHost: [::1]:33123\r\n\r\ninterface eth9\n")
        assert [await client.line() for _ in range(2)] == ["bad", ""]
        assert "eth9" not in node.routing.wanted
        assert node.service.counters["client_dropped.http"] == 1

    converse(tmp_path / "s", talk, rw=True)


def test_dumps_leave_the_loop_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = View.lines

    def hold(view: View) -> list[str]:
        time.sleep(0.1)
        return lines(view)

    monkeypatch.setattr(View, "lines", hold)

    async def talk(node: FakeNode) -> None:
        client = await Client.at(tmp_path / "s")
        start = time.monotonic()
        client.writer.write(b"dump\n" * 6)
        assert [await client.line() for _ in range(6)] == ["ok"] * 6
        assert time.monotonic() - start > 1.2

    converse(tmp_path / "s", talk)
