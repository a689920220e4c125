"""Policy rules that lead the look-up to our tables: desired, actual, plan, apply (linux/fib_rules.h)."""

import errno
import struct
from collections.abc import Container, Iterable
from ipaddress import ip_address
from typing import NamedTuple

from babelwg.babel.wire.prefix import Prefix
from babelwg.linux.errors import KernelError
from babelwg.linux.netlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    RTM_DELRULE,
    RTM_GETRULE,
    RTM_NEWRULE,
    Message,
    RequestSocket,
    attributes,
    pack_attribute,
)
from babelwg.linux.routes import FAMILIES, FAMILY_NUMBERS, PROTOCOL_BABEL, TABLE_MAIN, U32

# Constants of linux/fib_rules.h
FRA_DST, FRA_SRC, FRA_GOTO, FRA_PRIORITY, FRA_FWMARK = 1, 2, 4, 6, 10
FRA_TABLE, FRA_FWMASK, FRA_PROTOCOL = 15, 16, 21
FR_ACT_TO_TBL, FR_ACT_GOTO = 1, 2
FIB_RULE_INVERT = 2
RULE = struct.Struct("=BBBBBBBBI")

# Implementation constants
FIRST_PRIORITY = 6679
SOURCE_PRIORITIES = range(6680, 6696)
MESH_PRIORITY = 6696
NODE_PRIORITIES = (FIRST_PRIORITY, MESH_PRIORITY)


class Rule(NamedTuple):
    """One policy rule of ours; `to` and `source` are prefixes as text, "" for any.

    A rule that leads to a table is not for packets with `fwmark` (0: for any); one that goes on at the rule of
    priority `goto` is only for those.
    """

    family: int
    priority: int
    table: int
    to: str = ""
    fwmark: int = 0
    source: str = ""
    goto: int = 0


def desired_rules(table: int, fwmark: int) -> set[Rule]:
    """Return the rules of a node for both families, without those of source prefixes: none when we write into main."""
    if table == TABLE_MAIN:
        return set()
    # A learned default must not take the link-local traffic of LAN interfaces.
    rules = {Rule(6, FIRST_PRIORITY, TABLE_MAIN, to="fe80::/10")}
    # WireGuard's own packets never follow a route that was learned through the tunnels; they pass over the rules
    # of source prefixes, where "not marked" cannot be said beside the source.
    rules |= {Rule(f, FIRST_PRIORITY, 0, fwmark=fwmark, goto=MESH_PRIORITY) for f in (4, 6)}
    return rules | {Rule(family, MESH_PRIORITY, table, fwmark=fwmark) for family in (4, 6)}


def plan_rules(desired: Iterable[Rule], actual: Iterable[Rule]) -> tuple[list[Rule], list[Rule]]:
    """Return the rules to add and then those to remove, each in order; both empty when equal."""
    wanted, there = set(desired), set(actual)
    return sorted(wanted - there), sorted(there - wanted)


def read_rules(requests: RequestSocket, priorities: Container[int]) -> set[Rule]:
    """Return the kernel's rules of our protocol with these priorities. Raises KernelError."""
    found = set()
    for family in FAMILIES.values():
        for message in requests.dump(RTM_GETRULE, RULE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)):
            rule, protocol = read_rule(message)
            if protocol == PROTOCOL_BABEL and rule.priority in priorities:
                found.add(rule)
    return found


def has_rules(requests: RequestSocket) -> bool:
    """Return whether the kernel has policy rules (CONFIG_IP_MULTIPLE_TABLES)."""
    try:
        read_rules(requests, ())
    except KernelError as error:
        if error.errno == errno.EOPNOTSUPP:
            return False
        raise
    return True


def apply_rules(requests: RequestSocket, desired: set[Rule], priorities: Container[int]) -> int:
    """Bring the kernel's rules with these priorities to the desired ones; return how many changed.

    One that is refused does not hold up the others. Raises KernelError for the first of those.
    """
    add, remove = plan_rules(desired, read_rules(requests, priorities))
    plan = [(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule) for rule in add]
    plan += [(RTM_DELRULE, 0, rule) for rule in remove]
    answers = requests.request([(kind, flags, pack_rule(rule)) for kind, flags, rule in plan])
    for (kind, _, rule), answer in zip(plan, answers, strict=True):
        if answer.errno not in (0, errno.EEXIST if kind == RTM_NEWRULE else errno.ENOENT):
            verb = "add rule" if kind == RTM_NEWRULE else "remove rule"
            raise KernelError(verb, str(rule.priority), answer.errno, answer.detail)
    return len(plan)


def pack_rule(rule: Rule) -> bytes:
    """Return the header and attributes of a rule."""
    to, source = (Prefix.parse(text) if text else None for text in (rule.to, rule.source))
    action = FR_ACT_GOTO if rule.goto else FR_ACT_TO_TBL
    flags = FIB_RULE_INVERT if rule.fwmark and not rule.goto else 0
    lengths = [prefix.plen if prefix else 0 for prefix in (to, source)]
    parts = [RULE.pack(FAMILIES[rule.family], *lengths, 0, 0, 0, 0, action, flags)]
    parts += [pack_attribute(FRA_DST, to.network)] if to else []
    parts += [pack_attribute(FRA_SRC, source.network)] if source else []
    numbers = {FRA_PRIORITY: rule.priority, FRA_GOTO: rule.goto, FRA_TABLE: rule.table}
    if rule.fwmark:
        numbers |= {FRA_FWMARK: rule.fwmark, FRA_FWMASK: 0xFFFFFFFF}
    parts += [pack_attribute(kind, U32.pack(value)) for kind, value in numbers.items() if value]
    parts.append(pack_attribute(FRA_PROTOCOL, bytes([PROTOCOL_BABEL])))
    return b"".join(parts)


def read_rule(message: Message) -> tuple[Rule, int]:
    """Return the rule of a message, and its protocol."""
    family, to_plen, source_plen, _tos, table, _, _, action, _flags = RULE.unpack_from(message.payload)
    found = attributes(message.payload[RULE.size :])

    def number(kind: int, default: int = 0) -> int:
        return int(U32.unpack(found[kind])[0]) if kind in found else default

    def prefix(kind: int, plen: int) -> str:
        return f"{ip_address(found[kind])}/{plen}" if kind in found else ""

    rule = Rule(
        FAMILY_NUMBERS.get(family, 0),
        number(FRA_PRIORITY),
        0 if action == FR_ACT_GOTO else number(FRA_TABLE, table),
        prefix(FRA_DST, to_plen),
        number(FRA_FWMARK),
        prefix(FRA_SRC, source_plen),
        number(FRA_GOTO),
    )
    return rule, found.get(FRA_PROTOCOL, b"\0")[0]
