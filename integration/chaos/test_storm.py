"""Twenty seconds of `make chaos`: cuts, kills, flushes and reloads on a grid of real daemons, and no loop in it."""

from collections.abc import Callable
from pathlib import Path

from integration.chaos.storm import print_table, run

SEED = 1
SECONDS = 20.0
PATIENCE = 5.0  # what runs among other tests has not the processors to itself that `make chaos` wants


def test_a_storm_over_a_grid_makes_no_loop_and_no_lasting_black_hole(
    tmp_path: Path, needs: Callable[..., None]
) -> None:
    needs("ip")
    outcome = run(tmp_path, SEED, SECONDS)
    print_table(outcome)
    assert outcome.probes[0] > 1000
    assert len(outcome.struck) > 10
    assert outcome.complaints(PATIENCE) == []
