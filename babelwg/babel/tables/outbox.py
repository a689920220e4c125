"""What waits to be sent to one destination: intents, not octets (RFC 8966, section 3.1)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from babelwg.babel.tables.batch import Batch
from babelwg.babel.timers import Timer
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import (
    Acknowledgment,
    AcknowledgmentRequest,
    ChallengeReply,
    ChallengeRequest,
    RouteRequest,
    SeqnoRequest,
    Update,
)

if TYPE_CHECKING:
    from babelwg.babel.tables.interface import Interface
    from babelwg.babel.tables.neighbour import Neighbour

SmallTlv = Acknowledgment | AcknowledgmentRequest | ChallengeReply | ChallengeRequest | Update


class Chunk(NamedTuple):
    """Updates of prefixes in a row, as TLVs that mean the same wherever they stand in a packet."""

    prefixes: list[Prefix]
    retracted: tuple[Prefix, ...]  # those of which there is no route
    octets: bytes
    full: bool  # whether a further update would not have fitted
    through: "frozenset[Interface]"  # of the routes that are used: there split horizon says something else
    added: list[int]  # to the metrics by the filters, nothing where there are none
    shared: bool  # whether others may say the same


# What is told on the same interfaces: all but one, in a family, with or without a source prefix
Group = tuple["Interface | None", int, bool]


class Gathered(NamedTuple):
    """Prefixes to be told of as soon as all that belongs together has been looked at."""

    urgent: dict[Group, dict[Prefix, None]]
    ordinary: dict[Group, dict[Prefix, None]]


class Withheld:
    """The updates that wait until the kernel has what they describe; queues as in the outbox that they return to."""

    __slots__ = ("answers", "updates", "urgent")

    def __init__(self) -> None:
        self.answers: dict[Prefix, None] = {}
        self.urgent: dict[Prefix, int] = {}
        self.updates: dict[Prefix, None] = {}


class Outbox:
    """The TLVs for one destination; updates are named by prefix and built when they leave."""

    __slots__ = (
        "answers",
        "batches",
        "destination",
        "hello",
        "ihus",
        "requests",
        "small",
        "timer",
        "updates",
        "urgent",
        "withheld",
    )

    def __init__(self, destination: bytes, action: Callable[[float], None]) -> None:
        self.destination = destination
        self.timer = Timer(action)
        self.hello: float | None = None  # the interval to promise, in seconds
        self.ihus: dict[bytes, Neighbour] = {}
        self.small: list[
            SmallTlv
        ] = []  # acknowledgments, challenges and wildcard retractions: these are not paced
        self.requests: dict[RouteRequest | SeqnoRequest, None] = {}
        self.answers: dict[Prefix, None] = {}  # updates somebody asked for: sent whatever split horizon says
        self.urgent: dict[Prefix, int] = {}  # which copy of an urgent update this is, from 1 on
        self.updates: dict[Prefix, None] = {}
        self.batches: dict[Batch, None] = {}  # of the full table
        self.withheld: Withheld | None = None

    def __bool__(self) -> bool:
        return self.unpaced or self.paced

    @property
    def unpaced(self) -> bool:
        """Whether something waits that must not wait for others."""
        return self.hello is not None or bool(self.ihus or self.small)

    @property
    def retracts_all(self) -> bool:
        """Whether a wildcard retraction waits (§4.6.9)."""
        return any(type(tlv) is Update for tlv in self.small)

    @property
    def paced(self) -> bool:
        """Whether something waits whose amount depends on the size of tables."""
        return bool(self.requests or self.answers or self.urgent or self.updates or self.batches)

    @property
    def pressing(self) -> bool:
        """Whether something waits that is more than a table told again."""
        return bool(self.requests or self.answers or self.urgent)

    def take_urgent(self, prefixes: list[Prefix]) -> dict[Prefix, int]:
        """Remove urgent updates that were written, the first ones that waited, and return which copy each was."""
        if len(prefixes) == len(self.urgent):
            taken, self.urgent = self.urgent, {}
        else:
            taken = {prefix: self.urgent.pop(prefix) for prefix in prefixes}
        if self.updates:
            self.take_updates(prefixes)
        return taken

    def take_updates(self, prefixes: list[Prefix]) -> None:
        """Remove other updates, of which the same was said now."""
        for prefix in prefixes:
            self.updates.pop(prefix, None)

    def release(self) -> None:
        """Have what was withheld wait for its turn again."""
        if self.withheld is None:
            return
        withheld, self.withheld = self.withheld, None
        self.answers = withheld.answers | self.answers
        self.urgent = withheld.urgent | self.urgent
        self.updates = withheld.updates | self.updates

    def clear(self) -> None:
        """Forget everything that waits."""
        self.hello = None
        self.small.clear()
        for queue in (self.ihus, self.requests):
            queue.clear()
        self.drop_updates()

    def drop_updates(self) -> None:
        """Forget the updates that wait."""
        for queue in (self.answers, self.urgent, self.updates, self.batches):
            queue.clear()
        self.withheld = None
