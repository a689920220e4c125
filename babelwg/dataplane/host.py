"""All tunnels of the process and the ports they share: what the sockets' requests do."""

import errno
import logging
import socket
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path
from typing import Any

from babelwg.dataplane.later import Later
from babelwg.dataplane.loop import Loop
from babelwg.dataplane.port import SystemSecrets, UdpPort
from babelwg.dataplane.requests import (
    Command,
    Create,
    Get,
    Handshakes,
    ListTunnels,
    NoSuchRequestError,
    Remove,
    Set,
    Stats,
    Watch,
    take_command,
    take_uapi,
)
from babelwg.dataplane.textserver import HangupError, SocketTakenError, Subscription, TextServer
from babelwg.dataplane.tunnel import HostedTunnel
from babelwg.linux.tun import Tun, TunError, exists
from babelwg.wireguard.device import PeerConflictError
from babelwg.wireguard.events import Event, HandshakeUnanswered
from babelwg.wireguard.handover import (
    describe_interface,
    describe_refusals,
    restore_interface,
    restore_refusals,
)
from babelwg.wireguard.indices import IndexTable
from babelwg.wireguard.interface import DEFAULT_MTU, Interface
from babelwg.wireguard.noise.crypto import PacketBuffer
from babelwg.wireguard.timers import PROTOCOL_VALUES, TimerValues
from babelwg.wireguard.uapi import DeviceConfig, UapiError, format_errno, format_get

log = logging.getLogger("babelwg.dataplane")


class Host:
    """The tunnels that this process hosts."""

    def __init__(self, loop: Loop, uapi_directory: Path, values: TimerValues = PROTOCOL_VALUES) -> None:
        self.tell: Callable[[str], None] = lambda news: (
            None
        )  # told what watchers of the control socket want to know
        self._loop = loop
        self._directory = uapi_directory
        self._values = values
        self._secrets = SystemSecrets()
        self._indices = IndexTable(self._secrets)
        self._tunnels: dict[str, HostedTunnel] = {}
        self._servers: dict[str, TextServer] = {}
        self._ports: dict[int, UdpPort] = {}
        self._by_interface: dict[Interface, HostedTunnel] = {}
        self._buffer = PacketBuffer()
        self._lost: dict[str, str] = {}
        self._leaving: dict[str, Later] = {}  # interfaces that are on their way out

    def answer_control(self, received: bytearray) -> str | Later | None:
        """Answer one request of the control socket."""
        try:
            command = take_command(received, DEFAULT_MTU)
            return None if command is None else self._run(command)
        except (UapiError, TunError) as error:
            return _refusal(error.errno, str(error))
        except SocketTakenError as error:
            return _refusal(errno.EEXIST, str(error))
        except OSError as error:
            return _refusal(error.errno or errno.EIO, str(error))

    def describe(self) -> dict[str, Any]:
        """Return all that the process after us needs, sessions and numbers of descriptors too."""
        ports = {number: port.filenos() for number, port in self._ports.items()}
        refusals = {n: describe_refusals(port.device.refusals) for n, port in self._ports.items()}
        tunnels = [
            {
                "name": name,
                "tun": tunnel.fileno(),
                "uapi": self._servers[name].fileno(),
                "port": tunnel.port.number if tunnel.port is not None else 0,
                "interface": describe_interface(tunnel.interface),
            }
            for name, tunnel in self._tunnels.items()
        ]
        return {
            "ports": [*ports.items()],
            "refusals": [*refusals.items()],
            "tunnels": tunnels,
            "lost": self._lost,
        }

    def resume(self, values: dict[str, Any]) -> None:
        """Go on where another process was. Raises KeyError, ValueError, OSError and the like for what is no such."""
        refusals = dict(values["refusals"])
        for number, descriptors in values["ports"]:
            port = self._ports[number] = self._open_port(number, descriptors)
            port.device.refusals.update(restore_refusals(refusals[number]))
        for each in values["tunnels"]:
            interface = restore_interface(each["name"], each["interface"], self._indices)
            self._enter(interface, each["tun"], each["uapi"])
            tunnel = self._tunnels[interface.name]
            if each["port"]:
                tunnel.port = self._ports[each["port"]]
                tunnel.port.users.add(interface)
            self._attach(tunnel)
        self._lost = dict(values["lost"])
        log.info("%d tunnels go on", len(self._tunnels))

    def close(self) -> None:
        """End all tunnels; their TUN devices stay."""
        for name in list(self._tunnels):
            self._drop(name).close()

    # Control

    def _run(self, command: Command) -> str | Later:
        if isinstance(command, Create):
            self._create(command.name, command.mtu)
        elif isinstance(command, Remove):
            return self._remove(command.name)
        elif isinstance(command, ListTunnels):
            return self._list() + format_errno(0)
        elif isinstance(command, Stats):
            return self._stats() + format_errno(0)
        elif isinstance(command, Handshakes):
            return self._handshakes() + format_errno(0)
        elif isinstance(command, Watch):
            return Subscription(f"tells=unanswered used\n{format_errno(0)}")
        else:
            self._loop.stop()
        return format_errno(0)

    def _create(self, name: str, mtu: int) -> None:
        tunnel = self._tunnels.get(name)
        if tunnel is not None and tunnel.is_in_place():
            tunnel.set_mtu(mtu)
            return
        if tunnel is not None:
            log.warning("the interface %s was renamed or moved by another program; it is made anew", name)
            self._remove(name)
        if (leaving := self._leaving.pop(name, None)) is not None:
            leaving.wait()
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._enter(Interface(name, mtu))
        self._lost.pop(name, None)
        log.info("tunnel %s is open with MTU %d", name, mtu)

    def _enter(self, interface: Interface, tun: int | None = None, uapi: int | None = None) -> None:
        """Open the socket and the TUN device of an interface, or take up their descriptors."""
        name = interface.name
        # The socket comes first: it tells whether another userspace WireGuard has this name.
        server = TextServer(
            self._loop,
            self._directory / f"{name}.sock",
            lambda received: self._answer_uapi(name, received),
            uapi,
        )
        try:
            tunnel = HostedTunnel(self._loop, interface, self._buffer, self._lose, self._tell_use, tun)
        except BaseException:
            server.close()
            raise
        self._tunnels[name] = tunnel
        self._servers[name] = server
        self._by_interface[interface] = tunnel

    def _remove(self, name: str) -> Later:
        self._lost.pop(name, None)
        self._leaving = {other: later for other, later in self._leaving.items() if later.answer is None}
        if name in self._tunnels:
            tun = self._drop(name).give_up()
        elif name not in self._leaving and exists(name):
            tun = Tun(name)  # left by a data plane before us
        else:
            raise UapiError(errno.ENOENT, f"there is no tunnel {name}")

        def remove() -> str:
            try:
                tun.remove()
            except TunError as error:
                return _refusal(error.errno, str(error))
            log.info("tunnel %s is removed", name)
            return format_errno(0)

        # The kernel waits until nobody can look at an interface any more: a tenth of a second, or two.
        self._leaving[name] = Later(self._loop, remove)
        return self._leaving[name]

    def _list(self) -> str:
        lines = []
        for name, tunnel in sorted(self._tunnels.items()):
            number = tunnel.port.number if tunnel.port is not None else 0
            lines += [
                f"interface={name}",
                "state=open",
                f"mtu={tunnel.interface.mtu}",
                f"listen_port={number}",
            ]
        for name, why in sorted(self._lost.items()):
            lines += [f"interface={name}", "state=lost", f"reason={why}"]
        return "".join(f"{line}\n" for line in lines)

    def _stats(self) -> str:
        lines = []
        for name, tunnel in sorted(self._tunnels.items()):
            lines.append(f"interface={name}")
            lines += [f"{reason}={count}" for reason, count in sorted(tunnel.interface.refusals.items())]
        for number, port in sorted(self._ports.items()):
            lines.append(f"port={number}")
            lines += [f"{reason}={count}" for reason, count in sorted(port.device.refusals.items())]
        return "".join(f"{line}\n" for line in lines)

    def _handshakes(self) -> str:
        now, lines = self._loop.clock(), []
        for name, tunnel in sorted(self._tunnels.items()):
            lines.append(f"interface={name}")
            for peer in tunnel.interface.peers.values():
                signs = peer.handshake.signs._asdict().items()
                lines += [f"{sign}_age={now - at:.3f}" for sign, at in signs if at > -inf]
        for number, port in sorted(self._ports.items()):
            lines.append(f"port={number}")
            for caller, calls in port.device.callers:
                key = caller.public_key.hex() or "-"
                age = now - calls.last
                lines.append(
                    f"caller={caller.reason} {caller.address} {caller.port} {key} {calls.times} {age:.3f}"
                )
        return "".join(f"{line}\n" for line in lines)

    def _lose(self, tunnel: HostedTunnel) -> None:
        log.warning("the interface %s was removed by another program; its tunnel is closed", tunnel.name)
        self._drop(tunnel.name)
        self._lost[tunnel.name] = "the interface was removed by another program"

    def _drop(self, name: str) -> HostedTunnel:
        """Forget a tunnel and return it; what becomes of its TUN device is left to the caller."""
        tunnel = self._tunnels.pop(name)
        if tunnel.interface.device is not None:
            tunnel.interface.device.detach(tunnel.interface)
        self._leave_port(tunnel)
        del self._by_interface[tunnel.interface]
        self._servers.pop(name).close()
        return tunnel

    # UAPI

    def _answer_uapi(self, name: str, received: bytearray) -> str | None:
        try:
            request = take_uapi(received)
        except NoSuchRequestError as error:
            raise HangupError from error
        except UapiError as error:
            raise HangupError(format_errno(error.errno)) from error
        tunnel = self._tunnels[name]
        if isinstance(request, Get):
            number = tunnel.port.number if tunnel.port is not None else 0
            return format_get(tunnel.interface.state(number))
        return None if request is None else self._answer_set(tunnel, request)

    def _answer_set(self, tunnel: HostedTunnel, request: Set) -> str:
        try:
            self._configure(tunnel, request.config)
            if request.error is not None:
                raise request.error
        except UapiError as error:
            log.warning("%s: %s", tunnel.name, error)
            return format_errno(error.errno)
        except PeerConflictError as error:
            log.warning("%s: %s", tunnel.name, error)
            return format_errno(errno.ENOTUNIQ)
        except OSError as error:
            log.warning("%s: %s", tunnel.name, error)
            return format_errno(error.errno or errno.EIO)
        finally:
            if tunnel.port is not None:
                tunnel.port.pump(self._loop.clock())
        return format_errno(0)

    def _configure(self, tunnel: HostedTunnel, config: DeviceConfig) -> None:
        interface, now = tunnel.interface, self._loop.clock()
        if config.fwmark is not None:
            interface.set_mark(config.fwmark)
        old = interface.keys.private if interface.keys is not None else bytes(32)
        if config.private_key is not None and config.private_key != old:
            if interface.device is not None:
                interface.device.detach(interface)
            interface.set_private_key(config.private_key)
        if config.replace_peers:
            for public_key in tuple(interface.peers):
                interface.remove_peer(public_key)
        try:
            if config.listen_port is not None:
                self._move(tunnel, config.listen_port)
            elif tunnel.port is None and interface.keys is not None:
                self._move(tunnel, 0)
        finally:
            self._attach(tunnel)  # also when a new port is taken, for then the old one goes on
        for peer in config.peers:
            interface.configure_peer(peer, now, _zone_index)

    def _move(self, tunnel: HostedTunnel, number: int) -> None:
        if tunnel.port is not None and number in (0, tunnel.port.number):
            return
        port = self._ports.get(number) if number else None
        if port is None:
            port = self._open_port(number)
            self._ports[port.number] = port
        if tunnel.interface.device is not None:
            tunnel.interface.device.detach(tunnel.interface, keep_sessions=True)
        self._leave_port(tunnel)
        tunnel.port = port
        port.users.add(tunnel.interface)

    def _open_port(self, number: int, descriptors: Sequence[int] = ()) -> UdpPort:
        loop, write, heed = self._loop, self._write, self._heed
        return UdpPort(loop, number, self._secrets, self._indices, self._values, write, descriptors, heed)

    def _heed(self, event: Event) -> None:
        if isinstance(event, HandshakeUnanswered):
            self.tell(f"unanswered={event.interface}\n\n")

    def _tell_use(self, name: str) -> None:
        self.tell(f"used={name}\n\n")

    def _attach(self, tunnel: HostedTunnel) -> None:
        interface, port = tunnel.interface, tunnel.port
        if port is None or interface.keys is None or interface.device is not None:
            return
        port.set_clock()
        port.device.attach(interface, self._loop.clock())

    def _leave_port(self, tunnel: HostedTunnel) -> None:
        port, tunnel.port = tunnel.port, None
        if port is None:
            return
        port.pump(self._loop.clock())
        port.users.discard(tunnel.interface)
        if not port.users:
            port.close()
            del self._ports[port.number]

    def _write(self, interface: Interface, packet: memoryview) -> None:
        tunnel = self._by_interface.get(interface)
        if tunnel is not None:
            tunnel.write(packet)


def _refusal(number: int, words: str) -> str:
    log.warning("%s", words)
    return f"message={' '.join(words.split())}\n{format_errno(number)}"


def _zone_index(zone: str) -> int:
    return int(zone) if zone.isdigit() else socket.if_nametoindex(zone)
