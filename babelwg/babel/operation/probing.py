"""When the delay of a tunnel is measured out of turn: while traffic flows (RFC 9616, section 3.2)."""

from babelwg.babel.operation.queueing import queue_hello, queue_ihu
from babelwg.babel.state import State
from babelwg.babel.tables.interface import Interface

# Implementation constants: seconds, unless said otherwise
TRAFFIC_HOLD = 3.0  # for which noted traffic counts
PROBE_INTERVAL = 0.4  # of a tunnel that carries traffic
WATCH_INTERVAL = 1.0  # of one that costs more for its delay, while traffic flows elsewhere
JITTER = (0.9, 1.0)  # of these intervals
ANSWER_PAUSE = 0.3  # between two answers
# One who probes by itself does not answer, or two would answer each other for ever.
ANSWER_WINDOW = 3.0
MAX_UNANSWERED = 5  # probes to a neighbour that never sends one itself
RETRY = 60.0  # between two probes of such a neighbour


def note_traffic(state: State, interface: Interface, now: float) -> None:
    """Measure while packets flow: this tunnel, and those that are avoided for their delay."""
    interface.probing.traffic_until = state.traffic_until = now + TRAFFIC_HOLD
    for each in state.interfaces.values():
        if each.probing.timer.when is None and _pause(state, each, now) is not None:
            state.timers.set(each.probing.timer, now)


def handle_probe_timer(state: State, interface: Interface, now: float) -> None:
    """Send the next probe, or cease because no traffic flows any more."""
    if (pause := _pause(state, interface, now)) is None:
        return
    state.timers.set(interface.probing.timer, now + pause * state.rng.uniform(*JITTER))
    probing = interface.probing
    if probing.unanswered < MAX_UNANSWERED or now >= probing.sent + RETRY:
        probing.unanswered += 1
        probing.sent = now
        _send(state, interface, now)


def handle_probe(state: State, interface: Interface, now: float) -> None:
    """Answer a neighbour's probe, unless probes of our own say the same."""
    probing = interface.probing
    probing.unanswered = 0
    # An answer looks like a probe, and may come late.
    pause = ANSWER_PAUSE + 2 * interface.longest_round_trip
    if _may_probe(interface) and now >= max(probing.sent + ANSWER_WINDOW, probing.answered + pause):
        probing.answered = now
        _send(state, interface, now)


def _pause(state: State, interface: Interface, now: float) -> float | None:
    """Return how long to wait between two probes; None for no probes."""
    if not _may_probe(interface):
        return None
    if now < interface.probing.traffic_until:
        return PROBE_INTERVAL
    slow = any(neighbour.round_trip.penalty for neighbour in interface.neighbours.values())
    return WATCH_INTERVAL if slow and now < state.traffic_until else None


def _may_probe(interface: Interface) -> bool:
    """Return whether Hellos out of turn may be sent: speakers of RFC 6126 do not know them (RFC 8966, app. F)."""
    parameters = interface.parameters
    knows = parameters.timestamps and not parameters.rfc6126_compatible and interface.all_stamp
    return parameters.point_to_point and knows


def _send(state: State, interface: Interface, now: float) -> None:
    """Send a Hello that promises nothing, with IHUs that echo the neighbours' stamps."""
    if interface.outbox.hello is None and interface.neighbours:
        queue_hello(state, interface, 0.0, 0.0, now)
        for neighbour in interface.neighbours.values():
            queue_ihu(state, neighbour, 0.0, now)
