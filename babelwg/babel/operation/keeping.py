"""What a next life shall know of the selected routes, and what of it must not wait.

A route that nobody stored is only missed for a moment, and so it may be stored at leisure. What is stored and does not
hold any more is another matter: a neighbour that lost its memory trusts that nobody uses its former life once we have
acknowledged that it is over, and no life of ours must take that up again.
"""

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


def changes_to_store(state: State) -> list[RouteRecord]:
    """Return the selected routes that changed since the last call, each prefix once."""
    rechosen, state.rechosen = state.rechosen, {}
    return [RouteRecord(prefix, _chosen(state.routes.selected.get(prefix))) for prefix in rechosen]


def news_to_store(state: State, most: int | None) -> list[RouteRecord]:
    """Return `most` of the selected routes of prefixes that had none, or all for None, each once."""
    found = [*islice(state.newly_chosen, most)]
    for prefix in found:
        del state.newly_chosen[prefix]
    return [RouteRecord(prefix, _chosen(state.routes.selected.get(prefix))) for prefix in found]


def selected_routes(state: State) -> list[RouteRecord]:
    """Return all selected routes, after which none is new."""
    state.newly_chosen.clear()
    return [RouteRecord(prefix, _chosen(selection)) for prefix, selection in state.routes.selected.items()]


def _chosen(selection: Selection | None) -> Chosen | None:
    if selection is None:
        return None
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
