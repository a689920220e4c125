"""Whether the speaker of a neighbour is there."""

from babelwg.babel.tables.presence import Presence


def asked(*times: float) -> Presence:
    found = Presence()
    found.spoke = 99.0
    for time in times:
        assert found.is_to_be_asked(time)
    return found


def test_who_was_not_asked_is_not_silent() -> None:
    assert not asked().is_silent(0.01, 0.0, 1000.0)


def test_two_answers_may_be_lost() -> None:
    assert not asked(100.0, 100.1).is_silent(0.01, 0.0, 101.0)
    assert asked(100.0, 100.1, 100.2).is_silent(0.01, 0.0, 101.0)
    # Also the answer to the last question has its time, however long ago the others were.
    assert not asked(100.0, 100.1, 105.0).is_silent(0.01, 0.0, 105.0)


def test_an_answer_has_the_time_that_its_round_trip_takes_and_the_work_that_all_make() -> None:
    for round_trip, busy, patience in (
        (0.01, 0.0, 0.12),
        (0.2, 0.0, 0.45),
        (None, 0.0, 0.5),
        (0.01, 0.5, 0.62),
    ):
        found = asked(100.0, 100.1, 100.2)
        assert not found.is_silent(round_trip, busy, 100.2 + patience - 0.01)
        assert found.is_silent(round_trip, busy, 100.2 + patience + 0.01)


def test_whatever_it_says_ends_the_silence_and_another_one_begins_with_the_next_question() -> None:
    found = asked(100.0, 100.1, 100.2)
    found.spoke = 100.5
    assert not found.is_silent(0.01, 0.0, 101.0)
    for time in (110.0, 110.1, 110.2):
        assert found.is_to_be_asked(time) and not found.is_silent(0.01, 0.0, time + 0.05)
    assert found.is_silent(0.01, 0.0, 110.4)


def test_it_is_not_asked_twice_at_a_time() -> None:
    assert not asked(100.0).is_to_be_asked(100.05)
