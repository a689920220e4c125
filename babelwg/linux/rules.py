"""Policy rules that lead the look-up to our table: desired, actual, plan, apply."""

import socket
from collections.abc import Iterable
from typing import Any, NamedTuple

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from babelwg.linux.errors import KernelError
from babelwg.linux.routes import PROTOCOL_BABEL, TABLE_MAIN

# Implementation constants
LINK_LOCAL_PRIORITY = 6679
MESH_PRIORITY = 6696
PRIORITIES = range(LINK_LOCAL_PRIORITY, MESH_PRIORITY + 1)
FIB_RULE_INVERT = 2


class Rule(NamedTuple):
    """One policy rule of ours; `fwmark` is the mark that must not be set, 0 for any packet."""

    family: int
    priority: int
    table: int
    to: str = ""
    fwmark: int = 0


def desired_rules(table: int, fwmark: int) -> set[Rule]:
    """Return our rules for both families: none when we write into main."""
    if table == TABLE_MAIN:
        return set()
    # A learned default must not take the link-local traffic of LAN interfaces.
    rules = {Rule(6, LINK_LOCAL_PRIORITY, TABLE_MAIN, to="fe80::/10")}
    # WireGuard's own packets never follow a route that was learned through the tunnels.
    return rules | {Rule(family, MESH_PRIORITY, table, fwmark=fwmark) for family in (4, 6)}


def plan_rules(desired: Iterable[Rule], actual: Iterable[Rule]) -> tuple[list[Rule], list[Rule]]:
    """Return the rules to add and then those to remove, each in order; both empty when equal."""
    wanted, there = set(desired), set(actual)
    return sorted(wanted - there), sorted(there - wanted)


async def read_rules(iproute: AsyncIPRoute) -> set[Rule]:
    """Return the kernel's rules of our protocol within our priorities."""
    found = set()
    for number, family in ((4, socket.AF_INET), (6, socket.AF_INET6)):
        async for message in await iproute.rule("dump", family=family):
            priority = message.get_attr("FRA_PRIORITY") or 0
            if priority in PRIORITIES and message.get_attr("FRA_PROTOCOL") == PROTOCOL_BABEL:
                to = message.get_attr("FRA_DST")
                found.add(
                    Rule(
                        number,
                        priority,
                        message.get_attr("FRA_TABLE"),
                        f"{to}/{message['dst_len']}" if to else "",
                        message.get_attr("FRA_FWMARK") or 0,
                    )
                )
    return found


async def apply_rules(iproute: AsyncIPRoute, desired: set[Rule]) -> int:
    """Bring the kernel's rules to the desired ones; return how many changed. Raises KernelError."""
    add, remove = plan_rules(desired, await read_rules(iproute))
    for verb, rules in (("add", add), ("del", remove)):
        for rule in rules:
            try:
                await iproute.rule(verb, **_arguments(rule))
            except NetlinkError as error:
                raise KernelError(f"{verb} rule", str(rule.priority), error.code) from error
    return len(add) + len(remove)


def _arguments(rule: Rule) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "family": socket.AF_INET if rule.family == 4 else socket.AF_INET6,
        "priority": rule.priority,
        "table": rule.table,
        "protocol": PROTOCOL_BABEL,
    }
    if rule.to:
        network, _, plen = rule.to.partition("/")
        arguments |= {"dst": network, "dst_len": int(plen)}
    if rule.fwmark:
        arguments |= {"fwmark": rule.fwmark, "fwmask": 0xFFFFFFFF, "flags": FIB_RULE_INVERT}
    return arguments
