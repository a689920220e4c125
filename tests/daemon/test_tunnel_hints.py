"""Which links hints are about: errors that quote packets of tunnels, and handshakes without an answer."""

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from babelwg.config.keys import generate_private, public_of
from babelwg.daemon.linkwatch import hints as module
from babelwg.daemon.linkwatch.hints import FLOOD_PAUSE, TunnelHints
from babelwg.daemon.tunnel_watch import UNANSWERED, TunnelWatch
from babelwg.linux.errors import KernelError
from babelwg.linux.probes.unreachable import PathError
from babelwg.linux.tunnels.tunnel import SocketAddress, Tunnel, TunnelState

KEY = generate_private()
B, C, ELSEWHERE = ((bytes([192, 0, 2, n]), 51820) for n in (2, 3, 4))


class Errors:
    """Stands for a raw socket: what is written to the other end of a pair is an error."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self.is_flooded = False
        self.aimed: list[tuple[int, int]] = []
        self.waiting: list[PathError] = []
        self.looks = 0
        self.ours, self.theirs = socket.socketpair()

    def fileno(self) -> int:
        return self.ours.fileno()

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()

    def aim(self, first: int, last: int) -> None:
        self.aimed.append((first, last))

    def receive(self) -> list[PathError]:
        self.looks += 1
        waiting, self.waiting = self.waiting, []
        return waiting

    def come(self, *errors: PathError) -> None:
        self.waiting += errors
        self.theirs.send(b"x")


def services(told: list[tuple[str, str]]) -> tuple[Any, Any]:
    """Return what stands for the tunnels and for the watch, which notes what it is told."""
    tunnels = SimpleNamespace(actual={}, watch=TunnelWatch(), embedded=SimpleNamespace(tells_use=True))
    watch = SimpleNamespace(
        suspect=lambda interface, kind: told.append((interface, kind)),
        note_use=lambda: told.append(("any", "used")),
    )
    return tunnels, watch


class Scene:
    """Tunnels in memory, one raw socket, and a watch that remembers what it was told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.errors = Errors()
        monkeypatch.setattr(module, "_open_sockets", lambda: [self.errors])
        self.told: list[tuple[str, str]] = []
        self.tunnels, watch = services(self.told)
        self.hints = TunnelHints(self.tunnels, watch)

    def set(self, name: str, port: int, endpoint: SocketAddress | None) -> Tunnel:
        key = public_of(KEY)
        tunnel = Tunnel(f"bw-{name}", name, "kernel", KEY, key, port, 1420, 0, b"", endpoint=endpoint)
        self.tunnels.actual[tunnel.interface] = tunnel
        self.tunnels.watch.tell_setting(tunnel, None)
        return tunnel

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0)


def state(endpoint: SocketAddress | None, received: int, sent: int, age: float) -> TunnelState:
    return TunnelState(endpoint, time.time() - age, received, sent, 0, None)


def test_an_error_is_a_hint_about_the_tunnel_whose_packet_it_quotes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        scene = Scene(monkeypatch)
        roamed = scene.set("b", 51820, B)
        scene.set("c", 51820, C)
        scene.set("d", 51821, B)
        scene.set("e", 51823, None)
        scene.set("old", 0, B)
        assert scene.errors.aimed[-1] == (51820, 51823)
        scene.tunnels.watch.look({"bw-b": roamed}, {"bw-b": state(ELSEWHERE, 0, 0, 1.0)})
        scene.errors.come(PathError(51820, *B))
        await scene.until(lambda: len(scene.told) == 1)
        scene.errors.come(
            PathError(51820, *ELSEWHERE),
            PathError(51820, *C),
            PathError(51821, *B),
            PathError(51821, *C),  # another's
            PathError(51820, B[0], 7),
        )
        await scene.until(lambda: len(scene.told) >= 4)
        assert scene.told == [(name, "icmp") for name in ("bw-b", "bw-b", "bw-c", "bw-d")]
        scene.errors.counters["malformed"] += 2
        assert scene.hints.counters() == {"hint_ignored.no-tunnel": 2, "hint_ignored.malformed": 2}
        scene.hints.close()

    asyncio.run(run())


def test_a_flood_of_errors_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        scene = Scene(monkeypatch)
        scene.errors.is_flooded = True
        scene.errors.come()  # never read here, so the socket stays ready
        begun = asyncio.get_running_loop().time()
        await scene.until(lambda: scene.errors.looks == 3)
        assert asyncio.get_running_loop().time() - begun >= 2 * FLOOD_PAUSE - 0.01
        scene.hints.close()

    asyncio.run(run())


def test_without_the_right_to_listen_other_hints_go_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(family: int) -> None:
        raise KernelError("open", "a raw socket for ICMP errors", 1)

    async def run() -> None:
        told: list[tuple[str, str]] = []
        monkeypatch.setattr(module, "PathErrors", refuse)
        tunnels, watch = services(told)
        hints = TunnelHints(tunnels, watch)
        tunnels.watch.suspect("bw-b")
        tunnels.embedded.unanswered("bw-c")
        tunnels.embedded.used()
        tunnels.actual["bw-d"] = SimpleNamespace(backend="embedded")
        assert told == [("bw-b", "handshake"), ("bw-c", "handshake"), ("any", "used")]
        assert watch.tells_use("bw-d")
        tunnels.actual["bw-d"].backend = "kernel"
        assert not watch.tells_use("bw-d")
        assert not watch.tells_use("none")
        hints.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    assert [r.getMessage().partition(" ")[0] for r in caplog.records] == ["icmp-errors-not-heard"]


@pytest.mark.parametrize(
    ("received", "sent", "age", "suspected"),
    [
        (100, 900, UNANSWERED + 1, True),
        (100, 900, UNANSWERED - 1, False),  # the session was renewed lately
        (101, 900, UNANSWERED + 1, False),  # something came
        (100, 500, UNANSWERED + 1, False),  # nothing was sent that could be answered
        (0, 100, UNANSWERED + 1, False),  # the tunnel was made anew
    ],
)
def test_a_tunnel_that_sends_hears_nothing_and_gets_no_session_is_suspected(
    received: int, sent: int, age: float, suspected: bool
) -> None:
    told: list[str] = []
    watch = TunnelWatch()
    watch.suspect = told.append
    assert not watch.is_quiet("bw-b", state(B, 100, 500, age)), "the first look compares with nothing"
    watch.is_quiet("bw-b", replace(state(B, received, sent, age)))
    assert told == (["bw-b"] if suspected else [])
