"""What gives way when we are late: full tables, which are told less often and one after the other.

Neighbours miss a Hello after half an interval, and a route only after 3.5 intervals of updates, which the sender
chooses and announces (RFC 8966, sections 3.2.1, 3.5.3 and 3.7.1).
"""

from babelwg.babel.state import State
from babelwg.babel.tables.interface import Interface

# Implementation constants
LATE = 0.25  # seconds that a Hello can spare
LONGEST_STRETCH = 4.0  # of the update interval
LONGEST_INTERVAL = 655.34  # seconds; what is longer means that there is no next update (§4.6.9)
HALF_LIFE = 20.0  # seconds after which a lateness counts half


def note_lateness(state: State, now: float) -> None:
    """Remember by how much we are behind the earliest of our Hellos."""
    if (deadline := state.hellos.next()) is None or now <= deadline:
        return
    lateness = min(now - deadline, LONGEST_STRETCH * LATE)
    if lateness > remembered_lateness(state, now):
        state.lateness, state.late_at = lateness, now


def remembered_lateness(state: State, now: float) -> float:
    """Return by how many seconds we have lately been late; it fades."""
    return state.lateness * 0.5 ** ((now - state.late_at) / HALF_LIFE) if state.lateness else 0.0


def is_late(state: State, now: float) -> bool:
    """Return whether work should wait that is not urgent."""
    return remembered_lateness(state, now) > LATE


def choose_update_interval(state: State, interface: Interface, now: float) -> float:
    """Return the seconds until the next full update, which the present one promises (§3.7.1)."""
    usual = interface.parameters.update_interval
    stretch = min(remembered_lateness(state, now) / LATE, LONGEST_STRETCH)
    if stretch <= 1.0:
        interface.update_interval = usual
    else:
        interface.update_interval = max(usual, min(usual * stretch, LONGEST_INTERVAL))
        state.count("updates_stretched")
    state.longest_promise = max(state.longest_promise, interface.update_interval)
    return interface.update_interval
