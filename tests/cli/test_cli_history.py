"""`history`, `monitor` and `metrics` against a daemon that is none: text, JSON, times, and every way to end."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Self

import pytest
from click.testing import Result
from jsonschema import Draft202012Validator

from babelwg.cli.history import _seconds_since
from babelwg.cli.schema import compose

Ask = Callable[..., Result]
RECORD = {
    "time": "2026-03-21T15:04:05.250+00:00",
    "seq": 7,
    "event": "route-selected",
    "prefix": "10.23.0.2/32",
    "peer": "charlie",
    "neighbour_name": "charlie",
    "interface": "bw-charlie",
    "metric": 192,
    "old_metric": 312,
    "cause": "bravo's link cost rose from 96 to 312",
    "text": "10.23.0.2/32 now goes via charlie, metric 192 (was bravo, metric 312): "
    "bravo's link cost rose from 96 to 312",
}
FLAPS = {"prefix": "10.23.0.2/32", "changes": 3, "changes_last_hour": 2, "last_change_s": 90.0}
HISTORY = {"about": "10.23.0.2/32", "records": [RECORD], "left_out": 0, "kept_s": 7300.5, "flaps": FLAPS}
METRICS = "# HELP babelwg_up Whether the daemon answers.\n# TYPE babelwg_up gauge\nbabelwg_up 1\n"


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(autouse=True)
def answers(daemon: Any) -> None:
    daemon.answers |= {"history": HISTORY, "flaps": [FLAPS], "metrics": {"text": METRICS}}


def valid(answer: str, line: str) -> Any:
    """Return the data of a document after it was compared with the schema."""
    document = json.loads(line)
    Draft202012Validator(compose(answer)).validate(document)
    return document["data"]


def head(daemon: Any, *events: Any, cut: bool = False) -> None:
    """Have the daemon stream these events, and end."""
    lines: list[Any] = [{"jsonrpc": "2.0", "id": 1, "result": {"node": "alpha", "data": {"about": None}}}]
    lines += [{"jsonrpc": "2.0", "method": "event", "params": event} for event in events]
    if cut:
        lines.append({"jsonrpc": "2.0", "method": "cut", "params": {"reason": "this reader is too slow"}})
    daemon.raw = b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def test_history_is_a_line_for_each_record(ask: Ask, daemon: Any) -> None:
    result = ask("history", "10.23.0.2/32", "--since", "2h", "-n", "50")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == (
        "-- 2026-03-21 --\n"
        "15:04:05.250  10.23.0.2/32 now goes via charlie, metric 192 (was bravo, metric\n"
        "              312): bravo's link cost rose from 96 to 312\n"
        "\n"
        "10.23.0.2/32 changed its way 3 times, 2 of them in the last hour.\n"
    )
    assert daemon.requests[0]["params"] == {"about": "10.23.0.2/32", "since_s": 7200.0, "limit": 50}


def test_history_of_today_needs_no_day(ask: Ask, daemon: Any) -> None:
    moment = datetime.now().astimezone().isoformat(timespec="milliseconds")
    daemon.answers["history"] = HISTORY | {
        "records": [RECORD | {"time": moment, "text": "a\x1b[2Jb"}],
        "flaps": None,
        "left_out": 12,
    }
    assert ask("history").stdout == (
        f"(12 earlier records are left out; -n shows more)\n{moment[11:23]}  a\\x1b[2Jb\n"
    )


def test_history_of_nothing_says_how_far_it_reaches(ask: Ask, daemon: Any) -> None:
    daemon.answers["history"] = HISTORY | {"records": [], "flaps": None}
    result = ask("history", "10.23.0.2/32")
    assert (result.exit_code, result.stdout) == (
        0,
        "Nothing is recorded about 10.23.0.2/32 in the last 2h.\n",
    )


def test_history_of_nothing_lately_says_no_more_than_was_asked(ask: Ask, daemon: Any) -> None:
    daemon.answers["history"] = HISTORY | {"about": None, "records": [], "flaps": None}
    assert ask("history", "--since", "10s").stdout == "Nothing is recorded in the last 10s.\n"


def test_history_follows_the_schema_and_has_rows(ask: Ask) -> None:
    assert valid("history", ask("history", "--json").stdout) == HISTORY
    names, values = ask("history", "-o", "tsv").stdout.splitlines()
    assert names.split("\t")[:3] == ["time", "event", "prefix"]
    assert values.split("\t")[2] == "10.23.0.2/32"


def test_history_and_monitor_have_the_same_columns(ask: Ask, daemon: Any) -> None:
    told = ask("history", "-o", "tsv").stdout
    head(daemon, *HISTORY["records"])
    assert ask("monitor", "-o", "tsv").stdout == told


def test_flaps_are_a_table(ask: Ask, daemon: Any) -> None:
    assert ask("history", "--flaps").stdout == (
        "prefix        last hour  in all  last change\n10.23.0.2/32          2       3           1m\n"
    )
    assert valid("flaps", ask("history", "--flaps", "--json").stdout) == [FLAPS]
    daemon.answers["flaps"] = []
    assert ask("history", "--flaps").stdout == "No route has changed its way.\n"
    assert ask("history", "bravo", "--flaps").exit_code == 2


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("10m", 600), ("2h", 7200), ("1.5h", 5400), ("3d", 259_200), ("2999-01-01", 0)],
)
def test_since_is_an_age(text: str, seconds: float) -> None:
    assert _seconds_since(text) == seconds


class Frozen(datetime):
    """A clock that stands, a little after noon."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls(2026, 3, 21, 12, 3, 4, tzinfo=tz)


def test_since_is_a_time_of_day_or_a_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("babelwg.cli.history.datetime", Frozen)
    now = Frozen.now().astimezone()
    before, after = now - timedelta(minutes=5), now + timedelta(minutes=5)
    assert _seconds_since(before.strftime("%H:%M:%S")) == 300
    assert _seconds_since(after.strftime("%H:%M:%S")) == 86_400 - 300
    assert _seconds_since(before.isoformat()) == 300
    assert _seconds_since((now - timedelta(days=9)).strftime("%Y-%m-%d %H:%M")) == 9 * 86_400 + 4


@pytest.mark.parametrize(
    "text", ["", "10", "m", "-5m", "25:00", "yesterday", "0001-01-01T00:00", "9" * 99 + "d"]
)
def test_since_that_is_no_time_is_exit_2(text: str, ask: Ask) -> None:
    result = ask("history", "--since", text)
    assert result.exit_code == 2, result.output
    assert "is no time: use 10m, 2h, 15:04 or 2026-03-21T15:04" in " ".join(result.stderr.split())


def test_monitor_prints_each_event_and_tells_the_end(ask: Ask, daemon: Any) -> None:
    head(daemon, RECORD, RECORD | {"text": "second"})
    result = ask("monitor", "bravo", "--routes")
    assert result.stdout.splitlines() == [
        "15:04:05.250  10.23.0.2/32 now goes via charlie, metric 192 (was bravo, metric",
        "              312): bravo's link cost rose from 96 to 312",
        "15:04:05.250  second",
    ]
    assert (result.exit_code, result.stderr) == (3, "babelwg: the daemon has ended, and the stream with it\n")
    assert daemon.requests[0]["params"] == {"about": "bravo", "routes": True}


def test_monitor_in_json_is_a_document_a_line(ask: Ask, daemon: Any) -> None:
    head(daemon, RECORD, RECORD)
    lines = ask("monitor", "--json").stdout.splitlines()
    assert [valid("monitor", line) for line in lines] == [RECORD, RECORD]
    assert json.loads(lines[0])["node"] == "alpha"


def test_monitor_in_columns_has_one_line_of_names(ask: Ask, daemon: Any) -> None:
    head(daemon, RECORD, {"time": "t", "event": "daemon-started", "text": "a\tb", "cause": None})
    lines = [line.split("\t") for line in ask("monitor", "-o", "tsv").stdout.splitlines()]
    assert lines[0][:3] == ["time", "event", "prefix"]
    assert lines[2] == ["t", "daemon-started", "", "", "", "", "", "", "a\\tb", "", "", "", "", ""]
    assert {len(line) for line in lines} == {14}


def test_monitor_that_was_too_slow_is_told_so(ask: Ask, daemon: Any) -> None:
    head(daemon, RECORD, cut=True)
    result = ask("monitor")
    assert result.exit_code == 1
    assert result.stderr == "babelwg: the daemon cut the stream off: this reader is too slow\n"


def start(daemon: Any, *arguments: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
    program = [sys.executable, "-m", "babelwg", "--socket", str(daemon.path), *arguments]
    return subprocess.Popen(program, stdout=stdout, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def endless(daemon: Any) -> Iterator[threading.Event]:
    """Have the daemon hold the stream open until the event is set, and say one thing more then."""
    more = threading.Event()
    converse = daemon._converse

    def hold(connection: Any) -> None:
        converse(connection)
        more.wait(120)
        connection.sendall(daemon.raw.splitlines(keepends=True)[-1])

    daemon._converse = hold
    yield more
    more.set()


def test_monitor_is_flushed_and_ends_quietly_when_interrupted(daemon: Any, endless: threading.Event) -> None:
    head(daemon, RECORD)
    process = start(daemon, "monitor", "--json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["data"] == RECORD
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=120) == ("", "")
    assert process.returncode == 130


def test_monitor_whose_reader_goes_away_ends_quietly(daemon: Any, endless: threading.Event) -> None:
    head(daemon, RECORD)
    end, other = os.pipe()
    process = start(daemon, "monitor", stdout=other)
    os.close(other)
    assert os.read(end, 10)
    os.close(end)
    endless.set()
    assert process.communicate(timeout=120)[1] == ""
    assert process.returncode == 1


def test_metrics_are_printed_or_written_whole(ask: Ask, tmp_path: Path) -> None:
    assert ask("metrics").stdout == METRICS
    assert valid("metrics", ask("metrics", "--json").stdout) == {"text": METRICS}
    path = tmp_path / "babelwg.prom"
    path.write_text("old")
    result = ask("metrics", "--textfile", str(path))
    assert (result.exit_code, result.stdout) == (0, "")
    assert path.read_text() == METRICS
    assert path.stat().st_mode & 0o777 == 0o644
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["babelwg.prom", "s"]


def test_metrics_of_a_daemon_that_is_gone_say_so(run: Ask, tmp_path: Path) -> None:
    path = tmp_path / "babelwg.prom"
    result = run("--socket", str(tmp_path / "none"), "metrics", "--textfile", str(path))
    assert result.exit_code == 3
    assert path.read_text().splitlines()[-1] == "babelwg_up 0"
    printed = run("--socket", str(tmp_path / "none"), "metrics")
    assert (printed.exit_code, printed.stdout) == (3, path.read_text())
    as_json = run("--socket", str(tmp_path / "none"), "metrics", "--json")
    assert (as_json.exit_code, as_json.stdout) == (3, "")


def test_metrics_that_cannot_be_written_are_exit_1(ask: Ask, tmp_path: Path) -> None:
    result = ask("metrics", "--textfile", str(tmp_path / "missing" / "x.prom"))
    assert result.exit_code == 1
    assert result.stderr.startswith("babelwg: cannot write ")


def test_metrics_never_take_the_place_of_a_device(ask: Ask, tmp_path: Path) -> None:
    # /dev/stdout and /dev/null would be plain files from then on, for everybody.
    path = tmp_path / "device"
    os.mkfifo(path)
    result = ask("metrics", "--textfile", str(path))
    assert result.exit_code == 1
    assert "is no regular file" in result.output
    assert path.is_fifo()
