"""What the neighbours on each interface hear of a prefix, and why they hear less (RFC 8966, section 3.7)."""

from collections.abc import Iterator

from babelwg.babel.explain.explanation import Told
from babelwg.babel.operation.permission import next_hop
from babelwg.babel.policy import Announcement
from babelwg.babel.state import State
from babelwg.babel.tables.interface import Interface
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY


def told(state: State, prefix: Prefix) -> Iterator[Told]:
    """Yield what is announced on each interface; nothing where there is nothing to announce."""
    selection, xroute = state.routes.selected.get(prefix), state.xroutes.get(prefix)
    if xroute is not None:
        router_id, metric, learned_on = state.router_id, xroute.metric, None
    elif selection is not None:
        route = selection.route
        router_id, metric, learned_on = route.router_id, route.metric, route.neighbour.interface
    else:
        return
    for interface in state.interfaces.values():
        added = _added(state, interface, prefix, router_id)
        split = interface.parameters.split_horizon and interface is learned_on
        yield _on(state, interface, prefix, metric, added, split)


def _added(state: State, interface: Interface, prefix: Prefix, router_id: bytes) -> int:
    """Return what the out filters add: their answer of before, since they count how often they are asked."""
    known = state.permissions.get(prefix, {}).get(interface.name)
    if known is not None and known.router_id == router_id:
        return known.added
    return state.policy.metric_out(Announcement(prefix, router_id, interface.name))


def _on(state: State, interface: Interface, prefix: Prefix, metric: int, added: int, split: bool) -> Told:
    words = ""
    if not interface.may_carry(prefix):
        words = "source-specific routes are not for this interface"
    elif next_hop(state, interface, prefix) is None:
        words = "there is no IPv4 next hop on this interface"
    elif split:
        words = "it came from there (split horizon)"
    elif added >= INFINITY:
        words = "an out filter keeps it back"
    elif metric + added >= INFINITY:
        words = "the metric is beyond 65534"
    return Told(interface.name, None if words else metric + added, min(added, INFINITY), words)
