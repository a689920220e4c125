"""Which routes a word selects: a peer, an interface, an address or a prefix."""

from collections.abc import Callable
from functools import cache

from babelwg.babel.snapshot import RouteView
from babelwg.babel.wire.prefix import Prefix
from babelwg.config.addresses import covers, near, parse_network
from babelwg.daemon.names import Names
from babelwg.daemon.queries.context import Context
from babelwg.daemon.texts import ip_text, router_id_text

Test = Callable[[RouteView], bool]


def chosen_routes(wanted: str, context: Context) -> tuple[RouteView, ...]:
    """Return the routes that a word selects, as the filter of `show` does it."""
    names, speaker, now = context.names, context.node.routing.speaker, context.now()
    try:
        network = parse_network(wanted)
    except ValueError:
        routes, chosen = context.snapshot().routes, _is_named(wanted, names)
        return tuple([route for route in routes if chosen(route)])
    # A neighbour is named by its address, and a router-id looks like one.
    neighbours = {ip_text(neighbour.address) for neighbour in speaker.links(now)[1]}
    if wanted in neighbours or len(wanted) == len(router_id_text(bytes(8))):
        routes, chosen = context.snapshot().routes, _is_named(wanted, names)
        return tuple([route for route in routes if meets(route.prefix, network) or chosen(route)])
    context.learn_names()
    is_near = near(network)
    met = sorted(p for p in speaker.prefixes() if is_near(p.network) and meets(p, network))
    return tuple([route for prefix in met for route in speaker.routes_for(prefix, now)])


def meets(prefix: Prefix, network: Prefix) -> bool:
    """Return whether a network lies in a prefix or holds it."""
    # An address selects every prefix that leads to it; a wider network only what lies inside.
    if network.plen == 8 * len(network.network):
        return covers(prefix, network)
    return covers(network, prefix)


def _is_named(wanted: str, names: Names) -> Test:
    shown, prefixes = names.selected_by(wanted), names.prefixes_of(wanted)

    @cache
    def is_link(interface: str, neighbour: bytes) -> bool:
        named = names.peer_on(interface), names.neighbour(interface, neighbour)
        return not shown.isdisjoint((interface, ip_text(neighbour), *named))

    @cache
    def is_origin(router_id: bytes) -> bool:
        return not shown.isdisjoint((names.origin(router_id), router_id_text(router_id)))

    def is_named(route: RouteView) -> bool:
        return (
            route.prefix in prefixes
            or is_link(route.interface, route.neighbour)
            or is_origin(route.router_id)
        )

    return is_named
