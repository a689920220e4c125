"""What changes the node: a new configuration, the end."""

import asyncio
import os
from typing import Any

from babelwg.config import ConfigErrors
from babelwg.daemon.control import CONFIGURATION_REFUSED, Params, RequestError
from babelwg.daemon.queries.context import Context, Method

CHANGING = frozenset({"reload", "stop", "peer_down", "peer_up", "peer_restart", "web_open", "web_close"})


class Changes:
    """Does what root may ask of a node."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def methods(self) -> dict[str, Method]:
        """Return these answers by their names on the control socket."""
        return {
            "reload": self._reload,
            "stop": self._stop,
        }

    async def _reload(self, params: Params) -> Any:
        del params
        try:
            return {"notes": await self._context.node.reload()}
        except ConfigErrors as errors:
            raise RequestError(CONFIGURATION_REFUSED, str(errors)) from errors

    async def _stop(self, params: Params) -> Any:
        withdraw = bool(params.get("withdraw")) or self._context.node.mode == "babeld"
        asyncio.get_running_loop().call_later(0.05, self._context.node.request_stop, withdraw)
        return {"pid": os.getpid(), "withdraw": withdraw}
