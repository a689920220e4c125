"""Each peer in one record: its tunnel, its session, its link, and the way that packets to it take."""

import time
from collections.abc import Iterable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from babelwg.babel.snapshot import NeighbourView, Summary
from babelwg.config import Config, PeerConfig, link_local
from babelwg.daemon.names import Names
from babelwg.daemon.survey import Told
from babelwg.daemon.texts import ip_text
from babelwg.daemon.tunnels import HANDSHAKE_FRESH
from babelwg.linux.tunnels.tunnel import SocketAddress, TunnelState

if TYPE_CHECKING:
    from babelwg.daemon.node import Node

INFINITY = 65535


async def describe_peers(node: "Node", summary: Summary, names: Names) -> list[dict[str, Any]]:
    """Return a record for each peer, in the order of the configuration."""
    if not isinstance(node.config, Config):
        return []
    told = await node.tunnels.told()
    neighbours = {n.interface: n for n in summary.neighbours}
    return [
        _describe(node, summary, names, peer, told.get(peer.interface), neighbours.get(peer.interface))
        for peer in node.config.peers
    ]


def describe_neighbours(neighbours: Iterable[NeighbourView], names: Names) -> list[dict[str, Any]]:
    """Return a record for each neighbour of Babel."""
    return [
        {
            "interface": n.interface,
            "peer": names.peer_on(n.interface),
            "name": names.neighbour(n.interface, n.address),
            "address": ip_text(n.address),
            "state": "reachable" if n.cost < INFINITY else "unreachable",
            "reach": f"{n.reach:04x}",
            "ureach": f"{n.ureach:04x}",
            "rxcost": n.rxcost,
            "txcost": n.txcost,
            "cost": n.cost,
            "loss": round(n.loss, 4),
            "rtt_s": round(n.rtt, 6) if n.rtt is not None else None,
            "rttcost": n.penalty,
            "hello_interval_s": n.hello_interval or None,
            "last_heard_s": round(n.last_heard, 3),
            "routes": n.routes,
        }
        for n in neighbours
    ]


def _describe(
    node: "Node",
    summary: Summary,
    names: Names,
    peer: PeerConfig,
    told: Told | None,
    neighbour: NeighbourView | None,
) -> dict[str, Any]:
    state = told.state if told else None
    tunnel = node.tunnels.actual.get(peer.interface)
    word, reason = _state_of(node, peer, state, neighbour)
    if reason and told and told.age:
        reason = f"{reason}; what is told of it is {told.age:.0f} s old"
    handshake = time.time() - state.latest_handshake if state and state.latest_handshake else None
    return {
        "name": peer.name,
        "public_key": str(peer.public_key),
        "interface": peer.interface,
        "backend": node.tunnels.backend_of(peer),
        "state": word,
        "reason": reason,
        "endpoint": _text(state.endpoint) if state and state.endpoint else None,
        "listen_port": state.listen_port if state else tunnel.listen_port if tunnel else None,
        "latest_handshake_s": round(max(0.0, handshake), 3) if handshake is not None else None,
        "tunnel_age_s": round(told.age, 3) if told else None,
        "rx_bytes": state.rx_bytes if state else 0,
        "tx_bytes": state.tx_bytes if state else 0,
        "keepalive_s": peer.keepalive,
        "path": _path(summary, names, peer),
        "rtt_s": round(neighbour.rtt, 6) if neighbour and neighbour.rtt is not None else None,
        "rttcost": neighbour.penalty if neighbour else None,
        "loss": round(neighbour.loss, 4) if neighbour else None,
        "rxcost": neighbour.rxcost if neighbour else None,
        "txcost": neighbour.txcost if neighbour else None,
        "cost": neighbour.cost if neighbour else None,
        "routes": neighbour.routes if neighbour else 0,
        "last_heard_s": round(neighbour.last_heard, 3) if neighbour else None,
        "address": str(ip_address(link_local(peer.public_key))),
    }


def _state_of(
    node: "Node", peer: PeerConfig, state: TunnelState | None, neighbour: NeighbourView | None
) -> tuple[str, str | None]:
    problem = node.tunnels.problems.get(peer.interface)
    if problem is not None:
        return "failed", problem.reason
    if peer.name in node.tunnels.disabled:
        return "disabled", None
    if neighbour is not None and neighbour.cost < INFINITY:
        return "up", None
    if peer.leaf_addresses and state is not None:
        # A phone that sleeps, or has not called yet, is nothing wrong.
        return ("idle" if time.time() - state.latest_handshake > HANDSHAKE_FRESH else "up"), None
    resolver = node.tunnels.resolvers.get(peer.name)
    if state is not None and state.endpoint is None:
        if resolver is not None and resolver.problem:
            return "unresolved", resolver.problem
        return "no-endpoint", "no endpoint is configured and the peer has not called yet"
    if state is None and peer.interface in node.tunnels.actual:
        return "connecting", "its back end has not answered yet"
    if state is None or time.time() - state.latest_handshake > HANDSHAKE_FRESH:
        return "connecting", "no answer to the handshake yet"
    if (dead_for := node.links.dead_for(peer.interface)) is not None:
        return "down", f"the link is dead: no packet gets an answer for {dead_for:.0f} s"
    if neighbour is not None and neighbour.rxcost < INFINITY:
        return "down", "heard, and does not say that it hears us"
    if neighbour is not None:
        return "down", f"nothing heard for {neighbour.last_heard:.0f} s"
    return "down", "the session stands, but no Hello was heard: is a Babel speaker running there?"


def _path(summary: Summary, names: Names, peer: PeerConfig) -> str | None:
    """Return how packets to a peer's own addresses go: `direct`, `via NAME`, None when they cannot."""
    router_ids = names.router_ids_of(peer.name)
    ways = {interface for known in router_ids for interface in summary.ways.get(known, ())}
    if not ways:
        return None
    if peer.interface in ways:
        return "direct"
    interface = sorted(ways)[0]
    return f"via {names.peer_on(interface) or interface}"


def _text(endpoint: SocketAddress) -> str:
    address = ip_address(endpoint[0])
    return f"[{address}]:{endpoint[1]}" if address.version == 6 else f"{address}:{endpoint[1]}"
