"""One ICMP echo request and its reply (RFC 792, RFC 4443)."""

import asyncio
import secrets
import socket
import struct

from babelwg.linux.probes.uplink import ProbeFailed, Uplink, connect, words

ECHO = struct.Struct("!BBHHH")
# Request and reply of each family
TYPES = {4: (8, 0), 16: (128, 129)}
TOKEN = 16  # octets that no one off the path can guess


async def ping(address: bytes, uplink: Uplink) -> None:
    """Return when a packed address has answered; waits for ever otherwise, or raises ProbeFailed."""
    protocol = socket.IPPROTO_ICMP if len(address) == 4 else socket.IPPROTO_ICMPV6
    loop = asyncio.get_running_loop()
    request, reply = TYPES[len(address)]
    token, identifier = secrets.token_bytes(TOKEN), secrets.randbits(16)
    with uplink.open(address, socket.SOCK_RAW, protocol) as sock:
        await connect(sock, address, 0)
        try:
            await loop.sock_sendall(sock, pack_echo(request, identifier, token))
            while not is_reply(await loop.sock_recv(sock, 2048), reply, identifier, token, len(address)):
                continue
        except OSError as error:
            raise ProbeFailed(words(error)) from error


def pack_echo(kind: int, identifier: int, token: bytes) -> bytes:
    """Return an echo message; the kernel fills in the checksum of ICMPv6."""
    bare = ECHO.pack(kind, 0, 0, identifier, 1) + token
    return ECHO.pack(kind, 0, checksum(bare), identifier, 1) + token


def is_reply(data: bytes, kind: int, identifier: int, token: bytes, address_octets: int) -> bool:
    """Return whether what a raw socket gave is the answer to our request; IPv4 ones begin with the IP header."""
    if address_octets == 4:
        data = data[4 * (data[0] & 0x0F) :] if data else b""
    if len(data) < ECHO.size:
        return False
    found, code, _, number, sequence = ECHO.unpack_from(data)
    return (found, code, number, sequence, data[ECHO.size :]) == (kind, 0, identifier, 1, token)


def checksum(data: bytes) -> int:
    """Return the checksum of the Internet (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
