"""Seconds without traffic after a silent cut of the direct link of a triangle, and until it is used again.

Then, without traffic once more, after the tunnel of the direct link is set down on one side. Default timers, beside
babeld and BIRD with theirs and babeld with Hellos five times a second.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

from babelwg.lab.netns.flow import UdpFlow
from babelwg.lab.netns.mesh import Mesh
from babelwg.lab.netns.pinger import Pinger
from babelwg.lab.topology import Topology
from integration.bench.common import ratio, spread, verdict
from integration.stock import BabeldNode, BirdNode

KINDS = ("babelwg", "babeld", "babeld 0.2 s", "BIRD")
MEDIAN, WORST, RETURN, DOWN = 0.3, 0.6, 5.0, 0.05  # seconds: the targets
TIMES = {"babeld": 20.0, "babeld 0.2 s": 2.0}  # as soon as these
OFTEN = "hello-interval 0.2 update-interval 16"
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
    down: float  # silence of what the side sends that sees its tunnel go down


def run(kind: str, directory: Path) -> Outcome:
    """Cut the direct link of one triangle, and let it come back."""
    everyone = frozenset("abc")
    topology = Topology.parse(TOPOLOGY, "bench")
    # The others have no tunnels of their own: wireguard-go gives them, in all cases.
    ours = kind == "babelwg"
    with Mesh(topology, directory, "wireguard-go", without_daemon=frozenset() if ours else everyone) as mesh:
        if ours:
            mesh.start()
        for name in () if ours else sorted(everyone):
            node = (
                BirdNode(mesh, name)
                if kind == "BIRD"
                else BabeldNode(mesh, name, OFTEN if "0.2" in kind else "")
            )
            node.start()
        addresses = {
            name: [str(a).partition("/")[0] for a in topology.node(name).addresses] for name in "abc"
        }
        if kind == "BIRD":
            # It knows no IPv4 routes with IPv6 next hops.
            addresses = {name: own[:1] for name, own in addresses.items()}

        def settled(*ends: tuple[str, str]) -> bool:
            return all(mesh.kernel_device(x, t) == mesh.tunnel(x, y) for x, y in ends for t in addresses[y])

        # A tunnel of wireguard-go may carry nothing for 15 s after a start; without the other two there is no way yet.
        mesh.wait("all use their direct links", lambda: settled(*permutations("abc", 2)), LIMIT)
        a, b = mesh.nodes["a"], mesh.nodes["b"]
        flows: dict[str, Pinger | UdpFlow] = {
            "ping IPv6": Pinger(a, addresses["b"][0], PROBE),
            "UDP a to b": UdpFlow(a, b, addresses["b"][0], PROBE),
            "UDP b to a": UdpFlow(b, a, addresses["a"][0], PROBE),
        }
        if len(addresses["b"]) > 1:
            flows["ping IPv4"] = Pinger(a, addresses["b"][1], PROBE)
        mesh.wait("all flows get through", lambda: all(f.last_heard for f in flows.values()))
        time.sleep(CALM)
        mesh.cut("a", "b")
        cut = time.monotonic()
        mesh.wait("all flows go on", lambda: all(f.last_heard > cut + 0.2 for f in flows.values()), LIMIT)
        gaps = {name: flow.longest_gap(cut - 1.0) for name, flow in flows.items()}
        time.sleep(AWAY)
        before = sum(flow.lost for flow in flows.values())
        mesh.restore("a", "b")
        direct = (("a", "b"), ("b", "a"))
        returned = mesh.wait("both ends use the direct link again", lambda: settled(*direct), LIMIT)
        back = time.monotonic()
        mesh.wait(
            "all flows go on after the return",
            lambda: all(f.last_heard > back + 0.2 for f in flows.values()),
            LIMIT,
        )
        lost = sum(flow.lost for flow in flows.values()) - before
        down = _take_down(mesh, flows["UDP a to b"])
        for flow in flows.values():
            flow.stop()
        return Outcome(gaps, returned, lost, down)


def _take_down(mesh: Mesh, flow: Pinger | UdpFlow) -> float:
    """Set the tunnel of the direct link down where a flow begins; return its silence in seconds."""
    time.sleep(CALM)
    down = time.monotonic()
    mesh.nodes["a"].ip(f"link set {mesh.tunnel('a', 'b')} down")
    mesh.wait("what a sends gets through", lambda: flow.last_heard > down + 0.5, LIMIT)
    return flow.longest_gap(down - 1.0)


def _told(outcome: Outcome) -> str:
    gap = max(outcome.gaps.values())
    return (
        f"{gap:.2f} s, back after {outcome.returned:.2f} s, {outcome.lost} probes lost then,"
        f" {outcome.down:.2f} s after link down"
    )


def _print_rows(name: str, figures: Mapping[str, list[float]]) -> None:
    ours = figures["babelwg"]
    for kind, values in figures.items():
        beside = "" if kind == "babelwg" else f"   ratio {ratio(ours, values)}"
        print(f"  {name:12} {kind:12} {spread(values)}{beside}")


def _missed(found: Mapping[str, Sequence[Outcome]]) -> list[str]:
    """Return which targets the runs of ours miss, one sentence each."""
    middle = {
        kind: statistics.median(max(o.gaps.values()) for o in outcomes) for kind, outcomes in found.items()
    }
    median, worst = middle["babelwg"], max(max(o.gaps.values()) for o in found["babelwg"])
    down = statistics.median(o.down for o in found["babelwg"]) - PROBE
    returned, lost = max(o.returned for o in found["babelwg"]), sum(o.lost for o in found["babelwg"])
    misses = [
        (median > MEDIAN, f"{median:.2f} s without traffic in the middle is more than {MEDIAN:g} s"),
        (worst > WORST, f"{worst:.2f} s without traffic at worst is more than {WORST:g} s"),
        (returned > RETURN, f"{returned:.2f} s until the return is more than {RETURN:g} s"),
        (lost > 0, f"{lost} probes were lost at the return"),
        (down > DOWN, f"{down:.3f} s after its tunnel went down a node still sent nothing"),
    ]
    for kind, times in TIMES.items():
        if kind in middle:
            told = f"{median:.2f} s times {times:g} is more than the {middle[kind]:.2f} s of {kind}"
            misses.append((median * times > middle[kind], told))
    return [text for is_missed, text in misses if is_missed]


def main(argv: Sequence[str]) -> int:
    """Run both interleaved and print medians, ratios and spreads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--peer-repeats", type=int, default=3, help="theirs take minutes each")
    parser.add_argument("--check", action="store_true", help="exit 1 when the target is missed")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    options = parser.parse_args(argv)
    peers = options.kinds if options.peer_repeats else ()
    found: dict[str, list[Outcome]] = {kind: [] for kind in ("babelwg", *peers)}
    for repeat in range(options.repeats):
        for kind in found if repeat < options.peer_repeats else ("babelwg",):
            with tempfile.TemporaryDirectory(prefix="babelwg-bench-") as directory:
                found[kind].append(run(kind, Path(directory)))
            print(f"run {repeat + 1} {kind}: {_told(found[kind][-1])}", file=sys.stderr)
    print(
        f"silent cut in a triangle, default timers, {options.repeats} runs, the first {options.peer_repeats} beside"
        " peers: median (range), seconds"
    )
    for name in found["babelwg"][0].gaps:
        _print_rows(
            name, {kind: [o.gaps[name] for o in told] for kind, told in found.items() if name in told[0].gaps}
        )
    _print_rows("return", {kind: [o.returned for o in told] for kind, told in found.items()})
    _print_rows("link down", {kind: [o.down for o in told] for kind, told in found.items()})
    for kind in found:
        print(f"  probes lost at the return, {kind}: {[outcome.lost for outcome in found[kind]]}")
    missed = _missed(found)
    return verdict(missed, options.check)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
