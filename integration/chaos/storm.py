"""Minutes of chaos over a grid of nine real daemons under probes: no loop, no black hole, all whole soon after it.

Asserted, of a 3x3 grid with the embedded back end and default settings:

- No packet dies of its hop limit in any kernel. Every prefix here has one origin, so there is no loop at all.
- No pair of nodes loses its probes for more than a second while a path exists. A path exists when its links have been
  up for a second and its daemons and data planes run: a cut in one direction counts as a cut, a dead data plane takes
  its node and all links of it, a daemon is away from its end until it answers again. Loss and delay end no path.
- Excused is what only a node could mend whose daemon is away, until a second after it is back: its neighbours keep to
  it (a silent speaker on a link that answers), and its kernel goes on with what it knows. `excuses.py` tells it of each
  black hole by the way that its packets took. How long that was at most is printed.
- Not judged: when the machine had no time for us. Where a daemon that serves waited in the run queue for more than 150
  ms of a quarter of a second, or a program that sends probes for 100 ms, the lab stood still; the sum is printed.
- With a node to spare, nothing ends its processes, and they hold no more memory and descriptors at the end than after a
  quarter of the storm.
- Within five seconds after the storm every kernel has all routes and probes get through between all pairs.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from babelwg.lab.chaos import Stroke, chaos, grid
from babelwg.lab.checks import converged
from babelwg.lab.netns.mesh import Mesh
from babelwg.lab.netns.picture import take_picture
from babelwg.lab.outages import BlackHole, Paths, Span, black_holes, union
from integration.chaos.excuses import Excuses
from integration.chaos.footprint import Footprint
from integration.chaos.player import Player, Struck
from integration.chaos.probes import Probes
from integration.chaos.stalls import Stalls
from integration.chaos.witness import Witness

LONGEST_HOLE = 1.0  # seconds
REST = 5.0  # seconds after the storm, in which all becomes whole
INTERVAL = 0.1  # seconds between two probes of a pair: a hole is known no better
CALM = 3.0  # seconds of probes before the storm
LIMIT = 120.0  # seconds
MOST_STALLED = 0.5  # share of a storm that may go unjudged: else it shows nothing
ALL_STALLED = 0.9  # and with any patience
AFTER_STALL = 0.5  # seconds until all catch up after the machine stood still
TAIL = 2.0  # seconds of probes after all is whole


@dataclass
class Outcome:
    """What a storm showed."""

    struck: list[Struck]
    holes: list[BlackHole]  # longest first
    hops_exceeded: int
    rest: float  # seconds after the storm until all was whole
    probes: tuple[int, int]  # sent and lost
    seconds: float  # of the storm
    stalled: float  # seconds for which the machine stood still for a prober
    rest_stalled: float  # of them, after the storm
    stories: dict[BlackHole, list[str]]  # of the lasting black holes: which way their packets took
    footprint: list[str]  # what the spared node held
    grown: list[str]  # and what of it grew

    def complaints(self, patience: float = 1.0) -> list[str]:
        """Return what was not as it must be; `patience` multiplies the seconds, and a loop is always one."""
        found = [
            f"no probe from {hole.source} to {hole.destination} for {hole.seconds:.2f} s {self.after(hole)}"
            for hole in self.holes
            if hole.seconds > patience * LONGEST_HOLE
        ]
        if self.hops_exceeded:
            found.append(f"{self.hops_exceeded} packets died of their hop limit")
        if self.rest - self.rest_stalled > patience * REST:
            found.append(f"{self.rest:.1f} s after the storm until all was whole")
        if self.stalled > min(patience * MOST_STALLED, ALL_STALLED) * self.seconds:
            found.append(f"{self.stalled:.0f} of {self.seconds:.0f} s could not be judged")
        return found + self.grown

    def cause(self, hole: BlackHole) -> Struck | None:
        """Return the last stroke before a black hole that may have made it."""
        before = [s for s in self.struck if s.when <= hole.since + INTERVAL and s.stroke.kind not in HARMLESS]
        return before[-1] if before else None

    def after(self, hole: BlackHole) -> str:
        """Return what a black hole came after, in words."""
        cause = self.cause(hole)
        return f"{hole.since - cause.when:.2f} s after {cause.stroke}" if cause else "after nothing"


HARMLESS = frozenset(("mend",))
ENDING = frozenset(("kill daemon", "stop daemon", "start daemon", "kill data plane"))


def run(directory: Path, seed: int, seconds: float, spared: str | None = None) -> Outcome:
    """Let a storm pass over a grid, but end no process of the `spared` node, and return what it showed."""
    topology = grid(3, 3)
    strokes = [s for s in chaos(topology, seed, seconds) if s.subject != (spared,) or s.kind not in ENDING]
    with Mesh(topology, directory) as mesh:
        witness = Witness(mesh)
        mesh.start()
        mesh.wait("all routes are there", lambda: _has_all_routes(mesh), LIMIT)
        exceeded = hops_exceeded(mesh)
        probes = Probes(mesh, INTERVAL)
        player = Player(mesh)
        stalls = Stalls(mesh, player.is_away)
        footprint = Footprint(mesh, spared) if spared else None
        try:
            begin = time.monotonic()
            mesh.wait("probes get through", lambda: not probes.unheard_since(begin), LIMIT)
            time.sleep(CALM)
            end, rest = _storm(mesh, player, probes, strokes)
            time.sleep(TAIL)
            _keep_histories(mesh)
        finally:
            player.close()
            probes.stop()
            stalls.close()
            witness.close()
            if footprint:
                footprint.close()
        paths, lost = Paths(topology, player.breaks()), probes.silences()
        stood = union(Span(s.since, s.until + AFTER_STALL) for s in [*probes.stalls, *stalls.spans])
        found = Excuses(topology, witness, paths, player.breaks())

        def excuses(source: str, destination: str, span: Span) -> list[Span]:
            return [*stood, *found.during(source, probes.address(source, destination), destination, span)]

        holes = black_holes(paths, lost, excuses)
        return Outcome(
            player.done,
            holes,
            hops_exceeded(mesh) - exceeded,
            rest,
            probes.counts(),
            seconds,
            sum(span.until - span.since for span in stood),
            sum(span.until - max(span.since, end) for span in stood if span.until > end),
            {
                hole: [*witness.story(hole, probes.address(hole.source, hole.destination))]
                for hole in holes
                if hole.seconds + hole.excused > LONGEST_HOLE
            },
            footprint.lines() if footprint else [],
            footprint.complaints() if footprint else [],
        )


def _storm(mesh: Mesh, player: Player, probes: Probes, strokes: Sequence[Stroke]) -> tuple[float, float]:
    """Make all strokes, each at its time; return when the storm was over, and the seconds until all was whole."""
    start = time.monotonic()
    for stroke in strokes:
        time.sleep(max(0.0, start + stroke.at - time.monotonic()))
        player.strike(stroke)
    mesh.wait("all daemons and data planes run again", player.all_runs, LIMIT)
    end = time.monotonic()
    mesh.wait("all routes are there again", lambda: _has_all_routes(mesh), LIMIT)
    routed = time.monotonic()
    mesh.wait("probes get through again", lambda: not probes.unheard_since(end), LIMIT)
    heard = max(next(a.sent for a in reversed(came) if a.sent > end) for came in probes.arrivals.values())
    return end, max(routed, heard) - end


def _has_all_routes(mesh: Mesh) -> bool:
    try:
        return not converged(take_picture(mesh), optimal=False)
    except ValueError:
        return False  # A table that changes while `ip -j` prints it comes out broken.


def _keep_histories(mesh: Mesh) -> None:
    """Write down what each daemon remembers, beside its log."""
    for name in mesh.daemons:
        records = mesh.ask(name, "history", limit=5000)["records"]
        (mesh.home(name) / "history.json").write_text(json.dumps(records))


def hops_exceeded(mesh: Mesh) -> int:
    """Return how many packets died of their hop limit in all kernels: what a loop would show."""
    total = 0
    for spec in mesh.topology.nodes:
        lines = mesh.nodes[spec.name].run("cat", "/proc/net/snmp6", "/proc/net/snmp").splitlines()
        rows = [line.split() for line in lines]
        total += sum(int(row[1]) for row in rows if row[0] in ("Ip6InHdrErrors", "Icmp6OutTimeExcds"))
        for protocol, counter in (("Ip:", "InHdrErrors"), ("Icmp:", "OutTimeExcds")):
            names, values = [row for row in rows if row[0] == protocol]
            total += int(values[names.index(counter)])
    return total


def print_table(outcome: Outcome) -> None:
    """Print the worst black hole for each kind of stroke, and how often it struck."""
    counts = Counter(s.stroke.kind for s in outcome.struck)
    print(f"{'after':16} {'times':>5} {'black holes':>11} {'worst s':>8} {'excused s':>9}")
    for kind in sorted(counts):
        holes = [h for h in outcome.holes if (c := outcome.cause(h)) and c.stroke.kind == kind]
        worst = max((h.seconds for h in holes), default=0.0)
        excused = max((h.excused for h in holes), default=0.0)
        many = sum(h.seconds > INTERVAL for h in holes)
        print(f"{kind:16} {counts[kind]:5} {many:11} {worst:8.2f} {excused:9.2f}")
    sent, lost = outcome.probes
    print(
        f"{sent} probes, {lost} lost, those without a path too; {outcome.stalled:.1f} s of stalls not judged"
    )
    print(
        f"{outcome.hops_exceeded} packets died of their hop limit; all whole {outcome.rest:.2f} s after the storm"
    )
    print("\n".join(outcome.footprint))


def main(argv: Sequence[str]) -> int:
    """Let a storm pass and print what it did; exit 1 when something was not as it must be."""
    parser = argparse.ArgumentParser(prog="make chaos", description="chaos over a grid of real daemons")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a directory for configurations and logs, which stay")
    parser.add_argument("--spare", metavar="NODE", help="end no process of it, and look what they hold")
    parser.add_argument("--list", action="store_true", help="print the strokes only")
    options = parser.parse_args(argv)
    print(f"seed {options.seed}, {options.minutes:g} minutes", flush=True)
    if options.list:
        print("\n".join(map(str, chaos(grid(3, 3), options.seed, 60 * options.minutes))))
        return 0
    with tempfile.TemporaryDirectory(prefix="babelwg-chaos-") as directory:
        outcome = run(options.keep or Path(directory), options.seed, 60 * options.minutes, options.spare)
    print_table(outcome)
    for text in outcome.complaints():
        print(f"FAILED: {text}")
    for hole, story in outcome.stories.items():
        print(
            f"{hole.source} to {hole.destination} for {hole.seconds:.2f} s and {hole.excused:.2f} s excused",
            end=" ",
        )
        print(f"{outcome.after(hole)}, at {hole.since:.3f}")
        print("\n".join(story))
    return 1 if outcome.complaints() else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
