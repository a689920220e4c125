"""The mesh as one node knows it: its own links as measured, all else inferred from what neighbours announce."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Literal, NamedTuple

from babelwg.babel.snapshot import NeighbourView, Snapshot
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY
from babelwg.daemon.inference import Guess, infer, slack

# Implementation constants
MAX_NODES = 2000  # the nearest; bounds the answer in a mesh that somebody made grow
MAX_PREFIXES = 64  # listed for each node

Kind = Literal["self", "peer", "neighbour", "far"]
Place = tuple[str, bytes]  # interface and packed address of a neighbour


class KnownPeer(NamedTuple):
    """A configured peer: its tunnel, its link-local address (packed), and its router-id where it is known."""

    name: str
    interface: str
    address: bytes
    router_id: bytes | None


class Known(NamedTuple):
    """What this node knows of names: its own, its addresses, its peers, and those of router-ids."""

    name: str
    addresses: tuple[str, ...]
    peers: Sequence[KnownPeer]
    origin: Callable[[bytes], str | None]


@dataclass(slots=True)
class Vertex:
    """A node; `metric` is what the way there costs from here, `via` the neighbour on it (None: no way, or here)."""

    id: str
    kind: Kind
    name: str | None = None
    router_id: bytes | None = None
    metric: int | None = None
    via: str | None = None
    prefixes: set[Prefix] = field(default_factory=set)
    addresses: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Edge:
    """A link; `metric` is what its far end costs from here along it. An inferred one has no interface, nor measures."""

    source: str
    target: str
    cost: int
    metric: int
    inferred: bool
    interface: str | None = None
    rxcost: int | None = None
    txcost: int | None = None
    rtt: float | None = None
    loss: float | None = None


@dataclass(frozen=True, slots=True)
class Topology:
    """Nodes, this one first and near ones before far ones; links; how many nodes were left out."""

    nodes: tuple[Vertex, ...]
    links: tuple[Edge, ...]
    omitted: int


def take_topology(snapshot: Snapshot, known: Known) -> Topology:
    """Return the mesh as a snapshot shows it."""
    return _Survey(snapshot, known).topology()


class _Survey:
    """The steps from tables to a graph; each node is found under one id however many links lead to it."""

    def __init__(self, snapshot: Snapshot, known: Known) -> None:
        self.snapshot = snapshot
        self.known = known
        self.own = snapshot.router_id.hex(":")
        self.nodes: dict[str, Vertex] = {}
        self.ids: dict[Place, str] = {}  # of neighbours, by interface and address
        self.links: list[Edge] = []
        self.routes = [r for r in snapshot.routes if r.refmetric < INFINITY and r.state != "retracted"]

    def topology(self) -> Topology:
        self._add_self()
        own_ids = self._own_ids()
        for neighbour in self.snapshot.neighbours:
            self._add_neighbour(neighbour, own_ids.get((neighbour.interface, neighbour.address)))
        for peer in self.known.peers:
            self._add_silent_peer(peer)
        self._add_far_nodes()
        costs: dict[str, int] = {}
        for link in self.links:
            costs[link.target] = min(link.cost, costs.get(link.target, INFINITY))
        nodes = sorted(self.nodes.values(), key=_distance)
        places = {vertex.id: place for place, vertex in enumerate(nodes)}
        claims = self._claims(costs)
        ways = {vertex.id: INFINITY if vertex.metric is None else vertex.metric for vertex in nodes} | costs
        inferred = [_inferred(guess, ways, places) for guess in infer(claims)]
        inferred.sort(key=lambda edge: (places[edge.source], places[edge.target]))
        links = [e for e in (*self.links, *inferred) if max(places[e.source], places[e.target]) < MAX_NODES]
        return Topology(tuple(nodes[:MAX_NODES]), tuple(links), max(0, len(nodes) - MAX_NODES))

    def _add_self(self) -> None:
        vertex = Vertex(self.own, "self", self.known.name, self.snapshot.router_id, 0)
        vertex.prefixes = {xroute.prefix for xroute in self.snapshot.xroutes}
        vertex.addresses = dict.fromkeys(self.known.addresses)
        self.nodes[self.own] = vertex

    def _own_ids(self) -> dict[Place, bytes]:
        """Return the router-ids under which neighbours announce their own prefixes, the latest where one changed."""
        own = [route for route in self.routes if route.refmetric == 0]
        own.sort(key=lambda route: route.age, reverse=True)
        return {(route.interface, route.neighbour): route.router_id for route in own}

    def _add_neighbour(self, view: NeighbourView, router_id: bytes | None) -> None:
        peer = next((p for p in self.known.peers if p.interface == view.interface), None)
        router_id = router_id or (peer.router_id if peer else None)
        address = f"{ip_address(view.address)}%{view.interface}"
        name = peer.name if peer else self.known.origin(router_id) if router_id else None
        vertex = self._vertex(router_id.hex(":") if router_id else address, "peer" if peer else "neighbour")
        vertex.name, vertex.router_id = name or vertex.name, router_id
        vertex.addresses[address] = None
        self.ids[view.interface, view.address] = vertex.id
        self.links.append(
            Edge(
                self.own,
                vertex.id,
                view.cost,
                view.cost,
                False,
                view.interface,
                view.rxcost,
                view.txcost,
                view.rtt,
                view.loss,
            )
        )

    def _add_silent_peer(self, peer: KnownPeer) -> None:
        """Show a configured peer of which nothing is heard, with its link."""
        if any(interface == peer.interface for interface, _ in self.ids):
            return
        address = f"{ip_address(peer.address)}%{peer.interface}"
        vertex = self._vertex(peer.router_id.hex(":") if peer.router_id else address, "peer")
        vertex.name, vertex.router_id = peer.name, peer.router_id
        vertex.addresses[address] = None
        self.links.append(Edge(self.own, vertex.id, INFINITY, INFINITY, False, peer.interface))

    def _add_far_nodes(self) -> None:
        router_ids = {
            route.router_id: None for route in self.routes if route.router_id != self.snapshot.router_id
        }
        far = {router_id: self._far_node(router_id) for router_id in router_ids}
        for route in self.routes:
            if (vertex := far.get(route.router_id)) is None:
                continue
            vertex.prefixes.add(route.prefix)
            if route.state == "selected" and (vertex.metric is None or route.metric < vertex.metric):
                vertex.metric, vertex.via = route.metric, self.ids.get((route.interface, route.neighbour))
        for vertex in self.nodes.values():
            # What others can reach comes first, link-local addresses last.
            vertex.addresses = dict.fromkeys((*_hosts(vertex.prefixes), *vertex.addresses))

    def _far_node(self, router_id: bytes) -> Vertex:
        vertex = self._vertex(router_id.hex(":"), "far")
        vertex.router_id = router_id
        vertex.name = vertex.name or self.known.origin(router_id)
        return vertex

    def _vertex(self, id: str, kind: Kind) -> Vertex:
        vertex = self.nodes.setdefault(id, Vertex(id, kind))
        # Peers are known by name, whichever of their links is looked at first.
        vertex.kind = "peer" if "peer" in (kind, vertex.kind) else vertex.kind
        return vertex

    def _claims(self, costs: dict[str, int]) -> dict[tuple[str, str], int]:
        """Return how far each neighbour says that each node is from it."""
        claims: dict[tuple[str, str], int] = {}
        quiet = self._quiet()
        # A node may announce thousands of prefixes, all at one metric.
        told = dict.fromkeys((r.interface, r.neighbour, r.router_id, r.refmetric) for r in self.routes)
        for interface, address, router_id, refmetric in told:
            neighbour, node = self.ids.get((interface, address)), router_id.hex(":")
            if neighbour is None or node in (neighbour, self.own):
                continue
            if neighbour not in quiet and self._leads_back(node, refmetric, costs[neighbour]):
                continue
            claims[neighbour, node] = min(refmetric, claims.get((neighbour, node), INFINITY))
        return claims

    def _quiet(self) -> set[str]:
        """Return the neighbours that do not tell us of ways through ourselves: split horizon on a single link."""
        wireless = {view.name for view in self.snapshot.interfaces if view.kind == "wireless"}
        links = Counter(self.ids.values())
        return {id for (interface, _), id in self.ids.items() if links[id] == 1 and interface not in wireless}

    def _leads_back(self, node: str, refmetric: int, cost: int) -> bool:
        """Return whether the metric of a node is the one that a way through this node would have."""
        metric = self.nodes[node].metric
        return metric is not None and abs(cost + metric - refmetric) <= slack(refmetric)


def _distance(vertex: Vertex) -> tuple[int, int, str]:
    """Return the key by which near nodes come first, in the same order in every life."""
    near = ("self", "peer", "neighbour", "far").index(vertex.kind)
    return near, INFINITY if vertex.metric is None else vertex.metric, vertex.name or vertex.id


def _inferred(guess: Guess, ways: dict[str, int], places: dict[str, int]) -> Edge:
    """Return a guess as a link from the nearer node to the other; `ways` is what nodes cost from here."""
    near, far = sorted((guess.source, guess.target), key=places.__getitem__)
    return Edge(near, far, guess.cost, min(INFINITY, ways[near] + guess.cost), True)


def _hosts(prefixes: Iterable[Prefix]) -> list[str]:
    """Return the single addresses among prefixes."""
    hosts = [p for p in prefixes if p.plen == 8 * len(p.network) and not p.source_plen]
    return [str(ip_address(prefix.network)) for prefix in sorted(hosts)]
