"""How a new life goes on with the routes of the last one, as if it had only slept, until neighbours confirm them.

Nothing of it is more than a delay: the source table says what was announced, so no loop can come of it.
"""

from collections.abc import Container, Iterable, Set
from functools import partial

from babelwg.babel.memory import Chosen, Heard, RouteRecord
from babelwg.babel.operation.acquisition import acquire
from babelwg.babel.operation.keeping import drop_awaited, keep_awaited
from babelwg.babel.operation.liveness import FIRST_MISS, NEXT_MISS, update_link
from babelwg.babel.operation.queueing import is_announced, note_bygone, queue_urgent, telling_together
from babelwg.babel.operation.requests import request_after_loss
from babelwg.babel.operation.routes import restore_route
from babelwg.babel.operation.selection import retract_prefix
from babelwg.babel.parameters import HOLD_FACTOR
from babelwg.babel.state import State
from babelwg.babel.tables.interface import Interface
from babelwg.babel.tables.neighbour import Cause, Neighbour
from babelwg.babel.timers import Timer
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import Update

# Implementation constants: seconds
ASK = 5.0  # until a route that the neighbour's dump did not confirm is asked about
HOLD = 15.0  # until one is given up that nobody confirmed, or whose interface has not come
RETRACTED_AT_ONCE, RETRACTION_PAUSE = 200, 0.05  # prefixes of earlier lives, and until the next ones
ANSWER = 1.0  # at least, until a neighbour that was silent before counts as gone


def restore_interface(state: State, interface: Interface, now: float) -> None:
    """Select again on a new interface what the last life had selected there, and ask its neighbours for all."""
    restored: dict[Neighbour, int] = {}
    silent: dict[bytes, list[RouteRecord]] = {}
    records = state.remembered.pop(interface.name, ())
    for prefix, chosen in records:
        assert chosen is not None, "only selected routes are remembered"
        if chosen.neighbour not in interface.neighbours and _is_silent(state, interface, chosen, now):
            silent.setdefault(chosen.neighbour, []).append(RouteRecord(prefix, chosen))
            continue
        neighbour = interface.neighbours.get(chosen.neighbour) or _restore_neighbour(
            state, interface, chosen, now
        )
        if neighbour is None:
            continue
        restored[neighbour] = chosen.txcost
        interval, metric = chosen.interval, chosen.refmetric
        update = Update(prefix, chosen.router_id, chosen.seqno, metric, interval, chosen.next_hop)
        restore_route(state, neighbour, update, chosen.since, HOLD, ASK, now)
    for neighbour, txcost in restored.items():
        neighbour.txcost = txcost
        # This finds the link usable, which selects its routes and asks for all that the neighbour has.
        update_link(state, neighbour, now)
    for address, lost in silent.items():
        _await(state, interface, address, lost, now)


def forget_interfaces(state: State, wanted: Container[str], now: float) -> None:
    """Lose what the last life had over interfaces that are not wanted any more."""
    for name in [name for name in state.remembered if name not in wanted]:
        _lose_former(state, state.remembered.pop(name), Cause("interface-unwanted"), now)


def retract_former(state: State, forwarded: Set[Prefix], now: float) -> None:
    """Retract what earlier lives announced and this one does not, but for what the kernel has `forwarded` since.

    Among it is what they retracted where nobody acknowledged it: they were killed, or a link lost it.
    """
    former, state.former = state.former, {}
    gone = []
    for prefix in former:
        if prefix in forwarded:
            state.former[prefix] = None
        elif not is_announced(state, prefix):
            _remember(state, prefix, now)
            gone.append(prefix)
    for interface in state.interfaces.values():
        for neighbour in interface.neighbours.values():
            if not neighbour.reachable:
                note_bygone(state, neighbour)
    _retract_some(state, gone, now)


def _retract_some(state: State, gone: list[Prefix], now: float) -> None:
    """Retract what is gone in parts: of most of it everybody has heard, and what fails now must not wait for that."""
    for prefix in gone[:RETRACTED_AT_ONCE]:
        if not is_announced(state, prefix):
            queue_urgent(state, prefix, now)
    if rest := gone[RETRACTED_AT_ONCE:]:
        state.timers.set(Timer(partial(_retract_some, state, rest)), now + RETRACTION_PAUSE)


def _is_silent(state: State, interface: Interface, chosen: Chosen, now: float) -> bool:
    # A neighbour that lost its memory waits until all have forgotten its former life for want of Hellos, and no
    # longer: so nothing is remembered any longer than if we had been there all the time, unless it speaks to us.
    heard = state.memory.heard.get((interface.name, chosen.neighbour))
    return heard is not None and now >= heard.until


def _await(state: State, interface: Interface, address: bytes, lost: list[RouteRecord], now: float) -> None:
    """Give a silent neighbour the rest of its time to say that it lives; what nobody listened in does not count."""
    heard = state.memory.heard[interface.name, address]
    # The next life, should this one be short, has to give it up too.
    state.heard_hellos[interface.name, address] = heard
    keep_awaited(state, lost)
    last = max(map(_last_heard, state.memory.heard.values()))
    when = max(now + ANSWER, heard.until + now - last)
    state.silences.set(Timer(partial(_give_up, state, interface.name, address, lost)), when)


def _last_heard(heard: Heard) -> float:
    return heard.until - (FIRST_MISS + NEXT_MISS) * heard.interval


def _give_up(state: State, name: str, address: bytes, lost: list[RouteRecord], now: float) -> None:
    """Retract what the last life had from a neighbour of which this one has heard nothing, in the kernel too."""
    interface = state.interfaces.get(name)
    if interface is not None and address in interface.neighbours:
        return
    drop_awaited(state, name, address)
    _lose_former(state, lost, Cause("not-heard"), now)


def _lose_former(state: State, lost: Iterable[RouteRecord], cause: Cause, now: float) -> None:
    """Retract what the last life had and this one has not, and ask for other ways."""
    with telling_together(state, now):
        for prefix, chosen in lost:
            if prefix not in state.former or is_announced(state, prefix):
                continue
            assert chosen is not None, "only selected routes are remembered"
            del state.former[prefix]
            _remember(state, prefix, now)
            retract_prefix(state, prefix, cause, None, now)
            request_after_loss(state, prefix, chosen.router_id, None, now)


def _remember(state: State, prefix: Prefix, now: float) -> None:
    """Have those told too who come while neighbours may hold what an earlier life announced."""
    if not state.bygone:
        state.timers.set(Timer(lambda now: state.bygone.clear()), now + state.source_lifetime)
    state.bygone[prefix] = None


def _restore_neighbour(state: State, interface: Interface, chosen: Chosen, now: float) -> Neighbour | None:
    heard = state.memory.heard.get((interface.name, chosen.neighbour))
    if heard is None:
        return None
    if (neighbour := acquire(state, interface, chosen.neighbour)) is None:
        return None
    state.heard_hellos[interface.name, neighbour.address] = (
        heard  # for the next life, should this one be short
    )
    neighbour.last_heard, neighbour.has_heard_us = now, True
    neighbour.has_asked = True  # it holds what the last life announced, and hears what is new
    neighbour.multicast.presume(*heard)
    state.silences.set(neighbour.multicast.timer, heard.until)
    state.silences.set(neighbour.ihu_timer, now + HOLD_FACTOR * interface.parameters.ihu_interval)
    return neighbour
