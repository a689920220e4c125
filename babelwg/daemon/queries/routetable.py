"""Routes as `show routes` tells them: as columns, or as the JSON of a record for each."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from babelwg.babel.routeview import RouteColumns, RouteState
from babelwg.babel.wire.prefix import Prefix
from babelwg.daemon.control import encode
from babelwg.daemon.problems import why_not_there
from babelwg.daemon.texts import ip_text, prefix_text, router_id_text
from babelwg.linux.routes import UNREACHABLE

if TYPE_CHECKING:
    from babelwg.daemon.node import Node

OfPlace = tuple[RouteState, int | None, bool, str | None]

ROUTE_FIELDS = (
    "prefix", "router_id", "origin", "neighbour", "neighbour_name", "peer", "interface", "next_hop", "seqno",
    "refmetric", "metric", "state", "installed", "table", "held", "reason", "age_s", "expires_s",
)  # fmt: skip
OF_ORIGIN = ("router_id", "origin")
OF_LINK = ("neighbour", "neighbour_name", "peer", "interface", "next_hop")
OF_PLACE = ("state", "installed", "table", "held", "reason")
OF_METRIC = ("seqno", "refmetric", "metric")
OF_TIME = ("age_s", "expires_s")
# Implementation constants
FULL_PART = 1000  # routes; the texts of their prefixes are kept


class Shared:
    """Fields that many routes have in common: worked out once for each kind, and the kind of each route."""

    def __init__(self, fields: Sequence[str], describe: Callable[[Any], Sequence[Any]]) -> None:
        """Share `fields`, which `describe` makes of what the routes of a kind have in common."""
        self.fields = fields
        self.kinds: list[Sequence[Any]] = []
        self.rows: list[int] = []
        self._describe = describe
        self._numbers = _Numbers(self._number)

    def add(self, keys: Iterable[Hashable]) -> None:
        """Take in what each of some routes has in common with others."""
        self.rows += map(self._numbers.__getitem__, keys)

    def _number(self, key: Hashable) -> int:
        """Return the number of a kind that is seen for the first time."""
        self.kinds.append(self._describe(key))
        return len(self.kinds) - 1

    def columns(self) -> dict[str, Any]:
        """Return the fields of each kind, and the kind of each route by its number."""
        kinds = [*zip(*self.kinds, strict=True)] or [()] * len(self.fields)
        return {"fields": dict(zip(self.fields, kinds, strict=True)), "rows": self.rows}

    def has_any(self, fields: Sequence[str]) -> bool:
        """Return whether any of some fields is among these."""
        return not {*self.fields}.isdisjoint(fields)

    def values(self) -> dict[str, list[Any]]:
        """Return each field of all routes."""
        kinds = [*zip(*self.kinds, strict=True)] or [()] * len(self.fields)
        return {f: [of_kind[n] for n in self.rows] for f, of_kind in zip(self.fields, kinds, strict=True)}

    def octets(self) -> list[str]:
        """Return the JSON of the fields of each route, without braces."""
        kinds = [encode(dict(zip(self.fields, kind, strict=True)))[1:-1].decode() for kind in self.kinds]
        return [kinds[number] for number in self.rows]


class _Numbers(dict[Hashable, int]):
    """The number of each kind; that of a new one is asked for, and the look-up of the others is dict's own."""

    def __init__(self, number: Callable[[Hashable], int]) -> None:
        super().__init__()
        self._number = number

    def __missing__(self, key: Hashable) -> int:
        self[key] = number = self._number(key)
        return number


class PrefixTexts:
    """Prefixes as text; those of large tables are kept, as they seldom change from one question to the next."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Sequence[Prefix], list[str]]] = {}

    def of(self, start: int, prefixes: Sequence[Prefix]) -> list[str]:
        """Return the text of each prefix of a part that begins at this row."""
        known = self._known.get(start)
        if known is not None and known[0] == prefixes:
            return known[1]
        texts = [prefix_text(prefix) for prefix in prefixes]
        if len(prefixes) >= FULL_PART:
            self._known[start] = prefixes, texts
        return texts


class RouteTable:
    """Routes as `show routes` tells them; what many have in common is worked out and told once."""

    def __init__(self, node: "Node", texts: PrefixTexts) -> None:
        self._node = node
        self._texts = texts
        self._prefixes: list[str] = []
        self._times: list[list[float]] = [[] for _ in OF_TIME]
        names = node.names
        self._origins = Shared(OF_ORIGIN, lambda known: (router_id_text(known), names.origin(known)))
        self._links = Shared(OF_LINK, self._describe_link)
        self._metrics = Shared(OF_METRIC, lambda metrics: metrics)
        self._places = Shared(OF_PLACE, _describe_place)
        self._groups = self._origins, self._links, self._metrics, self._places

    def add(self, start: int, routes: RouteColumns) -> None:
        """Take in some more routes, which begin at this row of a table."""
        self._origins.add(routes.router_ids)
        self._links.add(zip(routes.interfaces, routes.neighbours, routes.next_hops, strict=True))
        self._metrics.add(zip(routes.seqnos, routes.refmetrics, routes.metrics, strict=True))
        self._places.add(self._place_all(routes.prefixes, routes.states))
        self._prefixes += self._texts.of(start, routes.prefixes)
        for times, column in zip(self._times, (routes.ages, routes.expires), strict=True):
            times += column

    def columns(self, fields: Sequence[str], in_whole_seconds: bool = False) -> dict[str, Any]:
        """Return these fields: a list of values for each of a route's own, and those that routes have in common.

        Times are in seconds, down to the millisecond or `in_whole_seconds`.
        """
        shared = [group for group in self._groups if group.has_any(fields)]
        own: dict[str, list[Any]] = {"prefix": self._prefixes} if "prefix" in fields else {}
        for field, times in zip(OF_TIME, self._times, strict=True):
            if field not in fields:
                continue
            if in_whole_seconds:
                shared.append(Shared((field,), lambda seconds: (seconds,)))
                shared[-1].add(map(int, times))
            else:
                own[field] = _milliseconds(times)
        return {"fields": fields, "columns": own, "shared": [group.columns() for group in shared]}

    def records(self) -> list[dict[str, Any]]:
        """Return a record for each route."""
        found: dict[str, list[Any]] = {"prefix": self._prefixes}
        found |= dict(zip(OF_TIME, map(_milliseconds, self._times), strict=True))
        for group in self._groups:
            found |= group.values()
        columns = zip(*(found[field] for field in ROUTE_FIELDS), strict=True)
        return [dict(zip(ROUTE_FIELDS, row, strict=True)) for row in columns]

    def octets(self) -> msgspec.Raw:
        """Return the JSON of all records; to make the records first would take several times as long."""
        if not self._prefixes:
            return msgspec.Raw(b"[]")
        shared = (group.octets() for group in self._groups)
        # Thousands of numbers at once are written several times as fast as one by one.
        times = (encode(_milliseconds(column))[1:-1].decode().split(",") for column in self._times)
        rows = [
            f'{{"prefix":"{prefix}",{origin},{link},{metrics},{place},"age_s":{age},"expires_s":{expires}}}'
            for prefix, origin, link, metrics, place, age, expires in zip(
                self._prefixes, *shared, *times, strict=True
            )
        ]
        return msgspec.Raw(f"[{','.join(rows)}]".encode())

    def _describe_link(self, link: tuple[str, bytes, bytes]) -> tuple[str | None, ...]:
        (interface, neighbour, next_hop), names = link, self._node.names
        return (
            ip_text(neighbour),
            names.neighbour(interface, neighbour),
            names.peer_on(interface),
            interface,
            ip_text(next_hop),
        )

    def _place_all(self, prefixes: Sequence[Prefix], states: Sequence[RouteState]) -> list[OfPlace]:
        """Return of each route its state, the table that has it, whether it is held, why the kernel has it not."""
        tables = self._node.routes.tables_of(prefixes)
        return [
            (state, table, False, None)
            if table is not None and state == "selected"
            else self._missing(prefix, state)
            for prefix, state, table in zip(prefixes, states, tables, strict=True)
        ]

    def _missing(self, prefix: Prefix, state: RouteState) -> OfPlace:
        kernel = self._node.routes
        wanted = kernel.learned.get(prefix)
        reason = None
        if state in ("selected", "feasible", "refused"):
            refusal = kernel.refused.get(prefix)
            if refusal is not None:
                reason = why_not_there(refusal)
            elif state == "refused":
                reason = "the kernel refused the route"
            elif prefix in self._node.routing.installer.guarded:
                reason = "a route of the operator leads there"
        return state, None, wanted is not None and wanted.kind == UNREACHABLE, reason


def _milliseconds(times: Iterable[float]) -> list[float]:
    """Return times in seconds without what is below a millisecond; round() would take several times as long."""
    return [int(seconds * 1000) / 1000 for seconds in times]


def _describe_place(place: OfPlace) -> tuple[Any, ...]:
    state, table, held, reason = place
    return state, table is not None, table, held, reason
