"""From a configuration to what the services of a node shall do."""

import asyncio
from typing import TYPE_CHECKING

from babelwg.config import Config
from babelwg.config.model import DEAD_AFTER
from babelwg.daemon.effective import babeld_of, policy_of
from babelwg.daemon.lan import babeld_interfaces
from babelwg.daemon.redistribute import leaf_xroutes, own_xroutes, redistributed_xroutes
from babelwg.daemon.routing import WantedInterface
from babelwg.daemon.tunnel_notes import parameters_of, tunnel_to

if TYPE_CHECKING:
    from babelwg.daemon.node import Node


async def apply_configuration(node: "Node") -> None:
    """Bring every service to what the configuration says; what it does not change is not touched."""
    config = node.config
    if isinstance(config, Config):
        node.gateways.configure(config.gateways, config.tunnels.fwmark)
        node.kernel.sysctls = config.node.sysctls
        await node.kernel.apply(config)
        node.routing.prefer_sources(tuple(a.address for a in config.node.addresses))
    else:
        node.kernel.sysctls = not config.skip_kernel_setup
        node.kernel.set_tunnel_sysctls(list(wanted_interfaces(node)))
    node.kernel.set_node_sysctls()
    if policy_of(config) != node.policy:
        node.policy = policy_of(config)
        node.routing.set_policy(node.policy)
    node.links.configure(config.babel.dead_after if isinstance(config, Config) else DEAD_AFTER)
    babeld = babeld_of(config)
    node.routing.installer.reflecting = babeld is not None and babeld.reflect_kernel_metric
    node.monitor.watch(babeld.import_tables if babeld else ())
    apply_interfaces(node)
    apply_announcements(node)
    node.routing.guard()
    if isinstance(config, Config):
        await node.tunnels.configure(config)
    await node.local.configure(babeld)
    await node.web.configure(config.web if isinstance(config, Config) else None)


def resume_tunnels(node: "Node") -> None:
    """Speak at once on tunnels that an earlier life left as they should be; all else is applied after it."""
    config = node.config
    if not isinstance(config, Config) or not (ready := _ready_tunnels(node, config)):
        return
    node.policy = policy_of(config)
    node.routing.set_policy(node.policy)
    node.routing.prefer_sources(tuple(a.address for a in config.node.addresses))
    apply_announcements(node)
    node.routing.guard()
    node.routing.want_all(ready)


def forget_former_interfaces(node: "Node") -> None:
    """Let neighbours know at once what we had over tunnels and links that the configuration has no more."""
    peers = {peer.interface for peer in node.config.peers} if isinstance(node.config, Config) else set()
    wanted = peers | wanted_interfaces(node).keys()
    node.routing.speaker.forget_interfaces(wanted, asyncio.get_running_loop().time())
    node.routing.pump()


def apply_interfaces(node: "Node") -> None:
    """Run Babel on the interfaces besides tunnels that the configuration and the kernel have now."""
    wanted, tunnels = wanted_interfaces(node), tunnel_names(node)
    changes: dict[str, WantedInterface | None]
    changes = dict.fromkeys(node.routing.wanted.keys() - wanted.keys() - tunnels)
    changes |= {name: i for name, i in wanted.items() if node.routing.wanted.get(name) != i}
    if changes:
        node.routing.want_all(changes)


def wanted_interfaces(node: "Node") -> dict[str, WantedInterface]:
    """Return the interfaces besides tunnels that Babel shall run on."""
    babeld = babeld_of(node.config)
    links = node.monitor.mirror.links.values()
    return babeld_interfaces(babeld, links, tunnel_names(node)) if babeld else {}


def tunnel_names(node: "Node") -> set[str]:
    """Return the interfaces that are or will be tunnels of ours, those of an earlier configuration too."""
    peers = {peer.interface for peer in node.config.peers} if isinstance(node.config, Config) else set()
    return peers | node.tunnels.actual.keys() | node.store.tunnels().keys()


def apply_announcements(node: "Node") -> None:
    """Announce what configuration, gateways, leaves and the kernel have to be announced now."""
    babeld = babeld_of(node.config)
    xroutes = redistributed_xroutes(babeld, node.monitor.mirror) if babeld else {}
    if isinstance(node.config, Config):
        leaves = leaf_xroutes(node.config, node.tunnels.disabled)
        xroutes |= {**node.gateways.xroutes(), **leaves, **own_xroutes(node.config)}
        node.routing.installer.override = (*node.config.babel.override, *node.gateways.override())
    if xroutes != node.routing.announced:
        node.routing.announce(xroutes)
    node.leaves.sync(node.config, node.tunnels.disabled)


def _ready_tunnels(node: "Node", config: Config) -> dict[str, WantedInterface]:
    """Return the tunnels of an earlier life on which Babel can run before they are looked at more closely."""
    known, mirror, found = node.store.tunnels(), node.monitor.mirror, {}
    for peer in (p for p in config.peers if p.interface in known and not p.leaf_addresses):
        link, tunnel = mirror.link(peer.interface), tunnel_to(peer, config, known[peer.interface], 0, None)
        if link is not None and link.up and mirror.link_local(link.index) == tunnel.link_local:
            found[peer.interface] = WantedInterface(parameters_of(config, tunnel), tunnel.link_local)
    return found
