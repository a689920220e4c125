"""Source-specific routes: with subtrees, or with tables, rules and throws, look-up is destination-first."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babelwg.babel.wire.prefix import Prefix
from babelwg.config.addresses import covers
from babelwg.linux.fib import KernelRoutes
from babelwg.linux.guards import is_operators, plan_guards, plan_own_sources
from babelwg.linux.netlink import Refusal
from babelwg.linux.routes import THROW, UNREACHABLE, Route, has_subtrees
from babelwg.linux.rules import Rule, has_rules
from babelwg.linux.sourcetables import SourceTables
from babelwg.linux.throwplan import ThrowPlan
from tests.calls import calls
from tests.linux.fakekernel import FakeKernel

MAIN, OURS = 254, 6696
NEXT_HOP = bytes.fromhex("fe80") + bytes(13) + b"\x02"
SITE_A, SITE_B = "10.1.0.0/16", "10.2.0.0/16"


def p(text: str) -> Prefix:
    return Prefix.parse(text)


def kernel_routes(subtrees: bool = True) -> tuple[FakeKernel, KernelRoutes]:
    kernel = FakeKernel()
    return kernel, KernelRoutes(kernel, OURS, subtrees=subtrees)  # type: ignore[arg-type]


@dataclass
class Lookup:
    """What Linux does with rules and tables, plainly; `main` are the operator's routes."""

    kernel: FakeKernel
    main: set[Prefix] = field(default_factory=set)

    def find(self, destination: Prefix, source: Prefix) -> Prefix | str | None:
        """Return the prefix of the route taken, marked with `main ` where it is the operator's."""
        rules = [(r.priority, r.table, p(r.source)) for r in self.kernel.rules]
        everything = Prefix(destination.family, bytes(len(destination.network)), 0)
        rules.append((6696, OURS, everything))
        for _, table, sources in sorted(rules):
            if not covers(sources, source):
                continue
            best = self._in_table(table, destination, source)
            if best is not None and best.kind != THROW:
                return named(best.prefix.with_source(sources) if sources.plen else best.prefix)
        found = [m for m in self.main if matches(m, destination, source)]
        best_main = max(found, key=lambda m: (m.plen, m.source_plen), default=None)
        return f"main {best_main}" if best_main else None

    def _in_table(self, table: int, destination: Prefix, source: Prefix) -> Route | None:
        held = [r for r in self.kernel.places.values() if r.table == table]
        subtrees = {r.prefix.destination for r in held if r.prefix.source_plen and r.prefix.plen}
        fits = [
            r
            for r in held
            if matches(r.prefix, destination, source)
            # Where a destination has a subtree, Linux does not see its plain route.
            and (r.prefix.source_plen or r.prefix not in subtrees)
        ]
        return max(fits, key=lambda r: (r.prefix.plen, r.prefix.source_plen), default=None)


def named(prefix: Prefix) -> Prefix:
    """Return the plain prefix of what stands for one half of all sources."""
    return prefix.destination if prefix.family == 6 and prefix.source_plen == 1 else prefix


def matches(route: Prefix, destination: Prefix, source: Prefix) -> bool:
    return covers(route, destination) and (route.source is None or covers(route.source, source))


def defined(ours: set[Prefix], main: set[Prefix], destination: Prefix, source: Prefix) -> Prefix | str | None:
    """Return what RFC 9079 says: the longer destination, then the longer source; of equal ones the operator's."""
    found = [(r.plen, r.source_plen, 0, r) for r in ours if matches(r, destination, source)]
    found += [(r.plen, r.source_plen, 1, r) for r in main if matches(r, destination, source)]
    if not found:
        return None
    _, _, operators, best = max(found, key=lambda f: f[:3])
    return f"main {best}" if operators else best


def small(family: int) -> st.SearchStrategy[Prefix]:
    """Prefixes of the three leading bits of an address."""

    def make(bits: int, plen: int) -> Prefix:
        octets = 4 if family == 4 else 16
        return Prefix(family, bytes([bits >> (3 - plen) << (3 - plen) << 5]) + bytes(octets - 1), plen)

    return st.builds(make, st.integers(0, 7), st.integers(0, 3))


def steps(family: int, subtrees: bool) -> st.SearchStrategy[list[tuple[str, Prefix]]]:
    # The halves of all sources stand for plain routes below, so nobody announces one here.
    sources = small(family).filter(lambda source: source.plen != 1)
    sourced = st.builds(Prefix.with_source, small(family), sources)
    ours = st.tuples(st.sampled_from(["learn", "learn", "forget", "retract"]), sourced)
    # IPv6 routes of main may be subtrees themselves.
    operators = st.one_of(small(6), sourced) if family == 6 and subtrees else small(family)
    main = st.tuples(st.sampled_from(["main", "main", "no main"]), operators)
    return st.lists(st.one_of(ours, ours, main), max_size=25)


@pytest.mark.conformance("SS4-1", "SS4-2", "SS4-3")
@pytest.mark.parametrize(("family", "subtrees"), [(4, True), (6, True), (6, False)])
@settings(max_examples=60)
@given(data=st.data())
def test_every_packet_takes_the_longest_destination_and_then_the_longest_source(
    family: int, subtrees: bool, data: st.DataObject
) -> None:
    kernel, routes = kernel_routes(subtrees)
    main: set[Prefix] = set()
    for what, prefix in data.draw(steps(family, subtrees)):
        if what == "learn":
            assert routes.learn(prefix, NEXT_HOP, 3, b"")
        elif what == "retract":
            routes.retract(prefix)
        elif what == "forget":
            routes.forget(prefix)
        else:
            main = main | {prefix} if what == "main" else main - {prefix}
            held = [Route(m, MAIN, interface=9, protocol=2, priority=0) for m in main]
            operators = [r.prefix for r in held if is_operators(r)]
            routes.guard(plan_guards(held, routes.learned, (), OURS).values(), operators)
        if data.draw(st.booleans()):
            continue
        routes.flush()
        planned = dict(routes._sourced.throws), dict(routes.sources.tables)
        routes._sourced.outdate()
        routes.flush()
        assert (routes._sourced.throws, routes.sources.tables) == planned
        compare(Lookup(kernel, main), set(routes.learned), family)
    routes.flush()
    compare(Lookup(kernel, main), set(routes.learned), family)
    before = dict(kernel.places), set(kernel.rules)
    assert routes.resync() == 0
    assert (kernel.places, kernel.rules) == before


def compare(lookup: Lookup, ours: set[Prefix], family: int) -> None:
    hosts = [
        Prefix(family, bytes([n << 5]) + bytes(3 if family == 4 else 15), 32 if family == 4 else 128)
        for n in range(8)
    ]
    for destination in hosts:
        for source in hosts:
            wanted = defined(ours, lookup.main, destination, source)
            assert lookup.find(destination, source) == wanted, f"{destination} from {source}"


def test_an_ipv6_source_prefix_is_a_subtree_of_our_own_table() -> None:
    kernel, routes = kernel_routes()
    prefix = p("::/0 from 2001:db8:a::/48")
    routes.learn(prefix, NEXT_HOP, 3, b"")
    assert routes.flush() == []
    assert kernel.places.keys() == {(OURS, prefix)}
    assert kernel.rules == set()
    assert routes.is_installed(prefix)
    routes.retract(prefix)
    routes.flush()
    assert kernel.places[OURS, prefix].kind == UNREACHABLE
    routes.forget(prefix)
    routes.flush()
    assert kernel.places == {}


def test_a_plain_route_is_said_again_for_all_sources_where_a_subtree_hides_it() -> None:
    kernel, routes = kernel_routes()
    routes.learn(p("2001:db8:18::/48"), NEXT_HOP, 3, b"")
    routes.learn(p("::/0"), NEXT_HOP, 3, b"")
    routes.learn(p("::/0 from 2001:db8:a::/48"), NEXT_HOP, 4, b"")
    routes.flush()
    assert len(kernel.places) == 3
    sourced = p("2001:db8:18::/48 from 2001:db8:a::/48")
    routes.learn(sourced, NEXT_HOP, 4, b"")
    routes.flush()
    halves = [p(f"2001:db8:18::/48 from {half}") for half in ("::/1", "8000::/1")]
    assert [kernel.places[OURS, half].interface for half in halves] == [3, 3]
    routes.learn(p("2001:db8:18::/48"), NEXT_HOP, 5, b"")
    routes.flush()
    assert [kernel.places[OURS, half].interface for half in halves] == [5, 5]
    routes.forget(sourced)
    routes.flush()
    assert len(kernel.places) == 3


def test_an_ipv4_source_prefix_has_a_table_and_a_rule_while_it_has_routes() -> None:
    kernel, routes = kernel_routes()
    prefix = p(f"0.0.0.0/0 from {SITE_A}")
    routes.learn(prefix, NEXT_HOP, 3, b"")
    routes.learn(p("10.9.0.0/24"), NEXT_HOP, 3, b"")
    routes.flush()
    assert kernel.rules == {Rule(4, 6680, 6701, source=SITE_A)}
    assert kernel.places[6701, p("0.0.0.0/0")].next_hop == NEXT_HOP
    assert kernel.places[6701, p("10.9.0.0/24")].kind == THROW
    routes.retract(prefix)
    routes.flush()
    assert kernel.places[6701, p("0.0.0.0/0")].kind == UNREACHABLE
    routes.forget(prefix)
    routes.flush()
    assert kernel.rules == set()
    assert kernel.places.keys() == {(OURS, p("10.9.0.0/24"))}


def test_the_longest_source_prefix_is_asked_first() -> None:
    tables = SourceTables()
    for source in ("10.0.0.0/8", SITE_A, "10.1.2.0/24", SITE_B):
        tables.take(p(source))
    assert {(r.priority, r.source) for r in tables.rules()} == {
        (6680, "10.1.2.0/24"),
        (6681, SITE_A),
        (6681, SITE_B),
        (6682, "10.0.0.0/8"),
    }


def test_a_source_table_throws_what_a_later_table_has_and_no_more() -> None:
    a, wide = p(SITE_A), p("10.0.0.0/8")
    ours = [
        p(f"172.16.0.0/12 from {SITE_A}"),
        p("172.16.1.0/24 from 10.0.0.0/8"),
        p(f"172.16.2.0/24 from {SITE_B}"),  # no packet from A is from B
        p("172.16.3.0/24"),
        p("192.0.2.0/24"),  # what A's table does not cover is found anyway
        p("172.16.0.0/12"),  # of equal destinations the longer source wins
    ]
    plan = ThrowPlan({a: 6701, wide: 6702}, ours, [p("172.16.4.0/24"), p("172.16.1.128/25")])
    assert plan.throws.keys() == {
        (6701, p("172.16.1.0/24")),
        (6701, p("172.16.3.0/24")),
        (6701, p("172.16.4.0/24")),
        (6701, p("172.16.1.128/25")),
        (6702, p("172.16.1.128/25")),
    }


def test_the_seventeenth_source_prefix_is_refused_counted_and_never_half_there() -> None:
    kernel, routes = kernel_routes()
    for number in range(16):
        assert routes.learn(p(f"0.0.0.0/0 from 10.{number}.0.0/16"), NEXT_HOP, 3, b"")
    routes.flush()
    before = dict(kernel.places), set(kernel.rules)
    last = p("0.0.0.0/0 from 10.16.0.0/16")
    assert not routes.learn(last, NEXT_HOP, 3, b"")
    routes.flush()
    assert (kernel.places, kernel.rules) == before
    assert routes.refused[last] == Refusal(0, "all 16 tables for source prefixes of IPv4 are taken")
    assert routes.counters["route_refused"] == 1
    assert not routes.take_freed()
    # Another destination of a source that has its table finds room.
    assert routes.learn(p("192.0.2.0/24 from 10.3.0.0/16"), NEXT_HOP, 3, b"")
    routes.forget(p("0.0.0.0/0 from 10.7.0.0/16"))
    routes.flush()
    assert routes.take_freed()
    assert routes.learn(last, NEXT_HOP, 3, b"")
    routes.flush()
    assert last not in routes.refused
    assert len(kernel.rules) == 16


def test_a_refused_rule_is_told_for_each_route_that_has_no_effect() -> None:
    kernel, routes = kernel_routes()
    kernel.refuse_rules = 1
    prefix = p(f"0.0.0.0/0 from {SITE_A}")
    routes.learn(prefix, NEXT_HOP, 3, b"")
    assert [refused for refused, _ in routes.flush()] == [prefix]
    assert prefix in routes.refused
    assert routes.counters["route_refused"] == 1
    kernel.refuse_rules = 0
    routes.resync()
    assert len(kernel.rules) == 1
    assert prefix not in routes.refused


def test_an_earlier_life_is_adopted_by_its_rules_and_released_with_them() -> None:
    kernel, former = kernel_routes()
    mine, other = p(f"0.0.0.0/0 from {SITE_A}"), p(f"0.0.0.0/0 from {SITE_B}")
    for prefix in (mine, other, p("::/0 from 2001:db8:a::/48")):
        former.learn(prefix, NEXT_HOP, 3, b"")
    former.learn(p("192.0.2.0/24"), NEXT_HOP, 3, b"", 500)
    former.flush()
    before = dict(kernel.places), set(kernel.rules)
    routes = KernelRoutes(kernel, OURS)  # type: ignore[arg-type]
    assert routes.adopt([3]) == len(before[0])
    assert routes.flush() == []
    assert (kernel.places, kernel.rules) == before
    routes.learn(other, NEXT_HOP, 3, b"")
    routes.flush()
    assert (kernel.places, kernel.rules) == before
    assert routes.release() == 3
    assert [rule.source for rule in kernel.rules] == [SITE_B]
    assert [table for table, _ in kernel.places] == [6702]


def test_a_throw_goes_with_the_adopted_route_that_it_stood_beside() -> None:
    kernel, former = kernel_routes()
    plain, sourced = p("192.0.2.0/24"), p(f"0.0.0.0/0 from {SITE_A}")
    former.learn(sourced, NEXT_HOP, 3, b"")
    former.flush()
    routes = KernelRoutes(kernel, OURS)  # type: ignore[arg-type]
    routes.adopt([3])
    routes.learn(plain, NEXT_HOP, 3, b"")
    routes.flush()
    assert kernel.places[6701, plain].kind == THROW
    routes.lost(kernel.places.pop((6701, sourced.destination)))
    routes.flush()
    assert [*kernel.places] == [(OURS, plain)]


def test_routes_of_others_in_tables_of_filters_are_let_alone() -> None:
    kernel, routes = kernel_routes()
    foreign = Route(p("198.51.100.0/24"), 500, next_hop=NEXT_HOP, interface=8)
    kernel.places[foreign.place] = foreign
    routes.adopt([3])
    routes.learn(p("192.0.2.0/24"), NEXT_HOP, 3, b"", 500)
    routes.flush()
    assert routes.tables() == {OURS, 500}
    assert routes.resync() == 0
    routes.withdraw()
    assert kernel.places == {foreign.place: foreign}


@pytest.mark.parametrize(("shared", "left"), [(True, True), (False, False)])
def test_only_in_a_table_of_ours_alone_every_route_of_our_protocol_is_ours(shared: bool, left: bool) -> None:
    kernel = FakeKernel()
    routes = KernelRoutes(kernel, 60, shared=shared)  # type: ignore[arg-type]
    foreign = Route(p("198.51.100.0/24"), 60, next_hop=NEXT_HOP, interface=8)
    kernel.places[foreign.place] = foreign
    routes.adopt([3])
    routes.release()
    routes.resync()
    assert (foreign.place in kernel.places) == left


def test_a_route_that_moves_to_another_table_leaves_the_first() -> None:
    kernel, routes = kernel_routes()
    routes.learn(p("192.0.2.0/24"), NEXT_HOP, 3, b"")
    routes.flush()
    routes.learn(p("192.0.2.0/24"), NEXT_HOP, 3, b"", 500)
    routes.flush()
    assert kernel.places.keys() == {(500, p("192.0.2.0/24"))}


@pytest.mark.parametrize(("prefix", "table"), [("192.0.2.0/24", 6701), (f"192.0.2.0/24 from {SITE_A}", 500)])
def test_a_table_that_cannot_hold_a_route_refuses_it(prefix: str, table: int) -> None:
    kernel, routes = kernel_routes()
    assert not routes.learn(p(prefix), NEXT_HOP, 3, b"", table)
    routes.flush()
    assert kernel.places == {}
    assert routes.counters["route_refused"] == 1
    assert p(prefix) in routes.refused


def test_what_a_gateway_announces_for_a_source_goes_to_its_own_uplink() -> None:
    # Without the copy, packets from A would follow the wider route that another gateway announces.
    kernel, routes = kernel_routes()
    uplink = Route(p("0.0.0.0/0"), MAIN, next_hop=bytes([192, 0, 2, 1]), interface=9, protocol=3, priority=0)
    announced = [p(f"0.0.0.0/0 from {SITE_A}"), p("::/0 from 2001:db8:a::/48")]
    main = [uplink, uplink._replace(prefix=p("::/0"))]
    routes.learn(p("0.0.0.0/0 from 10.0.0.0/8"), NEXT_HOP, 3, b"")
    guards = plan_guards(main, routes.learned, (), OURS, announced)
    routes.guard(guards.values(), [r.prefix for r in main], plan_own_sources(main, announced))
    routes.flush()
    table = routes.sources.tables[p(SITE_A)]
    assert kernel.places[table, p("0.0.0.0/0")] == uplink._replace(table=table, priority=1024, protocol=42)
    assert kernel.places[OURS, announced[1]].kind == THROW
    assert Rule(4, 6680, table, source=SITE_A) in kernel.rules


@pytest.mark.conformance("SS4-4")
def test_a_kernel_says_what_it_can_hold_and_keeps_nothing_of_the_question() -> None:
    kernel = FakeKernel()
    assert has_subtrees(kernel)  # type: ignore[arg-type]
    assert has_rules(kernel)  # type: ignore[arg-type]
    assert kernel.places == {}
    kernel.subtrees = kernel.policy_rules = False
    assert not has_subtrees(kernel)  # type: ignore[arg-type]
    assert not has_rules(kernel)  # type: ignore[arg-type]


@pytest.mark.parametrize("others", [0, 15])
def test_one_source_prefix_more_costs_what_its_own_table_takes(others: int) -> None:
    def table_of(sources: int) -> KernelRoutes:
        _, routes = kernel_routes()
        for number in range(500):
            routes.learn(p(f"10.{number // 250}.{number % 250}.0/24"), NEXT_HOP, 3, b"")
        for number in range(sources):
            routes.learn(p(f"0.0.0.0/0 from 172.16.{number}.0/24"), NEXT_HOP, 3, b"")
        routes.flush()
        return routes

    def change(routes: KernelRoutes) -> None:
        routes.learn(p("192.0.2.0/24 from 172.16.0.0/24"), NEXT_HOP, 3, b"")
        routes.flush()
        routes.forget(p("192.0.2.0/24 from 172.16.0.0/24"))
        routes.flush()

    few, many = table_of(1), table_of(1 + others)
    assert calls(lambda: change(many)) < 2 * calls(lambda: change(few))
    assert calls(lambda: change(many)) < calls(lambda: table_of(1))


def test_ever_new_source_prefixes_of_ipv6_do_not_slow_the_plan_of_ipv4_down() -> None:
    def cost(strangers: int) -> int:
        tables = {Prefix.parse(f"10.{n}.0.0/16"): 6701 + n for n in range(16)}
        ours = [Prefix.parse(f"0.0.0.0/0 from {source}") for source in tables]
        ours += [Prefix.parse(f"192.0.{n}.0/24 from 10.0.0.0/16") for n in range(200)]
        ours += [Prefix.parse(f"::/0 from 2001:db8:{n:x}::/48") for n in range(strangers)]
        plans: list[ThrowPlan] = []
        called = calls(lambda: plans.append(ThrowPlan(tables, ours, ())))
        assert plans[0].throws == {}
        return called

    assert cost(8000) < 3 * cost(0)
