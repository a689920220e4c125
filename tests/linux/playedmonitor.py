"""A monitor without a kernel: a test says what the kernel tells by itself, and what it answers."""

import errno
import struct
from collections.abc import Callable
from typing import Any

import pytest

from babelwg.linux import monitor
from babelwg.linux.errors import KernelError
from babelwg.linux.mirror import IFADDR, IFF_RUNNING, IFF_UP, IFINFO, IFLA_IFNAME, IFLA_MTU
from babelwg.linux.monitor import Monitor
from babelwg.linux.netlink import (
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_NEWADDR,
    RTM_NEWLINK,
    Message,
    pack_attribute,
    pack_message,
)
from babelwg.linux.routes import FAMILIES

OVERRUN = OSError(errno.ENOBUFS, "No buffer space available")


def link(index: int, name: str, flags: int = IFF_UP | IFF_RUNNING) -> bytes:
    """Return how the kernel tells of an interface."""
    tail = pack_attribute(IFLA_IFNAME, name.encode() + b"\0") + pack_attribute(
        IFLA_MTU, struct.pack("=I", 1420)
    )
    return IFINFO.pack(0, 1, index, flags, 0) + tail


def address(index: int, packed: bytes) -> bytes:
    """Return how the kernel tells of a host's address on an interface."""
    family = FAMILIES[4 if len(packed) == 4 else 6]
    return IFADDR.pack(family, 8 * len(packed), 0, 0, index) + pack_attribute(1, packed)


class PlayedKernel:
    """Has links and addresses, tells what it is given to tell, and refuses to be read while it is `deaf`."""

    port = 7

    def __init__(self) -> None:
        self.links: list[bytes] = []
        self.addresses: list[bytes] = []
        self.is_deaf = False
        self.reads = 0  # of all links
        self.waiting: list[bytes | OSError] = []
        self.flood: bytes | OSError | None = None  # what comes without end
        self.is_open = True

    def tell(self, kind: int, payload: bytes) -> None:
        """Have something to tell."""
        self.waiting.append(pack_message(kind, 0, 0, payload))

    def dump(self, kind: int, payload: bytes) -> list[Message]:
        del payload
        self.reads += kind == RTM_GETLINK
        if self.is_deaf:
            raise KernelError("talk to", "rtnetlink", errno.ENOBUFS)
        told = {RTM_GETLINK: (RTM_NEWLINK, self.links), RTM_GETADDR: (RTM_NEWADDR, self.addresses)}
        number, payloads = told[kind]
        return [Message(number, 0, 0, octets) for octets in payloads]

    def dump_datagrams(self, kind: int, payload: bytes) -> list[bytes]:
        del kind, payload
        if self.is_deaf:
            raise KernelError("talk to", "rtnetlink", errno.ENOBUFS)
        return []

    def recv(self, size: int) -> bytes:
        del size
        what = self.waiting.pop(0) if self.waiting else self.flood
        if what is None:
            raise BlockingIOError
        if isinstance(what, OSError):
            raise what
        return what

    def fileno(self) -> int:
        return 9 if self.is_open else -1

    def close(self) -> None:
        self.is_open = False


class PlayedMonitor(Monitor):
    """A monitor of a played kernel, which remembers what it told and when it wants to go on."""

    def __init__(self, kernel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(monitor, "open_news", lambda port: kernel)
        monkeypatch.setattr(monitor, "DISCARDED_AT_ONCE", 50)
        self.told: list[set[str]] = []
        self.lost_links: list[int] = []
        self.lost_addresses: list[bytes] = []
        self.later: list[tuple[float, Callable[[], None]]] = []
        super().__init__(
            kernel,
            self.told.append,
            lambda route: None,
            self.lost_links.append,
            address_lost=lambda lost: self.lost_addresses.append(lost.address),
            later=lambda seconds, action: self.later.append((seconds, action)),
        )

    def go_on(self) -> float:
        """Let the time come that it waits for; return how many seconds off that was."""
        (seconds, action), self.later = self.later[0], []
        self._pace._free_at = 0.0
        action()
        return seconds
