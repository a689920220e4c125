"""One DNS question over UDP (RFC 1035), asked of one server."""

import asyncio
import secrets
import socket
import struct
from ipaddress import ip_address
from pathlib import Path

from babelwg.linux.probes.uplink import ProbeFailed, Uplink, connect, words

HEADER = struct.Struct("!HHHHHH")
RECORD = struct.Struct("!HHIH")
A, AAAA, IN = 1, 28, 1
RECURSION_DESIRED, RESPONSE = 0x0100, 0x8000
PORT = 53
MAX_RECORDS = 64  # of an answer that we look at
RESOLV_CONF = Path("/etc/resolv.conf")
CODES = {1: "format error", 2: "server failure", 3: "no such name", 4: "not implemented", 5: "refused"}


class Malformed(Exception):
    """An answer that is none."""


async def look_up(name: str, uplink: Uplink, server: bytes | None = None, kind: int = A) -> list[bytes]:
    """Return the addresses (packed) that a server knows for a name; waits for ever, or raises ProbeFailed."""
    address = server or system_server()
    identifier = secrets.randbits(16)
    question = pack_question(name, identifier, kind)
    loop = asyncio.get_running_loop()
    # A resolver on this machine is not beyond the uplink.
    with uplink.open(address, socket.SOCK_DGRAM, bound=not ip_address(address).is_loopback) as sock:
        await connect(sock, address, PORT)
        try:
            await loop.sock_sendall(sock, question)
            while True:
                try:
                    return read_answer(await loop.sock_recv(sock, 4096), question, kind)
                except Malformed:
                    continue  # not the server's: the true answer may follow
        except OSError as error:
            raise ProbeFailed(words(error)) from error


async def resolve(host: str, uplink: Uplink) -> bytes:
    """Return the packed address of a host; IPv4 comes first. Raises ProbeFailed."""
    try:
        return ip_address(host).packed
    except ValueError:
        pass  # a name
    for kind in (A, AAAA):
        found = await look_up(host, uplink, None, kind)
        if found:
            return found[0]
    raise ProbeFailed(f"{host} has no address")


def system_server(path: Path = RESOLV_CONF) -> bytes:
    """Return the first name server of this machine, packed; raises ProbeFailed."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError as error:
        raise ProbeFailed(f"{path}: {words(error)}") from error
    for line in lines:
        parts = line.split()
        if len(parts) >= 2 and parts[0] == "nameserver":
            try:
                return ip_address(parts[1].partition("%")[0]).packed
            except ValueError:
                continue
    raise ProbeFailed(f"{path} names no server")


def pack_question(name: str, identifier: int, kind: int) -> bytes:
    """Return a query with one question."""
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".")]
    packed = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return HEADER.pack(identifier, RECURSION_DESIRED, 1, 0, 0, 0) + packed + struct.pack("!HH", kind, IN)


def read_answer(data: bytes, question: bytes, kind: int) -> list[bytes]:
    """Return the addresses of the answer to our question; raises Malformed, or ProbeFailed where it is a refusal."""
    if len(data) < len(question):
        raise Malformed
    _, flags, questions, answers, _, _ = HEADER.unpack_from(data)
    asked = data[HEADER.size : len(question)].lower() == question[HEADER.size :].lower()
    if data[:2] != question[:2] or not flags & RESPONSE or questions != 1 or not asked:
        raise Malformed
    code = flags & 0x000F
    if code:
        raise ProbeFailed(f"the server says: {CODES.get(code, f'error {code}')}")
    found, offset = [], len(question)
    for _ in range(min(answers, MAX_RECORDS)):
        offset = _skip_name(data, offset)
        if offset + RECORD.size > len(data):
            raise Malformed
        record, _, _, length = RECORD.unpack_from(data, offset)
        offset += RECORD.size
        if record == kind and length == (4 if kind == A else 16) and offset + length <= len(data):
            found.append(data[offset : offset + length])
        offset += length
    return found


def _skip_name(data: bytes, offset: int) -> int:
    while offset < len(data):
        length = data[offset]
        if length >= 0xC0:
            return offset + 2
        offset += length + 1
        if not length:
            return offset
    raise Malformed
