"""What a link and a route cost (RFC 8966, section 3.5.2 and appendix A.2; RFC 9616, section 4)."""

from babelwg.babel.parameters import InterfaceParameters
from babelwg.babel.tables.neighbour import HelloHistory, Neighbour
from babelwg.babel.wire.tlv import INFINITY

MAX_COST = INFINITY - 1
ETX_WINDOW = 6  # Hellos, appendix A.2.2
ETX_UNIT = 256  # the cost of a link without loss, appendix A.2.2


def is_up(history: HelloHistory) -> bool:
    """Return whether two of the last three Hellos came; of a younger history, one (appendix A.2.1)."""
    if history.length < 3:
        return history.ones(history.length) > 0
    return history.ones(3) >= 2


def reception(history: HelloHistory) -> float:
    """Return the share of the Hellos received since the first one, from 0 to 1."""
    return history.ones(history.length) / history.length if history.length else 0.0


def compute_rxcost(neighbour: Neighbour) -> int:
    """Return what reception from a neighbour costs, as our IHUs say."""
    parameters = neighbour.interface.parameters
    if neighbour.interface.failed is not None:
        return INFINITY
    if _uses_etx(parameters):
        # All six Hellos count even when fewer were due: one lucky Hello over a bad link proves nothing.
        ones = neighbour.multicast.ones(ETX_WINDOW)
        return min(MAX_COST, parameters.rxcost * ETX_WINDOW // ones) if ones else INFINITY
    if not (is_up(neighbour.multicast) or is_up(neighbour.unicast) or _is_kept(neighbour)):
        return INFINITY
    return min(MAX_COST, _divide(parameters.rxcost, _share(neighbour)))


def compute_cost(neighbour: Neighbour) -> int:
    """Return the cost of the link to a neighbour, from its txcost and our rxcost; never zero."""
    if neighbour.rxcost == INFINITY or neighbour.txcost == INFINITY:
        return INFINITY
    configured = neighbour.interface.parameters.cost
    return min(MAX_COST, max(1, measured_cost(neighbour) + neighbour.round_trip.penalty + configured))


def measured_cost(neighbour: Neighbour) -> int:
    """Return the part of the cost of a link that comes from how many packets get through, both ways."""
    if _uses_etx(neighbour.interface.parameters):
        return max(neighbour.txcost, ETX_UNIT) * neighbour.rxcost // ETX_UNIT
    # The neighbour divided its cost by its share of received Hellos; what is left is our own share.
    return _divide(neighbour.txcost, _share(neighbour))


def compute_metric(cost: int, refmetric: int, added: int = 0) -> int:
    """Return the metric over a link to a neighbour that announces `refmetric`; filters may add to it (§3.5.2)."""
    return min(INFINITY, cost + refmetric + added)


def _is_kept(neighbour: Neighbour) -> bool:
    """Return whether a tunnel in use stays in use, though promised Hellos were lost: others came meanwhile."""
    # Departs from appendix A.2.1: two lost Hellos of three raise the cost of a link over which unscheduled ones go on
    # coming, and do not end it. Who says nothing any more is found by the next one missed, within the usual hold time.
    parameters = neighbour.interface.parameters
    is_weighed = parameters.link_quality and parameters.point_to_point
    return is_weighed and neighbour.rxcost < INFINITY and neighbour.multicast.vouched


def _uses_etx(parameters: InterfaceParameters) -> bool:
    return parameters.link_quality and not parameters.point_to_point


def _share(neighbour: Neighbour) -> float:
    if not neighbour.interface.parameters.link_quality:
        return 1.0
    return max(reception(neighbour.multicast), reception(neighbour.unicast))


def _divide(cost: int, share: float) -> int:
    return round(cost / share) if share else INFINITY
