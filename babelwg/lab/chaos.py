"""A grid of nodes and a storm over it that both engines of the lab can play; a seed tells all of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from babelwg.babel.wire.prefix import Prefix
from babelwg.lab.topology import Link, NodeSpec, Topology

# What may strike, how often beside the others, and for how long it lasts at least and at most (seconds).
WEIGHTS = {
    "cut": 22,
    "cut one way": 16,
    "impair": 14,
    "kill daemon": 12,
    "stop daemon": 8,
    "kill data plane": 8,
    "flush routes": 10,
    "reload": 10,
}
LASTING = {
    "cut": (1.5, 15.0),
    "cut one way": (1.5, 15.0),
    "impair": (5.0, 20.0),
    "kill daemon": (0.2, 4.0),
    "stop daemon": (0.0, 0.5),
}
ENDS = {
    "cut": "restore",
    "cut one way": "restore",
    "impair": "mend",
}  # what ends others starts the daemon again
ON_LINKS = frozenset(("cut", "cut one way", "restore", "impair", "mend"))
# Implementation constants
PAUSE = 3.0  # seconds between two strokes on average
SHORTEST_PAUSE = 0.5  # seconds
DELAY_MS = 1.0  # of a link in good weather
WORST_DELAY_MS, WORST_LOSS = 60.0, 0.1
COSTS = (0, 0, 50, 150)  # that a reload gives to a tunnel


@dataclass(frozen=True, slots=True)
class Stroke:
    """What happens to a link, named by its two ends, or to one node, `at` seconds after the start.

    A cut one way silences what the first end sends. Changes are `delay_ms` and `loss` of a link, or the `cost` that
    a reload gives to the tunnel to `peer`.
    """

    at: float
    kind: str
    subject: tuple[str, ...]
    changes: Mapping[str, float] = field(default_factory=dict)
    peer: str | None = None

    def __str__(self) -> str:
        words = [f"{self.at:7.2f} {self.kind} {'-'.join(self.subject)}"]
        words += [f"to {self.peer}"] if self.peer else []
        return " ".join([*words, *(f"{key} {value:g}" for key, value in self.changes.items())])


def grid(width: int, height: int) -> Topology:
    """Return a grid of nodes `n11` to `nYX`, each with an address of both families, fd00:77::N and 10.23.0.N."""
    names = [[f"n{y}{x}" for x in range(1, width + 1)] for y in range(1, height + 1)]
    specs = [
        NodeSpec(name, (Prefix.parse(f"fd00:77::{n:x}/128"), Prefix.parse(f"10.23.0.{n}/32")))
        for n, name in enumerate((name for row in names for name in row), 1)
    ]
    pairs = [(row[x], row[x + 1]) for row in names for x in range(width - 1)]
    pairs += [(names[y][x], names[y + 1][x]) for y in range(height - 1) for x in range(width)]
    return Topology(tuple(specs), tuple(Link(a, b, DELAY_MS) for a, b in pairs))


def chaos(topology: Topology, seed: int, seconds: float, pause: float = PAUSE) -> tuple[Stroke, ...]:
    """Return strokes in their order, the last ones mend what is still broken; the same seed gives the same ones."""
    weather = _Weather(topology, Random(f"chaos {seed}"), seconds)
    at = 0.0
    while (at := at + SHORTEST_PAUSE + weather.rng.expovariate(1 / (pause - SHORTEST_PAUSE))) < seconds:
        weather.strike(at)
    return tuple(sorted(weather.strokes, key=lambda stroke: stroke.at))


class _Weather:
    """Chooses strokes that make sense after those chosen before."""

    def __init__(self, topology: Topology, rng: Random, end: float) -> None:
        self.rng = rng
        self.strokes: list[Stroke] = []
        self._end = end
        self._links = [(link.a, link.b) for link in topology.links]
        self._names = [spec.name for spec in topology.nodes]
        self._busy: dict[tuple[str, ...], float] = {}  # until when a link is cut or a daemon away

    def strike(self, at: float) -> None:
        """Let one thing happen, and end."""
        kind = self.rng.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))[0]
        choose: Callable[[str, float], None] = self._on_link if kind in ON_LINKS else self._on_node
        choose(kind, at)

    def _on_link(self, kind: str, at: float) -> None:
        a, b = ends = self.rng.choice(self._links)
        key = ("impaired", *ends) if kind == "impair" else ends
        until = self._until(kind, at)
        if kind == "cut one way" and self.rng.random() < 0.5:
            ends = (b, a)
        if self._take(key, at, until):
            changes = {"delay_ms": self._random(WORST_DELAY_MS), "loss": self._random(WORST_LOSS)}
            self.strokes.append(Stroke(at, kind, ends, changes if kind == "impair" else {}))
            self.strokes.append(Stroke(until, ENDS[kind], (a, b)))

    def _on_node(self, kind: str, at: float) -> None:
        name = self.rng.choice(self._names)
        if kind == "reload":
            peer = self.rng.choice([b if a == name else a for a, b in self._links if name in (a, b)])
            self.strokes.append(Stroke(at, kind, (name,), {"cost": self.rng.choice(COSTS)}, peer))
        elif kind not in LASTING:
            self.strokes.append(Stroke(at, kind, (name,)))
        elif self._take((name,), at, until := self._until(kind, at)):
            self.strokes += [Stroke(at, kind, (name,)), Stroke(until, "start daemon", (name,))]

    def _until(self, kind: str, at: float) -> float:
        return min(self._end, at + self.rng.uniform(*LASTING[kind]))

    def _take(self, key: tuple[str, ...], at: float, until: float) -> bool:
        """Return whether something is whole at a moment, and break it until another one."""
        if self._busy.get(key, -1.0) >= at:
            return False
        self._busy[key] = until
        return True

    def _random(self, limit: float) -> float:
        return round(self.rng.uniform(0.0, limit), 3)
