"""What all routers of a mixed network have in common: ports, announced prefixes, processes, a kernel table."""

import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from babelwg.lab.netns.node import Node
from integration.bench.common import wait
from integration.interop.kernel import KernelRoute, learned_routes

# Implementation constants
READY = 20.0  # seconds until a daemon that was started answers
STOP = 15.0  # seconds until a daemon that was told to has ended
COST = 96  # of a wired link, in every daemon
UPLINK = "up0"


class Key(NamedTuple):
    """A MAC key; the algorithm in babeld's words, the value as text because BIRD takes it so."""

    name: str
    algorithm: str
    text: str

    @property
    def hexadecimal(self) -> str:
        """The value as babeld takes it."""
        return self.text.encode("ascii").hex()


@dataclass(slots=True)
class Port:
    """One interface that Babel runs on; `options` are further words in babeld's language."""

    interface: str
    cost: int = COST
    kind: str = "wired"
    keys: tuple[Key, ...] = ()
    options: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """What a test may say of a router.

    `source` is the source prefix of the default route that it announces, `uplink` the interface where that leads;
    `lines` are further ones in babeld's language; `config_file` is loaded unchanged instead of all that.
    """

    source: str | None = None
    uplink: str = UPLINK
    lines: tuple[str, ...] = ()
    config_file: Path | None = None


PLAIN = Options()


class Router(ABC):
    """A routing daemon in a node of the lab. It ends with the node, also when our process is killed."""

    kind: ClassVar[str]
    programs: ClassVar[tuple[str, ...]]

    def __init__(self, name: str, number: int, node: Node, home: Path, options: Options = PLAIN) -> None:
        self.name, self.number, self.node, self.home, self.options = name, number, node, home, options
        home.mkdir(parents=True, exist_ok=True)
        self.ports: dict[str, Port] = {}
        self.announced: list[str] = []
        self.running: list[subprocess.Popen[Any]] = []
        for address in self.addresses:
            self._set_address(address, present=True)
            self.announced.append(address)

    @property
    def addresses(self) -> tuple[str, str]:
        """The router's own host prefixes, IPv6 first."""
        return f"fd00:77::{self.number}/128", f"10.23.0.{self.number}/32"

    def start(self) -> None:
        """Start the daemon and return when it answers."""
        assert not self.running, f"{self.name} runs already"
        self._launch()

    def stop(self) -> None:
        """End the daemon in order: it retracts what it announced."""
        # The last one started depends on those before it.
        for process in reversed(self.running):
            process.terminate()
            process.wait(STOP)
        self.running.clear()

    def kill(self) -> None:
        """End the daemon at once; its routes stay in the kernel."""
        for process in self.running:
            process.kill()
            process.wait(STOP)
        self.running.clear()

    def restart(self) -> None:
        """Stop and start the daemon."""
        self.stop()
        self.start()

    def announce(self, prefix: str) -> None:
        """Announce a host prefix, which becomes an address of ours, or a default `::/0 from S`."""
        self.announced.append(prefix)
        self._offer(prefix, present=True)

    def withdraw(self, prefix: str) -> None:
        """Undo `announce`."""
        self.announced.remove(prefix)
        self._offer(prefix, present=False)

    def set_cost(self, peer: str, cost: int) -> None:
        """Change what receiving from a peer costs, and thereby the metric of the peer's way through us."""
        self.ports[peer].cost = cost
        self.reconfigure()

    def set_keys(self, peer: str, *keys: Key) -> None:
        """Change the keys on the interface to a peer."""
        self.ports[peer].keys = keys
        self.reconfigure()

    @abstractmethod
    def reconfigure(self) -> None:
        """Make the running daemon do what ports, keys and announced prefixes say now."""

    def routes(self, family: int) -> dict[str, KernelRoute]:
        """Return the learned routes of the kernel, by prefix."""
        return learned_routes(self.node, family)

    def reaches(self, *prefixes: str) -> bool:
        """Return whether the kernel has a learned route for each of some prefixes."""
        return all(self.way_to(prefix) is not None for prefix in prefixes)

    def lacks(self, *prefixes: str) -> bool:
        """Return whether the kernel has no learned route for any of some prefixes."""
        return all(self.way_to(prefix) is None for prefix in prefixes)

    def goes_by(self, peer: str, *prefixes: str) -> bool:
        """Return whether the kernel sends packets for each of some prefixes to a peer."""
        device = self.ports[peer].interface
        ways = [self.way_to(prefix) for prefix in prefixes]
        return all(way is not None and way.device == device for way in ways)

    def way_to(self, prefix: str) -> KernelRoute | None:
        """Return the kernel's learned route for a prefix, None for none that forwards."""
        return self.routes(6 if ":" in prefix else 4).get(prefix)

    def complain(self) -> None:
        """Raise AssertionError when a daemon that should run has ended."""
        for process in self.running:
            status = process.poll()
            assert status is None, f"{self.kind} of {self.name} ended, status {status}:\n{self.last_words()}"

    def last_words(self) -> str:
        """Return the end of the logs and the kernel's routes."""
        words = [f"--- {self.name} ({self.kind})"]
        for log in sorted(self.home.glob("*.log")):
            words += log.read_text(errors="replace").splitlines()[-15:]
        if not self.node.closed:
            words += [f"{p}: {w}" for family in (6, 4) for p, w in self.routes(family).items()]
        return "\n".join(words)

    @abstractmethod
    def _launch(self) -> None:
        """Start the processes and wait until they answer."""

    def _offer(self, prefix: str, present: bool) -> None:
        """Change what the daemon finds to announce: here, the kernel's addresses and routes."""
        if " from " in prefix:
            self._set_default(present)
        else:
            self._set_address(prefix, present)

    def _run(self, name: str, *argv: str) -> None:
        with (self.home / f"{name}.log").open("ab") as log:
            self.running.append(self.node.popen(*argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def _await_socket(self, path: Path) -> None:
        def is_there() -> bool:
            self.complain()
            return path.exists()

        wait(f"{self.kind} of {self.name} serves {path.name}", is_there, READY, poll=0.05)

    def _set_address(self, prefix: str, present: bool) -> None:
        self.node.ip(f"address {'add' if present else 'del'} {ip_network(prefix)} dev lo")

    def _set_default(self, present: bool) -> None:
        gateway = f"via 2001:db8:ff:{self.number}::2 dev {self.options.uplink} proto static"
        self.node.ip(f"route {'add' if present else 'del'} default {gateway}")
