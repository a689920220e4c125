"""What other programs have put in the way of our routes, read quickly enough for every `status`."""

import asyncio
import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from babelwg.babel.wire.prefix import Prefix
from babelwg.config import Config
from babelwg.daemon.doctor.finding import NODE, Finding, fail
from babelwg.daemon.doctor.routes import check_shadows, check_tables
from babelwg.daemon.doctor.system import check_forwarding, check_reverse_path
from babelwg.linux.errors import KernelError
from babelwg.linux.foreignrules import ForeignRule, read_foreign_rules
from babelwg.linux.netlink import RequestSocket
from babelwg.linux.routes import PROTOCOL_BABEL, Route, dump_routes
from babelwg.linux.rules import MESH_PRIORITY

if TYPE_CHECKING:
    from babelwg.daemon.node import Node

# Implementation constants
MAX_SHADOWED = 256  # prefixes that are held against the rules of others
LONGEST_KEPT = 30.0  # seconds; with a next hop object routes go without a word
NET = Path("/proc/sys/net")


class Strangers(NamedTuple):
    """Routes of others in the tables that we use, rules of others before ours, and the tables that those lead to."""

    routes: dict[int, list[Route]]
    rules: list[ForeignRule]
    behind: dict[int, list[Route]]


class StrangersReader:
    """Reads what others have in the kernel, and again only when the kernel has told of something since."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._kept: tuple[tuple[int, set[int]], float, Strangers] | None = None

    async def read(self) -> Strangers:
        """Return what others have in the kernel now. Raises KernelError."""
        node, clock = self._node, asyncio.get_running_loop().time
        node.monitor.receive()  # what has been told before the question counts
        when, now = (node.monitor.foreign_news, node.routes.tables()), clock()
        if self._kept is not None and self._kept[0] == when and now < self._kept[1] + LONGEST_KEPT:
            return self._kept[2]
        # The dump of a large table takes its time, in which Hellos have to leave.
        strangers = await asyncio.to_thread(read_strangers, when[1])
        # Tables behind the rules of others may hold routes of Babel's protocol, of which no news are counted.
        self._kept = None if strangers.behind else (when, now, strangers)
        return strangers


def read_strangers(tables: Iterable[int]) -> Strangers:
    """Return what others have in the kernel now; may be called in any thread. Raises KernelError."""
    with contextlib.closing(RequestSocket()) as requests:
        routes = {t: dump_routes(requests, t, but=PROTOCOL_BABEL) for t in sorted(tables)}
        rules = [rule for rule in read_foreign_rules(requests, MESH_PRIORITY) if not rule.narrow]
        leading = sorted({rule.table for rule in rules if not rule.refuses})
        return Strangers(routes, rules, {table: dump_routes(requests, table) for table in leading})


def check_strangers(node: "Node", strangers: Strangers) -> list[Finding]:
    """Return what of it is in the way of our routes, also when nothing is."""
    fib = node.routes
    findings = [
        finding
        for table, routes in strangers.routes.items()
        for finding in check_tables(table, routes, fib.wanted, shared=not fib.is_own_table(table))
    ]
    # In a table that others share, nothing keeps their rules from coming first.
    if isinstance(node.config, Config) and not fib.shared:
        findings += check_shadows(strangers.rules, strangers.behind, _some_installed(node))
    return findings


async def find_hindrances(node: "Node", reader: StrangersReader) -> list[Finding]:
    """Return what is in the way of packets besides tunnels and neighbours; none where all is well."""
    try:
        findings = check_strangers(node, await reader.read())
    except KernelError as error:
        findings = [fail("routes", NODE, "the kernel does not tell its routes", str(error))]
    if node.kernel.sysctls:
        findings += check_forwarding(NET)
    findings += check_reverse_path(NET, node.tunnels.actual)
    # What may become a fault one day is `doctor`'s, except that somebody writes where only we should.
    return [f for f in findings if f.verdict == "fail" or (f.verdict, f.check) == ("warn", "tables")]


def _some_installed(node: "Node") -> list[Prefix]:
    found: list[Prefix] = []
    for prefix in node.routes.learned:
        if len(found) == MAX_SHADOWED:
            break
        if node.routes.is_installed(prefix):
            found.append(prefix)
    return found
