"""What ICMP errors quote of our datagrams, whatever they hold, and which of them the kernel lets through."""

import os
import socket
import struct
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from babelwg.linux.errors import KernelError
from babelwg.linux.probes import unreachable
from babelwg.linux.probes.unreachable import (
    FILTERS,
    MAX_AT_ONCE,
    PathError,
    PathErrors,
    Unheeded,
    read_error,
)
from babelwg.linux.socketfilter import attach_filter

V4, V6 = socket.AF_INET, socket.AF_INET6
HERE4, THERE4 = bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])
HERE6, THERE6 = (bytes.fromhex("20010db8") + bytes(11) + bytes([n]) for n in (1, 2))
UDP = struct.pack(">HHHH", 51820, 7777, 40, 0)
FOUND4, FOUND6 = PathError(51820, THERE4, 7777), PathError(51820, THERE6, 7777)


def ip4(payload: bytes, protocol: int = 17, options: bytes = b"", offset: int = 0) -> bytes:
    words = 5 + len(options) // 4
    head = struct.pack(">BBHHHBBH", 0x40 | words, 0, 4 * words + len(payload), 0, offset, 60, protocol, 0)
    return head + HERE4 + THERE4 + options + payload


def ip6(payload: bytes, kind: int = 17) -> bytes:
    return struct.pack(">IHBB", 6 << 28, len(payload), kind, 60) + HERE6 + THERE6 + payload


def icmp(kind: int, code: int, quoted: bytes) -> bytes:
    return bytes([kind, code]) + bytes(6) + quoted


def error4(quoted: bytes, kind: int = 3, code: int = 3, options: bytes = b"") -> bytes:
    return ip4(icmp(kind, code, quoted), 1, options)


def fragment(kind: int, offset: int) -> bytes:
    return struct.pack(">BBHI", kind, 0, offset << 3 | 1, 9)


@pytest.mark.parametrize(
    ("family", "data", "found"),
    [
        (V4, error4(ip4(UDP)), FOUND4),
        (V4, error4(ip4(UDP), code=13), FOUND4),
        (V4, error4(ip4(UDP), kind=11, code=0), FOUND4),
        (V4, error4(ip4(UDP, options=bytes(8)), options=bytes(12)), FOUND4),
        (V4, error4(ip4(UDP, offset=0x2000)), FOUND4),
        (V6, icmp(1, 4, ip6(UDP)), FOUND6),
        (V6, icmp(3, 0, ip6(UDP)), FOUND6),
        (V6, icmp(1, 0, ip6(fragment(17, 0) + UDP, 44)), FOUND6),
        (V6, icmp(1, 0, ip6(bytes([44, 1]) + bytes(14) + fragment(17, 0) + UDP, 60)), FOUND6),
    ],
)
def test_an_error_tells_what_did_not_arrive(
    family: socket.AddressFamily, data: bytes, found: PathError
) -> None:
    assert read_error(family, data) == found


@pytest.mark.parametrize(
    ("family", "data", "reason"),
    [
        (V4, error4(ip4(UDP), code=4), "other-code"),  # fragmentation is needed
        (V4, error4(ip4(UDP), code=16), "other-code"),
        (V4, error4(ip4(UDP), kind=11, code=1), "other-code"),
        (V4, error4(ip4(UDP), kind=5), "other-code"),
        (V6, icmp(2, 0, ip6(UDP)), "other-code"),  # too big
        (V6, icmp(1, 7, ip6(UDP)), "other-code"),
        (V6, icmp(3, 1, ip6(UDP)), "other-code"),
        (V4, error4(ip4(UDP, protocol=6)), "not-udp"),
        (V6, icmp(1, 4, ip6(UDP, 6)), "not-udp"),
        (V6, icmp(1, 4, ip6(fragment(58, 0) + UDP, 44)), "not-udp"),
        (V6, icmp(1, 4, ip6((bytes([60, 0]) + bytes(6)) * 8 + UDP, 60)), "not-udp"),  # headers without end
        (V4, error4(ip4(UDP, offset=1)), "fragment"),
        (V6, icmp(1, 4, ip6(fragment(17, 1) + UDP, 44)), "fragment"),
        (V4, error4(ip4(UDP[:3])), "malformed"),
        (V4, error4(ip4(UDP)[:19]), "malformed"),
        (V4, error4(b"\x44" + ip4(UDP)[1:]), "malformed"),  # a header of four words
        (V4, error4(b"\x4f" + ip4(UDP)[1:]), "malformed"),  # of more than there is
        (V4, error4(b"\x65" + ip4(UDP)[1:]), "malformed"),
        (V4, ip4(bytes(7), 1), "malformed"),
        (V4, b"", "malformed"),
        (V6, b"", "malformed"),
        (V6, icmp(1, 4, ip6(UDP)[:39]), "malformed"),
        (V6, icmp(1, 4, b"\x40" + ip6(UDP)[1:]), "malformed"),
        (V6, icmp(1, 4, ip6(bytes([17, 255]) + bytes(6) + UDP, 60)), "malformed"),
        (V6, icmp(1, 4, ip6(fragment(17, 0)[:7], 44)), "malformed"),
    ],
)
def test_what_says_nothing_of_a_path_is_counted_by_reason(
    family: socket.AddressFamily, data: bytes, reason: str
) -> None:
    with pytest.raises(Unheeded, match=f"^{reason}$"):
        read_error(family, data)


def mutilated(whole: bytes) -> st.SearchStrategy[bytes]:
    """Return a strategy for errors that were cut off and of which some octets are others."""
    changes = st.dictionaries(st.integers(0, len(whole) - 1), st.integers(0, 255), max_size=6)

    def change(changed: dict[int, int], length: int) -> bytes:
        return bytes(changed.get(at, octet) for at, octet in enumerate(whole))[:length]

    return st.builds(change, changes, st.integers(0, len(whole)))


@pytest.mark.parametrize("family", [V4, V6])
@given(data=st.data())
def test_any_octets_are_an_error_or_counted(family: socket.AddressFamily, data: st.DataObject) -> None:
    whole = error4(ip4(UDP)) if family == V4 else icmp(1, 0, ip6(fragment(17, 0) + UDP, 44))
    octets = data.draw(st.one_of(mutilated(whole), st.binary(max_size=200)))
    try:
        found = read_error(family, octets)
    except Unheeded as reason:
        assert str(reason) in {"malformed", "other-code", "not-udp", "fragment"}
    else:
        assert len(found.address) == (4 if family == V4 else 16)
        assert 0 <= found.port <= 65535 and 0 <= found.remote_port <= 65535


def accepted(program: Any, data: bytes) -> bool:
    """Return whether a program accepts what begins as it would on a raw socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with closing(ours), closing(theirs):
        attach_filter(ours, program)
        theirs.setblocking(False)
        ours.setblocking(False)
        try:
            theirs.send(data)
            return ours.recv(2048) == data
        except (BlockingIOError, PermissionError):
            return False


@pytest.mark.parametrize(
    ("family", "data", "passes"),
    [
        (V4, error4(ip4(UDP)), True),
        (V4, error4(ip4(UDP, options=bytes(8)), options=bytes(12)), True),
        (V4, error4(ip4(struct.pack(">H", 51822) + UDP)), True),
        (V4, error4(ip4(struct.pack(">H", 51819) + UDP)), False),
        (V4, error4(ip4(struct.pack(">H", 51823) + UDP)), False),
        (V4, error4(ip4(UDP, protocol=6)), False),
        (V4, error4(ip4(b"")), False),
        (V6, icmp(1, 4, ip6(UDP)), True),
        (V6, icmp(1, 4, ip6(struct.pack(">H", 51822) + UDP)), True),
        (V6, icmp(1, 4, ip6(struct.pack(">H", 51819) + UDP)), False),
        (V6, icmp(1, 4, ip6(struct.pack(">H", 51823) + UDP)), False),
        (V6, icmp(1, 4, ip6(UDP, 6)), False),
        (V6, icmp(1, 4, ip6(UDP, 0)), True),
        (V6, icmp(1, 4, ip6(UDP, 44)), True),
        (V6, icmp(1, 4, ip6(UDP, 60)), True),
        (V6, icmp(1, 4, b""), False),
    ],
)
def test_the_kernel_passes_over_what_strangers_are_told(
    family: socket.AddressFamily, data: bytes, passes: bool
) -> None:
    assert accepted(FILTERS[family](51820, 51822), data) == passes


class Socket:
    """Stands for the raw socket: gives what waits, and raises what waits."""

    def __init__(self, *kind: int) -> None:
        self.waiting: list[bytes | OSError] = []
        self.programs = 0

    def __enter__(self) -> "Socket":
        return self

    def __exit__(self, *error: object) -> None:
        raise AssertionError("it is kept open")

    def setsockopt(self, level: int, option: int, value: bytes) -> None:
        self.programs += option == 26

    def recv(self, size: int) -> bytes:
        if not self.waiting:
            raise BlockingIOError
        first = self.waiting.pop(0)
        if isinstance(first, OSError):
            raise first
        return first[:size]


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> tuple[PathErrors, Socket]:
    wire = Socket()
    monkeypatch.setattr(unreachable.socket, "socket", lambda *kind: wire)
    return PathErrors(V4), wire


def test_a_turn_reads_so_many_errors_at_most(wire: tuple[PathErrors, Socket]) -> None:
    errors, sock = wire
    sock.waiting += [error4(ip4(UDP))] * (MAX_AT_ONCE + 1)
    assert errors.receive() == [FOUND4] * MAX_AT_ONCE
    assert errors.is_flooded
    assert errors.receive() == [FOUND4]
    assert not errors.is_flooded


def test_what_cannot_be_read_is_counted_and_hides_nothing(wire: tuple[PathErrors, Socket]) -> None:
    errors, sock = wire
    sock.waiting += [b"x", OSError(105, "No buffer space"), error4(ip4(UDP, protocol=6)), error4(ip4(UDP))]
    assert errors.receive() == [FOUND4]
    assert errors.counters == {"malformed": 1, "ENOBUFS": 1, "not-udp": 1}


def test_a_socket_is_aimed_anew_only_for_other_ports(wire: tuple[PathErrors, Socket]) -> None:
    errors, sock = wire
    before = sock.programs
    for _ in range(3):
        errors.aim(51820, 51822)
    errors.aim(51820, 51823)
    assert sock.programs - before == 2


def test_without_the_right_to_listen_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*kind: int) -> None:
        raise PermissionError(1, os.strerror(1))

    monkeypatch.setattr(unreachable.socket, "socket", refuse)
    with pytest.raises(KernelError, match="raw socket for ICMP errors"):
        PathErrors(V6)
