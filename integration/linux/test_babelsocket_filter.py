"""What is not of a neighbour never reaches Babel's socket, and takes none of its room."""

import socket
import time
from collections.abc import Callable
from typing import Any

from babelwg.lab.netns.node import connect
from babelwg.linux.babelsocket import PORT, BabelSocket
from babelwg.linux.netns import network_namespace

OURS = {"x": "fe80::1:0", "y": "fe80::1:1"}
SAYINGS = (
    ("x", "2001:db8::2", b"far"),
    ("y", "fe80::2:1", b"by y"),
    ("x", "fe80::2:0", b"by x"),
    ("y", "fe80::2:1", b"by y"),
)


def say(pid: int) -> None:
    """Send each saying to the group and to our address."""
    with network_namespace(pid):
        for name, source, text in SAYINGS:
            with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
                index = socket.if_nametoindex(name)
                sender.bind((source, PORT, 0, index))
                for destination in ("ff02::1:6", OURS[name]):
                    sender.sendto(text, (destination, PORT, 0, index))


def heard(found: BabelSocket, enough: int) -> list[tuple[str, bytes]]:
    """Return by which interfaces what came, as soon as there is enough of it."""
    got: list[tuple[str, bytes]] = []
    end = time.monotonic() + 10.0
    while len(got) < enough and time.monotonic() < end:
        got += [(d.interface, d.data) for d in found.receive(time.monotonic(), 100)]
        time.sleep(0.01)
    return got


def test_only_neighbours_on_interfaces_of_babel_are_heard(nodes: Any, needs: Callable[..., None]) -> None:
    needs("ip")
    a, b = nodes.add("a"), nodes.add("b")
    for name in OURS:
        connect(a, b, name, name)
    for node, number in ((a, 1), (b, 2)):
        node.ip(f"addr add fe80::{number}:0/64 dev x nodad", f"addr add fe80::{number}:1/64 dev y nodad")
        node.ip(f"addr add 2001:db8::{number}/64 dev x nodad")
    with network_namespace(a.pid):
        found, indices = BabelSocket(), {name: socket.if_nametoindex(name) for name in OURS}
    try:
        by_x, by_y = [("x", b"by x")] * 2, [("y", b"by y")] * 2
        found.join("x", indices["x"])
        say(b.pid)
        found.join("y", indices["y"])
        say(b.pid)
        assert heard(found, 8) == [*by_x, *by_y, *by_x, *by_y]
        found.leave("x")
        say(b.pid)
        assert heard(found, 4) == [*by_y, *by_y]
        assert not found.counters, "nothing came that had to be refused"
    finally:
        found.close()
