"""What a next life shall know of the selected routes, and what of it must not wait.

A route that nobody stored is only missed for a moment, and so it may be stored at leisure. What is stored and does not
hold any more is another matter: a neighbour that lost its memory trusts that nobody uses its former life once we have
acknowledged that it is over, and no life of ours must take that up again.
"""

from collections.abc import Iterable
from itertools import islice

from babelwg.babel.memory import Chosen, RouteRecord
from babelwg.babel.state import State
from babelwg.babel.tables.route import Selection
from babelwg.babel.wire.prefix import Prefix


def note_choice(state: State, prefix: Prefix) -> None:
    """Take note that a prefix has another selected route, or none any more, or that its route says another thing."""
    if prefix not in state.newly_chosen:
        state.rechosen[prefix] = None
    elif prefix not in state.routes.selected:
        del state.newly_chosen[prefix]


def note_first_choice(state: State, prefix: Prefix) -> None:
    """Take note that a prefix has a selected route that had none."""
    if prefix not in state.rechosen:
        state.newly_chosen[prefix] = None


def keep_awaited(state: State, records: Iterable[RouteRecord]) -> None:
    """Have stored again what the last life had from a silent neighbour, which the next one may have to give up."""
    for prefix, chosen in records:
        if chosen is not None and prefix not in state.routes.selected:
            state.awaited[prefix] = chosen
            note_first_choice(state, prefix)


def drop_awaited(state: State, interface: str, address: bytes) -> None:
    """Have stored at once that nothing of a neighbour's former life is awaited any more: it speaks, or is given up."""
    if (interface, address) not in state.memory.heard:
        return
    for prefix in [p for p, c in state.awaited.items() if (c.interface, c.neighbour) == (interface, address)]:
        del state.awaited[prefix]
        # Also where another route is new: with the neighbour's next Hello what is stored would come to life again.
        state.newly_chosen.pop(prefix, None)
        state.rechosen[prefix] = None


def changes_to_store(state: State) -> list[RouteRecord]:
    """Return the selected routes that changed since the last call, each prefix once."""
    rechosen, state.rechosen = state.rechosen, {}
    return [_record(state, prefix) for prefix in rechosen]


def news_to_store(state: State, most: int | None) -> list[RouteRecord]:
    """Return `most` of the selected routes of prefixes that had none, or all for None, each once."""
    found = [*islice(state.newly_chosen, most)]
    for prefix in found:
        del state.newly_chosen[prefix]
    return [_record(state, prefix) for prefix in found]


def selected_routes(state: State) -> list[RouteRecord]:
    """Return all selected routes, and what is awaited, after which none is new."""
    state.newly_chosen.clear()
    return [_record(state, prefix) for prefix in dict.fromkeys((*state.routes.selected, *state.awaited))]


def _record(state: State, prefix: Prefix) -> RouteRecord:
    selection = state.routes.selected.get(prefix)
    if selection is None:
        return RouteRecord(prefix, state.awaited.get(prefix))
    state.awaited.pop(prefix, None)  # whose place it takes
    return RouteRecord(prefix, _chosen(selection))


def _chosen(selection: Selection) -> Chosen:
    route = selection.route
    route.stored = route.distance
    neighbour = route.neighbour
    return Chosen(
        neighbour.interface.name,
        neighbour.address,
        route.next_hop,
        route.router_id,
        route.seqno,
        route.refmetric,
        neighbour.txcost,
        route.interval,
        route.since,
    )
