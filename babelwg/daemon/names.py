"""Names instead of numbers: which peer is behind an interface, and which node behind a router-id or an address."""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelwg.babel.routeview import RouteView
from babelwg.babel.wire.prefix import Prefix
from babelwg.config import Config, Key
from babelwg.config.addresses import host_prefix
from babelwg.config.hosts import Hosts, Stamp, read_hosts, stamp_of
from babelwg.config.keys import link_local
from babelwg.daemon.texts import ip_text, prefix_text, router_id_text

if TYPE_CHECKING:
    from babelwg.daemon.node import Node

SYSTEM_HOSTS = Path("/etc/babelwg/hosts")
# Implementation constants
MAX_ROUTER_IDS = 4  # per peer: one is expected, and a new one after it lost its memory


class Names:
    """What this node knows of names; router-ids are learned from what peers originate, and kept."""

    def __init__(self, node: "Node") -> None:
        self.hosts_path = SYSTEM_HOSTS
        self.hosts = Hosts()
        self._node = node
        self._config: object = None
        self._peers: dict[str, str] = {}  # by interface
        self._neighbours: dict[tuple[str, bytes], str] = {}  # by interface and link-local address
        self._by_address: dict[bytes, str] = {}  # by link-local address
        self._origins: dict[str, dict[bytes, None]] = {}  # by peer, the latest last
        self._stamp: tuple[Path, Stamp | None] | None = None
        self._router_ids: dict[bytes, str] = {}  # what the hosts file says
        self._prefixes: dict[Prefix, str] = {}
        self._aliases: dict[str, dict[str, None]] = {}  # the names shown for each name
        self._claims: dict[bytes, str] = {}  # router-ids by the prefixes that they announce
        self._known: dict[bytes, str] = {}  # all router-ids that have a name
        self._near: dict[tuple[str, bytes], str] = {}  # neighbours besides peers, by interface and address

    @property
    def node(self) -> str:
        """This node's own name."""
        config = self._node.config
        return config.node.name if isinstance(config, Config) else "babeld"

    def learn(self, now: float) -> None:
        """Take note of who originates what: peers their own prefixes, and others the prefixes that have names."""
        self._follow_configuration()
        self._follow_hosts()
        speaker = self._node.routing.speaker
        near: dict[tuple[str, bytes], bytes] = {}
        # The address of a babelwg neighbour tells its key; what it announces at 0 it originates.
        for key, ids in speaker.originators().items():
            if name := self._neighbours.get(key):
                for router_id in ids:
                    self._remember(name, router_id)
            else:
                near[key] = ids[-1]
        self._claims = self._claimed(now)
        known = self._claims | self._router_ids
        for name, router_ids in reversed(self._origins.items()):
            known |= dict.fromkeys(router_ids, name)
        self._known = known | {speaker.router_id: self.node}
        self._near = {key: known[router_id] for key, router_id in near.items() if router_id in known}

    def origin(self, router_id: bytes) -> str | None:
        """Return the node that originates with this router-id: a peer heard directly, or what the hosts file names."""
        return self._known.get(router_id)

    def router_ids_of(self, peer: str) -> set[bytes]:
        """Return the router-ids that a peer has used."""
        return set(self._origins.get(peer, ()))

    def peer_on(self, interface: str) -> str | None:
        """Return the peer whose tunnel an interface is, None for other interfaces."""
        self._follow_configuration()
        return self._peers.get(interface)

    def neighbour(self, interface: str, address: bytes) -> str | None:
        """Return the name of a neighbour (packed address): its tunnel's, the hosts file's, or its router-id's."""
        return self._peers.get(interface) or self.of_address(address) or self._near.get((interface, address))

    def of_address(self, address: bytes) -> str | None:
        """Return the name that the hosts file gives a packed address, or the peer whose link-local address it is."""
        return self._prefixes.get(host_prefix(address)) or self._by_address.get(address)

    def resolve(self, name: str) -> list[bytes]:
        """Return the packed addresses of a node: the host prefixes that it announces, the reachable ones first.

        The name is a peer's, one of the hosts file, or our own; what the hosts file says of an address comes first.
        """
        now = asyncio.get_running_loop().time()
        speaker = self._node.routing.speaker
        self.learn(now)
        if name == self.node:
            return _in_order(x.prefix for x in speaker.summary(now).xroutes)
        shown = self.shown_as(name)
        said = _in_order(prefix for prefix, known in self._prefixes.items() if known in shown)
        ids = {router_id for router_id, known in self._known.items() if known in shown}
        routes = [route for route in speaker.route_columns(now).views() if route.router_id in ids]
        announced = _in_order(route.prefix for route in sorted(routes, key=_is_unreachable))
        return [*dict.fromkeys((*said, *announced))]

    def shown_as(self, name: str) -> set[str]:
        """Return the names under which tables have a node: this one, those put first by the hosts file, the peer's."""
        self._follow_configuration()
        self._follow_hosts()
        shown = {name, *self._aliases.get(name, ())}
        # A peer is called as the configuration calls it, whatever the hosts file says of its router-id or address.
        near = {p for a, p in self._by_address.items() if self._prefixes.get(host_prefix(a)) in shown}
        return shown | near | self._known_by(self._router_ids, shown)

    def identities(self, name: str) -> set[str]:
        """Return all by which a node of this name may be recorded, also from before it was known by it."""
        shown = self.shown_as(name)

        def of(table: Mapping[Any, str]) -> list[Any]:
            return [key for key, known in table.items() if known in shown]

        prefixes = of(self._prefixes)
        addresses = [*_in_order(prefixes), *of(self._by_address), *(key[1] for key in of(self._near))]
        router_ids = of(self._router_ids | self._known)
        texts = [*map(prefix_text, prefixes), *map(ip_text, addresses), *map(router_id_text, router_ids)]
        return shown | {*texts, *of(self._peers)}

    def prefixes_of(self, name: str) -> set[Prefix]:
        """Return the prefixes and addresses to which the hosts file gives a name."""
        shown = self.shown_as(name)
        return {prefix for prefix, known in self._prefixes.items() if known in shown}

    def selected_by(self, name: str) -> set[str]:
        """Return all that a name selects in tables: its node, and the peer that announces a prefix of this name."""
        peers = self._known_by(self._claims, self.shown_as(name)) & {*self._peers.values()}
        return self.identities(name).union(*map(self.identities, peers))

    def all(self) -> list[str]:
        """Return every name that means something here, for suggestions."""
        self._follow_configuration()
        self._follow_hosts()
        return sorted({self.node, *self._peers.values(), *self._aliases})

    def complaints(self) -> list[tuple[str, str]]:
        """Return the path of the hosts file and what of it is not understood, when something is not."""
        complaints = self.hosts.complaints
        if not complaints:
            return []
        more = f", and {len(complaints) - 1} more" if len(complaints) > 1 else ""
        return [(str(self.hosts_path), f"{complaints[0]}{more}")]

    def _known_by(self, named: Mapping[bytes, str], shown: set[str]) -> set[str]:
        """Return the names in use of nodes whose router-ids are named so."""
        ids = (router_id for router_id, name in named.items() if name in shown)
        return {self._known[router_id] for router_id in ids if router_id in self._known}

    def _claimed(self, now: float) -> dict[bytes, str]:
        """Return the router-ids that alone announce a prefix with a name; of two nobody knows whose the name is."""
        speaker = self._node.routing.speaker
        claimed = {}
        for prefix, name in self._prefixes.items():
            ids = {r.router_id for r in speaker.routes_for(prefix, now) if r.state != "retracted"}
            if len(ids) == 1:
                claimed[ids.pop()] = name
        return claimed

    def _remember(self, peer: str, router_id: bytes) -> None:
        known = self._origins.setdefault(peer, {})
        known.pop(router_id, None)
        known[router_id] = None
        while len(known) > MAX_ROUTER_IDS:
            del known[next(iter(known))]

    def _follow_configuration(self) -> None:
        config = self._node.config
        if config is self._config:
            return
        self._config = config
        peers = config.peers if isinstance(config, Config) else ()
        self._peers = {peer.interface: peer.name for peer in peers}
        self._by_address = {link_local(p.public_key): p.name for p in peers}
        self._neighbours = {(p.interface, link_local(p.public_key)): p.name for p in peers}
        for gone in self._origins.keys() - self._peers.values():
            del self._origins[gone]
        self._stamp = None  # what the hosts file says of keys is about the peers

    def _follow_hosts(self) -> None:
        """Read the hosts file again when it has changed; the one beside the configuration comes first."""
        beside = self._node.config_path.parent / "hosts"
        stamp = stamp_of(beside)
        path = beside if stamp else SYSTEM_HOSTS
        found = (path, stamp or stamp_of(path))
        if found == self._stamp:
            return
        self._stamp, self.hosts_path = found, path
        self.hosts = read_hosts(path) if found[1] else Hosts()
        self._take_in()

    def _take_in(self) -> None:
        config = self._node.config
        peers = {p.public_key: p.name for p in config.peers} if isinstance(config, Config) else {}
        self._router_ids, self._prefixes, self._aliases = {}, {}, {}
        for host in self.hosts.lines:
            shown = host.names[0]
            if isinstance(host.identity, bytes):
                self._router_ids.setdefault(host.identity, shown)
            elif isinstance(host.identity, Key):
                # A peer is called as the configuration calls it; further names lead to it.
                shown = peers.get(host.identity, shown)
            else:
                self._prefixes.setdefault(host.identity, shown)
            for name in host.names:
                self._aliases.setdefault(name, {})[shown] = None


def _is_unreachable(route: RouteView) -> bool:
    return route.state != "selected"


def _in_order(prefixes: Iterable[Prefix]) -> list[bytes]:
    """Return the addresses of host prefixes, each once."""
    return [*dict.fromkeys(p.network for p in prefixes if p.plen == 8 * len(p.network) and not p.source_plen)]
