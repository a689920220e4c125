"""A process that holds ever more is found, however its memory comes and goes; one that does not is not."""

from random import Random

import pytest

from integration.chaos.footprint import Sample, growth

MIB = 1 << 20
ARENA = 256 << 10
SAMPLES = 300  # ten minutes
EVENTS = 60  # to a sample, between two looks: a busy node handles so many TLVs and more


def seen(leak: float, descriptors: int = 0, seed: int = 1) -> list[Sample]:
    """Return what a process held that loses so many octets at each event, and descriptors altogether."""
    rng = Random(seed)
    return [
        Sample(
            40 * MIB + round(n * EVENTS * leak / ARENA) * ARENA + rng.randrange(3) * ARENA,
            50 + rng.randrange(3) + descriptors * n // SAMPLES,
        )
        for n in range(SAMPLES)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_a_leak_of_some_octets_an_event_is_found(seed: int) -> None:
    (found,) = growth(seen(1024, seed=seed))
    assert found.startswith("RSS grows: ")
    assert growth(seen(200, seed=seed))


@pytest.mark.parametrize("seed", range(5))
def test_what_comes_and_goes_is_no_growth(seed: int) -> None:
    assert growth(seen(0, seed=seed)) == []


def test_descriptors_that_are_never_closed_are_found() -> None:
    (found,) = growth(seen(0, descriptors=20))
    assert found.startswith("descriptors grows: ")


def test_what_rises_at_first_and_stays_is_no_growth() -> None:
    samples = [Sample(30 * MIB + min(n, 150) * ARENA, 40) for n in range(SAMPLES)]
    assert growth(samples) == []
