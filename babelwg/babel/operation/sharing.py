"""Updates of changes, encoded once for all interfaces on which the same is to be said (RFC 8966, section 3.7).

A change at a node with a hundred tunnels is told a hundred times in the same octets.
"""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from babelwg.babel.operation.permission import permission
from babelwg.babel.operation.queueing import is_announced
from babelwg.babel.operation.updates import build_update
from babelwg.babel.policy import AllowAll
from babelwg.babel.state import State
from babelwg.babel.tables.interface import Interface
from babelwg.babel.tables.outbox import Chunk
from babelwg.babel.wire.encode import PacketWriter
from babelwg.babel.wire.prefix import Prefix

NOTHING = Chunk([], (), b"", True, frozenset(), [], False)


def write_changes(
    state: State,
    interface: Interface,
    queue: Mapping[Prefix, Any],
    writer: PacketWriter,
    spare: int,
    urgent: bool,
    now: float,
) -> Chunk:
    """Write the updates of the first prefixes of a queue and return what was written; nothing for want of room.

    In a packet that is empty as many are written as fit beside `spare` octets.
    """
    chunk = _chunk(state, interface, queue, spare, urgent, now)
    if writer.add_octets(chunk.octets, spare):
        return chunk
    assert writer, "what was made for an empty packet fits in one"
    return NOTHING


def _chunk(
    state: State, interface: Interface, queue: Mapping[Prefix, Any], spare: int, urgent: bool, now: float
) -> Chunk:
    parameters = interface.parameters
    key = (
        next(iter(queue)),
        urgent,
        interface.capacity,
        interface.update_interval,
        parameters.ipv4,
        parameters.v4_via_v6,
        parameters.rfc6126_compatible,
    )
    known = state.chunks.get(key)
    if known is not None and _is_same(state, interface, queue, known):
        return known
    chunk = _encode(state, interface, queue, spare, urgent, now)
    if chunk.shared:
        state.chunks[key] = chunk
    return chunk


def _is_same(state: State, interface: Interface, queue: Mapping[Prefix, Any], known: Chunk) -> bool:
    """Return whether a chunk says what is to be said first on an interface."""
    length = len(known.prefixes)
    return (
        (known.full or length == len(queue))
        and interface not in known.through
        and list(islice(queue, length)) == known.prefixes
        and _added(state, interface, known.prefixes) == known.added
    )


def _encode(
    state: State, interface: Interface, queue: Mapping[Prefix, Any], spare: int, urgent: bool, now: float
) -> Chunk:
    writer = PacketWriter(interface.capacity, interface.link_local)
    prefixes, full = [], False
    for prefix in queue:
        update = build_update(state, interface, prefix, solicited=False, urgent=urgent, now=now)
        if update is not None and not writer.add(update, spare):
            full = True
            break
        prefixes.append(prefix)
    selected = [state.routes.selected.get(prefix) for prefix in prefixes]
    through = frozenset(selection.route.neighbour.interface for selection in selected if selection)
    retracted = tuple(prefix for prefix in prefixes if not is_announced(state, prefix))
    shared = interface not in through
    added = _added(state, interface, prefixes) if shared else []
    return Chunk(prefixes, retracted, writer.octets(), full, through, added, shared)


def _added(state: State, interface: Interface, prefixes: list[Prefix]) -> list[int]:
    """Return what the filters add to the metrics of prefixes; nothing where there are no filters."""
    if type(state.policy) is AllowAll:
        return []
    return [permission(state, interface, prefix).added for prefix in prefixes]
