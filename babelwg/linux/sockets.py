"""UDP sockets that know which local address a datagram came to, and send from the one they are told."""

import errno
import socket
import struct
from typing import NamedTuple

# Linux constants that Python does not name (linux/in.h, linux/in6.h, asm-generic/socket.h)
IP_PKTINFO = 8
IP_MTU_DISCOVER = 10
IP_PMTUDISC_DONT = 0
IPV6_RECVPKTINFO = 49
IPV6_PKTINFO = 50
IPV6_MTU_DISCOVER = 23
SO_MARK = 36
SO_SNDBUFFORCE = 32
SO_RCVBUFFORCE = 33
# Implementation constants
BUFFER = 7 << 20  # octets, so that a burst survives while we are busy
ANCILLARY_SPACE = 128  # octets, more than all that is asked for
PORT_ATTEMPTS = 16

_IN_PKTINFO = struct.Struct("=i4s4s")
_IN6_PKTINFO = struct.Struct("=16si")
_INT = struct.Struct("=i")
_UNSIGNED = struct.Struct("=I")

Ancillary = list[tuple[int, int, bytes]]


class ReceivedAt(NamedTuple):
    """Where a datagram arrived: our address, packed, and the number of the interface."""

    address: bytes
    interface_index: int


def open_udp_pair(port: int) -> tuple[int, list[socket.socket]]:
    """Return a port, any free one for 0, with its IPv4 and IPv6 sockets, fewer where a family is missing.

    Raises OSError, with EADDRINUSE when the port is taken in either family.
    """
    for attempt in range(PORT_ATTEMPTS):
        opened: list[socket.socket] = []
        bound = port
        try:
            for family in (socket.AF_INET, socket.AF_INET6):
                udp = open_udp(family, bound)
                if udp is not None:
                    opened.append(udp)
                    bound = udp.getsockname()[1]
        except OSError as error:
            for udp in opened:
                udp.close()
            # A random IPv4 port may be taken in IPv6, so another is tried.
            if port or error.errno != errno.EADDRINUSE or attempt == PORT_ATTEMPTS - 1:
                raise
            continue
        if opened:
            return bound, opened
        break
    raise OSError(errno.EAFNOSUPPORT, "this machine has neither IPv4 nor IPv6")


def open_udp(family: int, port: int) -> socket.socket | None:
    """Return a bound socket that does not block, None when the machine lacks the family; raises OSError."""
    try:
        udp = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:
            return None
        raise
    try:
        _set_options(udp)
        udp.bind(("" if family == socket.AF_INET else "::", port))
    except OSError as error:
        udp.close()
        if error.errno == errno.EADDRNOTAVAIL:
            return None  # IPv6 is compiled in but disabled.
        raise
    return udp


def received_at(ancillary: Ancillary) -> ReceivedAt | None:
    """Return what the ancillary data of a received datagram says of its destination."""
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and kind == IP_PKTINFO and len(data) >= _IN_PKTINFO.size:
            index, address, _ = _IN_PKTINFO.unpack_from(data)
            return ReceivedAt(address, index)
        if level == socket.IPPROTO_IPV6 and kind == IPV6_PKTINFO and len(data) >= _IN6_PKTINFO.size:
            address, index = _IN6_PKTINFO.unpack_from(data)
            return ReceivedAt(address, index)
    return None


def ancillary_to_send(
    family: int, local: tuple[bytes, int] | None, mark: int = 0, traffic_class: int = 0
) -> Ancillary:
    """Return the ancillary data that sends from a local address, with a firewall mark and a traffic class."""
    ancillary: Ancillary = []
    if local is not None and family == socket.AF_INET:
        # The interface stays open: routing decides, and only the address must be the one the peer knows.
        info = _IN_PKTINFO.pack(0, local[0], bytes(4))
        ancillary.append((socket.IPPROTO_IP, IP_PKTINFO, info))
    elif local is not None:
        index = local[1] if _is_link_local(local[0]) else 0
        ancillary.append((socket.IPPROTO_IPV6, IPV6_PKTINFO, _IN6_PKTINFO.pack(local[0], index)))
    if mark:
        ancillary.append((socket.SOL_SOCKET, SO_MARK, _UNSIGNED.pack(mark)))
    if traffic_class and family == socket.AF_INET:
        ancillary.append((socket.IPPROTO_IP, socket.IP_TOS, _INT.pack(traffic_class)))
    elif traffic_class:
        ancillary.append((socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _INT.pack(traffic_class)))
    return ancillary


def _set_options(udp: socket.socket) -> None:
    if udp.family == socket.AF_INET:
        udp.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        udp.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
    else:
        udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        udp.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
        udp.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, IP_PMTUDISC_DONT)
    for forced, plain in ((SO_RCVBUFFORCE, socket.SO_RCVBUF), (SO_SNDBUFFORCE, socket.SO_SNDBUF)):
        try:
            udp.setsockopt(socket.SOL_SOCKET, forced, BUFFER)
        except PermissionError:
            udp.setsockopt(socket.SOL_SOCKET, plain, BUFFER)  # as much as the system allows


def _is_link_local(address: bytes) -> bool:
    return address[0] == 0xFE and address[1] & 0xC0 == 0x80
