"""Streams seen from the command line: an answer, events without end, and one sentence for each way to break off."""

import json
import socket
from typing import Any, ClassVar

import pytest

from babelwg.cli import client
from babelwg.cli.client import follow
from babelwg.cli.exits import Failure

HEAD = (
    json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"node": "alpha", "data": {"routes": 3}}}).encode()
    + b"\n"
)


def line(method: str, params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode() + b"\n"


def test_a_stream_gives_its_answer_and_each_event_in_order(daemon: Any) -> None:
    events = [{"number": number, "text": "x" * 40_000} for number in range(5)]
    daemon.raw = HEAD + b"".join(line("event", event) for event in events)
    answer, said = follow(daemon.path, "monitor", {"about": "bravo"})
    assert answer == ("alpha", {"routes": 3})
    assert list(said) == events
    assert daemon.requests == [{"jsonrpc": "2.0", "id": 1, "method": "monitor", "params": {"about": "bravo"}}]


class WatchedSocket(socket.socket):
    """A socket that notes for how long it was told to wait, in seconds."""

    waits: ClassVar[list[float | None]]

    def settimeout(self, value: float | None) -> None:
        self.waits.append(value)
        super().settimeout(value)


def test_an_answer_is_waited_for_so_long_and_events_without_end(
    daemon: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    WatchedSocket.waits = []
    monkeypatch.setattr(client.socket, "socket", WatchedSocket)
    daemon.raw = HEAD + line("event", 1)
    stream = follow(daemon.path, "monitor", timeout=60)
    assert WatchedSocket.waits
    assert all(wait is not None and 0 < wait <= 60 for wait in WatchedSocket.waits)
    assert list(stream.events) == [1]
    assert WatchedSocket.waits[-1] is None


@pytest.mark.parametrize(
    ("rest", "sentence", "code"),
    [
        (line("cut", {"reason": "too slow"}), "the daemon cut the stream off: too slow", 1),
        (b'{"params": ', "the daemon's answer broke off after 11 octets", 3),
        (b"nonsense\n", "the daemon's answer is not JSON", 1),
    ],
)
def test_a_stream_that_breaks_off_is_one_sentence(rest: bytes, sentence: str, code: int, daemon: Any) -> None:
    daemon.raw = HEAD + line("event", 1) + rest
    events = follow(daemon.path, "monitor").events
    assert next(events) == 1
    with pytest.raises(Failure) as caught:
        next(events)
    assert (caught.value.message, caught.value.exit_code) == (sentence, code)


def test_an_event_without_end_is_cut(daemon: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MAX_ANSWER", 1 << 18)
    daemon.raw = HEAD + b"x" * (1 << 19)
    with pytest.raises(Failure, match="longer than"):
        list(follow(daemon.path, "monitor").events)


def test_a_stream_that_is_refused_says_why_at_once(daemon: Any) -> None:
    daemon.error = {"code": -32602, "message": "no such peer"}
    with pytest.raises(Failure, match="no such peer"):
        follow(daemon.path, "monitor")
