"""The route table (RFC 8966, section 3.2.6)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import exp
from operator import itemgetter
from typing import NamedTuple

from babelwg.babel.parameters import SMOOTHING_FACTOR
from babelwg.babel.tables.neighbour import Neighbour
from babelwg.babel.timers import Timer
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.recognition import Remembered
from babelwg.babel.wire.tlv import INFINITY, Update


class Route(Remembered):
    """What one neighbour announces for one prefix; the router-id is data, not key."""

    __slots__ = (
        "added",
        "expired",
        "expires",
        "filtered",
        "heard",
        "interval",
        "metric",
        "neighbour",
        "next_hop",
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
        self.expires = now
        self.since = now
        self.smoothed = float(INFINITY)
        self.smoothed_at = now
        self.stored: tuple[bytes, int, int, bytes] | None = None  # its distance as the shell last stored it
        self.timer: Timer | None = None

    @property
    def distance(self) -> tuple[bytes, int, int, bytes]:
        """Return what the neighbour announces: router-id, seqno, refmetric and next hop."""
        return self.router_id, self.seqno, self.refmetric, self.next_hop

    def smoothed_metric(self, now: float) -> float:
        """Return the metric smoothed exponentially over some Hello intervals (appendix A.3)."""
        time_constant = SMOOTHING_FACTOR * self.neighbour.interface.parameters.hello_interval
        return self.metric + (self.smoothed - self.metric) * exp((self.smoothed_at - now) / time_constant)

    def remember(self, octets: bytes) -> None:
        """Take note of the octets of an Update that says what this route is, none to forget those before."""
        if octets != self.heard:
            self.neighbour.heard.pop(self.heard, None)
            self.heard = octets
            if octets:
                self.neighbour.heard[octets] = self

    def set_metric(self, metric: int, now: float) -> None:
        """Change the metric, from which the smoothed one starts to follow."""
        # A route that comes back is not weighed down by the infinity it had meanwhile.
        restart = self.metric == INFINITY or metric == INFINITY
        self.smoothed = float(metric) if restart else self.smoothed_metric(now)
        self.smoothed_at = now
        self.metric = metric

    def set_refmetric(self, refmetric: int) -> None:
        """Change what the neighbour advertises, infinity for nothing."""
        self.refmetric, self.expired = refmetric, False
        if refmetric == INFINITY:
            self.remember(b"")
            self.neighbour.finite.pop(self.prefix, None)
        else:
            self.neighbour.finite[self.prefix] = None


class Selection(NamedTuple):
    """The chosen route of a prefix as the kernel and the neighbours last heard of it."""

    route: Route
    next_hop: bytes
    router_id: bytes
    metric: int
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
        self.count = 0
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

    def add(self, route: Route, action: Callable[[float], None]) -> None:
        """Enter a route whose expiry does `action`."""
        assert route.prefix not in route.neighbour.routes, "one entry per neighbour and prefix"
        route.timer = Timer(action)
        route.neighbour.routes[route.prefix] = route
        route.set_refmetric(route.refmetric)
        if route.prefix not in self.by_prefix:
            self.by_prefix[route.prefix] = {}
            self._in_order = None
        self.by_prefix[route.prefix][route.neighbour] = route
        self.count += 1

    def remove(self, route: Route) -> None:
        """Take a route out."""
        del route.neighbour.routes[route.prefix]
        route.remember(b"")
        route.neighbour.finite.pop(route.prefix, None)
        routes = self.by_prefix[route.prefix]
        del routes[route.neighbour]
        if not routes:
            del self.by_prefix[route.prefix]
            self._in_order = None
        self.count -= 1
