"""A daemon that is none: a real Unix socket that gives the answers which a test laid ready."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from babelwg.cli.commands import cli
from babelwg.cli.selection import select

ANSWERS = Path(__file__).with_name("answers.json")


class FakeDaemon:
    """Answers each request with its data; `raw` is sent instead when it is set, nothing when `is_silent`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.requests: list[dict[str, Any]] = []
        self.answers: dict[str, Any] = json.loads(ANSWERS.read_text())
        self.answers["status"]["peers"] = self.answers["peers"]
        self.answers["route_get"]["route"] = self.answers["routes"][0]
        self.error: dict[str, Any] | None = None
        self.raw: bytes | None = None
        self.is_silent = False
        self._done = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._listener.settimeout(0.02)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._done.set()
        self._thread.join()

    def _serve(self) -> None:
        with self._listener:
            while not self._done.is_set():
                try:
                    connection, _ = self._listener.accept()
                except TimeoutError:
                    continue
                # A client may go away before it has heard everything.
                with connection, contextlib.suppress(OSError):
                    self._converse(connection)
        self.path.unlink(missing_ok=True)

    def _converse(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            line = stream.readline()
        if not line:
            return
        request = json.loads(line)
        self.requests.append(request)
        if self.is_silent:
            self._done.wait()
        elif self.raw is not None:
            connection.sendall(self.raw)
        else:
            connection.sendall(json.dumps(self._answer(request)).encode() + b"\n")
        if request["method"] == "stop":
            self._done.set()

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        head = {"jsonrpc": "2.0", "id": request["id"]}
        if self.error is not None:
            return head | {"error": self.error}
        data = self.answers[request["method"]]
        if request["method"] == "routes" and (wanted := request["params"].get("filter")) is not None:
            data = select(data, wanted)
        return head | {"result": {"node": "alpha", "data": data}}


Run = Callable[..., Result]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    fake = FakeDaemon(tmp_path / "s")
    yield fake
    fake.close()


@pytest.fixture
def ask(daemon: FakeDaemon) -> Run:
    """Run a command against the fake daemon."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli, ["--socket", str(daemon.path), *arguments])

    return run


@pytest.fixture
def run() -> Run:
    """Run a command that needs no daemon."""

    def run(*arguments: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(cli, list(arguments), input=stdin)

    return run
