"""What outlives a process: the node's seqno, its Hello seqnos and its source table."""

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


@dataclass(frozen=True, slots=True)
class Memory:
    """What the shell kept from an earlier life; `lost` when the sources may be incomplete."""

    seqno: int = 0
    sources: tuple[SourceRecord, ...] = ()
    hello_seqnos: Mapping[str, int] = field(default_factory=dict)
    lost: bool = True
