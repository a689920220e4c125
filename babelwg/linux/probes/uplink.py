"""The uplink that a probe is bound to, and sockets that use no other."""

import asyncio
import errno
import os
import socket
import struct
from dataclasses import dataclass
from ipaddress import ip_address

SO_MARK = 36  # asm-generic/socket.h


class ProbeFailed(Exception):
    """A probe got no good answer; the text says why in a few words."""


@dataclass(frozen=True, slots=True)
class Uplink:
    """An interface (None: any) and the firewall mark that keeps a probe off routes learned through the mesh."""

    interface: str | None
    mark: int

    def open(self, address: bytes, kind: int, protocol: int = 0, bound: bool = True) -> socket.socket:
        """Return a socket that does not block, for packets to an address; raises ProbeFailed."""
        family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
        made: socket.socket | None = None
        try:
            made = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
            made.setsockopt(socket.SOL_SOCKET, SO_MARK, struct.pack("=I", self.mark))
            if self.interface is not None and bound:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self.interface.encode())
        except OSError as error:
            if made is not None:
                made.close()
            raise ProbeFailed(words(error)) from error
        return made


async def connect(sock: socket.socket, address: bytes, port: int) -> None:
    """Connect a socket to a packed address; raises ProbeFailed."""
    where = (str(ip_address(address)), port)
    try:
        if sock.type == socket.SOCK_STREAM:
            await asyncio.get_running_loop().sock_connect(sock, where)
        else:
            sock.connect(where)  # of others this only notes where to
    except OSError as error:
        raise ProbeFailed(words(error)) from error


def words(error: OSError) -> str:
    """Return what an error means, in the words of a reason."""
    if error.errno == errno.ENODEV:
        return "the interface is not there"
    return (os.strerror(error.errno) if error.errno else str(error)).lower()
