"""Tunnels of the kernel's own WireGuard, by generic netlink."""

import errno
import logging
import os
import socket
import struct
import time
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from babelwg.linux.errors import KernelError
from babelwg.linux.links import IpRoute, netlink_error, remove_link
from babelwg.linux.tunnels.tunnel import (
    ANY_ADDRESS,
    SESSION_LIFE,
    Settings,
    SocketAddress,
    Tunnel,
    TunnelError,
    TunnelGone,
    TunnelState,
    preshared_key_of,
)

if TYPE_CHECKING:
    from pyroute2 import AsyncWireGuard

log = logging.getLogger(__name__)

ZERO_KEY = "A" * 43 + "="


class KernelBackend:
    """WireGuard in the kernel: one `wireguard` link per tunnel."""

    name = "kernel"

    def __init__(self, iproute: IpRoute) -> None:
        self._iproute = iproute

    async def create(self, tunnel: Tunnel) -> None:
        try:
            await self._iproute.link("add", ifname=tunnel.interface, kind="wireguard")
        except netlink_error() as error:
            if error.code != errno.EEXIST:
                raise TunnelError(*_explain(error.code, tunnel.interface)) from error
            if not await _is_wireguard(self._iproute, tunnel.interface):
                raise TunnelError(
                    f"the interface name {tunnel.interface} is taken by something that is not WireGuard",
                    "remove that interface, or give the peer another `interface`",
                ) from error

    async def configure(self, tunnel: Tunnel, previous: Tunnel | None) -> None:
        peer: dict[str, Any] = {
            "public_key": str(tunnel.public_key),
            "preshared_key": str(tunnel.preshared_key) if tunnel.preshared_key else ZERO_KEY,
            "persistent_keepalive": tunnel.keepalive,
            "replace_allowed_ips": True,
            "allowed_ips": list(ANY_ADDRESS),
        }
        state = await self.state(tunnel.interface)
        known = (
            state.settings
            if state.settings and state.settings.public_key == tunnel.public_key.octets
            else None
        )
        # With another preshared key the session that was agreed on with the old one would go on for minutes.
        is_rekeyed = known is not None and known.preshared_key != preshared_key_of(tunnel)
        keep = _keeps_endpoint(tunnel, previous, state)
        endpoint = tunnel.endpoint if tunnel.endpoint and not keep else state.endpoint if is_rekeyed else None
        if endpoint:
            peer["endpoint_addr"], peer["endpoint_port"] = _text(endpoint[0]), endpoint[1]
        try:
            async with _open() as wireguard:
                leaving = await self._strangers(wireguard, tunnel)
                for key in [*leaving, *([str(tunnel.public_key)] if is_rekeyed else [])]:
                    await wireguard.set(tunnel.interface, peer={"public_key": key, "remove": True})
                await wireguard.set(
                    tunnel.interface,
                    private_key=str(tunnel.private_key),
                    listen_port=tunnel.listen_port,
                    fwmark=tunnel.fwmark,
                    peer=peer,
                )
        except netlink_error() as error:
            raise TunnelError(*_explain(error.code, tunnel.interface, tunnel.listen_port)) from error

    async def state(self, interface: str) -> TunnelState:
        try:
            async with _open() as wireguard:
                messages = [message async for message in await wireguard.info(interface)]
        except netlink_error() as error:
            kind = TunnelGone if error.code == errno.ENODEV else TunnelError
            raise kind(*_explain(error.code, interface)) from error
        port = next((m.get_attr("WGDEVICE_A_LISTEN_PORT") for m in messages), 0) or 0
        peers = [peer for message in messages for peer in message.get_attr("WGDEVICE_A_PEERS") or ()]
        if not peers:
            return TunnelState(None, 0.0, 0, 0, port, None)
        peer = peers[0]
        handshake = peer.get_attr("WGPEER_A_LAST_HANDSHAKE_TIME") or {}
        return TunnelState(
            _endpoint(peer.get_attr("WGPEER_A_ENDPOINT")),
            handshake.get("tv_sec", 0) + handshake.get("tv_nsec", 0) / 1e9,
            peer.get_attr("WGPEER_A_RX_BYTES") or 0,
            peer.get_attr("WGPEER_A_TX_BYTES") or 0,
            port,
            self._settings(messages, peers, port),
        )

    async def remove(self, interface: str) -> None:
        await remove_link(self._iproute, interface)

    @staticmethod
    def _settings(messages: list[Any], peers: list[Any], port: int) -> Settings | None:
        """Return what the one peer was told; None when there is another, which is never ours."""
        if len({_key(peer, "WGPEER_A_PUBLIC_KEY") for peer in peers}) != 1:
            return None
        return Settings(
            b64decode(_key(peers[0], "WGPEER_A_PUBLIC_KEY")),
            b64decode(_key(peers[0], "WGPEER_A_PRESHARED_KEY") or ZERO_KEY),
            peers[0].get_attr("WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL") or 0,
            next((m.get_attr("WGDEVICE_A_FWMARK") for m in messages), 0) or 0,
            port,
            frozenset(_allowed_ips(messages)),
        )

    @staticmethod
    async def _strangers(wireguard: "AsyncWireGuard", tunnel: Tunnel) -> list[str]:
        """Return the public keys of other peers on this interface: one tunnel has one peer."""
        found = []
        async for message in await wireguard.info(tunnel.interface):
            for peer in message.get_attr("WGDEVICE_A_PEERS") or ():
                text = _key(peer, "WGPEER_A_PUBLIC_KEY")
                if text != str(tunnel.public_key):
                    found.append(text)
        return found


def _keeps_endpoint(tunnel: Tunnel, previous: Tunnel | None, state: TunnelState) -> bool:
    """Return whether the endpoint is left alone: the peer may have roamed, and its session lives."""
    if previous is not None and previous.endpoint and previous.public_key == tunnel.public_key:
        return previous.endpoint == tunnel.endpoint
    if state.settings is None or state.settings.public_key != tunnel.public_key.octets:
        return False
    return state.endpoint is not None and time.time() - state.latest_handshake < SESSION_LIFE


async def choose_backend(iproute: IpRoute, wanted: str) -> str:
    """Return the back end that `auto` means on this machine, or the one that is wanted by name."""
    if wanted != "auto":
        return wanted
    return KernelBackend.name if await kernel_has_wireguard(iproute) else "embedded"


async def kernel_has_wireguard(iproute: IpRoute) -> bool:
    """Return whether this kernel can make WireGuard links for us (its module is loaded on demand)."""
    name = f"bwprobe{os.getpid() % 10**8}"  # no peer has it: their interfaces are `bw-` and a name
    try:
        await iproute.link("add", ifname=name, kind="wireguard")
    except netlink_error() as error:
        # Another one that asks the same at this moment removes its link itself.
        return error.code == errno.EEXIST and await _is_wireguard(iproute, name)
    try:
        await remove_link(iproute, name)
    except KernelError as error:
        log.warning("probe-stays interface=%s: %s", name, error)
    return True


async def _is_wireguard(iproute: IpRoute, name: str) -> bool:
    """Return whether an interface is a WireGuard link; one that is gone meanwhile counts as such."""
    try:
        for index in await iproute.link_lookup(ifname=name):
            async for link in await iproute.link("dump", index=index):
                info = link.get_attr("IFLA_LINKINFO")
                if info is None or info.get_attr("IFLA_INFO_KIND") != "wireguard":
                    return False
    except netlink_error() as error:
        if error.code != errno.ENODEV:
            raise TunnelError(*_explain(error.code, name)) from error
    return True


@asynccontextmanager
async def _open() -> AsyncIterator["AsyncWireGuard"]:
    """Open a generic netlink socket that knows WireGuard's family number."""
    from pyroute2 import AsyncWireGuard  # as late as `links` imports it

    async with AsyncWireGuard() as wireguard:
        await wireguard.setup_endpoint()
        yield wireguard


def _explain(code: int, interface: str, port: int = 0) -> tuple[str, str]:
    if code == errno.EOPNOTSUPP:
        return "this kernel has no WireGuard", 'load the module `wireguard`, or set backend = "embedded"'
    if code in (errno.EPERM, errno.EACCES):
        return f"not allowed to make {interface}", "run as root or with CAP_NET_ADMIN"
    if code == errno.EADDRINUSE:
        return f"UDP port {port} is taken by another program", "set another listen-port, or stop that program"
    if code == errno.ENODEV:
        return f"the interface {interface} is gone", "it is made again at the next pass"
    return f"the kernel refused {interface}: {errno.errorcode.get(code, code)}", ""


def _key(peer: Any, attribute: str) -> str:
    """Return a key of a peer in base64, "" when it is not told."""
    key = peer.get_attr(attribute)
    text = key.get("value", b"") if hasattr(key, "get") else key or b""
    return text.decode() if isinstance(text, bytes) else str(text)


def _allowed_ips(messages: list[Any]) -> set[str]:
    """Return the allowed IPs of a dump; a peer with many may stand in several messages."""
    peers = [peer for message in messages for peer in message.get_attr("WGDEVICE_A_PEERS") or ()]
    return {
        entry["addr"]
        for peer in peers
        for entry in peer.get_attr("WGPEER_A_ALLOWEDIPS") or ()
        if "addr" in entry
    }


def _text(address: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)


def _endpoint(value: Any) -> SocketAddress | None:
    if not value:
        return None
    if isinstance(value, bytes):
        family, port = struct.unpack_from("=H", value)[0], struct.unpack_from(">H", value, 2)[0]
        return (value[4:8] if family == socket.AF_INET else value[8:24]), port
    family = socket.AF_INET6 if ":" in value["addr"] else socket.AF_INET
    return socket.inet_pton(family, value["addr"]), value["port"]
