"""A TCP connection, and one HTTP request over it (RFC 9112)."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from babelwg.config import Check
from babelwg.linux.probes.dns import resolve
from babelwg.linux.probes.uplink import ProbeFailed, Uplink, connect, words

MAX_LINE = 4096  # octets of the status line
SUCCESS = range(200, 400)


async def connect_tcp(check: Check, uplink: Uplink) -> None:
    """Return when the host of a check has taken a connection; raises ProbeFailed."""
    async with _connected(check, uplink):
        return


async def get(check: Check, uplink: Uplink) -> None:
    """Return when the host of a check has answered with the status that it should; raises ProbeFailed."""
    async with _connected(check, uplink) as sock:
        context = ssl.create_default_context() if check.tls else None
        name = check.host if check.tls else None
        try:
            reader, writer = await asyncio.open_connection(
                sock=sock, ssl=context, server_hostname=name, limit=MAX_LINE
            )
            try:
                writer.write(request(check))
                line = await reader.readline()
            finally:
                writer.transport.abort()
        except ssl.SSLError as error:
            raise ProbeFailed(f"TLS: {getattr(error, 'verify_message', '') or error.reason}") from error
        except OSError as error:
            raise ProbeFailed(words(error)) from error
        except ValueError as error:
            raise ProbeFailed("the answer is not HTTP") from error
    judge(line, check.status)


def request(check: Check) -> bytes:
    """Return the request of a check."""
    host = f"[{check.host}]" if ":" in check.host else check.host
    if check.port != (443 if check.tls else 80):
        host += f":{check.port}"
    lines = (
        f"GET {check.path} HTTP/1.1",
        f"Host: {host}",
        "User-Agent: babelwg",
        "Connection: close",
        "",
        "",
    )
    return "\r\n".join(lines).encode("ascii")


def judge(line: bytes, wanted: int | None) -> None:
    """Raise ProbeFailed unless a status line is the wanted one, or by default one of success or redirection."""
    parts = line.split()
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or len(parts[1]) != 3 or not parts[1].isdigit():
        raise ProbeFailed("the answer is not HTTP" if line else "no answer before the end")
    status = int(parts[1])
    if status != wanted if wanted else status not in SUCCESS:
        raise ProbeFailed(f"status {status}" + (f" instead of {wanted}" if wanted else ""))


@asynccontextmanager
async def _connected(check: Check, uplink: Uplink) -> AsyncIterator[socket.socket]:
    address = await resolve(check.host, uplink)
    with uplink.open(address, socket.SOCK_STREAM) as sock:
        await connect(sock, address, check.port)
        yield sock
