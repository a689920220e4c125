"""What an explanation says: frozen values, ages and times to come in seconds."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from babelwg.babel.routeview import RouteView
from babelwg.babel.tables.source import FeasibilityDistance
from babelwg.babel.wire.prefix import Prefix

VerdictCode = Literal[
    "feasible",
    "unfeasible",
    "retracted",
    "expired",
    "filtered",
    "unreachable",
    "too-far",
    "unconfirmed",
    "refused",
]
OutcomeCode = Literal[
    "selected",
    "announced",  # the prefix is our own
    "refused",  # our kernel would not follow
    "recovering",  # after a loss of memory no route is selected yet
    "unfeasible",
    "unconfirmed",
    "filtered",
    "unreachable",
    "too-far",
    "retracted",
    "expired",
    "unselected",  # one may be used from now on
    "unknown",  # nobody announces it
]


class PeerAddress(NamedTuple):
    """A neighbour: the interface and its packed address there."""

    interface: str
    address: bytes


@dataclass(frozen=True, slots=True)
class CostParts:
    """A metric in parts: it is their sum."""

    nominal: int  # what the link costs without loss, as we count
    loss: int  # what lost packets add, both ways, and what the neighbour counts otherwise than we do
    delay: int
    configured: int
    filter: int  # what an in filter added
    refmetric: int  # what the neighbour announces
    rest: int  # no cost is below 1 and no metric above 65535; and what was measured but is not counted yet

    @property
    def metric(self) -> int:
        """The sum."""
        link = self.nominal + self.loss + self.delay + self.configured
        return link + self.filter + self.refmetric + self.rest


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a route may be used, in words, and the feasibility distance that it was compared to."""

    code: VerdictCode
    words: str
    distance: FeasibilityDistance | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A route that a neighbour announces."""

    view: RouteView
    parts: CostParts
    verdict: Verdict

    @property
    def usable(self) -> bool:
        """Whether it may be selected."""
        return self.verdict.code == "feasible"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A better route that is not taken yet (appendix A.3)."""

    better: Candidate
    clearly_for: float | None  # how long it has been clearly better, None if it is not
    again: float  # until it is looked at again
    words: str


@dataclass(frozen=True, slots=True)
class Request:
    """A seqno request under way."""

    router_id: bytes
    seqno: int
    age: float
    sent: float  # ago, the last time
    resends: int  # still to come
    targets: tuple[PeerAddress, ...]
    requesters: tuple[PeerAddress, ...]
    for_us: bool


@dataclass(frozen=True, slots=True)
class Held:
    """A retracted prefix that stays unreachable while neighbours may still send us packets for it (§3.5.4)."""

    age: float
    ends: float | None  # until it ends in any case
    waiting: tuple[PeerAddress, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """An announcement that was not believed."""

    neighbour: PeerAddress
    reason: str
    words: str
    router_id: bytes | None
    seqno: int
    refmetric: int
    age: float


@dataclass(frozen=True, slots=True)
class Told:
    """What the neighbours on an interface hear: a metric, or nothing and why."""

    interface: str
    metric: int | None
    added: int  # by an out filter
    words: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a prefix is routed as it is: `outcome` and `why` say it in a word and in a sentence's end."""

    prefix: Prefix
    outcome: OutcomeCode
    why: str
    winner: Candidate | None
    following: Candidate | None  # what would be used if the winner went
    candidates: tuple[Candidate, ...]  # the winner first, then those that may be used, by their metrics
    waiting: Waiting | None
    requests: tuple[Request, ...]
    held: Held | None
    refused: tuple[Refused, ...]
    told: tuple[Told, ...]
    announced: int | None  # the metric with which we announce it as ours
    recovering: tuple[str, ...]  # interfaces on which a former life of ours is waited for
