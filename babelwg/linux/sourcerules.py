"""The rules that lead packets to the tables of source prefixes, as the kernel has them."""

from collections.abc import Mapping

from babelwg.babel.wire.prefix import Prefix
from babelwg.linux.errors import KernelError
from babelwg.linux.netlink import Refusal, RequestSocket
from babelwg.linux.routes import Route
from babelwg.linux.rules import SOURCE_PRIORITIES, Rule, apply_rules, read_rules
from babelwg.linux.sourcetables import SOURCE_TABLES, SourceTables


class SourceRules:
    """Keeps the kernel's rules as the tables need them; `refused` tells of each prefix that a rule is missing for."""

    def __init__(self, requests: RequestSocket, tables: SourceTables, refused: dict[Prefix, Refusal]) -> None:
        self.rules: set[Rule] = set()
        self._requests = requests
        self._tables = tables
        self._refused = refused
        self.idle: set[Prefix] = set()  # what no rule leads to because one was refused

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
            idle = [p for p, route in learned.items() if route.table in SOURCE_TABLES]
            news = [(prefix, refusal) for prefix in idle if self._refused.get(prefix) != refusal]
            self._refused.update(dict.fromkeys(idle, refusal))
            self.idle = {*idle}
            return news
        for prefix in self.idle:
            self._refused.pop(prefix, None)
        self.rules, self.idle = rules, set()
        return []
