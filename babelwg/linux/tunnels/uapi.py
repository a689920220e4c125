"""Tunnels of a userspace WireGuard that speaks the UAPI text protocol (wireguard-go, boringtun, our own)."""

import asyncio
import contextlib
import errno
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path

from babelwg.linux.links import IpRoute, remove_link
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
from babelwg.wireguard.uapi import (
    DeviceConfig,
    DeviceState,
    PeerConfig,
    PeerState,
    UapiError,
    format_set,
    parse_get,
)

# Implementation constants
ANSWER_TIMEOUT = 2.0  # seconds for one request; a userspace WireGuard answers within milliseconds
START_TIMEOUT = 10.0  # seconds until a started program serves its socket
ANSWER_LIMIT = 1 << 20  # octets
UAPI_DIRECTORY = Path("/run/wireguard")


class UapiBackend:
    """Any userspace WireGuard on this machine, one process per tunnel, found by name or path."""

    def __init__(self, iproute: IpRoute, program: str, directory: Path = UAPI_DIRECTORY) -> None:
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
            try:
                process = await asyncio.create_subprocess_exec(
                    program,
                    interface,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=complaints,
                    env=environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise TunnelError(f"{self.name} cannot be started: {error.strerror}") from error
            # It forks into the background when the interface stands, so its first process ends soon.
            try:
                async with asyncio.timeout(START_TIMEOUT):
                    status = await process.wait()
            except TimeoutError as error:
                process.kill()
                await process.wait()
                raise TunnelError(
                    f"{self.name} {interface} did not start within {START_TIMEOUT:.0f} s"
                ) from error
            complaints.seek(0)
            words = complaints.read().decode(errors="replace").strip().splitlines()
        if status:
            raise TunnelError(f"{self.name} {interface} failed: {words[-1] if words else status}")
        await self._await_socket(interface, path)

    async def _await_socket(self, interface: str, path: Path) -> None:
        try:
            async with asyncio.timeout(START_TIMEOUT):
                while not await answers(path):
                    await asyncio.sleep(0.01)
        except TimeoutError as error:
            raise TunnelError(
                f"{self.name} {interface} did not serve {path} within {START_TIMEOUT:.0f} s",
                "is it a userspace WireGuard?",
            ) from error


async def configure(path: Path, tunnel: Tunnel, previous: Tunnel | None) -> None:
    """Give a UAPI socket the tunnel's keys, port, mark and its one peer. Raises TunnelError.

    Only what differs is said: a tunnel of an earlier life keeps its session, and loses no packet. With another
    preshared key the peer is made anew, for a session that was agreed on with the old one would go on for minutes.
    """
    device = await _read_device(path)
    private_key = tunnel.private_key.octets
    alone = [peer.public_key for peer in device.peers] == [tunnel.public_key.octets]
    config = DeviceConfig(
        private_key=private_key if device.private_key != private_key else None,
        # A port that could not be taken is reported as well; without the peer it is said again.
        listen_port=None if alone and device.listen_port == tunnel.listen_port else tunnel.listen_port,
        fwmark=tunnel.fwmark if device.fwmark != tunnel.fwmark else None,
        replace_peers=not alone or device.peers[0].preshared_key != preshared_key_of(tunnel),
        peers=(_peer_config(device, tunnel, previous),),
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


def _peer_config(device: DeviceState, tunnel: Tunnel, previous: Tunnel | None) -> PeerConfig:
    """Return what to say of the tunnel's peer to a device that is as given."""
    key, preshared_key = tunnel.public_key.octets, preshared_key_of(tunnel)
    there = device.peers[0] if [peer.public_key for peer in device.peers] == [key] else PeerState(key)
    alive = time.time() - there.last_handshake_time_sec < SESSION_LIFE
    # The peer may have roamed since: a session that lives keeps its endpoint, unless another is asked for now.
    if previous is not None and previous.endpoint and previous.public_key == tunnel.public_key:
        keep = there.endpoint is not None and previous.endpoint == tunnel.endpoint
    else:
        keep = there.endpoint is not None and alive
    endpoint = _format_endpoint(tunnel.endpoint) if tunnel.endpoint and not keep else None
    if there.preshared_key != preshared_key:
        there, endpoint = PeerState(key), endpoint or there.endpoint
    same_networks = set(there.allowed_ips) == set(ANY_ADDRESS)
    interval = there.persistent_keepalive_interval
    return PeerConfig(
        public_key=key,
        preshared_key=preshared_key if there.preshared_key != preshared_key else None,
        endpoint=endpoint,
        persistent_keepalive_interval=tunnel.keepalive if interval != tunnel.keepalive else None,
        replace_allowed_ips=not same_networks,
        allowed_ips=() if same_networks else ANY_ADDRESS,
    )


async def read_state(path: Path) -> TunnelState:
    """Return what a UAPI socket reports of its one peer. Raises TunnelError."""
    device = await _read_device(path)
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
    # A second peer is never ours; without settings the tunnel counts as changed, and is set again.
    told = settings if len(device.peers) == 1 else None
    return TunnelState(_read_endpoint(peer.endpoint), handshake, peer.rx_bytes, peer.tx_bytes, port, told)


async def _read_device(path: Path) -> DeviceState:
    try:
        return parse_get(await request(path, "get=1\n\n"))
    except UapiError as error:
        raise TunnelError(f"{path.name} gave an answer that cannot be read: {error}") from error


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
        raise TunnelGone(f"nothing serves {path}", "its program has ended and is started again") from error
    except PermissionError as error:
        raise TunnelError(f"not allowed to open {path}", "run as root") from error
    except TimeoutError as error:
        raise TunnelError(f"{path} gave no proper answer: none within {ANSWER_TIMEOUT:g} s") from error
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise TunnelError(f"{path} gave no proper answer: {error}") from error
    return answer.decode(errors="replace")


def _errno_of(answer: str) -> int:
    for line in answer.splitlines():
        key, _, value = line.partition("=")
        if key == "errno" and value.removeprefix("-").isdecimal():
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
    """Return the endpoint that a program reports, None for none. Raises TunnelError."""
    if not text:
        return None
    host, _, port = text.rpartition(":")
    host = host.strip("[]").partition("%")[0]
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host), int(port)
    except (OSError, ValueError) as error:
        raise TunnelError(f"an endpoint is reported that cannot be read: {text!r}") from error
