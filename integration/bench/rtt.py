"""Seconds until traffic leaves a link that has become slow, and until it returns, beside babeld, default timers.

In a triangle whose links all cost the same, the round trip of the direct link goes from 5 to 150 ms and back.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from babelwg.lab.netns.mesh import Mesh
from babelwg.lab.netns.pinger import Pinger
from babelwg.lab.topology import Topology
from integration.bench.common import spread, verdict
from integration.stock import BabeldNode

# babeld at its defaults, and with a penalty that could move it
KINDS = {"babelwg": None, "babeld": "", "babeld 1000": "max-rtt-penalty 1000"}
QUICK, SLOW = 0.0025, 0.075  # seconds one way
TOPOLOGY = "".join(
    f'[[node]]\nname = "{name}"\naddresses = ["fd00:77::{number}/128"]\n'
    for number, name in enumerate("abc", 1)
) + "".join(f'[[link]]\na = "{a}"\nb = "{b}"\ndelay_ms = {QUICK * 1e3}\n' for a, b in ("ab", "bc", "ac"))
PING = 0.1  # seconds
LIMIT = 60.0  # seconds until all use the direct link
CALM = 25.0  # seconds of traffic before the link changes, so that averages have settled
AWAY, BACK = 5.0, 15.0  # seconds, the targets
NEVER = float("inf")


def run(kind: str, directory: Path, patience: float) -> tuple[float, float]:
    """Slow the direct link of one triangle down and mend it; return both times, infinite for not within `patience`."""
    everyone = frozenset("abc")
    topology = Topology.parse(TOPOLOGY, "bench")
    options = KINDS[kind]
    without = frozenset() if options is None else everyone
    # babeld has no tunnels of its own: wireguard-go gives them, in all cases.
    with Mesh(topology, directory, "wireguard-go", without_daemon=without) as mesh:
        if options is None:
            mesh.start()
        else:
            for name in sorted(everyone):
                BabeldNode(mesh, name, options).start()

        def path(by: str) -> Callable[[], bool]:
            ends = (("a", "fd00:77::3", by or "c"), ("c", "fd00:77::1", by or "a"))
            return lambda: all(mesh.kernel_device(x, to) == mesh.tunnel(x, peer) for x, to, peer in ends)

        mesh.wait("both ends use the direct link", path(""), LIMIT)
        pinger = Pinger(mesh.nodes["a"], "fd00:77::3", PING)
        mesh.wait("pings get through", lambda: pinger.received > 0, LIMIT)
        time.sleep(CALM)
        mesh.wait("both ends use the direct link", path(""), LIMIT)
        mesh.impair("a", "c", delay=SLOW)
        away = seconds_until(path("b"), patience)
        time.sleep(CALM if away < NEVER else 0.0)
        mesh.impair("a", "c", delay=QUICK)
        # Who never left cannot return.
        back = seconds_until(path(""), patience) if away < NEVER else NEVER
        pinger.stop()
        return away, back


def seconds_until(condition: Callable[[], bool], patience: float) -> float:
    """Return after how many seconds a condition holds; infinite when it does not within `patience`."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > patience:
            return NEVER
        time.sleep(0.05)
    return time.monotonic() - start


def main(argv: Sequence[str]) -> int:
    """Run all interleaved and print medians and ranges."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--patience", type=float, default=90.0, help="seconds to wait for a change of path")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args(argv)
    results: dict[str, list[tuple[float, float]]] = {kind: [] for kind in options.kinds}
    for repeat in range(options.repeats):
        for kind in options.kinds:
            with tempfile.TemporaryDirectory(prefix="babelwg-bench-") as directory:
                away, back = run(kind, Path(directory), options.patience)
            results[kind].append((away, back))
            print(f"run {repeat + 1} {kind}: away {away:.2f} s, back {back:.2f} s", file=sys.stderr)
    print(
        f"round trip of the direct link 5 -> 150 -> 5 ms, {options.repeats} interleaved runs: median (range), seconds"
    )
    for kind, times in results.items():
        columns = [figure([pair[n] for pair in times], options.patience) for n in (0, 1)]
        print(f"  {kind:12} leaves it {columns[0]:32} returns {columns[1]}")
    missed = []
    for n, (what, target) in enumerate((("leaving", AWAY), ("returning", BACK))):
        median = statistics.median(pair[n] for pair in results.get("babelwg", [(0.0, 0.0)]))
        if median > target:
            missed.append(f"{what} takes {median:.2f} s, more than {target:g} s")
    return verdict(missed, options.check)


def figure(times: list[float], patience: float) -> str:
    """Return median and range, or how often it did not happen."""
    finite = [seconds for seconds in times if seconds < NEVER]
    if not finite:
        return f"never within {patience:g} s"
    missing = len(times) - len(finite)
    return spread(finite) + (f", {missing} times never within {patience:g} s" if missing else "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
