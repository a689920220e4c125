"""A knock on a UDP port: whether the machine behind it says that nobody listens there (RFC 792, RFC 4443)."""

import asyncio
import errno
import socket
import struct
from typing import Literal, NamedTuple

from babelwg.linux.probes.uplink import SO_MARK, words

Outcome = Literal["silent", "closed", "unreachable"]

# Implementation constants
NOISE = b"\0"  # too short for WireGuard and for Babel, which say nothing to it
ATTEMPTS = 3


class Knock(NamedTuple):
    """What came of a knock; silence is what an open port and a dropped packet have in common."""

    outcome: Outcome
    reason: str = ""


async def knock(address: bytes, port: int, mark: int, wait: float, interface: str | None = None) -> Knock:
    """Knock a few times within `wait` seconds; `interface` is where a link-local address lives."""
    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
    text = socket.inet_ntop(family, address)
    try:
        with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as sock:
            sock.setsockopt(socket.SOL_SOCKET, SO_MARK, struct.pack("=I", mark))
            index = socket.if_nametoindex(interface) if interface else 0
            sock.connect((text, port) if family == socket.AF_INET else (text, port, 0, index))
            for _ in range(ATTEMPTS):
                await _knock_once(sock, wait / ATTEMPTS)
    except ConnectionRefusedError:
        return Knock("closed", "port unreachable came back")
    except OSError as error:
        return Knock("unreachable", words(error))
    return Knock("silent")


async def _knock_once(sock: socket.socket, wait: float) -> None:
    """Send one datagram and give an ICMP message time to come back. Raises OSError for it."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, NOISE)
    try:
        async with asyncio.timeout(wait):
            await loop.sock_recv(sock, 64)
    except TimeoutError:
        problem = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if problem:
            raise OSError(problem, errno.errorcode.get(problem, "")) from None
