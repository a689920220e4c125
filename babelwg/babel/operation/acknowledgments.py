"""Acknowledgments, and the retracted prefixes that wait for them (RFC 8966, sections 3.3 and 3.5.4)."""

from collections.abc import Collection
from functools import partial

from babelwg.babel.events import RouteFlushed, RouteRetracted
from babelwg.babel.operation.permission import concerned
from babelwg.babel.operation.queueing import (
    is_announced,
    note_untold,
    queue_small,
    queue_untold,
    urgent_delay,
)
from babelwg.babel.parameters import HOLD_FACTOR
from babelwg.babel.state import State
from babelwg.babel.tables.hold import Hold, PendingAcknowledgment
from babelwg.babel.tables.interface import Interface
from babelwg.babel.tables.neighbour import Cause, Neighbour
from babelwg.babel.tables.route import Route
from babelwg.babel.timers import Timer
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY, Acknowledgment, AcknowledgmentRequest

# The share of the allowed time that we keep an answer back at most, so that it arrives in time (§3.1).
ANSWER_SHARE = 0.4
# Implementation constants
# Seconds until the second copy of what a neighbour leaves unanswered, beside this multiple of its known round trip; and
# more for each answer that is missing, as a whole table must not be said twice.
FIRST_PATIENCE, ROUND_TRIPS, PATIENCE_PAUSE = 0.1, 2.0, 0.005


def handle_acknowledgment_request(
    state: State, neighbour: Neighbour, tlv: AcknowledgmentRequest, now: float
) -> None:
    """Answer to the requester alone (§3.3)."""
    delay = min(urgent_delay(state, neighbour.interface), tlv.interval * ANSWER_SHARE)
    queue_small(state, neighbour, Acknowledgment(tlv.opaque), delay, now)


def handle_acknowledgment(state: State, neighbour: Neighbour, tlv: Acknowledgment, now: float) -> None:
    """Note that a neighbour has received what a packet of ours said."""
    if (pending := state.acknowledgments.get(tlv.opaque)) is None or neighbour not in pending.waiting:
        return
    _stop_waiting(state, tlv.opaque, pending, neighbour)
    for prefix in pending.retracted:
        neighbour.untold.pop(prefix, None)
        if (hold := state.holds.get(prefix)) is not None:
            _excuse(state, hold, neighbour, "acknowledged")


def expect_acknowledgment(
    state: State,
    interface: Interface,
    waiting: dict[Neighbour, None],
    written: dict[Prefix, int],
    retracted: tuple[Prefix, ...],
    now: float,
) -> int | None:
    """Return the opaque value for a packet of urgent updates, or None when no answer can be awaited.

    `written` says which copy of each update it is, and `retracted` which of them are retractions.
    """
    if not waiting or state.stopped:
        return None
    nonce = state.allocate_nonce()
    if (
        interface.pending_acknowledgments >= state.parameters.max_pending_acknowledgments_per_interface
        or len(state.acknowledgments) >= state.parameters.max_pending_acknowledgments
        or nonce in state.acknowledgments
    ):
        state.count("acknowledgment_not_requested.table-full")
        return None
    timer = Timer(partial(_give_up, state, nonce))
    state.acknowledgments[nonce] = PendingAcknowledgment(interface, waiting, written, retracted, timer)
    interface.pending_acknowledgments += 1
    # An answer that waits to be read is not missing.
    state.silences.set(timer, now + _patience(state, waiting, max(written.values())))
    return nonce


def _patience(state: State, waiting: Collection[Neighbour], copy: int) -> float:
    """Return the seconds until the next copy of what was said so often; the first ones are sent twice soon."""
    timeout = state.parameters.acknowledgment_timeout
    if copy > 1:
        return timeout * 2.0 ** (copy - 2)
    trips = [neighbour.round_trip.rtt for neighbour in waiting]
    longest = max(timeout if trip is None else trip for trip in trips)
    return min(timeout, FIRST_PATIENCE + ROUND_TRIPS * longest + PATIENCE_PAUSE * len(state.acknowledgments))


def forget_neighbour(state: State, neighbour: Neighbour, why: str) -> None:
    """Wait no longer for a neighbour that cannot have us as next hop any more."""
    for nonce, pending in list(state.acknowledgments.items()):
        if neighbour in pending.waiting:
            _stop_waiting(state, nonce, pending, neighbour)
    for prefix in list(neighbour.holds):
        _excuse(state, state.holds[prefix], neighbour, why)


def note_unheard(state: State, neighbour: Neighbour) -> None:
    """Remember of a neighbour that seems to hear nothing what it did not confirm, or was to hear next."""
    sent = (p.updates for p in state.acknowledgments.values() if neighbour in p.waiting)
    for updates in (*sent, neighbour.interface.outbox.urgent, neighbour.outbox.urgent):
        for prefix in updates:
            note_untold(state, neighbour, prefix)


def tell_unacknowledged(state: State, neighbour: Neighbour, now: float) -> None:
    """Retract again what a neighbour has not acknowledged, who was away and asks for everything now.

    That may be much however little is announced, and is said again by itself: so it is told no more often than a large
    table.
    """
    if now < (allowed := neighbour.account.retold + state.parameters.dump_interval):
        if neighbour.untold:
            state.timers.advance(neighbour.dump_timer, allowed)
        return
    neighbour.account.retold = now
    last = state.parameters.update_copies
    for pending in state.acknowledgments.values():
        if neighbour not in pending.waiting:
            continue
        lost = [p for p in pending.retracted if p in pending.updates and not is_announced(state, p)]
        neighbour.outbox.urgent |= dict.fromkeys(lost, last)
        if len(pending.waiting) == 1:
            for prefix in lost:
                del pending.updates[prefix]  # the copy that leaves now is awaited instead
    queue_untold(state, neighbour, now)


def start_hold(
    state: State, prefix: Prefix, interval: float, cause: Cause, former: Route | None, now: float
) -> None:
    """Make a prefix unreachable until no neighbour can send us packets for it (§3.5.4).

    Departs from §3.5.4, which does not wait for those who have retracted it: only the next hop of the `former` route
    has heard nothing else from us since. Another one may have chosen us after it did, and need not say so.
    """
    end_hold(state, prefix)
    if len(state.holds) >= state.parameters.max_holds:
        state.count("hold_refused.table-full")
        state.emit(RouteFlushed(prefix, cause.word, cause.origin))
        return
    has_retracted = former is not None and former.refmetric == INFINITY and not former.expired
    excused = former.neighbour if former is not None and has_retracted else None
    waiting = {
        neighbour: None
        for interface in concerned(state, prefix)
        for neighbour in interface.neighbours.values()
        if neighbour.cost < INFINITY and neighbour is not excused
    }
    timer = Timer(lambda now: _release(state, prefix, "hold-expired"))
    state.holds[prefix] = Hold(prefix, waiting, timer, now)
    for neighbour in waiting:
        neighbour.holds[prefix] = None
    state.timers.set(timer, now + HOLD_FACTOR * interval)
    state.emit(RouteRetracted(prefix, cause.word, cause.origin))
    if not waiting:
        _release(state, prefix, "no-neighbour")


def end_hold(state: State, prefix: Prefix) -> bool:
    """End the hold of a prefix because there is a route again; return whether there was one."""
    if (hold := state.holds.pop(prefix, None)) is None:
        return False
    for neighbour in hold.waiting:
        del neighbour.holds[prefix]
    state.timers.cancel(hold.timer)
    state.touch(prefix)
    return True


def note_retraction(state: State, neighbour: Neighbour, prefix: Prefix) -> None:
    """Note that a neighbour has retracted a prefix, so it does not send us packets for it."""
    if (hold := state.holds.get(prefix)) is not None:
        _excuse(state, hold, neighbour, "retracted-by-all")


def _excuse(state: State, hold: Hold, neighbour: Neighbour, cause: str) -> None:
    """Take a neighbour off the list of a hold; the last one ends it."""
    if neighbour in hold.waiting:
        del hold.waiting[neighbour]
        del neighbour.holds[hold.prefix]
        if not hold.waiting:
            _release(state, hold.prefix, cause)


def _release(state: State, prefix: Prefix, cause: str) -> None:
    if end_hold(state, prefix):
        state.emit(RouteFlushed(prefix, cause))


def _stop_waiting(state: State, nonce: int, pending: PendingAcknowledgment, neighbour: Neighbour) -> None:
    del pending.waiting[neighbour]
    if not pending.waiting:
        state.silences.cancel(pending.timer)
        del state.acknowledgments[nonce]
        pending.interface.pending_acknowledgments -= 1


def _give_up(state: State, nonce: int, now: float) -> None:
    """Send another copy to each neighbour that did not answer, as long as copies are left (§3.7.2)."""
    pending = state.acknowledgments.pop(nonce)
    pending.interface.pending_acknowledgments -= 1
    for neighbour in pending.waiting:
        for prefix, copy in pending.updates.items():
            if copy < state.parameters.update_copies:
                neighbour.outbox.urgent.setdefault(prefix, copy + 1)
            else:
                note_untold(state, neighbour, prefix)
        if neighbour.outbox.urgent:
            state.sending.advance(neighbour.outbox.timer, now + urgent_delay(state, neighbour.interface))
