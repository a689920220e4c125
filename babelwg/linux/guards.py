"""Throw routes that keep look-up destination-first over several tables (RFC 9079, section 4).

Our table is asked before main. A learned default in it would take what main knows better: the operator's connected and
static routes. For each of those destinations our table holds a `throw` route, which sends the look-up on.
"""

from collections.abc import Container, Iterable, Iterator, Mapping

from babelwg.babel.wire.prefix import Prefix
from babelwg.config.addresses import covers, mask
from babelwg.linux.routes import (
    BLACKHOLE,
    PRIORITY,
    PROHIBIT,
    PROTOCOL_BABEL,
    THROW,
    UNICAST,
    UNREACHABLE,
    Route,
)

LINK_LOCAL = Prefix(6, bytes.fromhex("fe80") + bytes(14), 10)
MULTICAST = Prefix(6, bytes.fromhex("ff") + bytes(15), 8)
OPERATORS_KINDS = {UNICAST, UNREACHABLE, BLACKHOLE, PROHIBIT}


def plan_guards(
    main: Iterable[Route],
    learned: Mapping[Prefix, Route],
    override: Iterable[Prefix],
    table: int,
    announced: Iterable[Prefix] = (),
    gateways: Container[Prefix] = (),
) -> dict[Prefix, Route]:
    """Return the throw routes (and copies) that `table` needs for what main holds.

    A destination in `override` gets none: there ours wins. Where our covering IPv6 route and main's use the same
    device, a copy of main's route stands instead: a socket bound to that device does not honour the throw.
    What of `announced` is source-specific leads to main where main has the destination: there its packets end. What
    `gateways` are for may also leave by a shorter route of main.
    """
    overridden = set(override)
    operators = [route for route in main if is_operators(route)]
    guards: dict[Prefix, Route] = {}
    devices = {route.interface for route in learned.values() if route.interface != 0}
    guarded = (route for route in operators if route.prefix not in overridden)
    for route, guard in guards_of(guarded, learned, devices, table):
        if guard.kind == THROW:
            guards.setdefault(route.prefix, guard)
        else:
            guards[route.prefix] = guard
    for prefix in _served(operators, announced, gateways):
        guards.setdefault(prefix, Route(prefix, table, THROW))
    return guards


def guards_of(
    operators: Iterable[Route], learned: Mapping[Prefix, Route], devices: Container[int], table: int
) -> Iterator[tuple[Route, Route]]:
    """Yield each of some routes of main with what `table` holds for it: a throw route, or a copy of it.

    `devices` are the interfaces (indices) that learned routes may use.
    """
    sourced = [prefix for prefix in learned if prefix.source_plen and prefix.family == 6]
    for route in operators:
        may_copy = route.prefix.family == 6 and route.interface in devices
        if may_copy and route.interface in _covering_devices(route.prefix, learned, sourced):
            copy = route._replace(table=table, source=b"", priority=PRIORITY, protocol=PROTOCOL_BABEL)
            yield route, copy
        else:
            yield route, Route(route.prefix, table, THROW)


def plan_own_sources(
    main: Iterable[Route], announced: Iterable[Prefix], gateways: Container[Prefix] = ()
) -> dict[Prefix, Route]:
    """Return main's route for each source-specific prefix of ours that main serves.

    Where source prefixes have tables, a throw would only lead to the table of a shorter one.
    """
    operators = [route for route in main if is_operators(route)]
    served = _served(operators, announced, gateways)
    return {prefix: route for prefix, route in served.items() if prefix.source_plen}


def _served(
    operators: Iterable[Route], announced: Iterable[Prefix], gateways: Container[Prefix]
) -> dict[Prefix, Route]:
    """Return main's best route for each prefix of ours that is source-specific or a gateway's, and that main serves."""
    ours = [prefix for prefix in announced if prefix.source_plen or prefix in gateways]
    best: dict[Prefix, Route] = {}
    for route in operators if ours else ():
        for prefix in ours:
            fits = covers(route.prefix, prefix) if prefix in gateways else route.prefix == prefix.destination
            known = best.get(prefix)
            if fits and not route.prefix.source_plen and (known is None or _rank(route) > _rank(known)):
                best[prefix] = route
    return best


def _rank(route: Route) -> tuple[int, int]:
    return route.prefix.plen, -route.priority


def is_operators(route: Route) -> bool:
    """Return whether a route of main is the operator's, and one that a learned route could cover."""
    return route.kind in OPERATORS_KINDS and route.protocol != PROTOCOL_BABEL and _needs_guard(route)


def is_routed(route: Route) -> bool:
    """Return whether a route of main is an IPv6 one that a learned route could cover."""
    return route.prefix.family == 6 and is_operators(route)


def _needs_guard(route: Route) -> bool:
    # Link-local traffic has a rule of its own, and nothing learned ever covers multicast.
    return not covers(LINK_LOCAL, route.prefix) and not covers(MULTICAST, route.prefix)


def _covering_devices(prefix: Prefix, learned: Mapping[Prefix, Route], sourced: Iterable[Prefix]) -> set[int]:
    """Return the interfaces of the longest learned route that covers a prefix, and of all source-specific ones."""
    devices = {learned[other].interface for other in sourced if covers(other, prefix)}
    for plen in range(prefix.plen, -1, -1):
        route = learned.get(Prefix(prefix.family, mask(prefix.network, plen), plen))
        if route is not None:
            return devices | {route.interface}
    return devices
