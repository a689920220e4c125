"""From a Babel datagram to a kernel route: one speaker, one socket, one timer, one pump."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address

from babelwg.babel.events import (
    Event,
    PacketDropped,
    RouteFlushed,
    RouteRetracted,
    RouteSelected,
    SeqnoIncreased,
    SeqnoRequested,
    TlvDropped,
)
from babelwg.babel.parameters import InterfaceParameters
from babelwg.babel.speaker import Speaker
from babelwg.babel.wire.prefix import Prefix, is_martian
from babelwg.config.addresses import covers, host_prefix
from babelwg.daemon.store import Store
from babelwg.linux.babelsocket import BabelSocket
from babelwg.linux.errors import KernelError
from babelwg.linux.fib import KernelRoutes
from babelwg.linux.guards import is_routed, plan_guards
from babelwg.linux.monitor import IFF_LOOPBACK, Mirror
from babelwg.linux.routes import Route

log = logging.getLogger(__name__)

# Implementation constants
RECEIVE_BATCH = 64  # datagrams before others get the loop
ADOPTION = 30.0  # seconds that routes of an earlier life wait for a neighbour to confirm them
PUMP_ROUNDS = 8
SHORTEST_WAIT = 0.0005  # seconds between two timers of the speaker
LOG_BURST, LOG_RATE = 100.0, 20.0  # lines about routes at once, and a second


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
        override: tuple[Prefix, ...] = (),
    ) -> None:
        self.speaker = speaker
        self.socket = socket
        self.routes = routes
        self.override = override
        self.sources: dict[int, bytes] = {}  # preferred source address per family
        self.wanted: dict[str, WantedInterface] = {}
        self.announced: dict[Prefix, tuple[int, str]] = {}
        self._endpoints: frozenset[bytes] = frozenset()  # of our tunnels, packed
        self.guarding = True  # whether main's destinations are kept from ours
        self.stopping = False
        self.errors: dict[str, str] = {}
        self.counters = {"internal_error": 0}
        self._mirror = mirror
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._running: dict[str, tuple[int, InterfaceParameters, bytes]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._repairs = 0
        self._copying = False
        self._unsaid = 0  # events about routes that were not logged
        self._log_allowance, self._log_counted = LOG_BURST, self._loop.time()
        self._refused: frozenset[Prefix] = frozenset()
        self._loop.add_reader(socket.fileno(), self._receive)

    def close(self) -> None:
        """Stop reading and sending; the kernel's routes stay."""
        self.stopping = True
        self._loop.remove_reader(self.socket.fileno())
        if self._timer is not None:
            self._timer.cancel()
        self.socket.close()

    def want(self, name: str, interface: WantedInterface | None) -> None:
        """Run on an interface from now on, with these parameters; None: no longer."""
        if interface is None:
            self.wanted.pop(name, None)
        else:
            self.wanted[name] = interface
        self.sync_interfaces()

    def announce(self, xroutes: Mapping[Prefix, tuple[int, str]]) -> None:
        """Announce exactly these prefixes, each with a metric and a word for where it comes from."""
        now = self._loop.time()
        xroutes = {prefix: xroute for prefix, xroute in xroutes.items() if not is_martian(prefix)}
        for prefix in self.announced.keys() - xroutes.keys():
            self.speaker.withdraw(prefix, now)
            self.routes.forget(prefix)
        for prefix, (metric, origin) in xroutes.items():
            if self.announced.get(prefix) != (metric, origin):
                self.speaker.announce(prefix, metric, now)
                if origin == "announce" and not self.routes.shared:
                    # What is ours and not there must not leave again along a learned default.
                    self.routes.retract(prefix)
        self.announced = dict(xroutes)
        self.pump()

    def sync_interfaces(self) -> None:
        """Follow the kernel: run on the wanted interfaces that are up and have a link-local address."""
        now = self._loop.time()
        for name in [*self._running.keys() - self.wanted.keys()]:
            self._drop_interface(name, now)
        for name, wanted in self.wanted.items():
            link = self._mirror.link(name)
            link_local = wanted.link_local or (self._mirror.link_local(link.index) if link else None)
            if link is None or not link.up or link_local is None:
                self._drop_interface(name, now)
                continue
            ipv4 = self._mirror.ipv4(link.index)
            parameters = replace(wanted.parameters, mtu=link.mtu, ipv4=ipv4)
            try:
                self._run_interface(name, link.index, parameters, link_local, now)
                self.errors.pop(name, None)
            except KernelError as error:
                self.errors[name] = str(error)
        self.routes.retry()
        self.pump()

    def guard(self) -> None:
        """Let the operator's routes in main stand against ours."""
        if self.routes.shared or self.stopping or not self.guarding:
            return
        self._plan_guards()
        self.pump()

    def _plan_guards(self) -> None:
        # The node's own addresses on lo are found before any table of ours is asked.
        loopback = {index for index, link in self._mirror.links.items() if link.flags & IFF_LOOPBACK}
        main = [route for route in self._mirror.main.values() if route.interface not in loopback]
        # What we announce ourselves we do not learn: there main always leads.
        override = [prefix for prefix in self.override if prefix not in self.announced]
        self.routes.guard(plan_guards(main, self.routes.learned, override, self.routes.table))
        # Where main leads, packets do not follow us, so nobody shall hear that they do.
        self.speaker.refuse(frozenset(self.routes.guards), self._loop.time())
        # Only where main has IPv6 routes over an interface of Babel's do guards depend on what is learned.
        devices = {running[0] for running in self._running.values()}
        self._copying = any(r.interface in devices and is_routed(r) for r in main)

    @property
    def endpoints(self) -> frozenset[bytes]:
        """The addresses (packed) to which our tunnels send; in a shared table no learned route may cover one."""
        return self._endpoints

    @endpoints.setter
    def endpoints(self, endpoints: frozenset[bytes]) -> None:
        if endpoints == self._endpoints:
            return
        self._endpoints = endpoints
        if self.routes.shared:
            known = {*self.routes.learned, *self.routes.refused}
            self._refused = frozenset(prefix for prefix in known if self._covered_endpoint(prefix))
            self.speaker.refuse(self._refused, self._loop.time())
            self.pump()

    def prefer_sources(self, sources: dict[int, bytes]) -> None:
        """Have packets of this node carry these source addresses (packed, by family) along learned routes."""
        if sources != self.sources:
            self.sources = sources
            self.routes.prefer_sources(sources)
            self._flush_routes()

    def route_lost(self, route: Route) -> None:
        """Put back a route that somebody else removed."""
        if not self.stopping and self.routes.lost(route):
            log.debug("route-removed-by-another prefix=%s", route.prefix)
            # Not now: the news that its interface went too may stand behind it in the same batch.
            if not self._repairs:
                self._loop.call_soon(self._put_back)
            self._repairs += 1

    def _put_back(self) -> None:
        log.warning("routes-removed-by-another count=%d: set again where still wanted", self._repairs)
        self._repairs = 0
        self.pump()

    def pump(self) -> None:
        """Do what the speaker asks: install, remember, send, and wake at its deadline."""
        if not self.stopping:
            self._guarded(self._exchange)
            deadline = self.speaker.next_deadline()
            # Never at once again: were a deadline not met by its handling, others would still get the loop.
            self._wake_at(None if deadline is None else max(deadline, self._loop.time() + SHORTEST_WAIT))

    def _exchange(self) -> None:
        for _ in range(PUMP_ROUNDS):
            now = self._loop.time()
            events = self.speaker.events()
            for event in events:
                self._handle(event)
            if self._copying and any(isinstance(event, RouteSelected | RouteFlushed) for event in events):
                self._plan_guards()
            self._log(events)
            # Nothing is announced before the kernel has what it describes.
            self._flush_routes()
            datagrams = self.speaker.datagrams_to_send(now)
            self._store.remember(self.speaker.sources_to_store())
            for datagram in datagrams:
                self.socket.send(datagram)
            if not events and not datagrams:
                break

    def _receive(self) -> None:
        now = self._loop.time()
        for datagram in self.socket.receive(now, RECEIVE_BATCH):
            self._guarded(lambda: self.speaker.receive_datagram(datagram, now))  # noqa: B023 - called at once
        self.pump()

    def _wake_at(self, deadline: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._guarded(lambda: self.speaker.handle_deadline(self._loop.time()))
        self.pump()

    def _guarded(self, action: Callable[[], None]) -> None:
        """Do something; a mistake of ours in it is logged and counted, and the node keeps routing."""
        try:
            action()
        except Exception:
            log.exception("internal-error")
            self.counters["internal_error"] += 1

    def _log(self, events: list[Event]) -> None:
        """Write each event, or only the number of those about routes when too many come at once."""
        now = self._loop.time()
        grown = self._log_allowance + (now - self._log_counted) * LOG_RATE
        self._log_allowance, self._log_counted = min(LOG_BURST, grown), now
        for event in events:
            about_routes = isinstance(
                event, RouteSelected | RouteRetracted | RouteFlushed | SeqnoRequested | SeqnoIncreased
            )
            if about_routes and self._log_allowance < 1:
                self._unsaid += 1
                log.debug("%s", event)
            elif isinstance(event, PacketDropped | TlvDropped):
                # What strangers can cause at will is counted, and told only to those who look closely.
                log.debug("%s", event)
            else:
                self._log_allowance -= about_routes
                log.info("%s", event)
        if self._unsaid and self._log_allowance > LOG_BURST / 2:
            log.info("events-not-logged count=%d: --log-level debug shows them", self._unsaid)
            self._unsaid = 0

    def _handle(self, event: Event) -> None:
        if isinstance(event, RouteSelected):
            self._select(event)
        elif isinstance(event, RouteRetracted):
            # Holding a prefix unreachable that covers an endpoint would cut the tunnel off.
            if self._covered_endpoint(event.prefix) is None:
                self.routes.retract(event.prefix)
        elif isinstance(event, RouteFlushed):
            if self._covered_endpoint(event.prefix) is not None:
                return
            if self.announced.get(event.prefix, (0, ""))[1] == "announce" and not self.routes.shared:
                self.routes.retract(event.prefix)
            else:
                self.routes.forget(event.prefix)
        elif isinstance(event, SeqnoIncreased):
            self._store.reserve(event.seqno)

    def _select(self, event: RouteSelected) -> None:
        running = self._running.get(event.interface)
        if running is None:
            return
        endpoint = self._covered_endpoint(event.prefix)
        if endpoint is not None:
            # Without a table of our own, the mark cannot keep a tunnel's packets out of the tunnel.
            self.routes.refuse(event.prefix, f"it covers the endpoint {ip_address(endpoint)} of a tunnel")
            self._refused |= {event.prefix}
            self.speaker.refuse(self._refused, self._loop.time())
            return
        source = self.sources.get(event.prefix.family, b"")
        self.routes.learn(event.prefix, event.next_hop, running[0], source)

    def _covered_endpoint(self, prefix: Prefix) -> bytes | None:
        """Return an endpoint of our tunnels that a prefix of the shared table covers."""
        if not self.routes.shared:
            return None
        return next((a for a in self._endpoints if covers(prefix, host_prefix(a))), None)

    def _flush_routes(self) -> None:
        for prefix, refusal in self.routes.flush():
            log.error("route-refused prefix=%s errno=%d %s", prefix, refusal.errno, refusal.detail)

    def _run_interface(
        self, name: str, index: int, parameters: InterfaceParameters, link_local: bytes, now: float
    ) -> None:
        running = self._running.get(name)
        if running == (index, parameters, link_local):
            return
        if running is not None and running[0] != index:
            self._drop_interface(name, now)  # another interface by the same name
            running = None
        self.socket.join(name, index)
        if running is None:
            self.speaker.add_interface(name, parameters, link_local, now)
        else:
            self.speaker.set_interface(name, parameters, link_local, now)
        self._running[name] = (index, parameters, link_local)

    def _drop_interface(self, name: str, now: float) -> None:
        if self._running.pop(name, None) is not None:
            self.speaker.remove_interface(name, now)
            self.socket.leave(name)
