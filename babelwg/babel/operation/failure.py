"""Links that the shell found dead, and how they are tried again: the packets of users tell before Hellos do.

RFC 8966 leaves it open how reachability is sensed (section 3.4); here the Hellos are joined by what the shell
observes of the link itself.
"""

from babelwg.babel.events import LinkFailed, LinkRestored
from babelwg.babel.operation.hellos import send_scheduled_hello
from babelwg.babel.operation.introduction import introduce
from babelwg.babel.operation.liveness import drop_link, forgive, update_link
from babelwg.babel.operation.queueing import queue_hello, queue_ihu, queue_small
from babelwg.babel.operation.selection import is_shut
from babelwg.babel.state import State
from babelwg.babel.tables.interface import Interface
from babelwg.babel.tables.neighbour import Neighbour
from babelwg.babel.tables.route import Route
from babelwg.babel.wire.tlv import INFINITY, AcknowledgmentRequest

# Implementation constants: seconds
RETRY_INTERVAL = 2.0  # between two Hellos out of turn on a dead link
TELL_AGAIN = (
    0.1,
    0.3,
    1.0,
)  # after it was found dead, for a neighbour that still hears us: one word may get lost
IHU_PATIENCE = 1.0  # for a neighbour to say that it hears us, before what it said earlier holds
TOLERANCE = 0.05  # within which a timer counts as due
RETRY_FOR = 600.0  # after which the ordinary Hellos have to do
ANSWER_INTERVAL = 0.01  # within which an acknowledgment is asked for
LONGEST_ANSWER = 60.0  # for which an acknowledgment is awaited
MAX_ASKED, MAX_ANSWERS = 32, 256
ONE_WAY_HOLD = 120.0  # in which Hellos say nothing of a link that was dead although they came
HELLOS_ENOUGH = 3  # in a row, none of them missed: what is said of the link by them is newer


def fail_link(state: State, interface: Interface, why: str, now: float, one_way: bool = False) -> None:
    """Use a link no longer, and tell everybody at once; its neighbours and what they announced stay known."""
    if interface.failed is not None:
        return
    interface.failed, interface.heard_since, interface.one_way = now, 0, one_way
    state.emit(LinkFailed(interface.name, why))
    for neighbour in list(interface.neighbours.values()):
        drop_link(state, neighbour, now)
        # The neighbour may find the link dead later than we, and living later: it has to say itself that it hears us.
        if neighbour.txcost != INFINITY:
            neighbour.txcost, neighbour.former_txcost = INFINITY, neighbour.txcost
    state.timers.set(interface.retry_timer, now + TELL_AGAIN[0])


def restore_link(state: State, interface: Interface, now: float) -> None:
    """Use a link again: packets were seen to go both ways, so what was missed meanwhile says nothing of it."""
    if interface.failed is None:
        return
    state.emit(LinkRestored(interface.name, now - interface.failed))
    interface.failed = None
    state.timers.cancel(interface.retry_timer)
    for neighbour in interface.neighbours.values():
        forgive(state, neighbour, now)
        neighbour.trusted_at = now + IHU_PATIENCE
        state.timers.advance(neighbour.link_timer, neighbour.trusted_at)
        update_link(state, neighbour, now)
    send_scheduled_hello(state, interface, 0.0, now)
    for neighbour in interface.neighbours.values():
        queue_ihu(state, neighbour, 0.0, now)
    introduce(state, interface, now, surely=IHU_PATIENCE)


def has_alternative(state: State, interface: Interface) -> bool:
    """Return whether a prefix that is routed over an interface might be reached over another one, if asked for.

    A neighbour on another one is enough that tells of several routers: it does not tell of its own way as long as it
    takes the one through us (split horizon, RFC 8966 section 3.7.4).
    """
    others = [
        n for other in state.interfaces.values() if other is not interface for n in other.neighbours.values()
    ]
    if not any(neighbour.routes for neighbour in others):
        return False
    routes = (route for neighbour in interface.neighbours.values() for route in neighbour.routes.values())
    used = (r for r in routes if (chosen := state.routes.selected.get(r.prefix)) and chosen.route is r)
    if any(map(_is_relay, others)):
        return any(True for _ in used)
    return any(
        other.metric < INFINITY
        and other.neighbour.interface is not interface
        and other not in state.routes.refused
        for route in used
        for other in state.routes.candidates(route.prefix)
    )


def is_needed(state: State, interface: Interface) -> bool:
    """Return whether a dead link may lead to what no other one leads to: a prefix without a way, or anywhere at all.

    Its other end finds so too, where it lost the way to what lies here: neither is kept waiting by the other.
    """
    if not any(n.reachable for other in state.interfaces.values() for n in other.neighbours.values()):
        return True
    return any(
        prefix not in state.routes.selected and _may_serve(state, neighbour.routes[prefix])
        for neighbour in interface.neighbours.values()
        for prefix in neighbour.finite
    )


def _may_serve(state: State, route: Route) -> bool:
    """Return whether a route over a dead link could be used if the link were not dead."""
    return not (route.filtered or route in state.routes.refused or is_shut(state, route.prefix))


def _is_relay(neighbour: Neighbour) -> bool:
    """Return whether a neighbour that can be reached announces what several routers have."""
    announced = (route.router_id for route in neighbour.routes.values() if route.refmetric < INFINITY)
    first = next(announced, None) if neighbour.reachable else None
    return first is not None and any(router_id != first for router_id in announced)


def ask_neighbours(state: State, interface: Interface, now: float) -> None:
    """Have the neighbours acknowledge that they hear us, in the shortest time that can be asked for (§3.3)."""
    for neighbour in interface.neighbours.values():
        nonce = state.allocate_nonce()
        interface.asked[nonce] = now
        if len(interface.asked) > MAX_ASKED:
            del interface.asked[next(iter(interface.asked))]
        queue_small(state, neighbour, AcknowledgmentRequest(nonce, ANSWER_INTERVAL), 0.0, now)


def handle_answer(state: State, neighbour: Neighbour, nonce: int, now: float) -> None:
    """Take note of an acknowledgment that the shell waits for."""
    asked = neighbour.interface.asked.pop(nonce, None)
    # A number comes again after 65536 others, in the answer to something else.
    if asked is not None and now <= asked + LONGEST_ANSWER and len(state.answers) < MAX_ANSWERS:
        state.answers.append((neighbour.interface.name, now - asked))


def note_promised_hello(state: State, interface: Interface, now: float) -> None:
    """Use a dead link again whose neighbour is heard as often as on a living one, whatever the shell found."""
    if interface.failed is None:
        return
    interface.heard_since += 1
    # On a link that is dead one way Hellos come all the time, and for a while IHUs that know nothing of it yet.
    is_believed = not interface.one_way or now >= interface.failed + ONE_WAY_HOLD
    if interface.heard_since >= HELLOS_ENOUGH and is_believed:
        state.count("link_restored_by_hellos")
        for neighbour in interface.neighbours.values():
            # That we hear it says nothing of whether it hears us: only an IHU that came since does.
            neighbour.former_txcost = None
        restore_link(state, interface, now)


def handle_retry_timer(state: State, interface: Interface, now: float) -> None:
    """Say again that we hear nobody on a dead link, and try it: one who hears us answers."""
    failed = interface.failed
    if failed is None or now > failed + RETRY_FOR:
        return
    waits = (*TELL_AGAIN, RETRY_INTERVAL)
    due = next((failed + wait for wait in waits if now < failed + wait - TOLERANCE), now + RETRY_INTERVAL)
    state.timers.set(interface.retry_timer, due)
    # One who still hears us has perhaps begun anew since it was told.
    for neighbour in interface.neighbours.values():
        queue_ihu(state, neighbour, 0.0, now)
    may_try = now >= failed + RETRY_INTERVAL - TOLERANCE and not interface.parameters.rfc6126_compatible
    if may_try and interface.outbox.hello is None:
        interval = 0.0 if interface.all_stamp else interface.parameters.hello_interval
        queue_hello(state, interface, interval, 0.0, now)
