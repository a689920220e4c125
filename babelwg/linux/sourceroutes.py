"""What stands in the tables of source prefixes besides learned routes: copies of main's, and throw routes."""

from collections.abc import Collection, Iterable, Mapping

from babelwg.babel.wire.prefix import Prefix
from babelwg.linux.routes import PRIORITY, PROTOCOL_BABEL, Place, Route
from babelwg.linux.sourcetables import MAX_SOURCES, SOURCE_TABLES, SourceTables
from babelwg.linux.throwplan import ThrowPlan

# Implementation constants
MOST_SINGLE = 16  # source-specific prefixes that come and go one by one; for more, all is planned anew


class SourceRoutes:
    """Which table each source prefix has, and the routes that keep looking up destination-first over all tables.

    While no source prefix has a table, no route depends on another one, and nothing here costs anything.
    """

    def __init__(self, table: int, subtrees: bool) -> None:
        """Plan beside the plain routes of `table`; with `subtrees` it holds the source-specific ones of IPv6 too."""
        self.tables = SourceTables()
        self.own: dict[Place, Route] = {}  # what we announce and main serves
        self.freed = False  # whether a source prefix gave its table back, so that another may have it
        self._table = table
        self._subtrees = subtrees
        self._main: frozenset[Prefix] = frozenset()  # the operator's destinations
        self._plan = ThrowPlan({}, (), ())
        self._moved: set[Prefix] = set()  # plain prefixes that came or went since the plan was made
        self.is_stale = False  # whether the throw routes have to be planned anew

    @property
    def throws(self) -> dict[Place, Route]:
        """The throw routes that were planned last."""
        return self._plan.throws

    def needs_table(self, prefix: Prefix) -> bool:
        """Return whether a prefix is source-specific and has to stand in a table of its source prefix."""
        return prefix.source_plen > 0 and not (self._subtrees and prefix.family == 6)

    def place(self, prefix: Prefix, table: int | None = None) -> Place | str:
        """Return where the kernel keeps the route of a prefix, or why it has no place for it."""
        if table is not None and table in SOURCE_TABLES:
            return f"table {table} is one of those for source prefixes"
        if not self.needs_table(prefix):
            return table or self._table, prefix
        if table not in (None, self._table):
            return f"a source-specific route of IPv{prefix.family} cannot go to table {table}"
        source = prefix.source
        assert source is not None, "only a source-specific prefix needs a table of its own"
        if (slot := self.tables.take(source)) is None:
            return f"all {MAX_SOURCES} tables for source prefixes of IPv{prefix.family} are taken"
        return slot, prefix.destination

    def guard(self, main: Iterable[Prefix], own: Mapping[Prefix, Route]) -> set[Place]:
        """Stand aside for the operator's destinations, with copies of main's routes; return the places that differ."""
        copies: dict[Place, Route] = {}
        for prefix, route in own.items():
            source = prefix.source if self.needs_table(prefix) else None
            slot = self.tables.take(source) if source is not None else None
            if slot is not None:
                copies[slot, prefix.destination] = route._replace(
                    prefix=prefix.destination,
                    table=slot,
                    source=b"",
                    priority=PRIORITY,
                    protocol=PROTOCOL_BABEL,
                )
        destinations = frozenset(main)
        self.is_stale = self.is_stale or copies.keys() != self.own.keys() or destinations != self._main
        before, self.own, self._main = self.own, copies, destinations
        return differing(before, copies)

    def clear(self) -> None:
        """Have nothing of our own any more."""
        self.own.clear()
        self.is_stale = True

    def outdate(self) -> None:
        """Plan everything anew next time."""
        self.is_stale = True

    def moved(self, prefix: Prefix) -> None:
        """Take note that a learned prefix came, went or has another place."""
        if self.tables.tables:
            self._moved.add(prefix)

    def plan(
        self, learned: Mapping[Prefix, Route], by_place: Collection[Place], adopted: Collection[Place]
    ) -> set[Place]:
        """Bring the throw routes up to date; return the places where they differ."""
        sourced = {prefix for prefix in self._moved if self.needs_table(prefix)}
        # While no source prefix has a table, nobody says which plain prefixes come and go.
        is_first = bool(sourced) and not self._plan.tables
        changed: set[Place] = set()
        if self.is_stale or is_first or len(sourced) > MOST_SINGLE:
            self.is_stale = False
            changed = self._plan_anew(learned, by_place, adopted) if self.tables.tables else set()
        else:
            for prefix in self._moved - sourced:
                route = learned.get(prefix)
                present = route is not None and route.table == self._table
                changed |= self._plan.toggle(prefix, present)
            for prefix in sourced:
                changed |= self._move_sourced(prefix, by_place, adopted)
            if sourced:
                self.freed = self.tables.keep(self._plan.tables.keys()) or self.freed
        self._moved.clear()
        return changed

    def _move_sourced(
        self, prefix: Prefix, by_place: Collection[Place], adopted: Collection[Place]
    ) -> set[Place]:
        source = prefix.source
        assert source is not None, "only a source-specific prefix needs a table of its own"
        table = self.tables.tables.get(source)
        if table is None:
            return set()  # It found none, or has given it back.
        place = table, prefix.destination
        is_there = place in by_place or place in self.own or place in adopted
        return self._plan.toggle_sourced(prefix, table, is_there)

    def _plan_anew(
        self, learned: Mapping[Prefix, Route], by_place: Collection[Place], adopted: Collection[Place]
    ) -> set[Place]:
        held = {*by_place, *self.own, *adopted}
        in_tables = {place for place in held if place[0] in SOURCE_TABLES}
        used = {self.tables.source_of(place) for place in in_tables}
        self.freed = self.tables.keep({source for source in used if source}) or self.freed
        ours = {prefix for prefix, route in learned.items() if route.table == self._table}
        ours |= {prefix.with_source(self.tables.source_of((table, prefix))) for table, prefix in in_tables}
        before, self._plan = self._plan, ThrowPlan(self.tables.tables, ours, self._main)
        return differing(before.throws, self._plan.throws)


def differing(old: Mapping[Place, Route], new: Mapping[Place, Route]) -> set[Place]:
    """Return each place where two sets of routes differ."""
    return {place for place in old.keys() | new.keys() if old.get(place) != new.get(place)}
