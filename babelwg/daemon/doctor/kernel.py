"""The kernel's tables, read anew for the checks of routes and rules."""

from typing import TYPE_CHECKING

from babelwg.babel.wire.prefix import Prefix
from babelwg.config import Config
from babelwg.daemon.doctor.finding import NODE, Finding, fail
from babelwg.daemon.doctor.routes import check_lost, check_present, check_rules, check_shadows, check_tables
from babelwg.linux.errors import KernelError
from babelwg.linux.foreignrules import read_foreign_rules
from babelwg.linux.programs import running_managers
from babelwg.linux.routes import Route, dump_routes
from babelwg.linux.rules import MESH_PRIORITY, NODE_PRIORITIES, desired_rules, read_rules

if TYPE_CHECKING:
    from babelwg.daemon.node import Node

# Implementation constants
MAX_SHADOWED = 256  # prefixes that are held against the rules of others


def examine_kernel(node: "Node") -> list[Finding]:
    """Return what is to be said of routes and rules."""
    try:
        return _examine(node)
    except KernelError as error:
        return [fail("routes", NODE, "the kernel does not tell its routes", str(error), "dmesg | tail")]


def _examine(node: "Node") -> list[Finding]:
    routes, managers = node.routes, running_managers()
    # In one go without waiting, so that what we want and what is there are of one moment.
    node.monitor.receive()
    actual = {table: dump_routes(node.requests, table) for table in sorted(routes.tables())}
    wanted = [
        (prefix, route)
        for prefix, route in routes.learned.items()
        if prefix not in routes.refused and routes.wanted(route.place) == route
    ]
    found = {route for table in actual.values() for route in table}
    findings = check_present(wanted, found, managers) + check_lost(node.incidents, managers)
    if not routes.shared:
        findings += check_tables(routes.table, actual.get(routes.table, ()))
    if isinstance(node.config, Config) and not routes.shared:
        desired = desired_rules(routes.table, node.config.tunnels.fwmark)
        findings += check_rules(desired, read_rules(node.requests, NODE_PRIORITIES))
        findings += _shadows(node, [prefix for prefix, _ in wanted])
    return findings


def _shadows(node: "Node", prefixes: list[Prefix]) -> list[Finding]:
    rules = read_foreign_rules(node.requests, MESH_PRIORITY)
    tables: dict[int, list[Route]] = {
        rule.table: dump_routes(node.requests, rule.table) for rule in rules if not rule.refuses
    }
    return check_shadows(rules, tables, prefixes[:MAX_SHADOWED])
