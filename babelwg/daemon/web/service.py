"""When and where the page is served: as the configuration says, or as root asked until the daemon stops."""

import asyncio
import errno
import secrets
from typing import TYPE_CHECKING, Any

from babelwg.config import Listen, WebConfig
from babelwg.config.files import read_secret
from babelwg.config.toml.web import parse_place
from babelwg.daemon.control import INTERNAL_ERROR, INVALID_PARAMS, RequestError

if TYPE_CHECKING:
    from babelwg.daemon.node import Node
    from babelwg.daemon.web.server import Site, WebServer

# Implementation constants
MIN_TOKEN = 16  # characters
TOKEN_OCTETS = 32
FORWARDED = "http://localhost:6698/"  # where a Unix socket is opened after `ssh -L 6698:PATH`
DEFAULT_LISTEN = Listen("127.0.0.1", 6698)


class WebService:
    """Starts, moves and stops the page; `problem` says why it does not run."""

    def __init__(self, node: "Node") -> None:
        self.counters: dict[str, int] = {}
        self.problem: str | None = None
        self._node = node
        self._configured: WebConfig | None = None
        self._opened: Listen | None = None  # what root asked for, besides the configuration
        self._own_token = secrets.token_urlsafe(TOKEN_OCTETS)
        self._server: WebServer | None = None
        self._changing = asyncio.Lock()

    async def configure(self, config: WebConfig | None) -> None:
        """Serve as a configuration says; None: not, unless root has asked for it."""
        self._configured = config
        await self._apply()

    async def open(self, listen: Listen | None) -> None:
        """Serve until the daemon stops. Raises RequestError with the reason why that cannot be."""
        before = self._opened
        if listen is not None or self._configured is None:
            self._opened = listen or self._opened or DEFAULT_LISTEN
        await self._apply()
        if self.problem is not None:
            reason, self._opened = self.problem, before
            await self._apply()
            raise RequestError(INTERNAL_ERROR, f"the page cannot be served: {reason}")

    async def close_opened(self) -> None:
        """End what root had asked for; what the configuration says holds again."""
        self._opened = None
        await self._apply()

    async def close(self) -> None:
        """End with the daemon."""
        async with self._changing:
            await self._stop()

    def describe(self, with_token: bool = False) -> dict[str, Any]:
        """Return where the page is, and, for root only, the link that has the token."""
        server, config = self._server, self._configured
        listen = server.site.listen if server else None
        url = _url(listen, config.hosts if config else ()) if listen else None
        token = server.site.token if server and with_token else None
        file = config.token_file if config else None
        return {
            "running": server is not None,
            "configured": config is not None,
            "listen": str(listen) if listen else None,
            "url": url,
            "login_url": f"{url or FORWARDED}#token={token}" if token else None,
            "token_file": str(file) if file else None,
            "token_missing": file is not None and not file.exists(),
            "problem": self.problem,
            "clients": server.clients if server else 0,
        }

    async def _apply(self) -> None:
        async with self._changing:
            self.problem = None
            try:
                await self._move(self._wanted())
            except (ValueError, OSError, ImportError) as error:
                await self._stop()
                self.problem = _reason(
                    error, self._opened or (self._configured.listen if self._configured else None)
                )

    def _wanted(self) -> "Site | None":
        """Return where and how the page shall be. Raises ValueError, or ImportError where aiohttp is missing."""
        config = self._configured
        listen = self._opened or (config.listen if config else None)
        if listen is None:
            return None
        from babelwg.daemon.web.server import Site

        file = config.token_file if config else None
        if file is not None and not file.exists():
            raise ValueError(f"{file} with its token is missing; `babelwg web` makes it")
        token = read_secret(file).strip() if file else self._own_token
        if len(token) < MIN_TOKEN:
            raise ValueError(f"{file}: a token of fewer than {MIN_TOKEN} characters can be guessed")
        return Site(listen, config.hosts if config else (), token)

    async def _move(self, site: "Site | None") -> None:
        if self._server is not None and self._server.site == site:
            return
        await self._stop()
        if site is None:
            return
        from babelwg.daemon.web.answers import Answers
        from babelwg.daemon.web.server import WebServer

        queries = self._node.queries
        answers = Answers(queries.plain, lambda: queries.context.names.node)
        server = WebServer(site, answers, self._count)
        await server.start()
        self._server = server

    async def _stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await server.close()

    def _count(self, what: str) -> None:
        self.counters[what] = self.counters.get(what, 0) + 1


def parse_listen(text: str) -> Listen:
    """Return where root wants the page. Raises RequestError."""
    try:
        listen = parse_place(text)
    except ValueError as error:
        raise RequestError(INVALID_PARAMS, str(error)) from error
    if not listen.is_local:
        sentence = f"{listen} is open to others than this machine: set it in [web], with a token-file"
        raise RequestError(INVALID_PARAMS, sentence)
    return listen


def _url(listen: Listen, hosts: tuple[str, ...]) -> str | None:
    """Return what to type into a browser; None for a Unix socket, which no browser opens."""
    if listen.path:
        return None
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.address, listen.address)
    host = f"[{address}]" if ":" in address else address
    if not listen.is_local and hosts:
        host = hosts[0]
    return f"http://{host}:{listen.port}/"


def _reason(error: Exception, listen: Listen | None) -> str:
    if isinstance(error, ImportError):
        return "aiohttp is not installed: pip install 'babelwg[web]', or apt install python3-aiohttp"
    if isinstance(error, OSError):
        if error.errno == errno.EADDRINUSE:
            return f"something else listens on {listen} already"
        return f"cannot listen on {listen}: {error.strerror or error}"
    return str(error)
