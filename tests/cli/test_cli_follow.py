"""Streams seen from the command line: an answer, events without end, and one sentence for each way to break off."""

import json
import threading
from typing import Any

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


def test_events_are_waited_for_longer_than_an_answer(daemon: Any) -> None:
    # The daemon holds the connection open; only the answer has a time limit.
    slow = threading.Event()
    converse = daemon._converse

    def late(connection: Any) -> None:
        converse(connection)
        slow.wait(0.3)
        connection.sendall(line("event", 1))

    daemon.raw, daemon._converse = HEAD, late
    assert list(follow(daemon.path, "monitor", timeout=0.1).events) == [1]


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
