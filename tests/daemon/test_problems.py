"""What `status` says is wrong on links that are no tunnels."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from babelwg.babel.parameters import InterfaceParameters
from babelwg.babel.wire.mac import MacKey
from babelwg.babel.wire.prefix import Prefix
from babelwg.daemon.problems import _clashes, _lan_problems, _late_tunnels, _state_problems
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


def test_an_address_of_ours_that_another_node_announces_is_a_problem() -> None:
    ours, other = Prefix.parse("10.23.0.1/32"), Prefix.parse("10.23.0.9/32")
    announced = {ours: (0, "address"), other: (0, "announce")}

    def clashes(router_id: bytes, state: str) -> list[str]:
        speaker = SimpleNamespace(
            router_id=b"us",
            routes_for=lambda p, now: [SimpleNamespace(prefix=p, router_id=router_id, state=state)],
        )
        node: Any = SimpleNamespace(routing=SimpleNamespace(announced=announced, speaker=speaker))
        return [problem["subject"] for problem in _clashes(node, 0.0)]

    assert clashes(b"them", "feasible") == ["10.23.0.1/32"]
    assert clashes(b"them", "retracted") == clashes(b"us", "feasible") == []


def test_a_state_directory_that_failed_is_one_problem() -> None:
    assert _state_problems(Path("/s"), {}, {}) == []
    (problem,) = _state_problems(Path("/s"), {"store_failed.state": 2, "store_failed.clock": 1}, {})
    assert problem == {
        "subject": "state-directory",
        "reason": "writing to /s failed 3 times",
        "hint": "doctor",
    }
    full = "No space left on device"
    (problem,) = _state_problems(Path("/s"), {"store_failed.state": 2}, {"state": full, "hellos": full})
    assert problem["reason"] == f"/s cannot be written: {full}; a restart will find nothing of now"


def test_tunnels_whose_state_is_old_are_one_problem_unless_their_own_says_it() -> None:
    ages = {"a": 0.0, "b": 4.0, "c": 9.2, "d": None, "e": 1.0, "f": 2.0}
    peers = [{"name": name, "tunnel_age_s": age, "reason": None} for name, age in ages.items()]
    (problem,) = _late_tunnels(peers)
    assert problem["reason"] == (
        "the data plane does not answer; what is told of tunnels to b, c, e and 1 more is up to 9 s old"
    )
    assert _late_tunnels([{"name": "b", "tunnel_age_s": 4.0, "reason": "it failed"}]) == []
