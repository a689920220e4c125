"""Names instead of numbers: which peer is behind an interface, and which node behind a router-id."""

from typing import TYPE_CHECKING

from babelwg.babel.snapshot import Snapshot
from babelwg.config import Config
from babelwg.config.keys import link_local

if TYPE_CHECKING:
    from babelwg.daemon.node import Node


# Implementation constants
MAX_ROUTER_IDS = 4  # per peer: one is expected, and a new one after it lost its memory


class Names:
    """What this node knows of names; router-ids are learned from what peers originate, and kept."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._origins: dict[str, dict[bytes, None]] = {}  # by peer, the latest last

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
                known = self._origins.setdefault(name, {})
                known.pop(route.router_id, None)
                known[route.router_id] = None
                while len(known) > MAX_ROUTER_IDS:
                    del known[next(iter(known))]
        for gone in self._origins.keys() - {peer.name for peer in config.peers}:
            del self._origins[gone]

    def origin(self, router_id: bytes) -> str | None:
        """Return the peer that originates with this router-id, where we have heard it directly."""
        return next((name for name, known in self._origins.items() if router_id in known), None)

    def router_ids_of(self, peer: str) -> set[bytes]:
        """Return the router-ids that a peer has used."""
        return set(self._origins.get(peer, ()))

    def peer_on(self, interface: str) -> str | None:
        """Return the peer whose tunnel an interface is, None for other interfaces."""
        config = self._node.config
        peers = config.peers if isinstance(config, Config) else ()
        return next((peer.name for peer in peers if peer.interface == interface), None)
