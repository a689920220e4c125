"""After a loss of memory: make sure that nobody routes through our former life.

Without its source table a speaker cannot tell which routes lead back to itself. Before it
selects any, it has all neighbours drop their routes through it, which they confirm.
"""

from functools import partial

from babelwg.babel.operation.dump import queue_dump
from babelwg.babel.operation.queueing import queue_small
from babelwg.babel.operation.selection import select_route
from babelwg.babel.parameters import LONGEST_HOLD
from babelwg.babel.state import State
from babelwg.babel.tables.interface import Interface
from babelwg.babel.tables.neighbour import Neighbour
from babelwg.babel.timers import Timer
from babelwg.babel.wire.tlv import INFINITY, NOT_REPEATED, AcknowledgmentRequest, Update

# A neighbour that hears nothing of us for so many Hello intervals drops us (appendix A.1), and one that
# hears a Hello of our new life drops the old one because its seqno has jumped.
SILENCE = 3.0  # Hello intervals, with a margin over 1.5 + 1.0
MAX_NONCES = 8  # answers to the latest retractions count
MAX_REMEMBERED = 4096  # neighbours that have confirmed
ACKNOWLEDGMENT_INTERVAL = 0.2  # seconds


def wildcard_retraction(state: State) -> Update:
    """Return the update that retracts all that we ever announced on an interface (§4.6.9)."""
    return Update(None, None, state.seqno, INFINITY, NOT_REPEATED, None)


def begin_interface(state: State, interface: Interface, now: float) -> None:
    """Retract on a new interface what a former life may have announced there."""
    if not state.memory_lost:
        return
    if state.purge_until == float("-inf"):
        state.purge_until = now + LONGEST_HOLD
    if now >= state.purge_until:
        return
    interface.outbox.small.append(wildcard_retraction(state))
    if interface.name in state.memory.hello_seqnos:
        state.sources.set_incomplete(True)
        timer = Timer(partial(_open_gate, state, interface.name))
        state.gate[interface.name] = timer
        state.timers.set(timer, now + SILENCE * interface.parameters.hello_interval)


def begin_purge(state: State, neighbour: Neighbour, now: float) -> None:
    """Have a new neighbour confirm that it has no route through us, if it might."""
    if neighbour.purge_attempts:
        # It did not know us when it was asked, and a request from a stranger is no request (§3.2.4).
        if neighbour.purge_is_early and neighbour.txcost < INFINITY:
            handle_purge_timer(state, neighbour, now)
        return
    if now >= state.purge_until:
        state.purge_done.clear()
        return
    if (neighbour.interface.name, neighbour.address) in state.purge_done:
        return
    neighbour.purged = False
    handle_purge_timer(state, neighbour, now)


def handle_purge_timer(state: State, neighbour: Neighbour, now: float) -> None:
    """Retract everything again, until the neighbour confirms or cannot hold such an old route."""
    if now >= state.purge_until:
        _finish_purge(state, neighbour, now)
        return
    neighbour.purge_is_early = neighbour.txcost == INFINITY
    nonce = state.allocate_nonce()
    neighbour.purge_nonces = [*neighbour.purge_nonces[1 - MAX_NONCES :], nonce]
    # Without jitter: what is selected in the meantime would be announced before the retraction, and not after it.
    queue_small(state, neighbour, wildcard_retraction(state), 0.0, now)
    queue_small(state, neighbour, AcknowledgmentRequest(nonce, ACKNOWLEDGMENT_INTERVAL), 0.0, now)
    # The neighbour may have heard announcements of this life already, which are retracted along with the old ones.
    neighbour.account.dump_allowed = now
    queue_dump(state, neighbour, now)
    neighbour.account.dump_allowed = now  # its own first request is not refused for this one
    patience = state.parameters.purge_retry * 2.0**neighbour.purge_attempts
    neighbour.purge_attempts = min(neighbour.purge_attempts + 1, 16)
    state.silences.set(neighbour.purge_timer, now + min(patience, state.parameters.purge_retry_max))


def handle_purge_acknowledgment(state: State, neighbour: Neighbour, nonce: int, now: float) -> None:
    """Trust a neighbour that confirmed our retraction."""
    if not neighbour.purged and nonce in neighbour.purge_nonces:
        _finish_purge(state, neighbour, now)


def end_interface(state: State, name: str, now: float) -> None:
    """Wait no longer for the neighbours of an interface that is gone."""
    if name in state.gate:
        state.timers.cancel(state.gate[name])
        _open_gate(state, name, now)


def _finish_purge(state: State, neighbour: Neighbour, now: float) -> None:
    neighbour.purged, neighbour.purge_is_early = True, False
    state.silences.cancel(neighbour.purge_timer)
    name = neighbour.interface.name
    if len(state.purge_done) < MAX_REMEMBERED:
        state.purge_done.add((name, neighbour.address))
    if neighbour.interface.parameters.point_to_point:
        end_interface(state, name, now)
    for prefix in list(neighbour.routes):
        select_route(state, prefix, "memory-recovered", now)


def _open_gate(state: State, name: str, now: float) -> None:
    """Stop waiting for an interface; after the last one routes are selected."""
    del state.gate[name]
    if not state.gate:
        state.sources.set_incomplete(False)
        for prefix in list(state.routes.by_prefix):
            select_route(state, prefix, "memory-recovered", now)
