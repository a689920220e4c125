"""Looks at what links carry, asks neighbours' kernels where that ceases, and tells the speaker what it found."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from babelwg.babel.events import (
    Event,
    LinkCostChanged,
    LinkRestored,
    NeighbourAcquired,
    NeighbourLost,
    SeqnoIncreased,
)
from babelwg.daemon.linkwatch.bounds import Bounds
from babelwg.daemon.linkwatch.detector import Action, LinkDetector, State
from babelwg.daemon.linkwatch.watched import Place, WatchedLink
from babelwg.daemon.store import Store
from babelwg.linux.errors import KernelError
from babelwg.linux.linkstats import Packets, read_packets
from babelwg.linux.netlink import RequestSocket
from babelwg.linux.probes.linkecho import LinkEcho

if TYPE_CHECKING:
    from babelwg.daemon.routing import RoutingService

log = logging.getLogger(__name__)

# Implementation constants: seconds, unless said otherwise
IDLE_INTERVAL, REST_INTERVAL = 0.5, 1.0  # between two looks at all links; when none was in use for long
TOLD_INTERVAL = 10.0  # as well, where each of them tells by itself when it is in use
REST_AFTER = 10.0  # after the last packet of users
ACTIVE_INTERVAL = 0.015  # between two looks at those in use
LATENESS_MEMORY = 2.0  # for which a late turn makes us patient
REFRESH_INTERVAL = 5.0  # between two looks at which links there are, when nobody told of a change
SPEAKER_NEWS = (NeighbourAcquired, NeighbourLost, LinkCostChanged)
HINT_PAUSE = 1.0  # in which further hints that something is wrong, or one link, count for nothing
MAX_ACTIONS = 4  # of one link in one turn


class LinkWatch:
    """Watches every tunnel on which a neighbour was heard."""

    def __init__(self, routing: "RoutingService", requests: RequestSocket, store: Store) -> None:
        """Watch from `start` on; `store` knows from one life to the next which neighbours answer."""
        self.bounds = Bounds()
        self.enabled = True
        self.links: dict[str, WatchedLink] = {}
        self.error: str | None = None  # why neighbours cannot be asked
        self.tells_use: Callable[[str], bool] = lambda interface: (
            False
        )  # whether `note_use` is called for an interface
        self.counters = {"suspected": 0, "failed": 0, "restored": 0}
        self._hints: Counter[str] = Counter()  # by kind, and why they were ignored
        self._routing = routing
        self._requests = requests
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._echo: LinkEcho | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._used: set[str] = set()  # since the last look at all links
        self._hinted: dict[str, str] = {}  # interfaces to suspect at the next turn, with the kind of hint
        self._late: tuple[float, float] = (0.0, 0.0)  # by how much we were late, and when
        self._refusal = ""  # of the kernel to tell what links carried, as long as it lasts
        self._stale_at = self._all_at = 0.0
        self._suspected_at = float("-inf")
        self._used_at = self._loop.time()  # when any link was in use

    def start(self) -> None:
        """Begin to watch; without the right to ask, Hellos alone tell how links are, which `error` says."""
        try:
            self._echo = LinkEcho()
        except KernelError as error:
            self.error = str(error)
            log.warning("links-not-probed %s: a dead link is found by its missing Hellos alone", error)
        else:
            self._loop.add_reader(self._echo.fileno(), self._receive)
        self._routing.listeners.append(self._heed)
        self._wake_at(self._loop.time())

    def configure(self, dead_after: float) -> None:
        """Find links dead after so many seconds from now on; 0.0 for never."""
        self.enabled = dead_after > 0
        if not self.enabled:
            for name in self._routing.speaker.failed_links():
                self._routing.restore_link(name)
            self.links.clear()
            self._stale_at = 0.0  # what they carry is of interest all the same
        elif (bounds := Bounds.dead_after(dead_after)) != self.bounds:
            self.bounds = bounds
            for link in self.links.values():
                link.detector.bounds = bounds

    def close(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._echo is not None:
            self._loop.remove_reader(self._echo.fileno())
            self._echo.close()
            self._echo = None
        if self._heed in self._routing.listeners:
            self._routing.listeners.remove(self._heed)

    def dead_for(self, interface: str) -> float | None:
        """Return for how many seconds the link behind an interface is known to be dead; None where it is not."""
        link = self.links.get(interface)
        if link is None or link.detector.state is not State.DEAD:
            return None
        return self._loop.time() - link.detector.since

    def give_up(self, interface: str, why: str) -> bool:
        """Take a link for dead at once, unless nobody was heard on it; return whether it was done.

        An answer will show that it lives again, or the Hellos of a neighbour that gives none.
        """
        if not self.enabled:
            return False
        if interface not in self.links:
            self._refresh(self._loop.time())  # its neighbour may have been heard a moment ago
        if (link := self.links.get(interface)) is None:
            return False
        if link.detector.state is not State.DEAD:
            link.detector.give_up(why, self._loop.time())
            self._fail(link)
            self._wake_at(self._loop.time())
        return True

    def suspect(self, interface: str, kind: str) -> None:
        """Take a hint of some kind that the link behind an interface is dead: ask at once, even where it was idle.

        Anybody may have sent what led to the hint. An answer ends the suspicion, and another one comes a second later
        at the soonest.
        """
        now, link = self._loop.time(), self.links.get(interface)
        if not self.enabled or link is None:
            self._hints["hint_ignored.not-watched"] += 1
        elif link.detector.state is not State.ALIVE:
            self._hints["hint_ignored.known"] += 1
        elif now < link.hinted + HINT_PAUSE:
            self._hints["hint_ignored.too-often"] += 1
        else:
            link.hinted = now
            self._hinted[interface] = kind
            self._wake_at(now)

    def note_use(self) -> None:
        """Look at once what links carry, and often for a while: packets of users came to one that had none."""
        self._all_at = self._used_at = now = self._loop.time()
        self._wake_at(now)

    def all_counters(self) -> dict[str, int]:
        """Return what was found, what was asked and what was hinted, by kind."""
        return self.counters | self._hints | (self._echo.counters if self._echo else {})

    def _heed(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, SPEAKER_NEWS):
                self._look_soon()
            elif isinstance(event, LinkRestored):
                self._overrule(event.interface)
            elif isinstance(event, SeqnoIncreased):
                # Somebody has lost the way to us that others had through it: perhaps a link of ours, of which we, who
                # only answer, would learn by the loss of the next answer.
                self._suspect_all()

    def _look_soon(self) -> None:
        """Look which links there are, and what they carry, at the next turn, which is not far."""
        self._stale_at = 0.0
        if (soon := self._loop.time() + IDLE_INTERVAL) < self._all_at:
            self._all_at = soon
            self._wake_at(min(soon, self._timer.when() if self._timer is not None else soon))

    def _overrule(self, interface: str) -> None:
        link = self.links.get(interface)
        if link is not None and interface not in self._routing.speaker.failed_links():
            link.detector.overrule(self._loop.time())
            self._store.remember_answers(link.key, answers=False)

    def _suspect_all(self) -> None:
        now = self._loop.time()
        if now < self._suspected_at + HINT_PAUSE:
            return
        self._suspected_at = now
        for link in self.links.values():
            link.detector.suspect(now)
        self._wake_at(now)

    def _receive(self) -> None:
        if self._take_answers():
            self._turn()

    def _take_answers(self) -> bool:
        """Tell the detectors what was answered; return whether anything was."""
        found, echo = False, self._echo
        now = self._loop.time()
        by_index = {link.place.index: link for link in self.links.values()}
        for answer in echo.receive() if echo else ():
            link = by_index.get(answer.interface)
            if link is not None and link.place.neighbour == answer.address:
                self._answered(link, answer.rtt, now, echoed=True)
                found = True
        for interface, rtt in self._routing.speaker.answers():
            if (link := self.links.get(interface)) is not None:
                self._answered(link, rtt, now, echoed=False)
                found = True
        return found

    def _answered(self, link: WatchedLink, rtt: float, now: float, echoed: bool) -> None:
        link.detector.answered(rtt, now, echoed)
        self._store.remember_answers(link.key, answers=True)

    def _wake(self) -> None:
        try:
            # What has come while we were late is read before anybody is judged.
            self._take_answers()
        finally:
            self._turn()

    def _turn(self) -> None:
        now = self._loop.time()
        self._note_lateness(now)
        due = now + REST_INTERVAL
        try:
            self._try_to_look(now)
            self._suspect_hinted(now)
            for link in [*self.links.values()] if self.enabled else ():
                self._drive(link, now)
            due = self._next(now)
        finally:
            # A mistake of ours must not make this turn the last one.
            self._wake_at(due)

    def _note_lateness(self, now: float) -> None:
        """Remember by how much we are behind the timer, also where an answer came before its turn."""
        lateness = max(0.0, now - self._timer.when()) if self._timer is not None else 0.0
        late, noted = self._late
        if lateness > late or now > noted + LATENESS_MEMORY:
            self._late = lateness, now

    def _try_to_look(self, now: float) -> None:
        try:
            self._look(now)
            self._refusal = ""
        except KernelError as error:
            if str(error) != self._refusal:
                self._refusal = str(error)
                log.error("links-not-read %s", error)

    def _suspect_hinted(self, now: float) -> None:
        """Suspect the links that hints are about; what came before the hint was looked at, and speaks for none."""
        hinted, self._hinted = self._hinted, {}
        for name, kind in hinted.items():
            link = self.links.get(name) if self.enabled else None
            is_asked = link is not None and link.detector.suspect(now, idle=True)
            self._hints[f"hint.{kind}" if is_asked else "hint_ignored.not-asked"] += 1
            self.counters["suspected"] += is_asked

    def _next(self, now: float) -> float:
        detectors = [link.detector for link in self.links.values()] if self.enabled else []
        due = min([self._all_at, *(detector.deadline(now) for detector in detectors)])
        return min(due, now + ACTIVE_INTERVAL) if any(d.is_active(now) for d in detectors) else due

    def _look(self, now: float) -> None:
        if now >= self._stale_at:
            self._stale_at = now + REFRESH_INTERVAL
            self._refresh(now)
        links = [*self.links.values()]
        if now < self._all_at:
            links = [k for k in links if k.detector.is_active(now) or k.place.interface in self._hinted]
        else:
            if self._used:
                self._used_at = now
                self._routing.note_traffic(sorted(self._used))
                self._used.clear()
            self._all_at = now + self._calm_interval(now)
        packets = read_packets(self._requests, {link.place.index for link in links})
        for link in links:
            link.detector.late = self._late[0]
            if (counted := packets.get(link.place.index)) is None:
                self._stale_at = 0.0  # its interface is gone
            elif link.look(counted, self._own(link.place), now):
                self._used.add(link.place.interface)

    def _calm_interval(self, now: float) -> float:
        if now < self._used_at + REST_AFTER:
            return IDLE_INTERVAL
        # Where there are none, a neighbour that comes is news.
        return TOLD_INTERVAL if all(map(self.tells_use, self.links)) else REST_INTERVAL

    def _own(self, place: Place) -> Packets:
        """Return how many packets of an interface were Babel's or probes."""
        socket, echo = self._routing.socket, self._echo
        received, sent = socket.received.get(place.interface, 0), socket.sent.get(place.interface, 0)
        if echo is not None:
            received += echo.received.get(place.index, 0)
            sent += echo.sent.get(place.index, 0)
        return Packets(received, sent)

    def _drive(self, link: WatchedLink, now: float) -> None:
        detector, name = link.detector, link.place.interface
        for _ in range(MAX_ACTIONS):
            before = detector.state
            action = detector.step(now)
            if detector.state is State.SUSPECT and before is State.ALIVE:
                self.counters["suspected"] += 1
            if action is None:
                return
            if action is Action.PROBE:
                self._ask(link)
            elif action is Action.FAIL:
                self._fail(link)
            else:
                self.counters["restored"] += 1
                self._routing.restore_link(name)

    def _fail(self, link: WatchedLink) -> None:
        self.counters["failed"] += 1
        detector = link.detector
        self._routing.fail_link(link.place.interface, detector.verdict, detector.one_way)

    def _ask(self, link: WatchedLink) -> None:
        place, echo = link.place, self._echo
        has_left = echo is not None and echo.send(place.index, place.ours, place.neighbour)
        if not has_left or not link.detector.echoes or link.detector.in_doubt:
            # A firewall, here or there, may drop echo requests, perhaps since a moment ago; Babel itself has a
            # question that must be answered.
            self._routing.ask(place.interface)

    def _refresh(self, now: float) -> None:
        """Watch the links that the speaker has neighbours on, and those that it has given up."""
        places = {place.interface: place for place in self._routing.places()}
        failed = self._routing.speaker.failed_links()
        for name in [*self.links]:
            is_dead = self.links[name].detector.state is State.DEAD
            if name not in places and not (is_dead and name in failed):
                self._store.remember_answers(self.links.pop(name).key, answers=False)
            elif is_dead and name not in failed:
                del self.links[name]  # the interface was made anew
        for name, link in self.links.items():
            if name in places and link.is_at(places[name]):
                link.place = places[name]
                link.detector.hello_interval = link.place.hello_interval
        new = {n: p for n, p in places.items() if n not in self.links or self.links[n].place != p}
        if self._echo is not None:
            watched = [*(link.place for link in self.links.values()), *new.values()]
            self._echo.listen({place.index for place in watched})
        packets = read_packets(self._requests, {place.index for place in new.values()})
        for name, place in new.items():
            if (counted := packets.get(place.index)) is not None:
                views = partial(self._is_alone, name), partial(self._is_needed, name)
                detector = LinkDetector(self.bounds, now, place.hello_interval, *views)
                link = WatchedLink(place, counted, self._own(place), detector)
                if self._store.answers(link.key):
                    detector.presume(now)
                former, self.links[name] = self.links.get(name), link
                if former is not None and former.key != link.key:
                    self._store.remember_answers(former.key, answers=False)
        for name in failed:
            if name not in self.links or self.links[name].detector.state is not State.DEAD:
                # Nobody would try it again.
                self._routing.restore_link(name)

    def _is_alone(self, interface: str) -> bool:
        return not self._routing.speaker.has_alternative(interface)

    def _is_needed(self, interface: str) -> bool:
        return self._routing.speaker.is_needed(interface)

    def _wake_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # Never before now, from where it is told how late we are.
        self._timer = self._loop.call_at(max(when, self._loop.time()), self._wake)
