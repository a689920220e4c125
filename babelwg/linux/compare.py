"""What the kernel should have of ours beside what it has: routes place by place, and rules."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Literal, NamedTuple

from babelwg.linux.errors import KernelError
from babelwg.linux.fib import KernelRoutes
from babelwg.linux.netlink import RequestSocket
from babelwg.linux.routes import PROTOCOL_BABEL, PROTOCOL_NAMES, Place, Route, dump_routes
from babelwg.linux.rules import NODE_PRIORITIES, SOURCE_PRIORITIES, Rule, read_rules

Verdict = Literal["ok", "missing", "different", "refused", "beaten", "not wanted"]


class Present(NamedTuple):
    """Routes of Babel's protocol in the tables that we use, those of others, and rules with our priorities."""

    routes: tuple[Route, ...]
    rules: frozenset[Rule]
    foreign: tuple[Route, ...] = ()


class ComparedRoute(NamedTuple):
    """A route that is wanted, present, or both; `reason` is the kernel's where it refused.

    Of a route that is beaten, what is present is the one of another program that beats it.
    """

    wanted: Route | None
    present: Route | None
    verdict: Verdict
    reason: str | None = None

    @property
    def ours(self) -> Route:
        """The route of ours, as the kernel has it if it does."""
        route = self.wanted if self.verdict == "beaten" else self.present or self.wanted
        assert route is not None, "a compared route is wanted or present"
        return route


class ComparedRoutes(NamedTuple):
    """Routes with their verdicts, and by table how many are wanted and how many present.

    `rows` are those of places where something differs, `fine` the others; both by table and prefix.
    """

    rows: list[ComparedRoute]
    fine: list[Route]
    wanted: Counter[int]
    present: Counter[int]

    def in_order(self) -> list[ComparedRoute]:
        """Return all of them by table and prefix."""
        fine = [ComparedRoute(route, route, "ok") for route in self.fine]
        return sorted((*self.rows, *fine), key=lambda row: row.ours.place)


class ComparedRule(NamedTuple):
    """A rule that is wanted, present, or both."""

    rule: Rule
    verdict: Verdict


def read_present(requests: RequestSocket, tables: Iterable[int]) -> Present:
    """Return what the kernel has now. Raises KernelError."""
    routes = [route for table in sorted(tables) for route in dump_routes(requests, table)]
    return Present(
        tuple(route for route in routes if route.protocol == PROTOCOL_BABEL),
        frozenset(read_rules(requests, {*NODE_PRIORITIES, *SOURCE_PRIORITIES})),
        tuple(route for route in routes if route.protocol != PROTOCOL_BABEL),
    )


def compare_routes(
    fib: KernelRoutes,
    present: Iterable[Route],
    chosen: Callable[[Iterable[Place]], Iterable[Place]] = list,
    foreign: Iterable[Route] = (),
) -> ComparedRoutes:
    """Return every route of ours that differs, and of those as wanted the `chosen` ones; both by table and prefix."""
    wanted = fib.all_wanted()
    rivals = _rivals(wanted, foreign)
    fine, odd = _sort_out(fib, wanted, present)
    doubtful = odd.keys() | rivals.keys()
    if len(fine) < len(wanted):
        doubtful |= wanted.keys() - fine.keys()
    rows = []
    for place in sorted(doubtful):
        as_wanted = fine.get(place)
        there = [*([as_wanted] if as_wanted is not None else ()), *odd.get(place, ())]
        rows += _at_place(fib, wanted.get(place), there, rivals.get(place))
    # They come in the order of the dump, which is nearly the one that is wanted here.
    places = sorted(chosen(fine))
    if doubtful:
        places = [place for place in places if place not in doubtful]
    held = Counter(map(itemgetter(0), fine))
    for (table, _), routes in odd.items():
        held[table] += len(routes)
    return ComparedRoutes(rows, [fine[place] for place in places], Counter(map(itemgetter(0), wanted)), held)


def none_of(places: Iterable[Place]) -> Iterable[Place]:
    """Choose none of the places where all is as wanted."""
    del places
    return ()


def _sort_out(
    fib: KernelRoutes, wanted: Mapping[Place, Route], present: Iterable[Route]
) -> tuple[dict[Place, Route], dict[Place, list[Route]]]:
    """Return by place the routes that are as wanted, and others of ours."""
    present = [*present]
    fine = {(route.table, route.prefix): route for route in present}
    if len(fine) == len(present) and fine == wanted:
        return fine, {}
    fine = {}
    own = {table for table in {route.table for route in present} if fib.is_own_table(table)}
    odd: dict[Place, list[Route]] = {}
    for route in present:
        place = route.table, route.prefix
        if wanted.get(place) == route and place not in fine:
            fine[place] = route
        elif route.table in own or place in wanted or fib.installed.get(place) == route:
            odd.setdefault(place, []).append(route)
    return fine, odd


def beats(foreign: Route, ours: Route) -> bool:
    """Return whether the kernel prefers another program's route of the same place to ours."""
    return foreign.priority < ours.priority


def compare_rules(wanted: Iterable[Rule], present: Iterable[Rule]) -> list[ComparedRule]:
    """Return every rule of ours with a verdict, by priority."""
    desired, there = set(wanted), set(present)

    def verdict(rule: Rule) -> Verdict:
        if rule not in there:
            return "missing"
        return "ok" if rule in desired else "not wanted"

    rules = sorted(desired | there, key=lambda rule: (rule.priority, rule))
    return [ComparedRule(rule, verdict(rule)) for rule in rules]


def _rivals(wanted: Mapping[Place, Route], foreign: Iterable[Route]) -> dict[Place, Route]:
    """Return by place the first of the routes of others that the kernel does not put behind ours."""
    rivals: dict[Place, Route] = {}
    for route in sorted(foreign, key=lambda route: route.priority, reverse=True):
        ours = wanted.get(route.place)
        if ours is not None and route.priority <= ours.priority:
            rivals[route.place] = route
    return rivals


def _at_place(
    fib: KernelRoutes, wanted: Route | None, present: list[Route], rival: Route | None
) -> list[ComparedRoute]:
    rest = list(present)
    found = []
    if wanted is not None:
        if wanted in rest:
            rest.remove(wanted)
            if rival is not None and beats(rival, wanted):
                why = f"the kernel prefers {_told(rival)}"
                found.append(ComparedRoute(wanted, rival, "beaten", why))
            else:
                found.append(ComparedRoute(wanted, wanted, "ok"))
        else:
            # Of several priorities, the one that stands where ours should is the one to look at.
            other = next((route for route in rest if route.priority == wanted.priority), None)
            if other is not None:
                rest.remove(other)
            refusal = fib.refused.get(fib.sources.named(wanted))
            if refusal is not None and refusal.errno:
                reason = KernelError("", "", refusal.errno, refusal.detail).reason
                found.append(ComparedRoute(wanted, other, "refused", reason))
            else:
                state: Verdict = "missing" if other is None else "different"
                held = f"its place has {_told(rival)}" if rival is not None else None
                found.append(ComparedRoute(wanted, other, state, held))
    # In a table that others share, a second route at one of our places may be somebody else's.
    return found + [ComparedRoute(None, route, "not wanted") for route in rest if _is_ours(fib, route)]


def _is_ours(fib: KernelRoutes, route: Route) -> bool:
    return fib.is_own_table(route.table) or fib.installed.get(route.place) == route


def _told(rival: Route) -> str:
    protocol = PROTOCOL_NAMES.get(rival.protocol, rival.protocol)
    return f"a route of another program (protocol {protocol}, metric {rival.priority})"
