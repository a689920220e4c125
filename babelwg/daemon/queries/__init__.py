"""Questions and their answers: plain data from one snapshot, for the command line and everything else that asks."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from babelwg.daemon.control import Params
from babelwg.daemon.feed import Feed
from babelwg.daemon.queries.changes import CHANGING, Changes
from babelwg.daemon.queries.context import Context, Method
from babelwg.daemon.queries.diagnosis import Diagnosis
from babelwg.daemon.queries.explain import Explain
from babelwg.daemon.queries.filters import Filters
from babelwg.daemon.queries.history import History
from babelwg.daemon.queries.kernel import Kernel
from babelwg.daemon.queries.lookup import Lookup
from babelwg.daemon.queries.metrics import Metrics
from babelwg.daemon.queries.overview import Overview
from babelwg.daemon.queries.probes import Probes
from babelwg.daemon.queries.switches import Switches
from babelwg.daemon.queries.tables import Tables
from babelwg.daemon.queries.topology import Mesh
from babelwg.daemon.queries.web import WebPage
from babelwg.daemon.queries.words import Words

if TYPE_CHECKING:
    from babelwg.daemon.node import Node

__all__ = ["CHANGING", "Queries"]

PARTS: tuple[Callable[[Context], Any], ...] = (
    Overview,
    Tables,
    Kernel,
    Filters,
    Lookup,
    Explain,
    Probes,
    Mesh,
    Diagnosis,
    Changes,
    Switches,
    History,
    Metrics,
    Words,
    WebPage,
)


class Queries:
    """Answers questions about a node; `context` is what the answers are made from."""

    def __init__(self, node: "Node") -> None:
        self.context = Context(node)
        self.plain: dict[str, Method] = {}
        for part in PARTS:
            self.plain |= part(self.context).methods()

    def methods(self) -> dict[str, Callable[[Params], Awaitable[Any]]]:
        """Return every method by its name on the control socket; each answer carries the node's name."""
        return {name: self._named(method) for name, method in self.plain.items()}

    def _named(self, method: Method) -> Callable[[Params], Awaitable[Any]]:
        async def answer(params: Params) -> Any:
            data = await method(params)
            if isinstance(data, Feed):
                data.head = {"node": self.context.names.node, "data": data.head}
                return data
            return {"node": self.context.names.node, "data": data}

        return answer
