"""Links that nobody has told of, inferred from the metrics that neighbours announce.

Babel is no link state protocol: a neighbour says how far a node is from it, and not by which way. The inferred graph is
one of few links in which every node is as far from each neighbour as that neighbour says.
"""

from collections.abc import Mapping
from heapq import heappop, heappush
from typing import NamedTuple

from babelwg.babel.wire.tlv import INFINITY

# Implementation constants
MAX_CLAIMS = 20_000  # the smallest metrics; bounds the time that a large mesh takes
SLACK = 1 / 20  # share of a metric; neighbours speak at different moments of costs that move
LEAST_SLACK = 2

Distances = dict[str, int]


class Guess(NamedTuple):
    """A link that explains what a neighbour announces: between it and another node, at a cost."""

    source: str
    target: str
    cost: int


def infer(claims: Mapping[tuple[str, str], int]) -> list[Guess]:
    """Return links for claims, each the metric of a node at a neighbour; cheapest first.

    A claim that a path of other links explains needs no link of its own.
    """
    links: dict[str, Distances] = {}
    near: dict[str, Distances] = {neighbour: {neighbour: 0} for neighbour, _ in claims}
    guesses = []
    # The cheapest first: a path is made of links that are cheaper than itself.
    for cost, (neighbour, node) in sorted((cost, pair) for pair, cost in claims.items())[:MAX_CLAIMS]:
        known = near[neighbour].get(node)
        if known is not None and known <= cost + slack(cost):
            continue
        guesses.append(Guess(neighbour, node, cost))
        links.setdefault(neighbour, {})[node] = cost
        links.setdefault(node, {})[neighbour] = cost
        for distances in near.values():
            _shorten(distances, links, neighbour, node)
    return guesses


def slack(metric: int) -> float:
    """Return by how much two statements of one metric may differ."""
    return max(LEAST_SLACK, metric * SLACK)


def _shorten(distances: Distances, links: Mapping[str, Distances], a: str, b: str) -> None:
    """Let the distances from one node know of a new link."""
    closer: list[tuple[int, str]] = []
    # Only where the link itself shortens a way do others change: its ends have links by the thousand.
    for near, far in ((a, b), (b, a)):
        _try(distances, closer, near, far, links[near][far])
    while closer:
        distance, node = heappop(closer)
        if distance == distances[node]:
            for other, cost in links[node].items():
                _try(distances, closer, node, other, cost)


def _try(distances: Distances, closer: list[tuple[int, str]], near: str, far: str, cost: int) -> None:
    if near in distances and distances[near] + cost < distances.get(far, INFINITY):
        distances[far] = distances[near] + cost
        heappush(closer, (distances[far], far))
