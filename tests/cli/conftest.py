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

from babelwg.cli import client
from babelwg.cli.commands import cli
from babelwg.cli.selection import select
from babelwg.daemon.queries.routetable import ROUTE_FIELDS
from babelwg.daemon.queries.tables import SOURCE_FIELDS

FIELDS = {
    "routes": list(ROUTE_FIELDS),
    "sources": list(SOURCE_FIELDS),
    "kernel": ["prefix", "table", "peer", "state", "reason", "wanted", "present"],
}
OWN = ("prefix", "seqno", "refmetric", "metric", "age_s", "expires_s")
ANSWERS = Path(__file__).with_name("answers.json")


class FakeDaemon:
    """Answers each request with its data; `raw` is sent instead when it is set, nothing when `is_silent`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.requests: list[dict[str, Any]] = []
        self.answers: dict[str, Any] = json.loads(ANSWERS.read_text())
        self.answers["words"] = []
        self.answers["named"] = []
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
        data = _asked(self.answers[request["method"]], request)
        return head | {"result": {"node": "alpha", "data": data}}


def _asked(data: Any, request: dict[str, Any]) -> Any:
    """Return an answer as the daemon chooses and arranges what may have many rows."""
    if request["method"] not in FIELDS:
        return data
    wanted, columns = (request["params"].get(key) for key in ("filter", "columns"))
    rows = data.get("routes", []) if isinstance(data, dict) else data
    if rows and "prefix" not in rows[0]:
        return data  # that of another version
    if wanted is not None:
        way = [row if "neighbour" in row else row | _way(row) for row in rows]
        rows = [row for row, full in zip(rows, way, strict=True) if select([full], wanted)]
    if columns:
        rows = _columns(rows, FIELDS[request["method"]] if columns is True else columns)
    if request["method"] != "kernel":
        return rows
    return data | {"routes": rows} | ({"rules": []} if wanted is not None else {})


def _way(row: dict[str, Any]) -> dict[str, Any]:
    """Return the way of a route of ours, as the kernel has it if it does."""
    present = None if row["state"] == "beaten" else row["present"]
    return present or row["wanted"]


def _columns(rows: list[dict[str, Any]], fields: list[str]) -> dict[str, Any]:
    """Return rows as the daemon arranges many: some fields by row, the others by kind."""
    own, shared = [field for field in fields if field in OWN], [field for field in fields if field not in OWN]
    kinds: list[list[Any]] = []
    for row in rows:
        kind = [row.get(field) for field in shared]
        if kind not in kinds:
            kinds.append(kind)
    return {
        "fields": fields,
        "columns": {field: [row[field] for row in rows] for field in own},
        "shared": [
            {
                "fields": {field: [kind[n] for kind in kinds] for n, field in enumerate(shared)},
                "rows": [kinds.index([row.get(field) for field in shared]) for row in rows],
            }
        ],
    }


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


class HastySocket(socket.socket):
    """A socket whose seconds are shorter."""

    def settimeout(self, value: float | None) -> None:
        super().settimeout(value and value / 200)


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait for a daemon that hangs."""
    monkeypatch.setattr(client.socket, "socket", HastySocket)


@pytest.fixture
def run() -> Run:
    """Run a command that needs no daemon."""

    def run(*arguments: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(cli, list(arguments), input=stdin)

    return run
