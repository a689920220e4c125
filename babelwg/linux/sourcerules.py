"""The rules that lead packets to the tables of source prefixes, as the kernel has them."""

from collections.abc import Mapping

from babelwg.babel.wire.prefix import Prefix
from babelwg.linux.errors import KernelError
from babelwg.linux.netlink import Refusal, RequestSocket
from babelwg.linux.refusals import Refusals
from babelwg.linux.routes import Route
from babelwg.linux.rules import SOURCE_PRIORITIES, Rule, apply_rules, read_rules
from babelwg.linux.sourcetables import SOURCE_TABLES, SourceTables


class SourceRules:
    """Keeps the kernel's rules as the tables need them; `refusals` has each prefix that a rule is missing for."""

    def __init__(self, requests: RequestSocket, tables: SourceTables, refusals: Refusals) -> None:
        self.rules: set[Rule] = set()
        self._requests = requests
        self._tables = tables
        self._refusals = refusals
        self._idle: list[Prefix] = []  # what no rule leads to because one was refused

    @property
    def are_right(self) -> bool:
        """Whether the kernel has the rules that the tables need, as far as is known."""
        return self._tables.rules() == self.rules

    def adopt(self) -> None:
        """Take over the rules of an earlier life, and the tables that they name."""
        self.rules = read_rules(self._requests, SOURCE_PRIORITIES)
        self._tables.adopt(self.rules)

    def apply(self, learned: Mapping[Prefix, Route]) -> list[tuple[Prefix, Refusal]]:
        """Bring the rules into the kernel; return what has no effect where it refused one."""
        rules = self._tables.rules()
        try:
            apply_rules(self._requests, rules, SOURCE_PRIORITIES)
        except KernelError as error:
            refusal = Refusal(error.errno, str(error))
            self._idle = [p for p, route in learned.items() if route.table in SOURCE_TABLES]
            return [(prefix, refusal) for prefix in self._idle if self._refusals.note(prefix, refusal)]
        for prefix in self._idle:
            self._refusals.end(prefix)
        self.rules, self._idle = rules, []
        return []
