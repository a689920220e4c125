"""Topologies for the simulator out of what others know: a daemon's answer, NetJSON, or the lab's own description."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from babelwg.babel.wire.prefix import Prefix, is_martian
from babelwg.babel.wire.tlv import INFINITY
from babelwg.lab.scenario import numbered_prefix
from babelwg.lab.topology import Link, NodeSpec, Topology, TopologyError

DELAY_MS = 1.0  # what delays add to a cost is in the cost already


@dataclass(frozen=True, slots=True)
class KnownMesh:
    """A topology, what its prefixes are called, who asks, which links are guesses, and which carry nothing."""

    topology: Topology
    titles: Mapping[Prefix, str]
    own: str | None = None
    guesses: frozenset[frozenset[str]] = frozenset()
    dead: tuple[str, ...] = ()


def from_answer(data: Mapping[str, Any]) -> KnownMesh:
    """Return the mesh that a daemon's answer to `topology` shows."""
    names = _unique_names([(node["id"], node["name"]) for node in data["nodes"]])
    # By name: router-ids differ from life to life, and the same mesh shall give the same answer.
    prefixes = dict(sorted((names[n["id"]], n["prefixes"]) for n in data["nodes"]))
    links: dict[frozenset[str], Link] = {}
    guesses: set[frozenset[str]] = set()
    dead = []
    for entry in sorted(data["links"], key=lambda link: (link["cost"], names[link["target"]])):
        a, b = names[entry["source"]], names[entry["target"]]
        pair = frozenset((a, b))
        if entry["cost"] >= INFINITY:
            dead.append(f"{a}-{b}")
        elif pair not in links and a != b:
            links[pair] = Link(a, b, delay_ms=DELAY_MS, cost=max(1, entry["cost"]))
            guesses |= {pair} if entry["inferred"] else set()
    own = next((names[node["id"]] for node in data["nodes"] if node["is_self"]), None)
    topology, titles = _with_prefixes(prefixes, links)
    return KnownMesh(topology, titles, own, frozenset(guesses), tuple(dead))


def from_netjson(text: str, source: str) -> KnownMesh:
    """Return the mesh of a NetJSON NetworkGraph. Raises TopologyError."""
    try:
        graph = json.loads(text)
        if not isinstance(graph, dict) or graph.get("type") != "NetworkGraph":
            raise TopologyError(f"{source}: this is no NetworkGraph of NetJSON")
        names = _unique_names([(str(node["id"]), node.get("label")) for node in graph["nodes"]])
        links: dict[frozenset[str], Link] = {}
        for entry in sorted(graph["links"], key=lambda link: float(link["cost"])):
            a, b = (names[str(entry[end])] for end in ("source", "target"))
            cost = min(INFINITY - 1, max(1, round(float(entry["cost"]))))
            if a != b:
                links.setdefault(frozenset((a, b)), Link(a, b, delay_ms=DELAY_MS, cost=cost))
    except (ValueError, TypeError) as error:
        raise TopologyError(f"{source}: {error}") from error
    except KeyError as error:
        raise TopologyError(f"{source}: {error} is missing, or names no node") from error
    own = names.get(str(graph.get("router_id")))
    topology, titles = _with_prefixes(dict.fromkeys(names.values(), ()), links)
    return KnownMesh(topology, titles, own)


def from_description(topology: Topology) -> KnownMesh:
    """Return the mesh of the lab's description; a node without prefixes gets one, or nobody would know of it."""
    nodes: list[NodeSpec] = []
    titles: dict[Prefix, str] = {}
    for number, spec in enumerate(topology.nodes, 1):
        prefixes = (*spec.addresses, *spec.announce)
        if not prefixes:
            prefixes = (numbered_prefix(number),)
            spec = replace(spec, announce=prefixes)
        titles |= {prefix: str(prefix) for prefix in prefixes} | {prefixes[0]: spec.name}
        nodes.append(spec)
    return KnownMesh(replace(topology, nodes=tuple(nodes), steps=()), titles)


def _with_prefixes(
    prefixes: Mapping[str, Sequence[str]], links: Mapping[frozenset[str], Link]
) -> tuple[Topology, dict[Prefix, str]]:
    """Return a topology in which each node announces a prefix of its own, and those that several nodes announce."""
    owners = Counter(text for texts in prefixes.values() for text in set(texts))
    nodes: list[NodeSpec] = []
    titles: dict[Prefix, str] = {}
    for number, (name, texts) in enumerate(prefixes.items(), 1):
        parsed = [(text, Prefix.parse(text)) for text in texts]
        usable = [(text, prefix) for text, prefix in parsed if not is_martian(prefix)]
        own = next((prefix for text, prefix in usable if owners[text] == 1), numbered_prefix(number))
        shared = [prefix for text, prefix in usable if owners[text] > 1]
        titles |= {own: name} | {prefix: str(prefix) for prefix in shared}
        nodes.append(NodeSpec(name, announce=(own, *shared)))
    return Topology(tuple(nodes), tuple(links.values())), titles


def _unique_names(nodes: Sequence[tuple[str, str | None]]) -> dict[str, str]:
    """Return a name for each id: its own where nobody else has it, else the id."""
    counts = Counter(name or id for id, name in nodes)
    return {id: name if name and counts[name] == 1 else id for id, name in nodes}
