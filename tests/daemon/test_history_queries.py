"""Questions about the past and the present, over a real control socket: what is chosen, and what it costs others."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from jsonschema import Draft202012Validator

from babelwg.babel.events import RouteSelected
from babelwg.babel.routeview import RouteView
from babelwg.babel.wire.prefix import Prefix
from babelwg.cli.schema import compose
from babelwg.daemon.control import ControlServer
from babelwg.daemon.queries.context import Context
from babelwg.daemon.queries.history import History
from babelwg.daemon.recorder import Recorder

B = ip_address("fe80::b").packed
Talk = Callable[["Client", SimpleNamespace], Awaitable[None]]


class SomeNames:
    node = "alpha"

    def peer_on(self, interface: str) -> str | None:
        return interface.removeprefix("bw-")

    def neighbour(self, interface: str, address: bytes) -> str | None:
        return self.peer_on(interface)

    def origin(self, router_id: bytes) -> str | None:
        return None

    def all(self) -> list[str]:
        return ["alpha", "bravo", "charlie", "delta"]

    def identities(self, name: str) -> set[str]:
        return {name, "00:00:00:00:00:00:00:0d"} if name == "delta" else {name}


class SomeRoutes:
    """A speaker that knows so many routes through bravo."""

    def __init__(self, count: int) -> None:
        self._prefixes = [Prefix(4, bytes((10, n >> 8, n & 255, 0)), 24) for n in range(count)]

    def prefixes(self) -> list[Prefix]:
        return self._prefixes

    def routes_for(self, prefix: Prefix, now: float) -> tuple[RouteView, ...]:
        return (RouteView(prefix, bytes(8), B, "bw-bravo", B, 1, 0, 96, 96.0, "selected", 1.0, 30.0),)


class Client:
    """One conversation over the control socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, method: str, **params: Any) -> Any:
        self.writer.write(json.dumps({"id": 1, "method": method, "params": params}).encode() + b"\n")
        return json.loads(await self.reader.readline())

    async def event(self) -> dict[str, Any]:
        line = json.loads(await self.reader.readline())
        assert line["method"] == "event", line
        record: dict[str, Any] = line["params"]
        return record


def converse(path: Path, talk: Talk, routes: int = 3) -> None:
    async def run() -> None:
        names = SomeNames()
        kernel = SimpleNamespace(learned={}, refused={}, tables_of=lambda prefixes: [254] * len(prefixes))
        routing = SimpleNamespace(
            speaker=SomeRoutes(routes),
            wanted={"bw-bravo": None, "eth0": None},
            installer=SimpleNamespace(guarded=frozenset()),
        )
        node: Any = SimpleNamespace(names=names, recorder=Recorder(names), routing=routing, routes=kernel)
        server = ControlServer(path, History(Context(node)).methods())
        await server.start()
        try:
            async with asyncio.timeout(120):
                reader, writer = await asyncio.open_unix_connection(path)
                await talk(Client(reader, writer), node)
                writer.close()
        finally:
            await server.close()

    asyncio.run(run())


def selected(text: str, peer: str = "bravo", router_id: bytes = bytes(8)) -> RouteSelected:
    way = f"bw-{peer}"
    return RouteSelected(Prefix.parse(text), B, way, 96, router_id, B, 1, 0, "update", (way, B))


def validate(answer: str, data: Any) -> None:
    Draft202012Validator({"$ref": f"#/$defs/{answer}", "$defs": compose()["$defs"]}).validate(data)


def test_history_chooses_by_name_time_and_number(tmp_path: Path) -> None:
    async def talk(client: Client, node: SimpleNamespace) -> None:
        node.recorder.note("daemon-started", "it runs")
        node.recorder.listen([selected("10.0.0.0/24"), selected("10.0.1.0/24", "charlie")])
        node.recorder.listen([selected("10.0.0.0/24", "charlie")])
        data = (await client.ask("history"))["result"]
        validate("history", data)
        assert [record["seq"] for record in data["records"]] == [1, 2, 3, 4]
        assert (data["left_out"], data["flaps"], data["about"]) == (0, None, None)
        data = (await client.ask("history", about="10.0.0.0/24"))["result"]
        validate("history", data)
        assert [record["seq"] for record in data["records"]] == [2, 4]
        assert data["flaps"]["changes"] == 1
        data = (await client.ask("history", about="charlie", limit=1))["result"]
        assert ([record["seq"] for record in data["records"]], data["left_out"]) == ([4], 1)
        assert (await client.ask("history", since_s=0))["result"]["records"] == []
        assert (await client.ask("history", about="eth0"))["result"]["records"] == []
        flaps = (await client.ask("flaps", limit=5))["result"]
        validate("flaps", flaps)
        assert [row["prefix"] for row in flaps] == ["10.0.0.0/24"]

    converse(tmp_path / "s", talk)


def test_history_of_a_name_has_what_happened_before_anybody_knew_the_name(tmp_path: Path) -> None:
    async def talk(client: Client, node: SimpleNamespace) -> None:
        node.recorder.listen([selected("10.0.0.0/24"), selected("10.0.1.0/24", router_id=bytes(7) + b"\x0d")])
        (record,) = (await client.ask("history", about="delta"))["result"]["records"]
        assert (record["prefix"], record["origin"]) == ("10.0.1.0/24", None)

    converse(tmp_path / "s", talk)


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"about": "bravi"}, 'nothing is known of "bravi"; did you mean "bravo"?'),
        ({"about": "fe80::zz"}, 'nothing is known of "fe80::zz"'),
        ({"about": 7}, "`about` is a prefix, an address, or a name"),
        ({"about": ""}, "`about` is a prefix, an address, or a name"),
        ({"since_s": "yesterday"}, "`since_s` is a number of seconds"),
        ({"since_s": -1}, "`since_s` is a number of seconds"),
        ({"since_s": 1e300}, "`since_s` is a number of seconds"),
        ({"limit": 0}, "`limit` is a number from 1 to 5000"),
        ({"limit": True}, "`limit` is a number from 1 to 5000"),
    ],
)
def test_a_wrong_question_is_refused_with_a_sentence(
    params: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    async def talk(client: Client, node: SimpleNamespace) -> None:
        answer = await client.ask("history", **params)
        assert answer["error"] == {"code": -32602, "message": sentence}

    converse(tmp_path / "s", talk)


def test_monitor_tells_what_happens_from_now_on(tmp_path: Path) -> None:
    async def talk(client: Client, node: SimpleNamespace) -> None:
        node.recorder.note("daemon-started", "it runs")
        await node.recorder.settle()
        assert (await client.ask("monitor", about="charlie"))["result"] == {"about": "charlie"}
        node.recorder.listen([selected("10.0.0.0/24"), selected("10.0.1.0/24", "charlie")])
        record = await client.event()
        validate("monitor", record)
        assert (record["seq"], record["prefix"]) == (3, "10.0.1.0/24")

    converse(tmp_path / "s", talk)


def test_monitor_tells_the_routes_of_now_first(tmp_path: Path) -> None:
    async def talk(client: Client, node: SimpleNamespace) -> None:
        await client.ask("monitor", routes=True, about="10.0.1.0/24")
        first, end = await client.event(), await client.event()
        validate("monitor", first)
        validate("monitor", end)
        assert (first["event"], first["prefix"], first["state"]) == ("route", "10.0.1.0/24", "selected")
        assert first["text"] == "10.0.1.0/24 via bravo, metric 96: selected"
        assert (end["event"], end["routes"]) == ("replay-ended", 1)

    converse(tmp_path / "s", talk)


def test_a_client_that_leaves_ends_its_replay(tmp_path: Path) -> None:
    async def talk(client: Client, node: SimpleNamespace) -> None:
        await client.ask("monitor", routes=True)
        before = {task for task in asyncio.all_tasks() if "_replay" in repr(task.get_coro())}
        assert len(before) == 1
        (feed,) = node.recorder._feeds
        while feed._waiting < feed._limit // 4:
            await asyncio.sleep(0.01)
        client.writer.transport.abort()
        while not all(task.done() for task in before):
            await asyncio.sleep(0.01)
        assert not node.recorder._feeds

    converse(tmp_path / "s", talk, routes=50_000)


def test_ten_thousand_routes_do_not_delay_hellos(tmp_path: Path) -> None:
    count, at_once = 10_000, Counter[int]()
    turn = 0

    async def watch() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    async def talk(client: Client, node: SimpleNamespace) -> None:
        look = node.routing.speaker.routes_for

        def counted(prefix: Prefix, now: float) -> tuple[RouteView, ...]:
            at_once[turn] += 1
            return cast(tuple[RouteView, ...], look(prefix, now))

        node.routing.speaker.routes_for = counted
        task = asyncio.create_task(watch())
        await client.ask("monitor", routes=True)
        seen = 0
        while b"replay-ended" not in (line := await client.reader.readline()):
            seen += b'"event":"route"' in line
        task.cancel()
        assert seen == count
        # A Hello may come a tenth of its interval late without harm, and the shortest interval in use is 0.2 s: time
        # for hundreds of routes on any machine.
        assert at_once.total() == count
        assert max(at_once.values()) <= 100

    converse(tmp_path / "s", talk, routes=count)


def test_a_slow_reader_of_a_replay_waits_and_loses_nothing(tmp_path: Path) -> None:
    count = 3000  # many times what may wait for this client

    async def talk(client: Client, node: SimpleNamespace) -> None:
        await client.ask("monitor", routes=True)
        (feed,) = node.recorder._feeds
        feed._limit = 100_000
        while feed._waiting <= feed._limit // 4:  # by then it waits for this reader
            await asyncio.sleep(0)
        seen = 0
        while b"replay-ended" not in (line := await client.reader.readline()):
            seen += b'"event":"route"' in line
        assert seen == count

    converse(tmp_path / "s", talk, routes=count)
