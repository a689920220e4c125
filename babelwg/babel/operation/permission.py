"""What may be said of a prefix on an interface: by the filters, by its neighbours, and by our next hops."""

from collections.abc import Collection

from babelwg.babel.policy import AllowAll, Announcement
from babelwg.babel.state import State
from babelwg.babel.tables.interface import Interface
from babelwg.babel.tables.route import Route
from babelwg.babel.tables.xroute import Permission
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY

FREE = Permission(None, 0, True)


def judge_route(state: State, route: Route) -> None:
    """Ask the filters about a route that is new or has another origin, and keep their answers."""
    if type(state.policy) is AllowAll:
        route.added, route.filtered = 0, False
        return
    neighbour = route.neighbour
    announcement = Announcement(route.prefix, route.router_id, neighbour.interface.name, neighbour.address)
    route.added = state.policy.metric_in(announcement)
    assert route.added >= 0, "no filter makes a path better than it is (RFC 8966, appendix C)"
    route.filtered = route.added >= INFINITY or not state.policy.installs(announcement)


def permission(state: State, interface: Interface, prefix: Prefix) -> Permission:
    """Return what the filters say about announcing a prefix on an interface; they are asked once per origin."""
    if type(state.policy) is AllowAll:
        return FREE
    known = state.permissions.get(prefix, {}).get(interface.name)
    if (router_id := _origin(state, prefix)) is None:
        return known or FREE  # of a lost prefix counts what was said before
    if known is None or known.router_id != router_id:
        added = state.policy.metric_out(Announcement(prefix, router_id, interface.name))
        assert added >= 0, "no filter makes a path better than it is (RFC 8966, appendix C)"
        told = known is not None and known.leaves_traces
        known = Permission(router_id, added, told)
        state.permissions.setdefault(prefix, {})[interface.name] = known
    return known


def concerns(state: State, interface: Interface, prefix: Prefix) -> bool:
    """Return whether the neighbours on an interface hear, or may have heard, of a prefix."""
    if not interface.may_carry(prefix) or next_hop(state, interface, prefix) is None:
        return False
    return permission(state, interface, prefix).leaves_traces


def concerned(state: State, prefix: Prefix, but: Interface | None = None) -> Collection[Interface]:
    """Return the interfaces, all `but` one, whose neighbours hear, or may have heard, of a prefix."""
    interfaces = state.interfaces.values()
    if prefix.family == 6 and not prefix.source_plen and type(state.policy) is AllowAll:
        # As nearly always, and a node may have many.
        return [interface for interface in interfaces if interface is not but]
    return [i for i in interfaces if i is not but and concerns(state, i, prefix)]


def next_hop(state: State, interface: Interface, prefix: Prefix) -> bytes | None:
    """Return our address for a prefix's family, an IPv6 one for IPv4 where we have no other (RFC 9229, §2.1)."""
    if prefix.family == 6:
        return interface.link_local
    if interface.parameters.ipv4 is not None:
        return interface.parameters.ipv4
    return interface.link_local if has_ipv4(state, interface) else None


def has_ipv4(state: State, interface: Interface) -> bool:
    """Return whether neighbours on an interface can send us IPv4 packets at all."""
    return interface.parameters.ipv4 is not None or may_use_v4_via_v6(state, interface)


def may_use_v4_via_v6(state: State, interface: Interface) -> bool:
    """Return whether IPv4 routes on an interface may have IPv6 next hops (RFC 9229, §2.2)."""
    return state.parameters.v4_via_v6 and interface.parameters.v4_via_v6


def forget_permissions(state: State, prefix: Prefix) -> None:
    """Forget what the filters said about a prefix that is not announced any more."""
    state.permissions.pop(prefix, None)


def _origin(state: State, prefix: Prefix) -> bytes | None:
    """Return the router-id with which a prefix is announced now."""
    if prefix in state.xroutes:
        return state.router_id
    selection = state.routes.selected.get(prefix)
    return None if selection is None else selection.route.router_id
