"""The source table forgets what was not announced for long, and nothing else, however its time was noted."""

from typing import Any

from babelwg.babel.tables.source import Announcement, FeasibilityDistance, Source, SourceTable
from tests.babel.bench import ORIGIN, V4, P, Q

FORGOTTEN = 180.0
A, B, C = (Source(prefix, ORIGIN) for prefix in (P, Q, V4))


def known(table: SourceTable) -> set[Source]:
    return {source for source, _ in table}


def test_what_is_announced_together_again_lives_on_and_the_rest_is_forgotten_in_its_turn() -> None:
    table = SourceTable(())
    for source, when in ((A, 0.0), (B, 10.0), (C, 20.0)):
        table.put(source, FeasibilityDistance(7, 96))
        table.touch(source, when)
    together = Announcement((A, C), 20.0)
    assert table.repeat(together, FORGOTTEN, 100.0)
    table.collect_garbage(FORGOTTEN, 189.0)
    assert known(table) == {A, B, C}
    table.collect_garbage(FORGOTTEN, 190.0)
    assert known(table) == {A, C}
    assert table.used(A) == table.used(C) == 100.0
    assert table.oldest_use() == 100.0
    # It was announced alone since, and what it is announced with is older.
    table.touch(C, 150.0)
    table.collect_garbage(FORGOTTEN, 280.0)
    assert known(table) == {C}
    assert not table.repeat(together, FORGOTTEN, 280.0), "one of them is forgotten"


def test_many_sources_are_forgotten_in_one_walk() -> None:
    class Walked(dict[Source, float]):
        walks = 0

        def items(self) -> Any:
            self.walks += 1
            return super().items()

        values = __iter__ = None  # type: ignore[assignment]

    table = SourceTable(())
    for number in range(100):
        source = Source(P, number.to_bytes(8, "big"))
        table.put(source, FeasibilityDistance(7, 96))
        table.touch(source, 0.0)
    table._used = walked = Walked(table._used)
    table.collect_garbage(FORGOTTEN, FORGOTTEN)
    assert (len(table), walked.walks) == (0, 1)


def test_an_announcement_does_not_bring_a_forgotten_source_back() -> None:
    table = SourceTable(())
    table.put(A, FeasibilityDistance(7, 96))
    table.touch(A, 0.0)
    assert table.repeat(Announcement((A, B), 0.0), FORGOTTEN, 5.0)
    assert table.used(A) == 5.0
    assert table.used(B) is None
