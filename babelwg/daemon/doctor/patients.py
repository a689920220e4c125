"""From a peer of the configuration to a patient: what the node knows of it, and the probes that its state calls for."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelwg.babel.snapshot import NeighbourView
from babelwg.config import PeerConfig, link_local
from babelwg.daemon.doctor.patient import Patient, Probes
from babelwg.daemon.doctor.probing import probe_endpoint, probe_link
from babelwg.daemon.effective import parameters_of
from babelwg.linux.nftables import DropRule, udp_drops
from babelwg.linux.tunnels.handshakes import HandshakeReport, SeenCaller
from babelwg.linux.tunnels.tunnel import TunnelState

if TYPE_CHECKING:
    from babelwg.daemon.node import Node

# Implementation constants
WATCH = 5.6  # seconds in which an unanswered call is repeated once
SYSCTL = "/proc/sys/net/ipv6/conf/{}/disable_ipv6"


async def examine_peer(
    node: "Node",
    peer: PeerConfig,
    ruleset: list[Mapping[str, Any]],
    states: Mapping[str, TunnelState],
    report: HandshakeReport,
    neighbours: Mapping[str, NeighbourView],
) -> Patient:
    """Return a peer with all that the checks need; the deader it seems, the more is asked."""
    patient = _known(node, peer, states.get(peer.interface), neighbours.get(peer.interface))
    babel_port = parameters_of(node.config).port
    patient = replace(
        patient,
        babel_drops=_concerning(udp_drops(ruleset, babel_port), peer.interface),
        tunnel_drops=tuple(r for r in udp_drops(ruleset, patient.port) if r.hook in ("input", "prerouting")),
    )
    if not (patient.exists and patient.up and patient.has_link_local and patient.state):
        return patient
    if peer.leaf_addresses:
        return _with_signs(patient, report)  # a phone: it has no link-local address, and sleeps
    patient = replace(patient, tells=peer.interface in report.signs)
    watch = asyncio.create_task(
        asyncio.sleep(0, False) if patient.tells or patient.hears else _grows(node, patient)
    )
    try:
        address = patient.neighbour.address if patient.neighbour else link_local(peer.public_key)
        # Whose Hellos come has a speaker.
        port = 0 if patient.hears else babel_port
        probes = await probe_link(address, peer.interface, _mtu(node, peer.interface), port)
        if not probes.echoes and patient.endpoint is not None:
            patient, probes = await _look_outside(node, patient, probes, report)
            patient = replace(patient, grows=await watch)
    finally:
        watch.cancel()
    return replace(patient, probes=probes)


def _known(
    node: "Node", peer: PeerConfig, state: TunnelState | None, neighbour: NeighbourView | None
) -> Patient:
    """Return what is known of a peer without asking anybody."""
    mirror, name = node.monitor.mirror, peer.interface
    link, tunnel, resolver = (
        mirror.link(name),
        node.tunnels.actual.get(name),
        node.tunnels.resolvers.get(peer.name),
    )
    ours = tunnel.link_local if tunnel else None
    addresses = mirror.addresses.get(link.index, {}).values() if link else ()
    handshake = state.latest_handshake if state else 0.0
    endpoint = state.endpoint if state and state.endpoint else resolver.current if resolver else None
    return Patient(
        peer=peer,
        exists=link is not None,
        up=link is not None and link.up,
        has_link_local=any(a.address == ours and a.usable for a in addresses),
        ipv6_disabled=_is_one(Path(SYSCTL.format(name))),
        port=state.listen_port if state else tunnel.listen_port if tunnel else 0,
        tunnel_problem=node.tunnels.problems.get(name),
        name_problem=resolver.problem if resolver else None,
        endpoint=endpoint,
        state=state,
        handshake_age=max(0.0, time.time() - handshake) if handshake else None,
        neighbour=neighbour,
    )


async def _look_outside(
    node: "Node", patient: Patient, probes: Probes, report: HandshakeReport
) -> tuple[Patient, Probes]:
    """Return a peer whose tunnel carries nothing, with what is seen beside the tunnel."""
    assert patient.endpoint is not None
    tunnel = node.tunnels.actual.get(patient.peer.interface)
    outer, host_answers = await probe_endpoint(patient.endpoint, tunnel.fwmark if tunnel else 0)
    return _with_signs(patient, report), replace(probes, outer=outer, host_answers=host_answers)


def _with_signs(patient: Patient, report: HandshakeReport) -> Patient:
    """Return a peer with what our data plane tells of its handshakes, and of others at its address."""
    host = str(ip_address(patient.endpoint[0])) if patient.endpoint else ""
    callers = tuple(c for c in report.callers if _same(c, host))
    return replace(patient, signs=report.signs.get(patient.peer.interface, patient.signs), callers=callers)


async def _grows(node: "Node", patient: Patient) -> bool:
    """Return whether anything arrives from a peer whose back end does not tell how handshakes go."""
    await asyncio.sleep(WATCH)
    states = await node.tunnels.states()
    now = states.get(patient.peer.interface)
    return now is not None and patient.state is not None and now.rx_bytes > patient.state.rx_bytes


def _same(caller: SeenCaller, host: str) -> bool:
    mapped = getattr(ip_address(caller.address), "ipv4_mapped", None)
    return str(mapped or caller.address) == host


def _concerning(rules: list[DropRule], interface: str) -> tuple[DropRule, ...]:
    return tuple(rule for rule in rules if not rule.interfaces or interface in rule.interfaces)


def _mtu(node: "Node", interface: str) -> int:
    link = node.monitor.mirror.link(interface)
    return link.mtu if link else 0


def _is_one(path: Path) -> bool:
    try:
        return path.read_text().strip() == "1"
    except OSError:
        return False
