"""Policy rules of others that the kernel asks before ours (linux/fib_rules.h)."""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import NamedTuple

from babelwg.babel.wire.prefix import Prefix
from babelwg.config.addresses import covers, mask
from babelwg.linux.netlink import RTM_GETRULE, Message, RequestSocket, attributes, number_of
from babelwg.linux.routes import FAMILIES, FAMILY_NUMBERS, PROTOCOL_BABEL, THROW, Route
from babelwg.linux.rules import (
    FIB_RULE_INVERT,
    FR_ACT_GOTO,
    FR_ACT_TO_TBL,
    FRA_DST,
    FRA_FWMARK,
    FRA_PRIORITY,
    FRA_PROTOCOL,
    FRA_SRC,
    FRA_TABLE,
    RULE,
)

# Constants of linux/fib_rules.h
FRA_SUPPRESS_PREFIXLEN = 14
FR_ACT_NOP, FR_ACT_BLACKHOLE = 3, 6
# Whatever else is in a rule narrows it: interfaces, users, ports, protocols, a suppressed group.
NARROWING = frozenset((FRA_SRC, FRA_FWMARK, 3, 13, 17, 19, 20, 22, 23, 24))
TABLE_LOCAL = 255


class ForeignRule(NamedTuple):
    """A rule of another program; `to` None for any destination, `least` the shortest prefix that it accepts."""

    family: int
    priority: int
    table: int
    refuses: bool  # drops what it catches instead of asking a table
    to: Prefix | None
    narrow: bool  # whether it is for some packets to a destination only
    least: int

    def __str__(self) -> str:
        to = f" to {self.to}" if self.to else ""
        action = "refuse" if self.refuses else f"lookup {self.table}"
        return f"{self.priority}: from all{to} {action}"

    @property
    def command(self) -> str:
        """The command that shows it."""
        return f"ip -{self.family} rule show priority {self.priority}"


def read_foreign_rules(requests: RequestSocket, before: int) -> list[ForeignRule]:
    """Return the rules of others with a priority below `before`, in their order. Raises KernelError."""
    found = []
    for family in FAMILIES.values():
        for message in requests.dump(RTM_GETRULE, RULE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)):
            rule = read_foreign_rule(message)
            if rule is not None and rule.priority < before:
                found.append(rule)
    return sorted(found, key=lambda rule: (rule.family, rule.priority))


def read_foreign_rule(message: Message) -> ForeignRule | None:
    """Return the rule of a message; None for ours, for the table of local addresses and for what does nothing."""
    family, to_plen, _, _, table, _, _, action, flags = RULE.unpack_from(message.payload)
    found = attributes(message.payload[RULE.size :])
    number = FAMILY_NUMBERS.get(family)
    table = number_of(found, FRA_TABLE, table)
    if number is None or found.get(FRA_PROTOCOL, b"\0")[0] == PROTOCOL_BABEL:
        return None
    if action in (FR_ACT_GOTO, FR_ACT_NOP) or (action == FR_ACT_TO_TBL and table in (0, TABLE_LOCAL)):
        return None
    to = Prefix.parse(f"{ip_address(found[FRA_DST])}/{to_plen}") if FRA_DST in found else None
    narrow = bool(NARROWING & found.keys())
    if flags & FIB_RULE_INVERT:
        # "not fwmark N" is for nearly everything, "not to N" for what we cannot say here.
        narrow, to = bool((NARROWING - {FRA_FWMARK}) & found.keys()) or to is not None, None
    suppressed = number_of(found, FRA_SUPPRESS_PREFIXLEN, 0xFFFFFFFF)
    least = 0 if suppressed == 0xFFFFFFFF else suppressed + 1
    return ForeignRule(
        number, number_of(found, FRA_PRIORITY, 0), table, action >= FR_ACT_BLACKHOLE, to, narrow, least
    )


class Coverage:
    """The destinations that a table has a way for; asked in a few look-ups, however many there are."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._networks: dict[tuple[int, int], set[bytes]] = {}
        for route in routes:
            if route.kind != THROW and not route.prefix.source_plen:
                key = (route.prefix.family, route.prefix.plen)
                self._networks.setdefault(key, set()).add(route.prefix.network)

    def holds(self, prefix: Prefix, least: int) -> bool:
        """Return whether a route of at least so many bits covers a prefix."""
        return any(
            family == prefix.family
            and least <= plen <= prefix.plen
            and mask(prefix.network, plen) in networks
            for (family, plen), networks in self._networks.items()
        )


def catches(rule: ForeignRule, prefix: Prefix, table: Coverage) -> bool:
    """Return whether a rule decides for all packets to a prefix; `table` is the one that it leads to."""
    if rule.narrow or rule.family != prefix.family or prefix.source_plen:
        return False
    if rule.to is not None and not covers(rule.to, prefix):
        return False
    return rule.refuses or table.holds(prefix, rule.least)
