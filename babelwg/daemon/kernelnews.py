"""What the kernel tells by itself, and which services of a node have to hear of it."""

import asyncio
from typing import TYPE_CHECKING

from babelwg.config import Config
from babelwg.daemon.applying import apply_announcements, apply_interfaces
from babelwg.daemon.digest import Digest
from babelwg.daemon.effective import babeld_of
from babelwg.daemon.redistribute import redistribution_facts
from babelwg.linux.monitor import Monitor
from babelwg.linux.routes import LOOPBACK

if TYPE_CHECKING:
    from babelwg.daemon.node import Node


class KernelNews:
    """Watches the kernel for a node, whose services need not be there yet."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._lost: set[int] = set()  # interfaces that went down or away, of which routing has to hear
        # What needs a look at all routes of others must not keep interfaces waiting.
        self._digests = (Digest(self._links_changed), Digest(self._routes_changed))
        self.monitor = Monitor(
            node.requests,
            self._changed,
            lambda route: node.routing.route_lost(route),
            self._interface_lost,
            lambda route: node.routing.route_set(route),
            lambda lost: node.routing.installer.address_lost(lost),
            asyncio.get_running_loop().call_later,
        )
        self._interfaces: dict[str, int] = {}  # at the last look: names, and the number of each
        self._facts = redistribution_facts(self.monitor.mirror)  # which last decided what is announced

    def close(self) -> None:
        """Tell nothing more."""
        for digest in self._digests:
            digest.close()
        self.monitor.close()

    def _interface_lost(self, index: int) -> None:
        self._node.routes.interface_lost(index)
        self._lost.add(index)

    def _changed(self, what: set[str]) -> None:
        if "address" in what:
            # Now and not with a digest: until then routes could be set that prefer what is gone.
            self._node.routing.installer.settle_losses()
        if self._lost:
            # Nor may this wait: a whole table could be set over what is gone.
            lost, self._lost = self._lost, set()
            self._node.routing.leave_lost(lost)
        for digest in self._digests:
            digest.take(what)

    def _links_changed(self, what: set[str]) -> None:
        node = self._node
        if what & {"link", "address", "overrun"}:
            self._miss_interfaces()
            apply_interfaces(node)
            node.gateways.links_changed()
            node.routing.sync_interfaces()
            node.tunnels.mend_addresses()
            if self._lacks_address():
                node.repair.ask(look=False)
        if "overrun" in what:
            node.recorder.note("kernel-overrun", "news of the kernel were lost", "too many came at once")
        if what & {"rule", "overrun"}:
            node.repair.ask(look=True)

    def _lacks_address(self) -> bool:
        """Return whether lo lacks an address that is this node's."""
        config, there = self._node.config, self.monitor.mirror.addresses.get(LOOPBACK, {})
        own = config.node.addresses if isinstance(config, Config) else ()
        return any((a.address, 8 * len(a.address)) not in there for a in own)

    def _miss_interfaces(self) -> None:
        """Tell of the interfaces that went since the last look, also where another one has the name of such a one."""
        before, self._interfaces = self._interfaces, dict(self.monitor.mirror.names)
        for name, index in before.items():
            # What the tunnels made anew themselves has another number too, which they know.
            if self._interfaces.get(name) != index and not self._node.tunnels.names.is_in_place(name):
                self._node.tunnels.interface_missing(name)

    def _routes_changed(self, what: set[str]) -> None:
        node = self._node
        if what & {"main", "link", "overrun"}:
            node.leaves.sync(node.config, node.tunnels.disabled)
        if "main" in what:
            node.routing.guard()
        facts = redistribution_facts(self.monitor.mirror)
        if babeld_of(node.config) is not None and ("main" in what or facts != self._facts):
            self._facts = facts
            apply_announcements(node)
