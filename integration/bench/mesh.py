"""Seconds until all routes are everywhere in a line of ten nodes and in a grid of sixteen, beside babeld and BIRD.

Each node announces its own address. Default timers; time zero is when all daemons run and the links rise together.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path

from babelwg.lab.netns.node import Node, join
from integration.bench.common import KINDS, RoutingDaemon, configuration, ratio, spread, verdict, wait
from integration.bench.rising import LinkSwitch, RouteWatch, prepare

TARGET = 0.5  # seconds
LIMIT = 120.0  # seconds
SIDE = 4
SHAPES = {
    "line of 10": [*pairwise(range(10))],
    "grid 4x4": [
        (n, m)
        for n in range(SIDE * SIDE)
        for m in (n + 1, n + SIDE)
        if m < SIDE * SIDE and (m == n + SIDE or m % SIDE)
    ],
}


def run(kind: str, links: Sequence[tuple[int, int]], directory: Path) -> float:
    """Build one network and return after how many seconds all its kernels have all routes."""
    count = 1 + max(max(link) for link in links)
    addresses = [f"fd00:77::{number:x}/128" for number in range(1, count + 1)]
    with ExitStack() as stack:
        nodes = [stack.enter_context(Node(f"n{number}")) for number in range(count)]
        ports: dict[Node, list[str]] = {node: [] for node in nodes}
        for node, address in zip(nodes, addresses, strict=True):
            prepare(node)
            node.ip(f"address add {address} dev lo")
        for a, b in links:
            join(nodes[a], nodes[b], f"to{b}", f"to{a}")
            ports[nodes[a]].append(f"to{b}")
            ports[nodes[b]].append(f"to{a}")
        switch = LinkSwitch(ports)
        daemons, watches = [], []
        for node, address in zip(nodes, addresses, strict=True):
            daemons.append(RoutingDaemon(kind, node, directory, configuration(kind, ports[node], [address])))
            watch = RouteWatch(node, [other for other in addresses if other != address])
            watches.append(stack.enter_context(closing(watch)))
        for daemon in daemons:
            daemon.wait_until_ready()
        zero = switch.rise()
        wait(
            "all routes are everywhere", lambda: all(watch.complete_at for watch in watches), LIMIT, poll=0.05
        )
        done = [watch.complete_at for watch in watches if watch.complete_at is not None]
        for daemon in daemons:
            daemon.process.terminate()
        for daemon in daemons:
            daemon.stop()
    return max(done) - zero


def _missed(found: Mapping[tuple[str, str], Sequence[float]]) -> list[str]:
    """Return which targets the runs of ours miss, one sentence each."""
    middle = {shape: statistics.median(times) for (shape, kind), times in found.items() if kind == "babelwg"}
    return [f"{shape}: {m:.2f} s is more than {TARGET:g} s" for shape, m in middle.items() if m > TARGET]


def main(argv: Sequence[str]) -> int:
    """Run all interleaved and print medians, ratios and spreads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args(argv)
    found: dict[tuple[str, str], list[float]] = {(s, k): [] for s in SHAPES for k in options.kinds}
    for repeat in range(options.repeats):
        for shape, kind in found:
            with tempfile.TemporaryDirectory(prefix="babelwg-bench-") as directory:
                seconds = run(kind, SHAPES[shape], Path(directory))
            found[shape, kind].append(seconds)
            print(f"run {repeat + 1} {shape} {kind}: {seconds:.2f} s", file=sys.stderr)
    print(f"seconds until all routes are everywhere, {options.repeats} interleaved runs: median (range)")
    for (shape, kind), times in found.items():
        ours = found.get((shape, "babelwg"))
        beside = f"   ratio {ratio(ours, times)}" if ours and kind != "babelwg" else ""
        print(f"  {shape:12} {kind:8} {spread(times)}{beside}")
    return verdict(_missed(found), options.check)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
