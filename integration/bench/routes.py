"""5,000 routes from one speaker into another one's kernel: time, CPU and memory, beside babeld in the same run."""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from babelwg.lab.netns.node import Node, connect
from integration.bench.common import Cost, RoutingDaemon, cost_of, ratio, spread, verdict, wait

KINDS = ("babelwg", "babeld")
TARGET = 2.0  # times babeld's wall time


@dataclass(frozen=True)
class Result:
    """One run: seconds until the last route was in the kernel, and what both daemons had used by then."""

    seconds: float
    sender: Cost
    receiver: Cost


def run(kind: str, routes: int, directory: Path) -> Result:
    """Measure one pair of daemons; time zero is when both run and the link rises."""
    with Node("sender") as a, Node("receiver") as b:
        connect(a, b, "e0", "e0", ["192.0.2.1/30"], ["192.0.2.2/30"])
        a.ip(
            "link set e0 down",
            "link add stub type veth peer name stub-end",
            "link set stub up",
            "link set stub-end up",
        )
        b.ip("link set e0 down")
        prefixes = (f"2001:db8:{i >> 8:x}:{i & 255:x}::/64" for i in range(routes))
        a.ip(*(f"route add {prefix} dev stub proto static" for prefix in prefixes))
        config = "interface e0 type wired\n"
        daemons = [
            RoutingDaemon(
                kind, a, directory, config + "redistribute proto 4 metric 128\nredistribute local deny\n"
            ),
            RoutingDaemon(kind, b, directory, config + "redistribute local deny\n"),
        ]
        for daemon in daemons:
            daemon.wait_until_ready()
        a.ip("link set e0 up")
        b.ip("link set e0 up")
        seconds = wait(f"{routes} routes in the receiver's kernel", lambda: count(b) >= routes, poll=0.05)
        costs = [cost_of(daemon.process.pid) for daemon in daemons]
        for daemon in daemons:
            daemon.stop()
    return Result(seconds, *costs)


def count(node: Node) -> int:
    """Return how many routes of Babel's protocol the kernel of a node has."""
    return node.run("ip", "-6", "route", "show", "proto", "42").count("\n")


def main(argv: Sequence[str]) -> int:
    """Run the pairs interleaved and print medians, ratios and spreads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--routes", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--check", action="store_true", help="exit 1 when the target is missed")
    options = parser.parse_args(argv)
    results: dict[str, list[Result]] = {kind: [] for kind in KINDS}
    for repeat in range(options.repeats):
        for kind in KINDS:
            with tempfile.TemporaryDirectory(prefix="babelwg-bench-") as directory:
                results[kind].append(run(kind, options.routes, Path(directory)))
            print(f"run {repeat + 1} {kind}: {results[kind][-1].seconds:.2f} s", file=sys.stderr)
    print(f"{options.routes} routes, {options.repeats} interleaved runs: median (range)")
    figures = {
        "seconds until all are in the kernel": lambda r: r.seconds,
        "sender CPU, seconds": lambda r: r.sender.cpu,
        "receiver CPU, seconds": lambda r: r.receiver.cpu,
        "sender RSS, MiB": lambda r: r.sender.rss / 2**20,
        "receiver RSS, MiB": lambda r: r.receiver.rss / 2**20,
    }
    for name, figure in figures.items():
        ours, theirs = ([figure(r) for r in results[kind]] for kind in KINDS)
        print(f"  {name:38} babelwg {spread(ours)}   babeld {spread(theirs)}   ratio {ratio(ours, theirs)}")
    times = {kind: statistics.median(r.seconds for r in results[kind]) for kind in KINDS}
    slow = times["babelwg"] > TARGET * times["babeld"]
    missed = (
        [f"{times['babelwg']:.2f} s is more than {TARGET:g} times babeld's {times['babeld']:.2f} s"]
        if slow
        else []
    )
    return verdict(missed, options.check)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
