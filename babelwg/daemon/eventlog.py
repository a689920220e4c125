"""The speaker's events as lines of the log, of which no neighbour can cause more than so many."""

import logging
from collections.abc import Iterable

from babelwg.babel.events import (
    Event,
    PacketDropped,
    RouteFlushed,
    RouteRetracted,
    RouteSelected,
    RoutesRefused,
    SeqnoIncreased,
    SeqnoRequested,
    TlvDropped,
)
from babelwg.daemon.limits import ABOUT_LINKS, Limits

log = logging.getLogger(__name__)

# Implementation constants: lines at once, and a second
ROUTES_BURST, ROUTES_RATE = 100.0, 20.0
LINKS_BURST, LINKS_RATE = 400.0, 5.0  # of each interface; a LAN of a hundred that starts together needs 300
ABOUT_ROUTES = (RouteSelected, RouteRetracted, RouteFlushed, SeqnoRequested, SeqnoIncreased)
DROPS = (PacketDropped, TlvDropped)


class EventLog:
    """Writes each event, or only the number of those about routes or links when too many come at once."""

    def __init__(self) -> None:
        self._routes = Limits(ROUTES_BURST, ROUTES_RATE)
        self._links = Limits(LINKS_BURST, LINKS_RATE)

    def write(self, events: Iterable[Event], now: float) -> None:
        """Write events, and how many were not written some time ago."""
        for event in events:
            log.log(self._level(event, now), "%s", event)
        for limits in (self._routes, self._links):
            for subject, count in limits.take_unsaid(now).items():
                log.info("events-not-logged about=%s count=%d: --log-level debug shows them", subject, count)

    def _level(self, event: Event, now: float) -> int:
        # What strangers can cause at will is counted, and told only to those who look closely.
        if isinstance(event, DROPS):
            return logging.DEBUG
        if isinstance(event, ABOUT_ROUTES):
            return logging.INFO if self._routes.admits("routes", now) else logging.DEBUG
        if isinstance(event, ABOUT_LINKS):
            return logging.INFO if self._links.admits(event.interface, now) else logging.DEBUG
        return logging.WARNING if isinstance(event, RoutesRefused) else logging.INFO
