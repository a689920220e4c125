"""Echo requests to neighbours on links, which their kernels answer whatever their daemons do (RFC 4443, section 4).

One socket serves all interfaces. It also hears the requests of the neighbours, so that whoever counts packets can
tell these from those of users.
"""

import errno
import secrets
import socket
import struct
import time
from collections.abc import Collection, Iterator
from typing import NamedTuple

from babelwg.babel.wire.prefix import is_link_local
from babelwg.linux.errors import KernelError
from babelwg.linux.netlink import set_receive_buffer
from babelwg.linux.socketfilter import DESTINATION, SOURCE, attach_filter, by_interfaces, link_local

# Constants of RFC 4443 and linux/icmpv6.h
ECHO_REQUEST, ECHO_REPLY = 128, 129
ICMPV6_FILTER = 1
ECHO = struct.Struct(">BBHHH")
PKTINFO = struct.Struct("=16sI")
# Implementation constants
TOKEN = 8  # octets that nobody off the link can guess
STAMP = struct.Struct(">d")
RECEIVE_BUFFER = 1 << 20  # octets
TRAFFIC_CLASS = 0xC0  # CS6, as Babel's own datagrams
LONGEST = 60.0  # seconds for which an answer to a request is awaited
MAX_AT_ONCE = 64  # datagrams, before others have the loop


class Answer(NamedTuple):
    """A reply to one of our requests: on which interface (index), from whom (packed), after how many seconds."""

    interface: int
    address: bytes
    rtt: float


class LinkEcho:
    """Sends requests on any interface; counts its own packets and those that neighbours cause by theirs."""

    def __init__(self) -> None:
        """Open the socket. Raises KernelError, as where CAP_NET_RAW is missing."""
        self.received: dict[int, int] = {}  # requests and replies, by interface
        self.sent: dict[int, int] = {}
        self.counters: dict[str, int] = {}
        self._token = secrets.token_bytes(TOKEN)
        self._identifier = secrets.randbits(16)
        self._sequence = 0
        self._texts: dict[bytes, str] = {}
        self._interfaces: frozenset[int] | None = None  # on which it hears
        try:
            self._socket = socket.socket(
                socket.AF_INET6,
                socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC,
                socket.IPPROTO_ICMPV6,
            )
            blocked = [0xFFFFFFFF] * 8
            for kind in (ECHO_REQUEST, ECHO_REPLY):
                blocked[kind // 32] ^= 1 << kind % 32
            self._socket.setsockopt(socket.IPPROTO_ICMPV6, ICMPV6_FILTER, struct.pack("=8I", *blocked))
            self.listen(())
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, TRAFFIC_CLASS)
            set_receive_buffer(self._socket, RECEIVE_BUFFER)
        except OSError as error:
            raise KernelError("open", "a raw socket for echo requests", error.errno or 0) from error

    def listen(self, interfaces: Collection[int]) -> None:
        """Hear requests and replies on some interfaces (indices) only; raises OSError."""
        if interfaces != self._interfaces:
            self._interfaces = frozenset(interfaces)
            # Nobody who pings another address of this node shall keep us busy.
            neighbours = [*link_local(SOURCE), *link_local(DESTINATION)]
            attach_filter(self._socket, [*neighbours, *by_interfaces(interfaces)])

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def send(self, interface: int, source: bytes, destination: bytes) -> bool:
        """Ask a neighbour (packed addresses) on an interface (index); return whether the request left."""
        self._sequence = (self._sequence + 1) % 0x10000
        # The kernel writes the checksum of ICMPv6 (RFC 3542, section 3.1).
        head = ECHO.pack(ECHO_REQUEST, 0, 0, self._identifier, self._sequence)
        packet = head + self._token + STAMP.pack(time.monotonic())
        info = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, PKTINFO.pack(source, interface))
        try:
            self._socket.sendmsg([packet], [info], 0, (self._text(destination), 0, 0, interface))
        except OSError as error:
            self._count(f"probe_failed.{errno.errorcode.get(error.errno or 0, 'unknown')}")
            return False
        self._count("probe_sent")
        self.sent[interface] = self.sent.get(interface, 0) + 1
        return True

    def receive(self) -> Iterator[Answer]:
        """Yield the answers that wait, and count what neighbours asked."""
        for _ in range(MAX_AT_ONCE):
            try:
                data, ancillary, _, sender = self._socket.recvmsg(256, 64)
            except BlockingIOError:
                return
            except OSError as error:
                self._count(f"probe_receive_failed.{errno.errorcode.get(error.errno or 0, 'unknown')}")
                continue
            source = socket.inet_pton(socket.AF_INET6, sender[0].partition("%")[0])
            destination, interface = _packet_info(ancillary)
            if len(data) < ECHO.size or not (is_link_local(source) and is_link_local(destination)):
                continue  # a user's: it counts as one
            self.received[interface] = self.received.get(interface, 0) + 1
            if data[0] == ECHO_REQUEST:
                # Our kernel has answered it.
                self.sent[interface] = self.sent.get(interface, 0) + 1
            elif (sent := self._read(data)) is not None:
                rtt = time.monotonic() - sent
                if 0 <= rtt <= LONGEST:
                    yield Answer(interface, source, rtt)
                else:
                    # What a neighbour writes there may be anything, and no number as well.
                    self._count("probe_dropped.wrong-time")

    def _read(self, data: bytes) -> float | None:
        """Return when the request left that a reply answers, None for one that is not ours."""
        *_, identifier, _ = ECHO.unpack_from(data)
        payload = data[ECHO.size :]
        if identifier != self._identifier or len(payload) != TOKEN + STAMP.size:
            return None
        if not secrets.compare_digest(payload[:TOKEN], self._token):
            self._count("probe_dropped.wrong-token")
            return None
        sent: float = STAMP.unpack_from(payload, TOKEN)[0]
        return sent

    def _text(self, address: bytes) -> str:
        if address not in self._texts:
            if len(self._texts) > 1024:
                self._texts.clear()
            self._texts[address] = socket.inet_ntop(socket.AF_INET6, address)
        return self._texts[address]

    def _count(self, reason: str) -> None:
        self.counters[reason] = self.counters.get(reason, 0) + 1


def _packet_info(ancillary: list[tuple[int, int, bytes]]) -> tuple[bytes, int]:
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            address, index = PKTINFO.unpack(data[: PKTINFO.size])
            return address, index
    return bytes(16), 0
