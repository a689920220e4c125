"""What is wrong, why, and what mends it: `doctor`."""

import asyncio
import time
from typing import Any

from babelwg.config import Config, PeerConfig
from babelwg.daemon.control import INVALID_PARAMS, Params, RequestError
from babelwg.daemon.doctor.examination import examine
from babelwg.daemon.queries.context import Context, Method


class Diagnosis:
    """Answers with findings; one examination runs at a time, for each sends packets."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = asyncio.Lock()

    def methods(self) -> dict[str, Method]:
        """Return these answers by their names on the control socket."""
        return {"doctor": self._doctor}

    async def _doctor(self, params: Params) -> Any:
        peer = self._peer(params.get("peer"))
        async with self._lock:
            began = time.monotonic()
            findings = await examine(self._context, peer)
        return {
            "daemon": True,
            "peer": peer.name if peer else None,
            "took_s": round(time.monotonic() - began, 3),
            "findings": [finding.describe() for finding in findings],
        }

    def _peer(self, name: Any) -> PeerConfig | None:
        """Return the peer that a request names. Raises RequestError."""
        if name is None:
            return None
        config = self._context.node.config
        peers = config.peers if isinstance(config, Config) else ()
        peer = next((peer for peer in peers if name in (peer.name, peer.interface)), None)
        if peer is None:
            from difflib import get_close_matches

            near = get_close_matches(str(name), [peer.name for peer in peers], n=1)
            hint = f'; did you mean "{near[0]}"?' if near else ""
            raise RequestError(INVALID_PARAMS, f'there is no peer "{name}"{hint}')
        return peer
