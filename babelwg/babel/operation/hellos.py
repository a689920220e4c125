"""Hellos that promise the next one (RFC 8966, section 3.4.1)."""

from babelwg.babel.operation.queueing import queue_hello, queue_ihu
from babelwg.babel.parameters import IHU_INTERVAL_FACTOR
from babelwg.babel.state import State
from babelwg.babel.tables.interface import Interface

# Hellos leave early rather than late, because neighbours count from the promised interval; those of many interfaces
# share their moments, so that a node wakes once for several of them.
HELLO_JITTER = (0.925, 1.0)  # of the Hello interval
MOMENT = (
    0.025  # of the Hello interval from one shared moment to the next; by so much more may one leave early
)


def send_scheduled_hello(state: State, interface: Interface, delay: float, now: float) -> None:
    """Send a Hello, perhaps before its time, and promise the next; IHUs join it when they are due (§3.4)."""
    interval = interface.parameters.hello_interval
    queue_hello(state, interface, interval, delay, now)
    due = now + delay + interval * state.rng.uniform(*HELLO_JITTER)
    state.hellos.set(interface.hello_timer, _shared_moment(state, due, MOMENT * interval))
    interface.hellos_since_ihu += 1
    lossless = all(n.rxcost == interface.parameters.rxcost for n in interface.neighbours.values())
    if interface.hellos_since_ihu >= IHU_INTERVAL_FACTOR or not lossless:
        interface.hellos_since_ihu = 0
        for neighbour in interface.neighbours.values():
            queue_ihu(state, neighbour, delay, now)


def _shared_moment(state: State, when: float, distance: float) -> float:
    """Return the last moment before `when` of those that lie so far apart; they differ from node to node."""
    phase = state.clock_origin / 1_000_000
    return (when + phase) // distance * distance - phase
