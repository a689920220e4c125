"""What the recorder hears: the speaker's events, and the notes of every service of a node."""

import logging
from typing import TYPE_CHECKING, Any

from babelwg.babel.events import Event, NeighbourAcquired
from babelwg.config import Config, ConfigErrors, PeerConfig
from babelwg.config.model import HISTORY
from babelwg.daemon.recorder.reload import AnyConfig, describe_reload
from babelwg.version import __version__

if TYPE_CHECKING:
    from babelwg.daemon.node import Node

log = logging.getLogger(__name__)

# Implementation constants
MAX_ERRORS = 1000  # characters of what is wrong with a configuration


async def configure_recorder(node: "Node", read_back: bool = False) -> None:
    """Bound the recorder and give it a file as the node's configuration says."""
    config = node.config
    if isinstance(config, Config):
        await node.recorder.configure(config.node.history, config.node.history_file, read_back)
    else:
        await node.recorder.configure(HISTORY, None)


def attach_recorder(node: "Node") -> None:
    """Have all services of a node tell its recorder what happens."""

    def note(event: str, text: str, cause: str | None = None, **fields: Any) -> None:
        node.recorder.note(event, text, cause, **fields)
        node.incidents.hear(event, fields)

    node.routing.listeners.append(node.recorder.listen)
    node.routing.listeners.append(lambda events: watch_seqno(node))
    node.routing.listeners.append(lambda events: watch_sessions(node, events))
    node.store.clock.incidents = node.incidents
    for service in (node.routing, node.kernel, node.tunnels.watch, node.gateways):
        service.note = note
    node.tunnels.embedded.started = lambda: note(
        "data-plane-started", "the data plane runs", "tunnels need one, and none ran"
    )


def watch_seqno(node: "Node") -> None:
    """Take note when a neighbour asks for a seqno of ours that we never had, as far as we know."""
    ahead = node.routing.speaker.counters["request_ahead.own-seqno"]
    node.incidents.observe("seqno-behind", "own seqno", ahead)


def watch_sessions(node: "Node", events: list[Event]) -> None:
    """Have tunnels tell of their sessions as soon as somebody is heard through them."""
    for event in events:
        if isinstance(event, NeighbourAcquired):
            node.tunnels.ask_soon(event.interface)


def note_start(node: "Node") -> None:
    """Take note that the node runs from now on."""
    node.recorder.note(
        "daemon-started",
        f"babelwg {__version__} runs as {node.names.node}",
        "it was started",
        version=__version__,
    )


def note_reload(node: "Node", config: AnyConfig) -> None:
    """Take note of what a new configuration changes."""
    changed, about = describe_reload(node.config, config)
    node.recorder.note("configuration-applied", "a new configuration is applied", changed, **about)


def note_switch(node: "Node", peer: PeerConfig, down: bool, up: bool) -> None:
    """Take note that somebody takes a tunnel down, brings it up again, or both."""
    if not down and peer.name not in node.tunnels.disabled:
        return
    verb, command = (
        ("restarted", "restart") if down and up else ("brought up", "up") if up else ("taken down", "down")
    )
    about = {"peer": peer.name, "interface": peer.interface, "up": up}
    node.recorder.note(
        "tunnel-switched", f"the tunnel to {peer.name} is {verb}", f"`babelwg {command}`", **about
    )


def note_refusal(node: "Node", errors: ConfigErrors) -> None:
    """Take note that a new configuration had errors."""
    why = str(errors).replace("\n", "; ")[:MAX_ERRORS]
    node.recorder.note("configuration-refused", "the old configuration stays", why)


def note_repair(node: "Node", count: int) -> None:
    """Take note that so many routes of the kernel were not as they should be, if there were any."""
    if not count:
        return
    log.warning("routes-repaired count=%d", count)
    cause = "the kernel did not hold what it should"
    node.recorder.note("routes-repaired", f"{count} routes were set right", cause, count=count)


def note_stop(node: "Node", withdraw: bool) -> None:
    """Take note that the node ends."""
    rest = "everything of it is withdrawn" if withdraw else "its tunnels and routes stay"
    node.recorder.note("daemon-stopped", f"babelwg ends, and {rest}", "somebody asked it to stop")
