"""Our routes in the kernel: what we want, what it has, and the batches that bring the second to the first."""

import errno
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from babelwg.babel.wire.prefix import Prefix
from babelwg.linux.netlink import Refusal, RequestSocket
from babelwg.linux.routes import (
    PRIORITY,
    PROTOCOL_BABEL,
    TABLE_MAIN,
    UNICAST,
    UNREACHABLE,
    Route,
    dump_routes,
    remove_request,
    set_request,
)


@dataclass(frozen=True, slots=True)
class SetRoute:
    """Make this route exist, replacing what we had for its prefix."""

    route: Route


@dataclass(frozen=True, slots=True)
class RemoveRoute:
    """Remove this route of ours."""

    route: Route


Operation = SetRoute | RemoveRoute


def plan_routes(desired: Mapping[Prefix, Route], actual: Mapping[Prefix, Route]) -> list[Operation]:
    """Return the operations that turn `actual` into `desired`; none when equal.

    What is set comes before what is removed, so that a packet always finds the covering route or the new one.
    """
    plan: list[Operation] = [
        SetRoute(route) for prefix, route in desired.items() if actual.get(prefix) != route
    ]
    plan += [RemoveRoute(actual[prefix]) for prefix in actual.keys() - desired.keys()]
    return plan


class KernelRoutes:
    """The routes of one table that are ours.

    `learned` come from the speaker, `guards` are the throw routes (and copies) that let the tables behind ours keep
    what is theirs; a guard wins over a learned route of the same destination. Changes gather until `flush()`.
    """

    def __init__(self, requests: RequestSocket, table: int, priority: int | None = None) -> None:
        """Write into `table` with a priority; by default 0 in main, as babeld does, else our own."""
        self.table = table
        self.shared = table == TABLE_MAIN
        self.priority = priority if priority is not None else 0 if self.shared else PRIORITY
        self.learned: dict[Prefix, Route] = {}
        self.guards: dict[Prefix, Route] = {}
        self.installed: dict[Prefix, Route] = {}
        self.adopted: set[Prefix] = set()
        self.refused: dict[Prefix, Refusal] = {}
        self.counters = {"route_set": 0, "route_removed": 0, "route_refused": 0, "route_repaired": 0}
        self._requests = requests
        self._changed: set[Prefix] = set()

    def learn(self, prefix: Prefix, next_hop: bytes, interface: int, source: bytes) -> None:
        """Want packets for a prefix sent to a next hop (packed) on an interface (index)."""
        self.learned[prefix] = Route(
            prefix, self.table, 1, next_hop, interface, source, self._priority(prefix), PROTOCOL_BABEL
        )
        self._touch(prefix)

    def refuse(self, prefix: Prefix, reason: str) -> None:
        """Take note that a learned route must not be written, and want nothing for it."""
        self.forget(prefix)
        self.refused[prefix] = Refusal(0, reason)
        self.counters["route_refused"] += 1

    def retract(self, prefix: Prefix) -> None:
        """Want packets for a prefix refused, never sent along a shorter one (RFC 8966, section 3.5.4)."""
        self.learned[prefix] = Route(prefix, self.table, UNREACHABLE, priority=self._priority(prefix))
        self._touch(prefix)

    def forget(self, prefix: Prefix) -> None:
        """Want nothing for a prefix."""
        self.learned.pop(prefix, None)
        self.refused.pop(prefix, None)
        self._touch(prefix)

    def guard(self, guards: Mapping[Prefix, Route]) -> None:
        """Replace the set of throw routes and copies."""
        for prefix in {*guards, *self.guards}:
            if guards.get(prefix) != self.guards.get(prefix):
                self._changed.add(prefix)
        self.guards = dict(guards)

    def wanted(self, prefix: Prefix) -> Route | None:
        """Return what the kernel should hold for a prefix."""
        route = self.guards.get(prefix) or self.learned.get(prefix)
        if route is None and prefix in self.adopted:
            return self.installed.get(prefix)
        return route

    def flush(self) -> list[tuple[Prefix, Refusal]]:
        """Bring the changed prefixes into the kernel in one batch; return what it refused."""
        if not self._changed:
            return []
        changed, self._changed = self._changed, set()
        wanted = {prefix: self.wanted(prefix) for prefix in changed}
        plan = plan_routes(
            {prefix: route for prefix, route in wanted.items() if route is not None},
            {prefix: self.installed[prefix] for prefix in changed if prefix in self.installed},
        )
        return self._apply(plan)

    def adopt(self, interfaces: Iterable[int] | None) -> int:
        """Take over our routes of an earlier life until `release()`; return how many.

        In our own table these are all routes of our protocol; in a shared one those over the given interfaces.
        """
        allowed = None if interfaces is None else set(interfaces)
        # What we held unreachable has no interface; nobody else writes such routes with Babel's number.
        self.installed = {
            route.prefix: route
            for route in self._dump()
            if allowed is None or route.interface in allowed or route.kind == UNREACHABLE
        }
        self.adopted = set(self.installed)
        return len(self.adopted)

    def release(self) -> int:
        """Remove the adopted routes that nobody confirmed; return how many."""
        stale = {
            prefix for prefix in self.adopted if prefix not in self.learned and prefix not in self.guards
        }
        self.adopted.clear()
        self._changed |= stale
        self.flush()
        return len(stale)

    def resync(self) -> int:
        """Compare with the kernel and repair what differs; return how many operations that took."""
        mine = self.installed
        self.installed = {
            route.prefix: route for route in self._dump() if not self.shared or route.prefix in mine
        }
        self._changed |= {*self.learned, *self.guards, *self.installed}
        before = self.counters["route_set"] + self.counters["route_removed"]
        self.flush()
        repaired = self.counters["route_set"] + self.counters["route_removed"] - before
        self.counters["route_repaired"] += repaired
        return repaired

    def lost(self, route: Route) -> bool:
        """Take note that the kernel dropped a route; return whether that was one we still want."""
        if self.installed.get(route.prefix) != route:
            return False
        del self.installed[route.prefix]
        self._touch(route.prefix)
        return self.wanted(route.prefix) is not None

    def prefer_sources(self, sources: Mapping[int, bytes]) -> None:
        """Have all learned routes prefer these source addresses (packed, by family)."""
        for prefix, route in self.learned.items():
            source = sources.get(prefix.family, b"")
            if route.kind == UNICAST and route.source != source:
                self.learned[prefix] = route._replace(source=source)
                self._changed.add(prefix)

    def interface_lost(self, interface: int) -> None:
        """Take note that an interface (index) went down or away, and the kernel's routes over it with it."""
        for prefix in [p for p, route in self.installed.items() if route.interface == interface]:
            del self.installed[prefix]
            self._changed.add(prefix)

    def retry(self) -> None:
        """Try the refused routes again at the next flush: an interface or address they need may be there now."""
        self._changed |= set(self.refused)

    def withdraw(self) -> None:
        """Remove all that is ours."""
        self.learned.clear()
        self.guards.clear()
        self.adopted.clear()
        self._changed |= set(self.installed)
        self.flush()

    def _priority(self, prefix: Prefix) -> int:
        # The kernel turns an IPv6 priority of 0 into 1024; saying so keeps our value equal to what it reports.
        return self.priority or (PRIORITY if prefix.family == 6 else 0)

    def _touch(self, prefix: Prefix) -> None:
        self.adopted.discard(prefix)
        self._changed.add(prefix)

    def _dump(self) -> list[Route]:
        return [
            route for route in dump_routes(self._requests, self.table) if route.protocol == PROTOCOL_BABEL
        ]

    def _apply(self, plan: list[Operation]) -> list[tuple[Prefix, Refusal]]:
        requests = [
            set_request(op.route, exclusive=self.shared and op.route.prefix not in self.installed)
            if isinstance(op, SetRoute)
            else remove_request(op.route)
            for op in plan
        ]
        refusals = []
        for operation, answer in zip(plan, self._requests.request(requests), strict=True):
            if not self._note(operation, answer):
                refusals.append((operation.route.prefix, answer))
        return refusals

    def _note(self, operation: Operation, answer: Refusal) -> bool:
        """Book the kernel's answer to one operation; return whether the kernel now is as wanted."""
        prefix = operation.route.prefix
        if isinstance(operation, RemoveRoute):
            self.installed.pop(prefix, None)
            self.counters["route_removed"] += 1
            return answer.errno in (0, errno.ESRCH, errno.ENOENT, errno.ENODEV)
        if answer.errno == 0:
            self.installed[prefix] = operation.route
            self.refused.pop(prefix, None)
            self.counters["route_set"] += 1
            return True
        known = self.refused.get(prefix) == answer
        self.refused[prefix] = answer
        self.counters["route_refused"] += 1
        return known
