"""The mesh for programs that draw: NetJSON NetworkGraph, DOT of Graphviz, Mermaid."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from babelwg.cli.render.topology import labels
from babelwg.cli.render.units import INFINITY, metric, round_trip

Data = Mapping[str, Any]

# What a link may cost to have a colour, the cheapest first; a tunnel without loss and delay costs 96.
COLOURS = ((128, "#2e7d32"), (256, "#b58900"), (INFINITY - 1, "#c62828"))
DEAD = "#9e9e9e"
NODE_PROPERTIES = ("kind", "metric", "prefixes", "prefix_count")
LINK_PROPERTIES = ("inferred", "interface", "rxcost", "txcost", "rtt_s", "loss")


def netjson(data: Data) -> str:
    """Return a NetworkGraph of NetJSON: the links that carry packets, of several between two nodes the best."""
    names = labels(dict(data))
    own = next(node for node in data["nodes"] if node["is_self"])
    graph = {
        "type": "NetworkGraph",
        "label": f"The mesh as {names[own['id']]} knows it",
        "protocol": "Babel",
        "version": "RFC 8966",
        "metric": "cost",
        "router_id": own["router_id"],
        "nodes": [
            {
                "id": node["id"],
                "label": names[node["id"]],
                "local_addresses": node["addresses"],
                "properties": {key: node[key] for key in NODE_PROPERTIES},
            }
            for node in data["nodes"]
        ],
        "links": [
            {
                "source": link["source"],
                "target": link["target"],
                "cost": link["cost"],
                "cost_text": _cost_text(link),
                "properties": {key: link[key] for key in LINK_PROPERTIES},
            }
            for link in _best_links(data)
        ],
    }
    return json.dumps(graph, indent=2)


def dot(data: Data) -> str:
    """Return a graph for Graphviz: colours tell costs, dashes what is inferred, dots what is down."""
    names = labels(dict(data))
    lines = ["graph babelwg {", "  node [shape=box, style=rounded];"]
    for node in data["nodes"]:
        bold = ", penwidth=2" if node["is_self"] else ""
        lines.append(f"  {_dot_string(node['id'])} [label={_dot_string(names[node['id']])}{bold}];")
    for link in data["links"]:
        ends = f"{_dot_string(link['source'])} -- {_dot_string(link['target'])}"
        style = "dotted" if link["cost"] >= INFINITY else "dashed" if link["inferred"] else "solid"
        label = _dot_string(_cost_text(link))
        lines.append(f'  {ends} [label={label}, color="{_colour(link["cost"])}", style={style}];')
    return "\n".join([*lines, "}"])


def mermaid(data: Data) -> str:
    """Return a flowchart for Mermaid: colours tell costs, dots what is inferred."""
    names = labels(dict(data))
    numbers = {node["id"]: f"n{number}" for number, node in enumerate(data["nodes"])}
    lines = ["graph LR"]
    for node in data["nodes"]:
        lines.append(f'  {numbers[node["id"]]}["{_mermaid_text(names[node["id"]])}"]')
    for link in data["links"]:
        line = "-.-" if link["inferred"] or link["cost"] >= INFINITY else "---"
        label = _mermaid_text(_cost_text(link))
        lines.append(f'  {numbers[link["source"]]} {line}|"{label}"| {numbers[link["target"]]}')
    for number, link in enumerate(data["links"]):
        lines.append(f"  linkStyle {number} stroke:{_colour(link['cost'])}")
    return "\n".join(lines)


FORMATS: dict[str, Callable[[Data], str]] = {"netjson": netjson, "dot": dot, "mermaid": mermaid}


def _best_links(data: Data) -> list[Data]:
    best: dict[frozenset[str], Data] = {}
    for link in data["links"]:
        ends = frozenset((link["source"], link["target"]))
        if link["cost"] < min(INFINITY, best[ends]["cost"] if ends in best else INFINITY):
            best[ends] = link
    return list(best.values())


def _cost_text(link: Data) -> str:
    if link["inferred"]:
        return f"about {metric(link['cost'])}"
    rtt = "" if link["rtt_s"] is None else f", {round_trip(link['rtt_s'])}"
    return metric(link["cost"]) + rtt


def _colour(cost: int) -> str:
    return next((colour for limit, colour in COLOURS if cost <= limit), DEAD)


def _dot_string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else " " for c in escaped) + '"'


def _mermaid_text(text: str) -> str:
    # Mermaid writes entities with # for &; letters, digits and a few signs stand for themselves.
    return "".join(c if c.isalnum() or c in " -_.:,/%" else f"#{ord(c)};" for c in text)
