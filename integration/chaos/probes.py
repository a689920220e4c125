"""Numbered datagrams from every node of a mesh to every other one, by one program in each node.

Run as a program, this module is the program: `INDEX INTERVAL ADDRESS...`, one address for each node, its own too.
"""

import select
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import IO

from babelwg.lab.netns.mesh import Mesh
from babelwg.lab.outages import Arrival, Span, silences

PROBE = struct.Struct("!HQd")  # index of the sender, number, monotonic seconds
PORT = 4711
STALL = 0.1  # seconds that a program must wait for the processor before it tells
FLUSH = 0.2  # seconds between two reports
SETTLE = 1.0  # seconds for the last datagrams to arrive


class Probes:
    """One datagram every `interval` seconds for each ordered pair of nodes; half of the pairs by IPv4."""

    def __init__(self, mesh: Mesh, interval: float) -> None:
        self.interval = interval
        self._topology = mesh.topology
        self.names = [spec.name for spec in mesh.topology.nodes]
        self.arrivals: dict[tuple[str, str], list[Arrival]] = {
            (a, b): [] for a in self.names for b in self.names if a != b
        }
        self.stalls: list[
            Span
        ] = []  # when a program waited for the processor, which tells of the machine only
        self._programs = [self._start(mesh, index) for index in range(len(self.names))]
        self._readers = [
            threading.Thread(target=self._read, args=(name, program.stdout), daemon=True)
            for name, program in zip(self.names, self._programs, strict=True)
        ]
        for reader in self._readers:
            reader.start()

    def address(self, source: str, destination: str) -> str:
        """Return the address of a node to which the probes of another one go."""
        both = [str(prefix).partition("/")[0] for prefix in self._topology.node(destination).addresses]
        return both[(self.names.index(source) + self.names.index(destination)) % 2]

    def unheard_since(self, moment: float) -> list[tuple[str, str]]:
        """Return the pairs from which no probe sent after a moment has come."""
        return [pair for pair, came in self.arrivals.items() if not came or came[-1].sent <= moment]

    def silences(self) -> dict[tuple[str, str], list[Span]]:
        """Return when the probes of each pair were lost."""
        return {pair: silences(list(came), self.interval) for pair, came in self.arrivals.items()}

    def counts(self) -> tuple[int, int]:
        """Return how many probes were sent, as far as a later one shows, and how many of them were lost."""
        sent = sum(
            max(a.number for a in came) - min(a.number for a in came) + 1
            for came in self.arrivals.values()
            if came
        )
        return sent, sent - sum(len({a.number for a in came}) for came in self.arrivals.values())

    def stop(self) -> None:
        """End all programs, after the last datagrams had time to arrive."""
        time.sleep(SETTLE)
        for program in self._programs:
            program.terminate()
        for program, reader in zip(self._programs, self._readers, strict=True):
            program.wait()
            reader.join()

    def _start(self, mesh: Mesh, index: int) -> subprocess.Popen[str]:
        addresses = [self.address(self.names[index], name) for name in self.names]
        program = [sys.executable, "-m", "integration.chaos.probes", str(index), str(self.interval)]
        return mesh.nodes[self.names[index]].popen(*program, *addresses, stdout=subprocess.PIPE, text=True)

    def _read(self, name: str, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                index, number, sent = line.split()
                if index == "late":
                    self.stalls.append(Span(float(number), float(sent)))
                else:
                    self.arrivals[self.names[int(index)], name].append(Arrival(int(number), float(sent)))


class Prober:
    """The program of one node."""

    def __init__(self, index: int, interval: float, addresses: list[str]) -> None:
        self._index = index
        self._others = [address for number, address in enumerate(addresses) if number != index]
        self._pause = interval / len(self._others)
        self._sockets = {
            family: socket.socket(family, socket.SOCK_DGRAM) for family in (socket.AF_INET, socket.AF_INET6)
        }
        for family, own in self._sockets.items():
            if family == socket.AF_INET6:
                own.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            own.bind(("", PORT))
            own.setblocking(False)
        self._lines: list[str] = []

    def run(self) -> None:
        """Send and receive for ever; what the kernel refuses to send is lost like any other."""
        due, count = time.monotonic(), 0
        flush, told = due + FLUSH, due
        while True:
            now = time.monotonic()
            if now >= due:
                self._send(self._others[count % len(self._others)], count // len(self._others), now)
                if now - due > STALL and due > told:
                    self._lines.append(f"late {due:.4f} {now:.4f}\n")
                    told = now
                count, due = count + 1, due + self._pause
                continue
            if now >= flush:
                sys.stdout.write("".join(self._lines))
                sys.stdout.flush()
                self._lines, flush = [], now + FLUSH
            for ready in select.select(list(self._sockets.values()), [], [], due - now)[0]:
                self._receive(ready)

    def _send(self, address: str, number: int, now: float) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with suppress(OSError):
            self._sockets[family].sendto(PROBE.pack(self._index, number, now), (address, PORT))

    def _receive(self, ready: socket.socket) -> None:
        with suppress(BlockingIOError):
            while True:
                index, number, sent = PROBE.unpack(ready.recv(64))
                self._lines.append(f"{index} {number} {sent:.4f}\n")


if __name__ == "__main__":
    Prober(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]).run()
