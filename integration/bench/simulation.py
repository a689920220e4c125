"""A large mesh of real speakers in virtual time: never a loop, how soon it converges, what each node says.

A thousand nodes with six links each on average, fifty of which announce a network, IPv4 for some. All links rise
together; then for most of the time something happens every second on average: links are cut, both ways or one way, and
come back, lose packets and are slow, cost more; daemons are killed or stopped and start again, half of them without
what they knew; data planes are killed. Links carry packets, so that a cut is found as a daemon finds it that watches
its links. After each change of any forwarding table no loop may be there. No root, no kernel, one process.
"""

import argparse
import gc
import resource
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence

from babelwg.lab.simulator.largemesh import TURN, Figures, LargeMesh, healing_by_kind
from integration.bench.common import verdict

TARGET = 600.0  # seconds of real time
ADDITIONS = 1_000_000


def main(argv: Sequence[str]) -> int:
    """Play one seed and print what it showed; exit 1 for a loop, and where asked for when the target is missed."""
    parser = argparse.ArgumentParser(prog="make bench-sim", description="a large mesh in virtual time")
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--degree", type=float, default=6.0, help="links of a node on average")
    parser.add_argument("--announcing", type=int, default=50, help="nodes that announce a network")
    parser.add_argument("--seconds", type=float, default=120.0, help="of virtual time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--turn", type=float, default=TURN, help="seconds in which a daemon reads what has come"
    )
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args(argv)
    print(f"{ADDITIONS} additions take {_speed():.2f} s of this machine's time now", flush=True)
    start, used = time.monotonic(), time.process_time()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - start:6.0f} s: {line}", file=sys.stderr, flush=True)

    # What ends here is little beside what lives, and looking for it among all that would take long.
    gc.disable()
    mesh = LargeMesh(options.nodes, options.degree, options.announcing, options.seed, options.turn, tell)
    figures = mesh.play(options.seconds)
    wall, cpu = time.monotonic() - start, time.process_time() - used
    print_figures(figures)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"real time           {wall:10.0f} s, CPU {cpu:.0f} s, peak RSS {peak:.0f} MiB")
    print(f"{ADDITIONS} additions take {_speed():.2f} s now")
    missed = complaints(figures)
    wrong = bool(missed)
    if wall >= TARGET:
        missed.append(f"{wall:.0f} s of real time, at most {TARGET:.0f} wanted")
    return max(int(wrong), verdict(missed, options.check))


def complaints(figures: Figures) -> list[str]:
    """Return what must not be: loops, or a mesh that is not whole at the end."""
    found = [*figures.violations[:5], *figures.complaints[:5]]
    if figures.risen is None:
        found.append("not all routes were everywhere before the storm")
    if figures.settled is None:
        found.append("not all packets arrived after the storm")
    return found


def print_figures(figures: Figures) -> None:
    """Print what a mesh showed in virtual time."""
    print(f"{figures.nodes} nodes, {figures.links} links, {figures.prefixes} prefixes, {figures.seconds:g} s")
    print(f"changes of routes   {figures.changes:10}, each checked: {len(figures.violations)} loops")
    print(f"all routes everywhere {_seconds(figures.risen)} after the first word")
    kinds = Counter(healing.stroke.kind for healing in figures.healings)
    found = healing_by_kind(figures.healings)
    print(
        f"{'stroke':18} {'times':>6} {'felt':>6} {'median s':>9} {'worst s':>8}   until all packets arrive again"
    )
    for kind, times in sorted(kinds.items()):
        felt = found.get(kind, [])
        middle, worst = (statistics.median(felt), max(felt)) if felt else (0.0, 0.0)
        print(f"{kind:18} {times:6} {len(felt):6} {middle:9.2f} {worst:8.2f}")
    unhealed = sum(healing.seconds is None for healing in figures.healings)
    print(f"after the storm     all arrive in {_seconds(figures.settled)}, {unhealed} strokes never mended,")
    print(f"                    the last route changed after {figures.last_change:.1f} s")
    print(f"{'each node says':18} {'seconds':>8} {'datagrams/s':>12} {'TLVs/s':>8} {'octets/s':>9}")
    for phase, sent in figures.sent.items():
        amount = figures.nodes * figures.phases[phase]
        rates = [sent[what] / amount for what in ("datagrams", "TLVs", "octets")]
        print(f"{phase:18} {figures.phases[phase]:8.1f} {rates[0]:12.2f} {rates[1]:8.1f} {rates[2]:9.0f}")
    total = sum(figures.sent.values(), Counter[str]())
    amounts = ", ".join(
        f"{total[what] / figures.nodes:.0f} {what}" for what in ("datagrams", "TLVs", "octets")
    )
    print(f"each node in all    {amounts}")


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.2f} s"


def _speed() -> float:
    """Return the seconds of CPU that a loop of additions takes: machines differ from hour to hour."""
    start, total = time.perf_counter(), 0
    for number in range(ADDITIONS):
        total += number
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
