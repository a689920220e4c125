"""A network of real speakers in virtual time; the same seed gives the same trace."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from heapq import heappop, heappush
from itertools import pairwise
from random import Random
from typing import Self

from babelwg.babel.datagram import Datagram
from babelwg.babel.memory import Memory
from babelwg.babel.parameters import InterfaceParameters
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import HEADER_SIZE, TlvType
from babelwg.lab.checks import trace_path
from babelwg.lab.scenario import numbered_prefix
from babelwg.lab.simulator.link import SimLink
from babelwg.lab.simulator.node import SimNode
from babelwg.lab.topology import Link, NodeSpec, Step, Topology

DELAY_MS = 2.0  # of links in the short notation
TRAFFIC_INTERVAL = 1.0  # seconds between two looks at where packets flow, as a daemon's
Observer = Callable[["SimNetwork", SimNode, Prefix], None]


class SimNetwork:
    """Nodes and links; time moves only in `run`.

    A daemon reads what has come for it `turn` seconds after the first of it, all at once; at once where that is 0.
    """

    def __init__(
        self, topology: Topology, seed: int, interface: InterfaceParameters | None = None, turn: float = 0.0
    ) -> None:
        self.now = 0.0
        self.trace: list[str] = []
        self.observers: list[Observer] = []
        self.breakers: list[
            Callable[[tuple[str, ...]], None]
        ] = []  # told which link or node broke or was mended
        self.datagrams = self.octets = self.tlvs = 0  # sent
        self.nodes: dict[str, SimNode] = {}
        self.links: dict[frozenset[str], SimLink] = {}
        self.origins: dict[Prefix, set[str]] = {}  # all that ever announced a prefix
        self._rng, self._turn = Random(seed), turn
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._wakes: dict[str, float] = {}
        self._inboxes: dict[str, list[Datagram]] = {}  # what waits to be read
        self._prototype = interface or InterfaceParameters()
        self._seed, self._index = seed, 0
        for spec in topology.nodes:
            self._add_node(spec)
        for link in topology.links:
            self._add_link(link)
        for spec in topology.nodes:
            for prefix in (*spec.addresses, *spec.announce):
                self._note_origin(spec.name, prefix)
        for step in topology.steps:
            self._at(step.at, lambda step=step: self.perform(step))  # type: ignore[misc]
        for node in self.nodes.values():
            node.start(Memory(seqno=0, lost=True), self.now)
            self._pump(node)

    @classmethod
    def parse(cls, text: str, seed: int = 1, interface: InterfaceParameters | None = None) -> Self:
        """Return a network from links such as `a-b:96`; each node announces one prefix of its own."""
        links = []
        for word in text.split():
            ends, _, cost = word.partition(":")
            a, _, b = ends.partition("-")
            links.append(Link(a, b, delay_ms=DELAY_MS, cost=int(cost or 96)))
        names = dict.fromkeys(name for link in links for name in (link.a, link.b))
        nodes = tuple(NodeSpec(name, announce=(numbered_prefix(n),)) for n, name in enumerate(names, 1))
        return cls(Topology(nodes, tuple(links)), seed, interface)

    def __getitem__(self, name: str) -> "NodeView":
        return NodeView(self, self.nodes[name])

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self._heap and self._heap[0][0] <= end:
            self.now, _, action = heappop(self._heap)
            action()
        self.now = end

    def cut(self, a: str, b: str) -> None:
        """Silence a link; nobody is told."""
        self._note(f"cut {a}-{b}")
        self._set_silent(a, b, frozenset((a, b)))

    def restore(self, a: str, b: str) -> None:
        """Let a silenced link carry datagrams again."""
        self._note(f"restore {a}-{b}")
        self._set_silent(a, b, frozenset())

    def silence(self, a: str, b: str, silent: frozenset[str]) -> None:
        """Lose what some ends of a link send from now on, and nothing else; nobody is told."""
        self._note(f"silence {a}-{b} {' '.join(sorted(silent))}")
        self._set_silent(a, b, silent)

    def set_dead(self, a: str, b: str, dead: bool) -> None:
        """Let the data plane of an end of a link be away, or be there again."""
        self.link(a, b).dead = dead
        self._tell((a, b))

    def fail_link(self, name: str, peer: str) -> None:
        """Let a node find a link dead, as a daemon does that watches it."""
        if (speaker := self.nodes[name].speaker) is not None:
            speaker.fail_link(peer, "no answer", self.now)
            self._pump(self.nodes[name])

    def restore_link(self, name: str, peer: str) -> None:
        """Let a node find that packets go both ways on a link again, if it found it dead."""
        if (speaker := self.nodes[name].speaker) is not None:
            speaker.restore_link(peer, self.now)
            self._pump(self.nodes[name])

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something in a while."""
        self._at(self.now + seconds, action)

    def impair(self, a: str, b: str, **changes: float) -> None:
        """Change delay, jitter (seconds) or loss (a share) of a link."""
        for key, value in changes.items():
            assert key in ("delay", "jitter", "loss"), f"a link has no {key}"
            setattr(self.link(a, b), key, value)
        self._note(f"impair {a}-{b} {changes}")

    def reprice(self, a: str, b: str, cost: int) -> None:
        """Change what a link costs without loss; both its ends know at once."""
        self._note(f"reprice {a}-{b} {cost}")
        self.link(a, b).cost = cost
        for name, peer in ((a, b), (b, a)):
            node = self.nodes[name]
            node.interfaces[peer] = replace(node.interfaces[peer], rxcost=cost)
            if node.speaker is not None:
                node.speaker.set_interface(peer, node.interfaces[peer], node.link_local, self.now)
                self._pump(node)

    def crash(self, name: str) -> None:
        """Kill a node's daemon; its kernel goes on forwarding."""
        self._note(f"crash {name}")
        if self.nodes[name].speaker is not None:
            self.nodes[name].crash()
        self._wakes.pop(name, None)
        self._tell((name,))

    def restart(self, name: str, lost: bool = False) -> None:
        """Start a node's daemon again, with its memory or without."""
        self._note(f"restart {name} lost={lost}")
        node = self.nodes[name]
        if node.speaker is not None:
            node.crash()
        node.start(node.memory(lost), self.now)
        self._tell((name,))
        self._pump(node)

    def join(self, spec: NodeSpec, links: Iterable[Link]) -> None:
        """Let a new node come, with links to others."""
        self._note(f"join {spec.name}")
        node = self._add_node(spec)
        for link in links:
            self._add_link(link)
            peer = self.nodes[link.b if link.a == spec.name else link.a]
            if peer.speaker is not None:
                peer.speaker.add_interface(spec.name, peer.interfaces[spec.name], peer.link_local, self.now)
                self._pump(peer)
        for prefix in (*spec.addresses, *spec.announce):
            self._note_origin(spec.name, prefix)
        node.start(Memory(seqno=0, lost=True), self.now)
        self._pump(node)

    def leave(self, name: str) -> None:
        """Let a node go for ever without a word, with all its links."""
        self._note(f"leave {name}")
        node = self.nodes.pop(name)
        for peer in [self.nodes[peer] for peer in node.interfaces]:
            del peer.interfaces[name], self.links[frozenset((name, peer.name))]
            peer.forget(name)
            if peer.speaker is not None:
                peer.speaker.remove_interface(name, self.now)
                self._pump(peer)
        self._wakes.pop(name, None)
        for names in self.origins.values():
            names.discard(name)

    def move(self, name: str, link_local: bytes) -> None:
        """Let a node have another link-local address on all its links."""
        self._note(f"move {name}")
        node = self.nodes[name]
        node.link_local = link_local
        for peer, parameters in node.interfaces.items():
            if node.speaker is not None:
                node.speaker.set_interface(peer, parameters, link_local, self.now)
        if node.speaker is not None:
            self._pump(node)

    def announce(self, name: str, prefix: Prefix, metric: int = 0) -> None:
        """Let a node announce a prefix."""
        self._note(f"announce {name} {prefix}")
        self._note_origin(name, prefix, metric)
        node = self.nodes[name]
        self._observe(node, prefix)
        if node.speaker is not None:
            node.speaker.announce(prefix, metric, self.now)
            self._pump(node)

    def withdraw(self, name: str, prefix: Prefix) -> None:
        """Let a node announce a prefix no longer."""
        self._note(f"withdraw {name} {prefix}")
        node = self.nodes[name]
        node.xroutes.pop(prefix, None)
        self._observe(node, prefix)
        if node.speaker is not None:
            node.speaker.withdraw(prefix, self.now)
            self._pump(node)

    def carry(self, source: str, destination: str) -> None:
        """Let packets flow between two nodes from now on, both ways, whichever way the routes lead."""
        for start, end in ((source, destination), (destination, source)):
            # Packets for what is withdrawn go nowhere.
            for a, b in pairwise(self._path(start, end)):
                for name, peer in ((a, b), (b, a)):
                    if (speaker := self.nodes[name].speaker) is not None and self.link(a, b).up:
                        speaker.note_traffic(peer, self.now)
                        self._pump(self.nodes[name])
        self._at(self.now + TRAFFIC_INTERVAL, lambda: self.carry(source, destination))

    def perform(self, step: Step) -> None:
        """Do what one step of a topology says."""
        if step.link is not None:
            changes = {
                _LINK_KEYS[k][0]: v * _LINK_KEYS[k][1] for k, v in step.changes.items() if k in _LINK_KEYS
            }
            if step.action == "impair":
                self.impair(step.link[0], step.link[1], **changes)
            else:
                {"cut": self.cut, "restore": self.restore}[step.action](*step.link)
            return
        assert step.node is not None, "a step concerns a link or a node"
        if step.action == "crash":
            self.crash(step.node)
        elif step.action == "restart":
            self.restart(step.node, step.lost)
        elif step.prefix is not None:
            {"announce": self.announce, "withdraw": self.withdraw}[step.action](step.node, step.prefix)

    def link(self, a: str, b: str) -> SimLink:
        """Return the link between two nodes."""
        return self.links[frozenset((a, b))]

    def _path(self, start: str, end: str) -> list[str]:
        prefix = next(iter(self.nodes[end].xroutes), None)
        return [] if prefix is None else trace_path(self, start, prefix)

    def _add_node(self, spec: NodeSpec) -> SimNode:
        self._index += 1
        self.nodes[spec.name] = node = SimNode(spec.name, self._index, self._seed, self._observe)
        return node

    def _add_link(self, link: Link) -> None:
        cost, delay, jitter = link.cost, link.delay_ms / 1e3, link.jitter_ms / 1e3
        self.links[frozenset((link.a, link.b))] = SimLink(link.a, link.b, cost, delay, jitter, link.loss)
        parameters = replace(self._prototype, rxcost=cost)
        self.nodes[link.a].interfaces[link.b] = parameters
        self.nodes[link.b].interfaces[link.a] = parameters

    def _note_origin(self, name: str, prefix: Prefix, metric: int = 0) -> None:
        self.nodes[name].xroutes[prefix] = metric
        self.origins.setdefault(prefix, set()).add(name)

    def _note(self, line: str) -> None:
        self.trace.append(f"{self.now:.6f} {line}")

    def _set_silent(self, a: str, b: str, silent: frozenset[str]) -> None:
        self.link(a, b).silent = silent
        self._tell((a, b))

    def _tell(self, subject: tuple[str, ...]) -> None:
        for breaker in self.breakers:
            breaker(subject)

    def _observe(self, node: SimNode, prefix: Prefix) -> None:
        for observer in self.observers:
            observer(self, node, prefix)

    def _at(self, when: float, action: Callable[[], None]) -> None:
        self._count += 1
        heappush(self._heap, (when, self._count, action))

    def _pump(self, node: SimNode) -> None:
        assert node.speaker is not None, f"{node.name} does not run"
        events, datagrams = node.pump(self.now)
        self.trace += [f"{self.now:.6f} {node.name} {event}" for event in events]
        for datagram in datagrams:
            self._send(node, datagram)
        deadline = node.speaker.next_deadline()
        if deadline is not None and self._wakes.get(node.name) != deadline:
            self._wakes[node.name] = deadline
            self._at(max(deadline, self.now), lambda: self._wake(node, deadline))

    def _wake(self, node: SimNode, deadline: float) -> None:
        # Only the latest deadline counts; earlier calls were overtaken by a pump in between.
        if self._wakes.get(node.name) == deadline:
            del self._wakes[node.name]
            self._pump(node)

    def _send(self, node: SimNode, datagram: Datagram) -> None:
        self.datagrams += 1
        self.octets += len(datagram.data)
        self.tlvs += count_tlvs(datagram.data)
        link = self.link(node.name, datagram.interface)
        if (transit := link.transit(node.name, self._rng)) is not None:
            self._at(self.now + transit, lambda: self._deliver(link, node.name, datagram))

    def _deliver(self, link: SimLink, sender: str, datagram: Datagram) -> None:
        receiver = self.nodes.get(link.other(sender))
        if receiver is None or receiver.speaker is None or not link.carries(sender):
            return
        arrived = Datagram(datagram.data, datagram.source, datagram.destination, sender, self.now)
        if not self._turn:
            receiver.speaker.receive_datagram(arrived, self.now)
            self._pump(receiver)
            return
        waiting = self._inboxes.setdefault(receiver.name, [])
        waiting.append(arrived)
        if len(waiting) == 1:
            self._at(self.now + self._turn, lambda: self._read(receiver))

    def _read(self, node: SimNode) -> None:
        """Let a daemon read all that has come for it."""
        waiting = self._inboxes.pop(node.name)
        if node.speaker is not None and node.name in self.nodes:
            for datagram in waiting:
                node.speaker.receive_datagram(datagram, self.now)
            self._pump(node)


def count_tlvs(data: bytes) -> int:
    """Return how many TLVs the body of a packet has (RFC 8966, section 4.2)."""
    count, at, end = 0, HEADER_SIZE, min(len(data), HEADER_SIZE + int.from_bytes(data[2:4]))
    while at < end:
        count += 1
        at += 1 if data[at] == TlvType.PAD1 or at + 1 == end else 2 + data[at + 1]
    return count


class NodeView:
    """A node as a test asks about it."""

    def __init__(self, net: SimNetwork, node: SimNode) -> None:
        self._net = net
        self._node = node

    def next_hop(self, destination: str) -> str | None:
        """Return the node to which packets for another node's first prefix go."""
        prefix = next(iter(self._net.nodes[destination].xroutes))
        entry = self._node.fib.get(prefix)
        return None if entry is None else entry.via


_LINK_KEYS = {"delay_ms": ("delay", 1e-3), "jitter_ms": ("jitter", 1e-3), "loss": ("loss", 1.0)}
