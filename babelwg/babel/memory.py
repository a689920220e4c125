"""What outlives a process: the node's seqno, its Hello seqnos, its source table and its selected routes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from babelwg.babel.wire.prefix import Prefix


class SourceRecord(NamedTuple):
    """One change of the source table; seqno and metric are None when the source was removed."""

    prefix: Prefix
    router_id: bytes
    seqno: int | None
    metric: int | None


class Heard(NamedTuple):
    """The Hellos of a neighbour: the next seqno, their interval, and until when it is not silent (seconds)."""

    expected: int
    interval: float
    until: float


class Chosen(NamedTuple):
    """A selected route, and what its neighbour said of the link; times and intervals in seconds."""

    interface: str
    neighbour: bytes
    next_hop: bytes
    router_id: bytes
    seqno: int
    refmetric: int
    txcost: int
    interval: float  # that the neighbour promised for its updates
    since: float


class RouteRecord(NamedTuple):
    """One change of the selected routes; `chosen` is None when a prefix has none any more."""

    prefix: Prefix
    chosen: Chosen | None


@dataclass(frozen=True, slots=True)
class Memory:
    """What the shell kept from an earlier life; `lost` when the sources may be incomplete.

    `heard` is by interface and address (packed) of the neighbours; a route is of use while its neighbour is not silent.
    """

    seqno: int = 0
    sources: tuple[SourceRecord, ...] = ()
    hello_seqnos: Mapping[str, int] = field(default_factory=dict)
    lost: bool = True
    routes: tuple[RouteRecord, ...] = ()
    heard: Mapping[tuple[str, bytes], Heard] = field(default_factory=dict)
