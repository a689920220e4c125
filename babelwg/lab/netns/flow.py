"""A one-way flow of numbered UDP datagrams between two nodes: what was lost, and for how long.

Run as a program, this module is either end: `send ADDRESS PORT INTERVAL` or `receive ADDRESS PORT`.
"""

import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from itertools import pairwise
from typing import IO

from babelwg.lab.netns.node import Node

NUMBER = struct.Struct("!Q")
# Implementation constants
SETTLE = 0.3  # seconds for the last datagrams to arrive


class UdpFlow:
    """Sends a datagram every `interval` seconds from one node to an address of another until stopped."""

    def __init__(self, source: Node, destination: Node, address: str, interval: float, port: int = 9) -> None:
        self.interval = interval
        self.arrivals: dict[int, float] = {}  # when each number came, monotonic seconds
        self.copies = 0
        program = [sys.executable, "-m", "babelwg.lab.netns.flow"]
        self._receiver = destination.popen(
            *program, "receive", address, str(port), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._receiver.stdout is not None
        self._receiver.stdout.readline()  # it says when it listens
        self._reader = threading.Thread(target=self._read, args=(self._receiver.stdout,), daemon=True)
        self._reader.start()
        self._sender = source.popen(
            *program, "send", address, str(port), str(interval), stdout=subprocess.PIPE
        )

    @property
    def lost(self) -> int:
        """How many datagrams did not arrive although a later one did."""
        numbers = list(self.arrivals)  # more may come while we count
        return max(numbers, default=-1) + 1 - len(numbers)

    @property
    def last_heard(self) -> float:
        """When the last datagram came, monotonic seconds; 0.0 for never."""
        return max(list(self.arrivals.values()), default=0.0)

    def longest_gap(self, since: float) -> float:
        """Return the longest time without an arrival after `since`, in seconds."""
        times = sorted(t for t in list(self.arrivals.values()) if t >= since)
        return max((b - a for a, b in pairwise(times)), default=0.0)

    def stop(self) -> None:
        """End both programs, the receiver after the last datagrams had time to arrive."""
        self._sender.terminate()
        self._sender.wait()
        assert self._sender.stdout is not None
        self._sender.stdout.close()
        time.sleep(SETTLE)
        self._receiver.terminate()
        self._receiver.wait()
        self._reader.join()

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                number, when = line.split()
                if int(number) in self.arrivals:
                    self.copies += 1
                self.arrivals.setdefault(int(number), float(when))


def send(address: str, port: int, interval: float) -> None:
    """Send numbered datagrams for ever; one that the kernel refuses is lost like any other."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        number, due = 0, time.monotonic()
        while True:
            with suppress(OSError):
                sender.sendto(NUMBER.pack(number), (address, port))
            number += 1
            due += interval
            time.sleep(max(0.0, due - time.monotonic()))


def receive(address: str, port: int) -> None:
    """Print the number and the time of each datagram that comes."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as receiver:
        receiver.bind((address, port))
        print("listening", flush=True)
        while True:
            data = receiver.recv(64)
            print(NUMBER.unpack(data)[0], time.monotonic(), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "send":
        send(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
    else:
        receive(sys.argv[2], int(sys.argv[3]))
