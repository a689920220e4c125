"""A mesh of the lab in network namespaces: nodes, an underlay, and a real daemon in each node."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from babelwg.babel.wire.prefix import Prefix
from babelwg.config.keys import Key, generate_private, interface_name, public_of
from babelwg.lab.netns.node import Node, connect, mute, unmute
from babelwg.lab.netns.wire import Impairment, Wire
from babelwg.lab.topology import Link, Step, Topology

# Implementation constants
PORT = 51820
WAIT = 120.0  # seconds until a condition must hold, on a machine that is slow and busy
POLL = 0.02  # seconds between looks
ANSWER_TIMEOUT = 30.0  # seconds


class MeshError(Exception):
    """The mesh does not do what it should; the text says what was waited for and what the daemons said."""


@dataclass(frozen=True, slots=True)
class Underlay:
    """One link of the underlay: the names and addresses of its two ends."""

    link: Link
    interfaces: Mapping[str, str]
    addresses: Mapping[str, str]
    wire: Wire | None


class Mesh:
    """Nodes with daemons, from a topology; everything is gone when it is closed or when our process dies.

    `settings` gives further lines for the TOML sections of every node, such as {"babel": "hello-interval = 1"}.
    With `routed` each node has one interface `wan` with a default route to a common router, IPv4 and IPv6; else each
    link of the topology is a wire of its own.
    """

    def __init__(
        self,
        topology: Topology,
        directory: Path,
        backend: str = "embedded",
        settings: Mapping[str, str] | None = None,
        without_daemon: frozenset[str] = frozenset(),
        routed: bool = False,
    ) -> None:
        self.topology = topology
        self.directory = directory
        self.backend = backend
        self.settings = dict(settings or {})
        self.without_daemon = without_daemon
        self.nodes: dict[str, Node] = {}
        self.keys: dict[str, Key] = {spec.name: generate_private() for spec in topology.nodes}
        self.links: dict[frozenset[str], Underlay] = {}
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.down: set[frozenset[str]] = set()  # the links that are cut
        self.withdrawn: set[tuple[str, Prefix]] = set()
        self._stack = ExitStack()
        self._router = "router" if routed else None

    def __enter__(self) -> Self:
        try:
            for spec in self.topology.nodes:
                self.nodes[spec.name] = self._stack.enter_context(Node(spec.name))
            if self._router:
                self._connect_to_router(self._router)
            for number, link in enumerate(self.topology.links):
                if self._router:
                    self._route(number, link)
                else:
                    self._connect(number, link)
            for spec in self.topology.nodes:
                self.write_config(spec.name)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all daemons and give the namespaces back."""
        self._stack.close()
        for daemon in self.daemons.values():
            daemon.wait()

    def start(self) -> None:
        """Start every daemon and return when all of them answer."""
        for spec in self.topology.nodes:
            if spec.name not in self.without_daemon:
                self.start_daemon(spec.name)
        for name in self.daemons:
            self.wait(f"the daemon of {name} answers", lambda name=name: self._answers(name))  # type: ignore[misc]

    def start_daemon(self, name: str, *options: str) -> None:
        """Start one daemon; its log goes to a file beside its configuration."""
        home = self.home(name)
        with (home / "daemon.log").open("ab") as log:
            self.daemons[name] = self.nodes[name].popen(
                *self.command(),
                "daemon",
                "--config",
                str(home / "babelwg.toml"),
                "--state-dir",
                str(home / "state"),
                "--socket",
                str(home / "control.sock"),
                *options,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def stop_daemon(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        """End one daemon; with SIGTERM and SIGKILL its tunnels and routes stay."""
        daemon = self.daemons[name]
        daemon.send_signal(how)
        daemon.wait(WAIT)
        del self.daemons[name]

    def home(self, name: str) -> Path:
        """Return the directory of a node's configuration, state, socket and log."""
        path = self.directory / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    @staticmethod
    def command() -> list[str]:
        """Return the words that start `babelwg`."""
        return [sys.executable, "-m", "babelwg"]

    def write_config(self, name: str, peers: Mapping[str, str] | None = None) -> None:
        """Write a node's configuration; `peers` gives further lines for its [[peer]] tables, by peer."""
        home = self.home(name)
        key_file = home / "node.key"
        descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{self.keys[name]}\n")
        spec = self.topology.node(name)
        present = self.announced(name)
        sections = {
            "node": f'name = "{name}"\nprivate-key-file = "node.key"\n'
            f"addresses = {json.dumps([str(prefix) for prefix in spec.addresses if prefix in present])}\n"
            f"announce = {json.dumps([str(prefix) for prefix in spec.announce if prefix in present])}\n",
            "tunnels": f'backend = "{self.backend}"\nlisten-port = {PORT}\n',
            "babel": "",
        }
        text = "".join(f"[{key}]\n{body}{self.settings.get(key, '')}\n" for key, body in sections.items())
        for peer in self.peers_of(name):
            text += self._peer_table(name, peer) + (peers or {}).get(peer, "") + "\n"
        (home / "babelwg.toml").write_text(text)

    def peers_of(self, name: str) -> list[str]:
        """Return the peers of a node in the order of its configuration."""
        found = []
        for link in self.topology.links:
            if name in (link.a, link.b):
                found.append(link.b if link.a == name else link.a)
        return found

    def tunnel(self, name: str, peer: str) -> str:
        """Return the name of a node's interface to a peer."""
        return interface_name(peer, public_of(self.keys[peer]))

    def port(self, name: str, peer: str) -> int:
        """Return the UDP port on which a node waits for a peer."""
        # All tunnels of the embedded back end share one port; each of the others has the next.
        return PORT if self.backend == "embedded" else PORT + self.peers_of(name).index(peer)

    def cut(self, a: str, b: str) -> None:
        """Drop everything on a link in silence: no interface goes down."""
        underlay = self.links[frozenset((a, b))]
        self.down.add(frozenset((a, b)))
        if underlay.wire is not None:
            underlay.wire.set(loss=1.0)
            return
        for name in (a, b):
            mute(self.nodes[name], underlay.interfaces[name])

    def restore(self, a: str, b: str) -> None:
        """Undo `cut`."""
        underlay = self.links[frozenset((a, b))]
        self.down.discard(frozenset((a, b)))
        if underlay.wire is not None:
            underlay.wire.set(loss=underlay.link.loss)
            return
        for name in (a, b):
            unmute(self.nodes[name], underlay.interfaces[name])

    def perform(self, step: Step) -> None:
        """Do what one step of a topology says; a wire is needed to impair a link."""
        if step.link is not None:
            changes = {_WIRE_KEYS[key][0]: value * _WIRE_KEYS[key][1] for key, value in step.changes.items()}
            a, b = step.link
            if step.action == "impair":
                self.impair(a, b, **changes)
            else:
                {"cut": self.cut, "restore": self.restore}[step.action](a, b)
        elif step.node is not None and step.action == "crash":
            self.stop_daemon(step.node, signal.SIGKILL)
        elif step.node is not None and step.action == "restart":
            self._restart(step.node, step.lost)
        elif step.node is not None and step.prefix is not None:
            self._announce(step.node, step.prefix, step.action == "announce")

    def play(self) -> None:
        """Perform the steps of the topology, each at its time after now."""
        start = time.monotonic()
        for step in self.topology.steps:
            time.sleep(max(0.0, step.at - (time.monotonic() - start)))
            self.perform(step)

    def announced(self, name: str) -> set[Prefix]:
        """Return what a node announces of its own."""
        spec = self.topology.node(name)
        return {
            prefix for prefix in (*spec.addresses, *spec.announce) if (name, prefix) not in self.withdrawn
        }

    def impair(self, a: str, b: str, **values: float) -> None:
        """Change delay, jitter (seconds), loss or rate of a link that has a wire."""
        wire = self.links[frozenset((a, b))].wire
        assert wire is not None, f"the link {a}-{b} has no wire to impair"
        wire.set(**values)

    def ask(self, name: str, method: str, **params: Any) -> Any:
        """Return the data of one question to a daemon."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_TIMEOUT)
            connection.connect(str(self.home(name) / "control.sock"))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as answer:
                reply = json.loads(answer.readline())
        if "error" in reply:
            raise MeshError(f"{name} {method}: {reply['error']['message']}")
        return reply["result"]["data"]

    def answers(self, name: str) -> bool:
        """Return whether a daemon serves its socket: it routes a moment before."""
        try:
            self.ask(name, "status")
        except (OSError, ValueError):
            return False
        return True

    def wait(self, what: str, condition: Callable[[], Any], deadline: float = WAIT) -> float:
        """Wait until a condition holds; return the seconds it took. Raises MeshError with the daemons' last words."""
        start = time.monotonic()
        while not condition():
            if time.monotonic() - start > deadline:
                raise MeshError(f"after {deadline:g} s not yet: {what}\n{self.last_words()}")
            time.sleep(POLL)
        return time.monotonic() - start

    def kernel_device(self, name: str, address: str) -> str | None:
        """Return the interface that a node's kernel takes for an address, None for unreachable."""
        words = self.nodes[name].run("ip", "route", "get", address, check=False).split()
        if not words or words[0] in ("unreachable", "RTNETLINK") or "dev" not in words:
            return None
        return words[words.index("dev") + 1]

    def converged(self) -> bool:
        """Return whether every node's kernel has a way to every node's addresses."""
        return all(
            self.kernel_device(name, str(address).partition("/")[0]) is not None
            for name in self.daemons
            for spec in self.topology.nodes
            if spec.name != name
            for address in spec.addresses
        )

    def last_words(self) -> str:
        """Return the end of every daemon's log."""
        words = []
        for name in self.daemons:
            lines = (self.home(name) / "daemon.log").read_text(errors="replace").splitlines()[-12:]
            words += [f"--- {name}", *lines]
        return "\n".join(words)

    def _restart(self, name: str, lost: bool) -> None:
        if name in self.daemons:
            self.stop_daemon(name, signal.SIGKILL)
        if lost:
            shutil.rmtree(self.home(name) / "state")
        self.start_daemon(name)

    def _announce(self, name: str, prefix: Prefix, present: bool) -> None:
        self.withdrawn = self.withdrawn - {(name, prefix)} if present else self.withdrawn | {(name, prefix)}
        self.write_config(name)
        self.ask(name, "reload")

    def _answers(self, name: str) -> bool:
        daemon = self.daemons[name]
        if daemon.poll() is not None:
            raise MeshError(
                f"the daemon of {name} ended with status {daemon.returncode}\n{self.last_words()}"
            )
        try:
            self.ask(name, "status")
        except (OSError, ValueError):
            return False
        return True

    def _connect(self, number: int, link: Link) -> None:
        names = {link.a: f"to-{link.b}"[:15], link.b: f"to-{link.a}"[:15]}
        addresses = {link.a: f"192.0.2.{4 * number + 1}", link.b: f"192.0.2.{4 * number + 2}"}
        ends = (names[link.a], names[link.b], [f"{addresses[link.a]}/30"], [f"{addresses[link.b]}/30"])
        a, b = self.nodes[link.a], self.nodes[link.b]
        impairment = Impairment(
            delay=link.delay_ms / 1e3, jitter=link.jitter_ms / 1e3, loss=link.loss, rate=link.rate_mbit * 1e6
        )
        wire = None
        if impairment == Impairment():
            connect(a, b, *ends)
        else:
            wire = Wire(a, b, *ends, impairment=impairment, seed=number)
            self._stack.callback(wire.close)
        self.links[frozenset((link.a, link.b))] = Underlay(link, names, addresses, wire)

    def _connect_to_router(self, name: str) -> None:
        router = self.nodes[name] = self._stack.enter_context(Node(name))
        router.sysctl("net.ipv4.ip_forward", "1")
        router.sysctl("net.ipv6.conf.all.forwarding", "1")
        for number, spec in enumerate(self.topology.nodes):
            ours, theirs = (
                wan_addresses(number),
                [f"198.51.100.{4 * number + 2}/30", f"2001:db8:f:{number}::2/64"],
            )
            connect(self.nodes[spec.name], router, "wan", f"to-{spec.name}"[:15], ours, theirs)
            for gateway in theirs:
                address = gateway.partition("/")[0]
                self.nodes[spec.name].run("ip", "route", "add", "default", "via", address, "dev", "wan")

    def _route(self, number: int, link: Link) -> None:
        # Every other tunnel runs over IPv6.
        names = [spec.name for spec in self.topology.nodes]
        addresses = {
            name: wan_addresses(names.index(name))[number % 2].partition("/")[0] for name in (link.a, link.b)
        }
        self.links[frozenset((link.a, link.b))] = Underlay(
            link, {link.a: "wan", link.b: "wan"}, addresses, None
        )

    def _peer_table(self, name: str, peer: str) -> str:
        underlay = self.links[frozenset((name, peer))]
        address = underlay.addresses[peer]
        endpoint = (
            f"[{address}]:{self.port(peer, name)}" if ":" in address else f"{address}:{self.port(peer, name)}"
        )
        return f'[[peer]]\nname = "{peer}"\npublic-key = "{public_of(self.keys[peer])}"\nendpoint = "{endpoint}"\n'


def wan_addresses(number: int) -> list[str]:
    """Return the IPv4 and the IPv6 address of a node's `wan`, by the node's place in the topology."""
    return [f"198.51.100.{4 * number + 1}/30", f"2001:db8:f:{number}::1/64"]


# What a topology calls the values of a link, what a wire calls them, and the factor between.
_WIRE_KEYS = {
    "delay_ms": ("delay", 1e-3),
    "jitter_ms": ("jitter", 1e-3),
    "loss": ("loss", 1.0),
    "rate_mbit": ("rate", 1e6),
}
