"""Tunnels of a userspace WireGuard that speaks the UAPI text protocol (wireguard-go, boringtun, our own)."""

import asyncio
import contextlib
import errno
import os
import shutil
import socket
import tempfile
from pathlib import Path

from pyroute2 import AsyncIPRoute

from babelwg.linux.links import remove_link
from babelwg.linux.tunnels.tunnel import (
    ANY_ADDRESS,
    Settings,
    SocketAddress,
    Tunnel,
    TunnelError,
    TunnelState,
)
from babelwg.wireguard.uapi import DeviceConfig, PeerConfig, UapiError, format_set, parse_get

# Implementation constants
ANSWER_TIMEOUT = 2.0  # seconds for one request; a userspace WireGuard answers within milliseconds
START_TIMEOUT = 10.0  # seconds until a started program serves its socket
ANSWER_LIMIT = 1 << 20  # octets
UAPI_DIRECTORY = Path("/run/wireguard")


class UapiBackend:
    """Any userspace WireGuard on this machine, one process per tunnel, found by name or path."""

    def __init__(self, iproute: AsyncIPRoute, program: str, directory: Path = UAPI_DIRECTORY) -> None:
        self.name = program
        self._iproute = iproute
        self._directory = directory

    async def create(self, tunnel: Tunnel) -> None:
        path = self._directory / f"{tunnel.interface}.sock"
        if await answers(path):
            return
        with contextlib.suppress(FileNotFoundError):
            path.unlink()  # left by a program that was killed
        if await self._iproute.link_lookup(ifname=tunnel.interface):
            raise TunnelError(
                f"the interface name {tunnel.interface} is taken",
                "remove that interface, or give the peer another `interface`",
            )
        await self._start(tunnel.interface, path)

    async def configure(self, tunnel: Tunnel, previous: Tunnel | None) -> None:
        await configure(self._directory / f"{tunnel.interface}.sock", tunnel, previous)

    async def state(self, interface: str) -> TunnelState:
        return await read_state(self._directory / f"{interface}.sock")

    async def remove(self, interface: str) -> None:
        # These programs end by themselves when their interface or their socket goes.
        await remove_link(self._iproute, interface)
        with contextlib.suppress(FileNotFoundError):
            (self._directory / f"{interface}.sock").unlink()

    async def _start(self, interface: str, path: Path) -> None:
        program = shutil.which(self.name)
        if program is None:
            raise TunnelError(
                f"the program {self.name} is not installed", 'install it, or set backend = "auto"'
            )
        environment = {
            **os.environ,
            "WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD": "1",
            "LOG_LEVEL": "error",
        }
        # A file, not a pipe: the program goes on in the background and keeps what it was given.
        with tempfile.TemporaryFile() as complaints:
            process = await asyncio.create_subprocess_exec(
                program,
                interface,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=complaints,
                env=environment,
                start_new_session=True,
            )
            # It forks into the background when the interface stands, so its first process ends soon.
            try:
                status = await asyncio.wait_for(process.wait(), START_TIMEOUT)
            except TimeoutError as error:
                process.kill()
                raise TunnelError(
                    f"{self.name} {interface} did not start within {START_TIMEOUT:.0f} s"
                ) from error
            complaints.seek(0)
            words = complaints.read().decode(errors="replace").strip().splitlines()
        if status:
            raise TunnelError(f"{self.name} {interface} failed: {words[-1] if words else status}")
        async with asyncio.timeout(START_TIMEOUT):
            while not await answers(path):
                await asyncio.sleep(0.01)


async def configure(path: Path, tunnel: Tunnel, previous: Tunnel | None) -> None:
    """Give a UAPI socket the tunnel's keys, port, mark and its one peer. Raises TunnelError."""
    fresh = previous is None or previous.public_key != tunnel.public_key
    # Without a change of the endpoint it is left alone: the peer may have roamed since.
    endpoint = tunnel.endpoint if fresh or previous is None or previous.endpoint != tunnel.endpoint else None
    changed = previous is None or (previous.private_key, previous.listen_port, previous.fwmark) != (
        tunnel.private_key,
        tunnel.listen_port,
        tunnel.fwmark,
    )
    config = DeviceConfig(
        private_key=tunnel.private_key.octets if changed else None,
        listen_port=tunnel.listen_port if changed else None,
        fwmark=tunnel.fwmark if changed else None,
        replace_peers=fresh,
        peers=(
            PeerConfig(
                public_key=tunnel.public_key.octets,
                preshared_key=tunnel.preshared_key.octets if tunnel.preshared_key else bytes(32),
                endpoint=_format_endpoint(endpoint) if endpoint else None,
                persistent_keepalive_interval=tunnel.keepalive,
                replace_allowed_ips=True,
                allowed_ips=ANY_ADDRESS,
            ),
        ),
    )
    answer = await request(path, format_set(config))
    code = abs(_errno_of(answer))
    if code == errno.EADDRINUSE:
        raise TunnelError(
            f"UDP port {tunnel.listen_port} is taken by another program",
            "set another listen-port, or stop that program (`ss -ulpn` names it)",
        )
    if code:
        raise TunnelError(f"{tunnel.interface} refused its configuration: {os.strerror(code)} ({code})")


async def read_state(path: Path) -> TunnelState:
    """Return what a UAPI socket reports of its one peer. Raises TunnelError."""
    try:
        device = parse_get(await request(path, "get=1\n\n"))
    except UapiError as error:
        raise TunnelError(f"{path.name} gave an answer that cannot be read: {error}") from error
    port = device.listen_port or 0
    if not device.peers:
        return TunnelState(None, 0.0, 0, 0, port, None)
    peer = device.peers[0]
    handshake = peer.last_handshake_time_sec + peer.last_handshake_time_nsec / 1e9
    settings = Settings(
        peer.public_key,
        peer.preshared_key,
        peer.persistent_keepalive_interval,
        device.fwmark,
        port,
        frozenset(peer.allowed_ips),
    )
    return TunnelState(_read_endpoint(peer.endpoint), handshake, peer.rx_bytes, peer.tx_bytes, port, settings)


async def answers(path: Path) -> bool:
    """Return whether a program listens on a Unix socket."""
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return True


async def request(path: Path, text: str) -> str:
    """Send one request to a UAPI-like socket and return its answer. Raises TunnelError."""
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            reader, writer = await asyncio.open_unix_connection(path, limit=ANSWER_LIMIT)
            try:
                writer.write(text.encode())
                answer = await reader.readuntil(b"\n\n")
            finally:
                writer.close()
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise TunnelError(f"nothing serves {path}", "its program has ended and is started again") from error
    except PermissionError as error:
        raise TunnelError(f"not allowed to open {path}", "run as root") from error
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise TunnelError(f"{path} gave no proper answer: {error or type(error).__name__}") from error
    return answer.decode(errors="replace")


def _errno_of(answer: str) -> int:
    for line in answer.splitlines():
        key, _, value = line.partition("=")
        if key == "errno":
            return int(value)
    return errno.EPROTO


def message_of(answer: str) -> tuple[int, str]:
    """Return the error number (0 for done) and the words of an answer of our data plane."""
    words = next((line.partition("=")[2] for line in answer.splitlines() if line.startswith("message=")), "")
    return abs(_errno_of(answer)), words


def _format_endpoint(endpoint: SocketAddress) -> str:
    address, port = endpoint
    if len(address) == 4:
        return f"{socket.inet_ntop(socket.AF_INET, address)}:{port}"
    return f"[{socket.inet_ntop(socket.AF_INET6, address)}]:{port}"


def _read_endpoint(text: str | None) -> SocketAddress | None:
    if not text:
        return None
    host, _, port = text.rpartition(":")
    host = host.strip("[]").partition("%")[0]
    return socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host), int(port)
