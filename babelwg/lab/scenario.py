"""Random meshes and what may happen to them, as topologies that both engines can play."""

from dataclasses import replace
from random import Random
from typing import TypeVar

from babelwg.babel.wire.prefix import Prefix
from babelwg.lab.topology import Link, NodeSpec, Step, Topology

T = TypeVar("T")

COSTS = (96, 96, 96, 200, 300)
LONGEST_DELAY_MS = 30.0
JITTERS_MS = (0.0, 0.0, 5.0)
SOURCE_SPECIFIC = 3  # every so many nodes announce a destination for the packets from their own network
SHARED = Prefix.parse("fd01::/32")


def numbered_prefix(number: int) -> Prefix:
    """Return the prefix that the node with this number announces."""
    return Prefix(6, bytes.fromhex("fd00") + number.to_bytes(6, "big") + bytes(8), 64)


def _announced(number: int) -> tuple[Prefix, ...]:
    own = numbered_prefix(number)
    return (own,) if number % SOURCE_SPECIFIC else (own, SHARED.with_source(own))


def random_mesh(seed: int, nodes: int, degree: float = 3.0, loss: float = 0.0) -> Topology:
    """Return a connected mesh with `degree` links per node on average, a third of them lossy."""
    rng = Random(seed)
    names = [f"n{number}" for number in range(1, nodes + 1)]
    pairs = {(names[rng.randrange(number)], names[number]): None for number in range(1, nodes)}
    wanted = min(max(len(pairs), round(nodes * degree / 2)), nodes * (nodes - 1) // 2)
    while len(pairs) < wanted:
        first, second = sorted(rng.sample(range(nodes), 2))
        pairs[names[first], names[second]] = None
    links = tuple(_random_link(rng, a, b, loss) for a, b in pairs)
    specs = tuple(NodeSpec(name, announce=_announced(n)) for n, name in enumerate(names, 1))
    return Topology(specs, links, seed=seed)


def storm(topology: Topology, seed: int, start: float, end: float, pause: float = 3.0) -> Topology:
    """Return a topology to which something happens every `pause` seconds, and which is mended at the end."""
    weather = _Weather(topology, Random(seed))
    at = start
    while (at := at + weather.rng.expovariate(1 / pause)) < end:
        weather.strike(at)
    weather.mend(end)
    steps = tuple(sorted(weather.steps, key=lambda step: step.at))
    return replace(topology, steps=steps, duration=end)


class _Weather:
    """Chooses steps that make sense after those chosen before."""

    def __init__(self, topology: Topology, rng: Random) -> None:
        self.rng = rng
        self.steps: list[Step] = []
        self._links = topology.links
        self._specs = topology.nodes
        self._cut: dict[tuple[str, str], None] = {}
        self._crashed: dict[str, None] = {}
        self._withdrawn: dict[tuple[str, Prefix], None] = {}

    def strike(self, at: float) -> None:
        """Let one thing happen."""
        strokes = [self._toggle_link, self._toggle_daemon, self._restart, self._toggle_prefix]
        self.rng.choices(strokes, weights=(35, 25, 25, 15))[0](at)

    def mend(self, at: float) -> None:
        """Undo all that is still broken, and let no link lose anything any more."""
        self.steps += [Step(at, "restore", link=link) for link in self._cut]
        self.steps += [Step(at, "restart", node=name) for name in self._crashed]
        for name, prefix in self._withdrawn:
            self.steps.append(Step(at, "announce", node=name, prefix=prefix))
        self.steps += [
            Step(at, "impair", link=(k.a, k.b), changes={"loss": 0.0}) for k in self._links if k.loss
        ]

    def _toggle_link(self, at: float) -> None:
        link = self.rng.choice(self._links)
        ends = (link.a, link.b)
        action = "restore" if _toggle(self._cut, ends) else "cut"
        self.steps.append(Step(at, action, link=ends))

    def _toggle_daemon(self, at: float) -> None:
        name = self.rng.choice(self._specs).name
        if _toggle(self._crashed, name):
            self.steps.append(Step(at, "restart", node=name, lost=self.rng.random() < 0.5))
        else:
            self.steps.append(Step(at, "crash", node=name))

    def _restart(self, at: float) -> None:
        name = self.rng.choice(self._specs).name
        self._crashed.pop(name, None)
        self.steps.append(Step(at, "restart", node=name, lost=self.rng.random() < 0.5))

    def _toggle_prefix(self, at: float) -> None:
        spec = self.rng.choice(self._specs)
        prefix = self.rng.choice(spec.announce)
        action = "announce" if _toggle(self._withdrawn, (spec.name, prefix)) else "withdraw"
        self.steps.append(Step(at, action, node=spec.name, prefix=prefix))


def _random_link(rng: Random, a: str, b: str, loss: float) -> Link:
    delay, jitter = rng.uniform(0.5, LONGEST_DELAY_MS), rng.choice(JITTERS_MS)
    return Link(a, b, delay, jitter, loss=rng.choice((0.0, 0.0, loss)), cost=rng.choice(COSTS))


def _toggle(members: dict[T, None], item: T) -> bool:
    """Put an item in or take it out; return whether it was in."""
    if item in members:
        del members[item]
        return True
    members[item] = None
    return False
