"""Our routes in the kernel: what we want, what it has, and the batches that bring the second to the first."""

import errno
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from operator import itemgetter

from babelwg.babel.wire.prefix import Prefix
from babelwg.linux.errors import KernelError
from babelwg.linux.fibplan import Operation, RemoveRoute, adoptable, plan_routes, requests_of
from babelwg.linux.halves import Halves
from babelwg.linux.look import Seen
from babelwg.linux.losses import Losses
from babelwg.linux.netlink import Refusal, RequestSocket
from babelwg.linux.refusals import Refusals
from babelwg.linux.routes import (
    PRIORITY,
    PROTOCOL_BABEL,
    TABLE_MAIN,
    UNICAST,
    UNREACHABLE,
    Place,
    Route,
    dump_routes,
)
from babelwg.linux.sourceroutes import SourceRoutes, differing
from babelwg.linux.sourcerules import SourceRules
from babelwg.linux.sourcetables import SOURCE_TABLES


class KernelRoutes:
    """The routes of the kernel that are ours, in our table, in those of source prefixes and in those of filters.

    `learned` come from the speaker, `guards` are the throw routes (and copies) that let the tables behind ours keep
    what is theirs; a guard wins over a learned route of the same place. Changes gather until `flush()`.
    """

    def __init__(
        self,
        requests: RequestSocket,
        table: int,
        priority: int | None = None,
        subtrees: bool = True,
        shared: bool = False,
    ) -> None:
        """Write into `table`, `shared` with others as main is, with a priority; by default 0 in main, else our own.

        Without `subtrees`, IPv6 source-specific routes have tables of their own as those of IPv4 do.
        """
        self.table = table
        self.shared = shared or table == TABLE_MAIN
        self.priority = priority if priority is not None else 0 if table == TABLE_MAIN else PRIORITY
        self._sourced = SourceRoutes(table, subtrees)
        self.sources = self._sourced.tables
        self.learned: dict[Prefix, Route] = {}
        self.guards: dict[Place, Route] = {}
        self.installed: dict[Place, Route] = {}
        self.adopted: set[Place] = set()
        kinds = ("set", "removed", "refused", "postponed", "repaired")
        self.counters = {f"route_{kind}": 0 for kind in kinds}
        self.refusals = Refusals(self.counters)
        self.refused = self.refusals.reasons
        self.losses = Losses()  # what was noted there is heeded before anything else
        self._requests = requests
        self._rules = SourceRules(requests, self.sources, self.refusals)
        self._halves = Halves()
        self._changed: set[Place] = set()
        self._by_place: dict[Place, Route] = {}
        # Of batches whose answers were lost: the kernel may have them or not.
        self._unanswered: set[Route] = set()
        self.right: bytes | None = None  # the mark of a look that showed all as it is wanted, and still is

    def learn(
        self,
        prefix: Prefix,
        next_hop: bytes,
        interface: int,
        source: bytes,
        table: int | None = None,
        metric: int = 0,
    ) -> bool:
        """Want packets for a prefix sent to a next hop (packed) on an interface (index), in `table` or our own.

        `metric` is added to the priority. Returns whether there is a place for it; where there is none it is refused.
        """
        place = self._sourced.place(prefix, table)
        if isinstance(place, str):
            self.refuse(prefix, place)
            return False
        priority = self._priority(prefix, place[0], metric)
        self._want(prefix, Route(place[1], place[0], UNICAST, next_hop, interface, source, priority))
        if self.refused and self.installed.get(place) == self.learned[prefix]:
            self.refusals.settle(prefix)
        return True

    def refuse(self, prefix: Prefix, reason: str) -> None:
        """Take note that a learned route must not be written, and want nothing for it."""
        self.forget(prefix)
        self.refusals.note(prefix, Refusal(0, reason))

    def retract(self, prefix: Prefix) -> None:
        """Want packets for a prefix refused, never sent along a shorter one (RFC 8966, section 3.5.4)."""
        before = self.learned.get(prefix)
        place = before.place if before else self._sourced.place(prefix, None)
        if not isinstance(place, str):
            priority = self._priority(prefix, place[0])
            self._want(prefix, Route(place[1], place[0], UNREACHABLE, priority=priority))

    def forget(self, prefix: Prefix) -> None:
        """Want nothing for a prefix."""
        self.refusals.end(prefix)
        self._want(prefix, None)

    def leave(self, prefix: Prefix) -> None:
        """Want nothing for a prefix whose way was refused; why stays to be seen."""
        self._want(prefix, None)

    def guard(
        self, guards: Iterable[Route], main: Iterable[Prefix] = (), own: Mapping[Prefix, Route] | None = None
    ) -> None:
        """Replace the throw routes and copies of our table; `main` are the operator's destinations.

        `own` has main's route for each source-specific prefix that we announce and that needs a table of its own.
        """
        kept = {route.place: route for route in guards if not self._sourced.needs_table(route.prefix)}
        self._changed |= differing(self.guards, kept)
        self.guards = kept
        self._halves.guard(kept)
        self._changed |= self._sourced.guard(main, own or {})

    def take_failed(self) -> dict[Prefix, Refusal]:
        """Return the prefixes whose ways the kernel refused since the last call, and why; the former ones stay."""
        return self.refusals.take_failed()

    def take_freed(self) -> bool:
        """Return whether a source prefix has given its table back, so that another may have it, once each time."""
        freed, self._sourced.freed = self._sourced.freed, False
        return freed

    def wanted(self, place: Place) -> Route | None:
        """Return what the kernel should hold at a place."""
        route = self.guards.get(place) or self._sourced.own.get(place) or self._by_place.get(place)
        if route is not None:
            return route
        route = self._sourced.throws.get(place) or self._halves.routes.get(place)
        return self.installed.get(place) if route is None and place in self.adopted else route

    def all_wanted(self) -> dict[Place, Route]:
        """Return all that the kernel should hold, by place."""
        installed = self.installed
        # Of the same place the last counts, as `wanted` looks for it first.
        return {
            **{place: installed[place] for place in self.adopted if place in installed},
            **self._halves.routes,
            **self._sourced.throws,
            **self._by_place,
            **self._sourced.own,
            **self.guards,
        }

    def is_installed(self, prefix: Prefix) -> bool:
        """Return whether the kernel holds the way of a learned prefix."""
        return self.tables_of((prefix,))[0] is not None

    def tables_of(self, prefixes: Iterable[Prefix]) -> list[int | None]:
        """Return the table in which the kernel holds the way of each learned prefix, None where it does not."""
        learned, installed = self.learned.get, self.installed.get
        return [
            r.table if r is not None and r.kind == UNICAST and installed((r.table, r.prefix)) == r else None
            for r in map(learned, prefixes)
        ]

    def flush(self, is_patient: bool = True) -> list[tuple[Prefix, Refusal]]:
        """Bring the changed prefixes into the kernel in one batch; return what it refused.

        What fails in passing waits for another attempt, or counts as refused where nobody is patient.
        Raises KernelError when the socket fails; the changes then wait for another attempt.
        """
        self.settle_losses()
        self.refusals.begin(is_patient)
        if not (self._changed or self._sourced.is_stale or self.sources.tables or self._rules.rules):
            return []  # as after most datagrams
        if self._unanswered:
            self._look_again()
        self._changed |= self._sourced.plan(self.learned, self._by_place, self.adopted)
        self._changed |= self._halves.plan(
            self._changed, lambda place: self.guards.get(place) or self._by_place.get(place)
        )
        changed, self._changed = self._changed, set()
        plan = plan_routes(
            {place: route for place in changed if (route := self.wanted(place)) is not None},
            {place: self.installed[place] for place in changed if place in self.installed},
        )
        try:
            refusals = self._apply(plan) if plan else []
        except KernelError:
            self._changed |= changed
            self._unanswered |= {operation.route for operation in plan}
            raise
        # A rule comes after the routes that it leads to, and after the throws that keep it destination-first.
        if not self._rules.are_right:
            refusals += self._rules.apply(self.learned)
        return refusals

    def adopt(self, interfaces: Iterable[int], tables: Iterable[int] = ()) -> int:
        """Take over our routes of an earlier life until `release()`; return how many.

        In tables of our own these are all routes of our protocol; in others those over the given interfaces, and in
        `tables` what is held unreachable too, since nobody else writes such routes with Babel's number.
        """
        self.right = None
        self._rules.adopt()
        self._sourced.outdate()
        there = dump_routes(self._requests, 0, only=PROTOCOL_BABEL)
        self.installed = adoptable(there, self.is_own_table, set(interfaces), {self.table, *tables})
        self.losses.begin(self.installed.values())
        self.adopted = set(self.installed)
        return len(self.adopted)

    def release(self) -> int:
        """Remove the adopted routes that nobody confirmed; return how many.

        Raises KernelError when the socket fails; they are adopted as before then.
        """
        adopted, self.adopted = self.adopted, set()
        stale = {place for place in adopted if self.wanted(place) is None}
        self._changed |= stale
        self._sourced.outdate()
        try:
            self.flush()
        except KernelError:
            self.adopted = adopted
            raise
        return len(stale)

    def resync(self, seen: Seen | None = None) -> int:
        """Compare with the kernel and repair what differs; return how many operations that took.

        `seen` is what all our tables held a moment ago, looked at with `right` as known: if that is as wanted now,
        nobody waits for another look.
        """
        if seen is not None:
            if seen.routes is None:
                self._rules.apply(self.learned)
                return 0
            if self._ours(seen.routes) == self.installed == self.all_wanted():
                self.right = seen.mark
                self._rules.apply(self.learned)
                return 0
        self._look_again()
        before = self.counters["route_set"] + self.counters["route_removed"]
        self.flush()
        repaired = self.counters["route_set"] + self.counters["route_removed"] - before
        self.counters["route_repaired"] += repaired
        self._rules.apply(self.learned)
        return repaired

    def _look_again(self) -> None:
        """Learn what the kernel has of ours, all of which is compared with what is wanted at the next flush."""
        tables = sorted({*self.tables(), *(table for table, _ in self._changed)})
        self.installed = self._ours(
            r for table in tables for r in dump_routes(self._requests, table, only=PROTOCOL_BABEL)
        )
        self.losses.begin(self.installed.values())
        self._changed.update(self.all_wanted(), self.installed)
        self._unanswered.clear()

    def _ours(self, routes: Iterable[Route]) -> dict[Place, Route]:
        """Return those of some routes of the kernel that are ours, by place."""
        mine, tried = self.installed, self._unanswered
        return {
            route.place: route
            for route in routes
            if route.protocol == PROTOCOL_BABEL
            and (self.is_own_table(route.table) or route.place in mine or route in tried)
        }

    def tables(self) -> set[int]:
        """Return the tables in which we have or want routes."""
        held = map(itemgetter(0), chain(self.installed, self._by_place))
        return {self.table, *self.sources.tables.values(), *held}

    def lost(self, route: Route) -> bool:
        """Take note that the kernel dropped a route; return whether somebody else took one that we still want."""
        self.settle_losses()  # what went with an address was not taken by anybody
        if self.installed.get(route.place) != route:
            return False
        self.right = None
        del self.installed[route.place]
        if route.table in SOURCE_TABLES and route.place in self.adopted:
            self._sourced.outdate()
        self._touch(route.place)
        return self.wanted(route.place) is not None

    def replaced(self, route: Route) -> Route | None:
        """Take note that somebody else set a route; return ours that it took the place of, if we still want one."""
        held = self.installed.get(route.place)
        if held is None or held == route or held.priority != route.priority:
            return None
        return held if self.lost(held) else None

    def prefer_sources(self, source_of: Callable[[Prefix], bytes]) -> None:
        """Have all learned routes prefer the source address (packed) that this function gives for their prefix."""
        for prefix, route in list(self.learned.items()):
            source = source_of(prefix) if route.kind == UNICAST else route.source
            if route.source != source:
                self._want(prefix, route._replace(source=source))

    def interface_lost(self, interface: int) -> None:
        """Take note that an interface (index) went down or away, and the kernel's routes over it with it."""
        self.right = None
        for place in [p for p, route in self.installed.items() if route.interface == interface]:
            del self.installed[place]
            self._changed.add(place)

    def settle_losses(self) -> None:
        """Take note of what became of routes with the addresses of `losses`."""
        for place, left in (self.losses.take(self.installed) if self.losses else {}).items():
            self.right = None
            self._changed.add(place)
            del self.installed[place]
            if left is not None:
                self.installed[place] = left

    def retry(self) -> None:
        """Try the refused routes again at the next flush: an interface or address they need may be there now."""
        self._changed |= {self.learned[prefix].place for prefix in self.refused if prefix in self.learned}

    def withdraw(self) -> None:
        """Remove all that is ours."""
        for held in (self.learned, self._by_place, self.guards, self.adopted):
            held.clear()
        self._halves.clear()
        self._sourced.clear()
        self._changed |= set(self.installed)
        self.flush()

    def _want(self, prefix: Prefix, route: Route | None) -> None:
        before = self.learned.pop(prefix, None)
        left = before.place if before else None
        if left is not None:
            self._by_place.pop(left, None)
            self._halves.count(left, -1)
            self._touch(left)
        taken = route.place if route else None
        if route is not None and taken is not None:
            self._halves.count(taken, 1)
            self.learned[prefix] = self._by_place[taken] = route
            self._touch(taken)
        if left != taken:
            self._sourced.moved(prefix)

    def is_own_table(self, table: int) -> bool:
        """Return whether all routes of Babel's protocol in a table are ours."""
        return (table == self.table and not self.shared) or table in SOURCE_TABLES

    def _priority(self, prefix: Prefix, table: int, metric: int = 0) -> int:
        if table in SOURCE_TABLES:
            return PRIORITY
        # The kernel turns an IPv6 priority of 0 into 1024; saying so keeps our value equal to what it reports.
        return self.priority + metric or (PRIORITY if prefix.family == 6 else 0)

    def _touch(self, place: Place) -> None:
        self.adopted.discard(place)
        self._changed.add(place)

    def _apply(self, plan: list[Operation]) -> list[tuple[Prefix, Refusal]]:
        self.right = None
        answers = self._requests.request(requests_of(plan, self._is_exclusive))
        refusals = []
        for operation, answer in zip(plan, answers, strict=True):
            if answer.errno and self.refusals.postpone(answer):
                self._changed.add(operation.route.place)
            elif not self._note(operation, answer):
                refusals.append((self.sources.named(operation.route), answer))
        return refusals

    def _is_exclusive(self, route: Route) -> bool:
        """Return whether a route may be somebody else's that is there already."""
        return not self.is_own_table(route.table) and route.place not in self.installed

    def _note(self, operation: Operation, answer: Refusal) -> bool:
        """Book the kernel's answer to one operation; return whether the kernel now is as wanted."""
        route = operation.route
        place = route.place
        if isinstance(operation, RemoveRoute):
            if self.installed.get(place) == route:
                del self.installed[place]
            self.counters["route_removed"] += 1
            return answer.errno in (0, errno.ESRCH, errno.ENOENT, errno.ENODEV)
        if answer.errno == 0:
            self.installed[place] = route
            self.losses.installed(route)
            self.counters["route_set"] += 1
            if self.refused and route.kind != UNREACHABLE:
                self.refusals.end(self.sources.named(route))
            return True
        prefix = self.sources.named(route)
        is_way = self.learned.get(prefix) == route and route.kind == UNICAST
        return not self.refusals.note(prefix, answer, is_way)
