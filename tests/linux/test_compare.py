"""What differs between what we want of the kernel and what it has."""

import errno
from typing import Any

import pytest

from babelwg.babel.wire.prefix import Prefix
from babelwg.linux.compare import compare_routes, compare_rules, none_of, read_present
from babelwg.linux.fib import KernelRoutes
from babelwg.linux.look import Seen
from babelwg.linux.routes import TABLE_MAIN, UNREACHABLE, Route
from babelwg.linux.rules import Rule, desired_rules
from tests.linux.fakekernel import FakeKernel

NEXT_HOP = bytes.fromhex("fe80") + bytes(13) + b"\x02"
OTHER_HOP = bytes.fromhex("fe80") + bytes(13) + b"\x03"
P, Q = Prefix.parse("10.1.0.0/16"), Prefix.parse("2001:db8::/32")


class Bench:
    """Two learned routes in a kernel."""

    def __init__(self, table: int = 6696) -> None:
        self.kernel: Any = FakeKernel()
        self.fib = KernelRoutes(self.kernel, table)
        self.table = table
        for prefix in (P, Q):
            self.fib.learn(prefix, NEXT_HOP, 3, b"")
        self.fib.flush()

    def verdicts(self) -> dict[str, str]:
        present = read_present(self.kernel, self.fib.tables()).routes
        return {
            str((c.wanted or c.present).prefix): c.verdict
            for c in compare_routes(self.fib, present).in_order()
        }  # type: ignore[union-attr]

    def put(self, prefix: Prefix, **changes: Any) -> None:
        route = self.kernel.places.get((self.table, prefix)) or Route(prefix, self.table)
        self.kernel.places[self.table, prefix] = route._replace(**changes)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_is_as_wanted_is_ok(bench: Bench) -> None:
    assert bench.verdicts() == {str(P): "ok", str(Q): "ok"}


def test_what_somebody_removed_is_missing_and_what_somebody_changed_is_different(bench: Bench) -> None:
    del bench.kernel.places[6696, P]
    bench.put(Q, next_hop=OTHER_HOP)
    assert bench.verdicts() == {str(P): "missing", str(Q): "different"}


def test_the_kernels_refusal_is_said_in_words(bench: Bench) -> None:
    late = Prefix.parse("10.2.0.0/16")
    bench.kernel.refuse[late] = errno.EINVAL
    bench.fib.learn(late, NEXT_HOP, 3, b"")
    bench.fib.flush()
    present = read_present(bench.kernel, bench.fib.tables()).routes
    (refused,) = [c for c in compare_routes(bench.fib, present).in_order() if c.verdict != "ok"]
    assert (refused.verdict, refused.present) == ("refused", None)
    assert refused.reason == "Invalid argument (EINVAL)"


def test_in_our_table_a_route_of_our_protocol_that_nobody_wants_is_told(bench: Bench) -> None:
    stray, foreign = Prefix.parse("10.8.0.0/16"), Prefix.parse("10.9.0.0/16")
    bench.put(stray, kind=UNREACHABLE)
    bench.put(foreign, protocol=4)
    assert bench.verdicts() == {str(P): "ok", str(stray): "not wanted", str(Q): "ok"}


def test_in_a_shared_table_the_routes_of_others_are_theirs() -> None:
    bench = Bench(TABLE_MAIN)
    bench.put(Prefix.parse("10.8.0.0/16"), interface=9)
    assert bench.verdicts() == {str(P): "ok", str(Q): "ok"}
    bench.put(P, next_hop=OTHER_HOP)
    assert bench.verdicts()[str(P)] == "different"


def test_a_held_prefix_is_wanted_unreachable(bench: Bench) -> None:
    bench.fib.retract(P)
    bench.fib.flush()
    assert bench.verdicts()[str(P)] == "ok"
    bench.put(P, kind=1, next_hop=NEXT_HOP, interface=3)
    assert bench.verdicts()[str(P)] == "different"


def test_a_second_route_of_another_priority_is_not_wanted(bench: Bench) -> None:
    route = bench.kernel.places[6696, P]
    present = (*bench.kernel.places.values(), route._replace(priority=5))
    verdicts = [
        (c.verdict, (c.present or route).priority) for c in compare_routes(bench.fib, present).in_order()
    ]
    assert verdicts == [("ok", 1024), ("not wanted", 5), ("ok", 1024)]


def test_in_a_shared_table_a_second_route_at_our_place_may_be_somebody_elses() -> None:
    bench = Bench(TABLE_MAIN)
    other = bench.kernel.places[TABLE_MAIN, P]._replace(priority=5)
    found = compare_routes(bench.fib, (*bench.kernel.places.values(), other)).in_order()
    assert [c.verdict for c in found] == ["ok", "ok"]


def test_rules_are_compared_by_priority() -> None:
    wanted = desired_rules(6696, 0x6277)
    lost, stray = Rule(6, 6696, 6696, fwmark=0x6277), Rule(4, 6680, 6701, source="10.0.0.0/8")
    compared = compare_rules(wanted, wanted - {lost} | {stray})
    assert {c.rule: c.verdict for c in compared if c.verdict != "ok"} == {
        lost: "missing",
        stray: "not wanted",
    }
    assert len(compared) == len(wanted) + 1
    assert [c.rule.priority for c in compared] == sorted(c.rule.priority for c in compared)


def test_what_is_as_wanted_is_only_counted_where_that_is_enough(bench: Bench) -> None:
    del bench.kernel.places[6696, P]
    compared = compare_routes(bench.fib, bench.kernel.places.values(), none_of)
    assert [(row.verdict, row.wanted and row.wanted.prefix) for row in compared.rows] == [("missing", P)]
    assert (sum(compared.wanted.values()), sum(compared.present.values())) == (2, 1)


def test_a_route_of_another_program_with_a_smaller_metric_beats_ours(bench: Bench) -> None:
    present = [*bench.kernel.places.values()]
    behind, before = (Route(P, 6696, interface=9, priority=n, protocol=4) for n in (2000, 5))
    elsewhere = Route(P, 6700, interface=9, priority=5, protocol=4)

    def compared(*foreign: Route) -> list[tuple[str, Route | None, str | None]]:
        rows = compare_routes(bench.fib, present, none_of, foreign).rows
        return [(row.verdict, row.present, row.reason) for row in rows]

    assert compared(behind, elsewhere) == []
    reason = "the kernel prefers a route of another program (protocol static, metric 5)"
    assert compared(before._replace(priority=7), before, behind) == [("beaten", before, reason)]


def test_what_lacks_is_told_with_the_route_that_has_its_place(bench: Bench) -> None:
    del bench.kernel.places[6696, P]
    foreign = Route(P, 6696, interface=9, protocol=99)
    rows = compare_routes(bench.fib, bench.kernel.places.values(), none_of, [foreign]).rows
    reason = "its place has a route of another program (protocol 99, metric 1024)"
    assert [(row.verdict, row.present, row.reason) for row in rows] == [("missing", None, reason)]


def seen_by(bench: Bench) -> Seen:
    return Seen(b"mark", [*read_present(bench.kernel, bench.fib.tables()).routes])


def test_a_look_that_found_all_as_wanted_spares_another(bench: Bench) -> None:
    seen = seen_by(bench)
    before = len(bench.kernel.batches)
    bench.kernel.dump_datagrams = None  # nobody looks again
    assert bench.fib.resync(seen) == 0
    assert len(bench.kernel.batches) == before
    assert bench.fib.right == seen.mark
    assert bench.fib.resync(Seen(seen.mark, None)) == 0


@pytest.mark.parametrize("change", ["route", "loss", "interface", "start"])
def test_after_any_change_the_next_look_is_read(change: str, bench: Bench) -> None:
    bench.fib.resync(seen_by(bench))
    assert bench.fib.right is not None
    if change == "route":
        bench.fib.learn(Prefix.parse("10.2.0.0/16"), NEXT_HOP, 3, b"")
        bench.fib.flush()
    elif change == "loss":
        bench.fib.lost(bench.kernel.places[6696, P])
    elif change == "interface":
        bench.fib.interface_lost(3)
    else:
        bench.fib.adopt([])
    assert bench.fib.right is None


def test_a_look_that_is_not_as_wanted_is_never_right(bench: Bench) -> None:
    del bench.kernel.places[6696, P]
    seen = seen_by(bench)
    bench.fib.resync(seen)
    assert bench.fib.right is None


def test_what_a_look_found_missing_or_changed_is_looked_at_again_and_mended(bench: Bench) -> None:
    del bench.kernel.places[6696, P]
    bench.put(Q, next_hop=OTHER_HOP)
    seen = seen_by(bench)
    assert bench.fib.resync(seen) == 2
    assert bench.verdicts() == {str(P): "ok", str(Q): "ok"}


def test_a_look_from_before_a_change_of_ours_does_no_harm(bench: Bench) -> None:
    late = Prefix.parse("10.2.0.0/16")
    seen = seen_by(bench)
    bench.fib.learn(late, NEXT_HOP, 3, b"")
    assert bench.fib.resync(seen) == 1
    assert bench.verdicts()[str(late)] == "ok"
