"""Links that nobody has told of, inferred from the metrics that neighbours announce.

Babel is no link state protocol: a neighbour says how far a node is from it, and not by which way. The inferred graph is
one of few links in which every node is as far from each neighbour as that neighbour says.
"""

from collections.abc import Iterable, Mapping
from heapq import heappop, heappush
from typing import NamedTuple

from babelwg.babel.wire.tlv import INFINITY

# Implementation constants
MAX_CLAIMS = 20_000  # the smallest metrics; bounds the time that a large mesh takes
MAX_JOINED, MAX_TRIES = 150, 50  # guesses that are looked at in pairs, and pairs that are tried
SLACK = 1 / 20  # share of a metric; neighbours speak at different moments of costs that move
LEAST_SLACK = 2

Distances = dict[str, int]


class Guess(NamedTuple):
    """A link that explains what neighbours announce, at a cost: of one of them, or between two farther nodes."""

    source: str
    target: str
    cost: int


def infer(claims: Mapping[tuple[str, str], int]) -> list[Guess]:
    """Return links for claims, each the metric of a node at a neighbour; cheapest first.

    A claim that a path of other links explains needs no link of its own. Two long links from two neighbours, each to
    the other's side, are one short link between far nodes where that explains every claim as well.
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
    return _join_far(claims, guesses, links) if len(guesses) <= MAX_JOINED else guesses


def slack(metric: int) -> float:
    """Return by how much two statements of one metric may differ."""
    return max(LEAST_SLACK, metric * SLACK)


def _join_far(
    claims: Mapping[tuple[str, str], int], guesses: list[Guess], links: dict[str, Distances]
) -> list[Guess]:
    """Return guesses in which pairs of long links are links between far nodes, wherever every claim still holds."""
    tries = 0
    for first in reversed(guesses):
        for second, joined in _joints(first, links):
            if second not in guesses:
                continue
            if tries == MAX_TRIES:
                return guesses
            tries += 1
            rest = [guess for guess in guesses if guess not in (first, second)]
            if _explains([*rest, joined], claims):
                guesses = [*rest, joined]
                links.clear()
                for guess in guesses:
                    links.setdefault(guess.source, {})[guess.target] = guess.cost
                    links.setdefault(guess.target, {})[guess.source] = guess.cost
                break
    return guesses


def _joints(long: Guess, links: Mapping[str, Distances]) -> list[tuple[Guess, Guess]]:
    """Return the links that one between far nodes may stand for beside a long one, each with that one."""
    found = []
    if links.get(long.source, {}).get(long.target) != long.cost:
        return []  # it is gone by now
    for near, cost in links[long.source].items():
        for other, beyond in links[long.target].items() if cost < long.cost else ():
            both = links[other].get(near)
            rest = long.cost - cost
            if other != long.source and both is not None and abs(beyond + rest - both) <= slack(both):
                found.append((Guess(other, near, both), Guess(near, long.target, rest)))
    return found


def _explains(guesses: Iterable[Guess], claims: Mapping[tuple[str, str], int]) -> bool:
    """Return whether every node is as far from each neighbour as that one says."""
    links: dict[str, Distances] = {}
    for guess in guesses:
        links.setdefault(guess.source, {})[guess.target] = guess.cost
        links.setdefault(guess.target, {})[guess.source] = guess.cost
    found: dict[str, Distances] = {}
    for (neighbour, node), claim in claims.items():
        if neighbour not in found:
            found[neighbour] = {neighbour: 0}
            _spread(found[neighbour], links, [(0, neighbour)])
        if abs(found[neighbour].get(node, INFINITY) - claim) > slack(claim):
            return False
    return True


def _shorten(distances: Distances, links: Mapping[str, Distances], a: str, b: str) -> None:
    """Let the distances from one node know of a new link."""
    closer: list[tuple[int, str]] = []
    # Only where the link itself shortens a way do others change: its ends have links by the thousand.
    for near, far in ((a, b), (b, a)):
        _try(distances, closer, near, far, links[near][far])
    _spread(distances, links, closer)


def _spread(distances: Distances, links: Mapping[str, Distances], closer: list[tuple[int, str]]) -> None:
    """Let all nodes know that some are closer than they were."""
    while closer:
        distance, node = heappop(closer)
        if distance == distances[node]:
            for other, cost in links.get(node, {}).items():
                _try(distances, closer, node, other, cost)


def _try(distances: Distances, closer: list[tuple[int, str]], near: str, far: str, cost: int) -> None:
    if near in distances and distances[near] + cost < distances.get(far, INFINITY):
        distances[far] = distances[near] + cost
        heappush(closer, (distances[far], far))
