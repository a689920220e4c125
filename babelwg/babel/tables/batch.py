"""All that is announced, in batches that keep their encoding as long as it is true (RFC 8966, section 3.7.1)."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from zlib import crc32

from babelwg.babel.tables.source import Source
from babelwg.babel.wire.prefix import Prefix

# Implementation constants: prefixes of a batch
USUAL, MOST = 12, 24


class Batch:
    """Prefixes that are announced one after the other."""

    __slots__ = ("prefixes",)

    def __init__(self, prefixes: tuple[Prefix, ...]) -> None:
        self.prefixes = prefixes


class Encoding(NamedTuple):
    """The updates of a batch on one interface, and all that they follow from.

    `octets` are TLVs that mean the same wherever they stand in a packet; `sources` are those that the finite updates
    announce, and `rest` the prefixes that found no room.
    """

    octets: bytes
    sources: tuple[Source, ...]
    rest: tuple[Prefix, ...]
    facts: tuple[Any, ...]
    setting: tuple[Any, ...]


class Batches:
    """The batches of a full table; a prefix that comes or goes changes one of them."""

    def __init__(self) -> None:
        self._current: dict[Prefix, Batch] = {}  # by their first prefix
        self.stale = True  # whether they have to be cut anew

    def outdate(self) -> None:
        """Take note that a prefix came or went, or has another origin."""
        self.stale = True

    def all(self) -> Iterable[Batch]:
        """Return the batches as they were last cut."""
        return self._current.values()

    def cut(self, prefixes: Iterable[Prefix]) -> None:
        """Cut all prefixes, given in the order that makes the smallest packets; equal batches stay the same ones."""
        before, self._current, self.stale = self._current, {}, False
        open_: list[Prefix] = []
        for prefix in prefixes:
            open_.append(prefix)
            # Where a batch ends depends on its last prefix alone, so that others end where they did.
            if not crc32(prefix.network) % USUAL or len(open_) == MOST:
                self._close(open_, before)
                open_ = []
        if open_:
            self._close(open_, before)

    def _close(self, prefixes: list[Prefix], before: Mapping[Prefix, Batch]) -> None:
        wanted, former = tuple(prefixes), before.get(prefixes[0])
        self._current[wanted[0]] = former if former and former.prefixes == wanted else Batch(wanted)
