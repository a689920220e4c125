"""ICMPv6 echo through one interface with packets of several sizes at once (RFC 4443, section 4)."""

import asyncio
import secrets
import socket
import struct
from collections.abc import Iterable, Mapping

from babelwg.linux.probes.ping import ECHO
from babelwg.linux.probes.uplink import ProbeFailed, Uplink, words

ECHO_REQUEST, ECHO_REPLY = 128, 129
HEADERS = 48  # octets of IPv6 and of ICMPv6 before what an echo carries
TOKEN = 8  # octets that no one off the path can guess
ICMP6_FILTER = 1  # linux/icmpv6.h
IPV6_MTU_DISCOVER, IPV6_DONTFRAG, PMTUDISC_PROBE = 23, 62, 3  # linux/in6.h
REPLIES_ONLY = struct.pack("=8I", *(0xFFFFFFFF ^ (1 << 1 if word == 4 else 0) for word in range(8)))


async def echo_sizes(
    address: bytes, interface: str, sizes: Iterable[int], wait: float
) -> Mapping[int, float]:
    """Return the round-trip time for each size of packet (octets with all headers) that was answered in time.

    All leave at once and none is ever cut in pieces here. Raises ProbeFailed where nothing can be sent.
    """
    loop = asyncio.get_running_loop()
    identifier, token = secrets.randbits(16), secrets.token_bytes(TOKEN)
    by_sequence = dict(enumerate(sorted(set(sizes)), 1))
    answered: dict[int, float] = {}
    with Uplink(interface, 0).open(address, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sock:
        try:
            _prepare(sock, address, interface)
            sent = loop.time()
            for sequence, size in by_sequence.items():
                padding = bytes(max(0, size - HEADERS - TOKEN))
                await loop.sock_sendall(
                    sock, ECHO.pack(ECHO_REQUEST, 0, 0, identifier, sequence) + token + padding
                )
        except OSError as error:
            raise ProbeFailed(words(error)) from error
        try:
            async with asyncio.timeout(wait):
                while len(answered) < len(by_sequence):
                    data = await loop.sock_recv(sock, 65535)
                    sequence = _sequence_of(data, identifier, token)
                    if sequence in by_sequence:
                        answered.setdefault(by_sequence[sequence], loop.time() - sent)
        except TimeoutError:
            return answered
        except OSError as error:
            raise ProbeFailed(words(error)) from error
    return answered


def _prepare(sock: socket.socket, address: bytes, interface: str) -> None:
    """Set a socket up to hear only echo replies of one neighbour. Raises OSError."""
    sock.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER, REPLIES_ONLY)
    sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_PROBE)
    sock.setsockopt(socket.IPPROTO_IPV6, IPV6_DONTFRAG, 1)
    index = socket.if_nametoindex(interface)
    sock.connect((socket.inet_ntop(socket.AF_INET6, address), 0, 0, index))


def _sequence_of(data: bytes, identifier: int, token: bytes) -> int:
    """Return the number of the request that a message answers, 0 for none of ours."""
    if len(data) < ECHO.size + TOKEN or data[ECHO.size : ECHO.size + TOKEN] != token:
        return 0
    kind, code, _, number, sequence = ECHO.unpack_from(data)
    return int(sequence) if (kind, code, number) == (ECHO_REPLY, 0, identifier) else 0
