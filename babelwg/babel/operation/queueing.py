"""When what waits may leave: at once, jittered, or when a pacer allows (RFC 8966, section 3.1)."""

from collections.abc import Iterator, Sequence, Sized
from contextlib import contextmanager
from itertools import islice

from babelwg.babel.operation.permission import concerned
from babelwg.babel.parameters import URGENT_TIMEOUT
from babelwg.babel.policy import AllowAll
from babelwg.babel.state import State
from babelwg.babel.tables.interface import Interface
from babelwg.babel.tables.neighbour import Neighbour
from babelwg.babel.tables.outbox import Gathered, Group, Outbox, SmallTlv
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import RouteRequest, SeqnoRequest

# Implementation constants: seconds
POINT_TO_POINT_DELAY = (0.02, 0.1)  # lets changes that come together leave together
SHARED_URGENT_DELAY = (0.01, URGENT_TIMEOUT / 2)
SHARED_DELAY_FACTOR = (0.1, 0.4)  # of the Hello interval; §3.1 allows half of it
MAX_UNTOLD = 4096  # retractions on an interface of which nobody knows whether they were heard


def urgent_delay(state: State, interface: Interface) -> float:
    """Return the jitter of an urgent TLV: none where no other speaker can collide with us."""
    return 0.0 if interface.parameters.point_to_point else state.rng.uniform(*SHARED_URGENT_DELAY)


def ordinary_delay(state: State, interface: Interface, chance: float | None = None) -> float:
    """Return the jitter of a TLV that is not urgent, in seconds; `chance` lies between 0 and 1."""
    chance = state.rng.random() if chance is None else chance
    if interface.parameters.point_to_point:
        shortest, longest = POINT_TO_POINT_DELAY
        return min(interface.parameters.hello_interval / 2, shortest + (longest - shortest) * chance)
    least, most = SHARED_DELAY_FACTOR
    return interface.parameters.hello_interval * (least + (most - least) * chance)


def queue_hello(state: State, interface: Interface, interval: float, delay: float, now: float) -> None:
    """Queue a multicast Hello that promises the next one within `interval` seconds."""
    interface.outbox.hello = interval
    state.sending.advance(interface.outbox.timer, now + delay)


def queue_ihu(state: State, neighbour: Neighbour, delay: float, now: float) -> None:
    """Queue an IHU for a neighbour beside the Hellos that all hear (§3.4.2)."""
    outbox = neighbour.interface.outbox
    outbox.ihus[neighbour.address] = neighbour
    state.sending.advance(outbox.timer, now + delay)


def queue_small(state: State, neighbour: Neighbour, tlv: SmallTlv, delay: float, now: float) -> None:
    """Queue a TLV that waits for no other traffic."""
    if len(neighbour.outbox.small) >= state.parameters.max_queued_answers:
        state.count("answer_suppressed.queue-full")
        return
    neighbour.outbox.small.append(tlv)
    state.sending.advance(neighbour.outbox.timer, now + delay)


def queue_request(state: State, neighbour: Neighbour, tlv: RouteRequest | SeqnoRequest, now: float) -> None:
    """Queue a request, which is urgent because packets may be lost until it is answered."""
    if tlv.prefix is not None and not neighbour.interface.may_carry(tlv.prefix):
        state.count("request_suppressed.rfc6126")
        return
    if len(neighbour.outbox.requests) >= state.parameters.max_queued_answers:
        state.count("request_suppressed.queue-full")
        return
    neighbour.outbox.requests[tlv] = None
    state.sending.advance(neighbour.outbox.timer, now + urgent_delay(state, neighbour.interface))


def queue_answer(state: State, neighbour: Neighbour, prefix: Prefix, now: float) -> None:
    """Queue an update that a neighbour asked for."""
    if len(neighbour.outbox.answers) >= state.parameters.max_queued_answers:
        state.count("answer_suppressed.queue-full")
        return
    neighbour.outbox.answers[prefix] = None
    state.sending.advance(neighbour.outbox.timer, now + urgent_delay(state, neighbour.interface))


@contextmanager
def telling_together(state: State, now: float) -> Iterator[None]:
    """Queue at the end what is to be told of many prefixes: for each of many links at once, and not for each prefix."""
    if state.gathered is not None:
        yield
        return
    gathered = state.gathered = Gathered({}, {})
    try:
        yield
    finally:
        state.gathered = None
        for (but, *_), urgent in gathered.urgent.items():
            for interface in concerned(state, next(iter(urgent)), but):
                _queue_all_urgent(state, interface, urgent, now)
        chance = state.rng.random()
        for ordinary in gathered.ordinary.values():
            for interface in concerned(state, next(iter(ordinary))):
                _queue_all_ordinary(state, interface, ordinary, now, chance)


def _gather(
    state: State, groups: dict[Group, dict[Prefix, None]] | None, prefix: Prefix, but: Interface | None = None
) -> bool:
    """Have a prefix told with others that concern the same interfaces; False where filters see to each by itself."""
    if groups is None or type(state.policy) is not AllowAll or prefix in state.permissions:
        return False
    groups.setdefault((but, prefix.family, prefix.source_plen > 0), {})[prefix] = None
    return True


def queue_urgent(state: State, prefix: Prefix, now: float, but: Interface | None = None) -> None:
    """Queue an update of a prefix to all neighbours but those on one interface, within the urgent timeout (§3.7.2)."""
    if _gather(state, state.gathered and state.gathered.urgent, prefix, but):
        return
    for interface in concerned(state, prefix, but):
        queue_urgent_on(state, interface, prefix, now)


def queue_urgent_on(state: State, interface: Interface, prefix: Prefix, now: float) -> None:
    """Queue an urgent update of a prefix on one interface."""
    _queue_all_urgent(state, interface, {prefix: None}, now)


def _queue_all_urgent(state: State, interface: Interface, prefixes: dict[Prefix, None], now: float) -> None:
    if not interface.neighbours:
        return
    if not interface.has_reachable_neighbour:
        for neighbour in interface.neighbours.values():
            for prefix in prefixes:
                note_untold(state, neighbour, prefix)
    for outbox in outboxes(interface):
        urgent, when = outbox.urgent, outbox.timer.when
        if (room := room_in(state, urgent, len(prefixes))) == 0:
            continue
        # What waits already has its jitter; a random number for each of many prefixes would take long.
        if when is None or (not urgent and when > now):
            state.sending.advance(outbox.timer, now + urgent_delay(state, interface))
        urgent.update(dict.fromkeys(_first(prefixes, room), 1))


def queue_untold(state: State, neighbour: Neighbour, now: float) -> None:
    """Tell a neighbour again what was retracted while it seemed to hear nothing: no full table would say it."""
    untold, neighbour.untold = neighbour.untold, {}
    outbox = neighbour.outbox
    for prefix in untold:
        if not is_announced(state, prefix) and room_in(state, outbox.urgent, 1):
            outbox.urgent.setdefault(prefix, 1)
    if outbox.urgent:
        state.sending.advance(outbox.timer, now + urgent_delay(state, neighbour.interface))


def note_untold(state: State, neighbour: Neighbour, prefix: Prefix) -> None:
    """Remember that a neighbour may not have heard of a retraction; of too many the latest are remembered."""
    if is_announced(state, prefix):
        return
    untold = neighbour.untold
    untold.pop(prefix, None)
    if len(untold) >= MAX_UNTOLD // max(1, len(neighbour.interface.neighbours)):
        state.count("update_suppressed.untold")
        del untold[next(iter(untold))]
    untold[prefix] = None


def note_bygone(state: State, neighbour: Neighbour) -> None:
    """Remember of a neighbour that comes late that it has not heard what was retracted of earlier lives."""
    most = MAX_UNTOLD // max(1, len(neighbour.interface.neighbours))
    neighbour.untold |= dict.fromkeys(islice(state.bygone, most))


def is_announced(state: State, prefix: Prefix) -> bool:
    """Return whether we have a way for a prefix."""
    return prefix in state.xroutes or prefix in state.routes.selected


def queue_ordinary(state: State, prefix: Prefix, now: float) -> None:
    """Queue an update of a prefix to all neighbours, with jitter."""
    if _gather(state, state.gathered and state.gathered.ordinary, prefix):
        return
    # One chance for all: what leaves together is encoded once, and only on one link could speakers collide.
    chance = state.rng.random()
    for interface in concerned(state, prefix):
        queue_ordinary_on(state, interface, prefix, now, chance)


def queue_ordinary_on(
    state: State, interface: Interface, prefix: Prefix, now: float, chance: float | None = None
) -> None:
    """Queue an update of a prefix on one interface, with jitter."""
    _queue_all_ordinary(state, interface, {prefix: None}, now, chance)


def _queue_all_ordinary(
    state: State, interface: Interface, prefixes: dict[Prefix, None], now: float, chance: float | None
) -> None:
    for outbox in outboxes(interface) if interface.neighbours else ():
        urgent = outbox.urgent
        new = {prefix: None for prefix in prefixes if prefix not in urgent} if urgent else prefixes
        if new and (room := room_in(state, outbox.updates, len(new))):
            outbox.updates |= _first(new, room)
            state.sending.advance(outbox.timer, now + ordinary_delay(state, interface, chance))


def _first(prefixes: dict[Prefix, None], number: int) -> dict[Prefix, None]:
    # Of a whole dictionary another one is made without a look at any prefix.
    return prefixes if number == len(prefixes) else dict.fromkeys(islice(prefixes, number))


def outboxes(interface: Interface) -> Sequence[Outbox]:
    """Return where updates for all neighbours on an interface go: to the group, or to each of them (§3.7)."""
    if interface.parameters.unicast:
        return [neighbour.outbox for neighbour in interface.neighbours.values()]
    return (interface.outbox,)


def room_in(state: State, queue: Sized, wanted: int) -> int:
    """Return how many updates of those wanted a queue takes; the periodic update repairs what it could not take."""
    room = min(wanted, max(0, state.parameters.max_queued_updates - len(queue)))
    if room < wanted:
        state.count("update_suppressed.queue-full", wanted - room)
    return room
