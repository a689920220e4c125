"""20,000 routes from one speaker into another one's kernel, and their upkeep, beside babeld and BIRD."""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from babelwg.lab.netns.node import Node, join
from integration.bench.common import Cost, RoutingDaemon, cost_of, ratio, spread, verdict, wait

KINDS = ("babelwg", "babeld", "BIRD")
PROTOCOLS = {"babelwg": "42", "babeld": "42", "BIRD": "12"}  # of their routes in the kernel
SECONDS, MEMORY, STEADY = 2.0, 100.0, 2.0  # targets: seconds, MiB, and times babeld's CPU for the upkeep
SETTLE = 40.0  # seconds
STEADY_TIME = (
    120.0  # seconds, of which the first look at all of the kernel's table takes no more than its share
)
LIMIT = 150.0  # seconds after which routes are not waited for any longer
BIRD = """router id 192.0.2.{number};
protocol device {{ }}
protocol static {{ ipv6; {static} }}
protocol kernel {{ ipv6 {{ export where source = RTS_BABEL; }}; }}
protocol babel {{ ipv6 {{ export all; }}; interface "e0" {{ type wired; }}; }}
"""
PLAIN = "interface e0 type wired\nredistribute local deny\n"
REDISTRIBUTE = "redistribute proto 4 metric 128\n"


class Result(NamedTuple):
    """One run: seconds until the last route was in the kernel, what both daemons had used then, and their upkeep.

    The upkeep is the share of a CPU of each, None where it was not measured, with the least number of routes seen.
    """

    seconds: float
    sender: Cost
    receiver: Cost
    upkeep: tuple[float, float] | None
    least: int


def run(kind: str, routes: int, steady: float, directory: Path) -> Result | None:
    """Measure one pair of daemons; time zero is when both run and the link rises. None: not within the limit."""
    with Node("sender") as a, Node("receiver") as b:
        join(a, b, "e0", "e0")
        for node in (a, b):
            # Duplicate detection would hold the link-local addresses back for up to two seconds.
            node.sysctl("net.ipv6.conf.e0.accept_dad", "0")
        a.ip("link add stub type veth peer name stub-end", "link set stub up", "link set stub-end up")
        prefixes = [f"2001:db8:{i >> 8:x}:{i & 255:x}::/64" for i in range(routes)]
        a.ip(*(f"route add {prefix} dev stub proto static" for prefix in prefixes))
        daemons = [
            RoutingDaemon(kind, a, directory, _config(kind, 1, prefixes)),
            RoutingDaemon(kind, b, directory, _config(kind, 2, [])),
        ]
        for daemon in daemons:
            daemon.wait_until_ready()
        wanted = _entries(b) + routes
        a.ip("link set e0 up")
        b.ip("link set e0 up")
        zero = time.monotonic()
        try:
            # To list them would take a processor from those who are measured.
            seconds = wait(f"{routes} routes in the receiver's kernel", lambda: _entries(b) >= wanted, LIMIT)
            if count(b, kind) < routes:  # there are others among them
                wait(f"{routes} routes of {kind}", lambda: count(b, kind) >= routes, LIMIT)
                seconds = time.monotonic() - zero
        except TimeoutError:
            return None
        costs = [cost_of(daemon.process.pid) for daemon in daemons]
        upkeep, least = _watch(daemons, lambda: count(b, kind), steady)
        for daemon in daemons:
            daemon.stop()
    return Result(seconds, costs[0], costs[1], upkeep, least)


def count(node: Node, kind: str = "babelwg") -> int:
    """Return how many routes of a daemon the kernel of a node has."""
    return node.run("ip", "-6", "route", "show", "proto", PROTOCOLS[kind]).count("\n")


def _entries(node: Node) -> int:
    """Return how many IPv6 routes of any kind the kernel of a node has (net/ipv6/route.c, rt6_stats)."""
    return int(Path(f"/proc/{node.pid}/net/rt6_stats").read_text().split()[3], 16)


def _config(kind: str, number: int, prefixes: Sequence[str]) -> str:
    if kind == "BIRD":
        static = " ".join(f"route {prefix} unreachable;" for prefix in prefixes)
        return BIRD.format(number=number, static=static)
    return PLAIN + (REDISTRIBUTE if prefixes else "")


def _watch(
    daemons: Sequence[RoutingDaemon], there: Callable[[], int], seconds: float
) -> tuple[tuple[float, float] | None, int]:
    """Return the share of a CPU that each daemon takes when nothing changes, and the least number of routes."""
    least = there()
    if not seconds:
        return None, least
    # What followed from the new routes is done, and the table was told twice more: babelwg then knows it by heart.
    time.sleep(SETTLE if seconds > SETTLE / 2 else seconds)
    before, start = [cost_of(daemon.process.pid).cpu for daemon in daemons], time.monotonic()
    while time.monotonic() < start + seconds:
        least = min(least, there())
        time.sleep(2.0)
    passed = time.monotonic() - start
    shares = [(cost_of(d.process.pid).cpu - used) / passed for d, used in zip(daemons, before, strict=True)]
    return (shares[0], shares[1]), least


FIGURES: dict[str, Callable[[Result], float]] = {
    "seconds until all are in the kernel": lambda r: r.seconds,
    "sender CPU, seconds": lambda r: r.sender.cpu,
    "receiver CPU, seconds": lambda r: r.receiver.cpu,
    "sender RSS, MiB": lambda r: r.sender.rss / 2**20,
    "receiver RSS, MiB": lambda r: r.receiver.rss / 2**20,
    "sender upkeep, per cent of a CPU": lambda r: 100 * r.upkeep[0] if r.upkeep else 0.0,
    "receiver upkeep, per cent of a CPU": lambda r: 100 * r.upkeep[1] if r.upkeep else 0.0,
}


def report(results: dict[str, list[Result | None]], routes: int) -> None:
    """Print the figures of all, with the ratios of runs in pairs."""
    print(f"{routes} routes, {len(results['babelwg'])} interleaved runs: median (range)")
    for kind, runs in results.items():
        if failed := runs.count(None):
            print(f"  {kind}: {failed} of {len(runs)} runs had not all routes after {LIMIT:g} s")
    for name, figure in FIGURES.items():
        ours = [figure(r) for r in results["babelwg"] if r]
        line = f"  {name:36} babelwg {spread(ours)}" if ours else f"  {name:36} babelwg       -"
        for kind in [kind for kind in results if kind != KINDS[0]]:
            pairs = [
                (figure(x), figure(y))
                for x, y in zip(results["babelwg"], results[kind], strict=True)
                if x and y
            ]
            if pairs:
                line += (
                    f"   {kind} {spread([p[1] for p in pairs])} x {ratio(*zip(*pairs, strict=True)).strip()}"
                )
        print(line)


def judge(results: dict[str, list[Result | None]], routes: int) -> list[str]:
    """Return which targets were missed."""
    ours = [result for result in results["babelwg"] if result]
    missed = (
        [f"{routes} routes were not in the kernel in time"] if len(ours) < len(results["babelwg"]) else []
    )
    if not ours:
        return missed
    seconds = statistics.median(result.seconds for result in ours)
    missed += [f"{seconds:.2f} s is more than {SECONDS:g} s"] if seconds > SECONDS else []
    memory = statistics.median(max(r.sender.rss, r.receiver.rss) / 2**20 for r in ours)
    missed += [f"{memory:.0f} MiB is more than {MEMORY:g} MiB"] if memory > MEMORY else []
    lost = routes - min(result.least for result in ours)
    missed += [f"{lost} routes were gone for a while"] if lost > 0 else []
    pairs = [
        (x.upkeep, y.upkeep)
        for x, y in zip(results["babelwg"], results.get("babeld", ()), strict=False)
        if x and y
    ]
    for number, who in enumerate(("sender", "receiver")):
        times = [x[number] / y[number] for x, y in pairs if x and y and y[number]]
        if times and statistics.median(times) > STEADY:
            missed.append(f"the {who}'s upkeep is {statistics.median(times):.1f} times babeld's")
    return missed


def main(argv: Sequence[str]) -> int:
    """Run the daemons in turn and print medians, ratios and spreads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--routes", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--steady", type=float, default=STEADY_TIME, metavar="SECONDS", help="how long the upkeep lasts"
    )
    parser.add_argument(
        "--with", nargs="*", choices=KINDS[1:], default=KINDS[1:], dest="others", metavar="KIND"
    )
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args(argv)
    kinds = (KINDS[0], *options.others)
    results: dict[str, list[Result | None]] = {kind: [] for kind in kinds}
    for repeat in range(options.repeats):
        for kind in kinds:
            with tempfile.TemporaryDirectory(prefix="babelwg-bench-") as directory:
                result = run(kind, options.routes, options.steady, Path(directory))
            took = f"{result.seconds:.2f} s" if result else f"not in {LIMIT:g} s"
            print(f"run {repeat + 1} {kind}: {took}", file=sys.stderr)
            results[kind].append(result)
    report(results, options.routes)
    return verdict(judge(results, options.routes), options.check)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
