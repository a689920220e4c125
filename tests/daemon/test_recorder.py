"""The flight recorder: bounded, in order, told to those who follow, and there again after a restart."""

import asyncio
import json
import os
from collections.abc import Callable, Coroutine
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from babelwg.babel.events import (
    Event,
    LinkCostChanged,
    NeighbourAcquired,
    RouteFlushed,
    RouteRetracted,
    RouteSelected,
)
from babelwg.babel.wire.prefix import Prefix
from babelwg.daemon.feed import Feed
from babelwg.daemon.recorder import About, Recorder
from babelwg.daemon.recorder.file import HistoryFile
from babelwg.daemon.recorder.flaps import MAX_PREFIXES, FlapCounter

B = ip_address("fe80::b").packed


class SomeNames:
    def peer_on(self, interface: str) -> str | None:
        return interface.removeprefix("bw-")

    def neighbour(self, interface: str, address: bytes) -> str | None:
        return self.peer_on(interface)

    def origin(self, router_id: bytes) -> str | None:
        return None


def selected(text: str, peer: str = "bravo") -> RouteSelected:
    way = f"bw-{peer}"
    return RouteSelected(Prefix.parse(text), B, way, 96, bytes(8), B, 1, 0, "update", (way, B))


def net(number: int) -> str:
    return f"10.{number >> 8}.{number & 255}.0/24"


def play(
    story: Callable[[Recorder], Coroutine[Any, Any, None]], recorder: Recorder | None = None
) -> Recorder:
    recorder = recorder or Recorder(SomeNames())

    async def run() -> None:
        async with asyncio.timeout(120):
            await story(recorder)
            await recorder.close()

    asyncio.run(run())
    return recorder


def records(recorder: Recorder, about: str | None = None) -> list[dict[str, Any]]:
    wanted = About(about) if about else None
    return [json.loads(e.line) for e in recorder.entries() if wanted is None or wanted.matches(e)]


def test_records_carry_time_seq_and_order() -> None:
    async def story(recorder: Recorder) -> None:
        recorder.note("daemon-started", "it runs", "it was started", version="1")
        recorder.listen(
            [selected(net(1)), RouteRetracted(Prefix.parse(net(1)), "retraction", ("bw-bravo", B))]
        )
        recorder.note("daemon-stopped", "it ends")

    found = records(play(story))
    assert [record["event"] for record in found] == [
        "daemon-started",
        "route-selected",
        "route-retracted",
        "daemon-stopped",
    ]
    assert [record["seq"] for record in found] == [1, 2, 3, 4]
    assert found[0] == {
        "time": found[0]["time"],
        "seq": 1,
        "event": "daemon-started",
        "version": "1",
        "cause": "it was started",
        "text": "it runs: it was started",
    }
    assert found[3]["text"] == "it ends"
    assert len(found[0]["time"]) == len("2026-11-21T15:05:45.123+00:00")


def test_a_storm_of_routes_does_not_push_out_what_the_node_did() -> None:
    async def story(recorder: Recorder) -> None:
        await recorder.configure(100, None)
        recorder.note("daemon-started", "it runs")
        recorder.listen([selected(net(number)) for number in range(300)])

    found = records(play(story))
    assert len(found) == 81
    assert [found[0]["event"], found[1]["prefix"], found[-1]["prefix"]] == [
        "daemon-started",
        net(220),
        net(299),
    ]


def test_long_records_are_bounded_by_memory_too() -> None:
    async def story(recorder: Recorder) -> None:
        await recorder.configure(100, None)
        for _ in range(20):
            recorder.note("kernel-refused", "x" * 1500)

    found = records(play(story))
    assert len(found) == 6  # 20 of 600 octets, each of 1,500 and what goes with it


def test_what_comes_faster_than_it_is_told_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("babelwg.daemon.recorder.recorder.MAX_PENDING", 10)

    async def story(recorder: Recorder) -> None:
        recorder.listen([selected(net(number)) for number in range(15)])

    recorder = play(story)
    assert recorder.counters == {"records": 11, "lost": 5}
    found = records(recorder)
    assert found[0]["prefix"] == net(5)
    # Who follows learns that something is missing.
    assert (found[-1]["event"], found[-1]["count"]) == ("events-lost", 5)
    assert found[-1]["text"] == "5 events were not recorded: more happened at once than could be told"


def test_telling_leaves_the_loop_to_others() -> None:
    between = 0

    async def story(recorder: Recorder) -> None:
        nonlocal between
        recorder.listen([selected(net(number)) for number in range(2000)])
        while recorder.counters["records"] < 2000:
            between += 1
            await asyncio.sleep(0)

    play(story)
    assert between >= 2000 / 25


def test_one_event_that_cannot_be_told_does_not_end_the_telling(caplog: pytest.LogCaptureFixture) -> None:
    async def story(recorder: Recorder) -> None:
        broken: list[Event] = [selected("10.0.0.0/8"), object()]  # type: ignore[list-item]
        recorder.listen([*broken, selected("10.1.0.0/16")])

    recorder = play(story)
    assert [record["prefix"] for record in records(recorder)] == ["10.0.0.0/8", "10.1.0.0/16"]
    assert recorder.counters["lost"] == 1
    assert "internal-error" in caplog.text


@pytest.mark.parametrize(
    ("about", "prefixes"),
    [
        ("10.1.0.0/16", ["10.1.0.0/16", "10.1.2.0/24"]),
        ("10.1.2.3", ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "0.0.0.0/0 from 10.9.0.0/16"]),
        ("10.1.0.0/24", []),
        ("0.0.0.0/0 from 10.9.0.0/16", ["0.0.0.0/0 from 10.9.0.0/16"]),
        ("::/0", ["2001:db8::/32"]),
        ("charlie", ["2001:db8::/32"]),
        ("bw-charlie", ["2001:db8::/32"]),
        ("delta", []),
    ],
)
def test_about_chooses_by_prefix_address_and_name(about: str, prefixes: list[str]) -> None:
    async def story(recorder: Recorder) -> None:
        for text in ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "0.0.0.0/0 from 10.9.0.0/16"):
            recorder.listen([selected(text)])
        recorder.listen([selected("2001:db8::/32", "charlie")])

    assert [record["prefix"] for record in records(play(story), about)] == prefixes


def test_a_feed_gets_what_it_asked_for_and_each_record_once() -> None:
    lines: list[bytes] = []

    async def story(recorder: Recorder) -> None:
        feed = Feed(None, recorder.unsubscribe)
        recorder.subscribe(feed, About("bravo"))
        recorder.listen([selected(net(1)), selected(net(2), "charlie"), selected(net(3))])
        await recorder.settle()
        feed.close()
        recorder.listen([selected(net(4))])
        await recorder.settle()
        lines.extend((await feed.take()).splitlines())

    play(story)
    events = [json.loads(line) for line in lines]
    assert [event["params"]["prefix"] for event in events] == [net(1), net(3)]
    assert {(event["jsonrpc"], event["method"]) for event in events} == {("2.0", "event")}


def test_flaps_count_every_other_way_and_every_loss() -> None:
    lost = RouteRetracted(Prefix.parse(net(1)), "retraction", ("bw-bravo", B))
    flushed = RouteFlushed(Prefix.parse(net(1)), "acknowledged")

    async def story(recorder: Recorder) -> None:
        recorder.listen([selected(net(1)), selected(net(2))])
        recorder.listen([selected(net(1), "charlie"), lost, flushed, selected(net(1))])

    recorder = play(story)
    assert recorder.flaps(Prefix.parse(net(1)))["changes"] == 3
    assert recorder.flaps(net(1))["changes_last_hour"] == 3
    assert recorder.flaps(net(2)) == {
        "prefix": net(2),
        "changes": 0,
        "changes_last_hour": 0,
        "last_change_s": None,
    }
    assert [row["prefix"] for row in recorder.top_flaps(10)] == [net(1)]
    assert recorder.changes == 3


def test_history_goes_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"

    async def first(recorder: Recorder) -> None:
        await recorder.configure(1000, path, read_back=True)
        recorder.note("daemon-started", "it runs")
        recorder.listen([selected(net(1))])

    async def second(recorder: Recorder) -> None:
        await recorder.configure(1000, path, read_back=True)
        recorder.note("daemon-started", "it runs again")

    before = records(play(first))
    with path.open("ab") as file:  # a kill in the middle of a line, and a line of somebody else
        file.write(b'[1]\n{"event": "route-sel')
    after = records(play(second))
    assert after[:2] == before
    assert (after[2]["seq"], after[2]["text"]) == (3, "it runs again")
    assert len(after) == 3
    assert path.stat().st_mode & 0o777 == 0o640
    assert json.loads(path.read_bytes().splitlines()[-1])["seq"] == 3


def test_a_reload_keeps_what_happened_and_may_name_another_file(tmp_path: Path) -> None:
    async def story(recorder: Recorder) -> None:
        await recorder.configure(1000, tmp_path / "one")
        recorder.note("a", "first")
        await recorder.settle()
        await recorder.configure(500, tmp_path / "two")
        recorder.note("b", "second")

    assert [record["text"] for record in records(play(story))] == ["first", "second"]
    assert b"first" in (tmp_path / "one").read_bytes()
    assert json.loads((tmp_path / "two").read_bytes())["text"] == "second"


def test_files_are_bounded_and_turned_over(tmp_path: Path) -> None:
    path = tmp_path / "h"

    async def run() -> None:
        file = HistoryFile(path, limit=1000)
        for number in range(200):
            file.put(b'{"n": %04d}' % number)
            if number % 10 == 9:
                await file.close()

    asyncio.run(run())
    assert path.stat().st_size <= 1000
    assert (tmp_path / "h.1").stat().st_size <= 1000
    kept = HistoryFile(path).load(1 << 20)
    assert kept == [b'{"n": %04d}' % number for number in range(200 - len(kept), 200)]
    assert 80 < len(kept) < 200
    assert HistoryFile(path).load(100) == kept[-8:]


def test_a_full_disk_is_counted_and_named_and_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, write = tmp_path / "h", os.write
    full = True

    def some(descriptor: int, data: bytes) -> int:
        if full and len(data) > 5:
            return write(descriptor, data[:5])
        if full:
            raise OSError(28, "No space left on device")
        return write(descriptor, data)

    async def story(recorder: Recorder) -> None:
        nonlocal full
        await recorder.configure(1000, path)
        assert recorder.file is not None
        monkeypatch.setattr(os, "write", some)
        recorder.note("a", "first")
        await recorder.settle()
        await recorder.file.close()
        assert recorder.file.problem == "No space left on device"
        assert recorder.file.counters == {"write_failed": 1, "lines_not_written": 1}
        full = False
        recorder.note("b", "second")
        await recorder.settle()
        await recorder.file.close()
        assert recorder.file.problem is None

    recorder = play(story)
    assert [record["text"] for record in records(recorder)] == ["first", "second"]
    # What the first write began is a line by itself.
    assert [json.loads(line)["text"] for line in path.read_bytes().splitlines()[1:]] == ["second"]


@pytest.mark.parametrize("kind", ["directory", "link", "pipe", "missing"])
def test_what_is_no_file_is_refused_and_named(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "h"
    if kind == "directory":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path = tmp_path / "missing" / "h"

    async def story(recorder: Recorder) -> None:
        await recorder.configure(1000, path, read_back=True)
        recorder.note("a", "first")

    recorder = play(story)
    assert recorder.file is not None and recorder.file.problem
    assert recorder.file.counters["lines_not_written"] == 1
    assert not (tmp_path / "elsewhere").exists()


def test_a_storm_that_never_ends_keeps_nobody_from_the_past() -> None:
    async def story(recorder: Recorder) -> None:
        recorder.listen([selected(net(0))])
        storm = True

        def blow() -> None:
            recorder.listen([selected(net(number)) for number in range(100)])
            if storm:
                asyncio.get_running_loop().call_soon(blow)

        blow()
        await recorder.settle()
        storm = False
        assert any(entry.prefix == net(0) for entry in recorder.entries())

    play(story)


def test_flaps_are_counted_for_a_bounded_number_of_prefixes() -> None:
    # A neighbour may announce and withdraw any number of them.
    counter = FlapCounter()
    for number in range(MAX_PREFIXES + 10):
        counter.note({"event": "route-retracted", "prefix": f"net-{number}", "old_interface": "e0"}, 0.0)
    assert len(counter.top(2 * MAX_PREFIXES, 0.0)) == MAX_PREFIXES
    assert counter.of("net-0", 0.0)["changes"] == 0


def test_a_storm_on_a_lan_does_not_push_out_what_the_node_did() -> None:
    async def story(recorder: Recorder) -> None:
        await recorder.configure(5000, None)
        recorder.note("daemon-started", "it runs")
        for number in range(1000):
            recorder.listen([LinkCostChanged("e0", B, 96 + 200 * (number % 2), 96, 96)])
        recorder.listen([NeighbourAcquired("bw-bravo", B)])

    recorder = play(story)
    found = records(recorder)
    assert [record["event"] for record in (found[0], found[-2])] == ["daemon-started", "neighbour-acquired"]
    assert len([record for record in found if record["event"] == "link-cost-changed"]) == 300
    assert (found[-1]["event"], found[-1]["interface"], found[-1]["count"]) == ("events-lost", "e0", 700)
    assert recorder.counters["lost"] == 700
