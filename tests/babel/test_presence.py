"""Whether the speaker of a neighbour is there."""

from babelwg.babel.tables.presence import Presence


def asked(*times: float) -> Presence:
    found = Presence()
    found.spoke = 99.0
    for time in times:
        assert found.is_to_be_asked(time)
    return found


def test_who_was_not_asked_is_not_silent() -> None:
    assert not asked().is_silent(0.01, 1000.0)


def test_one_answer_may_be_lost() -> None:
    assert not asked(100.0).is_silent(0.01, 101.0)
    assert asked(100.0, 100.1).is_silent(0.01, 101.0)


def test_an_answer_has_the_time_that_its_round_trip_takes() -> None:
    for round_trip, patience in ((0.01, 0.2), (0.2, 0.6), (None, 0.6)):
        found = asked(100.0, 100.1)
        assert not found.is_silent(round_trip, 100.0 + patience - 0.01)
        assert found.is_silent(round_trip, 100.0 + patience + 0.01)


def test_whatever_it_says_ends_the_silence_and_another_one_begins_with_the_next_question() -> None:
    found = asked(100.0, 100.1)
    found.spoke = 100.5
    assert not found.is_silent(0.01, 101.0)
    assert found.is_to_be_asked(110.0) and not found.is_silent(0.01, 110.3)
    assert found.is_to_be_asked(110.1) and found.is_silent(0.01, 110.3)


def test_it_is_not_asked_twice_at_a_time() -> None:
    assert not asked(100.0).is_to_be_asked(100.05)
