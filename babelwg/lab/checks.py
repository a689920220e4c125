"""What must be true of forwarding: never a loop for one origin, and all reachable at rest."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

from babelwg.babel.wire.prefix import Prefix

ANYCAST_LIMIT = 2.0  # seconds that a loop may live for a prefix that several nodes announce (RFC 8966, §1.1)


class Entry(Protocol):
    """Where packets go: to a node, or nowhere."""

    @property
    def via(self) -> str | None: ...


class CheckedLink(Protocol):
    """A link: whether it carries anything, and what it costs without loss."""

    @property
    def up(self) -> bool: ...
    @property
    def cost(self) -> int: ...


class CheckedNode(Protocol):
    """A node: its forwarding table, what it announces with which metric, its neighbours, whether its daemon runs."""

    @property
    def name(self) -> str: ...
    @property
    def fib(self) -> Mapping[Prefix, Entry]: ...
    @property
    def xroutes(self) -> Mapping[Prefix, int]: ...
    @property
    def interfaces(self) -> Collection[str]: ...
    @property
    def running(self) -> bool: ...


class CheckedNetwork(Protocol):
    """What both engines of the lab show of a network; `now` in seconds, origins are all that ever announced."""

    @property
    def now(self) -> float: ...
    @property
    def nodes(self) -> Mapping[str, CheckedNode]: ...
    @property
    def origins(self) -> Mapping[Prefix, set[str]]: ...
    def link(self, a: str, b: str) -> CheckedLink: ...


class WatchedNetwork(CheckedNetwork, Protocol):
    """A network that tells of each change of a forwarding table."""

    observers: list[Any]


class _OpenLoop(NamedTuple):
    since: float
    circle: list[str]  # the first node again at its end


@dataclass(slots=True)
class LoopCheck:
    """Watches every change of every forwarding table of a network."""

    violations: list[str] = field(default_factory=list)
    anycast_loops: int = 0
    changes: int = 0
    _open: dict[Prefix, dict[frozenset[str], _OpenLoop]] = field(default_factory=dict)

    def observe(self, net: CheckedNetwork, node: CheckedNode, prefix: Prefix) -> None:
        """Look for a loop through the entry that has just changed; no other one can have begun or ended."""
        self.changes += 1
        self._close(net, prefix, node.name)
        if (loop := find_loop(net, node.name, prefix)) is None:
            return
        if len(net.origins[prefix]) == 1:
            self.violations.append(f"{net.now:.6f} {prefix} loops: {' -> '.join(loop)}")
        elif _carries(net, loop):
            circle = loop[loop.index(loop[-1]) :]
            known = self._open.setdefault(prefix, {})
            if frozenset(circle) not in known:
                self.anycast_loops += 1
                known[frozenset(circle)] = _OpenLoop(net.now, circle)

    def finish(self, net: CheckedNetwork) -> None:
        """Report the loops that never ended."""
        for prefix, known in self._open.items():
            for loop in known.values():
                self._judge(net, prefix, loop)
        self._open.clear()

    def _close(self, net: CheckedNetwork, prefix: Prefix, name: str) -> None:
        known = self._open.get(prefix, {})
        for members in [members for members in known if name in members]:
            now = find_loop(net, name, prefix)
            if now is None or frozenset(now) != members:
                self._judge(net, prefix, known.pop(members))

    def _judge(self, net: CheckedNetwork, prefix: Prefix, loop: _OpenLoop) -> None:
        if net.now - loop.since > ANYCAST_LIMIT:
            way = " -> ".join(loop.circle)
            self.violations.append(f"{loop.since:.6f} {prefix} looped until {net.now:.6f}: {way}")


def loop_free(net: WatchedNetwork) -> LoopCheck:
    """Return a check that watches a network from now on."""
    check = LoopCheck()
    net.observers.append(check.observe)
    return check


def find_loop(net: CheckedNetwork, start: str, prefix: Prefix) -> list[str] | None:
    """Return the nodes that a packet for a prefix passes from `start` until it is where it was."""
    path = trace_path(net, start, prefix)
    return path if path.count(path[-1]) > 1 else None


def all_loops(net: CheckedNetwork) -> set[tuple[Prefix, frozenset[str]]]:
    """Return all loops that there are, each as the nodes on it: the whole truth, at the cost of all tables."""
    prefixes = {prefix for node in net.nodes.values() for prefix in node.fib}
    found = set()
    for prefix in prefixes:
        for name in net.nodes:
            if (path := find_loop(net, name, prefix)) is not None:
                found.add((prefix, frozenset(path[path.index(path[-1]) :])))
    return found


def _carries(net: CheckedNetwork, path: list[str]) -> bool:
    """Return whether packets get through all links of a path."""
    return all(net.link(a, b).up for a, b in pairwise(path))


def trace_path(net: CheckedNetwork, start: str, prefix: Prefix) -> list[str]:
    """Return the nodes that a packet passes, up to its destination, its loss or the second visit of a node."""
    path, seen, nodes = [start], {start}, net.nodes
    while prefix not in (node := nodes[path[-1]]).xroutes:
        entry = node.fib.get(prefix)
        if entry is None or (via := entry.via) is None:
            break
        path.append(via)
        if via in seen:
            break
        seen.add(via)
    return path


def no_blackhole(net: CheckedNetwork) -> list[str]:
    """Return what cannot be reached although a path of running nodes and links exists."""
    complaints = []
    for prefix, distances in distances_by_prefix(net).items():
        for name in distances:
            path = trace_path(net, name, prefix)
            if prefix not in net.nodes[path[-1]].xroutes or not _carries(net, path):
                complaints.append(f"{name} does not reach {prefix}: {' -> '.join(path)}")
    return complaints


def converged(net: CheckedNetwork, optimal: bool = True) -> list[str]:
    """Return what is not as it should be at rest: unreached, not the cheapest way, or known in vain."""
    complaints = no_blackhole(net)
    distances = distances_by_prefix(net)
    for name, node in net.nodes.items():
        for prefix in node.fib:
            if node.running and name not in distances.get(prefix, {}):
                complaints.append(f"{name} still knows {prefix}")
    if not complaints and optimal:
        complaints += _detours(net, distances)
    return complaints


def distances_by_prefix(net: CheckedNetwork) -> dict[Prefix, dict[str, int]]:
    """Return the cost of the cheapest way to each prefix from each running node that has one."""
    return {prefix: _distances(net, prefix) for prefix in net.origins}


def _distances(net: CheckedNetwork, prefix: Prefix) -> dict[str, int]:
    heap = [(n.xroutes[prefix], name) for name, n in net.nodes.items() if n.running and prefix in n.xroutes]
    distances: dict[str, int] = {}
    while heap:
        distance, name = heappop(heap)
        if name in distances:
            continue
        distances[name] = distance
        for peer in net.nodes[name].interfaces:
            link = net.link(name, peer)
            if link.up and net.nodes[peer].running:
                heappush(heap, (distance + link.cost, peer))
    return distances


def _detours(net: CheckedNetwork, distances: dict[Prefix, dict[str, int]]) -> list[str]:
    complaints = []
    for prefix, by_name in distances.items():
        for name, best in by_name.items():
            path = trace_path(net, name, prefix)
            cost = sum(net.link(a, b).cost for a, b in pairwise(path))
            cost += net.nodes[path[-1]].xroutes[prefix]
            if cost > best:
                complaints.append(f"{name} reaches {prefix} at {cost} instead of {best}: {' -> '.join(path)}")
    return complaints
