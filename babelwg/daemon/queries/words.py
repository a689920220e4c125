"""Words: those that begin as somebody has begun to type, for a shell, and those that a name stands for."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from babelwg.config import Config
from babelwg.daemon.control import INVALID_PARAMS, Params, RequestError
from babelwg.daemon.queries.context import Context, Method
from babelwg.daemon.texts import prefix_text

# Implementation constants
MAX_WORDS = 200  # nobody reads more


class Words:
    """Answers what may stand where a peer, a name, an interface, a prefix or an address is asked for: few words."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._kinds: dict[str, Callable[[], Iterable[str]]] = {
            "peers": self._peers,
            "names": context.names.all,
            "interfaces": self._interfaces,
            "prefixes": self._prefixes,
            "addresses": self._addresses,
        }

    def methods(self) -> dict[str, Method]:
        """Return these answers by their names on the control socket."""
        return {"words": self._words, "named": self._named}

    async def _named(self, params: Params) -> Any:
        """Return all words of tables that a name selects."""
        name = params.get("name")
        if not isinstance(name, str):
            raise RequestError(INVALID_PARAMS, "`name` is a text")
        self._context.learn_names()
        return sorted(self._context.names.selected_by(name))

    async def _words(self, params: Params) -> Any:
        kinds, begin = params.get("kinds"), params.get("begin", "")
        known = list(self._kinds)
        if not isinstance(kinds, list) or not all(kind in known for kind in kinds):
            raise RequestError(INVALID_PARAMS, f"`kinds` is a list of {', '.join(known)}")
        if not isinstance(begin, str):
            raise RequestError(INVALID_PARAMS, "`begin` is a text")
        # A kind that is asked for a thousand times is looked up once.
        found = {word: None for kind in dict.fromkeys(kinds) for word in self._beginning(kind, begin)}
        return list(found)

    def _beginning(self, kind: str, begin: str) -> list[str]:
        fitting = (word for word in self._kinds[kind]() if word.startswith(begin))
        return sorted(set(islice(fitting, MAX_WORDS)))

    def _peers(self) -> Iterable[str]:
        config = self._context.node.config
        return [peer.name for peer in config.peers] if isinstance(config, Config) else []

    def _interfaces(self) -> Iterable[str]:
        return self._context.node.routing.wanted

    def _prefixes(self) -> Iterable[str]:
        node = self._context.node
        for prefixes in (node.routing.announced, node.routes.learned):
            # A source prefix is a word of its own.
            yield from (prefix_text(prefix).partition(" ")[0] for prefix in prefixes)

    def _addresses(self) -> Iterable[str]:
        for text in self._prefixes():
            address, _, length = text.partition("/")
            if int(length) == (128 if ":" in address else 32):
                yield address
