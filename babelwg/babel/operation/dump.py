"""Full dumps: everything that is announced, batch by batch; what has not changed is not encoded again (§3.7.1)."""

from operator import is_
from typing import Any

from babelwg.babel.operation.overload import choose_update_interval
from babelwg.babel.operation.queueing import ordinary_delay, outboxes, urgent_delay
from babelwg.babel.operation.updates import build_update
from babelwg.babel.state import State
from babelwg.babel.tables.batch import Batch, Encoding, Setting
from babelwg.babel.tables.interface import Interface
from babelwg.babel.tables.neighbour import Neighbour
from babelwg.babel.tables.outbox import Outbox
from babelwg.babel.tables.source import Announcement, Source
from babelwg.babel.wire.encode import PacketWriter
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY

# Implementation constants
# Periodic updates leave early rather than late, because neighbours count from the promised interval.
PERIODIC_JITTER = (0.85, 0.95)  # of the update interval
FURTHER_DUMPS = 2  # beside the first one, that wait for no interval: a dump or the request for it may be lost
# A small table costs as little as an answer.
FIRST_PAUSE, DUMP_PAUSE = 0.1, 0.002  # seconds between two dumps, and more for each prefix


def handle_update_timer(state: State, interface: Interface, now: float) -> None:
    """Queue the periodic update of everything (§3.7.1)."""
    _start_interval(state, interface, now)
    for outbox in outboxes(interface) if interface.neighbours else ():
        _queue(state, interface, outbox)
        state.sending.advance(outbox.timer, now + ordinary_delay(state, interface))


def join_hello(state: State, interface: Interface, now: float) -> None:
    """Let the periodic update leave with the Hello that leaves now, if it is due before the next one."""
    due, next_hello = interface.update_timer.when, interface.hello_timer.when
    if due is None or next_hello is None or due > next_hello or not _meets_hellos(interface):
        return
    _start_interval(state, interface, now)
    if interface.neighbours:
        _queue(state, interface, interface.outbox)


def _start_interval(state: State, interface: Interface, now: float) -> None:
    """Have the next periodic update leave within the interval that this one promises."""
    interval = choose_update_interval(state, interface, now)
    # With a Hello it leaves early rather than late, and has the jitter of that.
    share = 1.0 if _meets_hellos(interface) else state.rng.uniform(*PERIODIC_JITTER)
    state.timers.set(interface.update_timer, now + interval * share)


def _meets_hellos(interface: Interface) -> bool:
    """Return whether periodic updates go where Hellos go, and less often: they then share packets."""
    parameters = interface.parameters
    return not parameters.unicast and parameters.update_interval >= parameters.hello_interval


def queue_dump(state: State, neighbour: Neighbour, now: float) -> bool:
    """Queue everything for one neighbour, after a few times only now and then (§3.8.1.1): the more the seldomer.

    Return whether it leaves now, and not later.
    """
    account = neighbour.account
    announced = len(state.xroutes) + len(state.routes.selected)
    interval = min(state.parameters.dump_interval, FIRST_PAUSE + DUMP_PAUSE * announced)
    # The table may have been larger.
    account.dump_allowed = min(account.dump_allowed, now + (1 + FURTHER_DUMPS) * interval)
    if now < (allowed := account.dump_allowed - FURTHER_DUMPS * interval):
        state.timers.advance(neighbour.dump_timer, allowed)
        return False
    state.timers.cancel(neighbour.dump_timer)
    account.dump_allowed = max(account.dump_allowed, now) + interval
    _queue(state, neighbour.interface, neighbour.outbox)
    state.sending.advance(neighbour.outbox.timer, now + urgent_delay(state, neighbour.interface))
    return True


def write_dump(state: State, interface: Interface, outbox: Outbox, writer: PacketWriter, now: float) -> None:
    """Write the batches that wait, each as it is true now, until the packet is full."""
    setting, written = _setting(state, interface), []
    for batch in outbox.batches:
        # Only now: what was queued and has changed since may be told nowhere else behind a retraction of everything.
        if not _is_silent(state, interface.encodings.get(batch), setting):
            encoding = _encoding(state, interface, batch, setting, now)
            if not writer.add_octets(encoding.octets):
                assert writer, "any batch fits in an empty packet"
                break
            outbox.updates |= dict.fromkeys(encoding.rest)
        written.append(batch)
    # Who takes the first of a dictionary again and again passes, each time, all that he took before.
    for batch in written:
        del outbox.batches[batch]


def _queue(state: State, interface: Interface, outbox: Outbox) -> None:
    if state.batches.stale:
        learned = sorted(state.routes.selected.items(), key=lambda item: (item[1].router_id, item[0]))
        state.batches.cut((*sorted(state.xroutes), *(prefix for prefix, _ in learned)))
    batches = state.batches.all()
    known = interface.encodings
    interface.encodings = {batch: known[batch] for batch in batches if batch in known}
    outbox.batches |= dict.fromkeys(batches)


def _is_silent(state: State, known: Encoding | None, setting: Setting) -> bool:
    """Return whether nothing is to be said of a batch, as of all that its only hearer announces himself."""
    if known is None or known.octets or known.rest:
        return False
    return known.revision == state.batches.revision and known.setting == setting


def _encoding(state: State, interface: Interface, batch: Batch, setting: Setting, now: float) -> Encoding:
    """Return the updates of a batch as they are now; sending them narrows what is feasible (§3.7.3)."""
    known = interface.encodings.get(batch)
    is_true = known and known.setting == setting and _is_true(state, batch, known)
    # Whatever was announced once has its place in the source table, unless it rested for long.
    if known and is_true and state.sources.repeat(known.announced, state.source_lifetime, now):
        return known
    octets, sources, rest = _encode(state, interface, batch, setting.capacity, now)
    announced = Announcement(sources, now)
    encoding = Encoding(octets, announced, rest, _facts(state, batch), setting, state.batches.revision)
    # Of a source table that is full some may have a place the next time.
    if len(state.sources) < state.parameters.max_sources:
        interface.encodings[batch] = encoding
    return encoding


def _is_true(state: State, batch: Batch, encoding: Encoding) -> bool:
    """Return whether what was said of all prefixes is still so."""
    if encoding.revision != state.batches.revision:
        if not all(map(is_, encoding.facts, _facts(state, batch))):
            return False
        encoding.revision = state.batches.revision
    return True


def _facts(state: State, batch: Batch) -> tuple[Any, ...]:
    """Return what decides what is announced of each prefix; any change of it makes another object."""
    xroutes, selected = state.xroutes.get, state.routes.selected.get
    return tuple([selected(prefix) or xroutes(prefix) for prefix in batch.prefixes])


def _setting(state: State, interface: Interface) -> Setting:
    return Setting(
        state.seqno,
        interface.update_interval,
        interface.link_local,
        interface.capacity,
        interface.parameters,
        state.parameters,
        state.policy,
    )


def _encode(
    state: State, interface: Interface, batch: Batch, capacity: int, now: float
) -> tuple[bytes, tuple[Source, ...], tuple[Prefix, ...]]:
    """Return the octets of a batch, the sources that they announce, and the prefixes that found no room."""
    writer = PacketWriter(capacity, interface.link_local)
    sources: list[Source] = []
    rest = iter(batch.prefixes)
    for prefix in rest:
        update = build_update(state, interface, prefix, solicited=False, urgent=False, now=now)
        if update is None:
            continue
        if not writer.add(update):
            return writer.octets(), tuple(sources), (prefix, *rest)
        if update.metric < INFINITY and update.router_id is not None:
            sources.append(Source(prefix, update.router_id))
    return writer.octets(), tuple(sources), ()
