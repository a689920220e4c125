"""How a life ends that another one goes on with: neighbours hear at once what they must not miss until then."""

from babelwg.babel.operation.acknowledgments import tell_unacknowledged
from babelwg.babel.operation.hellos import send_scheduled_hello
from babelwg.babel.state import State

# Implementation constant: octets that leave an interface beside its pace, which a receive buffer of the usual size
# holds; what is more the next life tells.
LAST_OCTETS = 100_000


def pause(state: State, now: float) -> None:
    """Send a last Hello and all retractions that wait or are not acknowledged, and fall silent."""
    for interface in state.interfaces.values():
        send_scheduled_hello(state, interface, 0.0, now)
        interface.pacer.extra = LAST_OCTETS
        for neighbour in interface.reachable_neighbours():
            tell_unacknowledged(state, neighbour, now)
        for outbox in interface.all_outboxes():
            outbox.requests.clear()  # nobody would be there for the answers
            if outbox.paced:
                state.sending.advance(outbox.timer, now)
    state.stop()
