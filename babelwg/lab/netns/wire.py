"""A link with delay, jitter, loss and rate between two nodes, for kernels that have no netem.

Run as a program it forwards frames between two interfaces; `Wire` builds a namespace for it and starts it.
"""

import argparse
import heapq
import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from random import Random
from typing import Any

from babelwg.lab.netns.node import CommandError, Node, connect

# Linux constants that Python does not name (linux/if_packet.h, linux/if_ether.h, asm-generic/socket.h)
SOL_PACKET = 263
PACKET_VNET_HDR = 15
PACKET_IGNORE_OUTGOING = 23
ETH_P_ALL = 3
SO_SNDBUFFORCE = 32
SO_RCVBUFFORCE = 33
VNET_HEADER = 10  # octets before each frame
# Implementation constants
BUFFER = 8 << 20  # octets
FRAMES_PER_TURN = 64  # so that frames that are due do not wait behind a flood


@dataclass(frozen=True, slots=True)
class Impairment:
    """What a wire does to frames; every value holds for both directions unless a `_back` value is given."""

    delay: float = 0.0  # seconds, from the first node to the second
    delay_back: float | None = None  # seconds, the other way
    jitter: float = 0.0  # seconds, uniform around the delay
    loss: float = 0.0  # probability from 0 to 1, from the first node to the second
    loss_back: float | None = None  # probability, the other way
    rate: float = 0.0  # bits per second, 0 for no limit
    limit: int = 1000  # frames in flight per direction
    reorder: bool = False  # whether jitter may reorder


class Wire:
    """An impaired link between two nodes, carried by a process in a namespace of its own."""

    def __init__(
        self,
        a: Node,
        b: Node,
        name_a: str,
        name_b: str,
        addresses_a: Sequence[str] = (),
        addresses_b: Sequence[str] = (),
        mtu: int = 1500,
        impairment: Impairment = Impairment(),
        seed: int | None = None,
    ) -> None:
        self.impairment = impairment
        self.node = Node(f"{a.name}-{b.name}")
        connect(self.node, a, "left", name_a, (), addresses_a, mtu)
        connect(self.node, b, "right", name_b, (), addresses_b, mtu)
        program = [sys.executable, "-m", "babelwg.lab.netns.wire", "left", "right"]
        if seed is not None:
            program += ["--seed", str(seed)]
        self._process = self.node.popen(
            *program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.set(**asdict(impairment))

    def set(self, **changes: Any) -> None:
        """Change some values of the impairment and return when the wire has taken them."""
        self.impairment = replace(self.impairment, **changes)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):  # The missing answer below says so, with the reason.
            self._process.stdin.write(json.dumps(changes) + "\n")
            self._process.stdin.flush()
        if self._process.stdout.readline() != "ok\n":
            self._process.kill()
            _, said = self._process.communicate()
            raise CommandError(f"wire {self.node.name}: {said}")

    def close(self) -> None:
        """Take the link away from both nodes."""
        self.node.close()
        self._process.communicate()


@dataclass(slots=True)
class Direction:
    """The frames on their way from one port to the other."""

    delay: float  # seconds
    loss: float = 0.0  # probability from 0 to 1
    free_at: float = 0.0  # when the last bit of the last frame has left, for the rate
    last: float = 0.0  # when the last frame arrives, so that jitter does not reorder
    in_flight: int = 0


class Forwarder:
    """Two ports and what is in flight between them."""

    def __init__(self, ports: tuple[socket.socket, socket.socket], rng: Random) -> None:
        self.ports = ports
        self.rng = rng
        self.impairment = Impairment()
        self.directions = (Direction(0.0), Direction(0.0))
        self._queue: list[tuple[float, int, int, bytes]] = []
        self._number = 0

    def configure(self, **changes: Any) -> None:
        """Apply changed values to frames that arrive from now on."""
        self.impairment = replace(self.impairment, **changes)
        there, back = self.directions
        there.delay, there.loss = self.impairment.delay, self.impairment.loss
        given = (self.impairment.delay_back, self.impairment.loss_back)
        back.delay, back.loss = (
            a if b is None else b for a, b in zip((there.delay, there.loss), given, strict=True)
        )

    def receive(self, port: int, frame: bytes, now: float) -> None:
        """Put one frame that came in at `port` on its way, or lose it."""
        impairment, direction = self.impairment, self.directions[port]
        if direction.in_flight >= impairment.limit or self.rng.random() < direction.loss:
            return
        due = now + direction.delay
        if impairment.rate:
            octets = len(frame) - VNET_HEADER
            direction.free_at = max(direction.free_at, now) + octets * 8 / impairment.rate
            due = direction.free_at + direction.delay
        if impairment.jitter:
            due += self.rng.uniform(-impairment.jitter, impairment.jitter)
        if not impairment.reorder:
            due = max(due, direction.last)
        direction.last = due
        direction.in_flight += 1
        self._number += 1
        heapq.heappush(self._queue, (due, self._number, port, frame))

    def next_deadline(self) -> float | None:
        """Return when the next frame is due, None when none is in flight."""
        return self._queue[0][0] if self._queue else None

    def frames_due(self, now: float) -> list[tuple[int, bytes]]:
        """Return the frames that arrive by now, each with the port to leave by."""
        due = []
        while self._queue and self._queue[0][0] <= now:
            _, _, port, frame = heapq.heappop(self._queue)
            self.directions[port].in_flight -= 1
            due.append((1 - port, frame))
        return due


def main() -> None:
    """Forward between two interfaces until standard input ends."""
    parser = argparse.ArgumentParser(description="a wire with delay, jitter, loss and rate")
    parser.add_argument("interfaces", nargs=2)
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    ports = (_open_port(options.interfaces[0]), _open_port(options.interfaces[1]))
    forwarder = Forwarder(ports, Random(options.seed))
    while _turn(forwarder):
        for port, frame in forwarder.frames_due(time.monotonic()):
            try:
                ports[port].send(frame)
            except OSError:
                continue  # A wire loses what its other end cannot take: the link is down or its buffer full.


def _turn(forwarder: Forwarder) -> bool:
    deadline = forwarder.next_deadline()
    wait = None if deadline is None else max(0.0, deadline - time.monotonic())
    readable = select.select([*forwarder.ports, sys.stdin], [], [], wait)[0]
    if sys.stdin in readable:
        line = sys.stdin.readline()
        if not line:
            return False
        forwarder.configure(**_read_changes(line))
        print("ok", flush=True)
    for port, port_socket in enumerate(forwarder.ports):
        if port_socket in readable:
            _drain(forwarder, port, port_socket)
    return True


def _drain(forwarder: Forwarder, port: int, port_socket: socket.socket) -> None:
    for _ in range(FRAMES_PER_TURN):
        try:
            frame = port_socket.recv(1 << 17)
        except BlockingIOError:
            return
        except OSError:
            return  # The interface is down; frames come again when it is up.
        forwarder.receive(port, frame, time.monotonic())


def _read_changes(line: str) -> dict[str, Any]:
    changes = json.loads(line)
    unknown = set(changes) - {field.name for field in fields(Impairment)}
    if unknown:
        raise SystemExit(f"unknown values: {', '.join(sorted(unknown))}")
    return dict(changes)


def _open_port(interface: str) -> socket.socket:
    # The ports belong to the wire and not to this namespace's own stack, which must stay silent on them.
    subprocess.run(["ip", "link", "set", "dev", interface, "addrgenmode", "none"], check=True)
    subprocess.run(["ip", "link", "set", "dev", interface, "arp", "off", "promisc", "on", "up"], check=True)
    port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # protocol 0: nothing arrives before the bind
    port.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    port.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)  # keeps large frames and partial checksums as they are
    for forced, plain in ((SO_RCVBUFFORCE, socket.SO_RCVBUF), (SO_SNDBUFFORCE, socket.SO_SNDBUF)):
        try:
            port.setsockopt(socket.SOL_SOCKET, forced, BUFFER)
        except PermissionError:
            port.setsockopt(socket.SOL_SOCKET, plain, BUFFER)
    port.bind((interface, ETH_P_ALL))
    port.setblocking(False)
    return port


if __name__ == "__main__":
    main()
