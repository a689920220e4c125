"""The probes of a gateway against real servers, through an uplink that is not the way main would go."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from babelwg.babel.wire.prefix import Prefix
from babelwg.config import Check, GatewayConfig
from babelwg.lab.netns.node import connect
from babelwg.linux.netns import network_namespace
from babelwg.linux.probes.probe import probe
from babelwg.linux.probes.uplink import ProbeFailed
from integration.bench.common import wait

MARK = 0x6277
# The world has all of these behind both of the node's interfaces, but only answers where the packets come by `up`.
WORLD4, WORLD6 = "203.0.113.9", "2001:db8:ffff::9"
SERVER = """
import http.server, socket, struct, threading
sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
sock.bind(("::ffff:203.0.113.9", 53))  # so that answers come from there
def dns():
    while True:
        data, sender = sock.recvfrom(512)
        code = 3 if b"missing" in data else 0
        answer = b"" if code else b"\\xc0\\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton("203.0.113.9")
        header = data[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, 0 if code else 1, 0, 0)
        sock.sendto(header + data[12:] + answer, sender)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(204 if self.path == "/generate_204" else 503)
        self.end_headers()
class Server(http.server.HTTPServer):
    address_family = socket.AF_INET6
threading.Thread(target=dns, daemon=True).start()
Server(("::", 8080), Handler).serve_forever()
"""
BAD = Prefix.parse("::/0")
GATEWAY = GatewayConfig(BAD, interface="up", timeout=30.0)
HURRIED = 0.3  # seconds, where nothing answers


@pytest.fixture
def node(nodes: Any, needs: Callable[..., None]) -> Any:
    """A node whose main leads into the void by `mesh`, while the world is behind `up`."""
    needs("python3")
    made, world = nodes.add("n"), nodes.add("world")
    connect(
        made,
        world,
        "up",
        "to-n",
        ["198.51.100.1/30", "2001:db8:e::1/64"],
        ["198.51.100.2/30", "2001:db8:e::2/64"],
    )
    connect(made, world, "mesh", "void", ["192.0.2.1/30", "2001:db8:d::1/64"])
    world.run("ip", "link", "set", "void", "down")
    made.ip("link set mesh up")
    world.ip(f"address add {WORLD4}/32 dev lo", f"address add {WORLD6}/128 dev lo")
    for family, gateway in ((4, "198.51.100.2"), (6, "2001:db8:e::2")):
        default = "0.0.0.0/0" if family == 4 else "::/0"
        made.ip(f"route add {default} via {gateway} dev up metric 500")
        # A default learned through the mesh, in the table that only unmarked packets are led to.
        made.run("ip", f"-{family}", "route", "add", "unreachable", default, "table", "6696")
        made.run(
            "ip", f"-{family}", "rule", "add", "not", "fwmark", str(MARK), "lookup", "6696", "pref", "6696"
        )
    server = world.popen("python3", "-c", SERVER)
    wait("the server listens", lambda: ":8080" in world.run("ss", "-ltn"))
    yield made
    server.kill()
    server.wait()


def ask(node: Any, check: Check, gateway: GatewayConfig = GATEWAY, mark: int = MARK) -> str | None:
    """Return why a probe fails, None where it holds."""
    answers: list[str | None] = []

    def run() -> None:
        with network_namespace(node.pid):
            try:
                asyncio.run(probe(check, gateway, mark))
                answers.append(None)
            except ProbeFailed as failed:
                answers.append(str(failed))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return answers[0]


GOOD = [
    Check("ping", WORLD4),
    Check("ping", WORLD6),
    Check("tcp", WORLD6, 8080),
    Check("http", WORLD4, 8080, "/generate_204", status=204),
    Check("dns", "example.net", server=bytes([203, 0, 113, 9])),
]


@pytest.mark.parametrize("check", GOOD, ids=str)
def test_a_probe_holds_over_its_uplink_alone(node: Any, check: Check) -> None:
    assert ask(node, check) is None
    # Without the mark it would follow what was learned through the mesh, and over another interface it gets no answer.
    assert ask(node, check, replace(GATEWAY, interface=None, timeout=HURRIED), mark=1) is not None
    assert ask(node, check, replace(GATEWAY, interface="mesh", timeout=HURRIED)) is not None
    assert ask(node, check, replace(GATEWAY, interface="gone")) == "the interface is not there"
    assert ask(node, check, replace(GATEWAY, interface=None)) is None


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        (Check("ping", "198.51.100.99"), "no answer in 0.3 s"),
        (Check("tcp", WORLD4, 9), "connection refused"),
        (Check("http", WORLD4, 8080, "/other"), "status 503"),
        (Check("http", WORLD4, 8080, "/other", status=204), "status 503 instead of 204"),
        (Check("http", WORLD4, 8080, tls=True), "TLS: "),
        (Check("dns", "missing.net", server=bytes([203, 0, 113, 9])), "the server says: no such name"),
        (Check("dns", "example.net", server=bytes([203, 0, 113, 10])), "no answer in 0.3 s"),
    ],
    ids=str,
)
def test_a_probe_that_fails_says_why(node: Any, check: Check, reason: str) -> None:
    said = ask(node, check, replace(GATEWAY, timeout=HURRIED) if reason.startswith("no answer") else GATEWAY)
    assert said is not None
    assert said.startswith(reason)
