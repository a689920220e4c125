"""Seconds without traffic after a silent cut of the direct link of a triangle, default timers, beside babeld."""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from babelwg.lab.netns.flow import UdpFlow
from babelwg.lab.netns.mesh import Mesh
from babelwg.lab.netns.pinger import Pinger
from babelwg.lab.topology import Topology
from integration.babeld import BabeldNode
from integration.bench.common import ratio, spread, verdict

KINDS = ("babelwg", "babeld")
TOPOLOGY = """
[[node]]
name = "a"
addresses = ["fd00:77::1/128", "10.23.0.1/32"]
[[node]]
name = "b"
addresses = ["fd00:77::2/128", "10.23.0.2/32"]
[[node]]
name = "c"
addresses = ["fd00:77::3/128", "10.23.0.3/32"]
[[link]]
a = "a"
b = "b"
[[link]]
a = "b"
b = "c"
[[link]]
a = "a"
b = "c"
"""
PROBE = 0.01  # seconds
CALM = 3.0  # seconds of traffic before the cut
LIMIT = 120.0  # seconds


def run(kind: str, directory: Path) -> dict[str, float]:
    """Cut the direct link of one triangle; return each flow's longest silence in seconds."""
    everyone = frozenset("abc")
    topology = Topology.parse(TOPOLOGY, "bench")
    # babeld has no tunnels of its own: wireguard-go gives them, in both cases.
    babeld = kind == "babeld"
    with Mesh(
        topology, directory, "wireguard-go", without_daemon=everyone if babeld else frozenset()
    ) as mesh:
        if babeld:
            for name in sorted(everyone):
                BabeldNode(mesh, name).start()
        else:
            mesh.start()
        addresses = {name: [str(a).partition("/")[0] for a in topology.node(name).addresses] for name in "ab"}

        def settled() -> bool:
            ends = (("a", "b"), ("b", "a"))
            return all(mesh.kernel_device(x, t) == mesh.tunnel(x, y) for x, y in ends for t in addresses[y])

        mesh.wait("both ends use the direct link", settled, LIMIT)
        a, b = mesh.nodes["a"], mesh.nodes["b"]
        flows: dict[str, Pinger | UdpFlow] = {
            "ping IPv6": Pinger(a, addresses["b"][0], PROBE),
            "ping IPv4": Pinger(a, addresses["b"][1], PROBE),
            "UDP a to b": UdpFlow(a, b, addresses["b"][0], PROBE),
            "UDP b to a": UdpFlow(b, a, addresses["a"][0], PROBE),
        }
        mesh.wait("all flows get through", lambda: all(f.last_heard for f in flows.values()))
        time.sleep(CALM)
        mesh.cut("a", "b")
        cut = time.monotonic()
        mesh.wait("all flows go on", lambda: all(f.last_heard > cut + 0.2 for f in flows.values()), LIMIT)
        for flow in flows.values():
            flow.stop()
        return {name: flow.longest_gap(cut - 1.0) for name, flow in flows.items()}


def main(argv: Sequence[str]) -> int:
    """Run both interleaved and print medians, ratios and spreads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--check", action="store_true", help="exit 1 when the target is missed")
    options = parser.parse_args(argv)
    gaps: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    for repeat in range(options.repeats):
        for kind in KINDS:
            with tempfile.TemporaryDirectory(prefix="babelwg-bench-") as directory:
                gaps[kind].append(run(kind, Path(directory)))
            print(f"run {repeat + 1} {kind}: {max(gaps[kind][-1].values()):.2f} s", file=sys.stderr)
    print(
        f"silent cut in a triangle, default timers, {options.repeats} interleaved runs: median (range), seconds"
    )
    for name in gaps["babelwg"][0]:
        ours, theirs = ([result[name] for result in gaps[kind]] for kind in KINDS)
        print(f"  {name:12} babelwg {spread(ours)}   babeld {spread(theirs)}   ratio {ratio(ours, theirs)}")
    worst = {kind: statistics.median(max(result.values()) for result in gaps[kind]) for kind in KINDS}
    slow = worst["babelwg"] > worst["babeld"]
    missed = [f"{worst['babelwg']:.2f} s is more than babeld's {worst['babeld']:.2f} s"] if slow else []
    return verdict(missed, options.check)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
