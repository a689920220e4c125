"""Metrics as Prometheus reads them: its own parser takes them, and no neighbour can make them many."""

import json
import re
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from babelwg.babel.routeview import RouteState
from babelwg.babel.snapshot import NeighbourView, Summary
from babelwg.daemon.metrics import Family, Sources, exposition, families
from babelwg.daemon.metrics.families import MAX_LINKS

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana-dashboard.json"
BRAVO = ip_address("fe80::b").packed
NEIGHBOUR = NeighbourView(
    interface="bw-bravo",
    address=BRAVO,
    reach=0xFFFF,
    ureach=0,
    rxcost=96,
    txcost=96,
    cost=246,
    loss=0.125,
    hello_interval=4.0,
    last_heard=1.5,
    routes=3,
    purged=True,
    rtt=0.0123456789,
    penalty=150,
)
COUNTS: dict[tuple[int, RouteState], int] = {(4, "selected"): 3, (6, "selected"): 4, (6, "feasible"): 2}
EMPTY = Summary(bytes(8), 77, (), (), (), COUNTS, {}, 0, 0, False)
PEER = {
    "name": "bravo",
    "interface": "bw-bravo",
    "state": "up",
    "latest_handshake_s": 12.5,
    "rx_bytes": 1 << 40,
    "tx_bytes": 2048,
}
GATEWAY = {"prefix": "::/0", "interface": None, "state": "withdrawn"}
COUNTERS = {
    "babel.packet_dropped.mac-wrong": 3,
    "babel.packets_received": 10,
    "dataplane.bw-a.b.replayed": 2,
    "loop.lag_ms": 5,
    "store.store_failed.journal": 4,
}
SOURCES = Sources(
    build={"version": "1", "node": 'al"pha\\\n', "router_id": "00"},
    uptime=61.25,
    summary=replace(EMPTY, neighbours=(NEIGHBOUR,)),
    peers=[PEER],
    gateways=[GATEWAY],
    counters=COUNTERS,
    dataplane_age=0.5,
    installed=5,
    refused=1,
    problems=2,
    changes=9,
    lag=(1.0, 20.0, 300.0),
    name_of=lambda interface, address: "bravo" if address == BRAVO else None,
)


def parsed(sources: Sources = SOURCES) -> dict[str, Metric]:
    metrics = list(text_string_to_metric_families(exposition(families(sources))))
    assert len({metric.name for metric in metrics}) == len(metrics)
    return {metric.name: metric for metric in metrics}


def values(name: str, sources: Sources = SOURCES) -> list[tuple[dict[str, str], float]]:
    return [(sample.labels, sample.value) for sample in parsed(sources)[name].samples]


@pytest.mark.parametrize(
    ("name", "kind", "labels", "value"),
    [
        ("up", "gauge", {}, 1),
        ("build_info", "gauge", {"version": "1", "node": 'al"pha\\\n', "router_id": "00"}, 1),
        ("uptime_seconds", "gauge", {}, 61.25),
        ("problems", "gauge", {}, 2),
        ("seqno", "gauge", {}, 77),
        ("loop_lag_seconds", "gauge", {}, 0.001),
        ("loop_lag_max_seconds", "gauge", {}, 0.02),
        ("loop_late_seconds_total", "counter", {}, 0.3),
        ("peer_up", "gauge", {"peer": "bravo", "interface": "bw-bravo"}, 1),
        ("peer_handshake_age_seconds", "gauge", {"peer": "bravo", "interface": "bw-bravo"}, 12.5),
        ("peer_receive_bytes_total", "counter", {"peer": "bravo", "interface": "bw-bravo"}, 1 << 40),
        ("peer_transmit_bytes_total", "counter", {"peer": "bravo", "interface": "bw-bravo"}, 2048),
        ("neighbours", "gauge", {}, 1),
        ("xroutes", "gauge", {}, 0),
        ("sources", "gauge", {}, 0),
        ("route_changes_total", "counter", {}, 9),
        ("gateway_announced", "gauge", {"prefix": "::/0", "interface": ""}, 0),
        (
            "refusals_total",
            "counter",
            {"part": "babel", "kind": "packet_dropped", "reason": "mac-wrong"},
            3,
        ),
        ("events_total", "counter", {"part": "babel", "event": "packets_received"}, 10),
        ("dataplane_total", "counter", {"place": "bw-a.b", "reason": "replayed"}, 2),
        ("store_errors_total", "counter", {}, 4),
        ("dataplane_age_seconds", "gauge", {}, 0.5),
    ],
)
def test_each_metric_is_read_as_meant(name: str, kind: str, labels: dict[str, str], value: float) -> None:
    # The parser leaves the ending of a counter to its samples.
    metric = parsed()[f"babelwg_{name.removesuffix('_total')}"]
    assert metric.type == kind
    assert metric.documentation
    assert [(s.name, s.labels, s.value) for s in metric.samples] == [(f"babelwg_{name}", labels, value)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cost", 246),
        ("rxcost", 96),
        ("txcost", 96),
        ("rtt_seconds", 0.012346),
        ("loss_ratio", 0.125),
        ("heard_age_seconds", 1.5),
        ("routes", 3),
    ],
)
def test_links_carry_the_name_of_the_neighbour(name: str, value: float) -> None:
    labels = {"neighbour": "bravo", "interface": "bw-bravo", "address": "fe80::b"}
    assert values(f"babelwg_link_{name}") == [(labels, value)]


def test_routes_are_counted_by_state_and_never_alone() -> None:
    states = {"selected": 7, "feasible": 2, "unfeasible": 0, "retracted": 0, "filtered": 0, "refused": 0}
    assert values("babelwg_routes") == [({"state": state}, count) for state, count in states.items()]
    assert values("babelwg_selected_routes") == [({"family": "ipv4"}, 3), ({"family": "ipv6"}, 4)]
    assert values("babelwg_kernel_routes") == [({"state": "installed"}, 5), ({"state": "refused"}, 1)]


def test_what_is_not_known_has_no_value() -> None:
    summary = replace(EMPTY, neighbours=(replace(NEIGHBOUR, rtt=None),))
    peer = PEER | {"latest_handshake_s": None}
    metrics = parsed(replace(SOURCES, summary=summary, peers=[peer], gateways=[]))
    absent = {"babelwg_link_rtt_seconds", "babelwg_peer_handshake_age_seconds", "babelwg_gateway_announced"}
    assert not absent & metrics.keys()


def test_neighbours_without_number_do_not_make_series_without_number() -> None:
    many = tuple(replace(NEIGHBOUR, address=bytes(14) + n.to_bytes(2, "big")) for n in range(MAX_LINKS + 9))
    sources = replace(SOURCES, summary=replace(EMPTY, neighbours=many))
    assert values("babelwg_neighbours", sources) == [({}, MAX_LINKS + 9)]
    assert len(values("babelwg_link_cost", sources)) == MAX_LINKS


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "a{b}", "a,b=c", "é", " "])
def test_labels_are_escaped(name: str) -> None:
    text = exposition([Family("babelwg_x", "gauge", "Help with \\ and\nline.", [({"peer": name}, 1.5)])])
    (metric,) = text_string_to_metric_families(text)
    assert metric.samples[0].labels == {"peer": name}
    assert metric.documentation == "Help with \\ and\nline."


def test_octets_that_are_no_text_are_written_out() -> None:
    name = b"eth\xff".decode(errors="surrogateescape")
    text = exposition([Family("babelwg_x", "gauge", "Help.", [({"interface": name}, 1)])])
    text.encode()
    assert "udcff" in text


def expressions(panel: Any) -> list[str]:
    """Return every query of a dashboard, at any depth."""
    if isinstance(panel, list):
        return [found for item in panel for found in expressions(item)]
    if not isinstance(panel, dict):
        return []
    own = [panel[key] for key in ("expr", "query") if isinstance(panel.get(key), str)]
    return own + [found for value in panel.values() for found in expressions(value)]


def test_the_dashboard_asks_for_what_there_is() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    names = {sample.name for metric in parsed().values() for sample in metric.samples}
    labels = {label for metric in parsed().values() for sample in metric.samples for label in sample.labels}
    asked = expressions(dashboard)
    used = {name for expression in asked for name in re.findall(r"babelwg_\w+", expression)}
    assert len(used) > 15
    assert used <= names
    for expression in asked:
        assert expression.count("(") == expression.count(")"), expression
        grouped = re.findall(r"by \(([^)]*)\)", expression)
        assert {label.strip() for group in grouped for label in group.split(",")} <= labels | {"instance"}
    identities = [panel["id"] for panel in dashboard["panels"]]
    assert len(identities) == len(set(identities))
    assert all(panel["targets"] for panel in dashboard["panels"] if panel["type"] != "row")
