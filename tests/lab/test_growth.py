"""What grows is found and named, what only comes and goes is not, and a speaker under churn does not grow."""

import os
from collections import Counter
from functools import partial
from random import Random
from typing import Any

import pytest

from babelwg.babel.operation import liveness, recovery
from babelwg.babel.parameters import HOLD_FACTOR, InterfaceParameters, Parameters
from babelwg.babel.timers import Timers
from babelwg.lab.growth import census, growing
from babelwg.lab.simulator import guests, node
from babelwg.lab.simulator.guests import GuestMesh
from babelwg.lab.simulator.network import SimNetwork

SECONDS, SAMPLES, PAUSE = 600.0, 30, 2.0
CALM = InterfaceParameters(hello_interval=12.0, update_interval=48.0)


class Keeper:
    """Something of ours with every kind of place to keep things in."""

    __slots__ = ("__dict__", "table")

    def __init__(self, table: Any) -> None:
        self.table = table


Keeper.__module__ = "babelwg.lab.test"


def test_a_census_counts_the_entries_of_all_that_is_held_and_each_only_once() -> None:
    inner = {"x": [1, 2, 3], "y": [4]}
    keeper = Keeper(inner)
    keeper.same = inner
    keeper.others = [Keeper({7}), (frozenset("abc"),)]
    counts = census(keeper)
    assert counts["objects of Keeper"] == 2
    assert counts["Keeper.table"] + counts["Keeper.same"] == 2 + 1
    assert counts["Keeper.table[]"] + counts["Keeper.same[]"] == 4
    assert (counts["Keeper.others"], counts["Keeper.others[][]"]) == (2, 3)


def test_a_census_follows_what_functions_hold() -> None:
    held, bound, enclosed = Keeper([1]), Keeper([1, 2]), Keeper([1, 2, 3])
    bound.act = partial(print, held)
    bound.react = lambda: enclosed
    bound.meet = held.__init__  # type: ignore[misc]
    counts = census(bound)
    assert counts["Keeper.table"] == 1 + 2 + 3


def test_a_census_of_a_speaker_sees_its_tables_and_timers() -> None:
    net = SimNetwork.parse("a-b b-c a-c", seed=1)
    net.run(20.0)
    counts = census(net.nodes["a"].speaker)
    assert (counts["State.interfaces"], counts["Interface.neighbours"], counts["objects of Neighbour"]) == (
        2,
        2,
        2,
    )
    # Two others' prefixes, each of both neighbours unless split horizon keeps it back.
    assert (counts["RouteTable.selected"], counts["objects of Route"]) == (2, counts["Neighbour.routes"])
    assert counts["SourceTable._distances"] == 3
    assert counts["Timers._heap"] > 8
    assert counts["objects of Timers"] == len([v for v in vars(_state(net)).values() if type(v) is Timers])


def _state(net: SimNetwork) -> Any:
    return net.nodes["a"].speaker._state  # type: ignore[union-attr]


def course(values: list[float]) -> list[Counter[str]]:
    return [Counter({"it": round(value)}) for value in values]


def test_what_rises_all_the_time_grows_however_noisy() -> None:
    rng = Random(1)
    found = growing(course([100 + n + rng.uniform(-20, 20) for n in range(144)]))
    assert [growth.label for growth in found] == ["it"]
    assert str(found[0]).startswith("it grows: 1")


@pytest.mark.parametrize(
    "values",
    [
        [100.0] * 144,
        [100.0 + 50 * (n % 7) for n in range(144)],
        [min(256.0, 20.0 * n) for n in range(144)],  # full after the warm-up
        [100.0 if n < 70 else 300.0 for n in range(144)],  # once
        [100.0 + n / 100 for n in range(144)],  # by nothing that counts
        [300.0 - n for n in range(144)],
    ],
)
def test_what_comes_and_goes_is_full_or_rises_once_does_not_grow(values: list[float]) -> None:
    assert growing(course(values)) == []


def churned(seed: int) -> list[Counter[str]]:
    """Return a count for each part of some minutes of churn."""
    mesh = GuestMesh(seed, CALM, PAUSE)
    mesh.run(2 * HOLD_FACTOR * CALM.update_interval)  # so long stays what is retracted at most
    samples = []
    for _ in range(SAMPLES):
        mesh.run(SECONDS / SAMPLES)
        samples.append(mesh.sample())
        samples[-1]["routes"] = mesh.routes()
    assert min(mesh.events[kind] for kind in ("guest", "prefix", "outage", "loss", "address", "restart")) > 5
    assert samples[-1]["routes"] >= 5 * 4
    return samples


@pytest.mark.skipif("SIM_SEEDS" not in os.environ, reason="takes a minute: `make sim` runs it")
def test_some_minutes_of_churn_lets_nothing_grow_unless_it_is_told_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What is meant to end after minutes ends after seconds here.
    monkeypatch.setattr(recovery, "LONGEST_HOLD", 40.0)
    monkeypatch.setattr(guests, "STAY", (5.0, 40.0))
    monkeypatch.setattr(node, "Parameters", partial(Parameters, source_gc_time=30.0))
    monkeypatch.setattr(liveness, "MAX_FORMER_INTERFACES", 4)
    assert [str(growth) for growth in growing(churned(1))] == []
    # The same without the limit: what is kept of every guest that ever was is found, and by its name.
    monkeypatch.setattr(liveness, "MAX_FORMER_INTERFACES", 10**6)
    assert [growth.label for growth in growing(churned(1))] == ["State.former_hello_seqnos"]
