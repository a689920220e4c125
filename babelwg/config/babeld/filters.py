"""Filters of babeld's language: what a line says, and what it looks at."""

from dataclasses import dataclass, field
from typing import NamedTuple

from babelwg.babel.wire.prefix import Prefix

INFINITY = 65535
PROTOCOL_BOOT = 3  # what `ip route add` gives a route by itself
MAX_PLEN = 128


class Subject(NamedTuple):
    """What a filter looks at: a route of the kernel, an address of this node, or a route of Babel."""

    prefix: Prefix
    source_prefix: Prefix | None = None
    protocol: int | None = None
    is_local: bool = False
    interface: str | None = None
    neighbour: bytes | None = None
    router_id: bytes | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter line; a selector that is None matches everything."""

    family: int | None = None
    prefix: Prefix | None = None
    min_plen: int = 0
    max_plen: int = MAX_PLEN
    source_prefix: Prefix | None = None
    min_source_plen: int = 0
    max_source_plen: int = MAX_PLEN
    protocol: int | None = None
    is_local: bool = False
    interface: str | None = None
    neighbour: bytes | None = None
    router_id: bytes | None = None
    metric: int = 0
    set_source_prefix: Prefix | None = None
    table: int | None = None
    preferred_source: bytes | None = None
    place: str = field(default="", compare=False)  # where it is written, as file:line

    @property
    def denies(self) -> bool:
        """Whether the action drops what matches."""
        return self.metric >= INFINITY


LOCAL_ALLOW = Filter(is_local=True)  # what babeld appends to the redistribute lines
