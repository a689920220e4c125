"""Hellos out of turn: while traffic flows they measure the delay of a tunnel (RFC 9616, section 3.2).

While a link is new or has just returned they bring both ends together sooner than the next Hellos and IHUs would,
of which the first may be lost.
"""

from babelwg.babel.operation.queueing import queue_hello, queue_ihu, queue_request
from babelwg.babel.state import State
from babelwg.babel.tables.interface import Interface
from babelwg.babel.wire.tlv import INFINITY, RouteRequest

# Implementation constants: seconds, unless said otherwise
TRAFFIC_HOLD = 3.0  # for which noted traffic counts
PROBE_INTERVAL = 0.4  # of a tunnel that carries traffic
WATCH_INTERVAL = 1.0  # of one that costs more for its delay, while traffic flows elsewhere
JITTER = (0.9, 1.0)  # of these intervals
ANSWER_PAUSE = 0.3  # between two answers
# One who probes by itself does not answer, or two would answer each other for ever: so long after a probe, and two
# round trips.
ANSWER_WINDOW = 1.0
FIRST_INTRODUCTION = 0.1  # until the first probe of a link that is new, unless both ends agree before
INTRODUCTION = 3.0  # for which it is probed, until they agree
MAX_UNANSWERED = 5  # probes to a neighbour that never sends one itself
RETRY = 60.0  # between two probes of such a neighbour


def note_traffic(state: State, interface: Interface, now: float) -> None:
    """Measure while packets flow: this tunnel, and those that are avoided for their delay."""
    interface.probing.traffic_until = state.traffic_until = now + TRAFFIC_HOLD
    for each in state.interfaces.values():
        if each.probing.timer.when is None and _pause(state, each, now) is not None:
            state.timers.set(each.probing.timer, now)


def introduce(state: State, interface: Interface, now: float, surely: float = 0.0) -> None:
    """Probe a link that is new or lives again until both ends hear each other; for `surely` seconds in any case."""
    probing = interface.probing
    probing.new_until, probing.sure_until = now + INTRODUCTION, now + surely
    if _may_probe(interface):
        state.timers.advance(probing.timer, now + FIRST_INTRODUCTION)


def handle_probe_timer(state: State, interface: Interface, now: float) -> None:
    """Send the next probe, or cease because no traffic flows any more."""
    if (pause := _pause(state, interface, now)) is None:
        return
    state.timers.set(interface.probing.timer, now + pause * state.rng.uniform(*JITTER))
    probing = interface.probing
    is_new = now < probing.new_until
    if is_new or probing.unanswered < MAX_UNANSWERED or now >= probing.sent + RETRY:
        probing.unanswered += not is_new
        probing.sent = now
        _send(state, interface, now)
        for neighbour in interface.neighbours.values():
            if neighbour.awaits_table:
                queue_request(state, neighbour, RouteRequest(None), now)


def handle_probe(state: State, interface: Interface, now: float) -> None:
    """Answer a neighbour's probe, unless probes of our own say the same."""
    probing = interface.probing
    probing.unanswered = 0
    round_trips = [n.round_trip.rtt for n in interface.neighbours.values() if n.round_trip.rtt is not None]
    window = ANSWER_WINDOW + 2 * max(round_trips, default=0.0)
    if _may_probe(interface) and now >= max(probing.sent + window, probing.answered + ANSWER_PAUSE):
        probing.answered = now
        _send(state, interface, now)


def _pause(state: State, interface: Interface, now: float) -> float | None:
    """Return how long to wait between two probes; None for no probes."""
    if not _may_probe(interface):
        return None
    probing = interface.probing
    if now < max(probing.traffic_until, probing.sure_until):
        return PROBE_INTERVAL
    if now < probing.new_until and not _is_settled(interface):
        return PROBE_INTERVAL
    slow = any(neighbour.round_trip.penalty for neighbour in interface.neighbours.values())
    return WATCH_INTERVAL if slow and now < state.traffic_until else None


def _is_settled(interface: Interface) -> bool:
    """Return whether all neighbours said since the link is there that they hear us, and what they announce."""
    neighbours = interface.neighbours.values()
    return bool(neighbours) and not any(
        n.txcost == INFINITY or n.former_txcost is not None or n.multicast.presumed or n.awaits_table
        for n in neighbours
    )


def _may_probe(interface: Interface) -> bool:
    """Return whether Hellos out of turn may be sent: speakers of RFC 6126 do not know them (RFC 8966, app. F)."""
    parameters = interface.parameters
    return parameters.point_to_point and parameters.timestamps and not parameters.rfc6126_compatible


def _send(state: State, interface: Interface, now: float) -> None:
    """Send a Hello that promises nothing, with IHUs that echo the neighbours' stamps."""
    if interface.outbox.hello is None:
        queue_hello(state, interface, 0.0, 0.0, now)
        for neighbour in interface.neighbours.values():
            queue_ihu(state, neighbour, 0.0, now)
