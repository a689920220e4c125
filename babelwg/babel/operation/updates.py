"""What we announce of a prefix (RFC 8966, section 3.7)."""

from babelwg.babel.operation.feasibility import record_announcement
from babelwg.babel.operation.permission import next_hop, permission
from babelwg.babel.state import State
from babelwg.babel.tables.interface import Interface
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY, Update


def build_update(
    state: State, interface: Interface, prefix: Prefix, solicited: bool, urgent: bool, now: float
) -> Update | None:
    """Return what is true of a prefix now, or None when it is not for this interface's neighbours.

    A finite update lowers the feasibility distance, so the caller has to send it.
    """
    update = _update(state, interface, prefix, solicited, urgent)
    if update is None or update.router_id is None:
        return update
    if not record_announcement(state, prefix, update.router_id, update.seqno, update.metric, now):
        return None
    return update


def is_harmless(state: State, interface: Interface, prefix: Prefix, solicited: bool, urgent: bool) -> bool:
    """Return whether what is true of a prefix now makes nobody send packets to us: a retraction, or nothing."""
    update = _update(state, interface, prefix, solicited, urgent)
    return update is None or update.metric == INFINITY


def _update(
    state: State, interface: Interface, prefix: Prefix, solicited: bool, urgent: bool
) -> Update | None:
    if not interface.may_carry(prefix):
        return None
    announced = _distance(state, interface, prefix, solicited, urgent)
    if announced is None:
        return None
    router_id, seqno, metric = announced
    interval = interface.update_interval
    address = next_hop(state, interface, prefix)
    if metric < INFINITY:
        added = permission(state, interface, prefix).added
        if (added >= INFINITY or address is None) and not (solicited or urgent):
            return None  # kept back; who heard of it before has been told
        metric = INFINITY if address is None else min(INFINITY, metric + added)
    if metric == INFINITY:
        return Update(prefix, None, seqno, INFINITY, interval, None)
    return Update(prefix, router_id, seqno, metric, interval, address)


def _distance(
    state: State, interface: Interface, prefix: Prefix, solicited: bool, urgent: bool
) -> tuple[bytes, int, int] | None:
    """Return router-id, seqno and metric to announce; None under split horizon (§3.7.4)."""
    if (xroute := state.xroutes.get(prefix)) is not None:
        return state.router_id, state.seqno, xroute.metric
    if (selection := state.routes.selected.get(prefix)) is None:
        return state.router_id, state.seqno, INFINITY
    route = selection.route
    if not solicited and interface.parameters.split_horizon and route.neighbour.interface is interface:
        # Two routers of one prefix could loop through each other's former announcements (§1.1).
        return (route.router_id, route.seqno, INFINITY) if urgent and selection.supersedes else None
    return route.router_id, route.seqno, route.metric
