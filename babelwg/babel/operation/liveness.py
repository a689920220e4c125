"""Hellos and IHUs, sent and received (RFC 8966, section 3.4 and appendix A.1)."""

from babelwg.babel.events import LinkCostChanged
from babelwg.babel.memory import Heard
from babelwg.babel.operation.acknowledgments import forget_neighbour, note_unheard
from babelwg.babel.operation.cost import compute_cost, compute_rxcost
from babelwg.babel.operation.dump import join_hello
from babelwg.babel.operation.hellos import send_scheduled_hello
from babelwg.babel.operation.introduction import ask_for_everything, welcome
from babelwg.babel.operation.queueing import (
    queue_ihu,
    queue_untold,
    urgent_delay,
)
from babelwg.babel.operation.routes import reprice
from babelwg.babel.parameters import (
    HOLD_FACTOR,
    MAX_UNCONFIRMED_INTERVAL,
    MIN_HELLO_INTERVAL,
    MIN_UPDATE_HOLD,
)
from babelwg.babel.state import State
from babelwg.babel.tables.interface import Interface
from babelwg.babel.tables.neighbour import HelloHistory, Neighbour
from babelwg.babel.wire.tlv import INFINITY, Hello, Ihu

FIRST_MISS = 1.5  # intervals after a Hello until the next one counts as missed (appendix A.1)
NEXT_MISS = 1.0  # intervals from one missed Hello to the next (appendix A.1)

# Implementation constants
MAX_FORMER_INTERFACES = 256  # that are gone, of which it is known where their Hellos were
# Of a Hello interval: by which a Hello may leave early to share a moment with another, and by which intervals that are
# the same may differ
EARLY, ALIKE = 0.2, 0.1
REPRICE_PAUSE = 1.0  # seconds until a change of cost that came too soon is looked at again


def handle_hello_timer(state: State, interface: Interface, now: float) -> None:
    """Send the Hello that was promised, and the periodic update with it, if that is soon due."""
    send_scheduled_hello(state, interface, 0.0, now)
    join_hello(state, interface, now)


def follow_hello(state: State, interface: Interface, hello: Hello, now: float) -> None:
    """Send the next Hello of a tunnel with that of its peer, if it is due soon: both ends then wake once for two."""
    due, interval = interface.hello_timer.when, interface.parameters.hello_interval
    if due is None or not interface.parameters.point_to_point:
        return
    # One that is late is for its timer, which sees how late we are.
    is_soon = 0 < due - now < EARLY * interval
    is_alike = abs(hello.interval - interval) <= ALIKE * interval
    if is_soon and is_alike:
        handle_hello_timer(state, interface, now)


def remember_hello_seqno(state: State, interface: Interface) -> None:
    """Note where the Hellos of an interface that goes will go on; of many that went, the latest are remembered."""
    former = state.former_hello_seqnos
    former[interface.name] = interface.hello_seqno
    while len(former) > MAX_FORMER_INTERFACES:
        # Its neighbours have long let go of us, and take any seqno for the first one.
        del former[next(iter(former))]


def record_hello(state: State, neighbour: Neighbour, hello: Hello, now: float) -> None:
    """Enter a Hello into its history (appendix A.1)."""
    history = neighbour.unicast if hello.unicast else neighbour.multicast
    neighbour.last_heard = now
    if not hello.interval and history.timer.when is not None and not hello.unicast:
        history.pass_over(hello.seqno)
    else:
        history.receive(hello.seqno)
        _await_next(state, neighbour, history, hello, now)
    assert history.expected is not None, "a Hello says which one is next"
    if not hello.unicast:
        key = (neighbour.interface.name, neighbour.address)
        state.heard_hellos[key] = Heard(history.expected, history.interval, history.until)


def _await_next(state: State, neighbour: Neighbour, history: HelloHistory, hello: Hello, now: float) -> None:
    """Expect the next Hello when it was promised."""
    if hello.interval:
        history.interval = max(hello.interval, MIN_HELLO_INTERVAL)
    elif history.timer.when is None:
        # The first Hello promised nothing; without some deadline a silent neighbour would live for ever.
        history.interval = history.interval or neighbour.interface.parameters.hello_interval
    else:
        return
    interval = _believed(neighbour, history)
    state.silences.set(history.timer, now + FIRST_MISS * interval)
    history.until = now + (FIRST_MISS + NEXT_MISS) * interval


def _believed(neighbour: Neighbour, history: HelloHistory) -> float:
    """Return the seconds between Hellos: as promised, and no more than a minute unless its sender hears us."""
    # Departs from appendix A.1: one Hello that promises the next in eleven minutes, from an address that may be that
    # of nobody, would hold a place in the table for three hours.
    return history.interval if neighbour.has_heard_us else min(history.interval, MAX_UNCONFIRMED_INTERVAL)


def confirm(state: State, neighbour: Neighbour, now: float) -> None:
    """Take a neighbour that is known from an earlier life of ours for living: it has said something."""
    history = neighbour.multicast
    history.until = now + (FIRST_MISS + NEXT_MISS) * history.interval
    state.silences.set(history.timer, history.until)


def forgive(state: State, neighbour: Neighbour, now: float) -> None:
    """Forget which Hellos were missed on a link that lives again, and wait for the next one as if one had just come."""
    for history in (neighbour.multicast, neighbour.unicast):
        history.forgive()
        if history.timer.when is not None:
            history.until = now + (FIRST_MISS + NEXT_MISS) * history.interval
            state.silences.set(history.timer, now + FIRST_MISS * history.interval)


def record_missed_hello(state: State, neighbour: Neighbour, history: HelloHistory, now: float) -> bool:
    """Enter a missed Hello; return whether the neighbour was heard at all lately (appendix A.1)."""
    history.miss()
    if not (neighbour.multicast.bits or neighbour.unicast.bits):
        return False
    state.silences.set(history.timer, now + NEXT_MISS * _believed(neighbour, history))
    update_link(state, neighbour, now)
    return True


def handle_ihu(state: State, neighbour: Neighbour, ihu: Ihu, now: float) -> None:
    """Learn how well a neighbour hears us (§3.4.2)."""
    interface = neighbour.interface
    if ihu.address is not None and ihu.address != interface.link_local:
        return
    hears_again = neighbour.txcost == INFINITY and ihu.rxcost < INFINITY
    if hears_again and neighbour.rxcost < INFINITY and interface.parameters.point_to_point:
        # It may have found the link alive only now, and waits to be told that we hear it (§3.4.2: an IHU out of turn).
        queue_ihu(state, neighbour, 0.0, now)
    if ihu.rxcost < INFINITY and not neighbour.has_heard_us:
        _believe(state, neighbour, now)
    neighbour.txcost, neighbour.former_txcost = ihu.rxcost, None
    state.silences.set(neighbour.ihu_timer, now + HOLD_FACTOR * max(ihu.interval, MIN_UPDATE_HOLD))


def _believe(state: State, neighbour: Neighbour, now: float) -> None:
    """Wait for the Hellos of a neighbour for as long as it promised: it hears us."""
    neighbour.has_heard_us = True
    for history in (neighbour.multicast, neighbour.unicast):
        if history.timer.when is not None and history.interval > MAX_UNCONFIRMED_INTERVAL:
            history.until = now + (FIRST_MISS + NEXT_MISS) * history.interval
            state.silences.set(history.timer, now + FIRST_MISS * history.interval)


def handle_ihu_timeout(state: State, neighbour: Neighbour, now: float) -> None:
    """Assume that a neighbour hears us no longer (§3.4.2)."""
    neighbour.txcost, neighbour.former_txcost = INFINITY, None
    update_link(state, neighbour, now)


def update_link(state: State, neighbour: Neighbour, now: float) -> None:
    """Compute the costs of a link again and act on what changed (§3.4.3)."""
    _recall_txcost(neighbour, now)
    rxcost = compute_rxcost(neighbour)
    if (rxcost == INFINITY) != (neighbour.rxcost == INFINITY):
        _tell_neighbour(state, neighbour, rxcost < INFINITY, now)
    neighbour.rxcost = rxcost
    if (cost := compute_cost(neighbour)) == neighbour.cost:
        return
    # A link that is of no use is left at once: it was of use before, and that was paid for.
    if cost != INFINITY and not _may_reprice(state, neighbour, now):
        # What is measured later is not measured wrongly: the cost stays as it was for a while.
        state.count("link_change_deferred")
        state.timers.advance(neighbour.link_timer, now + REPRICE_PAUSE)
        return
    _reprice(state, neighbour, cost, now)


def _recall_txcost(neighbour: Neighbour, now: float) -> None:
    """Trust what a neighbour said before its link failed, where it does not speak in time."""
    if neighbour.former_txcost is None or neighbour.interface.failed is not None:
        return
    if now >= neighbour.trusted_at:
        neighbour.txcost, neighbour.former_txcost = neighbour.former_txcost, None


def drop_link(state: State, neighbour: Neighbour, now: float) -> None:
    """Use the link to a neighbour no longer, however often that was said before: it leads nowhere."""
    if neighbour.rxcost != INFINITY:
        neighbour.rxcost = INFINITY
        _tell_neighbour(state, neighbour, False, now)
    if neighbour.cost != INFINITY:
        _reprice(state, neighbour, INFINITY, now)


def _reprice(state: State, neighbour: Neighbour, cost: int, now: float) -> None:
    before, neighbour.cost = neighbour.cost, cost
    name = neighbour.interface.name
    state.emit(LinkCostChanged(name, neighbour.address, cost, neighbour.rxcost, neighbour.txcost))
    if cost == INFINITY:
        note_unheard(state, neighbour)  # before what is lost now: of too many the latest are remembered
    reprice(state, neighbour, now)
    if before == INFINITY:
        neighbour.round_trip.since = now
        queue_untold(state, neighbour, now)
        neighbour.asked_twice = False
        ask_for_everything(state, neighbour, now)
    elif cost == INFINITY:
        forget_neighbour(state, neighbour, "unreachable")


def _may_reprice(state: State, neighbour: Neighbour, now: float) -> bool:
    """Return whether a neighbour may have us compute the metrics of all its routes again now."""
    parameters = state.parameters
    work = 1 + len(neighbour.routes)
    return neighbour.account.link_work.spend(work, parameters.link_work_burst, parameters.link_work, now)


def _tell_neighbour(state: State, neighbour: Neighbour, up: bool, now: float) -> None:
    """Say at once that we began or ceased to hear a neighbour."""
    interface = neighbour.interface
    delay = urgent_delay(state, interface)
    if up:
        # The link is as new to the neighbour as it is to us: our Hello now saves it a Hello interval.
        send_scheduled_hello(state, interface, delay, now)
        welcome(state, interface, now)
    queue_ihu(state, neighbour, delay, now)
