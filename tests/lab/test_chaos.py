"""Storms over a grid: a seed tells all of them, they end mended, and nothing loops in them."""

import os
from collections import Counter
from random import Random

import pytest

from babelwg.lab.chaos import ENDS, WEIGHTS, Stroke, chaos, grid
from babelwg.lab.checks import find_loop
from babelwg.lab.simulator.chaos import Storm, play
from babelwg.lab.simulator.network import SimNetwork

SEEDS = int(os.environ.get("SIM_SEEDS", "16"))  # more for a long run
SECONDS = 20.0  # of each storm


def test_a_grid_of_nine_has_twelve_links_and_an_address_of_both_families_for_each_node() -> None:
    topology = grid(3, 3)
    assert [link.name for link in topology.links[:3]] == ["n11-n12", "n12-n13", "n21-n22"]
    assert len(topology.links) == 12
    assert [str(address) for address in topology.node("n33").addresses] == ["fd00:77::9/128", "10.23.0.9/32"]


def test_a_seed_gives_the_same_strokes_again_and_another_one_others() -> None:
    assert chaos(grid(3, 3), 1, 60) == chaos(grid(3, 3), 1, 60)
    assert chaos(grid(3, 3), 1, 60) != chaos(grid(3, 3), 2, 60)


def test_a_long_storm_has_strokes_of_all_kinds_in_their_order() -> None:
    strokes = chaos(grid(3, 3), 1, 600)
    assert WEIGHTS.keys() | set(ENDS.values()) | {"start daemon"} == {stroke.kind for stroke in strokes}
    assert [stroke.at for stroke in strokes] == sorted(stroke.at for stroke in strokes)
    assert 0 < strokes[0].at < strokes[-1].at <= 600


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_broken_twice_at_once_and_all_is_mended_at_the_end(seed: int) -> None:
    begins = {"cut": "link", "cut one way": "link", "impair": "weather"}
    ends = {"restore": "link", "mend": "weather"}
    broken: Counter[tuple[str, ...]] = Counter()
    for stroke in chaos(grid(3, 3), seed, 120):
        subject = tuple(sorted(stroke.subject))
        if stroke.kind in ("kill daemon", "stop daemon") or stroke.kind in begins:
            key = (begins.get(stroke.kind, "daemon"), *subject)
            broken[key] += 1
            assert broken[key] == 1
        elif stroke.kind == "start daemon" or stroke.kind in ends:
            broken[ends.get(stroke.kind, "daemon"), *subject] -= 1
    assert set(broken.values()) <= {0}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_storm_over_the_grid_makes_a_loop_and_all_is_whole_five_seconds_later(seed: int) -> None:
    outcome = play(seed, SECONDS)
    assert outcome.violations == []
    assert outcome.complaints == []
    assert outcome.changes > 100


def test_a_link_that_is_cut_one_way_carries_the_other_one_only() -> None:
    net = SimNetwork(grid(2, 1), 1)
    net.run(5.0)
    net.silence("n11", "n12", frozenset(("n11",)))
    heard = net.link("n11", "n12")
    assert (heard.carries("n11"), heard.carries("n12"), heard.up) == (False, True, False)


def test_a_found_cut_moves_the_traffic_and_its_return_brings_it_back() -> None:
    net = SimNetwork(grid(2, 2), 1)
    storm = Storm(net, Random(1))
    net.run(15.0)
    assert net["n11"].next_hop("n12") == "n12"
    storm.strike(Stroke(15.0, "cut", ("n11", "n12")))
    net.run(0.6)
    assert net["n11"].next_hop("n12") == "n21"
    assert find_loop(net, "n11", next(iter(net.nodes["n12"].xroutes))) is None
    storm.strike(Stroke(15.6, "restore", ("n11", "n12")))
    net.run(4.0)
    assert net["n11"].next_hop("n12") == "n12"
