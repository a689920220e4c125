"""What a node needs from the system before it can run: rights, its state directory, its socket."""

import errno
import fcntl
import os
from collections.abc import Container
from contextlib import AsyncExitStack
from pathlib import Path

from babelwg.babel.parameters import Parameters
from babelwg.daemon.control import ControlServer
from babelwg.daemon.store import Store
from babelwg.linux.babelsocket import BabelSocket, holder_of_port
from babelwg.linux.errors import KernelError
from babelwg.linux.mirror import Mirror
from babelwg.linux.netlink import RequestSocket
from babelwg.linux.routes import PROTOCOL_BABEL, TABLE_MAIN, dump_routes, remove_request


class Fatal(Exception):
    """Why the daemon cannot run: one sentence, and the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        self.code = code
        super().__init__(message)


def check_permission() -> None:
    """Raise Fatal where we may not change interfaces and routes."""
    status = Path("/proc/self/status").read_text()
    effective = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff")), 16)
    if not effective >> 12 & 1:  # CAP_NET_ADMIN
        raise Fatal("needs CAP_NET_ADMIN: run it as root", code=4)


def open_store(
    directory: Path,
    owner: str,
    fresh_router_id: bool,
    socket: Path,
    hello_interval: float,
    stack: AsyncExitStack,
) -> Store:
    """Lock and load the state directory until `stack` ends: two daemons with one identity would ruin each other.

    A disk that is slow is waited for as long as a `hello_interval` in seconds allows. Raises Fatal.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = _open_lock(directory)
        stack.callback(os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Beside the socket there is room where the disk is full or fails, until the next boot.
        store = Store(directory, owner, fresh_router_id, Path(f"{socket}.doubt"), hello_interval)
    except BlockingIOError as error:
        raise Fatal(f"another daemon uses {directory}: stop it first") from error
    except OSError as error:
        raise Fatal(f"cannot use the state directory {directory}: {error.strerror}") from error
    stack.callback(store.close)
    return store


def _open_lock(directory: Path) -> int:
    """Open what two daemons cannot lock both: a file, or the directory itself where none can be made."""
    path = directory / "lock"
    try:
        return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        return os.open(path if path.is_file() else directory, os.O_RDONLY | os.O_CLOEXEC)


def bind(parameters: Parameters) -> BabelSocket:
    """Return the socket on which Babel speaks."""
    port = parameters.port
    try:
        return BabelSocket(port, parameters.group)
    except KernelError as error:
        if error.errno == errno.EADDRINUSE:
            holder = holder_of_port(port) or "another routing daemon"
            raise Fatal(
                f"UDP port {port} is held by {holder}: stop it first, two daemons cannot share it"
            ) from error
        raise Fatal(str(error)) from error


async def listen(server: ControlServer, path: Path) -> None:
    """Begin to answer on a control socket, or raise Fatal with the reason why that cannot be."""
    try:
        await server.start()
    except FileExistsError as error:
        raise Fatal(f"{error}: stop it first, or give this one another --socket and --state-dir") from error
    except OSError as error:
        raise Fatal(f"cannot listen on {path}: {error.strerror or error}") from error


def clear_main(requests: RequestSocket, mirror: Mirror, ours: Container[str]) -> None:
    """Remove the routes over our tunnels that a life with `table = "main"` left there."""
    stale = [
        route
        for route in dump_routes(requests, TABLE_MAIN)
        if route.protocol == PROTOCOL_BABEL and mirror.name(route.interface) in ours
    ]
    requests.request([remove_request(route) for route in stale])
