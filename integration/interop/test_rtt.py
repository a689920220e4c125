"""Round-trip times (RFC 9616) with babeld over a wire that delays: both sides measure them, and the cost follows."""

import pytest

from babelwg.lab.netns.wire import Impairment
from integration.interop.net import Net
from integration.interop.routers.babeld_language import BabeldRouter, BabelwgRouter

pytestmark = pytest.mark.interop

LACKING = {"bird": "BIRD 2.0.12 measures no round-trip times in Babel"}
LONG, SHORT = 0.030, 0.001  # seconds one way
NEAR_LONG = (0.055, 0.090)  # seconds; the wire is a process that others may delay
# 96 without a penalty; at 60 ms it is 96 * (60 - 10) / (120 - 10) = 44, babeld's default of a tunnel.
DEAR, CHEAP = (125, 165), (96, 105)


@pytest.mark.parametrize("peer", ["babeld", "bird"])
def test_both_sides_measure_a_long_way_and_weigh_it(net: Net, peer: str) -> None:
    #   a (babelwg) ~~~ b (babeld), 30 ms each way, then 1 ms
    if peer in LACKING:
        pytest.skip(LACKING[peer])
    a, b = net.add("a", "babelwg"), net.add("b", peer)
    assert isinstance(a, BabelwgRouter)
    assert isinstance(b, BabeldRouter)
    net.link("a", "b", kind="tunnel", options="enable-timestamps true", impairment=Impairment(delay=LONG))
    net.start()
    net.wait_for_all("each has the other's addresses")
    net.wait("babelwg has measured it", lambda: _within(NEAR_LONG, _ours(a)["rtt_s"]))
    net.wait("babeld has measured it", lambda: _within(NEAR_LONG, _theirs(b, "rtt") / 1e3))
    net.wait("babelwg's cost follows", lambda: _within(DEAR, _ours(a)["cost"]))
    net.wait("babeld's cost follows", lambda: _within(DEAR, _theirs(b, "cost")))
    wire = net.links[frozenset("ab")]
    assert wire is not None
    wire.set(delay=SHORT)
    net.wait("babelwg's cost falls", lambda: _within(CHEAP, _ours(a)["cost"]))
    net.wait("babeld's cost falls", lambda: _within(CHEAP, _theirs(b, "cost")))
    assert net.converged()


def _within(limits: tuple[float, float], value: float | None) -> bool:
    return value is not None and limits[0] <= value <= limits[1]


def _ours(router: BabelwgRouter) -> dict[str, float | None]:
    (neighbour,) = router.show("neighbours")
    return dict(neighbour)


def _theirs(router: BabeldRouter, what: str) -> float:
    (neighbour,) = router.dump("neighbour")
    return float(neighbour.get(what, "nan"))  # babeld leaves rtt out until it has a sample
