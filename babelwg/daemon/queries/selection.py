"""Which routes a word selects: a peer, an interface, an address or a prefix."""

from collections.abc import Callable

from babelwg.babel.snapshot import RouteView
from babelwg.babel.wire.prefix import Prefix
from babelwg.config.addresses import covers, parse_network
from babelwg.daemon.names import Names
from babelwg.daemon.texts import ip_text, router_id_text

Test = Callable[[RouteView], bool]


def route_test(wanted: str, names: Names) -> Test:
    """Return whether a route is one that a word selects, as the filter of `show` does it."""
    try:
        network = parse_network(wanted)
    except ValueError:
        return _is_named(wanted, names)
    # A neighbour is named by its address.
    named = _is_named(wanted, names)
    return lambda route: _meets(route.prefix, network) or named(route)


def _meets(prefix: Prefix, network: Prefix) -> bool:
    # An address selects every prefix that leads to it; a wider network only what lies inside.
    if network.plen == 8 * len(network.network):
        return covers(prefix, network)
    return covers(network, prefix)


def _is_named(wanted: str, names: Names) -> Test:
    def test(route: RouteView) -> bool:
        return wanted in (
            route.interface,
            names.peer_on(route.interface),
            names.neighbour(route.interface, route.neighbour),
            names.origin(route.router_id),
            ip_text(route.neighbour),
            router_id_text(route.router_id),
        )

    return test
