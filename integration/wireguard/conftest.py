"""Two hosts joined by an underlay, each with an end of our data plane or of wireguard-go, set up by stock `wg`."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from babelwg.lab.netns.node import connect

PORT = 5182
OUTER = {4: ("10.9.0.1", "10.9.0.2"), 6: ("fd00:9::1", "fd00:9::2")}
INNER = {4: ("10.7.0.1", "10.7.0.2"), 6: ("fd00:7::1", "fd00:7::2")}
ANY = "0.0.0.0/0,::/0"


def wait_until(condition, seconds=60.0, every=0.02):
    """Return the first true value of a condition; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, "the condition is not met in time"
        time.sleep(every)


def ask(path, text, timeout=60.0):
    """Return the answer of a socket that speaks key=value, up to its empty line."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(timeout)
        client.connect(str(path))
        client.sendall(text.encode())
        answer = b""
        while not answer.endswith(b"\n\n"):
            data = client.recv(65536)
            if not data:
                break
            answer += data
        return answer.decode()


class End:
    """One end of a tunnel: a node with the interface wg0."""

    def __init__(self, node, number, log):
        self.node = node
        self.number = number
        self.log = log
        self.key = subprocess.run(["wg", "genkey"], capture_output=True, text=True, check=True).stdout.strip()
        self.public = subprocess.run(
            ["wg", "pubkey"], input=self.key, capture_output=True, text=True, check=True
        ).stdout.strip()
        node.run("sh", "-c", "umask 077; cat > /run/key", stdin=self.key)
        self.process = None

    def path(self, name):
        """Return the path of a file of the node, as seen from here."""
        return Path(f"/proc/{self.node.pid}/root/run/{name}")

    def wg(self, *words):
        return self.node.run("wg", *words)

    def set(self, *words):
        self.wg("set", "wg0", *words)

    def show(self, what):
        """Return one column of `wg show wg0` for the one peer."""
        return self.wg("show", "wg0", what).split("\t")[-1].strip()

    def address(self, interface="wg0", number=None):
        number = self.number if number is None else number
        self.node.ip(
            f"link set dev {interface} addrgenmode none",
            f"address add {INNER[4][number]}/24 dev {interface}",
            f"address add {INNER[6][number]}/64 dev {interface}",
            f"link set dev {interface} up",
        )


class Embedded(End):
    """An end of our own data plane."""

    kind = "embedded"

    def start(self, timers=None):
        argv = [sys.executable, "-m", "babelwg.dataplane", "--control", "/run/control.sock", "--verbose"]
        argv += ["--timers", timers] if timers else []
        with self.log.open("ab") as log:
            self.process = self.node.popen(*argv, stdout=log, stderr=log)
        wait_until(lambda: self.path("control.sock").exists())
        assert self.control("create=wg0\nmtu=1420\n\n") == "errno=0\n\n"

    def control(self, text):
        return ask(self.path("control.sock"), text)

    def stats(self):
        """Return the refusals of all sections together."""
        pairs = [line.split("=") for line in self.control("stats=1\n\n").split("\n") if line]
        return {key: int(value) for key, value in pairs if key not in ("interface", "port", "errno")}


class Go(End):
    """An end of wireguard-go."""

    kind = "wireguard-go"

    def start(self, timers=None):
        with self.log.open("ab") as log:
            self.process = self.node.popen(
                "env",
                "WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD=1",
                "LOG_LEVEL=error",
                "wireguard-go",
                "-f",
                "wg0",
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: self.path("wireguard/wg0.sock").exists())


KINDS = {"embedded": Embedded, "wireguard-go": Go}


class Bench:
    """Makes pairs of ends and ends their programs."""

    def __init__(self, nodes, directory):
        self._nodes = nodes
        self._directory = directory
        self._ends = []

    def end(self, kind, name, number):
        end = KINDS[kind](self._nodes.add(name), number, self._directory / f"{name}.log")
        self._ends.append(end)
        return end

    def pair(self, kind_a, kind_b, outer=4, psk=None, timers=None):
        """Return two connected ends with addresses; only a knows where the other is."""
        a, b = self.end(kind_a, "a", 0), self.end(kind_b, "b", 1)
        connect(
            a.node,
            b.node,
            "under",
            "under",
            [f"{OUTER[4][0]}/24", f"{OUTER[6][0]}/64"],
            [f"{OUTER[4][1]}/24", f"{OUTER[6][1]}/64"],
        )
        for end in (a, b):
            end.start(timers)
            end.set("private-key", "/run/key", "listen-port", str(PORT))
        for end, other in ((b, a), (a, b)):
            end.set("peer", other.public, "allowed-ips", ANY)
            if psk:
                end.node.run("sh", "-c", "umask 077; cat > /run/psk", stdin=psk)
                end.set("peer", other.public, "preshared-key", "/run/psk")
        host = OUTER[outer][1]
        a.set("peer", b.public, "endpoint", f"[{host}]:{PORT}" if outer == 6 else f"{host}:{PORT}")
        for end in (b, a):
            end.address()
        return a, b

    def close(self):
        for end in self._ends:
            end.node.close()
            if end.process is not None:
                end.process.wait(60)


@pytest.fixture
def bench(nodes, needs, tmp_path):
    needs("wireguard-go", "wg", "ping", "iperf3", "ip", "nft")
    bench = Bench(nodes, tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def until():
    return wait_until


@pytest.fixture
def question():
    return ask


@pytest.fixture
def inner():
    return INNER


@pytest.fixture
def outer():
    return OUTER


class Flow:
    """iperf3 between two ends."""

    @staticmethod
    def run(server, client, address, *words):
        """Return the report of a client as data."""
        with server.node.popen(
            "iperf3", "-s", "-1", "-B", address, "--forceflush", stdout=subprocess.PIPE, text=True
        ) as listening:
            while "listening" not in listening.stdout.readline():
                assert listening.poll() is None
            report = client.node.run("iperf3", "-c", address, "-J", *words, timeout=120)
            listening.stdout.read()
        return json.loads(report)


@pytest.fixture
def iperf():
    return Flow.run
