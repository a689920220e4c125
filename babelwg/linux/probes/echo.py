"""Many ICMP echo requests to one destination, and what comes back for each: replies, and errors on the way."""

import asyncio
import errno
import secrets
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Literal, NamedTuple

from babelwg.linux.probes.ping import ECHO, TYPES, checksum
from babelwg.linux.probes.uplink import ProbeFailed, words

# Constants of linux/in6.h, linux/icmpv6.h, linux/icmp.h and linux/socket.h
IPV6_UNICAST_HOPS = 16
ICMPV6_FILTER, ICMP_FILTER, SOL_RAW = 1, 1, 255
# Expired and unreachable of each family, by the octets of an address
ERRORS = {4: (11, 3), 16: (3, 1)}
NO_ROUTE, NO_HOST, NO_PORT, FORBIDDEN = "no route", "the host does not answer", "port closed", "prohibited"
UNREACHABLE_WORDS = {
    4: {0: NO_ROUTE, 1: NO_HOST, 3: NO_PORT, 9: FORBIDDEN, 10: FORBIDDEN, 13: FORBIDDEN},
    16: {0: NO_ROUTE, 1: FORBIDDEN, 3: NO_HOST, 4: NO_PORT, 5: FORBIDDEN, 6: NO_ROUTE},
}
TOKEN = 8  # octets that no one off the path can guess
HOP_LIMIT = 64
MAX_DATAGRAM = 2048  # octets
MAX_DATAGRAMS = 64  # before others have the loop

Kind = Literal["reply", "expired", "unreachable"]


class Reply(NamedTuple):
    """What came back for a request: from whom (packed), and after how many seconds."""

    kind: Kind
    address: bytes
    rtt: float
    words: str = ""  # of what is unreachable


class Message(NamedTuple):
    """An ICMP message about a request of ours: its kind and code, and the request's number."""

    kind: Kind
    code: int
    sequence: int


class Echoes:
    """Sends requests to one address over a raw socket; each gets a future with its reply."""

    def __init__(self, destination: bytes, source: bytes | None) -> None:
        """Open a socket; addresses are packed, without a source the kernel chooses. Raises ProbeFailed."""
        self.destination = destination
        self._identifier = secrets.randbits(16)
        self._token = secrets.token_bytes(TOKEN)
        self._sequence = 0
        self._waiting: dict[int, tuple[float, asyncio.Future[Reply]]] = {}
        self._loop = asyncio.get_running_loop()
        self._socket = _open(destination, source)
        self._loop.add_reader(self._socket.fileno(), self._receive)

    def close(self) -> None:
        """Stop; whoever still waits is told so."""
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        for _, future in self._waiting.values():
            future.cancel()
        self._waiting.clear()

    @property
    def source(self) -> bytes:
        """The address (packed) that the requests come from, zeros where the kernel chooses for each."""
        return ip_address(self._socket.getsockname()[0]).packed

    def send(self, hops: int = HOP_LIMIT) -> asyncio.Future[Reply]:
        """Send a request that lives for so many hops. Raises ProbeFailed where it cannot leave."""
        self._sequence = (self._sequence + 1) % 0x10000
        request, _ = TYPES[len(self.destination)]
        bare = ECHO.pack(request, 0, 0, self._identifier, self._sequence) + self._token
        packet = ECHO.pack(request, 0, checksum(bare), self._identifier, self._sequence) + self._token
        level, option = (
            (socket.IPPROTO_IP, socket.IP_TTL)
            if len(self.destination) == 4
            else (socket.IPPROTO_IPV6, IPV6_UNICAST_HOPS)
        )
        future = self._loop.create_future()
        self._waiting[self._sequence] = self._loop.time(), future
        try:
            self._socket.setsockopt(level, option, hops)
            self._socket.sendto(packet, (str(ip_address(self.destination)), 0))
        except BlockingIOError:
            return future  # as if it had been lost on the way
        except OSError as error:
            del self._waiting[self._sequence]
            if error.errno == errno.ENOBUFS:
                return future
            raise ProbeFailed(words(error)) from error
        return future

    def forget(self, future: asyncio.Future[Reply]) -> None:
        """Wait no longer for a reply."""
        future.cancel()
        self._waiting = {number: entry for number, entry in self._waiting.items() if entry[1] is not future}

    def _receive(self) -> None:
        for _ in range(MAX_DATAGRAMS):
            try:
                data, sender = self._socket.recvfrom(MAX_DATAGRAM)
            except OSError:
                return  # nothing more, or an error that concerns a request which its message tells about
            self._handle(data, ip_address(sender[0].partition("%")[0]).packed)

    def _handle(self, data: bytes, sender: bytes) -> None:
        found = read_message(data, self.destination, self._identifier, self._token)
        if found is None or (found.kind == "reply" and sender != self.destination):
            return
        sent, future = self._waiting.pop(found.sequence, (0.0, None))
        if future is None or future.done():
            return
        text = ""
        if found.kind == "unreachable":
            text = UNREACHABLE_WORDS[len(sender)].get(found.code, f"unreachable, code {found.code}")
        future.set_result(Reply(found.kind, sender, self._loop.time() - sent, text))


@contextmanager
def echoes(destination: bytes, source: bytes | None) -> Iterator[Echoes]:
    """Open and close what sends requests. Raises ProbeFailed."""
    opened = Echoes(destination, source)
    try:
        yield opened
    finally:
        opened.close()


def read_message(data: bytes, destination: bytes, identifier: int, token: bytes) -> Message | None:
    """Return what a raw socket's datagram says about a request of ours, None where it is about something else."""
    octets = len(destination)
    if octets == 4:
        data = _after_header(data)
    if len(data) < ECHO.size:
        return None
    found, code, _, number, sequence = ECHO.unpack_from(data)
    if found == TYPES[octets][1]:
        is_ours = number == identifier and data[ECHO.size :] == token and code == 0
        return Message("reply", 0, sequence) if is_ours else None
    expired, unreachable = ERRORS[octets]
    if found not in (expired, unreachable):
        return None
    sequence_of_ours = _read_quoted(data[ECHO.size :], destination, identifier, token)
    if sequence_of_ours is None:
        return None
    return Message("expired" if found == expired else "unreachable", code, sequence_of_ours)


def _read_quoted(packet: bytes, destination: bytes, identifier: int, token: bytes) -> int | None:
    """Return the number of the request that an error quotes, None where it is not ours."""
    if len(destination) == 4:
        is_ours = len(packet) >= 20 and packet[9] == socket.IPPROTO_ICMP and packet[16:20] == destination
        message = _after_header(packet)
    else:
        is_ours = len(packet) >= 40 and packet[6] == socket.IPPROTO_ICMPV6 and packet[24:40] == destination
        message = packet[40:]
    if not is_ours or len(message) < ECHO.size:
        return None
    kind, _, _, number, sequence = ECHO.unpack_from(message)
    if kind != TYPES[len(destination)][0] or number != identifier:
        return None
    quoted = message[ECHO.size : ECHO.size + TOKEN]
    # A router of IPv4 may quote no more than the first eight octets, one of IPv6 quotes all (RFC 4443, section 2.4).
    is_ours = token.startswith(quoted) if len(destination) == 4 else quoted == token
    return sequence if is_ours else None


def _after_header(packet: bytes) -> bytes:
    """Return what follows an IPv4 header."""
    return packet[4 * (packet[0] & 0x0F) :] if packet else b""


def _open(destination: bytes, source: bytes | None) -> socket.socket:
    family = socket.AF_INET if len(destination) == 4 else socket.AF_INET6
    protocol = socket.IPPROTO_ICMP if len(destination) == 4 else socket.IPPROTO_ICMPV6
    made: socket.socket | None = None
    try:
        made = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
        _filter(made, len(destination))
        if source is not None:
            made.bind((str(ip_address(source)), 0))
    except OSError as error:
        if made is not None:
            made.close()
        raise ProbeFailed(words(error)) from error
    return made


def _filter(made: socket.socket, octets: int) -> None:
    """Let only replies and the errors that we know come to a socket; neighbour discovery is none of its business."""
    passed = {TYPES[octets][1], *ERRORS[octets]}
    if octets == 4:
        mask = 0xFFFFFFFF ^ sum(1 << kind for kind in passed)
        made.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("=I", mask))
        return
    blocked = [0xFFFFFFFF] * 8
    for kind in passed:
        blocked[kind // 32] ^= 1 << kind % 32
    made.setsockopt(socket.IPPROTO_ICMPV6, ICMPV6_FILTER, struct.pack("=8I", *blocked))
