"""From a Babel datagram to a kernel route: one speaker, one socket, one timer, one pump."""

import asyncio
import logging
import math
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from babelwg.babel.datagram import Datagram
from babelwg.babel.events import Event
from babelwg.babel.parameters import InterfaceParameters
from babelwg.babel.policy import Policy
from babelwg.babel.speaker import Speaker
from babelwg.babel.wire.prefix import Prefix, is_martian
from babelwg.daemon.eventlog import EventLog
from babelwg.daemon.flushing import RouteFlusher
from babelwg.daemon.installer import RouteInstaller
from babelwg.daemon.linkwatch.watched import Place
from babelwg.daemon.reader import Reader
from babelwg.daemon.recorder import Note, silent
from babelwg.daemon.routekeeper import RouteKeeper
from babelwg.daemon.seqnos import SeqnoRoom
from babelwg.daemon.store import Store
from babelwg.linux.babelsocket import BabelSocket
from babelwg.linux.errors import KernelError
from babelwg.linux.fib import KernelRoutes
from babelwg.linux.mirror import Link, Mirror
from babelwg.linux.routes import Route

log = logging.getLogger(__name__)

# Implementation constants
# Seconds until what earlier lives announced, and nobody has confirmed, is retracted: where the kernel does not forward
# it, and where it does, with its routes
SETTLE, ADOPTION = 1.0, 30.0
PUMP_ROUNDS = 8
FAREWELL = 0.05  # seconds for the last retractions to leave
SHORTEST_WAIT = 0.0005  # seconds between two timers of the speaker


@dataclass(frozen=True, slots=True)
class WantedInterface:
    """An interface that Babel shall run on as soon as it is up; None as address takes what the kernel gave it."""

    parameters: InterfaceParameters
    link_local: bytes | None = None


class RoutingService:
    """Runs a speaker over the wanted interfaces and writes what it selects into the kernel."""

    def __init__(
        self,
        speaker: Speaker,
        socket: BabelSocket,
        routes: KernelRoutes,
        mirror: Mirror,
        store: Store,
    ) -> None:
        self.speaker = speaker
        self.socket = socket
        self.routes = routes
        self._indices: dict[str, int] = {}  # of the interfaces that Babel runs on
        self.installer = RouteInstaller(speaker, routes, mirror, self._indices)
        self.wanted: dict[str, WantedInterface] = {}
        self.announced: dict[Prefix, tuple[int, str]] = {}
        self.stopping = False
        # Each is called with what the speaker told, as soon as the kernel has it.
        self.listeners: list[Callable[[list[Event]], None]] = []
        # Takes the link behind an interface for dead, for a reason in words, if it will be found to live again.
        self.give_up: Callable[[str, str], bool] = lambda name, why: False
        self.note_work: Callable[[float, float], None] = lambda seconds, now: (
            None
        )  # after each turn of the pump
        self.note: Note = silent
        self.errors: dict[str, str] = {}
        self.counters = {"internal_error": 0, "task_failed": 0}
        self._mirror = mirror
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._running: dict[str, tuple[int, InterfaceParameters, bytes]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._reader = Reader(socket, self._share, self._handle, self.pump, self._note)
        self._keeper = RouteKeeper(speaker, store, lambda: self._reader.busy)
        self._repairs: list[Route] = []  # that somebody else removed
        self._flusher = RouteFlusher(speaker, routes, self.pump)
        self._log = EventLog()
        self._seqnos = SeqnoRoom(speaker, store, self.pump)

    def all_counters(self) -> dict[str, int]:
        """Return what went wrong here and with the kernel, and what was dropped of neighbours that send too much."""
        return self.counters | self._flusher.counters | self._reader.counters

    def close(self) -> None:
        """Stop reading and sending; the kernel's routes stay."""
        self._keeper.close()
        self.halt()
        self.socket.close()

    def pause(self) -> None:
        """Say a last Hello and nothing more, so that neighbours keep their routes until the next life."""
        self.speaker.pause(self._loop.time())
        self.pump()
        self._keeper.finish()
        self.halt()

    def halt(self) -> None:
        """Do nothing from now on; what still comes must not change what the kernel and neighbours hear no more of."""
        self.stopping = True
        self._flusher.close()
        self._reader.close()
        if self._timer is not None:
            self._timer.cancel()

    def want(self, name: str, interface: WantedInterface | None) -> None:
        """Run on an interface from now on, with these parameters; None: no longer."""
        self.want_all({name: interface})

    def want_all(self, interfaces: Mapping[str, WantedInterface | None]) -> None:
        """Do as `want` for several interfaces at once."""
        self.wanted |= {name: wanted for name, wanted in interfaces.items() if wanted is not None}
        for name in [name for name, wanted in interfaces.items() if wanted is None]:
            self.wanted.pop(name, None)
        self.sync_interfaces()

    async def take_leave(self, names: Collection[str]) -> None:
        """Retract everything on interfaces that are no longer wanted, and go when that has left."""
        running = [name for name in names if name in self._running]
        for name in running:
            self.speaker.take_leave(name, self._loop.time())
        if running:
            self.pump()
            await asyncio.sleep(FAREWELL)
            self.want_all(dict.fromkeys(running))

    def announce(self, xroutes: Mapping[Prefix, tuple[int, str]]) -> None:
        """Announce exactly these prefixes, each with a metric and a word for where it comes from."""
        now = self._loop.time()
        xroutes = {prefix: xroute for prefix, xroute in xroutes.items() if not is_martian(prefix)}
        for prefix in self.announced.keys() - xroutes.keys():
            self.speaker.withdraw(prefix, now)
        for prefix, (metric, origin) in xroutes.items():
            if self.announced.get(prefix) != (metric, origin):
                self.speaker.announce(prefix, metric, now)
        self.announced = dict(xroutes)
        self.installer.set_announced({prefix: origin for prefix, (_, origin) in xroutes.items()}, now)
        self.pump()

    def sync_interfaces(self) -> None:
        """Follow the kernel: run on the wanted interfaces that are up and have a link-local address."""
        now = self._loop.time()
        self.socket.mend()
        for name in [*self._running.keys() - self.wanted.keys()]:
            self._drop_interface(name, "Babel is not wanted there any more", now)
        for name, wanted in self.wanted.items():
            link = self._mirror.link(name)
            if link is None and wanted.link_local and name in self._running:
                link = self._mirror.links.get(self._running[name][0])  # renamed; it gets its name back
            link_local = wanted.link_local or (self._mirror.link_local(link.index) if link else None)
            if link is not None and self._outlasts(name, link):
                continue
            if link is None or not link.up or link_local is None:
                self._drop_interface(name, _why_not(link), now)
                continue
            ipv4 = self._mirror.ipv4(link.index)
            parameters = replace(wanted.parameters, mtu=link.mtu, ipv4=ipv4)
            try:
                self._run_interface(name, link.index, parameters, link_local, now)
                self.errors.pop(name, None)
            except KernelError as error:
                self.errors[name] = str(error)
        self.installer.sync_sources()
        self.routes.retry()
        self.installer.retry(now)
        self.pump()

    def leave_lost(self, lost: Collection[int]) -> None:
        """Run no more on those of these interfaces (indices) that are down or gone."""
        now = self._loop.time()
        for name in [name for name, index in self._indices.items() if index in lost]:
            link = self._mirror.links.get(self._indices[name])
            if link is None or not (link.up or link.lacks_carrier):
                self._drop_interface(name, _why_not(link), now)

    def guard(self) -> None:
        """Let the operator's routes in main stand against ours."""
        if not self.stopping:
            self.installer.guard(self._loop.time())
            self.pump()

    def set_endpoints(self, endpoints: frozenset[bytes]) -> None:
        """Take note of the addresses (packed) to which our tunnels send."""
        if self.installer.set_endpoints(endpoints, self._loop.time()):
            self.pump()

    def set_policy(self, policy: Policy) -> None:
        """Let these filters decide what comes in, goes out and is installed from now on."""
        self.installer.set_policy(policy, self._loop.time())
        self.pump()

    def prefer_sources(self, addresses: tuple[bytes, ...]) -> None:
        """Have packets of this node carry these source addresses (packed) along learned routes."""
        self.installer.prefer_sources(addresses)
        self._flush_routes()

    def route_lost(self, route: Route) -> None:
        """Put back a route that somebody else removed."""
        if not self.stopping and self.routes.lost(route):
            self._put_back_soon(route)

    def route_set(self, route: Route) -> None:
        """Put back a route of ours that somebody else set another in the place of."""
        if not self.stopping and (held := self.routes.replaced(route)) is not None:
            self._put_back_soon(held)

    def _put_back_soon(self, route: Route) -> None:
        log.debug("route-removed-by-another prefix=%s", route.prefix)
        # Not now: the news that its interface went too may stand behind it in the same batch.
        if not self._repairs:
            self._loop.call_soon(self._put_back)
        self._repairs.append(route)

    def _put_back(self) -> None:
        lost, self._repairs = self._repairs, []
        log.warning("routes-removed-by-another count=%d: set again where still wanted", len(lost))
        # With an interface the kernel itself takes its routes.
        links = self._mirror.links
        taken = sum(not r.interface or (r.interface in links and links[r.interface].up) for r in lost)
        if taken:
            text = f"{taken} of our routes were removed, and are set again"
            self.note("routes-removed-by-another", text, "another program did it", count=taken)
        self.pump()

    def places(self) -> list[Place]:
        """Return the tunnels on which a neighbour was heard, each with the one that was heard last."""
        interfaces, neighbours = self.speaker.links(self._loop.time())
        ours = {view.name: view for view in interfaces if view.kind == "tunnel"}
        latest = {n.interface: n for n in sorted(neighbours, key=lambda view: -view.last_heard)}
        known = ours.keys() & latest.keys() & self._indices.keys()
        return [
            Place(
                name,
                self._indices[name],
                ours[name].link_local,
                latest[name].address,
                ours[name].hello_interval,
            )
            for name in sorted(known)
        ]

    def fail_link(self, interface: str, why: str, one_way: bool = False) -> None:
        """Use an interface no longer: the link behind it was found dead, perhaps although packets come (`one_way`)."""
        self.speaker.fail_link(interface, why, self._loop.time(), one_way)
        self.pump()

    def restore_link(self, interface: str) -> None:
        """Use an interface again that was found to be dead."""
        self.speaker.restore_link(interface, self._loop.time())
        self.pump()

    def ask(self, interface: str) -> None:
        """Have the neighbours on an interface acknowledge that they hear us."""
        self.speaker.ask(interface, self._loop.time())
        self.pump()

    def note_traffic(self, interfaces: list[str]) -> None:
        """Measure delays more often while packets of users flow through these interfaces."""
        for name in interfaces:
            self.speaker.note_traffic(name, self._loop.time())
        if interfaces:
            self.pump()

    def pump(self, began: float | None = None) -> None:
        """Do what the speaker asks: install, remember, send, and wake at its deadline.

        `began` is when the loop was held up for it; None: just now.
        """
        if not self.stopping:
            began = self._loop.time() if began is None else began
            self._guarded(self._exchange)
            now = self._loop.time()
            self.note_work(now - began, now)
            self._wake_at(self.speaker.next_deadline())

    def _exchange(self) -> None:
        is_refused = False
        for number in range(PUMP_ROUNDS):
            events = self.speaker.events()
            if number and not (events or is_refused):
                return  # nobody who heeded the former ones has changed anything
            now = self._loop.time()
            # Whatever becomes of the disk, the kernel gets what was selected.
            self._guarded(lambda: self._seqnos.follow(events))  # noqa: B023 - called at once
            self.installer.handle(events, now)
            self._log.write(events, now)
            # Nothing is announced before the kernel has what it describes; where it fails, that is withheld.
            is_refused = self._flush_routes()
            if events:
                self._tell(events)
            if is_refused:
                # What was chosen instead has to be there first too; Hellos need not wait for that.
                self.speaker.withhold(True, self._loop.time())
            # The kernel took its time, and Hellos say when they leave.
            datagrams = self.speaker.datagrams_to_send(self._loop.time())
            self._store.remember(self.speaker.sources_to_store())
            # Before the Hellos: what a neighbour had said must not come to life again by a Hello that it says now.
            self._store.remember_routes(self.speaker.routes_to_store())
            self._store.remember_hellos(*self.speaker.hellos_to_store())
            self._keeper.note()
            for datagram in datagrams:
                self.socket.send(datagram)
        if is_refused:
            self._loop.call_soon(self.pump)

    def _tell(self, events: list[Event]) -> None:
        for listener in self.listeners:
            self._guarded(lambda: listener(events))  # noqa: B023 - called at once

    def _handle(self, datagram: Datagram, now: float) -> None:
        self._guarded(lambda: self.speaker.receive_datagram(datagram, now))

    def _note(self, event: str, text: str, cause: str | None = None, **fields: Any) -> None:
        self.note(event, text, cause, **fields)

    def _share(self, datagram: Datagram) -> Hashable:
        """Return whose share of the time it is: on a tunnel that of all addresses, on a LAN that of all strangers."""
        name, source = datagram.interface, datagram.source[0]
        running = self._running.get(name)
        is_lan = running is not None and not running[1].point_to_point
        return (name, source) if is_lan and self.speaker.knows(name, source) else name

    def _wake_at(self, deadline: float | None) -> None:
        now = self._loop.time()
        # Never at once again: were a deadline not met by its handling, others would still get the loop.
        when = math.inf if deadline is None else max(deadline, now + SHORTEST_WAIT)
        if self._timer is not None:
            # One that is due is never put off, or a socket that always has more to read would keep the Hellos waiting
            # for ever; one that would come too early would wake a node at rest for nothing.
            planned = self._timer.when()
            if planned <= now or (deadline is not None and deadline <= planned <= when):
                return
            self._timer.cancel()
        self._timer = None if deadline is None else self._loop.call_at(when, self._wake)

    def _wake(self) -> None:
        self._timer = None
        now = self._loop.time()
        self._guarded(lambda: self.speaker.handle_deadline(now, self._reader.heard(now)))
        self.pump(now)

    def _guarded(self, action: Callable[[], None]) -> None:
        """Do something; a mistake of ours in it is logged and counted, and the node keeps routing."""
        try:
            action()
        except Exception:
            log.exception("internal-error")
            self.counters["internal_error"] += 1

    def _flush_routes(self) -> bool:
        """Bring what is wanted into the kernel; return whether it refused some, so that the speaker chose anew."""
        return self._flusher.flush(self.note) and self.installer.reconsider(self._loop.time())

    def _run_interface(
        self, name: str, index: int, parameters: InterfaceParameters, link_local: bytes, now: float
    ) -> None:
        running = self._running.get(name)
        if running == (index, parameters, link_local):
            return
        if running is not None and running[0] != index:
            self._drop_interface(name, "another interface has its name", now)
            running = None
        self.socket.join(name, index)
        if running is None:
            self.speaker.add_interface(name, parameters, link_local, now)
            self.note("interface-up", f"Babel runs on {name}", "it is up and has an address", interface=name)
        else:
            self.speaker.set_interface(name, parameters, link_local, now)
        self._running[name] = (index, parameters, link_local)
        self._indices[name] = index

    def _outlasts(self, name: str, link: Link) -> bool:
        """Return whether an interface that lacks its carrier keeps its neighbours: a data plane is soon back."""
        running = self._running.get(name)
        is_same = running is not None and running[0] == link.index
        return is_same and link.lacks_carrier and self.give_up(name, "its interface has no carrier")

    def _drop_interface(self, name: str, why: str, now: float) -> None:
        if self._running.pop(name, None) is not None:
            self.note("interface-down", f"Babel runs on {name} no more", why, interface=name)
            del self._indices[name]
            self.speaker.remove_interface(name, now)
            self.socket.leave(name)


def _why_not(link: Link | None) -> str:
    """Return why Babel cannot run on an interface."""
    if link is None:
        return "the interface is gone"
    return "it has no link-local address" if link.up else "it is down"
