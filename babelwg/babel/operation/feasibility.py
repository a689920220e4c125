"""How announcing narrows what is feasible, and how that ages (RFC 8966, section 3.7.3)."""

from functools import partial

from babelwg.babel.state import State
from babelwg.babel.tables.source import FeasibilityDistance, Source
from babelwg.babel.timers import Timer
from babelwg.babel.wire.prefix import Prefix


def record_announcement(
    state: State, prefix: Prefix, router_id: bytes, seqno: int, metric: int, now: float
) -> bool:
    """Lower the feasibility distance to a finite update about to be sent; False forbids it (§3.7.3)."""
    source = Source(prefix, router_id)
    known = state.sources.get(prefix, router_id)
    full = len(state.sources) >= state.parameters.max_sources
    # Our own prefixes are few and ours to know; strangers must not crowd them out.
    if known is None and full and router_id != state.router_id:
        # Forgetting an older source could close a loop; saying less only makes a detour.
        state.count("update_suppressed.source-table-full")
        return False
    if known is None or known.admits(seqno, metric):
        state.sources.put(source, FeasibilityDistance(seqno, metric))
    state.sources.touch(source, now)
    _schedule_collection(state)
    return True


def start_remembered_sources(state: State, now: float) -> None:
    """Let the sources of an earlier life age from now on."""
    state.sources.start(now)
    _schedule_collection(state)


def _schedule_collection(state: State) -> None:
    if state.source_timer is None:
        state.source_timer = Timer(partial(_collect, state))
    if state.source_timer.when is None and (oldest := state.sources.oldest_use()) is not None:
        state.timers.set(state.source_timer, oldest + state.source_lifetime)


def _collect(state: State, now: float) -> None:
    state.sources.collect_garbage(state.source_lifetime, now)
    _schedule_collection(state)
