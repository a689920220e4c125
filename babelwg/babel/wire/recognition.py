"""Updates known by their octets: most of what a neighbour says of a full table it has said before.

A single one is known by the octets that decide what it says. A passage, what stands from one Router-Id to the next, is
known as a whole, once all that it says was known one by one.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import ROUTER_ID_SIZE, AddressEncoding

PREFIX_FLAG = 0x80
ROUTER_ID_FLAG = 0x40
_NO_ROUTER_ID = bytes(ROUTER_ID_SIZE)  # is unusable, so it cannot be meant
_NO_NEXT_HOP = bytes(16)
_IPV4 = int(AddressEncoding.IPV4)
_LENGTHS = tuple(bytes((length,)) for length in range(256))
# Implementation constants: Updates of a passage, of fewer it is cheaper to look at each; and octets, so that nobody can
# make us keep more than a packet of an ordinary link for so few routes
SHORTEST_PASSAGE, LONGEST_PASSAGE = 3, 1500


def _nothing() -> None:
    """Be what happens at an end that nobody waits for."""


class Remembered:
    """What remembers an Update that was believed, and stands for one that says the same again."""

    __slots__ = ()
    prefix: Prefix


class Passage:
    """Updates in a row that were said before, and of which nothing has changed since as long as it is known.

    `octets` are their TLVs with the Router-Id before them. They mean the same wherever they stand, given the same next
    hops: no prefix omits octets of what stands before them.
    """

    __slots__ = ("at_end", "heard_at", "key", "next_hops", "octets", "prefixes", "remembered", "router_id")

    def __init__(
        self,
        octets: bytes,
        remembered: Iterable[Remembered],
        state: "ParserState",
        prefixes: dict[int, bytes],
    ) -> None:
        self.octets = octets
        self.key = _key(octets, 0)
        self.remembered = tuple(remembered)
        self.router_id = state.router_id
        self.next_hops = state.next_hop6, state.next_hop4
        self.prefixes = prefixes  # that later TLVs may omit octets of, by address encoding
        self.heard_at = float("-inf")  # when it was said as a whole for the last time, in seconds
        self.at_end: Callable[[], None] = _nothing  # called when something of it has changed


class Known:
    """What a neighbour has said of routes and what still holds, by its octets."""

    __slots__ = ("passages", "updates")

    def __init__(self) -> None:
        self.updates: dict[bytes, Remembered] = {}
        self.passages: dict[bytes, Passage] = {}  # by their first two TLVs

    def holds(self, passage: Passage) -> bool:
        """Return whether nothing of a passage has changed since it was said."""
        return self.passages.get(passage.key) is passage


@dataclass(slots=True)
class ParserState:
    """What earlier TLVs of the same packet say about later ones (§4.5)."""

    next_hop6: bytes | None
    next_hop4: bytes | None
    router_id: bytes | None = None
    prefixes: dict[int, bytes] = field(default_factory=dict)
    octets: bytes = b""  # of the Update that is being read
    news: set[Prefix | None] = field(default_factory=set)  # prefixes of which this packet says something new


class PassageFinder:
    """Watches the TLVs of a packet go by for passages that were not known as such."""

    def __init__(self, data: bytes, state: ParserState) -> None:
        self.found: list[Passage] = []
        self._data = data
        self._state = state
        self._start = 0  # of the open passage, 0 if there is none
        self._remembered: dict[Remembered, None] = {}
        self._prefixes: dict[int, bytes] = {}

    def open(self, position: int) -> None:
        """Take note of a Router-Id that begins here."""
        self.close(position)
        self._start = position

    def add(self, heard: Remembered, body: bytes) -> None:
        """Take note of an Update that was known, with the octets of its body."""
        if not self._start:
            return
        encoding = body[0]
        if (body[3] and encoding not in self._prefixes) or heard in self._remembered:
            self.abandon()  # its prefix begins with octets from before the passage, or it is said twice
            return
        self._remembered[heard] = None
        if body[1] & PREFIX_FLAG:
            self._prefixes[encoding] = heard.prefix.network

    def close(self, position: int) -> None:
        """Take note of something else, or of the end, before which an open passage ends."""
        length = position - self._start
        if self._start and len(self._remembered) >= SHORTEST_PASSAGE and length <= LONGEST_PASSAGE:
            octets = self._data[self._start : position]
            self.found.append(Passage(octets, self._remembered, self._state, self._prefixes))
        self.abandon()

    def abandon(self) -> None:
        """Take note of an Update that says something new: the whole of the passage is wanted later, and no part."""
        if self._start:
            self._start, self._remembered, self._prefixes = 0, {}, {}


def recognise_passage(
    state: ParserState, data: bytes, position: int, end: int, known: Known
) -> Passage | None:
    """Return the passage that begins with the Router-Id at `position` and is known; None for none."""
    passage = known.passages.get(_key(data, position))
    if (
        passage is None
        or not data.startswith(passage.octets, position)
        or position + len(passage.octets) > end
    ):
        return None
    # What this very packet has changed before is as it says now.
    if state.news or passage.next_hops != (state.next_hop6, state.next_hop4):
        return None
    state.router_id = passage.router_id
    state.prefixes |= passage.prefixes
    return passage


def _key(data: bytes, position: int) -> bytes:
    """Return the Router-Id at a position and the TLV that follows it, as far as they are there."""
    second = position + 2 + data[position + 1]
    return data[position : second + 2 + data[second + 1]] if second + 1 < len(data) else b""


def recognise(state: ParserState, body: bytes, known: Known) -> Remembered | None:
    """Return what remembers an Update with these octets; None for a new one, of which the octets are noted.

    These are all that decide what it says: its own, after their number so that nothing is ambiguous, and what it takes
    from TLVs before it.
    """
    if len(body) < 10 or body[1] & ROUTER_ID_FLAG:
        state.octets = b""
        return None
    encoding = body[0]
    default = state.prefixes.get(encoding, b"")[: body[3]] if body[3] else b""
    next_hop = state.next_hop4 if encoding == _IPV4 else state.next_hop6
    before = (state.router_id or _NO_ROUTER_ID) + (next_hop or _NO_NEXT_HOP)
    state.octets = octets = _LENGTHS[len(body)] + body + default + before
    heard = known.updates.get(octets)
    # What this very packet has changed before is as it says now.
    if heard is None or (state.news and (heard.prefix in state.news or None in state.news)):
        return None
    if body[1] & PREFIX_FLAG:
        state.prefixes[encoding] = heard.prefix.network
    return heard
