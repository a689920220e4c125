"""What we want of the kernel beside what it has, read anew for each answer."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any

import msgspec

from babelwg.babel.wire.prefix import Prefix
from babelwg.config.addresses import near
from babelwg.daemon.control import INTERNAL_ERROR, Params, RequestError
from babelwg.daemon.queries.context import Context, Method
from babelwg.daemon.queries.routetable import PrefixTexts, Shared
from babelwg.daemon.queries.selection import meets, network_of
from babelwg.daemon.texts import ip_text
from babelwg.linux.compare import (
    ComparedRoutes,
    ComparedRule,
    Present,
    Verdict,
    compare_routes,
    compare_rules,
    none_of,
    read_present,
)
from babelwg.linux.errors import KernelError
from babelwg.linux.netlink import RequestSocket
from babelwg.linux.routes import KIND_NAMES, PROTOCOL_BABEL, PROTOCOL_NAMES, Place, Route
from babelwg.linux.rules import Rule

Way = tuple[Any, ...]
Choice = Callable[[Iterable[Place]], Iterable[Place]]
OfKind = tuple[Verdict, str | None, Way | None, Way | None]
OF_KIND = ("table", "peer", "state", "reason", "wanted", "present")
EVERYTHING = Prefix(4, bytes(4), 0)  # what is said of a way is the same for all prefixes


class Kernel:
    """Answers about the kernel's side."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._texts = PrefixTexts()

    def methods(self) -> dict[str, Method]:
        """Return these answers by their names on the control socket."""
        return {"kernel": self._kernel}

    async def _kernel(self, params: Params) -> Any:
        fib, word = self._context.node.routes, params.get("filter")
        chosen = _choice(bool(params.get("brief")), word)
        tables = fib.tables()
        try:
            # A dump of many routes takes its time, in which Hellos have to leave.
            routes, rules = self._compare(await asyncio.to_thread(_read, tables), chosen)
            if routes.rows or _odd(rules):
                # Something may have moved meanwhile; only a look in one breath tells.
                routes, rules = self._compare(read_present(self._context.node.requests, fib.tables()), chosen)
        except KernelError as error:
            raise RequestError(INTERNAL_ERROR, str(error)) from error
        sources = {table: str(source) for source, table in fib.sources.tables.items()}
        ours, kinds = self._select(routes, word)
        rules = [] if word is not None else rules
        return {
            "table": fib.table,
            "differences": sum(kind[0] != "ok" for kind in kinds) + _odd(rules),
            "tables": [
                {
                    "table": n,
                    "source": sources.get(n),
                    "wanted": routes.wanted[n],
                    "present": routes.present[n],
                }
                for n in sorted({*fib.tables(), *routes.wanted, *routes.present})
            ],
            "rules": [_describe_rule(compared) for compared in rules],
            "routes": self._tell(ours, kinds, bool(params.get("columns"))),
        }

    def _compare(self, present: Present, chosen: Choice) -> tuple[ComparedRoutes, list[ComparedRule]]:
        node = self._context.node
        rules = {*node.kernel.rules, *node.routes.sources.rules()}
        routes = compare_routes(node.routes, present.routes, chosen, present.foreign)
        return routes, compare_rules(rules, present.rules)

    def _select(self, compared: ComparedRoutes, word: object) -> tuple[list[Route], list[OfKind]]:
        """Return the routes that a word selects, all without one, and of each all that others have in common."""
        if compared.rows:
            rows = compared.in_order()
            ours = [row.ours for row in rows]
            keys: list[OfKind] = [
                (v, why, want and want[1:], there and there[1:]) for want, there, v, why in rows
            ]
        else:
            ours = compared.fine
            keys = [("ok", None, way, way) for way in map(itemgetter(slice(1, None)), ours)]
        if word is None:
            return ours, keys
        numbers = self._chosen(ours, str(word))
        return [ours[n] for n in numbers], [keys[n] for n in numbers]

    def _tell(self, ours: list[Route], keys: list[OfKind], as_columns: bool) -> Any:
        """Return what is said of routes, as columns or as the JSON of a record for each."""
        kinds = Shared(OF_KIND, self._describe_kind)
        kinds.add(keys)
        prefixes = self._texts.of(0, [*map(itemgetter(0), ours)])
        if as_columns:
            own = {"prefix": prefixes}
            return {"fields": ("prefix", *OF_KIND), "columns": own, "shared": [kinds.columns()]}
        records = [f'{{"prefix":"{p}",{k}}}' for p, k in zip(prefixes, kinds.octets(), strict=True)]
        return msgspec.Raw(f"[{','.join(records)}]".encode())

    def _chosen(self, routes: list[Route], word: str) -> list[int]:
        """Return the numbers of the routes that a peer, an interface, an address or a prefix selects."""
        network = network_of(word)
        if network is None:
            names, name = self._context.names, self._context.node.monitor.mirror.name
            self._context.learn_names()
            shown, prefixes = names.selected_by(word), names.prefixes_of(word)
            named = {n: name(n) for n in {route.interface for route in routes} if n}
            chosen = {n for n, i in named.items() if not shown.isdisjoint((i, names.peer_on(i)))}
            return [n for n, r in enumerate(routes) if r.interface in chosen or r.prefix in prefixes]
        return [number for number, route in enumerate(routes) if meets(route.prefix, network)]

    def _describe_kind(self, kind: OfKind) -> tuple[Any, ...]:
        verdict, reason, wanted, present = kind
        way = wanted or present
        assert way is not None, "a compared route is wanted or present"
        route = Route(EVERYTHING, *way)
        interface = self._context.node.monitor.mirror.name(route.interface) if route.interface else None
        peer = self._context.names.peer_on(interface) if interface else None
        told = [self._describe(Route(EVERYTHING, *way)) if way else None for way in (wanted, present)]
        return route.table, peer, verdict, reason, *told

    def _describe(self, route: Route | None) -> dict[str, Any] | None:
        if route is None:
            return None
        name = self._context.node.monitor.mirror.name
        foreign = {} if route.protocol == PROTOCOL_BABEL else {"protocol": _protocol_of(route)}
        return foreign | {
            "type": KIND_NAMES.get(route.kind, str(route.kind)),
            "next_hop": ip_text(route.next_hop) if route.next_hop else None,
            "interface": name(route.interface) if route.interface else None,
            "source": ip_text(route.source) if route.source else None,
            "priority": route.priority,
        }


def _choice(is_brief: bool, word: object) -> Choice:
    """Return which places are told though all is as wanted there: of a large table those that a prefix selects."""
    network = network_of(str(word))
    if network is None:
        return none_of if is_brief and word is None else list

    is_near = near(network)

    def choice(places: Iterable[Place]) -> Iterable[Place]:
        return [place for place in places if is_near(place[1].network) and meets(place[1], network)]

    return choice


def _read(tables: set[int]) -> Present:
    with contextlib.closing(RequestSocket()) as requests:
        return read_present(requests, tables)


def _protocol_of(route: Route) -> str:
    return PROTOCOL_NAMES.get(route.protocol, str(route.protocol))


def _odd(rules: list[ComparedRule]) -> int:
    return sum(rule.verdict != "ok" for rule in rules)


def _describe_rule(compared: ComparedRule) -> dict[str, Any]:
    rule = compared.rule
    return {
        "priority": rule.priority,
        "family": rule.family,
        "rule": rule_text(rule),
        "state": compared.verdict,
    }


def rule_text(rule: Rule) -> str:
    """Return a rule as `ip rule` writes it."""
    words = [f"from {rule.source or 'all'}"]
    words += [f"to {rule.to}"] if rule.to else []
    if rule.fwmark:
        words.append(f"{'' if rule.goto else 'not '}fwmark {rule.fwmark:#x}")
    words.append(f"goto {rule.goto}" if rule.goto else f"lookup {rule.table}")
    return " ".join(words)
