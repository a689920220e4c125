"""What the tests of the kernel's news share: a node whose services note what they hear of a played kernel."""

from types import SimpleNamespace
from typing import Any

import pytest

from babelwg.config.babeld.model import BabeldConfig
from babelwg.daemon import kernelnews
from babelwg.daemon.kernelnews import KernelNews
from babelwg.daemon.tunnel_names import TunnelNames
from babelwg.linux import monitor
from tests.linux.playedmonitor import PlayedKernel


class NewsBench:
    """A node with the tunnel bw-b, number 7, over a kernel that a test plays."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kernel: PlayedKernel, config: Any = None) -> None:
        played: Any = kernel
        monkeypatch.setattr(monitor, "open_news", lambda port: played)
        for applied in ("apply_interfaces", "apply_announcements"):
            monkeypatch.setattr(kernelnews, applied, lambda node: None)
        self.kernel = kernel
        self.missing: list[str] = []
        self.repairs: list[bool] = []  # asked for, and whether with a look at our routes
        self.lost_addresses: list[bytes] = []
        ignore: Any = SimpleNamespace(
            links_changed=lambda: None, note=lambda *words: None, sync=lambda *what: None
        )
        self.settled: list[int] = []  # how many addresses were lost when each time losses were settled
        installer = SimpleNamespace(
            address_lost=lambda lost: self.lost_addresses.append(lost.address),
            settle_losses=lambda: self.settled.append(len(self.lost_addresses)),
        )
        self.left: list[set[int]] = []  # interfaces that routing had to leave at once
        self.routing: Any = SimpleNamespace(
            sync_interfaces=lambda: None,
            guard=lambda: None,
            installer=installer,
            leave_lost=lambda lost: self.left.append(lost),
        )
        self.tunnels: Any = SimpleNamespace(
            interface_missing=self.missing.append, mend_addresses=lambda: None, disabled=set()
        )
        self.node: Any = SimpleNamespace(
            requests=played,
            routes=SimpleNamespace(interface_lost=lambda index: None),
            routing=self.routing,
            tunnels=self.tunnels,
            gateways=ignore,
            recorder=ignore,
            leaves=ignore,
            config=config or BabeldConfig(),
            repair=SimpleNamespace(ask=lambda look: self.repairs.append(look)),
        )
        self.news = KernelNews(self.node)
        iproute: Any = None
        self.names = TunnelNames(iproute, self.news.monitor.mirror, lambda *words: None)
        self.tunnels.names = self.names
        self.names.learn("bw-b", 7)

    def hear(self) -> None:
        """Take what the kernel tells, as if it had been calm before."""
        for digest in self.news._digests:
            digest._free_at = 0.0
        self.news.monitor.receive()
