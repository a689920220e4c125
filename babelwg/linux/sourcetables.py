"""Source-specific routes where the kernel has no subtrees: a table for each source prefix (RFC 9079, section 4).

Linux asks rules in their order, so a rule `from S` by itself would be source-first. Each source table therefore holds
a `throw` route for every more specific destination that a table asked later has, and look-up is destination-first.
"""

from collections.abc import Collection, Iterable, Mapping

from babelwg.babel.wire.prefix import Prefix
from babelwg.config.addresses import covers, mask
from babelwg.linux.routes import THROW, Place, Route
from babelwg.linux.rules import SOURCE_PRIORITIES, Rule

# Implementation constants
FIRST_TABLE = 6701
MAX_SOURCES = 16  # of each family: as many as there are priorities before that of our table
SOURCE_TABLES = range(FIRST_TABLE, FIRST_TABLE + MAX_SOURCES)


Destinations = dict[Prefix | None, set[Prefix]]  # by source prefix


class SourceTables:
    """Which table each source prefix has, at most sixteen of each family."""

    def __init__(self) -> None:
        self.tables: dict[Prefix, int] = {}

    def take(self, source: Prefix) -> int | None:
        """Return the table of a source prefix, a free one for a new one; None when all are taken."""
        if source not in self.tables:
            taken = {table for other, table in self.tables.items() if other.family == source.family}
            free = next((table for table in SOURCE_TABLES if table not in taken), None)
            if free is None:
                return None
            self.tables[source] = free
        return self.tables[source]

    def keep(self, used: Collection[Prefix]) -> bool:
        """Give back the tables of all other source prefixes; return whether there were any."""
        unused = self.tables.keys() - used
        for source in unused:
            del self.tables[source]
        return bool(unused)

    def adopt(self, rules: Iterable[Rule]) -> None:
        """Know the tables of an earlier life by the rules that lead to them."""
        for rule in rules:
            if rule.table in SOURCE_TABLES and rule.source:
                self.tables.setdefault(Prefix.parse(rule.source), rule.table)

    def source_of(self, place: Place) -> Prefix | None:
        """Return the source prefix whose table a place is in, None for any other table."""
        table, prefix = place
        if table not in SOURCE_TABLES:
            return None
        return next((s for s, t in self.tables.items() if t == table and s.family == prefix.family), None)

    def named(self, route: Route) -> Prefix:
        """Return the prefix by which Babel knows a route of the kernel."""
        source = self.source_of(route.place)
        return route.prefix if source is None else route.prefix.with_source(source)

    def rules(self) -> set[Rule]:
        """Return the rules that lead packets to these tables, the longest source prefix first."""
        rules = set()
        for family in (4, 6):
            # Source prefixes of one length share no address, so they may share a priority.
            lengths = sorted({s.plen for s in self.tables if s.family == family}, reverse=True)
            rules |= {
                Rule(family, SOURCE_PRIORITIES[lengths.index(s.plen)], table, source=str(s))
                for s, table in self.tables.items()
                if s.family == family
            }
        return rules


class ThrowPlan:
    """The throw routes of the source tables, given what our tables and what the operator's hold.

    A destination that is in a source table itself gets none there: of equal destinations the longer source wins.
    """

    def __init__(self, tables: Mapping[Prefix, int], ours: Iterable[Prefix], main: Iterable[Prefix]) -> None:
        self._tables = dict(tables)
        self._ours: Destinations = {}
        self._main: Destinations = {}
        for held, prefixes in ((self._ours, ours), (self._main, main)):
            for prefix in prefixes:
                held.setdefault(prefix.source, set()).add(prefix.destination)
        self._lengths = {s: sorted({d.plen for d in self._ours.get(s, ())}) for s in self._tables}
        self._ours.setdefault(None, set())
        self._later = {s: self._asked_later(s) for s in self._tables}
        everything = {d for held in (self._ours, self._main) for found in held.values() for d in found}
        self.throws: dict[Place, Route] = {}
        for destination in everything:
            self._plan(destination)

    def toggle(self, destination: Prefix, present: bool) -> set[Place]:
        """Take note that our table has a plain route or has it no more; return the places that may differ."""
        plain = self._ours[None]
        (plain.add if present else plain.discard)(destination)
        return self._plan(destination)

    def _plan(self, destination: Prefix) -> set[Place]:
        places = set()
        for source, table in self._tables.items():
            if source.family == destination.family:
                place = table, destination
                places.add(place)
                if self._needs_throw(source, destination):
                    self.throws[place] = Route(destination, table, THROW)
                else:
                    self.throws.pop(place, None)
        return places

    def _needs_throw(self, source: Prefix, destination: Prefix) -> bool:
        own = self._ours.get(source, set())
        if destination in own or not _is_covered(destination, own, self._lengths[source]):
            return False
        return any(destination in found for found in self._later[source])

    def _asked_later(self, source: Prefix) -> list[set[Prefix]]:
        """Return what the tables hold that are asked later for packets from a source prefix: it lies in theirs."""
        return [
            found
            for held in (self._ours, self._main)
            for other, found in held.items()
            if other is None or (other.family == source.family and other != source and covers(other, source))
        ]


def _is_covered(prefix: Prefix, by: set[Prefix], lengths: list[int]) -> bool:
    return any(
        plen < prefix.plen and Prefix(prefix.family, mask(prefix.network, plen), plen) in by
        for plen in lengths
    )
