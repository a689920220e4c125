"""The recorder: takes events as they come, tells them a little later in slices, keeps them and passes them on."""

import asyncio
import heapq
import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec

from babelwg.babel.events import Event
from babelwg.config.model import HISTORY
from babelwg.daemon.feed import Feed
from babelwg.daemon.limits import ABOUT_LINKS, Limits
from babelwg.daemon.recorder.about import About, Entry, names_in
from babelwg.daemon.recorder.file import HistoryFile
from babelwg.daemon.recorder.flaps import FlapCounter
from babelwg.daemon.recorder.narrator import NameSource, Narrator, Record
from babelwg.daemon.recorder.ring import Ring

log = logging.getLogger(__name__)

# Implementation constants
SLICE = 25  # events told before others get the loop
PAUSE = 0.004  # seconds until the next ones, unless somebody waits: routes are urgent, their history is not
SHARES = 1024  # of all that waits, one at once where that is more than a slice
OCTETS = 600  # of memory for each record, on average; 10,000 records take 6 MB at most
MAX_PENDING = 50_000  # events that wait to be told
TELL_PAUSE = 60.0  # seconds until it is told how much of links was not recorded
# Of all records those that are not about routes have a share of their own: a storm of routes must not push out
# when the node started and which tunnels failed.
OTHERS_SHARE = 5
# Nor may what anybody on a link can cause: at this rate the others fill their share in three hours.
LINKS_BURST, LINKS_RATE = 300.0, 0.2  # records of the neighbours on one interface, at once and a second
ROUTE_EVENTS = ("route-", "seqno-")
EVENT_HEAD = b'{"jsonrpc": "2.0", "method": "event", "params": '


class Note(Protocol):
    """Takes note of something that happened: what it is called, a sentence for people, its cause and more fields."""

    def __call__(self, event: str, text: str, cause: str | None = None, **fields: Any) -> None: ...


def silent(event: str, text: str, cause: str | None = None, **fields: Any) -> None:
    """Take no note: what a service has before it is given a recorder."""


class Recorder:
    """Remembers what happened, within bounds; its memory outlives a reload, and with a file a restart."""

    def __init__(self, names: NameSource) -> None:
        self.counters = {"records": 0, "lost": 0}
        self.file: HistoryFile | None = None
        self._narrator = Narrator(names)
        self._flaps = FlapCounter()
        self._routes, self._others = Ring(0, 0), Ring(0, 0)
        self._pending: deque[tuple[float, Event | Record]] = deque()
        self._taken = 0  # events since the beginning
        self._scheduled = False
        self._seq = 0
        self._stamped, self._stamp = 0.0, _stamp(0.0)
        self._unsaid = 0  # events that found no room since this was last told
        self._links = Limits(LINKS_BURST, LINKS_RATE)
        self._telling: asyncio.TimerHandle | None = None  # how much of links was not recorded
        self._feeds: dict[Feed, About | None] = {}
        self._set_limit(HISTORY)

    async def configure(self, limit: int, path: Path | None, read_back: bool = False) -> None:
        """Keep so many records, and write them to a file if one is named; `read_back` what earlier lives wrote."""
        self._set_limit(limit)
        if path == (self.file.path if self.file else None):
            return
        if self.file is not None:
            await self.file.close()
        self.file = HistoryFile(path) if path else None
        if self.file is not None and read_back:
            self._read_back(self.file.load(limit * OCTETS))

    def listen(self, events: Iterable[Event]) -> None:
        """Take in events of the speaker."""
        now = time.time()
        for event in events:
            self._take(now, event)

    def note(self, event: str, text: str, cause: str | None = None, **fields: Any) -> None:
        """Take note of something else that happened."""
        record = {"event": event, **fields, "cause": cause, "text": f"{text}: {cause}" if cause else text}
        self._take(time.time(), record)

    def flaps(self, prefix: object) -> dict[str, Any]:
        """Return how often the way of a prefix changed."""
        return self._flaps.of(str(prefix), time.time())

    @property
    def changes(self) -> int:
        """Return how often the way of any prefix changed."""
        return self._flaps.total

    def top_flaps(self, limit: int) -> list[dict[str, Any]]:
        """Return the prefixes whose way changed most."""
        return self._flaps.top(limit, time.time())

    async def settle(self) -> None:
        """Wait until everything that happened before now has been told; what happens meanwhile does not count."""
        last = self._taken
        while self._pending and self._taken - len(self._pending) < last:
            self._tell_slice()
            await asyncio.sleep(0)

    def entries(self) -> Iterator[Entry]:
        """Return all records that are kept, in their order; do not let time pass while using it."""
        return heapq.merge(self._routes, self._others, key=lambda entry: entry.seq)

    def subscribe(self, feed: Feed, about: About | None) -> None:
        """Give a feed every record from now on that is about something."""
        self._feeds[feed] = about

    def unsubscribe(self, feed: Feed) -> None:
        """Give a feed no more."""
        self._feeds.pop(feed, None)

    async def close(self) -> None:
        """Tell all that happened, and wait for the disk."""
        while self._pending:
            self._tell_slice()
        if self._telling is not None:
            self._telling.cancel()
            self._tell_withheld()
        if self.file is not None:
            await self.file.close()

    def _set_limit(self, limit: int) -> None:
        others = limit // OTHERS_SHARE
        self._others.resize(others, others * OCTETS)
        self._routes.resize(limit - others, (limit - others) * OCTETS)

    def _take(self, now: float, event: Event | Record) -> None:
        if len(self._pending) >= MAX_PENDING:
            self._pending.popleft()
            self.counters["lost"] += 1
            self._unsaid += 1
        self._pending.append((now, event))
        self._taken += 1
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._tell_some)

    def _tell_some(self) -> None:
        self._tell_slice()
        if self._pending:
            asyncio.get_running_loop().call_later(PAUSE, self._tell_some)
        else:
            self._scheduled = False

    def _tell_slice(self) -> None:
        for _ in range(min(max(SLICE, len(self._pending) // SHARES), len(self._pending))):
            now, event = self._pending.popleft()
            try:
                record = event if isinstance(event, dict) else self._narrator.tell(event, now)
                if record is not None and self._is_told(event):
                    self._keep(now, record)
            except Exception:
                # A mistake of ours in telling one event must not end the telling of all others.
                log.exception("internal-error")
                self.counters["lost"] += 1
        if self._unsaid and len(self._pending) < MAX_PENDING // 2:
            lost, self._unsaid = self._unsaid, 0
            why = "more happened at once than could be told"
            text = f"{lost} events were not recorded: {why}"
            self._keep(time.time(), {"event": "events-lost", "count": lost, "cause": why, "text": text})

    def _is_told(self, event: Event | Record) -> bool:
        if not isinstance(event, ABOUT_LINKS) or self._links.admits(event.interface, time.monotonic()):
            return True
        self.counters["lost"] += 1
        if self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(TELL_PAUSE, self._tell_withheld)
        return False

    def _tell_withheld(self) -> None:
        """Say how much of what happened on links was not recorded."""
        self._telling = None
        for interface, count in self._links.take_unsaid().items():
            why = f"too much happens among the neighbours on {interface}"
            about = {"event": "events-lost", "interface": interface, "count": count}
            self._keep(
                time.time(), about | {"cause": why, "text": f"{count} events were not recorded: {why}"}
            )

    def _keep(self, now: float, record: Record) -> None:
        self._flaps.note(record, now)
        self.counters["records"] += 1
        self._seq += 1
        if now != self._stamped:  # what happened at once has one time
            self._stamped, self._stamp = now, _stamp(now)
        record = {"time": self._stamp, "seq": self._seq, **record}
        entry = _entry(now, self._seq, record, msgspec.json.encode(record))
        self._remember(entry)
        if self.file is not None:
            self.file.put(entry.line)
        if self._feeds:
            line = event_line(entry.line)
            for feed in [feed for feed, about in self._feeds.items() if not about or about.matches(entry)]:
                feed.put(line)

    def _remember(self, entry: Entry) -> None:
        (self._routes if entry.of_routes else self._others).add(entry)

    def _read_back(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            try:
                record = msgspec.json.decode(line)
                then, seq = datetime.fromisoformat(record["time"]).timestamp(), int(record["seq"])
                entry = _entry(then, seq, record, line)
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError, msgspec.DecodeError):
                continue  # a line that was never finished, or was not ours
            self._seq = max(self._seq, seq)
            self._remember(entry)


def event_line(record: bytes) -> bytes:
    """Return the line that tells a client of a record in JSON."""
    return EVENT_HEAD + record + b"}\n"


def _stamp(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")


def _entry(now: float, seq: int, record: Record, line: bytes) -> Entry:
    of_routes = record["event"].startswith(ROUTE_EVENTS)
    return Entry(now, seq, of_routes, str(record.get("prefix") or ""), names_in(record), line)
