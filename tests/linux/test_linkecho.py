"""What counts as an answer of a neighbour, whatever it writes into its replies."""

import math
import socket
import struct
import time
from typing import Any

import pytest

from babelwg.linux.probes import linkecho
from babelwg.linux.probes.linkecho import ECHO, ECHO_REPLY, PKTINFO, STAMP, LinkEcho

OURS, THEIRS = (bytes.fromhex("fe80") + bytes(13) + bytes([n]) for n in (1, 2))


class Socket:
    """Stands for the raw socket: what is sent comes back as the test wants it."""

    def __init__(self, *kind: int) -> None:
        self.sent: list[bytes] = []
        self.waiting: list[tuple[bytes, bytes]] = []

    def setsockopt(self, *option: Any) -> None:
        pass

    def sendmsg(self, packets: list[bytes], *rest: Any) -> None:
        self.sent += packets

    def recvmsg(
        self, *sizes: int
    ) -> tuple[bytes, list[tuple[int, int, bytes]], int, tuple[str, int, int, int]]:
        if not self.waiting:
            raise BlockingIOError
        data, destination = self.waiting.pop(0)
        info = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, PKTINFO.pack(destination, 7))
        return data, [info], 0, ("fe80::2%bw-b", 0, 0, 7)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> tuple[LinkEcho, Socket]:
    wire = Socket()
    monkeypatch.setattr(linkecho.socket, "socket", lambda *kind: wire)
    echo = LinkEcho()
    assert echo.send(7, OURS, THEIRS)
    return echo, wire


def reply(request: bytes) -> bytes:
    return ECHO.pack(ECHO_REPLY, 0, 0, *struct.unpack_from(">HH", request, 4)) + request[ECHO.size :]


def test_an_answer_tells_who_gave_it_where_and_after_how_long(wire: tuple[LinkEcho, Socket]) -> None:
    echo, sock = wire
    sock.waiting.append((reply(sock.sent[0]), OURS))
    (answer,) = echo.receive()
    assert (answer.interface, answer.address) == (7, THEIRS)
    assert answer.rtt >= 0
    assert (echo.received, echo.sent) == ({7: 1}, {7: 1})


@pytest.mark.parametrize("stamp", [math.nan, math.inf, -math.inf, -1e300, 1e300, "later", "before"])
def test_a_time_that_a_neighbour_made_up_is_no_answer(wire: tuple[LinkEcho, Socket], stamp: Any) -> None:
    echo, sock = wire
    stamp = {"later": time.monotonic() + 3600, "before": time.monotonic() - 3600}.get(stamp, stamp)
    sock.waiting.append((reply(sock.sent[0])[: -STAMP.size] + STAMP.pack(stamp), OURS))
    assert [*echo.receive()] == []
    assert echo.counters["probe_dropped.wrong-time"] == 1


def test_a_reply_with_another_token_is_no_answer(wire: tuple[LinkEcho, Socket]) -> None:
    echo, sock = wire
    data = bytearray(reply(sock.sent[0]))
    data[ECHO.size] ^= 1
    sock.waiting.append((bytes(data), OURS))
    assert [*echo.receive()] == []


def test_what_a_user_sent_to_another_address_of_ours_is_not_our_own(wire: tuple[LinkEcho, Socket]) -> None:
    echo, sock = wire
    sock.waiting.append((reply(sock.sent[0]), socket.inet_pton(socket.AF_INET6, "2001:db8::1")))
    assert [*echo.receive()] == []
    assert echo.received == {}
