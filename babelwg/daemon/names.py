"""Names instead of numbers: which peer is behind an interface, and which node behind a router-id."""

from typing import TYPE_CHECKING

from babelwg.babel.snapshot import Snapshot
from babelwg.config import Config
from babelwg.config.keys import link_local

if TYPE_CHECKING:
    from babelwg.daemon.node import Node


class Names:
    """What this node knows of names; router-ids are learned from what peers originate, and kept."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._origins: dict[bytes, str] = {}

    @property
    def node(self) -> str:
        """This node's own name."""
        config = self._node.config
        return config.node.name if isinstance(config, Config) else "babeld"

    def learn(self, snapshot: Snapshot) -> None:
        """Take note of the router-ids that peers use for their own prefixes (metric 0 when they announce them)."""
        config = self._node.config
        if not isinstance(config, Config):
            return
        peers = {(peer.interface, link_local(peer.public_key)): peer.name for peer in config.peers}
        for route in snapshot.routes:
            # The address of a babelwg neighbour tells its key; what it announces at 0 it originates.
            name = peers.get((route.interface, route.neighbour))
            if name is not None and route.refmetric == 0:
                self._origins[route.router_id] = name

    def origin(self, router_id: bytes) -> str | None:
        """Return the peer that originates with this router-id, where we have heard it directly."""
        return self._origins.get(router_id)

    def router_ids_of(self, peer: str) -> set[bytes]:
        """Return the router-ids that a peer has used."""
        return {router_id for router_id, name in self._origins.items() if name == peer}

    def peer_on(self, interface: str) -> str | None:
        """Return the peer whose tunnel an interface is, None for other interfaces."""
        config = self._node.config
        peers = config.peers if isinstance(config, Config) else ()
        return next((peer.name for peer in peers if peer.interface == interface), None)
