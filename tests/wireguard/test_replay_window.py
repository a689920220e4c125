"""RFC 6479 on its own: each counter once, in any order within the window."""

import random

import pytest

from babelwg.wireguard.replay import WINDOW_SIZE, ReplayWindow


@pytest.mark.conformance("W-sess-3")
def test_window_takes_8127_back_and_not_8128():
    window = ReplayWindow()
    assert window.accept(20_000)
    assert window.accept(20_000 - 8127)
    assert not window.accept(20_000 - 8128)
    assert not window.accept(20_000 - 8129)
    assert WINDOW_SIZE == 8128


@pytest.mark.conformance("W-sess-3")
def test_window_refuses_every_counter_the_second_time():
    window = ReplayWindow()
    for counter in (0, 1, 9, 8, 7, 65, 64, 63, 8128, 8192, 2**63, 2**63 - 8127):
        assert window.accept(counter)
        assert not window.accept(counter)


def test_window_forgets_what_a_jump_has_passed():
    window = ReplayWindow()
    assert all(window.accept(n) for n in range(8192))
    assert window.accept(8192 * 5)
    assert all(window.accept(8192 * 5 - n) for n in range(1, 8128))
    assert not window.accept(8192 * 5 - 8128)


@pytest.mark.parametrize("seed", range(5))
def test_window_agrees_with_a_set_for_random_counters(seed):
    rng = random.Random(seed)
    window, seen, last = ReplayWindow(), set(), -1
    for _ in range(5000):
        counter = max(0, last + rng.choice([1, 1, 1, -1, -64, -8127, -8128, -8129, 63, 64, 65, 8191, 9000]))
        expected = counter not in seen and counter + WINDOW_SIZE > last
        assert window.accept(counter) is expected
        if expected:
            seen.add(counter)
            last = max(last, counter)
