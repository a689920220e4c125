"""The figures for Prometheus, for the command line and for HTTP."""

import asyncio
import platform
from typing import Any

from babelwg.daemon.control import Params
from babelwg.daemon.counters import gather_counters
from babelwg.daemon.doctor.strangers import find_hindrances
from babelwg.daemon.metrics import Sources, exposition, families
from babelwg.daemon.peers import describe_peers
from babelwg.daemon.problems import describe_problems
from babelwg.daemon.queries.context import Context, Method
from babelwg.version import __version__


class Metrics:
    """Answers with all metrics as one text."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def methods(self) -> dict[str, Method]:
        """Return these answers by their names on the control socket."""
        return {"metrics": self._metrics}

    async def _metrics(self, params: Params) -> Any:
        del params
        return {"text": exposition(families(await self._sources()))}

    async def _sources(self) -> Sources:
        context = self._context
        node, summary, names = context.node, context.summary(), context.names
        peers, hindrances, counters = await asyncio.gather(
            describe_peers(node, summary, names),
            find_hindrances(node, context.strangers),
            gather_counters(context),
        )
        problems = describe_problems(node, summary, peers, hindrances, names.complaints())
        return Sources(
            build={
                "version": __version__,
                "python": platform.python_version(),
                "mode": node.mode,
                "backend": node.tunnels.backend_name or "",
                "node": names.node,
                "router_id": summary.router_id.hex(":"),
            },
            uptime=node.life.age,
            summary=summary,
            peers=peers,
            gateways=node.gateways.describe(),
            counters=counters.values,
            dataplane_age=counters.dataplane_age,
            installed=sum(node.routes.is_installed(prefix) for prefix in node.routes.learned),
            refused=len(node.routes.refused),
            problems=len(problems),
            changes=node.recorder.changes,
            lag=(node.lag.last, node.lag.maximum, node.lag.total),
            name_of=names.neighbour,
        )
