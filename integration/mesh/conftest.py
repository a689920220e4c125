"""Topologies and flows for the tests of whole meshes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from babelwg.lab.netns.flow import UdpFlow
from babelwg.lab.netns.mesh import Mesh
from babelwg.lab.netns.pinger import Pinger
from babelwg.lab.topology import Topology

PROBE = 0.01  # seconds between probes


def topology(names: str, links: str) -> Topology:
    """Return a topology of nodes fd00:77::N and 10.23.0.N, N from 1, and of links such as `a-b b-c`."""
    text = ""
    for number, name in enumerate(names.split(), 1):
        text += f'[[node]]\nname = "{name}"\naddresses = ["fd00:77::{number}/128", "10.23.0.{number}/32"]\n'
    for link in links.split():
        a, b = link.split("-")
        text += f'[[link]]\na = "{a}"\nb = "{b}"\n'
    return Topology.parse(text, "test")


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Callable[..., Mesh]]:
    """Make meshes that are closed after the test: mesh("a b c", "a-b b-c", hello=0.5, backend="embedded")."""
    with ExitStack() as stack:

        def make(names: str, links: str, hello: float = 0.5, start: bool = True, **options: Any) -> Mesh:
            settings = options.pop("settings", {})
            settings["babel"] = f"hello-interval = {hello}\n" + settings.get("babel", "")
            made = stack.enter_context(Mesh(topology(names, links), tmp_path, settings=settings, **options))
            if start:
                made.start()
            return made

        yield make


class Probes:
    """Pings and one-way UDP, IPv4 and IPv6, from one node to the addresses of another, every 10 ms."""

    def __init__(self, mesh: Mesh, source: str, destination: str) -> None:
        addresses = [str(a).partition("/")[0] for a in mesh.topology.node(destination).addresses]
        a, b = mesh.nodes[source], mesh.nodes[destination]
        self.flows: dict[str, Pinger | UdpFlow] = {f"ping {x}": Pinger(a, x, PROBE) for x in addresses}
        self.flows |= {f"udp {x}": UdpFlow(a, b, x, PROBE) for x in addresses}

    def lost(self) -> dict[str, int]:
        """Return what each flow lost so far."""
        return {name: flow.lost for name, flow in self.flows.items()}

    def heard_since(self, moment: float) -> bool:
        """Return whether every flow has got through after a moment."""
        return all(flow.last_heard > moment for flow in self.flows.values())

    def longest_gaps(self, since: float) -> dict[str, float]:
        """Return each flow's longest silence after a moment, in seconds."""
        return {name: flow.longest_gap(since) for name, flow in self.flows.items()}

    def stop(self) -> None:
        for flow in self.flows.values():
            flow.stop()


@pytest.fixture
def probes() -> Iterator[Callable[[Mesh, str, str], Probes]]:
    """Start probes that are stopped after the test."""
    started: list[Probes] = []

    def start(mesh: Mesh, source: str, destination: str) -> Probes:
        probes = Probes(mesh, source, destination)
        started.append(probes)
        mesh.wait("probes get through", lambda: probes.heard_since(0.0))
        return probes

    yield start
    for probes in started:
        probes.stop()
