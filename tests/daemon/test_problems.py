"""What `status` says is wrong on links that are no tunnels."""

from dataclasses import replace

from babelwg.babel.parameters import InterfaceParameters
from babelwg.babel.wire.mac import MacKey
from babelwg.daemon.problems import _lan_problems
from tests.babel.bench import Bench


def test_a_one_way_neighbour_of_a_lan_is_a_problem_and_one_of_a_tunnel_is_its_peers() -> None:
    bench = Bench()
    bench.interface("lan", InterfaceParameters.wired())
    bench.interface("tun")
    for name in ("lan", "tun"):
        bench.receive([bench.hello(1, name)], 1, name)
    (problem,) = _lan_problems(bench.snapshot(), bench.speaker.counters)
    assert (problem["subject"], problem["hint"]) == ("fe80::1001%lan", "show neighbours")
    bench.receive([bench.hello(1, "lan"), bench.ihu()], 1, "lan")
    assert _lan_problems(bench.snapshot(), bench.speaker.counters) == []


def test_packets_without_a_right_mac_are_a_problem() -> None:
    bench = Bench()
    bench.interface("lan", replace(InterfaceParameters.wired(), keys=(MacKey("k", "blake2s128", bytes(32)),)))
    bench.receive([bench.hello(1, "lan")], 1, "lan")
    (problem,) = _lan_problems(bench.snapshot(), bench.speaker.counters)
    assert problem["reason"] == "1 packets with no MAC were dropped"
