"""A large mesh of which few nodes announce, a storm over it, and how soon all of it is whole again."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import NamedTuple

from babelwg.babel.wire.prefix import Prefix
from babelwg.lab.chaos import Stroke, chaos
from babelwg.lab.checks import LoopCheck, converged, loop_free
from babelwg.lab.reach import Reach
from babelwg.lab.scenario import numbered_prefix, random_mesh
from babelwg.lab.simulator.chaos import Storm
from babelwg.lab.simulator.network import SimNetwork
from babelwg.lab.topology import Topology

IPV4_SHARE = 5  # one in so many of those that announce has an IPv4 network
# Implementation constants: seconds
TURN = 0.005  # in which a daemon reads what has come for it
CALM_SHARE, REST_SHARE = 1 / 8, 1 / 8  # of the whole time: before the storm, and after it
PAUSE = 1.0  # between two strokes on average
UNFELT = frozenset(("flush routes",))  # concerns kernels only


class Healing(NamedTuple):
    """A stroke, and how many seconds later all packets arrived again; None where they did not in the end."""

    stroke: Stroke
    seconds: float | None


@dataclass(slots=True)
class Figures:
    """What a large mesh showed in virtual time; times in seconds."""

    nodes: int
    links: int
    prefixes: int
    seconds: float
    risen: float | None = None  # from the first word until all routes were everywhere
    healings: list[Healing] = field(default_factory=list)
    settled: float | None = None  # from the end of the storm until all packets arrived
    last_change: float = 0.0  # of any forwarding table, after the end of the storm
    changes: int = 0
    violations: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    sent: dict[str, Counter[str]] = field(default_factory=dict)  # datagrams, TLVs and octets of each phase
    phases: dict[str, float] = field(default_factory=dict)  # how long each phase was


def few_announcing(topology: Topology, count: int, seed: int) -> Topology:
    """Return a topology in which so many nodes announce one network each, some of them of IPv4."""
    numbers = Random(f"announcing {seed}").sample(range(1, len(topology.nodes) + 1), count)
    announced = {number: _network(number, place) for place, number in enumerate(numbers)}
    nodes = tuple(
        replace(spec, announce=(announced[n],) if n in announced else ())
        for n, spec in enumerate(topology.nodes, 1)
    )
    return replace(topology, nodes=nodes)


def _network(number: int, place: int) -> Prefix:
    if place % IPV4_SHARE:
        return numbered_prefix(number)
    return Prefix.parse(f"10.{number >> 8}.{number & 0xFF}.0/24")


class LargeMesh:
    """A mesh with a storm over it; `tell` hears what happens, a line at a time."""

    def __init__(
        self,
        nodes: int,
        degree: float,
        announcing: int,
        seed: int,
        turn: float = TURN,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.topology = few_announcing(random_mesh(seed, nodes, degree), announcing, seed)
        self.net = SimNetwork(self.topology, seed, turn=turn)
        self.loops: LoopCheck = loop_free(self.net)
        prefixes = [prefix for spec in self.topology.nodes for prefix in spec.announce]
        self.reach = Reach(self.net, prefixes)
        self.net.observers += [self.reach.observe, self._observe]
        self.net.breakers += [self.reach.note, lambda subject: self._look()]
        self.figures = Figures(nodes, len(self.topology.links), len(prefixes), 0.0)
        self._storm = Storm(self.net, Random(f"weather {seed}"))
        self._seed, self._tell = seed, tell
        self._ill: list[Stroke] = []  # since which not all packets arrive
        self._changed = 0.0
        self._counted: Counter[str] = Counter()  # what was sent before this phase
        self._whole_at: float | None = None

    def play(self, seconds: float) -> Figures:
        """Let the mesh rise, the storm pass and all come to rest, and return what it showed."""
        calm, rest = seconds * CALM_SHARE, seconds * REST_SHARE
        self.figures.seconds = seconds
        self._phase("rise", calm / 2)
        self.figures.risen = self._whole_at
        self._phase("calm", calm / 2)
        strokes = chaos(self.topology, self._seed, seconds - calm - rest, PAUSE)
        self._phase("storm", seconds - calm - rest, strokes)
        end, self._whole_at = self.net.now, self.net.now if not self.reach.missing else None
        self._phase("rest", rest)
        return self._finish(end)

    def _phase(self, name: str, seconds: float, strokes: tuple[Stroke, ...] = ()) -> None:
        net = self.net
        start = net.now
        for stroke in strokes:
            net.run(start + stroke.at - net.now)
            if stroke.kind not in UNFELT:
                self._strike(stroke)
        net.run(start + seconds - net.now)
        sent = Counter(datagrams=net.datagrams, TLVs=net.tlvs, octets=net.octets)
        self.figures.sent[name], self._counted = sent - self._counted, sent
        self.figures.phases[name] = seconds
        self._tell(f"{name}: until {net.now:.1f} s, {net.datagrams} datagrams, {self.loops.changes} changes")

    def _strike(self, stroke: Stroke) -> None:
        self._storm.strike(stroke)
        if self.reach.missing:
            self._ill.append(replace(stroke, at=self.net.now))
        else:
            self.figures.healings.append(Healing(stroke, 0.0))

    def _finish(self, end: float) -> Figures:
        figures, net = self.figures, self.net
        self.loops.finish(net)
        figures.healings += [Healing(stroke, None) for stroke in self._ill]
        figures.settled = None if self._whole_at is None else self._whole_at - end
        figures.last_change = max(0.0, self._changed - end)
        figures.changes, figures.violations = self.loops.changes, self.loops.violations
        figures.complaints = converged(net, optimal=False)
        return figures

    def _observe(self, net: SimNetwork, node: object, prefix: Prefix) -> None:
        del node, prefix
        self._changed = net.now
        self._look()

    def _look(self) -> None:
        """Note since when all is whole."""
        if self.reach.missing:
            self._whole_at = None
            return
        if self._whole_at is None:
            self._whole_at = self.net.now
        self.figures.healings += [Healing(stroke, self.net.now - stroke.at) for stroke in self._ill]
        self._ill.clear()


def healing_by_kind(healings: list[Healing]) -> Mapping[str, list[float]]:
    """Return the seconds of those strokes after which packets were lost, by the kind of stroke."""
    found: dict[str, list[float]] = {}
    for healing in healings:
        if healing.seconds:
            found.setdefault(healing.stroke.kind, []).append(healing.seconds)
    return found
