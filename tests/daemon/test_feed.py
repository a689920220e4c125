"""Streams over the control socket: they begin with an answer, go on with events, and end for a slow reader."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from babelwg.daemon.control import ControlServer, notification
from babelwg.daemon.feed import Feed
from tests.daemon import virtualtime

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter, ControlServer], Awaitable[None]]


class Source:
    """Feeds that a server has given out."""

    def __init__(self, limit: int = 1 << 20) -> None:
        self.feeds: list[Feed] = []
        self._limit = limit

    async def monitor(self, params: dict[str, Any]) -> Feed:
        feed = Feed({"since": params.get("since")}, self.feeds.remove, self._limit)
        self.feeds.append(feed)
        return feed


def converse(path: Path, source: Source, talk: Talk) -> dict[str, int]:
    async def run() -> dict[str, int]:
        server = ControlServer(path, {"monitor": source.monitor})
        await server.start()
        try:
            async with asyncio.timeout(20):
                reader, writer = await asyncio.open_unix_connection(path)
                writer.write(b'{"id":7,"method":"monitor","params":{"since":1}}\n')
                await talk(reader, writer, server)
                writer.close()
        finally:
            await server.close()
        return server.counters

    return virtualtime.run(run())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_a_stream_begins_with_its_answer_and_goes_on_with_events(tmp_path: Path) -> None:
    source = Source()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: ControlServer) -> None:
        answer = json.loads(await reader.readline())
        assert (answer["id"], answer["result"]) == (7, {"since": 1})
        for number in range(3):
            source.feeds[0].put(notification("event", {"number": number}))
        said = [json.loads(await reader.readline()) for _ in range(3)]
        assert [(e["method"], e["params"]["number"]) for e in said] == [("event", n) for n in range(3)]
        writer.write_eof()
        assert await reader.read() == b""
        await until(lambda: not source.feeds)

    assert converse(tmp_path / "s", source, talk) == {}


def test_a_slow_reader_gets_what_waits_and_a_notice(tmp_path: Path) -> None:
    source = Source(limit=1000)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: ControlServer) -> None:
        await reader.readline()
        feed = source.feeds[0]
        for _ in range(11):
            feed.put(b"x" * 99 + b"\n")
        assert not source.feeds
        lines = (await reader.read()).splitlines()
        assert lines[:-1] == [b"x" * 99] * 10
        assert json.loads(lines[-1])["method"] == "cut"

    assert converse(tmp_path / "s", source, talk) == {"client_too_slow": 1}


def test_a_reader_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    source = Source()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: ControlServer) -> None:
        await reader.readline()
        for _ in range(9):
            source.feeds[0].put(b"x" * 99_999 + b"\n")
        await asyncio.sleep(0)
        before = asyncio.get_running_loop().time()
        await server.close()
        assert asyncio.get_running_loop().time() - before < 3
        assert not source.feeds

    assert converse(tmp_path / "s", source, talk) == {"client_lost": 1}


def test_requests_beyond_the_rate_wait(tmp_path: Path) -> None:
    async def run() -> dict[str, int]:
        async def echo(params: dict[str, Any]) -> Any:
            return params

        server = ControlServer(tmp_path / "s", {"echo": echo})
        await server.start()
        async with asyncio.timeout(20):
            reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
            writer.write(b'{"id":1,"method":"echo"}\n' * 105)
            for _ in range(105):
                assert json.loads(await reader.readline())["result"] == {}
            writer.close()
        await server.close()
        return server.counters

    assert virtualtime.run(run())["request_delayed"] == 5
