"""The route table (RFC 8966, section 3.2.6)."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import exp
from operator import itemgetter
from typing import NamedTuple

from babelwg.babel.parameters import HOLD_FACTOR, MIN_UPDATE_HOLD, SMOOTHING_FACTOR
from babelwg.babel.tables.account import Account
from babelwg.babel.tables.neighbour import Neighbour
from babelwg.babel.timers import Timer
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.recognition import Passage, Remembered
from babelwg.babel.wire.tlv import INFINITY, Update

# A selected route is asked about when this much of the announced interval is left before it expires.
REFRESH_FACTOR = 0.5


class Route(Remembered):
    """What one neighbour announces for one prefix; the router-id is data, not key."""

    __slots__ = (
        "_asked_about_at",
        "_expires",
        "added",
        "expired",
        "filtered",
        "heard",
        "interval",
        "metric",
        "neighbour",
        "next_hop",
        "passage",
        "prefix",
        "refmetric",
        "router_id",
        "seqno",
        "since",
        "smoothed",
        "smoothed_at",
        "stored",
        "timer",
    )

    def __init__(self, neighbour: Neighbour, update: Update, now: float) -> None:
        assert update.prefix is not None and update.router_id is not None and update.next_hop is not None
        self.prefix = update.prefix
        self.neighbour = neighbour
        self.next_hop = update.next_hop
        self.router_id = update.router_id
        self.seqno = update.seqno
        self.refmetric = update.metric  # as advertised
        self.heard = (
            b""  # the octets of the Update that says all this; none where something else said a part of it
        )
        self.metric = INFINITY  # as computed from it and the link's cost
        # What the filters said, asked once per neighbour and origin.
        self.added = 0  # to the metric; 65535 drops the route
        self.filtered = False  # kept from being used
        self.expired = False  # retracted because no update came, not because its neighbour said so
        self.interval = update.interval
        self.passage: Passage | None = None  # whose repetitions keep this route alive
        self._expires = self._asked_about_at = self.since = now
        self.smoothed = float(INFINITY)
        self.smoothed_at = now
        self.stored: tuple[bytes, int, int, bytes] | None = None  # its distance as the shell last stored it
        self.timer: Timer | None = None

    @property
    def distance(self) -> tuple[bytes, int, int, bytes]:
        """Return what the neighbour announces: router-id, seqno, refmetric and next hop."""
        return self.router_id, self.seqno, self.refmetric, self.next_hop

    @property
    def expires(self) -> float:
        """When it expires unless it is said again, in monotonic seconds."""
        if self.passage is None:
            return self._expires
        # What `_hold` says, without its other half: a picture of all routes asks for this of each.
        return max(self._expires, self.passage.heard_at + HOLD_FACTOR * max(self.interval, MIN_UPDATE_HOLD))

    @property
    def asked_about_at(self) -> float:
        """When its neighbour is asked whether it still holds, in monotonic seconds."""
        known = self._asked_about_at
        return known if self.passage is None else max(known, _hold(self, self.passage.heard_at)[1])

    @property
    def patience(self) -> float:
        """How long after it was said its neighbour is asked about it, in seconds."""
        return _hold(self, 0.0)[1]

    def hold(self, expires: float, asked_about_at: float) -> None:
        """Let it live until `expires`, and be asked about before; both in monotonic seconds."""
        self._expires, self._asked_about_at = expires, asked_about_at

    def hold_on(self, now: float) -> None:
        """Let it live as long as its interval says from now on (§3.5.3)."""
        self._expires, self._asked_about_at = _hold(self, now)

    def join(self, passage: Passage) -> None:
        """Live on from now on when a passage is said that says this too."""
        self.end_passage()
        self.passage = passage

    def end_passage(self) -> None:
        """Have what its neighbour says of it looked at again: something changed that the passage knows nothing of."""
        passage = self.passage
        if passage is None:
            return
        if self.neighbour.heard.holds(passage):
            del self.neighbour.heard.passages[passage.key]
        for route in passage.remembered:
            if isinstance(route, Route) and route.passage is passage:
                route.hold(route.expires, route.asked_about_at)
                route.passage = None
        passage.at_end()

    def smoothed_metric(self, now: float) -> float:
        """Return the metric smoothed exponentially over some Hello intervals (appendix A.3)."""
        time_constant = SMOOTHING_FACTOR * self.neighbour.interface.parameters.hello_interval
        return self.metric + (self.smoothed - self.metric) * exp((self.smoothed_at - now) / time_constant)

    def remember(self, octets: bytes) -> None:
        """Take note of the octets of an Update that says what this route is, none to forget those before."""
        if octets != self.heard:
            self.end_passage()
            known = self.neighbour.heard.updates
            known.pop(self.heard, None)
            self.heard = octets
            if octets:
                known[octets] = self

    def set_metric(self, metric: int, now: float) -> None:
        """Change the metric, from which the smoothed one starts to follow."""
        # A route that comes back is not weighed down by the infinity it had meanwhile.
        restart = self.metric == INFINITY or metric == INFINITY
        self.smoothed = float(metric) if restart else self.smoothed_metric(now)
        self.smoothed_at = now
        self.metric = metric


def _hold(route: Route, now: float) -> tuple[float, float]:
    """Return when a route that was said now expires, and when its neighbour is asked about it before."""
    # Each expiry costs the kernel and all neighbours a change, so nobody may ask for many a second.
    counted = max(route.interval, MIN_UPDATE_HOLD)
    expires = now + HOLD_FACTOR * counted
    return expires, expires - REFRESH_FACTOR * counted


class Selection(NamedTuple):
    """The chosen route of a prefix as the kernel and the neighbours last heard of it; another one when it changes."""

    route: Route
    next_hop: bytes
    router_id: bytes  # of the route when it was last looked at
    # What all neighbours were told last.
    told_router_id: bytes
    metric: int
    # What the route says now, which leaves with the next update.
    seqno: int
    exact_metric: int
    # Neighbours still hold what we announced with another router-id; split horizon must not hide the change.
    supersedes: bool = False
    changed: float = float("-inf")  # seconds; when this route took the place of another that was usable


class Undecided(NamedTuple):
    """A prefix with a better route that is not taken yet (appendix A.3); times in seconds."""

    since: float | None  # when it got a clearly better one, None if it has none
    when: float  # it is looked at again
    pause: float  # between two looks at a path that stays unfeasible, 0 if there is none


class RouteTable:
    """All routes by prefix and neighbour, and the selected one of each prefix."""

    def __init__(self) -> None:
        self.by_prefix: dict[Prefix, dict[Neighbour, Route]] = {}
        self.selected: dict[Prefix, Selection] = {}
        self.refused: dict[Route, str] = {}  # by our kernel, with its next hop, and why in words
        self.count = 0
        self._retracted: dict[Account, dict[Route, None]] = {}  # by peer, the oldest first
        self._in_order: list[tuple[Prefix, dict[Neighbour, Route]]] | None = None

    def in_order(self) -> Sequence[tuple[Prefix, Mapping[Neighbour, Route]]]:
        """Return the routes of each prefix, sorted by prefix: kept until a prefix comes or goes."""
        if self._in_order is None:
            self._in_order = sorted(self.by_prefix.items(), key=itemgetter(0))
        return self._in_order

    def candidates(self, prefix: Prefix) -> Iterable[Route]:
        """Return all routes to a prefix."""
        routes = self.by_prefix.get(prefix)
        return routes.values() if routes is not None else ()

    def has(self, route: Route) -> bool:
        """Return whether a route is still in the table."""
        return route.neighbour.routes.get(route.prefix) is route

    def retracted(self, peer: Account | None = None) -> Collection[Route]:
        """Return the routes that a peer announces no more; where none is named, those of one that has some."""
        if peer is None:
            return next(iter(self._retracted.values()), ())
        return self._retracted.get(peer, ())

    def set_refmetric(self, route: Route, refmetric: int) -> None:
        """Change what a route's neighbour advertises, infinity for nothing."""
        route.refmetric, route.expired = refmetric, False
        neighbour = route.neighbour
        if refmetric == INFINITY:
            route.remember(b"")
            neighbour.finite.pop(route.prefix, None)
            self._retracted.setdefault(neighbour.account, {})[route] = None
        else:
            neighbour.finite[route.prefix] = None
            self._forget_retraction(route)

    def add(self, route: Route, action: Callable[[float], None]) -> None:
        """Enter a route whose expiry does `action`."""
        assert route.prefix not in route.neighbour.routes, "one entry per neighbour and prefix"
        prefix, neighbour = route.prefix, route.neighbour
        route.timer = Timer(action)
        neighbour.routes[prefix] = route
        self.set_refmetric(route, route.refmetric)
        if (routes := self.by_prefix.get(prefix)) is None:
            routes = self.by_prefix[prefix] = {}
            self._in_order = None
        routes[neighbour] = route
        self.count += 1

    def remove(self, route: Route) -> None:
        """Take a route out."""
        del route.neighbour.routes[route.prefix]
        route.remember(b"")
        route.neighbour.finite.pop(route.prefix, None)
        self._forget_retraction(route)
        self.refused.pop(route, None)
        routes = self.by_prefix[route.prefix]
        del routes[route.neighbour]
        if not routes:
            del self.by_prefix[route.prefix]
            self._in_order = None
        self.count -= 1

    def _forget_retraction(self, route: Route) -> None:
        peer = route.neighbour.account
        retracted = self._retracted.get(peer)
        if retracted is not None and route in retracted:
            del retracted[route]
            if not retracted:
                del self._retracted[peer]
