"""The control socket against clients that misbehave."""

import asyncio
import json
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from babelwg.daemon import control, unixsocket
from babelwg.daemon.control import REQUEST_LIMIT, ControlServer, RequestError, _is_gone, asked_by_operator
from tests.daemon import virtualtime


async def echo(params: dict[str, Any]) -> Any:
    return {"echo": params}


async def refuse(params: dict[str, Any]) -> Any:
    raise RequestError(-32602, "no such prefix")


async def fail(params: dict[str, Any]) -> Any:
    raise ZeroDivisionError("broken")


METHODS = {"echo": echo, "refuse": refuse, "fail": fail}


def converse(path: Path, *lines: bytes) -> tuple[list[Any], dict[str, int]]:
    async def run() -> tuple[list[Any], dict[str, int]]:
        server = ControlServer(path, METHODS)
        await server.start()
        try:
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"".join(lines))
            writer.write_eof()
            async with asyncio.timeout(60):
                answers = (await reader.read()).splitlines()
            writer.close()
        finally:
            await server.close()
        return [json.loads(answer) for answer in answers], server.counters

    return asyncio.run(run())


def test_requests_of_one_connection_are_answered_in_order(tmp_path: Path) -> None:
    first = b'{"jsonrpc":"2.0","id":1,"method":"echo","params":{"a":1}}\n'
    second = b'{"jsonrpc":"2.0","id":2,"method":"echo"}\n'
    answers, _ = converse(tmp_path / "s", first, second)
    assert [(a["id"], a["result"]) for a in answers] == [(1, {"echo": {"a": 1}}), (2, {"echo": {}})]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"not json\n", -32700),
        (b"[" * 40000 + b"\n", -32700),
        (b"[]\n", -32600),
        (b'{"id":1}\n', -32600),
        (b'{"id":1,"method":"echo","params":[1]}\n', -32602),
        (b'{"id":1,"method":"nothing"}\n', -32601),
        (b'{"id":1,"method":"refuse"}\n', -32602),
        (b"x" * (REQUEST_LIMIT + 10) + b"\n", -32600),
    ],
)
def test_a_bad_request_gets_an_error_and_is_counted(tmp_path: Path, line: bytes, code: int) -> None:
    answers, counters = converse(tmp_path / "s", line)
    assert [answer["error"]["code"] for answer in answers] == [code]
    assert sum(counters.values()) == 1


def test_a_question_that_fails_does_not_end_the_daemon(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    answers, counters = converse(tmp_path / "s", b'{"id":1,"method":"fail"}\n', b'{"id":2,"method":"echo"}\n')
    assert answers[0]["error"]["code"] == -32603
    assert answers[1]["result"] == {"echo": {}}
    assert counters == {"request_failed": 1}
    assert "ZeroDivisionError" in caplog.text


def on_server(path: Path, action: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        server = ControlServer(path, METHODS)
        await server.start()
        try:
            await action()
        finally:
            await server.close()

    asyncio.run(run())


def test_a_second_daemon_on_the_same_socket_is_refused(tmp_path: Path) -> None:
    async def start_another() -> None:
        with pytest.raises(FileExistsError, match="already answers"):
            await ControlServer(tmp_path / "s", METHODS).start()

    on_server(tmp_path / "s", start_another)


def test_a_socket_that_a_killed_daemon_left_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "s"))
    answers, _ = converse(tmp_path / "s", b'{"id":1,"method":"echo"}\n')
    assert answers[0]["result"] == {"echo": {}}


def test_the_socket_is_for_owner_and_group_only(tmp_path: Path) -> None:
    async def look() -> None:
        assert (tmp_path / "s").stat().st_mode & 0o777 == 0o660

    on_server(tmp_path / "s", look)


def test_the_socket_is_gone_after_the_end(tmp_path: Path) -> None:
    converse(tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_only_root_and_the_daemons_own_user_may_change_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> Any:
        server = ControlServer(tmp_path / "s", METHODS, changing=frozenset({"echo"}))
        await server.start()
        try:
            reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
            writer.write(b'{"id":1,"method":"echo"}\n')
            answer = json.loads(await reader.readline())
            writer.close()
            await writer.wait_closed()
        finally:
            await server.close()
        return answer

    assert asyncio.run(run())["result"] == {"echo": {}}
    monkeypatch.setattr("babelwg.daemon.control._user_of", lambda writer: os.geteuid() + 1)
    assert asyncio.run(run())["error"] == {
        "code": -32002,
        "message": "only root may change this node: run it as root",
    }


def test_a_file_in_place_of_the_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("somebody's")

    async def start() -> None:
        with pytest.raises(OSError, match="is no socket"):
            await ControlServer(tmp_path / "s", METHODS).start()

    asyncio.run(start())
    assert (tmp_path / "s").read_text() == "somebody's"


def test_the_group_shares_the_loop_and_the_operator_never_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hold(params: dict[str, Any]) -> Any:
        virtualtime.work(0.1)

    async def run(user: int) -> float:
        monkeypatch.setattr("babelwg.daemon.control._user_of", lambda writer: user)
        server = ControlServer(tmp_path / "s", {"hold": hold})
        await server.start()
        try:
            reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
            writer.write(b'{"id":1,"method":"hold"}\n' * 6)
            for _ in range(6):
                await reader.readline()
            writer.close()
            return asyncio.get_running_loop().time()
        finally:
            await server.close()

    assert virtualtime.run(run(os.geteuid() + 1)) > 1.2
    assert virtualtime.run(run(os.geteuid())) == pytest.approx(6 * 0.1)


def test_a_method_knows_whether_the_operator_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def who(params: dict[str, Any]) -> Any:
        return asked_by_operator.get()

    monkeypatch.setitem(METHODS, "who", who)
    question = b'{"id": 1, "method": "who"}\n'
    assert converse(tmp_path / "s", question)[0][0]["result"] is True
    monkeypatch.setattr("babelwg.daemon.control._user_of", lambda writer: 12345)
    assert converse(tmp_path / "s", question)[0][0]["result"] is False


def test_no_link_that_takes_the_place_of_the_socket_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The directory may belong to a user who waits for the moment between making the socket and opening it to others.
    path, secret = tmp_path / "s", tmp_path / "shadow"
    secret.write_text("secret")
    secret.chmod(0o600)
    before = secret.stat()

    def swap(_: str) -> SimpleNamespace:
        path.rename(tmp_path / "moved")
        path.symlink_to(secret)
        return SimpleNamespace(gr_gid=os.getgid() + (os.geteuid() == 0))

    monkeypatch.setattr(unixsocket.grp, "getgrnam", swap)

    async def run() -> None:
        (await unixsocket.listen(path, serve_nobody, 100)).close()

    asyncio.run(run())
    after = secret.stat()
    assert (after.st_mode, after.st_gid) == (before.st_mode, before.st_gid)
    assert stat.S_IMODE((tmp_path / "moved").stat().st_mode) == 0o660


async def serve_nobody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    raise AssertionError("nobody asks")


class Slow:
    """Methods that wait until they are told to go on, or are given up."""

    def __init__(self) -> None:
        self.begun, self.go_on, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.calls: list[str] = []

    async def look(self, params: dict[str, Any]) -> Any:
        return await self._work("look")

    async def change(self, params: dict[str, Any]) -> Any:
        return await self._work("change")

    async def _work(self, name: str) -> str:
        self.calls.append(name)
        self.begun.set()
        try:
            await self.go_on.wait()
            self.calls.append(f"{name} done")
        finally:
            self.ended.set()
        return name


def on_slow_server(path: Path, action: Callable[[Slow, ControlServer], Awaitable[None]]) -> None:
    async def run() -> None:
        slow = Slow()
        server = ControlServer(path, {"look": slow.look, "change": slow.change}, frozenset({"change"}))
        await server.start()
        try:
            async with asyncio.timeout(60):
                await action(slow, server)
        finally:
            await server.close()

    asyncio.run(run())


async def asked(path: Path, method: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(json.dumps({"id": 1, "method": method}).encode() + b"\n")
    return reader, writer


def test_a_question_is_given_up_when_its_client_goes_away(tmp_path: Path) -> None:
    async def action(slow: Slow, server: ControlServer) -> None:
        _, writer = await asked(tmp_path / "s", "look")
        await slow.begun.wait()
        writer.close()
        await slow.ended.wait()
        while not server.counters:
            await asyncio.sleep(0)
        assert (slow.calls, server.counters) == (["look"], {"client_lost": 1})

    on_slow_server(tmp_path / "s", action)


def test_a_client_that_says_no_more_still_gets_its_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[bool] = []
    enough = asyncio.Event()

    def look(writer: asyncio.StreamWriter) -> bool:
        looks.append(_is_gone(writer))
        if len(looks) > 3:
            enough.set()
        return looks[-1]

    monkeypatch.setattr(control, "_is_gone", look)
    monkeypatch.setattr(control, "LOOK_INTERVAL", 0.001)

    async def action(slow: Slow, server: ControlServer) -> None:
        reader, writer = await asked(tmp_path / "s", "look")
        writer.write_eof()
        await enough.wait()
        slow.go_on.set()
        assert json.loads(await reader.readline())["result"] == "look"
        writer.close()

    on_slow_server(tmp_path / "s", action)
    assert not any(looks)


def test_a_change_is_done_although_its_client_goes_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "LOOK_INTERVAL", 0.001)

    async def action(slow: Slow, server: ControlServer) -> None:
        _, writer = await asked(tmp_path / "s", "change")
        await slow.begun.wait()
        writer.close()
        await writer.wait_closed()
        # Another question is put and answered meanwhile, which takes many looks.
        _, other = await asked(tmp_path / "s", "look")
        while slow.calls != ["change", "look"]:
            await asyncio.sleep(0)
        other.close()
        await slow.ended.wait()
        slow.go_on.set()
        while "change done" not in slow.calls:
            await asyncio.sleep(0)
        assert slow.calls == ["change", "look", "change done"]

    on_slow_server(tmp_path / "s", action)
