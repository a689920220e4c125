"""The UDP socket of Babel (RFC 8966, section 4): one for all interfaces, with the interface of each datagram."""

import errno
import socket
import struct
import time
from collections.abc import Iterable
from pathlib import Path

from babelwg.babel.datagram import Datagram
from babelwg.linux.errors import KernelError
from babelwg.linux.netlink import set_receive_buffer
from babelwg.linux.socketfilter import SOURCE, attach_filter, by_interfaces, link_local

# Specification constants (RFC 8966, section 5)
PORT = 6696
GROUP = socket.inet_pton(socket.AF_INET6, "ff02::1:6")
# Implementation constants
RECEIVE_BUFFER = 8 << 20  # octets: a neighbour's full dump of a large table fits
TRAFFIC_CLASS = 0xC0  # CS6, as babeld sends it
PKTINFO = struct.Struct("=16sI")
# Linux constants that Python does not name (asm-generic/socket.h)
SO_TIMESTAMPNS = 35
TIMESPEC = struct.Struct("@ll")  # seconds and nanoseconds
MEMBERSHIPS = Path("/proc/net/igmp6")
ANCILLARY = 128  # octets: the interface and the time of a datagram
MAX_ADDRESSES = 4096  # of which both forms are remembered
OLDEST_STAMP = 15.0  # seconds, as behind a full table; an older one shows that a clock was set


class BabelSocket:
    """Sends and receives the datagrams of the interfaces that were joined; never blocks."""

    def __init__(self, port: int = PORT, group: bytes = GROUP) -> None:
        """Bind. Raises KernelError(EADDRINUSE) when another routing daemon holds the port."""
        self._names: dict[int, str] = {}
        self._indices: dict[str, int] = {}
        self._texts: dict[bytes, str] = {}
        self._sources: dict[str, bytes] = {}
        self._group = group
        self._port = port
        self.counters: dict[str, int] = {}
        self.received: dict[str, int] = {}  # datagrams on each interface
        self.sent: dict[str, int] = {}
        try:
            self._socket = socket.socket(
                socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            )
        except OSError as error:
            raise KernelError("use", "IPv6, which Babel runs over", error.errno or 0) from error
        options = (
            (socket.IPV6_V6ONLY, 1),
            (socket.IPV6_RECVPKTINFO, 1),
            (socket.IPV6_MULTICAST_LOOP, 0),
            (socket.IPV6_MULTICAST_HOPS, 1),
            (socket.IPV6_UNICAST_HOPS, 1),
            (socket.IPV6_TCLASS, TRAFFIC_CLASS),
        )
        for option, value in options:
            self._socket.setsockopt(socket.IPPROTO_IPV6, option, value)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        except OSError:
            self._count("kernel_timestamps_refused")  # the moment of reading has to do
        set_receive_buffer(self._socket, RECEIVE_BUFFER)
        try:
            # Without SO_REUSEADDR: two daemons on one port would share its unicast unpredictably.
            self._socket.bind(("::", port))
        except OSError as error:
            self._socket.close()
            raise KernelError("bind to", f"UDP port {port}", error.errno or 0) from error

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def join(self, name: str, index: int) -> None:
        """Take part in an interface. Raises KernelError."""
        if self._indices.get(name) == index:
            return
        self.leave(name)
        try:
            self._ask_for_group(socket.IPV6_JOIN_GROUP, index)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:  # joined already
                raise KernelError("join the Babel group on", name, error.errno or 0) from error
        self._names[index] = name
        self._indices[name] = index
        self._listen()

    def leave(self, name: str) -> None:
        """Leave an interface; nothing when it was not joined or is gone."""
        index = self._indices.pop(name, None)
        if index is None:
            return
        del self._names[index]
        self._listen()
        try:
            self._ask_for_group(socket.IPV6_LEAVE_GROUP, index)
        except OSError:
            self._count("leave_failed")  # the interface took the membership with it

    def mend(self) -> None:
        """Join again where the kernel forgot that we take part, as when an interface had no IPv6 for a moment."""
        try:
            lines = MEMBERSHIPS.read_text().splitlines()
        except OSError:
            return
        members = {int(index) for index, _, group, *_ in map(str.split, lines) if group == self._group.hex()}
        for index in self._names.keys() - members:
            for what in (socket.IPV6_LEAVE_GROUP, socket.IPV6_JOIN_GROUP):
                try:
                    self._ask_for_group(what, index)
                except OSError as error:
                    # The socket may have forgotten it too; and where there is no IPv6 yet, the next time will do.
                    self._count(f"join_failed.{errno.errorcode.get(error.errno or 0, 'unknown')}")

    def _ask_for_group(self, what: int, index: int) -> None:
        self._socket.setsockopt(socket.IPPROTO_IPV6, what, self._group + struct.pack("=I", index))

    def _listen(self) -> None:
        """Have the kernel keep away what is not of a neighbour, before it takes the room of what is."""
        attach_filter(self._socket, [*link_local(SOURCE), *by_interfaces(self._names)])

    def receive(self, now: float, limit: int) -> Iterable[Datagram]:
        """Yield at most `limit` datagrams that wait; those of interfaces not joined are counted and dropped."""
        offset = time.monotonic() - time.time()
        for _ in range(limit):
            try:
                data, ancillary, _flags, address = self._socket.recvmsg(65536, ANCILLARY)
            except BlockingIOError:
                return
            except OSError as error:
                # An ICMP error to something we sent; the neighbour's timers judge the link.
                self._count(f"receive_failed.{errno.errorcode.get(error.errno or 0, 'unknown')}")
                continue
            destination, index, stamp = _packet_info(ancillary)
            name = self._names.get(index)
            if name is None:
                self._count("packet_dropped.interface-not-enabled")
                continue
            self.received[name] = self.received.get(name, 0) + 1
            received = _arrival(stamp, now, offset)
            yield Datagram(
                data, (self._packed(address[0]), address[1]), (destination, self._port), name, received
            )

    def _packed(self, text: str) -> bytes:
        """Return the address that is written as `fe80::1%tun`."""
        source = self._sources.get(text)
        if source is None:
            if len(self._sources) > MAX_ADDRESSES:
                self._sources.clear()
            source = socket.inet_pton(socket.AF_INET6, text.partition("%")[0])
            self._sources[text] = source
        return source

    def send(self, datagram: Datagram) -> None:
        """Send one datagram from the address it names; what the kernel refuses is counted, as a lost packet is."""
        index = self._indices.get(datagram.interface)
        if index is None:
            self._count("send_failed.interface-gone")
            return
        address, port = datagram.destination
        text = self._texts.get(address)
        if text is None:
            if len(self._texts) > MAX_ADDRESSES:
                self._texts.clear()
            text = self._texts[address] = socket.inet_ntop(socket.AF_INET6, address)
        info = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, PKTINFO.pack(datagram.source[0], index))
        try:
            self._socket.sendmsg([datagram.data], [info], 0, (text, port, 0, index))
            self.sent[datagram.interface] = self.sent.get(datagram.interface, 0) + 1
        except OSError as error:
            self._count(f"send_failed.{errno.errorcode.get(error.errno or 0, 'unknown')}")

    def _count(self, reason: str) -> None:
        self.counters[reason] = self.counters.get(reason, 0) + 1


def _packet_info(ancillary: list[tuple[int, int, bytes]]) -> tuple[bytes, int, float | None]:
    """Return where a datagram was sent to, on which interface it came, and when by the clock of the day."""
    address, index, stamp = bytes(16), 0, None
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            address, index = PKTINFO.unpack(data[: PKTINFO.size])
        elif level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS and len(data) >= TIMESPEC.size:
            seconds, nanoseconds = TIMESPEC.unpack(data[: TIMESPEC.size])
            stamp = seconds + nanoseconds * 1e-9
    return address, index, stamp


def _arrival(stamp: float | None, now: float, offset: float) -> float:
    """Return the kernel's stamp on the monotonic clock; `now` for one that the clock of the day has overtaken.

    The monotonic clock is ahead of the clock of the day by `offset` seconds.
    """
    if stamp is None:
        return now
    arrival = stamp + offset
    return arrival if now - OLDEST_STAMP <= arrival <= time.monotonic() else now


def holder_of_port(port: int, proc: Path = Path("/proc")) -> str | None:
    """Return `name (pid N)` of the program that holds an IPv6 UDP port, None where that cannot be seen."""
    inodes = set()
    for table in ("net/udp6", "net/udp"):
        try:
            lines = (proc / table).read_text().splitlines()[1:]
        except OSError:
            continue
        fields = (line.split() for line in lines)
        inodes |= {f"socket:[{f[9]}]" for f in fields if int(f[1].rpartition(":")[2], 16) == port}
    for process in proc.glob("[0-9]*"):
        try:
            if any(str(fd.readlink()) in inodes for fd in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue  # ended meanwhile, or somebody else's
    return None
