"""What tunnels cost while nothing happens, at default settings: octets a second each way, and shares of a core.

A node has one tunnel or several, each to a node of its own. What grows with the tunnels is the cost of a tunnel, the
rest that of the node. Beside babeld, which has no tunnels of its own: wireguard-go gives them, and for the octets and
the CPU of the routing daemons alone it does not matter whose they are.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from babelwg.lab.netns.mesh import Mesh
from babelwg.lab.netns.node import Node
from babelwg.lab.topology import Topology
from integration.bench.common import cpu_of, ratio, spread, verdict
from integration.stock import BabeldNode

KINDS = ("babelwg", "babeld")
OCTETS, CPU = 150.0, 0.0005  # targets for a tunnel: octets a second each way, and of a core
SETTLE = 40.0  # seconds until nothing happens any more
REST = 96.0  # seconds, six intervals of updates
LIMIT = 120.0  # seconds
CENTRE = "hub"


class Outcome(NamedTuple):
    """What a node with some tunnels costs while nothing happens."""

    sent: float  # octets a second through a tunnel, with their IP headers
    received: float
    daemon: float  # of a core
    dataplane: float  # of a core


def run(kind: str, tunnels: int, rest: float, directory: Path) -> Outcome:
    """Measure one node with so many tunnels."""
    topology = Topology.parse(_star(tunnels), "bench")
    ours = kind == "babelwg"
    without = frozenset() if ours else frozenset(spec.name for spec in topology.nodes)
    with Mesh(topology, directory, "embedded" if ours else "wireguard-go", without_daemon=without) as mesh:
        if ours:
            mesh.start()
            daemon = mesh.daemons[CENTRE]
        else:
            nodes = {spec.name: BabeldNode(mesh, spec.name) for spec in topology.nodes}
            for node in nodes.values():
                node.start()
            daemon = nodes[CENTRE].process
        leaves = [spec for spec in topology.nodes if spec.name != CENTRE]
        addresses = [str(leaf.addresses[0]).partition("/")[0] for leaf in leaves]
        centre = mesh.nodes[CENTRE]
        mesh.wait(
            "all routes are there",
            lambda: all(mesh.kernel_device(CENTRE, address) is not None for address in addresses),
            LIMIT,
        )
        time.sleep(SETTLE)
        # nsenter executes the program in its own place, and so does `python -m` the data plane.
        others = [pid for pid in centre.pids() if pid != daemon.pid]
        names = [mesh.tunnel(CENTRE, leaf.name) for leaf in leaves]
        return _measure(centre, names, daemon.pid, others, rest)


def _measure(
    node: Node, interfaces: Sequence[str], daemon: int, others: Sequence[int], rest: float
) -> Outcome:
    before, start = _octets(node, interfaces), time.monotonic()
    used = cpu_of(daemon), sum(map(cpu_of, others))
    time.sleep(rest)
    taken = cpu_of(daemon) - used[0], sum(map(cpu_of, others)) - used[1]
    after, seconds = _octets(node, interfaces), time.monotonic() - start
    sent, received = ((b - a) / seconds / len(interfaces) for a, b in zip(before, after, strict=True))
    return Outcome(sent, received, taken[0] / seconds, taken[1] / seconds)


def _octets(node: Node, interfaces: Sequence[str]) -> tuple[int, int]:
    """Return what interfaces have sent and received so far, together."""
    rows = (line.replace(":", " ").split() for line in node.run("cat", "/proc/net/dev").splitlines()[2:])
    counted = [(int(row[9]), int(row[1])) for row in rows if row[0] in interfaces]
    assert len(counted) == len(interfaces), f"not all of {interfaces} are there"
    return sum(sent for sent, _ in counted), sum(received for _, received in counted)


def _star(leaves: int) -> str:
    names = [CENTRE, *(f"leaf{n}" for n in range(leaves))]
    nodes = (
        f'[[node]]\nname = "{name}"\naddresses = ["fd00:77::{number}/128"]\n'
        for number, name in enumerate(names, 1)
    )
    return "".join(nodes) + "".join(f'[[link]]\na = "{CENTRE}"\nb = "{leaf}"\n' for leaf in names[1:])


def _per_tunnel(one: Outcome, many: Outcome, tunnels: int) -> dict[str, float]:
    """Return the figures that are printed: what a tunnel costs, and what is left for the node."""
    daemon = (many.daemon - one.daemon) / (tunnels - 1)
    dataplane = (many.dataplane - one.dataplane) / (tunnels - 1)
    return {
        "octets a second sent": many.sent,
        "octets a second received": many.received,
        "daemon, % of a core for a tunnel": 100 * daemon,
        "daemon, % of a core with one tunnel": 100 * one.daemon,
        "data plane, % of a core for a tunnel": 100 * dataplane,
        "data plane, % of a core with one tunnel": 100 * one.dataplane,
    }


def _missed(ours: Sequence[Mapping[str, float]]) -> list[str]:
    """Return which targets the runs of ours miss, one sentence each."""
    middle = {name: statistics.median(run[name] for run in ours) for name in ours[0]} if ours else {}
    limits = {
        "octets a second sent": OCTETS,
        "octets a second received": OCTETS,
        "daemon, % of a core for a tunnel": 100 * CPU,
        "daemon, % of a core with one tunnel": 100 * CPU,
    }
    return [
        f"{name}: {middle[name]:.3f} is more than {limit:g}"
        for name, limit in limits.items()
        if middle and middle[name] > limit
    ]


def main(argv: Sequence[str]) -> int:
    """Run both interleaved and print medians, ratios and spreads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tunnels", type=int, default=9)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--rest", type=float, default=REST, help="seconds of each measurement")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args(argv)
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in options.kinds}
    for repeat in range(options.repeats):
        for kind in options.kinds:
            outcomes = []
            for tunnels in (1, options.tunnels):
                with tempfile.TemporaryDirectory(prefix="babelwg-bench-") as directory:
                    outcomes.append(run(kind, tunnels, options.rest, Path(directory)))
                print(f"run {repeat + 1} {kind}, tunnels: {tunnels}: {outcomes[-1]}", file=sys.stderr)
            found[kind].append(_per_tunnel(outcomes[0], outcomes[1], options.tunnels))
    print(
        f"tunnels at rest, 1 and {options.tunnels} of them, {options.repeats} interleaved runs: median (range)"
    )
    for name in next(iter(found.values()))[0]:
        ours = [figures[name] for figures in found.get("babelwg", [])]
        for kind, runs in found.items():
            values = [figures[name] for figures in runs]
            beside = f"   ratio {ratio(ours, values)}" if ours and kind != "babelwg" else ""
            print(f"  {name:40} {kind:8} {spread(values, 3)}{beside}")
    return verdict(_missed(found.get("babelwg", [])), options.check)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
