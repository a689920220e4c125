"""Throw routes that keep look-up destination-first over the tables of source prefixes (RFC 9079, section 4).

Linux asks rules in their order, so a rule `from S` by itself would be source-first. Each source table therefore holds
a `throw` route for every more specific destination that a table asked later has, and look-up is destination-first.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from babelwg.babel.wire.prefix import Prefix
from babelwg.config.addresses import covers, mask
from babelwg.linux.routes import THROW, Place, Route

Destinations = dict[Prefix | None, set[Prefix]]  # by source prefix


class ThrowPlan:
    """The throw routes of the source tables, given what our tables and what the operator's hold.

    A destination that is in a source table itself gets none there: of equal destinations the longer source wins.
    """

    def __init__(self, tables: Mapping[Prefix, int], ours: Iterable[Prefix], main: Iterable[Prefix]) -> None:
        """Plan for source prefixes with these tables, and for the source-specific or plain prefixes they hold."""
        self.throws: dict[Place, Route] = {}
        self.tables = dict(tables)
        self._ours: Destinations = {None: set()}
        self._main: Destinations = {}
        for held, prefixes in ((self._ours, ours), (self._main, main)):
            for prefix in prefixes:
                held.setdefault(prefix.source, set()).add(prefix.destination)
        self._lengths = {s: Counter(d.plen for d in self._ours.get(s, ())) for s in self.tables}
        self._later: dict[Prefix, list[set[Prefix]]] = {}
        self._order()
        for destination in {d for held in (self._ours, self._main) for found in held.values() for d in found}:
            self._plan(destination)

    def toggle(self, destination: Prefix, present: bool) -> set[Place]:
        """Take note that our table has a plain route or has it no more; return the places that may differ."""
        plain = self._ours[None]
        (plain.add if present else plain.discard)(destination)
        return self._plan(destination)

    def toggle_sourced(self, prefix: Prefix, table: int, present: bool) -> set[Place]:
        """Take note that the table of a source prefix has a route or has it no more; return what may differ.

        A source prefix that nothing is left of has no table any more.
        """
        source, destination = prefix.source, prefix.destination
        assert source is not None, "only a source-specific prefix has such a table"
        if (destination in self._ours.get(source, ())) == present:
            return set()
        own = self._ours.setdefault(source, set())
        (own.add if present else own.discard)(destination)
        lengths = self._lengths.setdefault(source, Counter())
        lengths[destination.plen] += 1 if present else -1
        lengths += Counter()  # without those that are none any more
        if not own:
            return self._forget(source) | self._plan(destination)
        if source not in self.tables:
            self.tables[source] = table
            self._order()
        # In its own table what it covers may differ, and in the others it itself.
        covered = {d for found in self._later[source] for d in found if covers(destination, d)}
        return self._plan(destination) | {place for d in covered for place in self._plan_in(source, d)}

    def _forget(self, source: Prefix) -> set[Place]:
        del self._ours[source], self._lengths[source]
        table = self.tables.pop(source, None)
        self._order()
        # The table of the same number of the other family is another one.
        gone = {place for place in self.throws if place[0] == table and place[1].family == source.family}
        for place in gone:
            del self.throws[place]
        return gone

    def _plan(self, destination: Prefix) -> set[Place]:
        return {place for source in self.tables for place in self._plan_in(source, destination)}

    def _plan_in(self, source: Prefix, destination: Prefix) -> tuple[Place, ...]:
        if source.family != destination.family:
            return ()
        place = self.tables[source], destination
        if self._needs_throw(source, destination):
            self.throws[place] = Route(destination, place[0], THROW)
        else:
            self.throws.pop(place, None)
        return (place,)

    def _needs_throw(self, source: Prefix, destination: Prefix) -> bool:
        own = self._ours.get(source, set())
        if destination in own or not _is_covered(destination, own, self._lengths[source]):
            return False
        return any(destination in found for found in self._later[source])

    def _order(self) -> None:
        """Note for each source prefix what the tables hold that are asked later for its packets: it lies in theirs."""
        self._later = {
            source: [
                found
                for held in (self._ours, self._main)
                for other, found in held.items()
                if other is None
                or (other.family == source.family and other != source and covers(other, source))
            ]
            for source in self.tables
        }


def _is_covered(prefix: Prefix, by: set[Prefix], lengths: Iterable[int]) -> bool:
    return any(
        plen < prefix.plen and Prefix(prefix.family, mask(prefix.network, plen), plen) in by
        for plen in lengths
    )
