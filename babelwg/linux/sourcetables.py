"""Source-specific routes where the kernel has no subtrees: a table for each source prefix (RFC 9079, section 4).

Linux asks rules in their order, the longest source prefix first. `throwplan.py` keeps that destination-first.
"""

from collections.abc import Collection, Iterable

from babelwg.babel.wire.prefix import Prefix
from babelwg.linux.routes import Place, Route
from babelwg.linux.rules import SOURCE_PRIORITIES, Rule

# Implementation constants
FIRST_TABLE = 6701
MAX_SOURCES = 16  # of each family: as many as there are priorities before that of our table
SOURCE_TABLES = range(FIRST_TABLE, FIRST_TABLE + MAX_SOURCES)


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
