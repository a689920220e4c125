"""The node as a whole: its state, its peers, its gateways, its counters."""

import asyncio
import os
from datetime import UTC, datetime
from typing import Any

from babelwg.config import Config
from babelwg.daemon.control import Params
from babelwg.daemon.counters import gather_counters
from babelwg.daemon.doctor.strangers import find_hindrances
from babelwg.daemon.peers import describe_neighbours, describe_peers
from babelwg.daemon.problems import describe_problems
from babelwg.daemon.queries.context import Context, Method
from babelwg.version import __version__


class Overview:
    """Answers about the node as a whole."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def methods(self) -> dict[str, Method]:
        """Return these answers by their names on the control socket."""
        return {
            "status": self._status,
            "peers": self._peers,
            "gateways": self._gateways,
            "stats": self._stats,
        }

    async def _status(self, params: Params) -> Any:
        del params
        node, summary = self._context.node, self._context.summary()
        config = node.config
        overlay = config if isinstance(config, Config) else None
        peers, hindrances = await asyncio.gather(
            describe_peers(node, summary, self._context.names), find_hindrances(node, self._context.strangers)
        )
        return {
            "name": self._context.names.node,
            "version": __version__,
            "pid": os.getpid(),
            "router_id": summary.router_id.hex(":"),
            "started": datetime.fromtimestamp(node.life.began, UTC).isoformat(timespec="seconds"),
            "uptime_s": round(node.life.age, 3),
            "config": str(node.config_path),
            "mode": node.mode,
            "backend": node.tunnels.backend_name,
            "addresses": [str(address) for address in overlay.node.addresses] if overlay else [],
            "announce": [str(prefix) for prefix in overlay.node.announce] if overlay else [],
            "table": node.routes.table,
            "peers": peers,
            "neighbours": describe_neighbours(
                [n for n in summary.neighbours if self._context.names.peer_on(n.interface) is None],
                self._context.names,
            ),
            "gateways": node.gateways.describe(),
            "routes": {
                "selected": sum(n for (_, state), n in summary.routes.items() if state == "selected"),
                "total": sum(summary.routes.values()),
            },
            "problems": describe_problems(node, summary, peers, hindrances, self._context.names.complaints()),
        }

    async def _peers(self, params: Params) -> Any:
        del params
        return await describe_peers(self._context.node, self._context.summary(), self._context.names)

    async def _gateways(self, params: Params) -> Any:
        del params
        return self._context.node.gateways.describe()

    async def _stats(self, params: Params) -> Any:
        del params
        counters = await gather_counters(self._context)
        age = counters.dataplane_age
        return {
            "counters": counters.values,
            "dataplane_age_s": round(age, 3) if age is not None else None,
        }
