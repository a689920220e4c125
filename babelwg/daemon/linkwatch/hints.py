"""What tunnels tell the link watch: ICMP errors that quote their packets, handshakes without an answer, first use."""

import asyncio
import logging
import socket
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from babelwg.daemon.linkwatch.service import LinkWatch
from babelwg.linux.errors import KernelError
from babelwg.linux.probes.unreachable import PathError, PathErrors

if TYPE_CHECKING:
    from babelwg.daemon.tunnels import TunnelService

log = logging.getLogger(__name__)

# Implementation constants
FLOOD_PAUSE = 0.1  # seconds in which no error is read after more came than one turn reads


class TunnelHints:
    """Tells the link watch which link a hint is about."""

    def __init__(self, tunnels: "TunnelService", watch: LinkWatch) -> None:
        """Listen from now on; what the kernel does not let us hear is logged, and other hints go on."""
        self._tunnels = tunnels
        self._watch = watch
        self._ignored: Counter[str] = Counter()
        self._loop = asyncio.get_running_loop()
        self._pauses: dict[PathErrors, asyncio.TimerHandle] = {}
        self._sockets = _open_sockets()
        for errors in self._sockets:
            self._listen(errors)
        tunnels.watch.was_set = self._aim
        tunnels.watch.suspect = tunnels.embedded.unanswered = partial(watch.suspect, kind="handshake")
        tunnels.embedded.used, watch.tells_use = watch.note_use, self._tells_use

    def close(self) -> None:
        """Listen no more."""
        for pause in self._pauses.values():
            pause.cancel()
        for errors in self._sockets:
            self._loop.remove_reader(errors.fileno())
            errors.close()
        self._sockets.clear()

    def counters(self) -> dict[str, int]:
        """Return how many errors said nothing about a tunnel, by reason."""
        ignored = sum((errors.counters for errors in self._sockets), self._ignored)
        return {f"hint_ignored.{reason}": count for reason, count in ignored.items()}

    def _tells_use(self, interface: str) -> bool:
        """Return whether the data plane of a tunnel tells by itself when packets of users come after a rest."""
        tunnel = self._tunnels.actual.get(interface)
        return tunnel is not None and tunnel.backend == "embedded" and self._tunnels.embedded.tells_use

    def _aim(self) -> None:
        """Have the kernel pass over errors about packets that left from other ports than those of our tunnels."""
        ports = {tunnel.listen_port for tunnel in self._tunnels.actual.values()} - {0}
        for errors in self._sockets if ports else ():
            try:
                errors.aim(min(ports), max(ports))
            except OSError as error:
                log.warning("icmp-errors-not-heard %s", error)

    def _listen(self, errors: PathErrors) -> None:
        self._pauses.pop(errors, None)
        self._loop.add_reader(errors.fileno(), self._receive, errors)

    def _receive(self, errors: PathErrors) -> None:
        interfaces = self._interfaces()
        for error in errors.receive():
            names = interfaces.get(error, ())
            self._ignored["no-tunnel"] += not names
            for name in names:
                self._watch.suspect(name, "icmp")
        if errors.is_flooded:
            # What a stranger sends without end fills the socket and not our time.
            self._loop.remove_reader(errors.fileno())
            self._pauses[errors] = self._loop.call_later(FLOOD_PAUSE, self._listen, errors)

    def _interfaces(self) -> dict[PathError, list[str]]:
        """Return the interfaces by what an error about their packets quotes."""
        found: dict[PathError, list[str]] = {}
        for name, tunnel in self._tunnels.actual.items():
            # Where it is configured to be, and where it called from since.
            for endpoint in {tunnel.endpoint, self._tunnels.watch.endpoint(name)} - {None}:
                assert endpoint is not None, "it was taken away"
                found.setdefault(PathError(tunnel.listen_port, *endpoint), []).append(name)
        return found


def _open_sockets() -> list[PathErrors]:
    opened: list[PathErrors] = []
    try:
        for family in (socket.AF_INET, socket.AF_INET6):
            opened.append(PathErrors(family))
    except KernelError as error:
        log.warning("icmp-errors-not-heard %s", error)
    return opened
