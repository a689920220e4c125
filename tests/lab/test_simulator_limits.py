"""The bounds on what a neighbour may have done never make a loop, even when they are far too tight."""

from functools import partial

import pytest

from babelwg.babel.parameters import InterfaceParameters, Parameters
from babelwg.lab.checks import converged, loop_free
from babelwg.lab.scenario import random_mesh, storm
from babelwg.lab.simulator import node
from babelwg.lab.simulator.network import SimNetwork

TIGHT = partial(
    Parameters,
    route_work=4,
    route_work_burst=25,
    link_work=3,
    link_work_burst=12,
    source_work=1,
    source_work_burst=12,
    max_pending_requests_per_neighbour=2,
    max_pending_acknowledgments_per_interface=2,
)


@pytest.mark.parametrize("seed", range(8))
def test_no_loop_when_much_of_what_neighbours_say_is_dropped(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "Parameters", TIGHT)
    costs_alone = InterfaceParameters(max_rtt_penalty=0)
    net = SimNetwork(storm(random_mesh(seed, 10), seed, 15.0, 60.0), seed, costs_alone)
    check = loop_free(net)
    net.run(seconds=360.0)  # so slow is the work that is left over
    check.finish(net)
    assert check.violations == []
    assert converged(net) == []
    counters = [member.speaker.counters for member in net.nodes.values()]
    assert sum(c["tlv_dropped.rate"] + c["link_change_deferred"] for c in counters) > 0
