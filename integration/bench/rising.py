"""Links that rise together between daemons that run already, and when kernels have all routes by that."""

import subprocess
import threading
import time
from collections.abc import Collection, Mapping, Sequence

from babelwg.lab.netns.node import Node
from integration.bench.common import wait

MARKER = "2001:db8:ffff::1"  # a route that comes and goes, to see whether changes are noted
SETTLED = {"net.ipv6.conf.all.forwarding": "1", "net.ipv6.conf.default.accept_dad": "0"}


def prepare(node: Node) -> None:
    """Let a node forward, and have its links use their addresses at once, without duplicate detection."""
    for name, value in SETTLED.items():
        node.sysctl(name, value)


class LinkSwitch:
    """Sets links of several nodes up at one moment: an `ip` waits in each of the nodes for the word."""

    def __init__(self, links: Mapping[Node, Sequence[str]]) -> None:
        self._waiting = [
            (node.popen("ip", "-batch", "-", stdin=subprocess.PIPE, text=True), names)
            for node, names in links.items()
        ]
        for (_, names), node in zip(self._waiting, links, strict=True):
            node.ip(*(f"link set {name} down" for name in names))

    def rise(self) -> float:
        """Set all links up; return when that began, in monotonic seconds."""
        start = time.monotonic()
        for process, names in self._waiting:
            assert process.stdin is not None
            process.stdin.write("".join(f"link set {name} up\n" for name in names))
            process.stdin.close()
        for process, _ in self._waiting:
            if process.wait():
                raise RuntimeError("not all links went up")
        return start


class RouteWatch:
    """Notes from when on a kernel has had a route to each of the wanted prefixes, all of them host prefixes."""

    def __init__(self, node: Node, wanted: Collection[str]) -> None:
        self.complete_at: float | None = None  # monotonic seconds
        self.node = node
        self._wanted = {prefix.partition("/")[0] for prefix in wanted}
        self._ways: dict[str, set[str]] = {}  # by prefix, all that is said of each way
        self._is_heard = False
        self._process = node.popen(
            "ip", "-6", "monitor", "route", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        wait(f"route changes of {node.name} are noted", self._listens, poll=0.05)

    @property
    def missing(self) -> set[str]:
        """The wanted prefixes that the kernel has no route to."""
        return {prefix for prefix in self._wanted if not self._ways.get(prefix)}

    def close(self) -> None:
        """End the watch."""
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def _listens(self) -> bool:
        self.node.ip(f"route replace {MARKER} dev lo", f"route del {MARKER} dev lo")
        return self._is_heard

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in stream:
                self._take(line.split())

    def _take(self, words: list[str]) -> None:
        is_gone = words[0] == "Deleted"
        words = words[is_gone:]
        if words[0] == MARKER:
            self._is_heard = True
        if words[0] not in self._wanted:
            return
        ways, way = self._ways.setdefault(words[0], set()), " ".join(words)
        ways.discard(way)
        if not is_gone:
            ways.add(way)
        is_complete = not self.missing
        if not is_complete:
            self.complete_at = None
        elif self.complete_at is None:
            self.complete_at = time.monotonic()
