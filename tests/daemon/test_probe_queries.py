"""`trace` and `ping` as the daemon answers them: bounded, with names, and ended with their client."""

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from babelwg.babel.routeview import RouteColumns, RouteView
from babelwg.babel.snapshot import Snapshot, XrouteView
from babelwg.babel.wire.prefix import Prefix
from babelwg.cli.schema import definitions
from babelwg.config import BabelConfig, Config, Key, NodeConfig, PeerConfig, TunnelsConfig
from babelwg.config.keys import link_local
from babelwg.daemon.control import RequestError, asked_by_operator
from babelwg.daemon.feed import Feed
from babelwg.daemon.names import Names
from babelwg.daemon.queries import probes
from babelwg.daemon.queries.context import Context
from babelwg.daemon.queries.probes import MAX_PINGS, MAX_TRACES, RESERVED, Probes
from babelwg.linux.probes.echo import Reply
from babelwg.linux.probes.uplink import ProbeFailed
from babelwg.linux.routes import Route
from tests.daemon.localbench import until

BRAVO, CHARLIE = Key(b"\x22" * 32), Key(b"\x33" * 32)
OUR_ID, BRAVO_ID, CHARLIE_ID = (bytes(7) + bytes([n]) for n in (1, 2, 3))
B, C = bytes([10, 0, 0, 2]), bytes([10, 0, 0, 3])


def route(
    prefix: str, origin: bytes, key: Key, name: str, refmetric: int, state: Any = "selected"
) -> RouteView:
    address = link_local(key)
    return RouteView(
        Prefix.parse(prefix), origin, address, f"bw-{name}", address, 1, refmetric, refmetric + 96,
        refmetric + 96, state, 1, 1,
    )  # fmt: skip


class FakeEchoes:
    """Answers by the hops that a request lives for; by default the target answers at the second."""

    opened: list["FakeEchoes"] = []
    failure: str | None = None
    silent = False

    def __init__(self, destination: bytes, source: bytes | None) -> None:
        self.destination, self.source, self.closed = destination, source, False
        self.sent = 0
        self.opened.append(self)

    def __enter__(self) -> "FakeEchoes":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self.closed = True

    def forget(self, future: asyncio.Future[Reply]) -> None:
        future.cancel()

    def send(self, hops: int = 64) -> asyncio.Future[Reply]:
        if self.failure:
            raise ProbeFailed(self.failure)
        self.sent += 1
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        if not self.silent:
            future.set_result(
                Reply("expired", B, 0.001) if hops == 1 else Reply("reply", self.destination, 0.002)
            )
        return future


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Probes:
    """Return the queries of a node alpha with the peers bravo and charlie, the latter behind the former."""
    monkeypatch.setattr("babelwg.daemon.names.SYSTEM_HOSTS", tmp_path / "none")
    monkeypatch.setattr(FakeEchoes, "opened", [])
    monkeypatch.setattr(probes, "Echoes", FakeEchoes)
    monkeypatch.setattr(probes, "echoes", FakeEchoes)
    monkeypatch.setattr(probes, "look_up", lambda requests, address, source: Route(
        Prefix.parse("10.0.0.0/8"), 6696, source=bytes([10, 0, 0, 1])
    ))  # fmt: skip
    peers = (PeerConfig("bravo", BRAVO, "bw-bravo"), PeerConfig("charlie", CHARLIE, "bw-charlie"))
    node = NodeConfig("alpha", Key(b"\x11" * 32), Path("node.key"))
    config = Config(node, TunnelsConfig(), BabelConfig(), peers, tmp_path / "c")
    routes = (
        route("10.0.0.2/32", BRAVO_ID, BRAVO, "bravo", 0),
        route("10.0.0.3/32", CHARLIE_ID, BRAVO, "bravo", 96),
        route("10.0.0.3/32", CHARLIE_ID, CHARLIE, "charlie", 0, "unfeasible"),
    )
    own = Prefix.parse("10.0.0.1/32")
    snapshot = Snapshot(OUR_ID, 1, (), (), routes, (XrouteView(own, 0),), (), (), {}, False)
    own_ids = {(r.interface, r.neighbour): [r.router_id] for r in routes if r.refmetric == 0}
    speaker = SimpleNamespace(
        snapshot=lambda now, with_sources: snapshot,
        summary=lambda now: snapshot,
        route_columns=lambda now: RouteColumns.of(routes),
        router_id=OUR_ID,
        originators=lambda: own_ids,
        routes_for=lambda *_: (),
    )
    routing = SimpleNamespace(speaker=speaker, announced={own: (0, "address")})
    made: Any = SimpleNamespace(config=config, config_path=tmp_path / "c", routing=routing, requests=None)
    made.names = Names(made)
    return Probes(Context(made))


def call(asked: Probes, method: str, **params: Any) -> Any:
    async def run() -> Any:
        return await asked.methods()[method](params)

    return asyncio.run(run())


def test_trace_names_the_hops_and_tells_what_each_costs(asked: Probes) -> None:
    data = call(asked, "trace", target="charlie")
    Draft202012Validator({"$ref": "#/$defs/trace", "$defs": definitions()}).validate(data)
    assert (data["address"], data["name"], data["source"]) == ("10.0.0.3", "charlie", "10.0.0.1")
    assert (data["end"], data["words"]) == ("reached", "reached in 2 hops")
    told = [(hop["hop"], hop["name"], hop["metric"], hop["onward"]) for hop in data["hops"]]
    assert told == [(1, "bravo", 96, 96), (2, "charlie", 192, None)]
    assert data["hops"][0]["rtt_s"] == [0.001] * 3
    assert [e.closed for e in FakeEchoes.opened] == [True]


def test_who_is_not_known_is_told_with_the_nearest_name(asked: Probes) -> None:
    for method in ("trace", "ping"):
        with pytest.raises(RequestError, match='did you mean "bravo"'):
            call(asked, method, target="brawo")
        with pytest.raises(RequestError, match="a name or an address is needed"):
            call(asked, method, target="")
    assert FakeEchoes.opened == []


@pytest.mark.parametrize("method", ["trace", "ping"])
@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        *((text, "is not the address of one node") for text in ("ff02::1", "224.0.0.1", "255.255.255.255")),
        *((text, "is not the address of one node") for text in ("::", "0.0.0.0", "::ffff:224.0.0.1")),
        ("fe80::1", "is link-local"),
    ],
)
def test_nothing_is_sent_to_more_than_one_node(
    method: str, target: str, sentence: str, asked: Probes
) -> None:
    with pytest.raises(RequestError, match=sentence):
        call(asked, method, target=target)
    assert FakeEchoes.opened == []


def test_an_ipv4_address_in_the_clothes_of_ipv6_is_one_of_ipv4(asked: Probes) -> None:
    data = call(asked, "trace", target="::ffff:10.0.0.3")
    assert (data["address"], data["name"], data["end"]) == ("10.0.0.3", "charlie", "reached")


@pytest.mark.parametrize(
    "params", [{"count": 0}, {"count": True}, {"interval_s": 0.1}, {"interval_s": "1"}, {"count": 10**9}]
)
def test_ping_keeps_to_its_bounds(params: dict[str, Any], asked: Probes) -> None:
    with pytest.raises(RequestError, match="must be a number"):
        call(asked, "ping", target="bravo", **params)


async def take_all(feed: Feed) -> list[Any]:
    lines = b""
    while taken := await feed.take():
        lines += taken
    return [json.loads(line)["params"] for line in lines.splitlines()]


def test_ping_puts_a_line_for_each_answer_and_ends(asked: Probes, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run(**params: Any) -> tuple[Any, list[Any]]:
        feed = await asked.methods()["ping"]({"target": "bravo", "interval_s": 0.25, **params})
        return feed.head, await take_all(feed)

    head, events = asyncio.run(run(count=2))
    assert (head["name"], head["address"], head["source"], head["count"]) == (
        "bravo",
        "10.0.0.2",
        "10.0.0.1",
        2,
    )
    assert events == [{"seq": n, "from": "10.0.0.2", "rtt_s": 0.002, "words": None} for n in (1, 2)]
    assert [e.closed for e in FakeEchoes.opened] == [True]
    monkeypatch.setattr(probes, "PATIENCE", 0.01)
    monkeypatch.setattr(FakeEchoes, "silent", True)
    _, events = asyncio.run(run(count=1))
    assert events == [{"seq": 1, "from": None, "rtt_s": None, "words": "no answer in 0.01 s"}]
    monkeypatch.setattr(FakeEchoes, "failure", "network is unreachable")
    _, events = asyncio.run(run(count=1))
    assert events == [{"seq": 1, "from": None, "rtt_s": None, "words": "network is unreachable"}]


def test_ping_ends_with_its_client_and_there_are_only_so_many(asked: Probes) -> None:
    async def run() -> None:
        ping = asked.methods()["ping"]
        feeds = [await ping({"target": "bravo"}) for _ in range(MAX_PINGS - RESERVED)]
        with pytest.raises(RequestError, match="7 pings are under way"):
            await ping({"target": "bravo"})
        # The last place is for the operator, whom the group must not lock out.
        asked_by_operator.set(True)
        feeds.append(await ping({"target": "bravo"}))
        with pytest.raises(RequestError, match="8 pings are under way"):
            await ping({"target": "bravo"})
        feeds[0].close()
        await until(lambda: FakeEchoes.opened[0].closed)
        assert [e.closed for e in FakeEchoes.opened] == [True] + [False] * (MAX_PINGS - 1)
        feeds.append(await ping({"target": "bravo"}))
        for feed in feeds:
            feed.close()
        await until(lambda: all(e.closed for e in FakeEchoes.opened))

    asyncio.run(run())


def test_only_so_many_traces_are_under_way(asked: Probes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeEchoes, "silent", True)

    async def run() -> None:
        trace = asked.methods()["trace"]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(trace({"target": "bravo"})) for _ in range(MAX_TRACES - RESERVED)]
            await until(lambda: len(FakeEchoes.opened) == MAX_TRACES - RESERVED)
            with pytest.raises(RequestError, match="3 traces are under way"):
                await trace({"target": "bravo"})
            asked_by_operator.set(True)
            tasks.append(group.create_task(trace({"target": "bravo"})))
            await until(lambda: len(FakeEchoes.opened) == MAX_TRACES)
            with pytest.raises(RequestError, match="4 traces are under way"):
                await trace({"target": "bravo"})
            for task in tasks:
                task.cancel()
        assert all(e.closed for e in FakeEchoes.opened)
        monkeypatch.setattr(FakeEchoes, "silent", False)
        assert (await trace({"target": "bravo"}))["end"] == "reached"

    asyncio.run(run())


def test_a_socket_that_is_refused_is_a_sentence(asked: Probes, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(destination: bytes, source: bytes | None) -> Any:
        raise ProbeFailed("operation not permitted")

    monkeypatch.setattr(probes, "Echoes", refuse)
    monkeypatch.setattr(probes, "echoes", refuse)
    for method in ("trace", "ping"):
        with pytest.raises(RequestError, match=r"cannot send to 10\.0\.0\.2: operation not permitted"):
            call(asked, method, target="10.0.0.2")
