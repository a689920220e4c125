"""Which routes a word selects: a peer, an interface, an address or a prefix."""

from babelwg.babel.routeview import RouteColumns
from babelwg.babel.wire.prefix import Prefix
from babelwg.config.addresses import covers, near, parse_network
from babelwg.daemon.names import Names
from babelwg.daemon.queries.context import Context
from babelwg.daemon.texts import ip_text, router_id_text


def chosen_columns(wanted: str | None, context: Context) -> RouteColumns:
    """Return the routes that a word selects, as the filter of `show` does it; without one all."""
    if wanted is None:
        return context.columns()
    names, speaker, now = context.names, context.node.routing.speaker, context.now()
    network = network_of(wanted)
    # A neighbour is named by its address, and a router-id looks like one.
    may_be_name = len(wanted) == len(router_id_text(bytes(8))) or wanted in {
        ip_text(neighbour.address) for neighbour in speaker.links(now)[1]
    }
    if network is None or may_be_name:
        routes = context.columns()
        return routes.pick(_named(wanted, names, routes, network))
    context.learn_names()
    is_near = near(network)
    met = sorted(p for p in speaker.prefixes() if is_near(p.network) and meets(p, network))
    return RouteColumns.of([route for prefix in met for route in speaker.routes_for(prefix, now)])


def meets(prefix: Prefix, network: Prefix) -> bool:
    """Return whether a network lies in a prefix or holds it; sources too, where the network has them."""
    if network.source is not None:
        source = prefix.source
        return source is not None and meets(source, network.source) and meets(prefix, network.destination)
    # An address selects every prefix that leads to it; a wider network only what lies inside.
    if network.plen == 8 * len(network.network):
        return covers(prefix, network)
    return covers(network, prefix)


def network_of(word: str) -> Prefix | None:
    """Return the network that a word names, also as `P from S`, host bits cleared; None for a name."""
    network, is_sourced, source = word.partition(" from ")
    try:
        return parse_network(network).with_source(parse_network(source) if is_sourced else None)
    except ValueError:
        return None


def _named(wanted: str, names: Names, routes: RouteColumns, network: Prefix | None) -> list[int]:
    """Return the numbers of the routes whose link, origin or prefix has a name, or that meet a network."""
    shown, prefixes = names.selected_by(wanted), names.prefixes_of(wanted)

    def is_link(interface: str, neighbour: bytes) -> bool:
        named = names.peer_on(interface), names.neighbour(interface, neighbour)
        return not shown.isdisjoint((interface, ip_text(neighbour), *named))

    links = {link: is_link(*link) for link in {*zip(routes.interfaces, routes.neighbours, strict=True)}}
    origins = {
        router_id: not shown.isdisjoint((names.origin(router_id), router_id_text(router_id)))
        for router_id in {*routes.router_ids}
    }
    rows = zip(routes.interfaces, routes.neighbours, routes.router_ids, routes.prefixes, strict=True)
    return [
        number
        for number, (interface, neighbour, router_id, prefix) in enumerate(rows)
        if links[interface, neighbour]
        or origins[router_id]
        or prefix in prefixes
        or (network is not None and meets(prefix, network))
    ]
