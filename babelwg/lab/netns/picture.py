"""What the kernels of a mesh do at one moment, in the form that the checks of the lab read."""

import json
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from babelwg.babel.wire.prefix import Prefix
from babelwg.lab.netns.mesh import Mesh

TABLE = "6696"


class KernelEntry(NamedTuple):
    """Where a kernel sends packets: to a node, or nowhere when it is None."""

    via: str | None


@dataclass(frozen=True, slots=True)
class KernelLink:
    """A link of the underlay."""

    up: bool
    cost: int


@dataclass(frozen=True, slots=True)
class KernelNode:
    """One node: its forwarding table, what it announces with which metric, and whether its daemon runs."""

    name: str
    fib: dict[Prefix, KernelEntry]
    xroutes: dict[Prefix, int]
    interfaces: frozenset[str]
    running: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """All nodes and links at one moment, monotonic seconds."""

    now: float
    nodes: dict[str, KernelNode]
    links: dict[frozenset[str], KernelLink]
    origins: dict[Prefix, set[str]] = field(default_factory=dict)

    def link(self, a: str, b: str) -> KernelLink:
        """Return the link between two nodes."""
        return self.links[frozenset((a, b))]


def take_picture(mesh: Mesh) -> Picture:
    """Read the tables of all kernels; they are read one after the other, so take it at rest."""
    nodes = {spec.name: _read_node(mesh, spec.name) for spec in mesh.topology.nodes}
    links = {
        key: KernelLink(key not in mesh.down, underlay.link.cost) for key, underlay in mesh.links.items()
    }
    origins: dict[Prefix, set[str]] = {}
    for name, node in nodes.items():
        for prefix in node.xroutes:
            origins.setdefault(prefix, set()).add(name)
    return Picture(time.monotonic(), nodes, links, origins)


def _read_node(mesh: Mesh, name: str) -> KernelNode:
    peers = {mesh.tunnel(name, peer): peer for peer in mesh.peers_of(name)}
    own = mesh.announced(name)
    fib: dict[Prefix, KernelEntry] = {}
    for family in ("-4", "-6"):
        output = mesh.nodes[name].run("ip", family, "-j", "route", "show", "table", TABLE, check=False)
        # Of a table that is not there yet, ip begins a list that it does not end.
        for route in json.loads(output) if output.rstrip() not in ("", "[") else ():
            if route.get("type") == "throw":
                continue
            prefix = _prefix(route["dst"], family)
            if prefix not in own:
                fib[prefix] = KernelEntry(peers.get(route.get("dev", "")))
    return KernelNode(name, fib, dict.fromkeys(own, 0), frozenset(peers.values()), name in mesh.daemons)


def _prefix(text: str, family: str) -> Prefix:
    if text == "default":
        return Prefix.parse("0.0.0.0/0" if family == "-4" else "::/0")
    return Prefix.parse(text)
