"""A hosted tunnel: a TUN device, the interface of the core and the port it uses."""

import errno
import logging
import os
import select
from collections.abc import Callable
from math import inf

from babelwg.dataplane.loop import Loop
from babelwg.dataplane.port import UdpPort
from babelwg.linux.tun import Tun
from babelwg.wireguard.interface import Interface
from babelwg.wireguard.noise.crypto import PacketBuffer
from babelwg.wireguard.refusals import Reason

# Implementation constants
PACKETS_PER_TURN = 64  # so that one busy tunnel does not starve the others
REST = 5.0  # seconds without packets of users, after which the next one is told of
USE_INTERVAL = 1.0  # seconds between two looks whether packets of users come

log = logging.getLogger("babelwg.dataplane")


class HostedTunnel:
    """One tunnel of this process; `port` is None until it has one."""

    def __init__(
        self,
        loop: Loop,
        interface: Interface,
        buffer: PacketBuffer,
        lost: Callable[["HostedTunnel"], None],
        used: Callable[[str], None],
        descriptor: int | None = None,
    ) -> None:
        """Make or take up the TUN device of an interface, or take its open descriptor; raises TunError.

        `lost` is told when the interface is gone, and `used` its name when it carries packets of users after a rest.
        """
        self.name = interface.name
        self.port: UdpPort | None = None
        self._tun = Tun(self.name, descriptor)
        try:
            if descriptor is None:
                self._tun.set_mtu(interface.mtu)
        except BaseException:
            self._tun.close()
            raise
        self.interface = interface
        self.is_open = True
        self._loop = loop
        self._buffer = buffer
        self._lost = lost
        self._used = used
        self._used_at = -inf  # when a packet of users was last seen
        self._look_at = -inf  # when the next packet is looked at
        loop.watch(self._tun.fileno(), self._ready)

    def fileno(self) -> int:
        """Return the descriptor of the TUN device."""
        return self._tun.fileno()

    def is_in_place(self) -> bool:
        """Return whether the interface is still where we made it, under its name."""
        return self._tun.is_in_place()

    def set_mtu(self, mtu: int) -> None:
        """Change the MTU in octets; raises TunError."""
        self._tun.set_mtu(mtu)
        self.interface.mtu = mtu

    def write(self, packet: memoryview) -> None:
        """Give a packet that arrived to the kernel."""
        if not self.is_open:
            return
        if (now := self._loop.clock()) >= self._look_at:
            self._note_use(packet, now)
        try:
            os.write(self._tun.fileno(), packet)
        except BlockingIOError:
            self.interface.refusals[Reason.TUN_FULL] += 1
        except OSError as error:
            # EIO means that the interface is down, EINVAL that the kernel does not like the packet.
            self.interface.refusals[Reason.TUN_FAILED] += 1
            if error.errno in (errno.EBADFD, errno.ENODEV):
                self._lose()

    def close(self) -> None:
        """Let go of the TUN device, which stays."""
        if self.is_open:
            self.give_up().close()

    def give_up(self) -> Tun:
        """Return the TUN device of an open tunnel, which has none from now on."""
        self.is_open = False
        self._loop.forget(self._tun.fileno())
        return self._tun

    def _ready(self, events: int) -> None:
        if events & select.EPOLLIN:
            self._read()
        elif events & (select.EPOLLERR | select.EPOLLHUP):
            self._lose()

    def _read(self) -> None:
        descriptor, buffer, interface = self._tun.fileno(), self._buffer, self.interface
        if self.port is not None:
            self.port.set_clock()
        room = [buffer.room]
        for _ in range(PACKETS_PER_TURN):
            if not self.is_open:
                return  # Delivering a packet has shown that the interface is gone.
            try:
                buffer.length = os.readv(descriptor, room)
            except BlockingIOError:
                return
            except OSError as error:
                log.debug("reading %s: %s", self.name, error)
                self._lose()
                return
            port = self.port
            if port is None or interface.device is None:
                interface.refusals[Reason.NO_SESSION] += 1
                continue
            now = self._loop.clock()
            if now >= self._look_at:
                self._note_use(buffer.room[: buffer.length], now)
            port.device.send_packets(interface, (buffer,), now)
            port.pump(now)

    def _note_use(self, packet: memoryview, now: float) -> None:
        if not is_link_local(packet):
            if now >= self._used_at + REST:
                self._used(self.name)
            self._used_at, self._look_at = now, now + USE_INTERVAL

    def _lose(self) -> None:
        # Somebody has deleted the interface; its descriptor is of no more use.
        if self.is_open:
            self.close()
            self._lost(self)


def is_link_local(packet: memoryview) -> bool:
    """Return whether a packet comes from a link-local IPv6 address: those of Babel and of neighbour discovery do."""
    return len(packet) > 9 and packet[0] >> 4 == 6 and packet[8] == 0xFE and packet[9] & 0xC0 == 0x80
