"""The words of causes, and of metrics in a sentence."""

from babelwg.babel.events import LinkCostChanged
from babelwg.babel.wire.tlv import INFINITY

# By the speaker's own words; {who} is the neighbour whose doing it was.
CAUSES = {
    "update": "update from {who}",
    "retraction": "{who} retracted it",
    "expired": "{who} did not announce it again in time",
    "link-cost": "{who}'s link cost changed",
    "hysteresis": "the better path stayed better",
    "memory-recovered": "the neighbours have answered after a start without memory",
    "unanswered": "{who} left a request for a newer seqno unanswered",
    "source-forgotten": "the distance that stood against it was forgotten",
    "filter": "the filters changed",
    "announced-here": "this node announces it itself",
    "withdrawn": "this node announces it no more",
    "not-heard": "its neighbour was not heard since this node started",
    "interface-unwanted": "the interface to it is not wanted any more since this node started",
    "refused": "the kernel goes its own way there",
    "allowed": "the kernel follows us there again",
    "kernel-refused": "the kernel refused the route",
    "kernel-retried": "what the kernel refused is tried again",
    "hold-expired": "it was held unreachable for long enough",
    "no-neighbour": "no neighbour sends us packets for it",
    "acknowledged": "all neighbours know that it is unreachable",
    "retracted-by-all": "all neighbours have retracted it too",
    "unreachable": "the last neighbour that had to know is unreachable",
}
LOSSES = {
    "silent": "{who} fell silent",
    "hello-seqno-jump": "{who} began anew",
    "displaced": "{who} was not reachable, and another neighbour took its place",
    "interface-removed": "the interface to {who} is gone",
}


def metric_text(metric: int) -> str:
    """Return a metric in a sentence."""
    return "unreachable" if metric >= INFINITY else f"metric {metric}"


def link_cause(event: LinkCostChanged, rxcost: int, txcost: int) -> str:
    """Return what made a link cost something else than before, when it had these costs."""
    if event.cost == INFINITY:
        return "its Hellos are missed" if event.rxcost == INFINITY else "it does not say that it hears us"
    if INFINITY in (rxcost, txcost):
        return "each hears the other"
    if event.rxcost != rxcost:
        return f"we hear it {'worse' if event.rxcost > rxcost else 'better'}"
    if event.txcost != txcost:
        return f"it hears us {'worse' if event.txcost > txcost else 'better'}"
    return "its delay or its configured cost changed"
