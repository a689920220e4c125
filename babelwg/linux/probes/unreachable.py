"""ICMP errors about UDP datagrams of ours, which say what did not arrive (RFC 792; RFC 4443, section 3).

Anybody can forge them, so they are hints and no more.
"""

import contextlib
import errno
import socket
import struct
from collections import Counter
from typing import NamedTuple

from babelwg.linux.errors import KernelError
from babelwg.linux.socketfilter import (
    ADD_X,
    ALL,
    AND,
    JUMP_IF_EQUAL,
    JUMP_IF_GREATER,
    JUMP_IF_NOT_LESS,
    LOAD_BYTE,
    LOAD_BYTE_X,
    LOAD_HALF,
    LOAD_HALF_X,
    NOTHING,
    SET_X,
    SET_X_TO_HEADER_LENGTH,
    SHIFT_LEFT,
    Step,
    attach_filter,
)

# Constants of RFC 791, RFC 8200, linux/icmp.h, linux/icmpv6.h and linux/socket.h
ICMP_HEADER, IPV4_HEADER, IPV6_HEADER = 8, 20, 40  # octets
UDP, HOP_BY_HOP, FRAGMENT, DESTINATION_OPTIONS = 17, 0, 44, 60
ICMP_FILTER, ICMPV6_FILTER, SOL_RAW = 1, 1, 255
PORTS = struct.Struct(">HH")
# The codes of each type that tell of a path. Not among them: that fragmentation is needed, what is wrong with source
# routes, of which we send none, and that one fragment of several came too late.
UNREACHABLE4, EXPIRED4, UNREACHABLE6, EXPIRED6 = 3, 11, 1, 3
HEEDED = {
    socket.AF_INET: {UNREACHABLE4: frozenset(range(16)) - {4, 5}, EXPIRED4: frozenset({0})},
    socket.AF_INET6: {UNREACHABLE6: frozenset(range(7)), EXPIRED6: frozenset({0})},
}
# Implementation constants
MAX_AT_ONCE = 64  # datagrams, before others have the loop
MAX_EXTENSIONS = 4  # headers before that of UDP: a daemon or a kernel of ours puts one there at most
MAX_DATAGRAM = 512  # octets that are looked at


class PathError(NamedTuple):
    """What an error quotes: our port, and the address (packed) and port that were not reached."""

    port: int
    address: bytes
    remote_port: int


class Unheeded(Exception):
    """A message that tells nothing of a path; the words are a reason to count."""


class PathErrors:
    """Hears the errors of one address family."""

    def __init__(self, family: socket.AddressFamily) -> None:
        """Open the socket, deaf until it is aimed. Raises KernelError, as where CAP_NET_RAW is missing."""
        self.counters: Counter[str] = Counter()  # of what is passed over, by reason
        self.is_flooded = False  # whether more waited than was read at the last look
        self._family = family
        self._aimed: tuple[int, int] | None = None
        protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
        kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        with contextlib.ExitStack() as stack:
            try:
                self._socket = stack.enter_context(socket.socket(family, kind, protocol))
                _pass_types(self._socket, family)
                attach_filter(self._socket, (NOTHING,))
            except OSError as error:
                raise KernelError("open", "a raw socket for ICMP errors", error.errno or 0) from error
            stack.pop_all()

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def aim(self, first: int, last: int) -> None:
        """Hear the errors about datagrams that left from these ports only. Raises OSError."""
        if self._aimed != (first, last):
            attach_filter(self._socket, FILTERS[self._family](first, last))
            self._aimed = first, last

    def receive(self) -> list[PathError]:
        """Return what the errors quote that wait."""
        found = []
        self.is_flooded = False
        for _ in range(MAX_AT_ONCE):
            try:
                data = self._socket.recv(MAX_DATAGRAM)
                found.append(read_error(self._family, data))
            except BlockingIOError:
                return found
            except OSError as error:
                self.counters[errno.errorcode.get(error.errno or 0, "unknown")] += 1
            except Unheeded as reason:
                self.counters[str(reason)] += 1
        self.is_flooded = True
        return found


def read_error(family: socket.AddressFamily, data: bytes) -> PathError:
    """Return what a raw socket's datagram, which may be anything, quotes of ours. Raises Unheeded."""
    message = _after_header(data) if family == socket.AF_INET else data
    if len(message) < ICMP_HEADER:
        raise Unheeded("malformed")
    if message[1] not in HEEDED[family].get(message[0], ()):
        raise Unheeded("other-code")
    quoted = message[ICMP_HEADER:]
    address, datagram = _open4(quoted) if family == socket.AF_INET else _open6(quoted)
    if len(datagram) < PORTS.size:
        raise Unheeded("malformed")
    port, remote_port = PORTS.unpack_from(datagram)
    return PathError(port, address, remote_port)


def _open4(packet: bytes) -> tuple[bytes, bytes]:
    """Return where an IPv4 packet went, and the UDP datagram in it."""
    datagram = _after_header(packet)
    if packet[9] != UDP:
        raise Unheeded("not-udp")
    if int.from_bytes(packet[6:8]) & 0x1FFF:
        raise Unheeded("fragment")  # not the first, which has the ports
    return packet[16:20], datagram


def _open6(packet: bytes) -> tuple[bytes, bytes]:
    """Return where an IPv6 packet went, and the UDP datagram in it."""
    if len(packet) < IPV6_HEADER or packet[0] >> 4 != 6:
        raise Unheeded("malformed")
    kind, rest = packet[6], packet[IPV6_HEADER:]
    for _ in range(MAX_EXTENSIONS):
        if kind not in (HOP_BY_HOP, FRAGMENT, DESTINATION_OPTIONS):
            break
        if len(rest) < 8:
            raise Unheeded("malformed")
        if kind == FRAGMENT and int.from_bytes(rest[2:4]) & 0xFFF8:
            raise Unheeded("fragment")
        length = 8 if kind == FRAGMENT else 8 * (rest[1] + 1)
        kind, rest = rest[0], rest[length:]
    if kind != UDP:
        raise Unheeded("not-udp")
    return packet[24:40], rest


def _after_header(packet: bytes) -> bytes:
    """Return what follows an IPv4 header."""
    length = 4 * (packet[0] & 0x0F) if packet else 0
    if length < IPV4_HEADER or packet[0] >> 4 != 4 or len(packet) < length:
        raise Unheeded("malformed")
    return packet[length:]


def _pass_types(sock: socket.socket, family: socket.AddressFamily) -> None:
    if family == socket.AF_INET:
        mask = 0xFFFFFFFF ^ sum(1 << kind for kind in HEEDED[family])
        sock.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("=I", mask))
        return
    blocked = [0xFFFFFFFF] * 8
    for kind in HEEDED[family]:
        blocked[kind // 32] ^= 1 << kind % 32
    sock.setsockopt(socket.IPPROTO_ICMPV6, ICMPV6_FILTER, struct.pack("=8I", *blocked))


def _from_ports4(first: int, last: int) -> tuple[Step, ...]:
    """Return a program that accepts what quotes UDP from these ports; it begins at the IPv4 header."""
    return (
        (SET_X_TO_HEADER_LENGTH, 0, 0, 0),
        (LOAD_BYTE_X, 0, 0, ICMP_HEADER + 9),  # the protocol of the quoted packet
        (JUMP_IF_EQUAL, 0, 9, UDP),
        (LOAD_BYTE_X, 0, 0, ICMP_HEADER),  # the length of its header, in words
        (AND, 0, 0, 0x0F),
        (SHIFT_LEFT, 0, 0, 2),
        (ADD_X, 0, 0, 0),
        (SET_X, 0, 0, 0),
        (LOAD_HALF_X, 0, 0, ICMP_HEADER),  # its source port
        (JUMP_IF_NOT_LESS, 0, 2, first),
        (JUMP_IF_GREATER, 1, 0, last),
        ALL,
        NOTHING,
    )


def _from_ports6(first: int, last: int) -> tuple[Step, ...]:
    """Return a program that accepts what quotes UDP from these ports; it begins at the ICMPv6 header."""
    return (
        (LOAD_BYTE, 0, 0, ICMP_HEADER + 6),  # the next header of the quoted packet
        (JUMP_IF_EQUAL, 0, 3, UDP),
        (LOAD_HALF, 0, 0, ICMP_HEADER + IPV6_HEADER),  # its source port
        (JUMP_IF_NOT_LESS, 0, 5, first),
        (JUMP_IF_GREATER, 4, 3, last),
        # Behind these headers it is looked for with more care.
        (JUMP_IF_EQUAL, 2, 0, HOP_BY_HOP),
        (JUMP_IF_EQUAL, 1, 0, FRAGMENT),
        (JUMP_IF_EQUAL, 0, 1, DESTINATION_OPTIONS),
        ALL,
        NOTHING,
    )


FILTERS = {socket.AF_INET: _from_ports4, socket.AF_INET6: _from_ports6}
