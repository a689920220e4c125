"""Tunnels taken down and brought up at run time, whatever the configuration says."""

from typing import Any

from babelwg.config import Config, PeerConfig
from babelwg.config.errors import did_you_mean, quoted
from babelwg.daemon.control import INVALID_PARAMS, Params, RequestError
from babelwg.daemon.queries.context import Context, Method


class Switches:
    """Does what root may ask of one tunnel; it lasts until the opposite is asked, or until the daemon ends."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def methods(self) -> dict[str, Method]:
        """Return these answers by their names on the control socket."""
        return {
            "peer_up": lambda params: self._switch(params, down=False, up=True),
            "peer_down": lambda params: self._switch(params, down=True, up=False),
            "peer_restart": lambda params: self._switch(params, down=True, up=True),
        }

    async def _switch(self, params: Params, *, down: bool, up: bool) -> Any:
        peer = self._peer(params.get("peer"))
        was_up = peer.name not in self._context.node.tunnels.disabled
        await self._context.node.switch(peer, down=down and was_up, up=up)
        return {"peer": peer.name, "up": up, "changed": (down and up) or up != was_up}

    def _peer(self, name: object) -> PeerConfig:
        config = self._context.node.config
        peers = config.peers if isinstance(config, Config) else ()
        for peer in peers:
            if peer.name == name:
                return peer
        text = str(name)
        hint = did_you_mean(text, [peer.name for peer in peers])
        raise RequestError(INVALID_PARAMS, f"there is no peer {quoted(text)}{hint}")
