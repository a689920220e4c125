"""Which selected routes reach the kernel, in which table and with which source address; which must not, and why."""

import dataclasses
import errno
import os
from collections.abc import Collection, Iterable, Mapping
from ipaddress import ip_address
from typing import NamedTuple

from babelwg.babel.events import Event, RouteFlushed, RouteRetracted, RouteSelected
from babelwg.babel.policy import AllowAll, Announcement, InstallResult, Policy
from babelwg.babel.speaker import Speaker
from babelwg.babel.wire.prefix import Prefix
from babelwg.config.addresses import covers, host_prefix, serves
from babelwg.linux.fib import KernelRoutes
from babelwg.linux.guards import guards_of, is_operators, is_routed, plan_guards, plan_own_sources
from babelwg.linux.mirror import IFF_LOOPBACK, InterfaceAddress, Mirror
from babelwg.linux.refusals import PASSING
from babelwg.linux.routes import TABLE_MAIN, UNICAST, Route

ANYWHERE = InstallResult()
# No way would be taken there, whichever it is: another program's route is in the place, we may write none, or there is
# no memory for any.
PLACE_REFUSED = PASSING | {errno.EEXIST, errno.EPERM, errno.ENOSPC}


class Selected(NamedTuple):
    """A selected route, and what the filters say of its place in the kernel."""

    event: RouteSelected
    result: InstallResult


class RouteInstaller:
    """Writes what a speaker selects into the kernel, and tells the speaker what the kernel goes its own way for."""

    def __init__(
        self,
        speaker: Speaker,
        routes: KernelRoutes,
        mirror: Mirror,
        running: Mapping[str, int],
    ) -> None:
        """Install over the interfaces that `running` has a number for."""
        self.override: tuple[Prefix, ...] = ()
        self.reflecting = False  # whether the kernel's priorities show the metrics
        self.guarding = True  # whether main's destinations are kept from ours
        self._speaker = speaker
        self._routes = routes
        self._mirror = mirror
        self._running = running
        self._policy: Policy = AllowAll()
        self._addresses: tuple[bytes, ...] = ()
        self._usable: tuple[bytes, ...] = ()  # those of them that the kernel has
        self._has_lost_own = False  # one of these, since losses were settled
        self._announced: Mapping[Prefix, str] = {}
        self._endpoints: frozenset[bytes] = frozenset()
        self._selected: dict[Prefix, Selected] = {}
        self.guarded: frozenset[Prefix] = frozenset()  # main leads there
        self._unplaced: set[Prefix] = set()  # no table, or an endpoint of ours
        self._impossible: frozenset[Prefix] = frozenset()  # of them, whose places the kernel refused
        self._routed: list[Route] = []  # those of main that a copy may have to guard

    def handle(self, events: Iterable[Event], now: float) -> None:
        """Do in the kernel what events of the speaker say, at the next flush."""
        moved, unplaced = False, len(self._unplaced)
        for event in events:
            if isinstance(event, RouteSelected):
                moved = True
                self._select(event)
            elif isinstance(event, RouteRetracted):
                moved = True
                self._selected.pop(event.prefix, None)
                # Holding a prefix unreachable that covers an endpoint would cut the tunnel off.
                if self._covered_endpoint(event.prefix) is None:
                    self._routes.retract(event.prefix)
            elif isinstance(event, RouteFlushed):
                moved = True
                self._flush(event.prefix)
        if moved and not self._are_copies_right():
            self._plan_guards(now)
        elif len(self._unplaced) != unplaced:
            self._tell(now)

    def adopted_ways(self) -> frozenset[Prefix]:
        """Return the prefixes that the kernel still forwards as an earlier life had it."""
        routes = self._routes
        held = (routes.installed[place] for place in routes.adopted if place in routes.installed)
        return frozenset(routes.sources.named(route) for route in held if route.kind == UNICAST)

    def set_announced(self, announced: Mapping[Prefix, str], now: float) -> None:
        """Take note of what this node announces, each with a word for where it comes from."""
        before, self._announced = self._announced, dict(announced)
        for prefix in before.keys() - announced.keys():
            self._routes.forget(prefix)
        for prefix, origin in announced.items():
            if before.get(prefix) != origin and self._is_ours_alone(prefix):
                # What is ours and not there must not leave again along a learned default.
                self._routes.retract(prefix)
        changed = {
            prefix
            for prefix in before.keys() | announced.keys()
            if before.get(prefix) != announced.get(prefix)
        }
        if any(p.source_plen or "gateway" in (before.get(p), announced.get(p)) for p in changed):
            self.guard(now)

    def guard(self, now: float) -> None:
        """Let the operator's routes in main stand against ours."""
        if self.guarding and not self._routes.shared:
            self._plan_guards(now)
        else:
            self._routed = []
            self._routes.guard((), [route.prefix for route in self._main() if is_operators(route)])

    def set_endpoints(self, endpoints: frozenset[bytes], now: float) -> bool:
        """Let no learned route of a shared table cover one of these addresses (packed); return whether they are new."""
        if endpoints == self._endpoints:
            return False
        self._endpoints = endpoints
        if TABLE_MAIN in self._routes.tables():
            self._reinstall(now)
        return True

    def set_policy(self, policy: Policy, now: float) -> None:
        """Let these filters decide what is used and how it is installed, also of what is there already."""
        self._policy = policy
        self._speaker.set_policy(policy, now)
        self._reinstall(now)

    def prefer_sources(self, addresses: tuple[bytes, ...]) -> None:
        """Have packets of this node carry one of these source addresses (packed) along learned routes."""
        self._addresses = addresses
        self.sync_sources()

    def sync_sources(self) -> None:
        """Prefer only those of our source addresses that the kernel has: it refuses routes that prefer others."""
        there = {address.address for address in self._mirror.all_addresses()}
        usable = tuple(address for address in self._addresses if address in there)
        if usable != self._usable:
            self._usable = usable
            self._routes.prefer_sources(self.source_for)

    def address_lost(self, lost: InterfaceAddress) -> None:
        """Have routes set again that the kernel drops or changes with an address, once losses are settled."""
        # What the interfaces have at this moment counts, not what they have once all news are read.
        is_last = len(lost.address) == 4 and not self._mirror.has_ipv4(lost.interface)
        is_preferred = self._routes.losses.is_preferred(lost.address)
        if is_last or is_preferred:
            is_elsewhere = is_preferred and self._mirror.has_anywhere(lost.address)
            self._routes.losses.note(lost.interface, lost.address, is_last, is_elsewhere)
        self._has_lost_own = self._has_lost_own or lost.address in self._usable

    def settle_losses(self) -> None:
        """Look through all routes, once, for what went with the addresses that were lost."""
        self._routes.settle_losses()
        if self._has_lost_own:
            self._has_lost_own = False
            self.sync_sources()

    def reconsider(self, now: float) -> bool:
        """Keep the speaker from what the kernel refused, and let it try what had no place when one has become free.

        Returns whether the kernel refused anything: it has to follow what is selected now before neighbours hear of it.
        """
        failed = self._routes.take_failed()
        if taken := {prefix for prefix, refusal in failed.items() if refusal.errno in PLACE_REFUSED}:
            self._impossible |= taken
            self._unplaced |= taken
            self._tell(now)
        ways = [
            (selected.event, refusal.detail or os.strerror(refusal.errno).lower())
            for prefix, refusal in failed.items()
            if prefix not in taken and (selected := self._selected.get(prefix)) is not None
        ]
        self._speaker.refuse_ways(ways, now)
        if self._routes.take_freed() and self._unplaced:
            kept = (p for p in self._unplaced if p in self._impossible or self._covered_endpoint(p))
            self._unplaced = set(kept)
            self._tell(now)
        return bool(failed)

    def retry(self, now: float) -> None:
        """Let the speaker try again what the kernel refused: an interface or an address may be there now."""
        if self._impossible:
            self._unplaced -= self._impossible
            self._impossible = frozenset()
            self._tell(now)
        self._speaker.allow_ways(now)

    def tidy(self, now: float) -> None:
        """Do what is due now and then: try again, forget what nobody knows any more, and show the metrics of all."""
        self.retry(now)
        self._prune(self._speaker.learned_prefixes())
        self._reflect()

    def _reflect(self) -> None:
        """Bring the kernel's priorities to the metrics of the selected routes, where they shall show them."""
        if not self.reflecting:
            return
        metrics = self._speaker.selected_metrics()
        for prefix, (event, _) in list(self._selected.items()):
            if prefix in metrics and prefix not in self._unplaced and metrics[prefix] != event.metric:
                self._select(dataclasses.replace(event, metric=metrics[prefix]))

    def _prune(self, known: Collection[Prefix]) -> None:
        """Forget what was not used and is known of no more, so that nobody can make us remember ever more."""
        gone = [prefix for prefix in self._unplaced if prefix not in known]
        routes = self._routes
        gone += [prefix for prefix in routes.refused if prefix not in known and prefix not in routes.learned]
        self._unplaced.difference_update(gone)
        self._impossible = self._impossible.difference(gone)
        for prefix in gone:
            routes.forget(prefix)

    def source_for(self, prefix: Prefix) -> bytes:
        """Return the source address (packed) for a prefix: one of ours that its source prefix holds; b"" for none."""
        selected = self._selected.get(prefix)
        if selected and selected.result.preferred_source:
            return selected.result.preferred_source
        if not self._usable:
            return b""
        octets = 4 if prefix.family == 4 else 16
        own = (address for address in self._usable if len(address) == octets)
        return next((a for a in own if serves(prefix, prefix.network, a)), b"")

    def _reinstall(self, now: float) -> None:
        """Decide anew for every selected route, and let the speaker try again what had no place."""
        self._unplaced, self._impossible = set(), frozenset()
        for event, _ in list(self._selected.values()):
            self._select(event)
        self._tell(now)
        self._speaker.allow_ways(now)

    def _select(self, event: RouteSelected) -> None:
        interface = self._running.get(event.interface)
        if interface is None:
            return
        result = ANYWHERE
        if type(self._policy) is not AllowAll:
            announcement = Announcement(event.prefix, event.router_id, event.interface, event.neighbour)
            result = self._policy.install_result(announcement)
        self._selected[event.prefix] = Selected(event, result)
        endpoint = self._covered_endpoint(event.prefix)
        if endpoint is not None:
            # Without a table of our own, the mark cannot keep a tunnel's packets out of the tunnel.
            self._routes.refuse(event.prefix, f"it covers the endpoint {ip_address(endpoint)} of a tunnel")
        else:
            source = self.source_for(event.prefix)
            metric = event.metric if self.reflecting else 0
            if self._routes.learn(event.prefix, event.next_hop, interface, source, result.table, metric):
                return
        self._unplaced.add(event.prefix)

    def _flush(self, prefix: Prefix) -> None:
        self._selected.pop(prefix, None)
        if prefix in self._unplaced:
            self._routes.leave(prefix)
            return
        if self._is_ours_alone(prefix):
            self._routes.retract(prefix)
        elif prefix in self._routes.refused:
            self._routes.leave(prefix)  # why stays to be seen
        else:
            self._routes.forget(prefix)

    def _is_ours_alone(self, prefix: Prefix) -> bool:
        return self._announced.get(prefix) in ("announce", "leaf") and not self._routes.shared

    def _plan_guards(self, now: float) -> None:
        routes, main = self._routes, self._main()
        # What we announce ourselves we do not learn: there main always leads.
        destinations = {prefix.destination for prefix in self._announced}
        override = [prefix for prefix in self.override if prefix not in destinations]
        gateways = {prefix for prefix, origin in self._announced.items() if origin == "gateway"}
        guards = plan_guards(main, routes.learned, override, routes.table, self._announced, gateways)
        operators = [route.prefix for route in main if is_operators(route)]
        routes.guard(guards.values(), operators, plan_own_sources(main, self._announced, gateways))
        # Where main leads, packets do not follow us, so nobody shall hear that they do.
        self.guarded = frozenset(guards)
        self._tell(now)
        # Only the guards of main's IPv6 routes depend on what is learned, of those over interfaces of Babel's.
        known = set(override)
        self._routed = [route for route in main if is_routed(route) and route.prefix not in known]

    def _are_copies_right(self) -> bool:
        """Return whether the guards that depend on what is learned are still as they must be."""
        devices = set(self._running.values())
        if not (copied := [route for route in self._routed if route.interface in devices]):
            return True
        guards = guards_of(copied, self._routes.learned, devices, self._routes.table)
        return all(self._routes.guards.get(guard.place) == guard for _, guard in guards)

    def _main(self) -> list[Route]:
        # The node's own addresses on lo are found before any table of ours is asked.
        loopback = {index for index, link in self._mirror.links.items() if link.flags & IFF_LOOPBACK}
        return [route for route in self._mirror.main.values() if route.interface not in loopback]

    def _tell(self, now: float) -> None:
        self._speaker.refuse(self.guarded | self._unplaced, now)

    def _covered_endpoint(self, prefix: Prefix) -> bytes | None:
        """Return an endpoint of our tunnels that a prefix of the shared table covers."""
        if not self._endpoints:
            return None
        selected = self._selected.get(prefix)
        table = selected.result.table if selected else None
        if TABLE_MAIN not in (table, self._routes.table):
            return None
        return next((a for a in self._endpoints if covers(prefix, host_prefix(a))), None)
