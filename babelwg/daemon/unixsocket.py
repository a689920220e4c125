"""A Unix stream socket of ours: never taken from a daemon that answers, open to root and our group."""

import asyncio
import contextlib
import errno
import grp
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

# Implementation constants
CLOSE_TIMEOUT = 1.0  # seconds for a connection to end
GROUP = "babelwg"  # whose members may ask

CREDENTIALS = struct.Struct("=iII")  # process, user, group

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def listen(path: Path, serve: Serve, limit: int) -> asyncio.Server:
    """Serve at a path. Raises FileExistsError when another daemon answers there, OSError when it cannot be made."""
    return await asyncio.start_unix_server(serve, sock=await _bound(path), limit=limit)


async def listen_by(path: Path, factory: Callable[[], asyncio.BaseProtocol]) -> asyncio.Server:
    """Serve at a path with a protocol for each connection; raises as `listen` does."""
    return await asyncio.get_running_loop().create_unix_server(factory, sock=await _bound(path))


def holder_of(path: Path) -> int | None:
    """Return the process that listens at a path, None where nobody does; 0 for one that cannot be seen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as connection:
        try:
            connection.connect(os.fspath(path))
            told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        except BlockingIOError:
            return 0  # its queue is full
        except (OSError, ValueError):
            return None
    return int(CREDENTIALS.unpack(told)[0])


async def _bound(path: Path) -> socket.socket:
    path.parent.mkdir(parents=True, exist_ok=True)
    if await _answers(path):
        raise FileExistsError(f"a daemon already answers on {path}")
    if path.exists() and not path.is_socket():
        raise OSError(errno.ENOTSOCK, f"{path} is there and is no socket")
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Born with its mode, and no link is followed: whoever owns the directory may have put one there since.
    old = os.umask(0o117)
    try:
        made.bind(os.fspath(path))
        with contextlib.suppress(KeyError, PermissionError):
            os.chown(path, -1, grp.getgrnam(GROUP).gr_gid, follow_symlinks=False)
    except OSError:
        made.close()
        raise
    finally:
        os.umask(old)
    return made


async def end(writer: asyncio.StreamWriter) -> None:
    """Close a connection and wait a while until it is closed."""
    writer.close()
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await writer.wait_closed()


async def _answers(path: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    await end(writer)
    return True
