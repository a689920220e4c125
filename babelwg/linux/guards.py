"""Throw routes that keep look-up destination-first over several tables (RFC 9079, section 4).

Our table is asked before main. A learned default in it would take what main knows better: the operator's connected and
static routes. For each of those destinations our table holds a `throw` route, which sends the look-up on.
"""

from collections.abc import Iterable, Mapping

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
    main: Iterable[Route], learned: Mapping[Prefix, Route], override: Iterable[Prefix], table: int
) -> dict[Prefix, Route]:
    """Return the throw routes (and copies) that `table` needs for what main holds.

    A destination in `override` gets none: there ours wins. Where our covering IPv6 route and main's use the same
    device, a copy of main's route stands instead: a socket bound to that device does not honour the throw.
    """
    overridden = set(override)
    guards: dict[Prefix, Route] = {}
    for route in main:
        foreign = route.kind in OPERATORS_KINDS and route.protocol != PROTOCOL_BABEL
        if not foreign or route.prefix in overridden or not _needs_guard(route):
            continue
        if (
            route.prefix.family == 6
            and route.interface
            and _covering_device(route.prefix, learned) == route.interface
        ):
            guards[route.prefix] = route._replace(
                table=table, source=b"", priority=PRIORITY, protocol=PROTOCOL_BABEL
            )
        else:
            guards.setdefault(route.prefix, Route(route.prefix, table, THROW))
    return guards


def is_routed(route: Route) -> bool:
    """Return whether a route of main is an IPv6 one that a learned route could cover."""
    return route.prefix.family == 6 and route.kind in OPERATORS_KINDS and _needs_guard(route)


def _needs_guard(route: Route) -> bool:
    # Link-local traffic has a rule of its own, and nothing learned ever covers multicast.
    return not covers(LINK_LOCAL, route.prefix) and not covers(MULTICAST, route.prefix)


def _covering_device(prefix: Prefix, learned: Mapping[Prefix, Route]) -> int:
    """Return the interface index of the longest learned route that covers a prefix, 0 for none."""
    for plen in range(prefix.plen, -1, -1):
        route = learned.get(Prefix(prefix.family, mask(prefix.network, plen), plen))
        if route is not None:
            return route.interface
    return 0
