"""One description of a network, in TOML, for both engines of the lab."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Self

from babelwg.babel.wire.prefix import Prefix

ACTIONS = {  # what a step needs beside its action
    "cut": {"link"},
    "restore": {"link"},
    "impair": {"link"},
    "crash": {"node"},
    "restart": {"node"},
    "withdraw": {"node", "prefix"},
    "announce": {"node", "prefix"},
}


class TopologyError(Exception):
    """A description that makes no sense; the text says where and why."""


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A node: its own addresses, and the networks behind it."""

    name: str
    addresses: tuple[Prefix, ...] = ()
    announce: tuple[Prefix, ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """A link between two nodes, the same in both directions; loss is a share from 0 to 1."""

    a: str
    b: str
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    rate_mbit: float = 0.0  # 0 for unlimited
    cost: int = 96  # without loss

    @property
    def name(self) -> str:
        """How steps name the link."""
        return f"{self.a}-{self.b}"


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens `at` seconds after the start; `changes` are new values of a link."""

    at: float
    action: str
    link: tuple[str, str] | None = None
    node: str | None = None
    prefix: Prefix | None = None
    lost: bool = False  # a restart without the memory of the former life
    changes: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Topology:
    """Nodes, links, and what happens to them."""

    nodes: tuple[NodeSpec, ...]
    links: tuple[Link, ...]
    steps: tuple[Step, ...] = ()
    duration: float = 60.0  # seconds
    seed: int = 1

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the topology that a file describes."""
        return cls.parse(path.read_text(), str(path))

    @classmethod
    def parse(cls, text: str, source: str = "topology") -> Self:
        """Return the topology that a text describes; `source` names the text in errors."""
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise TopologyError(f"{source}: {error}") from error
        reader = _Reader(source)
        reader.known(table, "the description", {"node", "link", "step", "duration", "seed"})
        nodes = tuple(reader.node(*item) for item in reader.tables(table, "node"))
        names = [node.name for node in nodes]
        if not nodes:
            reader.fail("there is no [[node]]")
        if len(set(names)) < len(names):
            reader.fail(f"node {next(n for n in names if names.count(n) > 1)!r} is described twice")
        links = tuple(reader.link(*item, names) for item in reader.tables(table, "link"))
        pairs = [frozenset((link.a, link.b)) for link in links]
        if len(set(pairs)) < len(pairs):
            reader.fail("two links join the same nodes")
        steps = tuple(reader.step(*item, names, links) for item in reader.tables(table, "step"))
        duration = reader.number(table, "the description", "duration", 60.0)
        return cls(
            nodes, links, tuple(sorted(steps, key=lambda s: s.at)), duration, int(table.get("seed", 1))
        )

    def node(self, name: str) -> NodeSpec:
        """Return a node by name."""
        return next(node for node in self.nodes if node.name == name)


class _Reader:
    """Reads tables of one source, with complaints that name the place."""

    def __init__(self, source: str) -> None:
        self._source = source

    def fail(self, message: str) -> NoReturn:
        raise TopologyError(f"{self._source}: {message}")

    def known(self, table: Mapping[str, Any], where: str, keys: set[str]) -> None:
        if unknown := sorted(table.keys() - keys):
            self.fail(f"{where} has an unknown key {unknown[0]!r}; known are {', '.join(sorted(keys))}")

    def tables(self, table: Mapping[str, Any], key: str) -> list[tuple[Mapping[str, Any], str]]:
        entries = table.get(key, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            self.fail(f"write [[{key}]], with two brackets, for each {key}")
        return [(entry, f"{key} {number}") for number, entry in enumerate(entries, 1)]

    def node(self, table: Mapping[str, Any], where: str) -> NodeSpec:
        self.known(table, where, {"name", "addresses", "announce"})
        name = self.text(table, where, "name")
        addresses = self.prefixes(table, f"node {name!r}", "addresses")
        for address in addresses:
            if address.plen != 8 * len(address.network):
                self.fail(f"node {name!r}: {address} is a network, not an address; put it into 'announce'")
        return NodeSpec(name, addresses, self.prefixes(table, f"node {name!r}", "announce"))

    def link(self, table: Mapping[str, Any], where: str, names: list[str]) -> Link:
        numbers = ("delay_ms", "jitter_ms", "loss", "rate_mbit")
        self.known(table, where, {"a", "b", "cost", *numbers})
        a, b = self.text(table, where, "a"), self.text(table, where, "b")
        for end in (a, b):
            if end not in names:
                self.fail(f"{where}: there is no node {end!r}")
        if a == b:
            self.fail(f"{where} joins {a!r} to itself")
        values = {key: self.number(table, where, key, 0.0) for key in numbers}
        if values["loss"] > 1:
            self.fail(f"{where}: 'loss' is a share from 0 to 1")
        cost = int(self.number(table, where, "cost", 96.0))
        if not 0 < cost < 65535:
            self.fail(f"{where}: 'cost' is from 1 to 65534")
        return Link(a, b, cost=cost, **values)

    def step(self, table: Mapping[str, Any], where: str, names: list[str], links: tuple[Link, ...]) -> Step:
        action = self.text(table, where, "action")
        if action not in ACTIONS:
            self.fail(f"{where}: unknown action {action!r}; known are {', '.join(ACTIONS)}")
        changes = {"delay_ms", "jitter_ms", "loss", "rate_mbit"} if action == "impair" else set()
        self.known(table, where, {"at", "action", "lost", *ACTIONS[action], *changes})
        if missing := sorted({"at", *ACTIONS[action]} - table.keys()):
            self.fail(f"{where}: {action} needs {missing[0]!r}")
        node = table.get("node")
        if node is not None and node not in names:
            self.fail(f"{where}: there is no node {node!r}")
        return Step(
            at=self.number(table, where, "at", 0.0),
            action=action,
            link=self.link_named(table, where, links),
            node=node,
            prefix=self.prefix(table["prefix"], where) if "prefix" in table else None,
            lost=bool(table.get("lost", False)),
            changes={key: self.number(table, where, key, 0.0) for key in sorted(changes & table.keys())},
        )

    def link_named(
        self, table: Mapping[str, Any], where: str, links: tuple[Link, ...]
    ) -> tuple[str, str] | None:
        if "link" not in table:
            return None
        found = [(k.a, k.b) for k in links if table["link"] in (k.name, f"{k.b}-{k.a}")]
        if not found:
            self.fail(f"{where}: there is no link {table['link']!r}")
        return found[0]

    def text(self, table: Mapping[str, Any], where: str, key: str) -> str:
        value = table.get(key)
        if not isinstance(value, str) or not value:
            self.fail(f"{where}: {key!r} is missing or no text")
        return value

    def number(self, table: Mapping[str, Any], where: str, key: str, default: float) -> float:
        value = table.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            self.fail(f"{where}: {key!r} is no number from 0 on")
        return float(value)

    def prefixes(self, table: Mapping[str, Any], where: str, key: str) -> tuple[Prefix, ...]:
        values = table.get(key, [])
        if not isinstance(values, list):
            self.fail(f"{where}: {key!r} is no list")
        return tuple(self.prefix(value, where) for value in values)

    def prefix(self, text: object, where: str) -> Prefix:
        try:
            return Prefix.parse(str(text))
        except ValueError as error:
            self.fail(f"{where}: {error}")
