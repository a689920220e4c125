"""How long probes were lost although a path existed, from what was lost and what was broken meanwhile."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from babelwg.lab.topology import Topology

SETTLE = 1.0  # seconds for which a link must have been up to count as part of a path


class Arrival(NamedTuple):
    """A probe that came: its number, and when it was sent (monotonic seconds)."""

    number: int
    sent: float


class Span(NamedTuple):
    """A time, in monotonic seconds."""

    since: float
    until: float


class Break(NamedTuple):
    """What did not work for a time: a link by its two ends (nothing or only one way went through it), or a node."""

    subject: tuple[str, ...]
    since: float
    until: float
    cause: str = ""


@dataclass(frozen=True, slots=True)
class BlackHole:
    """All probes from one node to another were lost for a time although a path existed."""

    source: str
    destination: str
    since: float
    until: float
    excused: float = 0.0  # seconds of it that count for nothing

    @property
    def seconds(self) -> float:
        """How long it was, without what is excused."""
        return self.until - self.since - self.excused


def silences(arrivals: Sequence[Arrival], interval: float) -> list[Span]:
    """Return when probes were lost; a sender that was late itself counts only for the probes that are missing."""
    spans = []
    ordered = sorted(arrivals)
    for before, after in pairwise(ordered):
        lost = after.number - before.number - 1
        if lost > 0:
            until = after.sent
            since = max(before.sent + interval, until - lost * interval)
            spans.append(Span(min(since, until), until))
    return spans


class Paths:
    """When which nodes had a path to each other: links up for a second, nodes whose daemons and data planes run."""

    def __init__(self, topology: Topology, breaks: Iterable[Break]) -> None:
        self._links = [(link.a, link.b) for link in topology.links]
        self._names = [spec.name for spec in topology.nodes]
        self._spans: dict[frozenset[str], list[Span]] = {}
        for broken in breaks:
            settle = SETTLE if len(broken.subject) == 2 else 0.0
            span = Span(broken.since, broken.until + settle)
            self._spans.setdefault(frozenset(broken.subject), []).append(span)
        self._moments = sorted(
            {moment for spans in self._spans.values() for span in spans for moment in span}
        )
        self._reached: dict[tuple[float, str], set[str]] = {}

    def during(self, source: str, destination: str, span: Span) -> list[Span]:
        """Return the parts of a time in which a path existed without interruption."""
        inner = [moment for moment in self._moments if span.since < moment < span.until]
        found: list[Span] = []
        for since, until in pairwise([span.since, *inner, span.until]):
            if destination not in self._reachable(source, (since + until) / 2):
                continue
            if found and found[-1].until == since:
                since = found.pop().since
            found.append(Span(since, until))
        return found

    def works(self, subject: frozenset[str], moment: float) -> bool:
        """Return whether a link, named by its two ends, or a node is part of paths at a moment."""
        return not any(span.since <= moment < span.until for span in self._spans.get(subject, ()))

    def _reachable(self, source: str, moment: float) -> set[str]:
        if (moment, source) in self._reached:
            return self._reached[moment, source]
        links = [ends for ends in self._links if self.works(frozenset(ends), moment)]
        running = {name for name in self._names if self.works(frozenset((name,)), moment)}
        reached = {source} & running
        todo = list(reached)
        while todo:
            name = todo.pop()
            near = {b if a == name else a for a, b in links if name in (a, b)} & running - reached
            reached |= near
            todo += near
        self._reached[moment, source] = reached
        return reached


def black_holes(
    paths: Paths,
    lost: Mapping[tuple[str, str], Sequence[Span]],
    excuses: Callable[[str, str, Span], Sequence[Span]] = lambda source, destination, span: (),
) -> list[BlackHole]:
    """Return each time in which probes were lost although a path existed, longest first.

    `excuses` gives the times of a black hole that count for nothing; what is before and after them is one black hole.
    """
    found = []
    for (source, destination), spans in lost.items():
        for part in (p for span in spans for p in paths.during(source, destination, span)):
            left = _without(part, union(excuses(source, destination, part)))
            excused = part.until - part.since - sum(piece.until - piece.since for piece in left)
            found.append(BlackHole(source, destination, *part, excused=excused))
    return sorted(found, key=lambda hole: -hole.seconds)


def union(spans: Iterable[Span]) -> list[Span]:
    """Return the same times without overlap, in order."""
    found: list[Span] = []
    for span in sorted(spans):
        if found and span.since <= found[-1].until:
            found[-1] = Span(found[-1].since, max(found[-1].until, span.until))
        else:
            found.append(span)
    return found


def _without(span: Span, exempt: Sequence[Span]) -> list[Span]:
    """Return what is left of a time outside of others."""
    left = [span]
    for hole in exempt:
        pieces = []
        for part in left:
            pieces.append(Span(part.since, min(part.until, hole.since)))
            pieces.append(Span(max(part.since, hole.until), part.until))
        left = [part for part in pieces if part.since < part.until]
    return left
