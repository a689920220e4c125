"""One examination: facts are gathered, probes are sent side by side, and every check gives its findings."""

import asyncio
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelwg.babel.snapshot import NeighbourView, Snapshot
from babelwg.config import Config, ConfigErrors, PeerConfig
from babelwg.daemon.diskthread import DiskThread
from babelwg.daemon.doctor.babel import check_keys, check_link, check_seqno
from babelwg.daemon.doctor.finding import NODE, Finding, fail, ok, warn
from babelwg.daemon.doctor.kernel import examine_kernel
from babelwg.daemon.doctor.patients import examine_peer
from babelwg.daemon.doctor.routes import check_clashes, check_refused
from babelwg.daemon.doctor.system import (
    check_clock,
    check_daemon,
    check_forward_chains,
    check_forwarding,
    check_managers,
    check_reverse_path,
    check_rights,
    check_state_directory,
)
from babelwg.daemon.doctor.tunnels import check_mended, check_tunnel, check_twins
from babelwg.daemon.recorder.wiring import watch_seqno
from babelwg.linux.nftables import read_ruleset
from babelwg.linux.programs import running_managers

if TYPE_CHECKING:
    from babelwg.daemon.node import Node
    from babelwg.daemon.queries.context import Context

# Implementation constants
LIMIT = 7.5  # seconds for everything
AT_ONCE = 64  # peers that are probed side by side
NET = Path("/proc/sys/net")


async def examine(context: "Context", peer: PeerConfig | None) -> list[Finding]:
    """Return the findings about one peer, or about the node and all its peers."""
    node, findings = context.node, []
    try:
        async with asyncio.timeout(LIMIT):
            if peer is None:
                findings += _examine_machine(node) + examine_kernel(node)
                # Where disks are slow, Hellos must not wait for them.
                findings += await DiskThread("examination").run(partial(_examine_files, node))
            findings += await _examine_peers(context, peer)
    except TimeoutError:
        cause = "the machine is overloaded, or there are very many peers"
        findings.append(warn("daemon", NODE, "not every check came to an end", cause, "babelwg doctor PEER"))
    if peer is None:
        findings += _examine_babel(context)
        findings += check_daemon(node.lag.maximum / 1000, node.routing.counters["internal_error"])
    return findings


def _examine_machine(node: "Node") -> list[Finding]:
    """Return what is to be said of the machine."""
    node.store.clock.look()
    tunnels = node.tunnels.actual
    findings = check_clock(node.store.clock, node.incidents, time.time())
    findings += check_rights(Path("/proc/self/status").read_text())
    findings += check_forwarding(NET) + check_reverse_path(NET, tunnels)
    findings += check_managers(running_managers())
    if isinstance(node.config, Config):
        findings += check_twins(node.config.peers)
    return findings


def _examine_files(node: "Node") -> list[Finding]:
    """Return what is to be said of the state directory and of the configuration."""
    findings = check_state_directory(
        node.store.directory, dict(node.store.counters), dict(node.store.failing)
    )
    return findings + _check_configuration(node)


def _check_configuration(node: "Node") -> list[Finding]:
    try:
        same = node.load() == node.config
    except ConfigErrors as errors:
        first = str(errors).splitlines()[0]
        cause = f"{first}; the node goes on with what it read before, and would not start again"
        return [fail("configuration", NODE, "the configuration has errors", cause, "babelwg check-config")]
    if same:
        return [ok("configuration", NODE, "the files say what runs")]
    cause = "it was edited after the start or the last reload"
    return [
        warn("configuration", NODE, "the files say something else than what runs", cause, "babelwg reload")
    ]


def _examine_babel(context: "Context") -> list[Finding]:
    """Return what is to be said of the tables of Babel, as they are now."""
    node, snapshot = context.node, context.snapshot()
    watch_seqno(node)
    findings = check_refused(node.routes.refused)
    findings += check_seqno(node.incidents)
    findings += check_keys(sorted(node.routing.speaker.counters.items()))
    findings += _check_clashes(context, snapshot)
    findings += _check_interfaces(node, snapshot)
    return findings + check_mended(node.incidents)


def _check_clashes(context: "Context", snapshot: Snapshot) -> list[Finding]:
    ours = context.node.routing.announced
    # What is announced besides may be announced by many nodes on purpose, an address of a node or a leaf never.
    own = {prefix for prefix, (_, origin) in ours.items() if origin in ("address", "leaf")}
    names = context.names
    announced = (
        (r.prefix, names.origin(r.router_id) or r.router_id.hex(":"), r.router_id)
        for r in snapshot.routes
        if r.state != "retracted"
    )
    return check_clashes(own, announced, snapshot.router_id, ours.keys() - own)


def _check_interfaces(node: "Node", snapshot: Snapshot) -> list[Finding]:
    """Return the interfaces besides tunnels on which Babel should run and does not."""
    running = {view.name for view in snapshot.interfaces}
    findings = []
    for name in sorted(node.routing.wanted.keys() - running - node.tunnels.actual.keys()):
        cause = node.routing.errors.get(name) or "it is down, is gone, or has no link-local address"
        findings.append(
            fail("interface", name, "Babel does not run here", cause, f"ip address show dev {name}")
        )
    return findings


def _neighbours(context: "Context") -> dict[str, NeighbourView]:
    return {n.interface: n for n in context.summary().neighbours}


def _taken_down(peer: PeerConfig, is_asked: bool) -> Finding:
    """Return that a tunnel is down on purpose, which nobody has to be told unless they ask about it."""
    words, cause = "the tunnel is taken down", "`babelwg down`, until `babelwg up` or a restart"
    if is_asked:
        return warn("tunnel", peer.name, words, cause, f"babelwg up {peer.name}")
    return ok("tunnel", peer.name, f"{words} by {cause}")


async def _examine_peers(context: "Context", peer: PeerConfig | None) -> list[Finding]:
    """Return what is to be said of peers, in the order of the configuration."""
    config = context.node.config
    peers = [peer] if peer else list(config.peers) if isinstance(config, Config) else []
    if not peers:
        return []
    node, gate = context.node, asyncio.Semaphore(AT_ONCE)
    ruleset, states, report = await asyncio.gather(
        read_ruleset(), node.tunnels.states(), node.tunnels.embedded.handshakes()
    )
    neighbours, is_asked = _neighbours(context), peer is not None
    scene: dict[str, Any] = {"ruleset": ruleset, "states": states, "report": report, "neighbours": neighbours}

    async def one(peer: PeerConfig) -> list[Finding]:
        if peer.name in node.tunnels.disabled:
            return [_taken_down(peer, is_asked)]
        async with gate:
            patient = await examine_peer(node, peer, **scene)
        # The probes took seconds, in which a neighbour may have gone silent, or spoken.
        patient = replace(patient, neighbour=_neighbours(context).get(peer.interface))
        return check_tunnel(patient) + check_link(patient)

    findings = [f for found in await asyncio.gather(*(one(peer) for peer in peers)) for f in found]
    return findings if is_asked else findings + check_forward_chains(ruleset, node.tunnels.actual.keys())
