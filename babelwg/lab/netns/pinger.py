"""The system's own `ping` in a node of the lab, with every answer noted."""

import re
import subprocess
import threading
import time
from itertools import pairwise
from typing import IO

from babelwg.lab.netns.node import Node

ANSWER = re.compile(r"icmp_seq=(\d+).* time=")


class Pinger:
    """Pings an address at a fixed interval (seconds) until stopped; may be read while it runs."""

    def __init__(self, node: Node, address: str, interval: float) -> None:
        self.interval = interval
        self.answers: dict[int, float] = {}  # when the answer to each number came, monotonic seconds
        self._process = node.popen(
            "ping",
            "-n",
            "-i",
            str(interval),
            "-W",
            "1",
            address,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()

    @property
    def received(self) -> int:
        """How many pings were answered."""
        return len(self.answers)

    @property
    def sent(self) -> int:
        """How many pings were sent, as far as an answer to a later one shows."""
        return max(self.answers, default=0)

    @property
    def lost(self) -> int:
        """How many pings were not answered although a later one was."""
        numbers = list(self.answers)  # more may come while we count
        return max(numbers, default=0) - len(numbers)

    @property
    def last_heard(self) -> float:
        """When the last answer came, monotonic seconds; 0.0 for never."""
        return max(list(self.answers.values()), default=0.0)

    def longest_gap(self, since: float) -> float:
        """Return the longest time without an answer after `since`, in seconds."""
        times = sorted(t for t in list(self.answers.values()) if t >= since)
        return max((b - a for a, b in pairwise(times)), default=0.0)

    def stop(self) -> None:
        """End it and read what is still there."""
        self._process.terminate()
        self._process.wait()
        self._reader.join()

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                found = ANSWER.search(line.decode(errors="replace"))
                if found:
                    self.answers[int(found[1])] = time.monotonic()
