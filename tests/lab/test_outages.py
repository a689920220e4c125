"""What counts as a black hole: lost probes, a path that existed, and nothing that excuses it."""

from babelwg.lab.outages import Arrival, BlackHole, Break, Paths, Span, black_holes, silences, union
from babelwg.lab.topology import Topology

#   a --- b
#    \   /
#      c --- d
TRIANGLE = Topology.parse(
    "".join(f'[[node]]\nname = "{name}"\n' for name in "abcd")
    + "".join(f'[[link]]\na = "{a}"\nb = "{b}"\n' for a, b in ("ab", "bc", "ac", "cd"))
)


def arrivals(*numbers: int) -> list[Arrival]:
    return [Arrival(number, 100 + number / 10) for number in numbers]


def test_a_silence_lasts_from_the_first_lost_probe_to_the_next_that_comes() -> None:
    (span,) = silences(arrivals(0, 1, 2, 8, 9), 0.1)
    assert (round(span.since, 3), round(span.until, 3)) == (100.3, 100.8)


def test_no_probe_lost_is_no_silence_however_late_the_sender_is() -> None:
    assert silences([Arrival(1, 100.0), Arrival(2, 107.0)], 0.1) == []
    (span,) = silences([Arrival(1, 100.0), Arrival(3, 107.0)], 0.1)
    assert round(span.until - span.since, 3) == 0.1


def test_probes_that_overtake_each_other_are_not_lost() -> None:
    assert silences(arrivals(0, 2, 1, 3), 0.1) == []


def test_a_cut_with_a_way_round_excuses_nothing() -> None:
    paths = Paths(TRIANGLE, [Break(("a", "b"), 10.0, 20.0)])
    assert black_holes(paths, {("a", "b"): [Span(10.0, 13.0)]}) == [BlackHole("a", "b", 10.0, 13.0)]


def test_a_cut_without_a_way_round_excuses_until_the_link_has_been_up_for_a_second() -> None:
    paths = Paths(TRIANGLE, [Break(("c", "d"), 10.0, 20.0)])
    lost = {("a", "d"): [Span(10.0, 22.5)]}
    assert black_holes(paths, lost) == [BlackHole("a", "d", 21.0, 22.5)]


def test_a_path_may_change_while_it_exists() -> None:
    # One cut begins a second after the other one is mended, so there always is a way.
    paths = Paths(TRIANGLE, [Break(("a", "b"), 10.0, 11.0), Break(("a", "c"), 12.0, 13.0)])
    assert black_holes(paths, {("a", "b"): [Span(10.5, 12.5)]})[0].seconds == 2.0
    apart = Paths(TRIANGLE, [Break(("a", "b"), 10.0, 11.0), Break(("a", "c"), 11.5, 13.0)])
    holes = black_holes(apart, {("a", "b"): [Span(10.5, 12.5)]})
    assert [(hole.since, hole.until) for hole in holes] == [(10.5, 11.5), (12.0, 12.5)]


def test_a_node_that_does_not_run_is_on_no_path() -> None:
    paths = Paths(TRIANGLE, [Break(("c",), 10.0, 20.0)])
    assert paths.during("a", "d", Span(9.0, 21.0)) == [Span(9.0, 10.0), Span(20.0, 21.0)]
    assert paths.during("a", "b", Span(9.0, 21.0)) == [Span(9.0, 21.0)]
    assert paths.during("c", "d", Span(12.0, 13.0)) == []


def test_what_never_works_again_is_on_no_path_any_more() -> None:
    paths = Paths(TRIANGLE, [Break(("c", "d"), 10.0, float("inf"))])
    assert paths.during("a", "d", Span(9.0, 1000.0)) == [Span(9.0, 10.0)]


def test_excused_times_count_for_nothing_and_what_is_around_them_is_one_black_hole() -> None:
    def excuses(source: str, destination: str, span: Span) -> list[Span]:
        assert (source, destination, span) == ("a", "b", Span(10.0, 15.0))
        return [Span(11.0, 12.0), Span(11.5, 12.5), Span(0.0, 10.25)]

    (hole,) = black_holes(Paths(TRIANGLE, []), {("a", "b"): [Span(10.0, 15.0)]}, excuses)
    assert (hole.since, hole.until, hole.excused, hole.seconds) == (10.0, 15.0, 1.75, 3.25)


def test_times_that_overlap_become_one() -> None:
    assert union([Span(5.0, 6.0), Span(1.0, 3.0), Span(2.0, 2.5), Span(3.0, 4.0)]) == [
        Span(1.0, 4.0),
        Span(5.0, 6.0),
    ]
