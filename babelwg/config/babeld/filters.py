"""Filters of babeld's language: selectors that decide whether a line matches, and the action that follows."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from babelwg.babel.wire.prefix import Prefix
from babelwg.config.addresses import covers

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

    @property
    def denies(self) -> bool:
        """Whether the action drops what matches."""
        return self.metric >= INFINITY

    def match(self, subject: Subject) -> bool:
        """Return whether every selector of this line fits."""
        return (
            (self.family is None or self.family == subject.prefix.family)
            and _fits(subject.prefix, self.prefix, self.min_plen, self.max_plen)
            and self._match_source(subject)
            and self._match_origin(subject)
            and self.interface in (None, subject.interface)
            and self.neighbour in (None, subject.neighbour)
            and self.router_id in (None, subject.router_id)
        )

    def _match_source(self, subject: Subject) -> bool:
        source = subject.source_prefix
        if source is None:
            # A route without a source prefix is one from everywhere.
            source = Prefix(subject.prefix.family, bytes(len(subject.prefix.network)), 0)
        return _fits(source, self.source_prefix, self.min_source_plen, self.max_source_plen)

    def _match_origin(self, subject: Subject) -> bool:
        if self.is_local:
            return subject.is_local
        if self.protocol is not None:
            return subject.protocol == self.protocol
        # Whoever names neither `local` nor `proto` does not mean addresses and hand-made routes.
        return not subject.is_local and subject.protocol != PROTOCOL_BOOT


LOCAL_ALLOW = Filter(is_local=True)


def first_match(filters: Iterable[Filter], subject: Subject) -> Filter | None:
    """Return the line that decides: the first that matches."""
    return next((line for line in filters if line.match(subject)), None)


def _fits(prefix: Prefix, within: Prefix | None, low: int, high: int) -> bool:
    return low <= prefix.plen <= high and (within is None or covers(within, prefix))
