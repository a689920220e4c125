"""A host of the lab: a network namespace and a mount namespace with its own /run, and links between hosts."""

import subprocess
from collections.abc import Sequence
from ipaddress import ip_interface
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_INDICES = count(1000)  # of the first ends of links, far from those that the kernel gives the second ones
COMMAND_TIMEOUT = 60.0  # seconds
START_TIMEOUT = 60.0  # seconds
CLOSE_TIMEOUT = 60.0  # seconds

# The holder is all that keeps the namespaces. It lives as long as the pipe on its standard input, which the
# kernel closes even when our process is killed; then it kills whatever runs in its network namespace, and the
# interfaces go with it. A fresh sysfs shows this namespace's interfaces; where a container forbids it, /sys
# stays the outer one.
_HOLDER = """
set -eu
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -p /run/wireguard
mount -t sysfs sysfs /sys 2>/dev/null || :
ip link set dev lo up
trap '' INT TERM HUP
echo ready
while read -r _; do :; done
here=$(readlink /proc/$$/ns/net | tr '[]' '??')
found=1
while [ "$found" = 1 ]; do
    found=0
    for net in $(find /proc/[0-9]*/ns/net -lname "$here" 2>/dev/null); do
        pid=${net#/proc/}
        pid=${pid%/ns/net}
        [ "$pid" = $$ ] || ! kill -9 "$pid" 2>/dev/null || found=1
    done
done
"""


# What `mute` puts before all that the kernel does with IPv4 and IPv6.
_DROP = """
table inet cut_IFACE {
    chain in { type filter hook input priority 0; iifname "IFACE" drop; }
    chain out { type filter hook output priority 0; oifname "IFACE" drop; }
    chain through { type filter hook forward priority 0; iifname "IFACE" drop; oifname "IFACE" drop; }
}
"""


class CommandError(Exception):
    """A program in a node ended with an error or too late; the text holds what it said."""


class Node:
    """A host of the lab; everything it holds is gone when it is closed or when our process dies."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._holder = subprocess.Popen(
            ["unshare", "-n", "-m", "--", "sh", "-c", _HOLDER, f"holder-{name}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C reaches us and not the holder, so we may still look around.
            text=True,
        )
        self.pid = self._holder.pid
        self._children: list[subprocess.Popen[Any]] = []
        self._wait_until_ready()

    def run(
        self,
        *argv: str,
        check: bool = True,
        timeout: float = COMMAND_TIMEOUT,
        stdin: str | None = None,
        cwd: Path | None = None,
    ) -> str:
        """Return the standard output of a program run in this node; `timeout` in seconds."""
        process = self.popen(
            *argv,
            cwd=cwd,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                out, err = process.communicate(stdin, timeout=timeout)
            except subprocess.TimeoutExpired as expired:
                process.kill()
                out, err = process.communicate()
                raise CommandError(
                    f"{self._say(argv)}: not done after {timeout:g} s: {out}{err}"
                ) from expired
        if check and process.returncode != 0:
            raise CommandError(f"{self._say(argv)}: status {process.returncode}: {out}{err}")
        return str(out)

    def popen(self, *argv: str, cwd: Path | None = None, **keywords: Any) -> subprocess.Popen[Any]:
        """Start a program in this node, in directory `cwd` (ours by default); it ends with the node."""
        assert not self.closed, f"node {self.name} is closed"
        child = subprocess.Popen([*self.entry(cwd), *argv], **keywords)
        self._children = [known for known in self._children if known.returncode is None] + [child]
        return child

    def entry(self, cwd: Path | None = None) -> list[str]:
        """Return the command words that put a program into this node."""
        # Entering a mount namespace resets the directory, so it is given again as a path inside the node.
        directory = cwd or Path.cwd()
        return ["nsenter", "-t", str(self.pid), "-n", "-m", f"--wdns={directory}", "--"]

    def ip(self, *commands: str) -> None:
        """Run several `ip` commands, given without the word `ip`, in one process."""
        self.run("ip", "-batch", "-", stdin="".join(f"{command}\n" for command in commands))

    def sysctl(self, name: str, value: str) -> None:
        """Set one kernel parameter, named with dots, in this node."""
        self.run("sh", "-c", 'printf %s "$2" > "$1"', "sysctl", f"/proc/sys/{name.replace('.', '/')}", value)

    def pids(self) -> list[int]:
        """Return the processes that run in this node besides its holder, in order."""
        return [pid for pid in _processes_in(_namespace_of(self.pid)) if pid != self.pid]

    @property
    def closed(self) -> bool:
        """Return whether the namespaces of this node are gone."""
        return self._holder.returncode is not None

    def close(self) -> None:
        """Kill all that runs in this node and give its namespaces back."""
        if self.closed:
            return
        for pipe in (self._holder.stdin, self._holder.stdout, self._holder.stderr):
            assert pipe is not None
            pipe.close()
        self._holder.wait(CLOSE_TIMEOUT)
        for child in self._children:  # killed with the node, also those that nobody waits for any more
            child.wait(CLOSE_TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait_until_ready(self) -> None:
        assert self._holder.stdout is not None
        assert self._holder.stderr is not None
        if self._holder.stdout.readline() == "ready\n":
            return
        self._holder.kill()
        _, said = self._holder.communicate(timeout=START_TIMEOUT)
        raise CommandError(f"cannot make node {self.name}: {' '.join(said.split())}")

    def _say(self, argv: Sequence[str]) -> str:
        return f"{self.name}: {' '.join(argv)}"


def connect(
    a: Node,
    b: Node,
    name_a: str,
    name_b: str,
    addresses_a: Sequence[str] = (),
    addresses_b: Sequence[str] = (),
    mtu: int = 1500,
) -> None:
    """Join two nodes by a veth pair; addresses carry their prefix length, `mtu` is in octets."""
    join(a, b, name_a, name_b, mtu)
    a.ip(*_bring_up(name_a, addresses_a))
    b.ip(*_bring_up(name_b, addresses_b))


def join(a: Node, b: Node, name_a: str, name_b: str, mtu: int = 1500) -> None:
    """Join two nodes by a veth pair that is down; `mtu` is in octets."""
    # Both ends are born in their nodes, so no name can collide outside. Where both had the same index, each in its
    # namespace, the kernel would take a second to tell of the carrier (net/core/link_watch.c).
    end = f"name {name_a} index {next(_INDICES)} mtu {mtu}"
    a.ip(f"link add {end} type veth peer name {name_b} mtu {mtu} netns {b.pid}")


def disconnect(node: Node, interface: str) -> None:
    """Remove a link of `connect` by the name of either end."""
    node.ip(f"link delete dev {interface}")


def mute(node: Node, interface: str) -> None:
    """Drop in silence all that a node sends, receives or forwards on an interface, which stays up."""
    node.run("nft", "-f", "-", stdin=_DROP.replace("IFACE", interface))


def unmute(node: Node, interface: str) -> None:
    """Undo `mute`."""
    node.run("nft", "delete", "table", "inet", f"cut_{interface}")


def _bring_up(interface: str, addresses: Sequence[str]) -> list[str]:
    commands = [f"link set dev {interface} up"]
    for address in addresses:
        # Duplicate detection would hold an IPv6 address back for a second.
        nodad = " nodad" if ip_interface(address).version == 6 else ""
        commands.append(f"address add {address} dev {interface}{nodad}")
    return commands


def _processes_in(namespace: Path) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if _namespace_of(int(entry.name)) == namespace:
                found.append(int(entry.name))
        except OSError:
            continue  # It ended meanwhile, or is not ours to look at.
    return sorted(found)


def _namespace_of(pid: int) -> Path:
    return Path(f"/proc/{pid}/ns/net").readlink()
