"""What excuses a black hole: the way of its packets, or all that could help, led through a daemon that was away."""

from typing import Any

from babelwg.lab.outages import Break, Paths, Span
from babelwg.lab.topology import Topology
from integration.chaos.excuses import Excuses

#   a --- b --- d      e is another way from a to d
#    \         /
#     --- e ---
TOPOLOGY = Topology.parse(
    "".join(f'[[node]]\nname = "{name}"\n' for name in "abde")
    + "".join(f'[[link]]\na = "{a}"\nb = "{b}"\n' for a, b in ("ab", "bd", "ae", "ed"))
)
WITHOUT_B = Break(("b",), 10.0, 12.0, "daemon")
HOLE = Span(10.5, 14.0)


class Ways:
    """Stands for a witness of tables that never change."""

    def __init__(self, **ways: str) -> None:
        self._ways = ways

    def moments(self, address: str, span: Span) -> list[float]:
        del address, span
        return []

    def way(self, source: str, address: str, moment: float) -> list[str]:
        del address, moment
        return list(self._ways[source])


def excused(ways: Ways, *breaks: Break, source: str = "a") -> list[Span]:
    witness: Any = ways
    return Excuses(TOPOLOGY, witness, Paths(TOPOLOGY, breaks), breaks).during(source, "fd00::4", "d", HOLE)


def seconds(spans: list[Span]) -> float:
    return sum(span.until - span.since for span in spans)


def test_a_way_through_a_daemon_that_is_away_is_excused_until_a_second_after_its_return() -> None:
    assert seconds(excused(Ways(a="ab", b="b", d="d", e="ed"), WITHOUT_B)) == 2.5


def test_a_way_past_it_is_not_excused() -> None:
    assert excused(Ways(a="ae", b="bd", d="d", e="e"), WITHOUT_B) == []


def test_who_has_no_route_is_excused_where_only_the_absent_one_could_help() -> None:
    cut = Break(("e", "d"), 9.0, 20.0, "link")
    assert seconds(excused(Ways(a="a", b="bd", d="d", e="e"), WITHOUT_B, cut)) == 2.5
    assert excused(Ways(a="a", b="bd", d="d", e="ed"), WITHOUT_B) == []
    assert excused(Ways(a="a", b="bd", d="d", e="e"), WITHOUT_B) == []  # it could ask the destination


def test_who_has_no_route_is_excused_where_who_could_help_waits_for_the_absent_one_too() -> None:
    cut = Break(("e", "d"), 9.0, 20.0, "link")
    assert seconds(excused(Ways(a="a", b="bd", d="d", e="e"), WITHOUT_B, cut, source="e")) == 2.5
    assert seconds(excused(Ways(a="a", b="b", d="d", e="e"), WITHOUT_B, cut, source="e")) == 0
    assert seconds(excused(Ways(a="a", b="ba", d="d", e="e"), WITHOUT_B, cut, source="e")) == 2.5


def test_a_way_to_a_dead_end_hides_nobody_who_could_help_behind_it() -> None:
    assert excused(Ways(a="a", b="ba", d="d", e="ed"), WITHOUT_B) == []
    #   a --- b (away)     the way of c leads to f and no further, and f is next to d
    topology = Topology.parse(
        "".join(f'[[node]]\nname = "{name}"\n' for name in "abcdf")
        + "".join(f'[[link]]\na = "{a}"\nb = "{b}"\n' for a, b in ("ab", "ac", "cf", "fd"))
    )
    witness: Any = Ways(a="a", b="ba", c="cf", d="d", f="f")
    found = Excuses(topology, witness, Paths(topology, [WITHOUT_B]), [WITHOUT_B])
    assert found.during("a", "fd00::4", "d", HOLE) == []


def test_a_neighbour_behind_a_cut_link_is_no_help() -> None:
    cut = Break(("a", "e"), 9.0, 20.0, "link")
    assert seconds(excused(Ways(a="a", b="bd", d="d", e="ed"), WITHOUT_B, cut)) == 2.5


def test_a_daemon_that_runs_excuses_nothing() -> None:
    assert excused(Ways(a="ab", b="b", d="d", e="ed")) == []
    assert excused(Ways(a="ab", b="b", d="d", e="ed"), WITHOUT_B._replace(cause="data plane")) == []
