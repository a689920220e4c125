"""`trace` and `ping` on the command line: a line for each hop and answer, a sum, and the exit codes."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from jsonschema import Draft202012Validator

from babelwg.cli.schema import compose

Ask = Callable[..., Result]
TRACE = {
    "asked": "delta",
    "address": "fd00:77::4",
    "name": "delta",
    "source": "fd00:77::1",
    "end": "reached",
    "words": "reached in 3 hops",
    "hops": [
        {
            "hop": 1, "address": "fd00:77::2", "name": "bravo", "rtt_s": [0.0012, 0.0015, 0.0011], "lost": 0,
            "metric": 96, "onward": 192, "words": None,
        },
        {
            "hop": 2, "address": None, "name": None, "rtt_s": [], "lost": 3,
            "metric": None, "onward": None, "words": None,
        },
        {
            "hop": 3, "address": "fd00:77::4", "name": "delta", "rtt_s": [0.0302, 0.0311], "lost": 1,
            "metric": 288, "onward": None, "words": None,
        },
    ],
}  # fmt: skip
TEXT = """\
delta (fd00:77::4): reached in 3 hops

HOP  NODE              RTT                METRIC  ONWARD
  1  bravo fd00:77::2  1.2ms 1.5ms 1.1ms      96     192
  2  * no answer       -                       -       -
  3  delta fd00:77::4  30ms 31ms *           288       -
"""
HEAD = {
    "asked": "bravo", "address": "10.0.0.2", "name": "bravo", "source": "10.0.0.1", "count": 3, "interval_s": 1.0,
}  # fmt: skip
ANSWERS = [
    {"seq": 1, "from": "10.0.0.2", "rtt_s": 0.0012, "words": None},
    {"seq": 2, "from": None, "rtt_s": None, "words": "no answer in 2 s"},
    {"seq": 3, "from": "10.0.0.7", "rtt_s": None, "words": "no route"},
]
PING = """\
ping bravo (10.0.0.2) from 10.0.0.1
answer from bravo: seq=1 time=1.2ms
seq=2: no answer in 2 s
seq=3 from 10.0.0.7: no route
bravo: 3 sent, 1 answered, 67% lost, min/avg/max 1.2ms/1.2ms/1.2ms
"""


def test_trace_prints_a_line_for_each_hop(ask: Ask, daemon: Any) -> None:
    daemon.answers["trace"] = TRACE
    result = ask("trace", "delta")
    assert (result.stdout, result.stderr, result.exit_code) == (TEXT, "", 0)
    assert daemon.requests[0]["params"] == {"target": "delta"}
    document = json.loads(ask("trace", "delta", "--json").stdout)
    Draft202012Validator(compose("trace")).validate(document)
    assert ask("trace", "delta", "-o", "tsv").stdout.splitlines()[1].startswith("1\tfd00:77::2\tbravo\t")


def test_a_trace_that_ends_early_fails(ask: Ask, daemon: Any) -> None:
    hop = {**TRACE["hops"][0], "words": "no route"}  # type: ignore[index]
    daemon.answers["trace"] = TRACE | {
        "end": "unreachable",
        "words": "ends at hop 1: no route",
        "hops": [hop],
    }
    result = ask("trace", "delta")
    assert result.exit_code == 1
    assert "bravo fd00:77::2: no route" in result.stdout


def stream(daemon: Any, *events: Any, **head: Any) -> None:
    lines = [{"jsonrpc": "2.0", "id": 1, "result": {"node": "alpha", "data": HEAD | head}}]
    lines += [{"jsonrpc": "2.0", "method": "event", "params": event} for event in events]
    daemon.raw = b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def test_ping_prints_a_line_for_each_answer_and_the_sum(ask: Ask, daemon: Any) -> None:
    stream(daemon, *ANSWERS)
    result = ask("ping", "bravo", "-c", "3")
    assert (result.stdout, result.stderr, result.exit_code) == (PING, "", 0)
    assert daemon.requests[0]["params"] == {"target": "bravo", "count": 3, "interval_s": 1.0}
    lines = [json.loads(line) for line in ask("ping", "bravo", "--json").stdout.splitlines()]
    for line in lines:
        Draft202012Validator(compose("ping")).validate(line)
    assert lines[-1]["data"] == {
        "sent": 3, "received": 1, "loss": 0.6667, "min_s": 0.0012, "avg_s": 0.0012, "max_s": 0.0012,
    }  # fmt: skip
    assert ask("ping", "bravo", "-o", "tsv").stdout.splitlines()[:2] == [
        "seq\tfrom\trtt_s\twords",
        "1\t10.0.0.2\t0.0012\t",
    ]


def test_ping_fails_when_nothing_comes_back_and_when_the_daemon_ends(ask: Ask, daemon: Any) -> None:
    stream(daemon, *ANSWERS[1:], count=2)
    result = ask("ping", "bravo", "-c", "2")
    assert result.exit_code == 1
    assert result.stdout.endswith("bravo: 2 sent, 0 answered, 100% lost\n")
    stream(daemon, ANSWERS[0])
    result = ask("ping", "bravo", "-c", "3")
    assert result.exit_code == 3
    assert result.stderr == "babelwg: the daemon has ended, and the stream with it\n"
    assert "1 sent, 1 answered" in result.stdout


def test_ping_that_is_interrupted_tells_the_sum(
    ask: Ask, daemon: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream(daemon, *ANSWERS)
    from babelwg.cli.render import probes

    real, seen = probes.render_answer, []

    def interrupted(event: Any, head: Any, width: int) -> str:
        seen.append(event)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return real(event, head, width)

    monkeypatch.setattr(probes, "render_answer", interrupted)
    result = ask("ping", "bravo")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1].startswith("bravo: 2 sent, 1 answered, 50% lost")


@pytest.mark.parametrize("words", [("-c", "0"), ("-i", "0.1"), ("-i", "soon")])
def test_ping_refuses_what_is_out_of_bounds(words: tuple[str, ...], ask: Ask, daemon: Any) -> None:
    assert ask("ping", "bravo", *words).exit_code == 2
    assert daemon.requests == []
