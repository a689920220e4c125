"""Whether this kernel has WireGuard, asked of a netlink socket that answers as told."""

import asyncio
import errno
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from pyroute2.netlink.exceptions import NetlinkError

from babelwg.config.keys import generate_private, public_of
from babelwg.linux.tunnels import kernel as module
from babelwg.linux.tunnels.kernel import KernelBackend, kernel_has_wireguard
from babelwg.linux.tunnels.tunnel import Tunnel, TunnelState, settings_of


class Attributes(dict[str, Any]):
    """A message with attributes."""

    def get_attr(self, name: str) -> Any:
        return self.get(name)


class FakeRoute:
    """A netlink socket where making a link gives an error number, and where a link of a kind is there."""

    def __init__(self, code: int, kind: str) -> None:
        self.code = code
        self.kind = kind
        self.names: set[str] = set()

    async def link(self, verb: str, **what: Any) -> AsyncIterator[Attributes] | None:
        if verb == "dump":
            return self.links()
        self.names.add(what.get("ifname", ""))
        if verb == "add" and self.code:
            raise NetlinkError(self.code)
        return None

    async def links(self) -> AsyncIterator[Attributes]:
        yield Attributes(IFLA_LINKINFO=Attributes(IFLA_INFO_KIND=self.kind))

    async def link_lookup(self, ifname: str) -> list[int]:
        return [5]


@pytest.mark.parametrize(
    ("code", "kind", "has"),
    [
        (0, "wireguard", True),
        (errno.EOPNOTSUPP, "wireguard", False),
        (errno.EEXIST, "wireguard", True),
        (errno.EEXIST, "dummy", False),
    ],
)
def test_the_kernel_is_asked_with_a_name_that_no_peer_has(code: int, kind: str, has: bool) -> None:
    fake: Any = FakeRoute(code, kind)
    assert asyncio.run(kernel_has_wireguard(fake)) is has
    assert not any(name.startswith("bw-") or len(name) > 15 for name in fake.names)


PRIVATE = generate_private()
PEER, ENDPOINT = public_of(generate_private()), (bytes([192, 0, 2, 1]), 9)
TUNNEL = Tunnel("bw-a", "a", "kernel", PRIVATE, PEER, 5000, 1420, 7, b"", endpoint=ENDPOINT)
ROAMED = bytes([198, 51, 100, 1]), 77


class FakeWireguard:
    """A generic netlink socket that remembers what it was told of peers."""

    def __init__(self) -> None:
        self.peers: list[dict[str, Any]] = []

    async def set(self, interface: str, peer: dict[str, Any], **device: Any) -> None:
        self.peers.append(peer)

    async def info(self, interface: str) -> AsyncIterator[Attributes]:
        return self.nothing()

    async def nothing(self) -> AsyncIterator[Attributes]:
        for _ in ():
            yield Attributes()


def told(
    monkeypatch: pytest.MonkeyPatch, there: Tunnel, tunnel: Tunnel, previous: Tunnel | None
) -> list[Any]:
    """Return what the kernel is told of peers, where a session lives with one that has roamed."""
    wireguard, iproute = FakeWireguard(), FakeRoute(0, "wireguard")

    @asynccontextmanager
    async def opened() -> AsyncIterator[FakeWireguard]:
        yield wireguard

    async def state(interface: str) -> TunnelState:
        return TunnelState(ROAMED, time.time() - 20, 1, 1, 5000, settings_of(there))

    backend = KernelBackend(iproute)  # type: ignore[arg-type]
    monkeypatch.setattr(module, "_open", opened)
    monkeypatch.setattr(backend, "state", state)
    asyncio.run(backend.configure(tunnel, previous))
    return wireguard.peers


def test_another_preshared_key_ends_the_session_and_keeps_the_endpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keyed = replace(TUNNEL, preshared_key=PRIVATE)
    for there, tunnel, previous in ((TUNNEL, keyed, TUNNEL), (keyed, TUNNEL, None)):
        removed, anew = told(monkeypatch, there, tunnel, previous)
        assert removed == {"public_key": str(TUNNEL.public_key), "remove": True}
        assert (anew["endpoint_addr"], anew["endpoint_port"]) == ("198.51.100.1", 77)
    # Of a peer without a configured endpoint, the one that it called from is kept.
    called = replace(keyed, endpoint=None)
    assert told(monkeypatch, TUNNEL, called, TUNNEL)[1]["endpoint_port"] == 77


def test_the_same_preshared_key_keeps_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    (kept,) = told(monkeypatch, TUNNEL, replace(TUNNEL, keepalive=25), TUNNEL)
    assert ("endpoint_addr" in kept, kept["persistent_keepalive"]) == (False, 25)
    (moved,) = told(monkeypatch, TUNNEL, TUNNEL, replace(TUNNEL, endpoint=(bytes([192, 0, 2, 8]), 9)))
    assert moved["endpoint_addr"] == "192.0.2.1"
