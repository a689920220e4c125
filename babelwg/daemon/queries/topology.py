"""The mesh as this node knows it, for pictures and for `simulate`."""

import asyncio
from heapq import nsmallest
from ipaddress import ip_address
from typing import Any

from babelwg.config import Config, link_local
from babelwg.daemon.control import Params
from babelwg.daemon.queries.context import Context, Method
from babelwg.daemon.topology import MAX_PREFIXES, Edge, Known, KnownPeer, Vertex, take_topology


class Mesh:
    """Answers about nodes and links, also those that are not this node's own."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def methods(self) -> dict[str, Method]:
        """Return these answers by their names on the control socket."""
        return {
            "topology": self._topology,
        }

    async def _topology(self, params: Params) -> Any:
        del params
        snapshot = self._context.snapshot()
        # A large mesh takes a moment, and Hellos must not wait for it.
        topology = await asyncio.to_thread(take_topology, snapshot, self._known())
        return {
            "nodes": [_describe_node(vertex) for vertex in topology.nodes],
            "links": [_describe_link(edge) for edge in topology.links],
            "omitted": topology.omitted,
        }

    def _known(self) -> Known:
        names, config = self._context.names, self._context.node.config
        if not isinstance(config, Config):
            return Known(names.node, (), (), names.origin)
        peers = [
            KnownPeer(peer.name, peer.interface, link_local(peer.public_key), next(iter(sorted(ids)), None))
            for peer in config.peers
            for ids in (names.router_ids_of(peer.name),)
        ]
        return Known(
            names.node, tuple(str(ip_address(a.address)) for a in config.node.addresses), peers, names.origin
        )


def _describe_node(vertex: Vertex) -> dict[str, Any]:
    return {
        "id": vertex.id,
        "name": vertex.name,
        "router_id": vertex.router_id.hex(":") if vertex.router_id else None,
        "is_self": vertex.kind == "self",
        "kind": vertex.kind,
        "metric": vertex.metric,
        "via": vertex.via,
        "addresses": list(vertex.addresses)[:MAX_PREFIXES],
        "prefixes": [str(prefix) for prefix in nsmallest(MAX_PREFIXES, vertex.prefixes)],
        "prefix_count": len(vertex.prefixes),
    }


def _describe_link(edge: Edge) -> dict[str, Any]:
    return {
        "source": edge.source,
        "target": edge.target,
        "cost": edge.cost,
        "metric": edge.metric,
        "inferred": edge.inferred,
        "interface": edge.interface,
        "rxcost": edge.rxcost,
        "txcost": edge.txcost,
        "rtt_s": None if edge.rtt is None else round(edge.rtt, 6),
        "loss": None if edge.loss is None else round(edge.loss, 4),
    }
