"""Who makes prefixes change again and again pays for all who hear of it, and then waits (RFC 8966, section 3.7.2).

Departs from §3.7.2, which has each change of a prefix's router told soon: one that has changed several times of late is
used, or told with its new router or metric, only when its neighbour may cause as much work again. A retraction never
waits.
"""

from babelwg.babel.state import State
from babelwg.babel.tables.neighbour import Neighbour
from babelwg.babel.wire.prefix import Prefix

# Implementation constants
FREE_CHANGES = 3  # of a prefix that nobody pays for: more than a failover and the way back
SAID = frozenset(("update", "retraction"))  # the causes that lie in what a neighbour announces
OWN_SHARE = 10  # what a change costs beside what is said of it on each interface, in updates


def note_loss(state: State, prefix: Prefix, neighbour: Neighbour, word: str, now: float) -> None:
    """Take note that a prefix is lost because of a neighbour; all hear of it at once, and it pays for that too.

    Only if it said so: a link that fails and lives again is nobody's fault, and its routes are needed at once.
    """
    if word not in SAID:
        return
    if state.flaps.count(prefix, now) >= FREE_CHANGES:
        _charge(state, neighbour, now)
    state.flaps.note(prefix, now)


def may_change(state: State, prefix: Prefix, neighbour: Neighbour, now: float) -> bool:
    """Return whether all may hear now that a prefix is reached through a neighbour, or reached differently."""
    if state.flaps.count(prefix, now) < FREE_CHANGES or _charge(state, neighbour, now):
        return True
    state.count("change_held.flapping")
    return False


def _charge(state: State, neighbour: Neighbour, now: float) -> bool:
    parameters, work = state.parameters, OWN_SHARE + len(state.interfaces)
    return neighbour.account.flap_work.spend(work, parameters.flap_work_burst, parameters.flap_work, now)
