"""Tunnels of our own data plane: one process that hosts them all and outlives the daemon."""

import asyncio
import contextlib
import errno
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from babelwg.linux.tunnels.handshakes import HandshakeReport, read_handshakes
from babelwg.linux.tunnels.tunnel import Tunnel, TunnelError, TunnelGone, TunnelState
from babelwg.linux.tunnels.uapi import (
    START_TIMEOUT,
    UAPI_DIRECTORY,
    answers,
    configure,
    message_of,
    read_state,
    request,
)

log = logging.getLogger(__name__)

# Implementation constants
MAX_LOG = 1 << 20  # octets; a longer log of the data plane is begun anew when the process is started
UNIT_VARIABLE = (
    "BABELWG_DATAPLANE_UNIT"  # set where systemd runs the daemon: the unit that runs the data plane
)
PACKAGES = Path(__file__).parents[3]  # the directory that holds our own package


class EmbeddedBackend:
    """Our own userspace WireGuard; the process is started when the first tunnel needs it."""

    name = "embedded"

    def __init__(self, control: Path, lost: Callable[[], None], directory: Path = UAPI_DIRECTORY) -> None:
        self.started: Callable[[], None] = lambda: None  # called when a process was started
        self.unanswered: Callable[[str], None] = lambda interface: (
            None
        )  # told whose handshakes are not answered
        self.used: Callable[[], None] = lambda: (
            None
        )  # called when a tunnel carries packets of users after a rest
        self.tells_use = False  # whether the process that serves us tells that
        self._control = control
        self._lost = lost
        self._directory = directory
        self._watch: asyncio.Task[None] | None = None
        self._made: set[str] = set()  # interfaces that the process hosts, as far as we asked for them
        self._starting = asyncio.Lock()
        self._process: subprocess.Popen[bytes] | None = None  # None while an earlier life's serves us

    async def create(self, tunnel: Tunnel) -> None:
        await self._ensure_running()
        answer = await request(self._control, f"create={tunnel.interface}\nmtu={tunnel.mtu}\n\n")
        code, words = message_of(answer)
        if code == errno.EEXIST:
            raise TunnelError(
                words or f"the interface name {tunnel.interface} is taken",
                "remove that interface, or give the peer another `interface`",
            )
        if code:
            raise TunnelError(words or f"the data plane refused {tunnel.interface} ({code})")
        self._made.add(tunnel.interface)

    async def configure(self, tunnel: Tunnel, previous: Tunnel | None) -> None:
        await configure(self._directory / f"{tunnel.interface}.sock", tunnel, previous)

    async def state(self, interface: str) -> TunnelState:
        return await read_state(self._directory / f"{interface}.sock")

    async def remove(self, interface: str) -> None:
        await self._ensure_running()
        self._made.discard(interface)
        code, words = message_of(await request(self._control, f"remove={interface}\n\n"))
        if code not in (0, errno.ENOENT, errno.ENODEV):
            raise TunnelError(words or f"the data plane refused to remove {interface} ({code})")

    async def stats(self) -> dict[str, int]:
        """Return what the process has refused, as `INTERFACE.REASON` and `port-N.REASON`; empty when none runs.

        Raises TunnelError where it does not answer.
        """
        if self._watch is None or self._watch.done():
            return {}
        try:
            answer = await request(self._control, "stats=1\n\n")
        except TunnelGone:
            return {}  # it has just ended, which the watch tells
        counters: dict[str, int] = {}
        place = ""
        for key, _, value in (line.partition("=") for line in answer.splitlines()):
            if key in ("interface", "port"):
                place = value if key == "interface" else f"port-{value}"
            elif key not in ("", "errno"):
                counters[f"{place}.{key}"] = int(value)
        return counters

    async def handshakes(self) -> HandshakeReport:
        """Return how handshakes go; nothing when no process runs, or an older one."""
        if self._watch is None or self._watch.done():
            return HandshakeReport()
        try:
            return read_handshakes(await request(self._control, "handshakes=1\n\n"))
        except TunnelError:
            return HandshakeReport()  # it has just ended, which the watch tells

    async def shut_down(self) -> None:
        """End the process; the interfaces it still has stay."""
        await self.detach()
        if await answers(self._control):
            await request(self._control, "shutdown=1\n\n")

    async def detach(self) -> None:
        """Stop watching the process, which goes on by itself."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None
            self.tells_use = False

    async def _ensure_running(self) -> None:
        async with self._starting:
            if not await answers(self._control):
                await self._start()
            if self._watch is None or self._watch.done():
                self._watch = asyncio.create_task(self._watch_process())

    async def _start(self) -> None:
        try:
            self._process = process = self._spawn()
        except OSError as error:
            raise TunnelError(f"the data plane cannot be started: {error}") from error
        try:
            async with asyncio.timeout(START_TIMEOUT):
                while not await answers(self._control):
                    # systemctl ends well, and before the data plane serves.
                    if process.poll():
                        raise TunnelError(f"the data plane did not start: {_last_line(self._control)}")
                    await asyncio.sleep(0.01)
        except TimeoutError as error:
            raise TunnelError(
                f"the data plane did not serve {self._control} within {START_TIMEOUT:.0f} s"
            ) from error
        self.started()

    def _spawn(self) -> subprocess.Popen[bytes]:
        """Start the process so that it outlives us. Raises OSError."""
        self._control.parent.mkdir(parents=True, exist_ok=True)
        path = self._control.with_suffix(".log")
        too_long = path.exists() and path.stat().st_size > MAX_LOG
        # Not by asyncio: its transport kills the process when the event loop ends.
        with path.open("wb" if too_long else "ab") as log:
            process = subprocess.Popen(
                self._program(),
                env={**os.environ, "PYTHONPATH": _search_path()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        # Waits for its end, so that it leaves no zombie, and does not hold up ours.
        threading.Thread(target=process.wait, name="wait for the data plane", daemon=True).start()
        return process

    def _program(self) -> list[str]:
        if unit := os.environ.get(UNIT_VARIABLE):
            # Our own child would be in our control group, and end with it wherever somebody sets another KillMode.
            return ["systemctl", "start", "--no-ask-password", unit]
        # -P: what lies in the current directory is none of ours, and we may be root.
        program = [sys.executable, "-P", "-m", "babelwg.dataplane"]
        return [*program, "--control", str(self._control), "--uapi-dir", str(self._directory)]

    async def _watch_process(self) -> None:
        """Hold a connection open: its end is the end of the process, whoever started it, or of its program.

        An older data plane refuses to tell news, and there are none.
        """
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self._control)
            except OSError:
                break
            # A reset, or what is no line, tells the same as an end.
            with contextlib.closing(writer), contextlib.suppress(OSError, ValueError):
                writer.write(b"watch=1\n\n")
                while line := await reader.readline():
                    self._heed(*line.decode(errors="replace").rstrip().partition("=")[::2])
            self.tells_use = False
            if not await self._goes_on():
                break
            log.info("data-plane-upgraded tunnels=%d", len(self._made))
        self._made.clear()
        self._lost()

    def _heed(self, key: str, value: str) -> None:
        if key == "unanswered":
            self.unanswered(value)
        elif key == "used":
            self.used()
        elif key == "tells":
            self.tells_use = "used" in value.split()
            self.used()  # what came before we listened, nobody was told

    async def _goes_on(self) -> bool:
        """Return whether the process has only executed itself anew: then all tunnels are where they were."""
        try:
            answer = await request(self._control, "list=1\n\n")
        except TunnelError:
            return False
        pairs = [line.partition("=")[::2] for line in answer.splitlines()]
        names = [value for key, value in pairs if key == "interface"]
        states = [value for key, value in pairs if key == "state"]
        there = {name for name, state in zip(names, states, strict=True) if state == "open"}
        return bool(self._made) and self._made <= there


def _last_line(control: Path) -> str:
    try:
        lines = control.with_suffix(".log").read_text(errors="replace").strip().splitlines()
    except OSError as error:
        return str(error)
    return lines[-1] if lines else "it said nothing"


def _search_path() -> str:
    """Return our own package's place and what the operator has us search; never the current directory."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join([str(PACKAGES), *(path for path in given if Path(path).is_absolute())])
