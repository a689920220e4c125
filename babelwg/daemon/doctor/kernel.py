"""The kernel's tables, read anew for the checks of routes and rules."""

from typing import TYPE_CHECKING

from babelwg.config import Config
from babelwg.daemon.doctor.finding import NODE, Finding, fail
from babelwg.daemon.doctor.routes import check_lost, check_present, check_rules
from babelwg.daemon.doctor.strangers import check_strangers, read_strangers
from babelwg.linux.errors import KernelError
from babelwg.linux.programs import running_managers
from babelwg.linux.routes import dump_routes
from babelwg.linux.rules import NODE_PRIORITIES, desired_rules, read_rules

if TYPE_CHECKING:
    from babelwg.daemon.node import Node


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
    if isinstance(node.config, Config) and not routes.shared:
        desired = desired_rules(routes.table, node.config.tunnels.fwmark)
        findings += check_rules(desired, read_rules(node.requests, NODE_PRIORITIES))
    return findings + check_strangers(node, read_strangers(actual))
