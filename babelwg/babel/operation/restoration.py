"""How a new life goes on with the routes of the last one, as if it had only slept, until neighbours confirm them.

Nothing of it is more than a delay: the source table says what was announced, so no loop can come of it.
"""

from babelwg.babel.memory import Chosen
from babelwg.babel.operation.acquisition import acquire
from babelwg.babel.operation.liveness import update_link
from babelwg.babel.operation.queueing import queue_urgent
from babelwg.babel.operation.routes import restore_route
from babelwg.babel.parameters import HOLD_FACTOR
from babelwg.babel.state import State
from babelwg.babel.tables.interface import Interface
from babelwg.babel.tables.neighbour import Neighbour
from babelwg.babel.wire.tlv import Update

# Implementation constants: seconds
ASK = 5.0  # until a route that the neighbour's dump did not confirm is asked about
HOLD = 15.0  # until one is given up that nobody confirmed, or whose interface has not come
SETTLE = (
    1.0  # until what is not selected again is retracted: neighbours still hold what the last life announced
)


def restore_interface(state: State, interface: Interface, now: float) -> None:
    """Select again on a new interface what the last life had selected there, and ask its neighbours for all."""
    restored: dict[Neighbour, int] = {}
    records = state.remembered.pop(interface.name, ())
    for prefix, chosen in records:
        assert chosen is not None, "only selected routes are remembered"
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
    state.former += [prefix for prefix, _ in records if prefix not in state.routes.selected]


def retract_former(state: State, now: float) -> None:
    """Retract what the last life announced and this one could not take up again: the kernel forwards it no more."""
    missing = [prefix for records in state.remembered.values() for prefix, _ in records]
    former, state.former = [*state.former, *missing], []
    for prefix in former:
        if prefix not in state.routes.selected and prefix not in state.xroutes:
            queue_urgent(state, prefix, now)


def _restore_neighbour(state: State, interface: Interface, chosen: Chosen, now: float) -> Neighbour | None:
    heard = state.memory.heard.get((interface.name, chosen.neighbour))
    # A neighbour that lost its memory waits until all have forgotten its former life for want of Hellos, and no
    # longer: so nothing is remembered any longer than if we had been there all the time, unless it speaks to us.
    if heard is None or now >= heard.until:
        return None
    if (neighbour := acquire(state, interface, chosen.neighbour)) is None:
        return None
    state.heard_hellos[interface.name, neighbour.address] = (
        heard  # for the next life, should this one be short
    )
    neighbour.last_heard, neighbour.has_heard_us = now, True
    neighbour.multicast.presume(*heard)
    state.silences.set(neighbour.multicast.timer, heard.until)
    state.silences.set(neighbour.ihu_timer, now + HOLD_FACTOR * interface.parameters.ihu_interval)
    return neighbour
