"""One node with a hundred neighbours: seconds until all routes are everywhere, and what the node then costs.

Beside babeld and BIRD in the same place. The neighbours of all three are those of `integration.bench.rim`, one process
with as many speakers: a hundred daemons would fill the machine, and their own delays hide those of the hub. Every one
announces one prefix, and is to have the prefixes of all the others by way of the hub; the hub's kernel is to have all.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from babelwg.lab.netns.node import Node, join
from integration.bench import rim
from integration.bench.common import (
    KINDS,
    RoutingDaemon,
    configuration,
    cost_of,
    ratio,
    spread,
    verdict,
    wait,
)
from integration.bench.rising import LinkSwitch, RouteWatch, prepare

SECONDS, CPU = 2.0, 0.03  # targets: until all routes are everywhere, and of a core when steady
SETTLE = 20.0  # seconds until what the rise began has ended
STEADY = 64.0  # seconds, four intervals of updates
LIMIT = 180.0  # seconds


class Outcome(NamedTuple):
    """What one hub showed."""

    seconds: float  # until all routes were everywhere
    kernel: float  # until the hub's kernel had them
    effort: float  # seconds of CPU of the hub by then
    neighbours: float  # seconds of CPU of all its neighbours by then
    cpu: float  # the share of a core when steady
    rss: float  # MiB


class Neighbours:
    """The process with the neighbours of a hub."""

    def __init__(self, node: Node, count: int) -> None:
        self.complete_at: float | None = None  # monotonic seconds
        self.is_ready = False
        self.process: subprocess.Popen[Any] = node.popen(
            sys.executable, "-m", "integration.bench.rim", str(count), stdout=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        wait("the neighbours run", lambda: self.is_ready)

    def stop(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                if line == "ready\n":
                    self.is_ready = True
                else:
                    self.complete_at = None if line == "lost\n" else float(line)


def run(kind: str, count: int, steady: float, directory: Path) -> Outcome:
    """Measure one hub; time zero is when all run and the links rise together."""
    with Node("hub") as hub, Node("rim") as around:
        for node in (hub, around):
            prepare(node)
        ports = [f"h{n}" for n in range(count)]
        ends = [rim.interface(n) for n in range(count)]
        for port, end in zip(ports, ends, strict=True):
            join(hub, around, port, end)
        around.ip(*(f"link set {end} up" for end in ends))
        switch = LinkSwitch({hub: ports})
        watch = RouteWatch(hub, [rim.prefix(n) for n in range(count)])
        daemon = RoutingDaemon(kind, hub, directory, configuration(kind, ports, [], "wired"))
        daemon.wait_until_ready()
        neighbours = Neighbours(around, count)
        before = [cost_of(process.pid).cpu for process in (daemon.process, neighbours.process)]
        zero = switch.rise()
        wait(
            "all routes are everywhere",
            lambda: bool(watch.complete_at and neighbours.complete_at),
            LIMIT,
            0.05,
        )
        assert watch.complete_at is not None
        assert neighbours.complete_at is not None
        kernel, everywhere = watch.complete_at - zero, max(watch.complete_at, neighbours.complete_at) - zero
        after = [cost_of(process.pid).cpu for process in (daemon.process, neighbours.process)]
        effort, theirs = (b - a for a, b in zip(before, after, strict=True))
        cpu = _steady_share(daemon.process.pid, steady)
        rss = cost_of(daemon.process.pid).rss / 2**20
        neighbours.stop()
        daemon.stop()
        watch.close()
    return Outcome(everywhere, kernel, effort, theirs, cpu, rss)


def _steady_share(pid: int, seconds: float) -> float:
    """Return the share of a core that a process takes, once it has settled."""
    time.sleep(SETTLE if seconds else 0.0)
    start, before = time.monotonic(), cost_of(pid).cpu
    time.sleep(seconds)
    return (cost_of(pid).cpu - before) / (time.monotonic() - start) if seconds else 0.0


FIGURES = {
    "seconds until all routes are everywhere": lambda o: o.seconds,
    "seconds until the hub's kernel has all": lambda o: o.kernel,
    "CPU seconds of the hub by then": lambda o: o.effort,
    "CPU seconds of all its neighbours by then": lambda o: o.neighbours,
    "CPU when steady, % of a core": lambda o: 100 * o.cpu,
    "RSS, MiB": lambda o: o.rss,
}


def _missed(found: Mapping[str, Sequence[Outcome]]) -> list[str]:
    """Return which targets the runs of ours miss, one sentence each."""
    ours = found.get("babelwg")
    if not ours:
        return []
    seconds, cpu = (
        statistics.median(figures) for figures in zip(*((o.seconds, o.cpu) for o in ours), strict=True)
    )
    misses = [
        (seconds > SECONDS, f"{seconds:.2f} s until all routes are everywhere is more than {SECONDS:g} s"),
        (cpu > CPU, f"{cpu:.1%} of a core when steady is more than {CPU:.0%}"),
    ]
    return [text for is_missed, text in misses if is_missed]


def main(argv: Sequence[str]) -> int:
    """Run the hubs interleaved and print medians, ratios and spreads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--neighbours", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steady", type=float, default=STEADY, help="seconds of rest; 0 for none")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args(argv)
    found: dict[str, list[Outcome]] = {kind: [] for kind in options.kinds}
    for repeat in range(options.repeats):
        for kind in options.kinds:
            with tempfile.TemporaryDirectory(prefix="babelwg-bench-") as directory:
                outcome = run(kind, options.neighbours, options.steady, Path(directory))
            found[kind].append(outcome)
            print(f"run {repeat + 1} {kind}: {outcome.seconds:.2f} s, {outcome.cpu:.1%}", file=sys.stderr)
    print(f"a hub with {options.neighbours} neighbours, {options.repeats} interleaved runs: median (range)")
    for name, figure in FIGURES.items():
        ours = [figure(outcome) for outcome in found.get("babelwg", [])]
        for kind, outcomes in found.items():
            values = [figure(outcome) for outcome in outcomes]
            beside = f"   ratio {ratio(ours, values)}" if ours and kind != "babelwg" else ""
            print(f"  {name:42} {kind:8} {spread(values)}{beside}")
    return verdict(_missed(found), options.check)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
