"""What excuses a black hole: that only a node could have mended it whose daemon was away.

A path exists when daemons and data planes run (design, section 8). Yet the neighbours of a daemon that is away keep to
it for the ordinary hold time, since its kernel forwards (section 4): what it forwards to a dead end, and what could
only be asked for through it, is excused. Who has no route asks neighbours; where those have none either, they ask
theirs, until there are some whose way leads on. That is told of each pair by the ways of packets, and nothing else.
"""

from collections.abc import Sequence
from itertools import pairwise

from babelwg.lab.outages import SETTLE, Break, Paths, Span
from babelwg.lab.topology import Topology
from integration.chaos.witness import Witness


class Excuses:
    """Finds out for how long a daemon that was away kept others from mending a black hole."""

    def __init__(self, topology: Topology, witness: Witness, paths: Paths, breaks: Sequence[Break]) -> None:
        self._witness = witness
        self._paths = paths
        self._peers: dict[str, list[str]] = {spec.name: [] for spec in topology.nodes}
        for link in topology.links:
            self._peers[link.a].append(link.b)
            self._peers[link.b].append(link.a)
        self._away = [
            (broken.subject[0], Span(broken.since, broken.until + SETTLE))
            for broken in breaks
            if broken.cause == "daemon"
        ]

    def during(self, source: str, address: str, destination: str, span: Span) -> list[Span]:
        """Return the excused parts of a time in which packets to an address of a node were lost."""
        moments = self._witness.moments(address, span)
        moments += [moment for _, away in self._away for moment in away]
        inner = sorted({moment for moment in moments if span.since < moment < span.until})
        return [
            Span(since, until)
            for since, until in pairwise([span.since, *inner, span.until])
            if self._is_excused(source, address, destination, (since + until) / 2)
        ]

    def _is_excused(self, source: str, address: str, destination: str, moment: float) -> bool:
        away = {name for name, span in self._away if span.since <= moment < span.until}
        way = self._witness.way(source, address, moment)
        if not away or destination in way or away & set(way):
            return bool(away & set(way))
        helpers = self._helpers(way, address, destination, moment, away)
        held_up = [helper for helper in helpers if away & set(helper)]
        return bool(held_up) and all(helper in held_up for helper in helpers if helper[-1] == destination)

    def _helpers(
        self, way: list[str], address: str, destination: str, moment: float, away: set[str]
    ) -> list[list[str]]:
        """Return the nearest ways that lead on: who has none asks its neighbours, and those theirs in turn."""
        found, asking, todo = [], set(way[:-1]), [way[-1]]
        while todo:
            if (name := todo.pop()) in asking:
                continue
            asking.add(name)
            for peer in self._peers[name]:
                if not self._paths.works(frozenset((name, peer)), moment):
                    continue
                helper = self._witness.way(peer, address, moment)
                if helper[-1] == destination or (len(helper) > 1 and away & set(helper)):
                    found.append(helper)
                elif helper[-1] not in away:
                    todo.append(helper[-1])
        return found
