"""How neighbours come and go (RFC 8966, sections 3.2.4 and 3.4)."""

from functools import partial

from babelwg.babel.events import NeighbourAcquired, NeighbourLost
from babelwg.babel.operation.acknowledgments import forget_neighbour, tell_unacknowledged
from babelwg.babel.operation.delay import handle_delay_timeout
from babelwg.babel.operation.dump import queue_dump
from babelwg.babel.operation.failure import note_promised_hello
from babelwg.babel.operation.keeping import drop_awaited
from babelwg.babel.operation.liveness import (
    follow_hello,
    handle_ihu_timeout,
    record_hello,
    record_missed_hello,
    update_link,
)
from babelwg.babel.operation.queueing import note_bygone
from babelwg.babel.operation.recovery import handle_purge_timer
from babelwg.babel.operation.requests import forget_requester
from babelwg.babel.operation.routes import flush_routes
from babelwg.babel.parameters import MAX_HELLO_JUMP
from babelwg.babel.state import State
from babelwg.babel.tables.interface import Interface
from babelwg.babel.tables.neighbour import HelloHistory, Neighbour, NeighbourActions
from babelwg.babel.wire.tlv import INFINITY, Hello

# Implementation constants: seconds in which a neighbour that restarted is not believed to restart again
RESTART_PAUSE = 1.0
# As far a neighbour's Hello seqno may go on while we are away for some seconds: many a second are sent beside traffic.
MAX_MISSED_JUMP = 256
MOST_HELLOS = 4.0  # a second, that a neighbour sends beside traffic


def handle_hello(state: State, interface: Interface, address: bytes, hello: Hello, now: float) -> None:
    """Note that a neighbour lives, and enter it into the table when it is new."""
    neighbour = interface.neighbours.get(address)
    if neighbour is not None and _starts_anew(neighbour, hello, now):
        if now - neighbour.restarted < RESTART_PAUSE:
            state.count("tlv_dropped.hello-seqno-jump-rate")
            return
        lose_neighbour(state, neighbour, "hello-seqno-jump", now)
        former, neighbour = neighbour, acquire(state, interface, address)
        assert neighbour is not None, "its place in the table was just freed"
        neighbour.restarted = now
        # What it has used up is not given back for a restart.
        neighbour.account = former.account
    if neighbour is None and (neighbour := _welcome(state, interface, address, now)) is None:
        return
    record_hello(state, neighbour, hello, now)
    if hello.interval:
        note_promised_hello(state, interface, now)
        follow_hello(state, interface, hello, now)


def lose_neighbour(state: State, neighbour: Neighbour, reason: str, now: float) -> None:
    """Forget a neighbour and its routes."""
    del neighbour.interface.neighbours[neighbour.address]
    neighbour.interface.outbox.ihus.pop(neighbour.address, None)
    neighbour.cost = INFINITY
    for timer in neighbour.timers():
        state.timers.cancel(timer)
    for timer in neighbour.silences():
        state.silences.cancel(timer)
    state.sending.cancel(neighbour.outbox.timer)
    state.emit(NeighbourLost(neighbour.interface.name, neighbour.address, reason))
    forget_requester(state, neighbour)
    flush_routes(state, neighbour, "neighbour-lost", now)
    forget_neighbour(state, neighbour, "neighbour-lost")


def acquire(state: State, interface: Interface, address: bytes) -> Neighbour | None:
    """Enter a neighbour into the table, and return it; None when there is no room."""
    if len(interface.neighbours) >= _most_neighbours(state, interface):
        state.count("neighbour_refused.interface-limit")
        return None
    neighbour = Neighbour(interface, address, _actions(state, interface, address))
    interface.neighbours[address] = neighbour
    drop_awaited(state, interface.name, address)
    note_bygone(state, neighbour)
    state.emit(NeighbourAcquired(interface.name, address))
    return neighbour


def _welcome(state: State, interface: Interface, address: bytes, now: float) -> Neighbour | None:
    """Enter a neighbour that was not known, unless too many come at once: anybody on a LAN can have any address."""
    parameters = state.parameters
    if not interface.acquisitions.spend(1, parameters.acquisition_burst, parameters.acquisition, now):
        state.count("neighbour_refused.rate")
        return None
    if len(interface.neighbours) >= _most_neighbours(state, interface):
        _make_room(state, interface, now)
    return acquire(state, interface, address)


def _make_room(state: State, interface: Interface, now: float) -> None:
    """Forget the neighbour that is most likely none; one to which packets go both ways never gives way."""
    # Those that never said that they hear us come first, and then those that do not any more; the oldest of them.
    useless = [n for n in interface.neighbours.values() if not n.reachable]
    if useless:
        former = min(useless, key=lambda neighbour: neighbour.has_heard_us)
        state.count(
            "neighbour_displaced.unreachable" if former.has_heard_us else "neighbour_displaced.unconfirmed"
        )
        lose_neighbour(state, former, "displaced", now)


def _most_neighbours(state: State, interface: Interface) -> int:
    """Return how many neighbours an interface may have."""
    parameters = state.parameters
    most = parameters.max_neighbours_per_interface
    return min(most, parameters.max_neighbours_per_tunnel) if interface.parameters.point_to_point else most


def _starts_anew(neighbour: Neighbour, hello: Hello, now: float) -> bool:
    """Return whether a Hello's seqno shows that the neighbour has restarted (appendix A.1)."""
    history = neighbour.unicast if hello.unicast else neighbour.multicast
    return not -MAX_HELLO_JUMP <= history.jump(hello.seqno) <= _longest_jump(neighbour, history, now)


def _longest_jump(neighbour: Neighbour, history: HelloHistory, now: float) -> float:
    """Return how far ahead a Hello seqno may be of a neighbour that has only not been heard."""
    if history.presumed:
        return MAX_MISSED_JUMP
    if not history.interleaved:
        return MAX_HELLO_JUMP
    # Departs from appendix A.1, which takes 16 for more than can be missed: a neighbour that measures beside traffic
    # sends as many in four seconds, and after an outage would lose all its routes just when they are wanted again.
    return min(MAX_MISSED_JUMP, MAX_HELLO_JUMP + MOST_HELLOS * (now - neighbour.last_heard))


def _actions(state: State, interface: Interface, address: bytes) -> NeighbourActions:
    def current() -> Neighbour:
        return interface.neighbours[address]

    def miss(history_of: str, now: float) -> None:
        neighbour = current()
        history: HelloHistory = getattr(neighbour, history_of)
        interface.heard_since = 0
        if not record_missed_hello(state, neighbour, history, now):
            lose_neighbour(state, neighbour, "silent", now)

    def dump(now: float) -> None:
        if queue_dump(state, current(), now):
            tell_unacknowledged(state, current(), now)

    return NeighbourActions(
        multicast_missed=partial(miss, "multicast"),
        unicast_missed=partial(miss, "unicast"),
        ihu_expired=lambda now: handle_ihu_timeout(state, current(), now),
        send=lambda now: state.ready.append((interface, current().outbox)),
        dump=dump,
        purge=lambda now: handle_purge_timer(state, current(), now),
        link=lambda now: update_link(state, current(), now),
        delay=lambda now: handle_delay_timeout(state, current(), now),
    )
