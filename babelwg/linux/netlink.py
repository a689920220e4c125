"""Octets of netlink (linux/netlink.h): messages, attributes and a socket that sends requests in bulk.

pyroute2 serves everything that happens a few times; this packer serves routes, which come by the thousand.
"""

import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from babelwg.linux.errors import KernelError

# Constants of linux/netlink.h and linux/rtnetlink.h
NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_NEWLINK, RTM_DELLINK = 16, 17
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWRULE, RTM_DELRULE, RTM_GETRULE = 32, 33, 34
RTM_GETLINK = 18
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x100, 0x200, 0x400
NLM_F_DUMP_INTR = 0x10
NLM_F_CAPPED, NLM_F_ACK_TLVS = 0x100, 0x200
NLMSGERR_ATTR_MSG = 1
SOL_NETLINK = 270
NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK = 10, 11, 12

# Implementation constants
BATCH = 200  # requests to one send: refusals of all of them fit any receive buffer
RECEIVE_BUFFER = 4 << 20  # octets
TIMEOUT = 5.0  # seconds; the kernel answers within the send call, so this only ends a broken wait

HEADER = struct.Struct("=IHHII")
ATTRIBUTE = struct.Struct("=HH")
KIND = 0x3FFF  # of an attribute's number; the rest are flags
MAX_LAYOUTS = 64  # lengths of tails whose layout is remembered


class Message(NamedTuple):
    """One netlink message: its type, flags, sequence number and payload."""

    type: int
    flags: int
    sequence: int
    payload: bytes


def pack_attribute(kind: int, value: bytes) -> bytes:
    """Return one attribute, padded to four octets."""
    return ATTRIBUTE.pack(len(value) + 4, kind) + value + bytes(-len(value) % 4)


def pack_message(kind: int, flags: int, sequence: int, payload: bytes) -> bytes:
    """Return one message; the kernel fills in our port number."""
    return HEADER.pack(len(payload) + 16, kind, flags, sequence, 0) + payload


def messages(data: bytes | memoryview) -> Iterator[Message]:
    """Yield the messages of one datagram from the kernel."""
    data = bytes(data)
    offset, end, latest = 0, len(data), b""
    while offset + 16 <= end:
        # In a dump thousands have the same head.
        if (head := data[offset : offset + 16]) != latest:
            length, *fields, _ = HEADER.unpack(head)
            if length < 16:
                return
            latest = head
        yield Message._make((*fields, data[offset + 16 : offset + length]))
        offset += (length + 3) & ~3


def stride(data: bytes) -> int:
    """Return the length of every message of a datagram in which all have one and the same head, else 0."""
    length = int.from_bytes(data[:4], sys.byteorder)
    if length < 16 or length % 4 or len(data) % length:
        return 0
    count = len(data) // length
    return length if all(data[at::length] == data[at : at + 1] * count for at in range(16)) else 0


def attributes(tail: bytes | memoryview) -> dict[int, bytes]:
    """Return the attributes of a message's tail by their number; flags in the number are dropped."""
    size = len(tail)
    if (layout := _layouts.get(size)) is not None:
        fields = layout.shape.unpack(tail)
        if fields[::3] == layout.lengths and fields[1::3] == layout.numbers:
            return dict(zip(layout.kinds, fields[2::3], strict=True))
    found = [*_walk(tail)]
    # Where the walk ended early, another message may go on.
    is_whole = sum((length + 3) & ~3 for length, _, _ in found) >= size
    if is_whole and (len(_layouts) < MAX_LAYOUTS or size in _layouts):
        _layouts[size] = _layout_of(found, size)
    return {kind & KIND: value for _, kind, value in found}


def number_of(found: dict[int, bytes], kind: int, default: int) -> int:
    """Return the value of an attribute that is a number in the machine's order, `default` where there is none."""
    return int.from_bytes(found[kind], sys.byteorder) if kind in found else default


def _walk(tail: bytes | memoryview) -> Iterator[tuple[int, int, bytes]]:
    """Yield the length, the number and the value of each attribute."""
    offset = 0
    while offset + 4 <= len(tail):
        length, kind = ATTRIBUTE.unpack_from(tail, offset)
        if length < 4:
            return
        yield length, kind, bytes(tail[offset + 4 : offset + length])
        offset += (length + 3) & ~3


class _Layout(NamedTuple):
    """How the attributes of a message lie; in a dump thousands of messages have the same one."""

    shape: struct.Struct
    lengths: tuple[int, ...]
    numbers: tuple[int, ...]
    kinds: tuple[int, ...]


_layouts: dict[int, _Layout] = {}


def _layout_of(found: list[tuple[int, int, bytes]], size: int) -> _Layout:
    used, shape = 0, "="
    for length, _, value in found:
        padding = min(-length % 4, size - used - 4 - len(value))
        shape += f"HH{len(value)}s{padding}x"
        used += 4 + len(value) + padding
    numbers = tuple(kind for _, kind, _ in found)
    return _Layout(
        struct.Struct(f"{shape}{size - used}x"),
        tuple(length for length, _, _ in found),
        numbers,
        tuple(number & KIND for number in numbers),
    )


class Refusal(NamedTuple):
    """The kernel's answer to one request of a batch: 0 when done, else an error number and its words."""

    errno: int
    detail: str = ""


DONE = Refusal(0)


class RequestSocket:
    """A blocking netlink socket for requests; every answer is there when the send returns."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        self._socket.settimeout(TIMEOUT)
        set_receive_buffer(self._socket, RECEIVE_BUFFER)
        for option in (NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK):
            self._socket.setsockopt(SOL_NETLINK, option, 1)
        self._socket.bind((0, 0))
        self.port: int = self._socket.getsockname()[0]  # by which the kernel's news tell who caused them
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def request(self, requests: Sequence[tuple[int, int, bytes]]) -> list[Refusal]:
        """Send (type, flags, payload) requests in batches and return the kernel's answer to each, in order.

        Raises KernelError when the socket itself fails.
        """
        answers: list[Refusal] = []
        for start in range(0, len(requests), BATCH):
            answers += self._request_batch(requests[start : start + BATCH])
        return answers

    def _request_batch(self, requests: Sequence[tuple[int, int, bytes]]) -> list[Refusal]:
        first = self._take_sequence(len(requests))
        # An error is always told, so that one acknowledgement, behind all, says that the others went well.
        packed = [
            HEADER.pack(len(payload) + 16, kind, flags | NLM_F_REQUEST, sequence, 0) + payload
            for sequence, (kind, flags, payload) in enumerate(requests[:-1], first)
        ]
        kind, flags, payload = requests[-1]
        packed.append(pack_message(kind, flags | NLM_F_REQUEST | NLM_F_ACK, self._sequence, payload))
        answers = [DONE] * len(requests)
        told = 0
        try:
            self._socket.send(b"".join(packed))
            while told != self._sequence:
                for message in messages(self._socket.recv(1 << 16)):
                    if message.type == NLMSG_ERROR and first <= message.sequence <= self._sequence:
                        told = message.sequence
                        answers[told - first] = read_error(message)
        except OSError as error:
            raise KernelError("talk to", "rtnetlink", error.errno or 0, str(error)) from error
        return answers

    def ask(self, kind: int, payload: bytes) -> Message | Refusal:
        """Return the one message that answers a request, or the refusal."""
        self._take_sequence()
        try:
            self._socket.send(pack_message(kind, NLM_F_REQUEST, self._sequence, payload))
            while True:
                for message in messages(self._socket.recv(1 << 16)):
                    if message.sequence == self._sequence:
                        return read_error(message) if message.type == NLMSG_ERROR else message
        except OSError as error:
            raise KernelError("talk to", "rtnetlink", error.errno or 0, str(error)) from error

    def dump(self, kind: int, payload: bytes) -> list[Message]:
        """Return all messages of a dump; started anew when the kernel says it changed under way."""
        return [
            m for data in self.dump_datagrams(kind, payload) for m in messages(data) if m.type != NLMSG_DONE
        ]

    def dump_datagrams(self, kind: int, payload: bytes) -> list[bytes]:
        """Return the datagrams of a dump, of which the last ends it, for who reads thousands of messages at once."""
        for _ in range(10):
            found, interrupted = self._dump_once(kind, payload)
            if not interrupted:
                break
        return found

    def _dump_once(self, kind: int, payload: bytes) -> tuple[list[bytes], bool]:
        self._take_sequence()
        found: list[bytes] = []
        interrupted = False
        try:
            self._socket.send(pack_message(kind, NLM_F_REQUEST | NLM_F_DUMP, self._sequence, payload))
            while True:
                data = self._socket.recv(1 << 18)
                if HEADER.unpack_from(data)[3] != self._sequence:
                    continue  # of a dump that somebody gave up
                found.append(data)
                for message in islice(messages(data), 1 if stride(data) else None):
                    interrupted = interrupted or bool(message.flags & NLM_F_DUMP_INTR)
                    if message.type == NLMSG_DONE:
                        return found, interrupted
                    if message.type == NLMSG_ERROR:
                        refusal = read_error(message)
                        raise KernelError("dump", f"message type {kind}", refusal.errno, refusal.detail)
        except OSError as error:
            raise KernelError("talk to", "rtnetlink", error.errno or 0, str(error)) from error

    def restart_numbering(self) -> None:
        """Number requests as a new socket does; none may be unanswered."""
        self._sequence = 0

    def _take_sequence(self, count: int = 1) -> int:
        """Return the first of so many new sequence numbers; they begin anew before they outgrow their 32 bits."""
        first = self._sequence + 1
        if first + count > 1 << 32:
            first = 1
        self._sequence = first + count - 1
        return first


def read_error(message: Message) -> Refusal:
    """Return what an NLMSG_ERROR says; errno 0 is an acknowledgement."""
    code = -struct.unpack_from("=i", message.payload)[0]
    if not code or not message.flags & NLM_F_ACK_TLVS:
        return Refusal(code)
    # With the request capped, the attributes follow the error number and the request's own header.
    offset = 20 if message.flags & NLM_F_CAPPED else 4 + struct.unpack_from("=I", message.payload, 4)[0]
    text = attributes(message.payload[offset:]).get(NLMSGERR_ATTR_MSG, b"")
    return Refusal(code, text.rstrip(b"\0").decode(errors="replace"))


def set_receive_buffer(sock: socket.socket, size: int) -> None:
    """Ask for a receive buffer of `size` octets, beyond the system's limit where we may."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, 33, size)  # SO_RCVBUFFORCE
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
