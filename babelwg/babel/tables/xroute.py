"""Prefixes that this node announces, and what filters say of it (RFC 8966, section 3.7)."""

from typing import NamedTuple

from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY


class Xroute(NamedTuple):
    """A prefix of ours and the metric it starts with."""

    prefix: Prefix
    metric: int


class Permission(NamedTuple):
    """What the filters say about announcing a prefix on one interface."""

    router_id: bytes | None  # the origin they were asked about; None when they have to be asked again
    added: int  # to the metric; 65535 keeps the prefix back
    told: bool  # whether neighbours there may hold an earlier announcement

    @property
    def leaves_traces(self) -> bool:
        """Whether neighbours may hold an announcement, so that they have to hear of a change."""
        return self.told or self.added < INFINITY
