"""What we want of the kernel beside what it has, read anew for each answer."""

import asyncio
import contextlib
from typing import Any

from babelwg.daemon.control import INTERNAL_ERROR, Params, RequestError
from babelwg.daemon.queries.context import Context, Method
from babelwg.daemon.texts import ip_text, prefix_text
from babelwg.linux.compare import (
    ComparedRoute,
    ComparedRoutes,
    ComparedRule,
    Present,
    compare_routes,
    compare_rules,
    read_present,
)
from babelwg.linux.errors import KernelError
from babelwg.linux.netlink import RequestSocket
from babelwg.linux.routes import KIND_NAMES, PROTOCOL_BABEL, PROTOCOL_NAMES, Route
from babelwg.linux.rules import Rule


class Kernel:
    """Answers about the kernel's side."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def methods(self) -> dict[str, Method]:
        """Return these answers by their names on the control socket."""
        return {"kernel": self._kernel}

    async def _kernel(self, params: Params) -> Any:
        fib, whole = self._context.node.routes, not params.get("brief")
        tables = fib.tables()
        try:
            # A dump of many routes takes its time, in which Hellos have to leave.
            routes, rules = self._compare(await asyncio.to_thread(_read, tables), whole)
            if _differences(routes, rules):
                # Something may have moved meanwhile; only a look in one breath tells.
                routes, rules = self._compare(read_present(self._context.node.requests, fib.tables()), whole)
        except KernelError as error:
            raise RequestError(INTERNAL_ERROR, str(error)) from error
        sources = {table: str(source) for source, table in fib.sources.tables.items()}
        return {
            "table": fib.table,
            "differences": _differences(routes, rules),
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
            "routes": [self._describe_route(compared) for compared in routes.rows],
        }

    def _compare(self, present: Present, whole: bool) -> tuple[ComparedRoutes, list[ComparedRule]]:
        node = self._context.node
        rules = {*node.kernel.rules, *node.routes.sources.rules()}
        routes = compare_routes(node.routes, present.routes, whole, present.foreign)
        return routes, compare_rules(rules, present.rules)

    def _describe_route(self, compared: ComparedRoute) -> dict[str, Any]:
        route = compared.wanted or compared.present
        assert route is not None, "a compared route is wanted or present"
        interface = self._context.node.monitor.mirror.name(route.interface) if route.interface else None
        return {
            "prefix": prefix_text(route.prefix),
            "table": route.table,
            "peer": self._context.names.peer_on(interface) if interface else None,
            "state": compared.verdict,
            "reason": compared.reason,
            "wanted": self._describe(compared.wanted),
            "present": self._describe(compared.present),
        }

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


def _read(tables: set[int]) -> Present:
    with contextlib.closing(RequestSocket()) as requests:
        return read_present(requests, tables)


def _protocol_of(route: Route) -> str:
    return PROTOCOL_NAMES.get(route.protocol, str(route.protocol))


def _differences(routes: ComparedRoutes, rules: list[ComparedRule]) -> int:
    return sum(r.verdict != "ok" for r in routes.rows) + sum(r.verdict != "ok" for r in rules)


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
