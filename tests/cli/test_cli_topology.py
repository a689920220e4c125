"""`topology` in every form: text of 80 columns, JSON, TSV, NetJSON, DOT and Mermaid."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from jsonschema import Draft202012Validator
from netdiff import NetJsonParser

from babelwg.cli.schema import compose

Ask = Callable[..., Result]

TEXT = """\
NODE                     KIND  METRIC  VIA     ADDRESS            PREFIXES
alpha                    self       0  -       fd5a:8c21:77::1           2
bravo                    peer      96  direct  fe80::2%bw-bravo          1
02:00:00:00:00:00:00:0c  far      192  bravo   2001:db8::c               1
silent                   peer       -  -       fe80::9%bw-silent         0

FROM   TO                       COST    RTT  LOSS  INTERFACE  KNOWN
alpha  bravo                      96  3.2ms    0%  bw-bravo   measured
alpha  silent                    inf      -     -  bw-silent  measured
bravo  02:00:00:00:00:00:00:0c    96      -     -  -          inferred

Inferred links are guesses: the fewest that explain the metrics which neighbours
announce.
"""
A, B, C = (f"02:00:00:00:00:00:00:0{x}" for x in "abc")


def node(id: str, kind: str, name: str | None, metric: int | None, via: str | None, *addresses: str) -> Any:
    return {
        "id": id,
        "name": name,
        "router_id": id if id.startswith("02") else None,
        "is_self": kind == "self",
        "kind": kind,
        "metric": metric,
        "via": via,
        "addresses": list(addresses),
        "prefixes": [],
        "prefix_count": {"self": 2, "peer": int(id == B), "far": 1}[kind],
    }


def link(source: str, target: str, cost: int, interface: str | None = None, **values: Any) -> Any:
    unknown = dict.fromkeys(("rxcost", "txcost", "rtt_s", "loss"))
    ends = {"source": source, "target": target, "cost": cost, "metric": cost}
    return {**ends, "inferred": interface is None, "interface": interface, **unknown, **values}


@pytest.fixture
def mesh(daemon: Any) -> Any:
    silent = "fe80::9%bw-silent"
    daemon.answers["topology"] = {
        "nodes": [
            node(A, "self", "alpha", 0, None, "fd5a:8c21:77::1"),
            node(B, "peer", "bravo", 96, B, "fe80::2%bw-bravo"),
            node(C, "far", None, 192, B, "2001:db8::c"),
            node(silent, "peer", "silent", None, None, silent),
        ],
        "links": [
            link(A, B, 96, "bw-bravo", rxcost=96, txcost=96, rtt_s=0.0032, loss=0.0),
            link(A, silent, 65535, "bw-silent"),
            link(B, C, 96),
        ],
        "omitted": 0,
    }
    return daemon.answers["topology"]


def test_the_text_tells_nodes_then_links_then_what_is_guessed(ask: Ask, mesh: Any) -> None:
    result = ask("topology")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == TEXT
    assert max(map(len, TEXT.splitlines())) <= 80


def test_what_is_left_out_of_a_large_mesh_is_counted(ask: Ask, mesh: Any) -> None:
    mesh["omitted"] = 17
    assert ask("topology").stdout.endswith("\n\n17 more nodes are left out.\n")


def test_the_json_follows_the_schema(ask: Ask, mesh: Any) -> None:
    document = json.loads(ask("topology", "-o", "json").stdout)
    assert document["data"] == mesh
    Draft202012Validator(compose("topology")).validate(document)


def test_tsv_has_a_line_for_each_link_with_names(ask: Ask, mesh: Any) -> None:
    lines = [line.split("\t") for line in ask("topology", "-o", "tsv").stdout.splitlines()]
    assert lines[0][:5] == ["source_name", "target_name", "source", "target", "cost"]
    assert [line[:2] for line in lines[1:]] == [["alpha", "bravo"], ["alpha", "silent"], ["bravo", C]]


def test_netdiff_reads_the_netjson(ask: Ask, mesh: Any) -> None:
    text = ask("topology", "--format", "netjson").stdout
    parser = NetJsonParser(data=text)
    assert (parser.protocol, parser.version, parser.metric) == ("Babel", "RFC 8966", "cost")
    edges = {frozenset(ends): cost for *ends, cost in parser.graph.edges.data("weight")}
    # A link that carries nothing is none.
    assert edges == {frozenset((A, B)): 96, frozenset((B, C)): 96}
    graph = json.loads(text)
    assert graph["router_id"] == A
    assert [n["label"] for n in graph["nodes"]] == ["alpha", "bravo", C, "silent"]
    assert [k["cost_text"] for k in graph["links"]] == ["96, 3.2ms", "about 96"]


def test_of_two_links_to_one_node_netjson_has_the_cheaper_one(ask: Ask, mesh: Any) -> None:
    mesh["links"].append(link(A, B, 80, "lan"))
    mesh["links"].append(link(A, B, 200, "wifi"))
    links = json.loads(ask("topology", "--format", "netjson").stdout)["links"]
    assert [(k["cost"], k["properties"]["interface"]) for k in links] == [(80, "lan"), (96, None)]


def test_dot_quotes_names_and_shows_cost_by_colour(ask: Ask, mesh: Any) -> None:
    mesh["nodes"][1]["name"] = 'br"a\\vo\n];'
    lines = ask("topology", "--format", "dot").stdout.splitlines()
    assert (lines[0], lines[-1]) == ("graph babelwg {", "}")
    assert f'  "{B}" [label="br\\"a\\\\vo ];"];' in lines
    assert f'  "{A}" -- "{B}" [label="96, 3.2ms", color="#2e7d32", style=solid];' in lines
    assert f'  "{B}" -- "{C}" [label="about 96", color="#2e7d32", style=dashed];' in lines
    assert any('label="inf", color="#9e9e9e", style=dotted' in line for line in lines)


def test_mermaid_escapes_names(ask: Ask, mesh: Any) -> None:
    mesh["nodes"][1]["name"] = 'br"]<b>;%%'
    lines = ask("topology", "--format", "mermaid").stdout.splitlines()
    assert lines[0] == "graph LR"
    assert lines[2] == '  n1["br#34;#93;#60;b#62;#59;%%"]'
    assert '  n0 ---|"96, 3.2ms"| n1' in lines
    assert '  n1 -.-|"about 96"| n2' in lines
    assert all(re.fullmatch(r"graph LR|  (n\d.*|linkStyle \d stroke:#[0-9a-f]{6})", line) for line in lines)
