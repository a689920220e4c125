"""The demonstration in virtual time: the same mesh, cut and return, played by the same speakers."""

from collections.abc import Callable
from typing import Any

from babelwg.babel.parameters import InterfaceParameters
from babelwg.lab.simulator.network import SimNetwork
from babelwg.lab.topology import Topology

# Implementation constants
STEP = 0.01  # seconds between looks
LIMIT = 120.0  # seconds for each part
CALM = 5.0  # seconds before the cut and before the return


class SimulationError(Exception):
    """The simulated mesh did not do what it should within the limit."""


def simulate(topology: str, hello_interval: float, seed: int = 1) -> dict[str, Any]:
    """Return when alpha reached delta, how long the cut of their link was felt, and when it was used again.

    Times are virtual seconds. Raises SimulationError.
    """
    interface = InterfaceParameters(hello_interval=hello_interval, update_interval=4 * hello_interval)
    net = SimNetwork(Topology.parse(topology, "demo"), seed, interface)
    ready = _run_until(net, lambda: _next_hop(net) == "delta")
    net.run(CALM)
    net.cut("alpha", "delta")
    gap = _run_until(net, lambda: _next_hop(net) not in (None, "delta"))
    relay = _next_hop(net)
    net.run(CALM)
    net.restore("alpha", "delta")
    back = _run_until(net, lambda: _next_hop(net) == "delta")
    return {
        "hello_interval_s": hello_interval,
        "ready_s": round(ready, 3),
        "relay": relay,
        "gap_s": round(gap, 3),
        "return_s": round(back, 3),
    }


def _next_hop(net: SimNetwork) -> str | None:
    return net["alpha"].next_hop("delta")


def _run_until(net: SimNetwork, condition: Callable[[], bool]) -> float:
    start = net.now
    while not condition():
        if net.now - start > LIMIT:
            raise SimulationError(f"not within {LIMIT:g} s of virtual time")
        net.run(STEP)
    return net.now - start
