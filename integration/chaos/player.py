"""Strokes against a mesh in namespaces, and the record of what did not work when."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from babelwg.lab.chaos import Stroke
from babelwg.lab.netns.mesh import Mesh, MeshError
from babelwg.lab.outages import Break
from integration.chaos.looks import look_every

TABLE = "6696"
POLL = 0.05  # seconds between two looks at what is to come back
ANSWER_TIMEOUT = 5.0  # seconds
FOREVER = float("inf")


class Struck(NamedTuple):
    """A stroke that was made, and when it began (monotonic seconds)."""

    when: float
    stroke: Stroke


class Player:
    """Makes strokes against a mesh whose links are wires."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.done: list[Struck] = []
        self._silent: dict[frozenset[str], frozenset[str]] = {}  # whose frames each link loses
        self._weather: dict[frozenset[str], tuple[float, float]] = {}  # delay (seconds) and loss of a link
        self._broken: dict[tuple[str, ...], Break] = {}  # what is broken now, by what and how
        self._mended: list[Break] = []
        self._ending: set[str] = (
            set()
        )  # nodes in which something is being ended: what answers there still is old
        self._lock = threading.Lock()
        self.close = look_every(POLL, self._look_for_returns)

    def strike(self, stroke: Stroke) -> None:
        """Do what a stroke says, now."""
        self.done.append(Struck(time.monotonic(), stroke))
        strokes: dict[str, Callable[[Stroke], None]] = {
            "cut": lambda s: self._cut(s, frozenset(s.subject)),
            "cut one way": lambda s: self._cut(s, frozenset(s.subject[:1])),
            "restore": lambda s: self._cut(s, frozenset()),
            "impair": self._impair,
            "mend": self._impair,
            "kill daemon": lambda s: self._end_daemon(s.subject[0], signal.SIGKILL),
            "stop daemon": lambda s: self._end_daemon(s.subject[0], signal.SIGTERM),
            "start daemon": lambda s: self._start_daemon(s.subject[0]),
            "kill data plane": lambda s: self._kill_data_plane(s.subject[0]),
            "flush routes": lambda s: self._flush(s.subject[0]),
            "reload": self._reload,
        }
        strokes[stroke.kind](stroke)

    def all_runs(self) -> bool:
        """Return whether all links are whole and all daemons and data planes answer."""
        return not self._broken

    def is_away(self, name: str) -> bool:
        """Return whether the daemon of a node has been ended, and does not answer again yet."""
        return ("daemon", name) in self._broken

    def breaks(self) -> list[Break]:
        """Return what did not work, and when; what does not work yet has no end."""
        with self._lock:
            return [*self._mended, *self._broken.values()]

    def _cut(self, stroke: Stroke, silent: frozenset[str]) -> None:
        ends = frozenset(stroke.subject)
        key = ("link", *sorted(ends))
        self._silent[ends] = silent
        if silent:
            self._break(key, tuple(sorted(ends)))
        self._set_wire(ends)
        if not silent:
            self._mend(key)

    def _impair(self, stroke: Stroke) -> None:
        ends = frozenset(stroke.subject)
        link = self.mesh.links[ends].link
        values = {"delay_ms": link.delay_ms, "loss": link.loss} | dict(stroke.changes)
        self._weather[ends] = (values["delay_ms"] / 1e3, values["loss"])
        self._set_wire(ends)

    def _set_wire(self, ends: frozenset[str]) -> None:
        underlay = self.mesh.links[ends]
        link, wire, silent = underlay.link, underlay.wire, self._silent.get(ends, frozenset())
        assert wire is not None, f"the link {link.name} has no wire"
        delay, loss = self._weather.get(ends, (link.delay_ms / 1e3, link.loss))
        there, back = (1.0 if name in silent else loss for name in (link.a, link.b))
        wire.set(delay=delay, loss=there, loss_back=back)

    def _end_daemon(self, name: str, how: signal.Signals) -> None:
        self._ending.add(name)
        self._break(("daemon", name), (name,))
        self.mesh.stop_daemon(name, how)

    def _start_daemon(self, name: str) -> None:
        self.mesh.start_daemon(name)
        self._ending.discard(name)

    def _kill_data_plane(self, name: str) -> None:
        victims = [pid for pid in self.mesh.nodes[name].pids() if b"babelwg.dataplane" in _command_of(pid)]
        was_away = name in self._ending
        self._ending.add(name)
        self._break(("data plane", name), (name,))
        # Its sessions are gone with it, so its links come up anew.
        for peer in self.mesh.peers_of(name):
            self._break(("data plane", name, peer), tuple(sorted((name, peer))))
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while any(Path(f"/proc/{pid}").exists() and _command_of(pid) for pid in victims):
            time.sleep(0.001)
        if not was_away:
            self._ending.discard(name)

    def _flush(self, name: str) -> None:
        for family in ("-4", "-6"):
            self.mesh.nodes[name].run("ip", family, "route", "flush", "table", TABLE, check=False)

    def _reload(self, stroke: Stroke) -> None:
        (name,) = stroke.subject
        assert stroke.peer is not None, "a reload changes the cost of a tunnel"
        self.mesh.write_config(name, {stroke.peer: f"cost = {stroke.changes['cost']}\n"})
        if name in self.mesh.daemons:  # else it reads it when it starts
            with suppress(OSError, ValueError):
                self.mesh.ask(name, "reload")

    def _is_served(self, name: str, peer: str) -> bool:
        """Return whether the data plane of a node has the tunnel to a peer; itself is asked, its daemon may be late."""
        run = Path(f"/proc/{self.mesh.nodes[name].pid}/root/run/wireguard")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_TIMEOUT)
            connection.connect(str(run / f"{self.mesh.tunnel(name, peer)}.sock"))
            connection.sendall(b"get=1\n\n")
            with connection.makefile("r") as answer:
                return any(line.startswith("public_key=") for line in iter(answer.readline, "\n"))

    def _break(self, key: tuple[str, ...], subject: tuple[str, ...]) -> None:
        with self._lock:
            self._broken.setdefault(key, Break(subject, time.monotonic(), FOREVER, key[0]))

    def _mend(self, key: tuple[str, ...]) -> None:
        with self._lock:
            if (broken := self._broken.pop(key, None)) is not None:
                self._mended.append(broken._replace(until=time.monotonic()))

    def _look_for_returns(self) -> None:
        """Note when daemons answer again, and data planes serve them."""
        with self._lock:
            keys = [key for key in self._broken if key[0] in ("daemon", "data plane") and len(key) == 2]
        for key in keys:
            try:
                self._look(key)
            except (OSError, ValueError, MeshError):
                continue  # It is not there yet.

    def _look(self, key: tuple[str, ...]) -> None:
        what, name = key
        if name in self._ending:
            return
        if what == "daemon":
            self.mesh.ask(name, "status")
        elif not all(self._is_served(name, peer) for peer in self.mesh.peers_of(name)):
            return
        self._mend(key)
        if what == "data plane":
            for peer in self.mesh.peers_of(name):
                self._mend(("data plane", name, peer))


def _command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
