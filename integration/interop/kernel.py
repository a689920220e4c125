"""What the kernel of a node has been told, read with `ip`: the judge of every convergence here."""

import json
import subprocess
from ipaddress import ip_network
from pathlib import Path
from typing import NamedTuple

from babelwg.lab.netns.node import Node
from integration.bench.common import wait

# The protocols of routing daemons, by name and by number (/etc/iproute2/rt_protos); zebra writes for FRR's babeld.
LEARNED = frozenset({"babel", "42", "bird", "12", "zebra", "11"})
MARKER = "203.0.113.99"  # a route that comes and goes, to see whether changes are noted
DEAD_FLAGS = frozenset({"dead", "linkdown"})


class KernelRoute(NamedTuple):
    """Where the kernel sends packets for a prefix; the next hop may be of the other family."""

    device: str
    next_hop: str | None


def learned_routes(node: Node, family: int) -> dict[str, KernelRoute]:
    """Return the usable routes of main that a routing daemon wrote, by prefix: `D/n` or `D/n from S/m`."""
    answer = node.run("ip", "-j", f"-{family}", "route", "show", "table", "main")
    found: dict[str, KernelRoute | None] = {}
    for entry in json.loads(answer or "[]"):
        if str(entry.get("protocol")) in LEARNED:
            # The kernel takes the first of several routes for a prefix: those of lower priority are hidden.
            found.setdefault(_prefix_of(entry, family), _route_of(entry))
    return {prefix: route for prefix, route in found.items() if route is not None}


class RouteWatch:
    """Notes every change of a kernel's routes until it is closed."""

    def __init__(self, node: Node, path: Path) -> None:
        self._path = path
        with path.open("wb") as file:
            self._process = node.popen("ip", "-o", "monitor", "route", stdin=subprocess.DEVNULL, stdout=file)

        def listens() -> bool:
            node.ip(f"route replace {MARKER} dev lo", f"route del {MARKER} dev lo")
            return MARKER in path.read_text()

        wait(f"route changes of {node.name} are noted", listens, 10, poll=0.1)

    def losses(self, *prefixes: str) -> list[str]:
        """Return the lines that say that a host prefix went away or became unreachable."""
        addresses = {prefix.partition("/")[0] for prefix in prefixes}
        lines = [line.split() for line in self._path.read_text().splitlines()]
        return [" ".join(w) for w in lines if {"Deleted", "unreachable"} & set(w) and addresses & set(w)]

    def close(self) -> None:
        """End the watch."""
        self._process.kill()
        self._process.wait()


def _prefix_of(entry: dict[str, object], family: int) -> str:
    default = "::/0" if family == 6 else "0.0.0.0/0"
    destination = str(entry["dst"])
    prefix = str(ip_network(default if destination == "default" else destination))
    source = str(entry.get("from", default))
    return prefix if source in (default, "default") else f"{prefix} from {ip_network(source)}"


def _route_of(entry: dict[str, object]) -> KernelRoute | None:
    flags = entry.get("flags", [])
    assert isinstance(flags, list)
    # Only what forwards has no type, or unicast: an unreachable route is what a retraction leaves for a while.
    if entry.get("type", "unicast") != "unicast" or "dev" not in entry or DEAD_FLAGS.intersection(flags):
        return None
    via = entry.get("via")
    next_hop = entry.get("gateway") if via is None else via["host"]  # type: ignore[index]
    return KernelRoute(str(entry["dev"]), None if next_hop is None else str(next_hop))
