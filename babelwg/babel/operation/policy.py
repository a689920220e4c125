"""Other filters or addresses take effect: on every route, and on everything that is announced."""

from babelwg.babel.operation.permission import judge_route, next_hop, permission
from babelwg.babel.operation.queueing import queue_ordinary_on, queue_urgent_on
from babelwg.babel.operation.routes import set_metric
from babelwg.babel.operation.selection import select_route
from babelwg.babel.policy import AllowAll, Policy
from babelwg.babel.state import State
from babelwg.babel.tables.interface import Interface
from babelwg.babel.tables.xroute import Permission
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY


def apply_policy(state: State, policy: Policy, now: float) -> None:
    """Ask new filters about all that was let through or kept back by the old ones."""
    announced = [*state.xroutes, *state.routes.selected]
    before = {(p, i.name): permission(state, i, p) for p in announced for i in state.interfaces.values()}
    state.policy = policy
    state.permissions.clear()
    if not isinstance(policy, AllowAll):
        for (prefix, name), former in before.items():
            kept = Permission(None, former.added, former.leaves_traces)
            state.permissions.setdefault(prefix, {})[name] = kept
    for prefix in list(state.routes.by_prefix):
        for route in state.routes.candidates(prefix):
            judge_route(state, route)
            set_metric(route, now)
        select_route(state, prefix, "filter", now)
    for (prefix, name), former in before.items():
        if prefix in state.xroutes or prefix in state.routes.selected:
            _announce_anew(state, state.interfaces[name], prefix, former.added, now)


def retract_ipv4(state: State, interface: Interface, now: float) -> None:
    """Tell the neighbours on an interface that IPv4 has no next hop there any more (RFC 9229, §2.1)."""
    for prefix in (*state.xroutes, *state.routes.selected):
        if prefix.family == 4:
            queue_urgent_on(state, interface, prefix, now)


def _announce_anew(state: State, interface: Interface, prefix: Prefix, before: int, now: float) -> None:
    """Let the neighbours on an interface know what the filters say of a prefix now."""
    added = permission(state, interface, prefix).added
    if next_hop(state, interface, prefix) is None or added == before:
        return
    if INFINITY in (added, before):
        queue_urgent_on(state, interface, prefix, now)
    else:
        queue_ordinary_on(state, interface, prefix, now)
