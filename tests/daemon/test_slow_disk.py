"""A disk that takes its time: the loop goes on, and a kill at any moment leaves what is true."""

import asyncio
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from babelwg.babel.memory import SourceRecord
from babelwg.babel.snapshot import SourceView
from babelwg.babel.wire.prefix import Prefix
from babelwg.daemon import statekeeper
from babelwg.daemon import store as store_module
from babelwg.daemon.node import Node
from babelwg.daemon.store import Store

NET = Prefix.parse("2001:db8::/32")
OTHER = Prefix.parse("10.1.0.0/16")
ROUTER = b"\2" * 8


class HungDisk:
    """A disk on which every fsync waits until `go` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        self.waits = 0
        honest = os.fsync

        def fsync(descriptor: int) -> None:
            self.waits += 1
            assert self.go.wait(30)
            honest(descriptor)

        monkeypatch.setattr("os.fsync", fsync)

    async def begun(self, waits: int = 1) -> None:
        """Wait until a thread waits for the disk."""
        while self.waits < waits:
            await asyncio.sleep(0.001)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state", "key")
    yield store
    store.close()


class UnansweringDisk(HungDisk):
    """One for which nobody who ends, or holds up the loop, waits any longer than a moment."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch)
        monkeypatch.setattr(store_module, "LAST_WAIT", 0.2)
        monkeypatch.setattr("babelwg.daemon.node.LAST_WAIT", 0.2)
        monkeypatch.setattr(statekeeper, "LONGEST_WAIT", 0.2)


def life_after_a_kill(store: Store) -> Store:
    """Return what a next life would find if this one were killed now."""
    directory = store.directory.with_name("killed")
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(store.directory, directory, ignore=shutil.ignore_patterns(".*"))  # nobody reads those
    return Store(directory, "key")


def test_the_loop_goes_on_while_a_slow_disk_is_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = os.fsync
    slow = []

    def fsync(descriptor: int) -> None:
        slow.append(descriptor)
        time.sleep(0.3)
        honest(descriptor)

    async def checkpoint() -> None:
        await store.save({"bw-a": 7})
        await store.tidy(1, lambda: [SourceView(NET, ROUTER, 5, 96, 0.0)])
        await store.tidy_routes(0, list)
        await store.fsync()
        await store.add_tunnel("bw-a", "kernel")
        for seqno in range(14):
            store.reserve(store.memory().seqno + seqno)

    async def latest_tick() -> float:
        latest, before = 0.0, time.monotonic()
        work = asyncio.create_task(checkpoint())
        while not work.done():
            await asyncio.sleep(0.005)
            latest, before = max(latest, time.monotonic() - before), time.monotonic()
        await work
        return latest

    monkeypatch.setattr("os.fsync", fsync)
    store._journal.length = store._routes.length = 1 << 20  # so both are due to be written anew
    assert asyncio.run(latest_tick()) < 0.2
    assert len(slow) >= 9


def test_the_next_seqnos_are_reserved_while_there_are_others(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store.memory().seqno
    disk = HungDisk(monkeypatch)
    for seqno in range(first, first + 16):
        store.reserve(seqno)  # the disk does not answer, and nobody waits for it
    assert store.seqno_limit() == first + 16
    disk.go.set()
    while store.seqno_limit() == first + 16:
        time.sleep(0.001)
    assert store.seqno_limit() == first + 24
    killed = life_after_a_kill(store)
    assert killed.memory().seqno == first + 24
    assert killed.router_id == store.router_id


def test_an_earlier_version_never_takes_the_place_of_a_later_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def write() -> None:
        disk = HungDisk(monkeypatch)
        saving = asyncio.create_task(store.save({"bw-a": 7}))
        await disk.begun()
        adding = asyncio.create_task(store.add_tunnel("bw-b", "kernel"))
        await asyncio.sleep(0)
        store.set_owner("another key")
        assert not adding.done()  # nothing is made that a next life would not know
        disk.go.set()
        await saving
        await adding

    asyncio.run(write())
    store.close()
    again = Store(store.directory, "another key")
    assert (again.router_id, again.tunnels()) == (store.router_id, {"bw-b": "kernel"})
    assert again.memory().hello_seqnos == {"bw-a": 7}
    again.close()


def test_what_is_told_while_a_journal_is_written_anew_outlives_a_kill(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.remember([SourceRecord(NET, ROUTER, seqno, 96) for seqno in range(5000)])
    later = SourceRecord(OTHER, ROUTER, 7, 192)

    async def write() -> None:
        disk = HungDisk(monkeypatch)
        tidying = asyncio.create_task(store.tidy(1, lambda: [SourceView(NET, ROUTER, 4999, 96, 0.0)]))
        await disk.begun()
        store.remember([later])
        disk.go.set()  # for the copy
        assert set(life_after_a_kill(store).memory().sources) == {SourceRecord(NET, ROUTER, 4999, 96), later}
        await tidying

    asyncio.run(write())
    assert (store.directory / "sources.journal").stat().st_size < 500
    store.remember([SourceRecord(NET, ROUTER, 5000, 96)])
    again = life_after_a_kill(store)
    assert set(again.memory().sources) == {SourceRecord(NET, ROUTER, 5000, 96), later}
    assert not [path for path in store.directory.iterdir() if path.name.endswith(".new")]


def test_a_journal_that_failed_is_whole_again_with_what_came_while_it_was_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.write", full)
        store.remember([SourceRecord(NET, ROUTER, 5, 96)])
    assert "journal" in store.failing

    async def write() -> None:
        disk = HungDisk(monkeypatch)
        tidying = asyncio.create_task(store.tidy(1, lambda: [SourceView(NET, ROUTER, 5, 96, 0.0)]))
        await disk.begun()
        store.remember([SourceRecord(NET, ROUTER, 6, 96)])
        assert "journal" in store.failing
        disk.go.set()
        await tidying

    asyncio.run(write())
    assert "journal" not in store.failing
    assert life_after_a_kill(store).memory().sources == (SourceRecord(NET, ROUTER, 6, 96),)


def test_a_journal_whose_writing_is_broken_off_stays_and_is_written_at_the_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.remember([SourceRecord(NET, ROUTER, seqno, 96) for seqno in range(5000)])

    async def stop_amid() -> None:
        disk = HungDisk(monkeypatch)
        tidying = asyncio.create_task(store.tidy(1, lambda: [SourceView(NET, ROUTER, 4999, 96, 0.0)]))
        await disk.begun()
        tidying.cancel()
        await asyncio.gather(tidying, return_exceptions=True)
        store.remember([SourceRecord(NET, ROUTER, 5000, 96)])
        again = asyncio.create_task(store.tidy(1, lambda: [SourceView(NET, ROUTER, 5000, 96, 0.0)]))
        await asyncio.sleep(0.01)
        disk.go.set()
        await again

    asyncio.run(stop_amid())
    assert life_after_a_kill(store).memory().sources == (SourceRecord(NET, ROUTER, 5000, 96),)


def test_a_stop_does_not_wait_for_a_disk_that_hangs(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Stopping(Node):
        def __init__(self) -> None:
            self.store = store

        async def checkpoint(self) -> None:
            await store.save({"bw-a": 7})

    disk = UnansweringDisk(monkeypatch)
    since = time.monotonic()
    asyncio.run(Stopping()._last_checkpoint())
    store.close()
    passed = time.monotonic() - since
    disk.go.set()
    assert passed < 0.35, "nobody waits twice"
    assert store.counters == {"store_failed.last-checkpoint": 1}
    (line,) = caplog.messages
    assert line.endswith(
        "the disk has not answered for 0 s, so the next start knows an older state of this node"
    )


def test_an_end_during_the_start_does_not_wait_for_a_disk_that_hangs(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = UnansweringDisk(monkeypatch)
    store.set_owner("another key")
    since = time.monotonic()
    store.close()
    assert 0.15 < time.monotonic() - since < 0.35
    assert store.counters == {"store_failed.last-checkpoint": 1}
    disk.go.set()


def test_an_end_that_the_disk_takes_part_in_is_told_nobody(store: Store) -> None:
    store.set_owner("another key")
    store.close()
    assert store.counters == {}
    assert Store(store.directory, "another key").router_id == store.router_id


STOP = """
import asyncio, os, sys, threading
from pathlib import Path
from babelwg.daemon.recorder.file import HistoryFile
from babelwg.daemon.store import Store

async def main():
    store = Store(Path(sys.argv[1]), "key")
    os.fsync = os.write = lambda *arguments: threading.Event().wait()
    history = HistoryFile(Path(sys.argv[1]) / "history")
    history.put(b"{}")
    try:
        async with asyncio.timeout(0.1):
            await store.fsync()
    except TimeoutError:
        store.leave()
    store.set_owner("another key")
    store.close()

asyncio.run(main())
"""


def test_a_process_ends_while_all_its_threads_wait_for_the_disk(tmp_path: Path) -> None:
    since = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", STOP, str(tmp_path)], timeout=20, check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert "Traceback" not in done.stderr
    assert time.monotonic() - since < 10


def test_no_seqno_is_used_that_is_not_reserved_while_the_disk_may_still_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubt = tmp_path / "doubt"
    store = Store(tmp_path / "state", "key", doubt=doubt)
    first = store.memory().seqno
    disk = UnansweringDisk(monkeypatch)
    monkeypatch.setattr(statekeeper, "LONGEST_WAIT", 10.0)
    since = time.monotonic()
    for seqno in range(first, first + 16):
        store.reserve(seqno)
    store.make_room(first + 16)
    assert store.seqno_limit() == first + 16
    assert time.monotonic() - since < 5.0, "nobody waits for it"
    assert (store.failing, doubt.exists()) == ({}, False)
    disk.go.set()
    store.close()
    assert life_after_a_kill(store).router_id == store.router_id


def test_a_disk_that_hangs_costs_the_next_life_its_router_id_and_no_seqno_is_used_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubt = tmp_path / "doubt"
    store = Store(tmp_path / "state", "key", doubt=doubt)
    first = store.memory().seqno
    disk = UnansweringDisk(monkeypatch)
    store.reserve(first + 15)
    time.sleep(0.25)
    assert store.seqno_limit() == first + 16, "nobody wants more"
    assert store.failing == {"state": "the disk has not answered for 0 s"}
    assert not doubt.exists()
    store.make_room(first + 16)
    assert doubt.read_text() == "seqnos", "before it is used: a next life must not use it again"
    assert store.seqno_limit() is None
    for seqno in range(first + 16, first + 40):
        store.reserve(seqno)
    assert store.counters == {"store_failed.state": 1}
    disk.go.set()
    asyncio.run(store.save({"bw-a": 7}))
    while store.seqno_limit() is None:
        time.sleep(0.001)
    assert (store.failing, doubt.exists()) == ({}, False)
    assert store.seqno_limit() == first + 55
    assert life_after_a_kill(store).memory().seqno == first + 55
    store.close()


def test_a_disk_that_is_often_slow_never_holds_the_loop_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.memory()
    honest = os.fsync

    def fsync(descriptor: int) -> None:
        time.sleep(0.1)
        honest(descriptor)

    monkeypatch.setattr("os.fsync", fsync)
    seqno, waits = store.memory().seqno, []
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        since = time.monotonic()
        if seqno + 1 != store.seqno_limit():
            seqno += 1
            store.reserve(seqno)
        else:
            store.make_room(seqno + 1)
        waits.append(time.monotonic() - since)
        time.sleep(0.001)
    assert seqno >= store.memory().seqno + 30, "several blocks were used up"
    assert sorted(waits)[-3] < 0.05, "the machine itself may be busy for a moment"


@pytest.mark.parametrize("id_is_configured", [False, True])
def test_a_disk_that_is_slow_at_the_start_does_not_cost_the_router_id(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, id_is_configured: bool
) -> None:
    store.close()
    monkeypatch.setattr(store_module, "SLOW", 0.15)
    monkeypatch.setattr(statekeeper, "LONGEST_WAIT", 0.1)
    honest = os.fsync

    def fsync(descriptor: int) -> None:
        time.sleep(0.2)
        honest(descriptor)

    monkeypatch.setattr("os.fsync", fsync)
    again = Store(store.directory, "key")
    ours = ROUTER if id_is_configured else None
    assert again.identity(ours) == (ours or store.router_id)
    assert again.router_id == store.router_id
    assert not again.is_provisional
    assert "the start waited for it" in caplog.text
    assert (again.failing, again.counters) == ({}, {})
    assert not again.memory(ours).lost
    again.close()


def test_a_node_starts_also_where_the_disk_hangs_and_remembers_all_when_it_answers(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.remember([SourceRecord(NET, ROUTER, 5, 96)])
    store.close()
    disk = UnansweringDisk(monkeypatch)
    doubt, since = store.directory.with_name("doubt"), time.monotonic()
    again = Store(store.directory, "key", doubt=doubt, hello_interval=0.2)
    assert time.monotonic() - since < 5.0
    assert again.identity(ROUTER) == again.router_id != store.router_id
    assert again.memory().sources == (SourceRecord(NET, ROUTER, 5, 96),)
    assert again.failing.keys() == {"state", "journal", "routes"}
    assert all(why.startswith("the disk has not answered for") for why in again.failing.values())
    assert again.seqno_limit() is None, "nobody has used a seqno of this router-id, or will"
    seqno = again.memory().seqno + 20
    again.reserve(seqno)
    again.remember([SourceRecord(OTHER, ROUTER, 7, 96)])

    async def checkpoint() -> None:
        disk.go.set()
        await again.save({"bw-a": 7})
        await again.save({"bw-a": 8})  # the first version had the router-id of the former life
        await again.tidy(
            2, lambda: [SourceView(NET, ROUTER, 5, 96, 0.0), SourceView(OTHER, ROUTER, 7, 96, 0.0)]
        )
        await again.tidy_routes(0, list)

    asyncio.run(checkpoint())
    assert again.failing == {}
    third = life_after_a_kill(again)
    assert third.router_id == again.router_id
    assert third.memory().seqno > seqno
    assert {record.seqno for record in third.memory().sources} == {5, 7}
    assert not third.memory().lost
    again.close()


def test_tunnels_are_made_while_the_disk_hangs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = UnansweringDisk(monkeypatch)

    async def make() -> tuple[float, float]:
        since = time.monotonic()
        await store.add_tunnel("bw-a", "kernel")
        first = time.monotonic()
        for number in range(20):
            await store.add_tunnel(f"bw-b{number}", "kernel")
        return first - since, time.monotonic() - first

    first, others = asyncio.run(make())
    assert 0.15 < first < 1.0
    assert others < 1.0, "it is known by now; each would wait for 0.2 s"
    assert store.counters == {"store_failed.state": 1}
    disk.go.set()
    store.close()
    assert len(life_after_a_kill(store).tunnels()) == 21


def test_a_system_without_threads_is_a_disk_that_fails_and_is_tried_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    first = store.memory().seqno
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        store.reserve(first + 8)
        assert store.seqno_limit() == first + 16
        asyncio.run(store.add_tunnel("bw-a", "kernel"))
        asyncio.run(store.fsync())
        assert store.failing.keys() == {"state", "journal"}
    assert "no thread for the disk: can't start new thread" in caplog.text
    asyncio.run(store.save({"bw-a": 7}))
    asyncio.run(store.fsync())
    assert store.failing == {}
    assert store.seqno_limit() == first + 24
    assert life_after_a_kill(store).tunnels() == {"bw-a": "kernel"}
