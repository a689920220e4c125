"""What would happen if: real speakers at rest, a change, and the comparison when they are at rest again."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from babelwg.babel.parameters import InterfaceParameters
from babelwg.babel.wire.prefix import Prefix
from babelwg.lab.simulator.network import SimNetwork
from babelwg.lab.simulator.node import SimNode
from babelwg.lab.topology import Topology

# Implementation constants
CALM = 30.0  # seconds without a change of any way, after which nothing more is expected
CALM_INTERVALS = 8  # the same in Hello intervals, where those are long
LIMIT = 600.0  # seconds for each part
STEP = 1.0  # seconds between looks

Kind = Literal["fail-link", "fail-node", "cost"]


class Change(NamedTuple):
    """What is done: to the link a-b, or to the node a; `cost` is the new one of a link."""

    kind: Kind
    a: str
    b: str = ""
    cost: int = 0

    def __str__(self) -> str:
        if self.kind == "fail-node":
            return f"node {self.a} fails"
        return f"link {self.a}-{self.b} {'fails' if self.kind == 'fail-link' else f'costs {self.cost}'}"


class Way(NamedTuple):
    """Where packets for a destination go first, and what the way costs."""

    via: str
    metric: int


@dataclass(frozen=True, slots=True)
class Move:
    """One destination of one node, whose way is another afterwards; None where there is none.

    `gap` is for how many seconds packets did not arrive, None where they still do not.
    """

    source: str
    prefix: Prefix
    before: Way | None
    after: Way | None
    gap: float | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a change: how long it took, and what was said more than in calm; `calm` whether it ended."""

    moves: tuple[Move, ...]
    ways: int
    seconds: float
    seqno_requests: int
    datagrams: int
    calm: bool


class WhatIf:
    """A network at rest that changes are tried on, one after the other."""

    def __init__(self, topology: Topology, sources: Iterable[str], seed: int, hello_interval: float) -> None:
        interface = InterfaceParameters(hello_interval=hello_interval, update_interval=4 * hello_interval)
        self.net = SimNetwork(topology, seed, interface)
        self.sources = tuple(sources)
        self._calm_time = max(CALM, CALM_INTERVALS * hello_interval)
        self._watch = Watch(self.net, self.sources)
        self._cut: list[tuple[str, str]] = []
        self._costs: list[tuple[str, str, int]] = []
        self._crashed: list[str] = []
        self._rate = 0.0  # datagrams per second in calm
        self._rest()

    def ways(self) -> dict[tuple[str, Prefix], Way]:
        """Return the present ways of the sources."""
        found = {}
        for source in self.sources:
            for prefix in self.net.nodes[source].fib:
                if (way := self._way(source, prefix)) is not None:
                    found[source, prefix] = way
        return found

    def apply(self, changes: Iterable[Change]) -> Outcome:
        """Perform changes at one moment, and return what they led to."""

        def perform() -> None:
            for change in changes:
                self._perform(change)

        return self._try(perform)

    def undo(self) -> Outcome:
        """Undo all changes at one moment, and return what that led to."""
        return self._try(self._restore)

    def _try(self, action: Callable[[], None]) -> Outcome:
        before, rate = self.ways(), self._rate
        start, said, lines = self.net.now, self.net.datagrams, len(self.net.trace)
        self._watch.start()
        action()
        self._watch.look()
        calm = self._rest()
        after = self.ways()
        moves = [
            Move(source, prefix, before.get(key), after.get(key), self._watch.gap(key))
            for key in sorted(before.keys() | after.keys())
            for source, prefix in (key,)
            if before.get(key) != after.get(key) or self._watch.gap(key) != 0
        ]
        requests = sum(" seqno-requested " in line for line in self.net.trace[lines:])
        more = self.net.datagrams - said - rate * (self.net.now - start)
        took = max(0.0, self._watch.last_change - start)
        return Outcome(tuple(moves), len(before), took, requests, max(0, round(more)), calm)

    def _perform(self, change: Change) -> None:
        net = self.net
        if change.kind == "cost":
            self._costs.append((change.a, change.b, net.link(change.a, change.b).cost))
            net.reprice(change.a, change.b, change.cost)
        elif change.kind == "fail-link":
            self._fail_link(change.a, change.b)
        else:
            # A node that fails forwards nothing either.
            for peer in net.nodes[change.a].interfaces:
                self._fail_link(change.a, peer)
            net.crash(change.a)
            self._crashed.append(change.a)

    def _fail_link(self, a: str, b: str) -> None:
        if self.net.link(a, b).up:
            self.net.cut(a, b)
            self._cut.append((a, b))

    def _restore(self) -> None:
        for a, b in self._cut:
            self.net.restore(a, b)
        for a, b, cost in reversed(self._costs):
            self.net.reprice(a, b, cost)
        for name in self._crashed:
            self.net.restart(name)
        self._cut, self._costs, self._crashed = [], [], []

    def _rest(self) -> bool:
        """Run until nothing changes any more; return whether that came."""
        start = self.net.now
        self._watch.last_change = max(self._watch.last_change, start)
        while self.net.now - self._watch.last_change < self._calm_time:
            if self.net.now - start > LIMIT:
                return False
            self.net.run(STEP)
        quiet, said = self.net.now, self.net.datagrams
        self.net.run(self._calm_time / 2)
        self._rate = (self.net.datagrams - said) / (self.net.now - quiet)
        return True

    def _way(self, source: str, prefix: Prefix) -> Way | None:
        node = self.net.nodes[source]
        entry = node.fib.get(prefix)
        if entry is None or entry.via is None or node.speaker is None:
            return None
        routes = node.speaker.routes_for(prefix, self.net.now)
        metric = next((route.metric for route in routes if route.state == "selected"), None)
        return None if metric is None else Way(entry.via, metric)


@dataclass(slots=True)
class Watch:
    """Follows packets from the sources at every change of a forwarding table."""

    net: SimNetwork
    sources: tuple[str, ...]
    last_change: float = 0.0
    _lost: dict[tuple[str, Prefix], float] = field(default_factory=dict)  # since when
    _gaps: dict[tuple[str, Prefix], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.net.observers.append(self._observe)

    def start(self) -> None:
        """Forget what was."""
        self._lost.clear()
        self._gaps.clear()

    def look(self) -> None:
        """Look at all ways that the sources have."""
        for source in self.sources:
            for prefix in [*self.net.nodes[source].fib]:
                self._follow(source, prefix)

    def gap(self, key: tuple[str, Prefix]) -> float | None:
        """Return for how many seconds packets did not arrive; None where they still do not."""
        return None if key in self._lost else self._gaps.get(key, 0.0)

    def _observe(self, net: SimNetwork, node: SimNode, prefix: Prefix) -> None:
        del node
        self.last_change = net.now
        for source in self.sources:
            self._follow(source, prefix)

    def _follow(self, source: str, prefix: Prefix) -> None:
        key = source, prefix
        if not self._arrives(source, prefix):
            self._lost.setdefault(key, self.net.now)
        elif (since := self._lost.pop(key, None)) is not None:
            self._gaps[key] = self._gaps.get(key, 0.0) + self.net.now - since

    def _arrives(self, source: str, prefix: Prefix) -> bool:
        at, hops = source, 0
        while prefix not in self.net.nodes[at].xroutes:
            entry = self.net.nodes[at].fib.get(prefix)
            if entry is None or entry.via is None or hops > len(self.net.nodes):
                return False
            if not self.net.link(at, entry.via).up:
                return False
            at, hops = entry.via, hops + 1
        return self.net.nodes[at].running
