"""What the benchmarks share: daemons under test, their cost, and the printing of interleaved runs."""

import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babelwg.lab.netns.node import Node

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
WAIT = 120.0  # seconds
KINDS = ("babelwg", "babeld", "BIRD")
STATUS = b'{"jsonrpc": "2.0", "id": 1, "method": "status"}\n'
# It announces what its kernel has as routes only, and only what Babel learned goes to the kernel.
BIRD = """log stderr all;
router id 192.0.2.1;
protocol device {{ scan time 1; }}
protocol kernel {{ ipv6 {{ import none; export where source = RTS_BABEL; }}; }}
protocol static {{ ipv6; {routes} }}
protocol babel {{
    randomize router id yes;
    ipv6 {{ import all; export all; }};
{ports}}}
"""


@dataclass(frozen=True)
class Cost:
    """What a process has used: seconds of CPU and octets of resident memory."""

    cpu: float
    rss: int


def cost_of(pid: int) -> Cost:
    """Return what a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return Cost((int(fields[11]) + int(fields[12])) / TICKS, int(fields[21]) * PAGE)


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU that a process has used so far, in all its threads, finer than in ticks."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


class RoutingDaemon:
    """babelwg or babeld with a configuration in babeld's language, or BIRD with one in its own, in a node."""

    def __init__(self, kind: str, node: Node, directory: Path, config: str) -> None:
        self.kind, self.node = kind, node
        home = directory / f"{kind}-{node.name}"
        home.mkdir(parents=True)
        self.socket = home / "control.sock"
        self._log = home / "log"
        (home / "conf").write_text(config)
        common = {"stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
        with self._log.open("wb") as log:
            if kind == "babeld":
                local = f"local-path {self.socket}\n"
                (home / "conf").write_text(config + local)
                state, pid = str(home / "state"), str(home / "pid")
                argv = ["babeld", "-c", str(home / "conf"), "-S", state, "-I", pid]
            elif kind == "BIRD":
                argv = [
                    "bird",
                    "-f",
                    "-c",
                    str(home / "conf"),
                    "-s",
                    str(self.socket),
                    "-P",
                    str(home / "pid"),
                ]
            else:
                argv = [sys.executable, "-m", "babelwg", "daemon", "--babeld-conf", str(home / "conf")]
                argv += ["--state-dir", str(home / "state"), "--socket", str(self.socket)]
                argv += ["--log-level", "warning"]
            self.process: subprocess.Popen[Any] = node.popen(*argv, stdout=log, **common)

    def wait_until_ready(self) -> None:
        """Return when the daemon answers on its socket; a daemon that is busy does so later than it listens."""
        wait(f"{self.kind} in {self.node.name} answers", self._answers)

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"{self.kind} ended: {self._log.read_text(errors='replace')[-2000:]}")
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(WAIT)
            try:
                asking.connect(str(self.socket))
            except (FileNotFoundError, ConnectionRefusedError):
                return False
            if self.kind == "babelwg":
                asking.sendall(STATUS)
            return bool(asking.recv(1))  # the others greet

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def configuration(
    kind: str, interfaces: Sequence[str], announced: Sequence[str], link: str = "tunnel"
) -> str:
    """Return what has a daemon run on interfaces, all else at its defaults, and announce prefixes.

    `link` is the type of the interfaces; BIRD has none for tunnels and takes them for wired.
    """
    if kind == "BIRD":
        ports = "".join(f'    interface "{name}" {{ type wired; }};\n' for name in interfaces)
        return BIRD.format(ports=ports, routes=" ".join(f"route {prefix} blackhole;" for prefix in announced))
    lines = [f"interface {name} type {link}" for name in interfaces]
    lines += [f"redistribute local ip {prefix} allow" for prefix in announced]
    return "\n".join([*lines, "redistribute local deny", ""])


def wait(what: str, condition: Callable[[], bool], limit: float = WAIT, poll: float = 0.01) -> float:
    """Wait until a condition holds; return the seconds it took."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > limit:
            raise TimeoutError(f"after {limit:g} s not yet: {what}")
        time.sleep(poll)
    return time.monotonic() - start


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Return the median of some figures, and their range."""
    return f"{statistics.median(values):8.{digits}f}  ({min(values):.{digits}f}-{max(values):.{digits}f})"


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Return the ratio of each interleaved pair, of as many as there are: median and range."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=False) if b > 0]
    return spread(ratios) if ratios else "       -"


def verdict(missed: list[str], check: bool) -> int:
    """Print which targets were missed; return the exit code, 1 for a miss where `check` was asked for."""
    for text in missed:
        print(f"MISSED: {text}")
    if not missed:
        print("all targets met")
    return 1 if missed and check else 0
