"""The tables of Babel, a record for each row."""

import asyncio
from ipaddress import ip_address
from typing import Any

from babelwg.daemon.control import INVALID_PARAMS, Params, RequestError
from babelwg.daemon.peers import describe_neighbours
from babelwg.daemon.queries.context import Context, Method
from babelwg.daemon.queries.routetable import ROUTE_FIELDS, PrefixTexts, Shared
from babelwg.daemon.queries.selection import chosen_columns
from babelwg.daemon.texts import prefix_text, router_id_text

SOURCE_FIELDS = ("prefix", "router_id", "origin", "seqno", "metric", "expires_s")
# Implementation constants
SLICE = 1000  # rows before others get the loop


class Tables:
    """Answers with the tables as they are now."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._of_sources = PrefixTexts()

    def methods(self) -> dict[str, Method]:
        """Return these answers by their names on the control socket."""
        return {
            "neighbours": self._neighbours,
            "routes": self._routes,
            "xroutes": self._xroutes,
            "sources": self._sources,
            "interfaces": self._interfaces,
        }

    async def _neighbours(self, params: Params) -> Any:
        del params
        return describe_neighbours(self._context.summary().neighbours, self._context.names)

    async def _routes(self, params: Params) -> Any:
        wanted = params.get("filter")
        routes = chosen_columns(None if wanted is None else str(wanted), self._context)
        fields = _fields_of(params)
        table = self._context.route_table()
        for start in range(0, len(routes.prefixes), SLICE):
            table.add(start, routes.part(start, start + SLICE))
            # Whoever asks for a large table must not hold up the Hellos.
            await asyncio.sleep(0)
        if fields is None:
            return table.octets()
        return table.columns(fields, bool(params.get("whole_seconds")))

    async def _xroutes(self, params: Params) -> Any:
        del params
        announced = self._context.node.routing.announced
        return [
            {"prefix": prefix_text(x.prefix), "metric": x.metric, "origin": announced[x.prefix][1]}
            for x in self._context.summary().xroutes
            if x.prefix in announced
        ]

    async def _sources(self, params: Params) -> Any:
        sources, names = self._context.sources(), self._context.names
        told = Shared(("router_id", "origin"), lambda known: (router_id_text(known), names.origin(known)))
        distances = Shared(("seqno", "metric"), lambda distance: distance)
        prefixes, router_ids, seqnos, metrics, expires = [*zip(*sources, strict=True)] or [()] * 5
        told.add(router_ids)
        distances.add(zip(seqnos, metrics, strict=True))
        own: dict[str, list[Any]] = {"prefix": self._of_sources.of(0, prefixes)}
        groups = [told, distances]
        if params.get("columns") and params.get("whole_seconds"):
            groups.append(Shared(("expires_s",), lambda seconds: (seconds,)))
            groups[-1].add(map(int, expires))
        else:
            own["expires_s"] = [int(seconds * 1000) / 1000 for seconds in expires]
        if params.get("columns"):
            return {"fields": SOURCE_FIELDS, "columns": own, "shared": [group.columns() for group in groups]}
        found = own | told.values() | distances.values()
        rows = zip(*(found[field] for field in SOURCE_FIELDS), strict=True)
        return [dict(zip(SOURCE_FIELDS, row, strict=True)) for row in rows]

    async def _interfaces(self, params: Params) -> Any:
        del params
        running = {view.name: view for view in self._context.summary().interfaces}
        answers = []
        for name, wanted in sorted(self._context.node.routing.wanted.items()):
            link, view = self._context.node.monitor.mirror.link(name), running.get(name)
            answers.append(
                {
                    "name": name,
                    "kind": wanted.parameters.kind,
                    "peer": self._context.names.peer_on(name),
                    "up": view is not None,
                    "mtu": link.mtu if link else None,
                    "link_local": str(ip_address(view.link_local)) if view else None,
                    "ipv4": str(ip_address(view.ipv4)) if view and view.ipv4 else None,
                    "hello_interval_s": wanted.parameters.hello_interval,
                    "update_interval_s": wanted.parameters.update_interval,
                    "hello_seqno": view.hello_seqno if view else None,
                    "neighbours": view.neighbours if view else 0,
                }
            )
        return answers


def _fields_of(params: Params) -> list[str] | None:
    """Return which fields of routes are wanted as columns (true for all), None for whole rows. Raises RequestError."""
    fields = params.get("columns")
    if fields is None or fields is True:
        return [*ROUTE_FIELDS] if fields else None
    if not isinstance(fields, list) or not all(field in ROUTE_FIELDS for field in fields):
        raise RequestError(INVALID_PARAMS, f"columns is a list of {', '.join(ROUTE_FIELDS)}")
    return fields
