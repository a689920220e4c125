"""How the two ends of a tunnel that is new or lives again come together within moments.

RFC 8966 has a Hello each few seconds, an IHU with each third (section 3.4) and one request for everything (section
3.8.1.1). The first of them may be lost, and an end that starts anew is known to the other one already, who then has
nothing to say for seconds. So they are repeated until both ends have heard what they need. All Hellos promise the next
one: there are speakers that let go of a neighbour for one that does not. An end that has forgotten the other one, who
has not forgotten it, is not asked for anything: it says by itself what it announces.
"""

from babelwg.babel.operation.dump import queue_dump
from babelwg.babel.operation.hellos import send_scheduled_hello
from babelwg.babel.operation.queueing import queue_ihu, queue_request
from babelwg.babel.state import State
from babelwg.babel.tables.interface import Interface
from babelwg.babel.tables.neighbour import Neighbour
from babelwg.babel.wire.tlv import INFINITY, RouteRequest

# Implementation constants: seconds
FIRST = (0.1, 0.2)  # until the first repetition, with jitter: many tunnels may start at once
INTERVAL = 0.4  # between two of them, and two round trips
LASTING = 3.0  # for all of them
UNASKED = 0.3  # until a neighbour is told everything that has not asked for it
# What came of a small table may be a change, and the packet of all else lost.
SMALL_TABLE = 64  # routes at most that are asked for twice
LONGEST_ANSWER = 1.0  # that is waited for, however long a round trip seems to take
# Introductions that neighbours may cause at once, and one more in so many seconds
WELCOMES, WELCOME_INTERVAL = 3, 10.0


def introduce(state: State, interface: Interface, now: float, surely: float = 0.0) -> None:
    """Repeat what a link needs until its neighbours have answered; for `surely` seconds in any case."""
    if not interface.parameters.point_to_point:
        return
    introduction = interface.introduction
    introduction.since, introduction.sure_until = now, max(introduction.sure_until, now + surely)
    state.timers.advance(introduction.timer, now + state.rng.uniform(*FIRST))


def welcome(state: State, interface: Interface, now: float) -> None:
    """Introduce ourselves to a neighbour that begins to be heard, though not again and again."""
    if interface.introduction.welcomes.spend(1, WELCOMES, 1 / WELCOME_INTERVAL, now):
        introduce(state, interface, now)


def handle_introduction_timer(state: State, interface: Interface, now: float) -> None:
    """Say again that we are there and whom we hear, and ask again for what was not told, unless nothing is missing."""
    introduction, neighbours = interface.introduction, [*interface.neighbours.values()]
    is_settled = neighbours and all(map(_is_settled, neighbours))
    is_over = now >= introduction.sure_until and (is_settled or now >= introduction.since + LASTING)
    if is_over or interface.failed is not None:
        return
    # What waited for a session was long under way, and says nothing of the link.
    pause = INTERVAL + min(2 * interface.longest_round_trip, LONGEST_ANSWER)
    state.timers.set(introduction.timer, now + pause)
    send_scheduled_hello(state, interface, 0.0, now)
    for neighbour in neighbours:
        queue_ihu(state, neighbour, 0.0, now)
        is_due = neighbour.asked_at is None or now >= neighbour.asked_at + pause
        if is_due and not _has_surely_told(neighbour):
            neighbour.asked_twice |= _has_told(neighbour)
            ask_for_everything(state, neighbour, now)
        if not neighbour.has_asked and neighbour.reachable and now >= introduction.since + UNASKED:
            neighbour.has_asked = True
            queue_dump(state, neighbour, now)
    if not neighbours:
        # Whoever is there and knows us says that it hears us.
        interface.outbox.requests[RouteRequest(None)] = None


def answer_introduction(state: State, neighbour: Neighbour, now: float) -> None:
    """Say that we are there and whom we hear to who asks for everything: it may know nothing of us yet."""
    if neighbour.interface.parameters.point_to_point:
        send_scheduled_hello(state, neighbour.interface, 0.0, now)
        queue_ihu(state, neighbour, 0.0, now)


def ask_for_everything(state: State, neighbour: Neighbour, now: float) -> None:
    """Ask a neighbour for all that it announces; it is awaited from now on."""
    neighbour.asked_at = now
    queue_request(state, neighbour, RouteRequest(None), now)


def _is_settled(neighbour: Neighbour) -> bool:
    """Return whether both ends have what they need of each other."""
    return _has_surely_told(neighbour) and neighbour.has_asked


def _has_surely_told(neighbour: Neighbour) -> bool:
    """Return whether a neighbour has told what it announces, and that twice where it is little."""
    return _has_told(neighbour) and (neighbour.asked_twice or len(neighbour.routes) > SMALL_TABLE)


def _has_told(neighbour: Neighbour) -> bool:
    """Return whether a neighbour has said since the link is there that it hears us, and what it announces."""
    says_so = neighbour.txcost != INFINITY and neighbour.former_txcost is None
    return says_so and neighbour.asked_at is None
