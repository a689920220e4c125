"""Where all kernels sent packets at every moment of a storm, as they told it themselves."""

import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from typing import IO, NamedTuple

from babelwg.lab.netns.mesh import Mesh
from babelwg.lab.outages import BlackHole, Span

BEFORE, AFTER = 0.5, 0.2  # seconds around a black hole that are told with it
TABLE = "6696"
MARK = f"table {TABLE} "


class Change(NamedTuple):
    """A node's way to an address from a moment on (monotonic seconds): the next node, or why there is none."""

    when: float
    via: str


class Witness:
    """Writes down what `ip monitor` tells in every node of a mesh, until closed; made before the daemons start."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._changes: dict[tuple[str, str], list[Change]] = {}  # by node and address
        self._offset = time.time() - time.monotonic()
        self._programs = {
            name: node.popen(
                "ip",
                "-ts",
                "-o",
                "monitor",
                "route",
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for name, node in mesh.nodes.items()
        }
        self._readers = [
            threading.Thread(target=self._read, args=(name, program.stdout), daemon=True)
            for name, program in self._programs.items()
        ]
        for reader in self._readers:
            reader.start()

    def close(self) -> None:
        """Write no more."""
        for program in self._programs.values():
            program.terminate()
        for program, reader in zip(self._programs.values(), self._readers, strict=True):
            program.wait()
            reader.join()

    def moments(self, address: str, span: Span) -> list[float]:
        """Return when any node's way to an address changed within a time, in order."""
        found = {
            change.when
            for (_, to), changes in self._changes.items()
            if to == address
            for change in changes
            if span.since < change.when < span.until
        }
        return sorted(found)

    def way(self, source: str, address: str, moment: float) -> list[str]:
        """Return the nodes through which packets for an address went; one that comes again at the end shows a loop."""
        way = [source]
        while way.count(way[-1]) == 1 and (via := self._via(way[-1], address, moment)) in self._mesh.nodes:
            way.append(via)
        return way

    def story(self, hole: BlackHole, address: str) -> Iterator[str]:
        """Tell which way the packets of a black hole took, from a little before it until a little after."""
        around = Span(hole.since - BEFORE, hole.until + AFTER)
        former: list[str] = []
        for moment in [around.since, *self.moments(address, around)]:
            way = self.way(hole.source, address, moment)
            words = [*way, self._via(way[-1], address, moment)]
            if words != former:
                yield f"{moment - hole.since:+8.3f} {address} {' '.join(words)}"
            former = words

    def _via(self, name: str, address: str, moment: float) -> str:
        past = [c for c in self._changes.get((name, address), ()) if c.when <= moment]
        return past[-1].via if past else ""

    def _read(self, name: str, stream: IO[str]) -> None:
        devices = {self._mesh.tunnel(name, peer): peer for peer in self._mesh.peers_of(name)}
        with stream:
            for line in stream:
                if MARK not in line:
                    continue
                stamp, _, said = line.partition("]")
                when = datetime.fromisoformat(stamp[1:]).timestamp() - self._offset
                words = said.split()
                deleted = words[0] == "Deleted"
                words = words[deleted:]
                kind = words.pop(0) if words[0] in ("unreachable", "throw", "local") else ""
                device = words[words.index("dev") + 1] if "dev" in words else ""
                via = "(deleted)" if deleted else f"({kind})" if kind else devices.get(device, device)
                self._changes.setdefault((name, words[0]), []).append(Change(when, via))
