"""All that is announced, in batches that keep their encoding as long as it is true (RFC 8966, section 3.7.1)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from zlib import crc32

from babelwg.babel.parameters import InterfaceParameters, Parameters
from babelwg.babel.policy import Policy
from babelwg.babel.tables.source import Announcement
from babelwg.babel.wire.prefix import Prefix

# Implementation constants: prefixes of a batch
USUAL, MOST = 12, 24


class Batch:
    """Prefixes that are announced one after the other."""

    __slots__ = ("prefixes",)

    def __init__(self, prefixes: tuple[Prefix, ...]) -> None:
        self.prefixes = prefixes


class Setting(NamedTuple):
    """What decides what is said of all prefixes on an interface alike."""

    seqno: int
    update_interval: float
    link_local: bytes
    capacity: int
    parameters: InterfaceParameters
    node: Parameters
    policy: Policy


@dataclass(slots=True)
class Encoding:
    """The updates of a batch on one interface, and all that they follow from.

    `octets` are TLVs that mean the same wherever they stand in a packet; `announced` has the sources of the finite
    updates, and `rest` the prefixes that found no room. It was true when `revision` was that of the batches.
    """

    octets: bytes
    announced: Announcement
    rest: tuple[Prefix, ...]
    facts: tuple[Any, ...]
    setting: Setting
    revision: int


class Batches:
    """The batches of a full table; a prefix that comes or goes changes one of them."""

    def __init__(self) -> None:
        self._current: dict[Prefix, Batch] = {}  # by their first prefix
        self.stale = True  # whether they have to be cut anew
        self.revision = 0  # another one after anything that is announced may have changed

    def note_change(self) -> None:
        """Take note that something else may have to be said of a prefix."""
        self.revision += 1

    def outdate(self) -> None:
        """Take note that a prefix came or went, or has another origin."""
        self.stale = True
        self.revision += 1

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
