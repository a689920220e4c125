"""What we announce, and when (RFC 8966, section 3.7)."""

from babelwg.babel.operation.feasibility import record_announcement
from babelwg.babel.operation.overload import choose_update_interval
from babelwg.babel.operation.permission import next_hop, permission
from babelwg.babel.operation.queueing import ordinary_delay, outboxes, urgent_delay
from babelwg.babel.state import State
from babelwg.babel.tables.interface import Interface
from babelwg.babel.tables.neighbour import Neighbour
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY, Update

# Periodic updates leave early rather than late, because neighbours count from the promised interval.
PERIODIC_JITTER = (0.85, 0.95)  # of the update interval


def build_update(
    state: State, interface: Interface, prefix: Prefix, solicited: bool, urgent: bool, now: float
) -> Update | None:
    """Return what is true of a prefix now, or None when it is not for this interface's neighbours.

    A finite update lowers the feasibility distance, so the caller has to send it.
    """
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
    if not record_announcement(state, prefix, router_id, seqno, metric, now):
        return None
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


def handle_update_timer(state: State, interface: Interface, now: float) -> None:
    """Queue the periodic update of everything (§3.7.1)."""
    interval = choose_update_interval(state, interface, now)
    state.timers.set(interface.update_timer, now + interval * state.rng.uniform(*PERIODIC_JITTER))
    if not interface.neighbours:
        return
    dump = _full_dump(state)
    for outbox in outboxes(interface):
        outbox.updates.update(dump)
        state.sending.advance(outbox.timer, now + ordinary_delay(state, interface))


def queue_dump(state: State, neighbour: Neighbour, now: float) -> None:
    """Queue everything for one neighbour, at most once per dump interval (§3.8.1.1)."""
    if now < neighbour.dump_allowed:
        state.timers.advance(neighbour.dump_timer, neighbour.dump_allowed)
        return
    state.timers.cancel(neighbour.dump_timer)
    neighbour.dump_allowed = now + state.parameters.dump_interval
    neighbour.outbox.updates.update(_full_dump(state))
    state.sending.advance(neighbour.outbox.timer, now + urgent_delay(state, neighbour.interface))


def _full_dump(state: State) -> dict[Prefix, None]:
    """Return all announced prefixes in the order that makes the smallest packets."""
    learned = sorted(state.routes.selected.items(), key=lambda item: (item[1].router_id, item[0]))
    return dict.fromkeys((*sorted(state.xroutes), *(prefix for prefix, _ in learned)))
