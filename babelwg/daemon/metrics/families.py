"""The metrics of a node: few enough that no neighbour can make them many, so none for single routes."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from babelwg.babel.routeview import RouteState
from babelwg.babel.snapshot import NeighbourView, Summary
from babelwg.daemon.metrics.exposition import Family, Labels
from babelwg.daemon.texts import ip_text

# Implementation constants
MAX_LINKS = 1000  # each has a few series; a stranger on a LAN must not make the table grow without end
# Told under names of their own.
PARTS_APART = ("loop.", "store.")


@dataclass(frozen=True, slots=True)
class Sources:
    """What the metrics are made from; `name_of` gives the name of a neighbour by interface and packed address."""

    build: Labels
    uptime: float  # seconds
    summary: Summary
    peers: Sequence[Mapping[str, Any]]
    gateways: Sequence[Mapping[str, Any]]
    counters: Mapping[str, int]
    dataplane_age: float | None  # seconds since the data plane told its counters, None where it never did
    installed: int
    refused: int
    problems: int
    changes: int
    lag: tuple[float, float, float]  # milliseconds: the latest, the most of a minute, the sum
    name_of: Callable[[str, bytes], str | None]


def families(sources: Sources) -> Iterator[Family]:
    """Return all metrics."""
    yield from _node(sources)
    yield from _peers(sources.peers)
    yield from _links(sources)
    yield from _tables(sources)
    yield from _kernel(sources)
    yield from _gateways(sources.gateways)
    yield from _counters(sources.counters)
    if sources.dataplane_age is not None:
        words = "Time since the data plane told what it counts; it grows while that hangs."
        yield _gauge("dataplane_age_seconds", words, sources.dataplane_age)


def _node(sources: Sources) -> Iterator[Family]:
    last, most, total = (value / 1000 for value in sources.lag)
    yield _gauge("up", "Whether the daemon answers.", 1)
    yield Family(
        "babelwg_build_info", "gauge", "What runs here: always 1, said by the labels.", [(sources.build, 1)]
    )
    yield _gauge("uptime_seconds", "Time since the daemon started.", sources.uptime)
    yield _gauge("problems", "How many things `babelwg status` calls wrong.", sources.problems)
    yield _gauge("seqno", "Our sequence number.", sources.summary.seqno)
    yield _gauge("loop_lag_seconds", "How late the daemon's loop was at the latest look.", last)
    yield _gauge("loop_lag_max_seconds", "How late it was at most in the last minute.", most)
    yield _counter("loop_late_seconds_total", "The sum of the lateness at all looks.", total)


def _peers(peers: Sequence[Mapping[str, Any]]) -> Iterator[Family]:
    labelled = [({"peer": str(peer["name"]), "interface": str(peer["interface"])}, peer) for peer in peers]
    up = Family("babelwg_peer_up", "gauge", "Whether Babel hears the peer through its tunnel, and is heard.")
    up.samples.extend((labels, peer["state"] == "up") for labels, peer in labelled)
    yield up
    for name, kind, key, words in (
        ("handshake_age_seconds", "gauge", "latest_handshake_s", "Time since the latest handshake."),
        ("receive_bytes_total", "counter", "rx_bytes", "Octets received through the tunnel."),
        ("transmit_bytes_total", "counter", "tx_bytes", "Octets sent through the tunnel."),
    ):
        samples = [(labels, peer[key]) for labels, peer in labelled if peer[key] is not None]
        yield Family(f"babelwg_peer_{name}", "counter" if kind == "counter" else "gauge", words, samples)


LINK_FIGURES: tuple[tuple[str, str, Callable[[NeighbourView], float | None]], ...] = (
    ("cost", "The cost of the link to a neighbour, 65535 for unreachable.", lambda n: n.cost),
    ("rxcost", "What it costs to receive from a neighbour, 65535 for not at all.", lambda n: n.rxcost),
    ("txcost", "What the neighbour says that it costs to receive from us.", lambda n: n.txcost),
    ("rtt_seconds", "The smoothed round-trip time.", lambda n: n.rtt),
    ("loss_ratio", "The share of Hellos that were lost.", lambda n: n.loss),
    ("heard_age_seconds", "Time since the neighbour was heard.", lambda n: n.last_heard),
    ("routes", "How many routes were learned from the neighbour.", lambda n: n.routes),
)


def _links(sources: Sources) -> Iterator[Family]:
    neighbours = sources.summary.neighbours
    yield _gauge("neighbours", "How many neighbours Babel has.", len(neighbours))
    labelled = [(_link_labels(sources, view), view) for view in neighbours[:MAX_LINKS]]
    for name, words, figure in LINK_FIGURES:
        values = ((labels, figure(view)) for labels, view in labelled)
        samples = [(labels, value) for labels, value in values if value is not None]
        yield Family(f"babelwg_link_{name}", "gauge", words, samples)


def _link_labels(sources: Sources, view: NeighbourView) -> Labels:
    return {
        "neighbour": sources.name_of(view.interface, view.address) or "",
        "interface": view.interface,
        "address": ip_text(view.address),
    }


def _tables(sources: Sources) -> Iterator[Family]:
    summary = sources.summary
    states: Counter[str] = Counter()
    for (_, state), count in summary.routes.items():
        states[state] += count
    by_state = [({"state": state}, float(states[state])) for state in get_args(RouteState)]
    yield Family("babelwg_routes", "gauge", "Routes learned, by what became of them.", by_state)
    samples = [
        ({"family": f"ipv{family}"}, float(summary.routes.get((family, "selected"), 0))) for family in (4, 6)
    ]
    yield Family("babelwg_selected_routes", "gauge", "Routes in use.", samples)
    yield _gauge("xroutes", "Prefixes that this node announces as its own.", len(summary.xroutes))
    yield _gauge("sources", "Entries of the source table.", summary.sources)
    yield _gauge("held_prefixes", "Retracted prefixes that are held unreachable.", summary.held)
    yield _gauge("interfaces", "Interfaces that Babel runs on.", len(summary.interfaces))
    words = "How often the way to a prefix changed or was lost after it was first learned."
    yield _counter("route_changes_total", words, sources.changes)


def _kernel(sources: Sources) -> Iterator[Family]:
    samples = [
        ({"state": "installed"}, float(sources.installed)),
        ({"state": "refused"}, float(sources.refused)),
    ]
    yield Family("babelwg_kernel_routes", "gauge", "Routes of ours that the kernel has, or refused.", samples)


def _gateways(gateways: Sequence[Mapping[str, Any]]) -> Iterator[Family]:
    samples = [
        (
            {"prefix": str(g["prefix"]), "interface": str(g["interface"] or "")},
            float(g["state"] == "announced"),
        )
        for g in gateways
    ]
    yield Family("babelwg_gateway_announced", "gauge", "Whether a gateway is announced.", samples)


def _counters(counters: Mapping[str, int]) -> Iterator[Family]:
    """Return what is counted: refusals have a reason, the rest only a name."""
    refusals = Family("babelwg_refusals_total", "counter", "What was refused, dropped or put off, by reason.")
    events = Family("babelwg_events_total", "counter", "What else is counted, by the part that counts it.")
    tunnels = Family("babelwg_dataplane_total", "counter", "What the embedded data plane counts, by place.")
    for full, value in counters.items():
        part, _, name = full.partition(".")
        kind, _, reason = name.partition(".")
        if part == "dataplane":
            place, _, reason = name.rpartition(".")  # the name of an interface may hold dots
            tunnels.samples.append(({"place": place, "reason": reason}, value))
        elif full.startswith(PARTS_APART):
            continue
        elif reason:
            refusals.samples.append(({"part": part, "kind": kind, "reason": reason}, value))
        else:
            events.samples.append(({"part": part, "event": name}, value))
    yield from (refusals, events, tunnels)
    failed = sum(value for full, value in counters.items() if full.startswith("store."))
    yield _counter("store_errors_total", "Writes to the state directory that failed.", failed)


def _gauge(name: str, words: str, value: float) -> Family:
    return Family(f"babelwg_{name}", "gauge", words, [({}, value)])


def _counter(name: str, words: str, value: float) -> Family:
    return Family(f"babelwg_{name}", "counter", words, [({}, value)])
