"""One description of a network and what happens to it, judged by the same checks in kernels and in virtual time."""

from collections.abc import Callable
from pathlib import Path

import pytest

from babelwg.babel.parameters import InterfaceParameters
from babelwg.lab.checks import converged, loop_free
from babelwg.lab.netns.mesh import Mesh
from babelwg.lab.netns.picture import take_picture
from babelwg.lab.netns.pinger import Pinger
from babelwg.lab.simulator.network import SimNetwork
from babelwg.lab.topology import Topology

HELLO = 0.3  # seconds
SCENARIO = """
[[node]]
name = "a"
addresses = ["fd00:77::1/128", "10.23.0.1/32"]
[[node]]
name = "b"
addresses = ["fd00:77::2/128", "10.23.0.2/32"]
announce = ["fd00:b::/64"]
[[node]]
name = "c"
addresses = ["fd00:77::3/128", "10.23.0.3/32"]
[[node]]
name = "d"
addresses = ["fd00:77::4/128", "10.23.0.4/32"]
[[link]]
a = "a"
b = "b"
delay_ms = 2
[[link]]
a = "b"
b = "c"
delay_ms = 2
[[link]]
a = "c"
b = "d"
delay_ms = 2
[[link]]
a = "d"
b = "a"
delay_ms = 2
[[link]]
a = "a"
b = "c"
delay_ms = 2
[[step]]
at = 1.0
action = "cut"
link = "a-b"
[[step]]
at = 2.0
action = "impair"
link = "c-d"
loss = 0.05
[[step]]
at = 3.0
action = "crash"
node = "c"
[[step]]
at = 4.0
action = "restart"
node = "c"
[[step]]
at = 5.0
action = "withdraw"
node = "b"
prefix = "fd00:b::/64"
[[step]]
at = 6.0
action = "restart"
node = "d"
lost = true
[[step]]
at = 7.0
action = "announce"
node = "b"
prefix = "fd00:b::/64"
[[step]]
at = 8.0
action = "restore"
link = "a-b"
[[step]]
at = 9.0
action = "impair"
link = "c-d"
loss = 0.0
"""


def hops_exceeded(mesh: Mesh) -> int:
    """Return how many packets died of their hop limit in all kernels: what a loop would show."""
    total = 0
    for spec in mesh.topology.nodes:
        for line in mesh.nodes[spec.name].run("cat", "/proc/net/snmp6").splitlines():
            if line.split()[0] == "Icmp6OutTimeExcds":
                total += int(line.split()[1])
        rows = [row.split() for row in mesh.nodes[spec.name].run("cat", "/proc/net/snmp").splitlines()]
        names, values = [row for row in rows if row[0] == "Icmp:"]
        total += int(values[names.index("OutTimeExcds")])
    return total


def test_the_scenario_ends_converged_and_without_a_loop_in_kernels(
    tmp_path: Path, needs: Callable[..., None]
) -> None:
    needs("ping")
    topology = Topology.parse(SCENARIO, "scenario")
    settings = {"babel": f"hello-interval = {HELLO}\n"}
    with Mesh(topology, tmp_path, settings=settings) as mesh:
        mesh.start()
        mesh.wait("all is as it should be", lambda: converged(take_picture(mesh)) == [])
        pingers = [Pinger(mesh.nodes["a"], address, 0.02) for address in ("fd00:77::2", "10.23.0.4")]
        mesh.play()
        mesh.wait("all is as it should be again", lambda: converged(take_picture(mesh)) == [])
        for pinger in pingers:
            pinger.stop()
        assert all(pinger.received > 50 for pinger in pingers)
        assert hops_exceeded(mesh) == 0


@pytest.mark.parametrize("seed", range(5))
def test_the_scenario_ends_converged_and_without_a_loop_in_virtual_time(seed: int) -> None:
    interface = InterfaceParameters(hello_interval=HELLO, update_interval=4 * HELLO)
    net = SimNetwork(Topology.parse(SCENARIO, "scenario"), seed, interface)
    check = loop_free(net)
    net.run(40.0)
    check.finish(net)
    assert check.violations == []
    assert converged(net) == []
