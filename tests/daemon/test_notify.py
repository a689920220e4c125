"""The service manager hears that a node is ready, reloads, stops, and that its event loop turns."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from babelwg.daemon.notify import Notifier
from tests.daemon.virtualtime import run


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(5)
        yield receiver


def heard(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().split("\n")


def test_node_tells_when_it_is_ready(manager: socket.socket) -> None:
    Notifier(manager.getsockname()).ready("tunnels: 2, routes: 7")
    assert heard(manager) == ["READY=1", "STATUS=tunnels: 2, routes: 7"]


def test_node_tells_on_an_abstract_socket() -> None:
    name = f"babelwg-notify-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        manager.settimeout(5)
        Notifier.from_environment({"NOTIFY_SOCKET": f"@{name}"}).stopping()
        assert heard(manager) == ["STOPPING=1", "STATUS=stopping"]


def test_reload_ends_with_ready_also_when_it_fails(manager: socket.socket) -> None:
    notifier = Notifier(manager.getsockname())
    before = time.monotonic_ns() // 1000
    with contextlib.suppress(RuntimeError), notifier.reloading():
        raise RuntimeError
    word, stamp = heard(manager)
    assert word == "RELOADING=1"
    assert before <= int(stamp.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
    assert heard(manager) == ["READY=1"]


def test_watchdog_is_fed_twice_in_its_period(manager: socket.socket) -> None:
    async def feed() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.45):
                await notifier.run(lambda: "as before")

    notifier = Notifier(manager.getsockname(), watchdog=0.2)
    notifier.ready("as before")
    run(feed())
    manager.setblocking(False)
    words = []
    with contextlib.suppress(BlockingIOError):
        while True:
            words += heard(manager)
    assert words[:2] == ["READY=1", "STATUS=as before"]
    assert words.count("WATCHDOG=1") == 5  # at 0, 0.1, 0.2, 0.3 and 0.4 s
    assert words.count("STATUS=as before") == 1


def test_status_is_told_when_it_changes(manager: socket.socket) -> None:
    async def follow() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await notifier.run(lambda: next(statuses, "two"), interval=0.01)

    statuses = iter(["one", "one"])
    notifier = Notifier(manager.getsockname())
    run(follow())
    assert heard(manager) == ["STATUS=one"]
    assert heard(manager) == ["STATUS=two"]
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(4096)


@pytest.mark.parametrize(
    ("environment", "watchdog"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_is_taken_from_the_environment(environment: dict[str, str], watchdog: float | None) -> None:
    assert Notifier.from_environment(environment).watchdog == watchdog


def test_nothing_is_told_without_a_manager() -> None:
    notifier = Notifier.from_environment({})
    notifier.ready("")
    run(notifier.run(lambda: ""))
    notifier.stopping()


def test_a_manager_that_is_gone_or_does_not_read_holds_nothing_up(tmp_path: Path) -> None:
    Notifier(str(tmp_path / "gone")).ready("")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "full"))
        notifier = Notifier(str(tmp_path / "full"))
        for _ in range(2000):
            notifier.stopping()
