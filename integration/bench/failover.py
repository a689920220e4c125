"""Seconds without traffic after a silent cut of the direct link of a triangle, and until it is used again.

Default timers, beside babeld.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from babelwg.lab.netns.flow import UdpFlow
from babelwg.lab.netns.mesh import Mesh
from babelwg.lab.netns.pinger import Pinger
from babelwg.lab.topology import Topology
from integration.babeld import BabeldNode
from integration.bench.common import ratio, spread, verdict

KINDS = ("babelwg", "babeld")
MEDIAN, WORST, RETURN = 0.3, 0.6, 5.0  # seconds: the targets
TIMES = 20.0  # as soon as babeld
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
AWAY = 5.0  # seconds for which the link stays dead after traffic has found another way
LIMIT = 120.0  # seconds


class Outcome(NamedTuple):
    """What one triangle showed: each flow's longest silence and the time until the return, in seconds."""

    gaps: dict[str, float]
    returned: float
    lost: int  # probes, while the direct link came into use again


def run(kind: str, directory: Path) -> Outcome:
    """Cut the direct link of one triangle, and let it come back."""
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
        gaps = {name: flow.longest_gap(cut - 1.0) for name, flow in flows.items()}
        time.sleep(AWAY)
        before = sum(flow.lost for flow in flows.values())
        mesh.restore("a", "b")
        returned = mesh.wait("both ends use the direct link again", settled, LIMIT)
        back = time.monotonic()
        mesh.wait("all flows go on", lambda: all(f.last_heard > back + 0.2 for f in flows.values()), LIMIT)
        for flow in flows.values():
            flow.stop()
        return Outcome(gaps, returned, sum(flow.lost for flow in flows.values()) - before)


def _told(outcome: Outcome) -> str:
    gap = max(outcome.gaps.values())
    return f"{gap:.2f} s, back after {outcome.returned:.2f} s, {outcome.lost} probes lost then"


def _print_row(name: str, ours: list[float], theirs: list[float]) -> None:
    print(f"  {name:12} babelwg {spread(ours)}   babeld {spread(theirs)}   ratio {ratio(ours, theirs)}")


def _missed(found: Mapping[str, Sequence[Outcome]]) -> list[str]:
    """Return which targets the runs of ours miss, one sentence each."""
    ours, theirs = ([max(o.gaps.values()) for o in found[kind]] for kind in KINDS)
    median, worst = statistics.median(ours), max(ours)
    returned, lost = max(o.returned for o in found["babelwg"]), sum(o.lost for o in found["babelwg"])
    misses = [
        (median > MEDIAN, f"{median:.2f} s without traffic in the middle is more than {MEDIAN:g} s"),
        (worst > WORST, f"{worst:.2f} s without traffic at worst is more than {WORST:g} s"),
        (
            median > statistics.median(theirs) / TIMES,
            f"{median:.2f} s is more than a {TIMES:g}th of babeld's {statistics.median(theirs):.2f} s",
        ),
        (returned > RETURN, f"{returned:.2f} s until the return is more than {RETURN:g} s"),
        (lost > 0, f"{lost} probes were lost at the return"),
    ]
    return [text for is_missed, text in misses if is_missed]


def main(argv: Sequence[str]) -> int:
    """Run both interleaved and print medians, ratios and spreads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--check", action="store_true", help="exit 1 when the target is missed")
    options = parser.parse_args(argv)
    found: dict[str, list[Outcome]] = {kind: [] for kind in KINDS}
    for repeat in range(options.repeats):
        for kind in KINDS:
            with tempfile.TemporaryDirectory(prefix="babelwg-bench-") as directory:
                found[kind].append(run(kind, Path(directory)))
            print(f"run {repeat + 1} {kind}: {_told(found[kind][-1])}", file=sys.stderr)
    print(
        f"silent cut in a triangle, default timers, {options.repeats} interleaved runs: median (range), seconds"
    )
    for name in found["babelwg"][0].gaps:
        _print_row(name, *([outcome.gaps[name] for outcome in found[kind]] for kind in KINDS))
    _print_row("return", *([outcome.returned for outcome in found[kind]] for kind in KINDS))
    for kind in KINDS:
        print(f"  probes lost at the return, {kind}: {[outcome.lost for outcome in found[kind]]}")
    missed = _missed(found)
    return verdict(missed, options.check)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
