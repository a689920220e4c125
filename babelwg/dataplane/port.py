"""A UDP port: its sockets, the device behind it and everything that passes between them and the TUN devices."""

import errno
import logging
import os
import socket
import time
from collections.abc import Callable, Sequence

from babelwg.dataplane.loop import Loop
from babelwg.linux.sockets import (
    ANCILLARY_SPACE,
    Ancillary,
    ancillary_to_send,
    open_udp_pair,
    received_at,
)
from babelwg.wireguard.device import Device, Outgoing
from babelwg.wireguard.events import Event, LocalAddress, describe
from babelwg.wireguard.indices import IndexTable
from babelwg.wireguard.interface import Interface
from babelwg.wireguard.noise.crypto import PacketBuffer, SecretSource
from babelwg.wireguard.refusals import Reason
from babelwg.wireguard.timers import TimerValues

# Implementation constants
DATAGRAMS_PER_TURN = 64  # so that a flood neither starves the timers nor the other direction
CACHE_ENTRIES = 1024

log = logging.getLogger("babelwg.dataplane")

_FULL = {errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM}
_UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.ECONNREFUSED}
_DENIED = {errno.EPERM, errno.EACCES}
# The kernel's answers when the local address that a peer knew is no longer ours; which one depends on its version.
_LOCAL_GONE = {errno.EINVAL, errno.EADDRNOTAVAIL, errno.ENODEV} | _UNREACHABLE


class SystemSecrets:
    """The kernel's random source."""

    def octets(self, count: int) -> bytes:
        """Return so many random octets."""
        return os.urandom(count)


class UdpPort:
    """One UDP port that any number of tunnels share."""

    def __init__(
        self,
        loop: Loop,
        number: int,
        secrets: SecretSource,
        indices: IndexTable,
        values: TimerValues,
        write: Callable[[Interface, memoryview], None],
        descriptors: Sequence[int] = (),
        tell: Callable[[Event], None] = lambda event: None,
    ) -> None:
        """Bind the port, any free one for 0; raises OSError. `write` takes a packet to an interface, `tell` events.

        The `descriptors` of sockets that are bound to it already are taken up instead.
        """
        if descriptors:
            self.number, self._sockets = number, [socket.socket(fileno=each) for each in descriptors]
        else:
            self.number, self._sockets = open_udp_pair(number)
        self.device = Device(secrets, indices, values)
        self.users: set[Interface] = set()
        self._loop = loop
        self._write = write
        self._tell = tell
        self._buffer = PacketBuffer()
        self._by_length = {2 if udp.family == socket.AF_INET else 4: udp for udp in self._sockets}
        self._locals: dict[tuple[int, int, bytes], LocalAddress | None] = {}
        self._ancillary: dict[tuple[int, LocalAddress | None, int, int], Ancillary] = {}
        self._logged: set[int | None] = set()
        for udp in self._sockets:
            loop.watch(udp.fileno(), lambda _, udp=udp: self._read(udp))  # type: ignore[misc]
        loop.add_clocked(self)
        self.set_clock()

    def filenos(self) -> list[int]:
        """Return the descriptors of the sockets."""
        return [udp.fileno() for udp in self._sockets]

    def close(self) -> None:
        """Give the port back."""
        self._loop.remove_clocked(self)
        for udp in self._sockets:
            self._loop.forget(udp.fileno())
            udp.close()

    def set_clock(self) -> None:
        """Tell the device what the wall clock says now."""
        self.device.clock_offset = time.time() - self._loop.clock()

    def next_deadline(self) -> float | None:
        """Return when a peer's timer is due."""
        return self.device.next_deadline()

    def handle_deadline(self, now: float) -> None:
        """Do what the timers ask for."""
        self.set_clock()
        self.device.handle_deadline(now)
        self.pump(now)

    def pump(self, now: float) -> None:
        """Send, deliver and report all that the device has ready."""
        for outgoing in self.device.datagrams_to_send(now):
            self._send(outgoing)
        for interface, packet in self.device.packets_to_deliver():
            self._write(interface, packet)
        for event in self.device.events():
            log.debug("%s", describe(event))
            self._tell(event)

    def _read(self, udp: socket.socket) -> None:
        self.set_clock()
        buffer = self._buffer
        for _ in range(DATAGRAMS_PER_TURN):
            try:
                buffer.length, ancillary, _, source = udp.recvmsg_into([buffer.datagram], ANCILLARY_SPACE)
            except BlockingIOError:
                return
            except OSError as error:
                # An ICMP error or a memory shortage concerns one datagram, never the socket.
                log.debug("receiving on port %d: %s", self.number, error)
                return
            now = self._loop.clock()
            self.device.receive_datagrams([(buffer, source, self._local_of(ancillary))], now)
            self.pump(now)

    def _local_of(self, ancillary: Ancillary) -> LocalAddress | None:
        if not ancillary:
            return None
        key = ancillary[0]
        if key not in self._locals:
            if len(self._locals) >= CACHE_ENTRIES:
                self._locals.clear()
            at = received_at(ancillary)
            self._locals[key] = LocalAddress(*at) if at is not None else None
        return self._locals[key]

    def _send(self, outgoing: Outgoing) -> None:
        (remote, local, mark), data, traffic_class = outgoing
        udp = self._by_length.get(len(remote))
        if udp is None:
            self.device.refusals[Reason.SEND_UNREACHABLE] += 1
            return
        try:
            udp.sendmsg([data], self._ancillary_for(udp.family, local, mark, traffic_class), 0, remote)
        except OSError as error:
            if local is None or error.errno not in _LOCAL_GONE:
                self._count(error)
                return
            self._send((outgoing[0]._replace(local=None), data, traffic_class))

    def _ancillary_for(
        self, family: int, local: LocalAddress | None, mark: int, traffic_class: int
    ) -> Ancillary:
        key = (family, local, mark, traffic_class)
        ancillary = self._ancillary.get(key)
        if ancillary is None:
            if len(self._ancillary) >= CACHE_ENTRIES:
                self._ancillary.clear()
            ancillary = self._ancillary[key] = ancillary_to_send(family, local, mark, traffic_class)
        return ancillary

    def _count(self, error: OSError) -> None:
        if error.errno in _FULL:
            reason = Reason.SEND_FULL
        elif error.errno in _UNREACHABLE:
            reason = Reason.SEND_UNREACHABLE
        elif error.errno in _DENIED:
            reason = Reason.SEND_DENIED
        else:
            reason = Reason.SEND_FAILED
            if error.errno not in self._logged:  # once each, as every packet may meet it
                self._logged.add(error.errno)
                log.warning("sending from port %d: %s", self.number, error)
        self.device.refusals[reason] += 1
