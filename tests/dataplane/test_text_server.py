"""The Unix sockets of the data plane, driven by their real loop."""

import os
import socket
import stat
import threading
import time

import pytest

from babelwg.dataplane.later import Later
from babelwg.dataplane.loop import Loop
from babelwg.dataplane.textserver import (
    MAX_CONNECTIONS,
    MAX_NEWS,
    MAX_REQUEST,
    HangupError,
    SocketTakenError,
    Subscription,
    TextServer,
)


@pytest.fixture
def loop():
    loop = Loop()
    yield loop
    loop.close()


def echo(received):
    """Answer each line with itself; hang up after `bye`."""
    end = received.find(b"\n")
    if end < 0:
        return None
    line = received[:end].decode()
    del received[: end + 1]
    if line == "bye":
        raise HangupError("farewell\n")
    if line == "watch":
        return Subscription("watching\n")
    return f"{line}\n" * (100_000 if line == "flood" else 1)


@pytest.fixture
def server(loop, tmp_path):
    server = TextServer(loop, tmp_path / "socket", echo)
    yield server
    server.close()


@pytest.fixture
def client(loop, server):
    clients = []

    def connect():
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(server.path))
        client.setblocking(False)
        clients.append(client)
        return client

    yield connect
    for client in clients:
        client.close()


def converse(loop, client, turns=50):
    """Return all that arrives while the loop takes some turns; None at the end stands for a closed connection."""
    data = b""
    for _ in range(turns):
        loop.turn(0.0)
        try:
            part = client.recv(1 << 20)
        except BlockingIOError:
            continue
        except ConnectionResetError:
            return data, None
        if not part:
            return data, None
        data += part
    return data, "open"


def test_requests_are_answered_in_order(loop, client):
    one = client()
    one.sendall(b"a\nb\nc")
    assert converse(loop, one) == (b"a\nb\n", "open")
    one.sendall(b"d\n")
    assert converse(loop, one) == (b"cd\n", "open")


def test_hangup_gives_its_last_words(loop, client):
    one = client()
    one.sendall(b"a\nbye\nb\n")
    assert converse(loop, one) == (b"a\nfarewell\n", None)


def test_answer_larger_than_the_socket_takes_arrives_whole(loop, client):
    one = client()
    one.sendall(b"flood\nafter\n")
    data, state = converse(loop, one, turns=500)
    assert (len(data), data[-6:], state) == (600_000 + 6, b"after\n", "open")


def test_client_that_does_not_read_holds_nobody_up(loop, client):
    lazy, busy = client(), client()
    lazy.sendall(b"flood\n" * 50)
    for _ in range(20):
        loop.turn(0.0)
    busy.sendall(b"x\n")
    assert converse(loop, busy) == (b"x\n", "open")


def test_request_without_end_is_cut(loop, client):
    one = client()
    sent = 0
    block = bytes(65536)
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        for _ in range(10 * MAX_REQUEST // len(block)):
            try:
                sent += one.send(block)
            except BlockingIOError:
                loop.turn(0.0)
    assert sent <= MAX_REQUEST + 1_000_000


def test_connections_beyond_the_limit_are_closed(loop, client):
    kept = []
    for _ in range(MAX_CONNECTIONS):
        kept.append(client())
        loop.turn(0.0)
    extra = client()
    assert converse(loop, extra) == (b"", None)
    kept[0].close()
    loop.turn(0.0)
    again = client()
    again.sendall(b"x\n")
    assert converse(loop, again) == (b"x\n", "open")


def test_news_go_to_those_who_asked_for_them(loop, server, client):
    one, other, third = client(), client(), client()
    for each in (one, other):
        each.sendall(b"watch\n")
        assert converse(loop, each) == (b"watching\n", "open")
    third.sendall(b"x\n")
    assert converse(loop, third) == (b"x\n", "open")
    server.tell("news\n")
    server.tell("more\n")
    assert converse(loop, one) == (b"news\nmore\n", "open")
    assert converse(loop, third) == (b"", "open")
    # It can still ask, and who has gone is told nothing.
    other.close()
    one.sendall(b"y\n")
    assert converse(loop, one) == (b"y\n", "open")
    server.tell("late\n")
    assert converse(loop, one) == (b"late\n", "open")


def test_news_that_come_while_a_long_answer_leaves_do_not_break_it(loop, server, client):
    one = client()
    one.sendall(b"watch\nflood\n")
    for _ in range(5):
        loop.turn(0.0)
    server.tell("news\n")
    data, state = converse(loop, one, turns=500)
    assert state == "open"
    assert data == b"watching\n" + b"flood\n" * 100_000


def test_who_does_not_read_its_news_misses_some_and_costs_no_memory(loop, server, client):
    one = client()
    one.sendall(b"watch\n")
    for _ in range(5):
        loop.turn(0.0)
    for number in range(200_000):
        server.tell(f"{number:019}\n")
        if number % 100 == 0:
            loop.turn(0.0)
    (connection,) = server._connections
    assert len(connection._unsent) <= MAX_NEWS
    data, state = converse(loop, one, turns=1000)
    assert state == "open"
    lines = data.split(b"\n")[1:-1]
    assert {len(line) for line in lines} == {19} and len(lines) < 200_000
    server.tell("again\n")
    assert converse(loop, one) == (b"again\n", "open")


def test_client_that_vanishes_is_forgotten(loop, server, client):
    one = client()
    one.sendall(b"flood\n")
    loop.turn(0.0)
    one.close()
    for _ in range(10):
        loop.turn(0.0)
    assert not server._connections


def test_socket_is_for_its_user_alone_and_goes_with_the_server(loop, tmp_path):
    before = os.umask(0)
    os.umask(before)
    server = TextServer(loop, tmp_path / "x", echo)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o600
    server.close()
    assert not (tmp_path / "x").exists()
    assert os.umask(before) == before


def test_socket_of_a_dead_program_is_replaced(loop, tmp_path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "x"))
    TextServer(loop, tmp_path / "x", echo).close()


def test_socket_of_a_living_program_is_left_alone(loop, server):
    with pytest.raises(SocketTakenError, match="is served by a program that is running"):
        TextServer(loop, server.path, echo)
    assert server.path.exists()


def test_an_answer_that_takes_long_holds_up_nobody_else(loop, tmp_path):
    free = threading.Event()

    def answer(received):
        line = echo(received)
        return Later(loop, lambda: "at last\n" if free.wait(60.0) else "") if line == "long\n" else line

    server = TextServer(loop, tmp_path / "socket", answer)
    slow, quick = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    try:
        for client in (slow, quick):
            client.connect(str(server.path))
            client.setblocking(False)
        slow.sendall(b"long\nshort\n")
        quick.sendall(b"short\n")
        assert converse(loop, slow) == (b"", "open")
        assert quick.recv(100) == b"short\n"
        free.set()
        received, deadline = b"", time.monotonic() + 60
        while received != b"at last\nshort\n":
            assert time.monotonic() < deadline
            loop.turn(0.1)
            received += converse(loop, slow, turns=1)[0]
    finally:
        slow.close()
        quick.close()
        server.close()


def test_who_leaves_before_a_long_answer_is_there_is_not_missed(loop, tmp_path):
    free, made = threading.Event(), []

    def answer(received):
        if echo(received) is None:
            return None
        made.append(Later(loop, lambda: "at last\n" if free.wait(60.0) else ""))
        return made[0]

    server = TextServer(loop, tmp_path / "socket", answer)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(server.path))
        client.sendall(b"long\n")
        for _ in range(5):
            loop.turn(0.0)
    free.set()
    made[0].wait()
    deadline = time.monotonic() + 60
    while made[0].answer is None:
        assert time.monotonic() < deadline
        loop.turn(0.1)
    server.close()
