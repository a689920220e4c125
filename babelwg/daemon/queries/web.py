"""The page in a browser: where it is, and, for root, to have it served."""

from typing import Any

from babelwg.daemon.control import Params
from babelwg.daemon.queries.context import Context, Method
from babelwg.daemon.web.service import parse_listen


class WebPage:
    """Answers where the page is, and opens and closes it."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def methods(self) -> dict[str, Method]:
        """Return these answers by their names on the control socket."""
        return {"web": self._web, "web_open": self._open, "web_close": self._close}

    async def _web(self, params: Params) -> Any:
        del params
        return self._context.node.web.describe()

    async def _open(self, params: Params) -> Any:
        listen = params.get("listen")
        await self._context.node.web.open(None if listen is None else parse_listen(str(listen)))
        return self._context.node.web.describe(with_token=True)

    async def _close(self, params: Params) -> Any:
        del params
        await self._context.node.web.close_opened()
        return self._context.node.web.describe()
