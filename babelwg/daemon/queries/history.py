"""What happened, what happens, and which routes change often."""

import asyncio
import difflib
import time
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from babelwg.daemon.control import INVALID_PARAMS, Params, RequestError
from babelwg.daemon.feed import Feed
from babelwg.daemon.queries.context import Context, Method
from babelwg.daemon.recorder import About
from babelwg.daemon.recorder.about import Entry, names_in
from babelwg.daemon.recorder.recorder import event_line
from babelwg.daemon.recorder.words import metric_text

# Implementation constants
DEFAULT_LIMIT, MAX_LIMIT = 1000, 5_000  # records of one answer
MAX_SINCE = 1e10  # seconds
LOOKED_AT_ONCE = 500  # records, before others get the loop
REPLAYED_AT_ONCE = 25  # prefixes, before others get the loop


class History:
    """Answers about the past, and about the present as it passes."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._replays: set[asyncio.Task[None]] = set()

    def methods(self) -> dict[str, Method]:
        """Return these answers by their names on the control socket."""
        return {
            "history": self._history,
            "flaps": self._flaps,
            "monitor": self._monitor,
        }

    async def _history(self, params: Params) -> Any:
        recorder = self._context.node.recorder
        await recorder.settle()
        entries = [*recorder.entries()]
        about, since, limit = self._about(params, entries), _since(params), _limit(params)
        chosen: deque[Entry] = deque(maxlen=limit)
        left_out = 0
        for number, entry in enumerate(entries):
            if number % LOOKED_AT_ONCE == LOOKED_AT_ONCE - 1:
                await asyncio.sleep(0)
            if entry.time >= since and (about is None or about.matches(entry)):
                left_out += len(chosen) == limit
                chosen.append(entry)
        oldest = entries[0].time if entries else None
        return {
            "about": about.text if about else None,
            "records": [msgspec.json.decode(entry.line) for entry in chosen],
            "left_out": left_out,
            "kept_s": None if oldest is None else round(max(0.0, time.time() - oldest), 3),
            "flaps": recorder.flaps(about.text) if about and about.network else None,
        }

    async def _flaps(self, params: Params) -> Any:
        await self._context.node.recorder.settle()
        return self._context.node.recorder.top_flaps(_limit(params))

    async def _monitor(self, params: Params) -> Any:
        recorder = self._context.node.recorder
        about = self._about(params, recorder.entries())
        feed = Feed({"about": about.text if about else None}, recorder.unsubscribe)
        if params.get("routes"):
            # The feed hears what happens from now on; a route that changes before its turn is told as it then is.
            replay = asyncio.create_task(self._replay(feed, about))
            self._replays.add(replay)
            replay.add_done_callback(self._replays.discard)
        recorder.subscribe(feed, about)
        return feed

    async def _replay(self, feed: Feed, about: About | None) -> None:
        """Put the present routes in, in slices, no faster than the client takes them, until it is gone."""
        speaker, count = self._context.node.routing.speaker, 0
        prefixes = speaker.prefixes()
        for start in range(0, len(prefixes), REPLAYED_AT_ONCE):
            part, now = prefixes[start : start + REPLAYED_AT_ONCE], self._context.now()
            routes = [route for prefix in part for route in speaker.routes_for(prefix, now)]
            for entry in map(_replayed, self._context.describe_routes(routes)):
                if about is None or about.matches(entry):
                    feed.put(event_line(entry.line))
                    count += 1
            await asyncio.sleep(0)
            if not await feed.room():
                return
        feed.put(event_line(msgspec.json.encode(_replay_end(count))))

    def _about(self, params: Params, entries: Iterable[Entry]) -> About | None:
        """Return what a question is about, None for everything. Raises RequestError for a name of nothing."""
        text = params.get("about")
        if text is None:
            return None
        if not isinstance(text, str) or not text:
            raise RequestError(INVALID_PARAMS, "`about` is a prefix, an address, or a name")
        names = self._names()
        about = About(text, self._context.names.identities(text) if text in names else ())
        if about.network or text in names or any(about.matches(entry) for entry in entries):
            return about
        near = difflib.get_close_matches(text, names, n=1, cutoff=0.6)
        hint = f'; did you mean "{near[0]}"?' if near else ""
        raise RequestError(INVALID_PARAMS, f'nothing is known of "{text}"{hint}')

    def _names(self) -> list[str]:
        return [*self._context.names.all(), *self._context.node.routing.wanted]


def _replayed(route: dict[str, Any]) -> Entry:
    """Return the record of a route as it is now."""
    way = route["neighbour_name"] or f"{route['neighbour']}%{route['interface']}"
    text = f"{route['prefix']} via {way}, {metric_text(route['metric'])}: {route['state']}"
    record = {"time": _now(), "seq": None, "event": "route", **route, "cause": None, "text": text}
    return Entry(0.0, 0, True, route["prefix"], names_in(route), msgspec.json.encode(record))


def _replay_end(count: int) -> dict[str, Any]:
    text = f"these were the {count} routes of now; what follows are changes"
    return {
        "time": _now(),
        "seq": None,
        "event": "replay-ended",
        "routes": count,
        "cause": None,
        "text": text,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _since(params: Params) -> float:
    """Return the Unix time from which on records are wanted. Raises RequestError."""
    seconds = params.get("since_s")
    if seconds is None:
        return 0.0
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < MAX_SINCE:
        raise RequestError(INVALID_PARAMS, "`since_s` is a number of seconds")
    return time.time() - seconds


def _limit(params: Params) -> int:
    limit = params.get("limit")
    if limit is None:
        return DEFAULT_LIMIT
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MAX_LIMIT:
        raise RequestError(INVALID_PARAMS, f"`limit` is a number from 1 to {MAX_LIMIT}")
    return limit
