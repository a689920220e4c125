"""What the daemon remembers: identity, seqnos, ports and the source table, as files that survive a kill.

What has to wait for the disk is written in threads, the state in one and new journals in another; the loop only adds to
what the kernel will write.
"""

import errno
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from babelwg.babel.memory import Heard, Memory, RouteRecord, SourceRecord
from babelwg.babel.snapshot import SourceView
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.seqno import seqno_add, seqno_lt
from babelwg.config import HelloFile, Journal, Loaded, RouteJournal, SourceJournal, State
from babelwg.config.model import HELLO_INTERVAL
from babelwg.config.state.identity import generate_router_id
from babelwg.daemon.clock import ClockWatch
from babelwg.daemon.diskthread import DiskThread, answered, hang, is_done, outcome, tell
from babelwg.daemon.portplan import LISTEN_PORT, assign_ports
from babelwg.daemon.statekeeper import StateKeeper

log = logging.getLogger(__name__)

Row = TypeVar("Row", bound=tuple[Any, ...])

JOURNALS, SEQNOS = "journals", "seqnos"  # what a next life must not believe
# Implementation constant: seconds for the disk at the end. One that is well needs a small part of them; neighbours keep
# the routes of a node that starts anew for some seconds more, and a service manager should have no need to kill it.
LAST_WAIT = 2.0
# Implementation constant: Hello intervals for the disk at the start. Neighbours keep the routes of a node that fell
# silent for two and a half: LAST_WAIT may have passed since the last Hello, and all else until the first takes time.
FIRST_WAIT = 1.5
SLOW = 0.5  # implementation constant: seconds; beyond them the start is slow because of the disk, and that is told
# Implementation constant: seqnos that a life may have used beyond those it could reserve. Neighbours take a jump by
# less than half of all numbers.
OUTRUN = 0x2000


class Store:
    """The state directory; a disk that fails is logged and counted, and routing goes on."""

    def __init__(
        self,
        directory: Path,
        owner: str,
        fresh_router_id: bool = False,
        doubt: Path | None = None,
        hello_interval: float = HELLO_INTERVAL,
    ) -> None:
        """Load what an earlier life left, and go on without where the disk refuses to be written.

        `hello_interval`, in seconds, says how long neighbours will wait for us.
        `doubt` is a file elsewhere that tells the next life not to believe journals which could be neither written nor
        emptied, or a state that lacks the latest seqnos. Raises OSError when the directory cannot be made.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory = directory
        self.counters: dict[str, int] = {}
        self.failing: dict[str, str] = {}  # what cannot be written at present, and why
        self.clock = ClockWatch(directory)
        self._began = time.monotonic()
        self._patience = self._began + FIRST_WAIT * hello_interval  # until when
        self._doubt = doubt
        self._doubted = self._former_doubt = _read_doubt(doubt)
        self._journal, self._routes = SourceJournal(directory), RouteJournal(directory)
        self._hellos = HelloFile(directory)
        self._state, lost, reasons = State.load(directory, owner)
        self._keeper = StateKeeper(self._state, directory, self._attempt_state)
        self._thread = DiskThread("journals")
        self._is_left = self._is_read = False
        self._first_seqno = self._state.seqno_limit
        self._ask_identity(fresh_router_id)
        sent, self._heard = self._hellos.read()
        self._state.hello_seqnos |= sent
        self._attempt("hellos", lambda: self._hellos.begin(sent))
        self._answering = {key for key, (*_, answers) in self._heard.items() if answers}
        self._sources = self._take("journal", self._journal, keep=True)
        # Those that come to life again are stored again; what two lives ago was selected may close a loop.
        routes = self._take("routes", self._routes, keep=False).records
        self._former_routes = () if lost else routes
        if lost or self._sources.lost:
            log.info("memory-lost %s", "; ".join([*reasons, self._sources.reason]).strip("; "))
        self._take_identity()  # at last: the disk was busy with it beside all else
        self._is_read = True
        self._note_doubt()
        if (passed := time.monotonic() - self._began) > SLOW:
            log.warning("store-slow directory=%s: the start waited for it for %.1f s", directory, passed)

    @property
    def router_id(self) -> bytes:
        """Our router-id, 8 octets."""
        return self._state.router_id

    def identity(self, configured: bytes | None) -> bytes:
        """Return the router-id to use where another may be configured: never one whose seqnos are not reserved."""
        return configured if configured and not self.is_provisional else self._state.router_id

    def set_owner(self, owner: str) -> None:
        """Take note of the node's new public key, so that the next life knows this state as its own."""
        if self._state.owner != owner:
            self._state.owner = owner
            self._keeper.save_soon()

    def memory(self, configured: bytes | None = None) -> Memory:
        """Return what the speaker starts from, under the identity to use where another may be configured."""
        records = tuple(
            SourceRecord(Prefix(family, network, plen, source, source_plen), router_id, seqno, metric)
            for family, network, plen, source, source_plen, router_id, seqno, metric in self._sources.records
        )
        for seqno in (r.seqno for r in records if r.router_id == self.identity(configured)):
            # What was announced under our router-id was used, whatever the state says of it.
            if seqno is not None and not seqno_lt(seqno, self._first_seqno):
                self._first_seqno = seqno_add(seqno, 1)
                self.reserve(self._first_seqno)
                self._keeper.wait(self._patience - time.monotonic())
        return Memory(
            self._first_seqno,
            records,
            dict(self._state.hello_seqnos),
            self._sources.lost,
            self._former_routes,
            {key: Heard(*row[:-1]) for key, row in self._heard.items()},
        )

    def remember(self, records: Iterable[SourceRecord]) -> None:
        """Write changes of the source table; called before the datagrams that they describe leave."""
        rows = [(*record.prefix, record.router_id, record.seqno, record.metric) for record in records]
        self._append("journal", self._journal, rows)

    def remember_hellos(self, sent: Mapping[str, int], heard: Mapping[tuple[str, bytes], Heard]) -> None:
        """Write where our Hellos are, by interface, before they leave, and those of neighbours."""
        if (sent or heard) and self._hellos.is_open:
            rows = {key: (*row, key in self._answering) for key, row in heard.items()}
            self._attempt("hellos", lambda: self._hellos.put(sent, rows))

    def answers(self, neighbour: tuple[str, bytes]) -> bool:
        """Return whether a neighbour, an interface and a packed address, is known to answer when its link is probed."""
        return neighbour in self._answering

    def remember_answers(self, neighbour: tuple[str, bytes], answers: bool) -> None:
        """Write whether a neighbour answers when its link is probed, where that is news."""
        if self.answers(neighbour) != answers:
            self._answering ^= {neighbour}
            if self._hellos.is_open:
                self._attempt("hellos", lambda: self._hellos.mark(neighbour, answers))

    def remember_routes(self, records: Iterable[RouteRecord]) -> None:
        """Write changes of the selected routes."""
        self._append("routes", self._routes, list(records))

    async def tidy_routes(self, selected: int, routes: Callable[[], Iterable[RouteRecord]]) -> None:
        """Keep the journal of the selected routes short, given their number and how to have them all."""
        if not self._routes.is_open or self._routes.needs_compaction(selected):
            await self._compact("routes", self._routes, routes())

    def reserve(self, seqno: int) -> None:
        """Take note that a seqno is in use, and see that the next ones may be in time."""
        self._keeper.reserve(seqno)
        self._note_doubt()

    def make_room(self, seqno: int) -> None:
        """See that a seqno may be used soon."""
        self._keeper.make_room(seqno)
        self._note_doubt()

    def seqno_limit(self) -> int | None:
        """Return the seqno that must not be used yet, nor those after it: a later life might use them again.

        None where that is known to draw another router-id.
        """
        limit = self._keeper.limit()
        return None if SEQNOS in self._doubted else limit

    def when_answered(self, action: Callable[[], None]) -> None:
        """Have something called, in any thread, when the disk has answered: the limit may be another."""
        self._keeper.when_answered = action

    async def save(self, hello_seqnos: Mapping[str, int]) -> None:
        """Write down what the next life needs besides the journals, and what could not be written before."""
        self._state.hello_seqnos = dict(hello_seqnos)
        if self._keeper.saved != self._state or "state" in self.failing:
            await self._keeper.save_aside()
        if not self._hellos.is_open:
            self._attempt("hellos", lambda: self._hellos.begin(hello_seqnos))
        error = await self._aside(self.clock.keep)
        self._attempt("clock", partial(tell, error))

    async def tidy(self, live: int, sources: Callable[[], Iterable[SourceView]]) -> None:
        """Keep the journal short, and begin anew after a failure, given how many sources live and how to have them."""
        if not self._journal.is_open or self._journal.needs_compaction(live):
            rows = [(*source.prefix, source.router_id, source.seqno, source.metric) for source in sources()]
            await self._compact("journal", self._journal, rows)

    async def fsync(self) -> None:
        """Wait until the disk holds the journal."""
        if self._journal.is_open:
            error = await self._aside(self._journal.fsync)
            if self._journal.is_open:
                self._attempt("journal", partial(tell, error))

    def tunnels(self) -> dict[str, str]:
        """Return the interfaces that we made in this or an earlier life, with their back ends."""
        return dict(self._state.interfaces)

    async def add_tunnel(self, interface: str, backend: str) -> None:
        """Remember an interface before it is made."""
        if self._state.interfaces.get(interface) != backend:
            self._state.interfaces[interface] = backend
            await self._keeper.save_aside()

    def drop_tunnel(self, interface: str) -> None:
        """Forget an interface after it is gone."""
        if self._state.interfaces.pop(interface, None) is not None:
            self._keeper.save_soon()

    def ports(self, interfaces: Sequence[str], shared: set[str], listen_port: int) -> dict[str, int]:
        """Return the UDP port of each tunnel; `shared` ones have the listen port together.

        One of the others has the listen port itself and keeps it, also when the listen port becomes another; each
        further one keeps the port it had, or takes the next free.
        """
        saved = self._state.ports
        ports = assign_ports(saved, interfaces, shared, listen_port)
        kept = {name: ports[name] for name in interfaces if name not in shared} | {LISTEN_PORT: listen_port}
        if kept != saved:
            self._state.ports = kept
            self._keeper.save_soon()
        return ports

    def close(self) -> None:
        """Wait until all is written, but not for a disk that hangs, and close the journal and its like."""
        end = time.monotonic() + (0.0 if self._is_left else LAST_WAIT)
        # In the thread, whose work they are used in; and a directory that hangs must not hold up the end either.
        self._thread.submit(self._close_files)
        is_saved = self._keeper.close(end - time.monotonic())
        if not (self._thread.wait(max(0.0, end - time.monotonic())) and is_saved):
            self.leave()

    def leave(self) -> None:
        """Take note that this life ends without waiting any longer for the disk."""
        if self._is_left:
            return
        self._is_left = True
        why = f"the disk has not answered for {LAST_WAIT:.0f} s, so the next start knows an older state of this node"
        self._attempt("last-checkpoint", partial(tell, TimeoutError(errno.ETIMEDOUT, why)))

    def _append(self, what: str, journal: Journal[Row], rows: Sequence[Row]) -> None:
        if journal.is_open and rows:
            self._attempt(what, lambda: journal.append(rows))
        else:
            journal.append(rows)  # to the file that is to take its place

    async def _compact(self, what: str, journal: Journal[Row], records: Iterable[Row]) -> None:
        """Replace a journal by one of just these records while the loop goes on, and adds to both."""
        rows = journal.begin_draft(records)
        error = await self._aside(lambda: journal.write_draft(rows))

        def take() -> None:
            try:
                tell(error)
                journal.take_draft(len(rows))
            finally:
                journal.drop_draft()

        self._attempt(what, take)

    async def _aside(self, action: Callable[[], None]) -> OSError | None:
        """Do something in the thread of the journals; return what went wrong."""
        answer = self._thread.submit(action)
        await answered(answer)
        return outcome(answer.result)

    def _in_patience(self, action: Callable[[], None]) -> None:
        """Do something in the thread of the journals, and wait for it no longer than a start may take."""
        answer = self._thread.submit(action)
        if not is_done(answer, self._patience - time.monotonic()):
            raise hang(time.monotonic() - self._began)
        answer.result()

    def _close_files(self) -> None:
        for journal in (self._journal, self._routes):
            journal.drop_draft()
            journal.close()
        self._hellos.close()

    def _ask_identity(self, fresh_router_id: bool) -> None:
        """Have seqnos reserved on the disk."""
        if SEQNOS in self._doubted:
            log.error("router-id-new: seqnos were used that could not be reserved in %s", self.directory)
            # Where a router-id is configured it stays, and no seqno may be used twice under it either.
            self._first_seqno = seqno_add(self._first_seqno, OUTRUN)
        if fresh_router_id or SEQNOS in self._doubted:
            self._state.router_id = generate_router_id()
        # The first updates carry this seqno, so it counts as used from now on.
        self._keeper.reserve(self._first_seqno)

    def _take_identity(self) -> None:
        """Wait for the disk; a router-id whose seqnos are not reserved is new, or a later life would use them again."""
        # Waiting too short would cost a disk that is only slow the router-id, and all others a change of router.
        self._keeper.wait(self._patience - time.monotonic())
        self.is_provisional = "state" in self.failing
        if self.is_provisional:
            self._state.router_id = generate_router_id()
            log.error("router-id-new: the seqnos of the old one cannot be reserved in %s", self.directory)

    def _take(self, what: str, journal: Journal[Row], keep: bool) -> Loaded[Row]:
        """Return what a journal holds, and begin it anew, with the same or with nothing."""
        loaded = journal.read()
        if JOURNALS in self._doubted:
            loaded = Loaded((), True, f"{journal.path}: an earlier life could not write it")
        self._attempt(what, lambda: journal.begin(loaded.records if keep else (), self._in_patience))
        if journal.is_stale:
            # An earlier life that could not write it either would have left it as it is now.
            return Loaded((), True, f"{journal.path}: cannot be written")
        return loaded

    def _attempt_state(self, action: Callable[[], None]) -> None:
        self._attempt("state", action)
        self._note_doubt()

    def _attempt(self, what: str, action: Callable[[], None]) -> None:
        """Write something, and note whether that works; what fails is told once, and counted each time."""
        try:
            action()
        except OSError as error:
            name, why = f"store_failed.{what}", error.strerror or str(error)
            self.counters[name] = self.counters.get(name, 0) + 1
            if self.failing.get(what) != why:
                log.error("store-failed %s directory=%s: %s", what, self.directory, why)
            self.failing[what] = why
            self._note_doubt()
            return
        if self.failing.pop(what, None) is not None:
            log.info("store-works-again %s directory=%s", what, self.directory)
            self._note_doubt()

    def _note_doubt(self) -> None:
        """Leave word for the next life while files tell what is no longer true."""
        if not self._is_read:
            return  # the word of the former life still counts
        stale = self._journal.is_stale or self._routes.is_stale
        # What the disk has is that of the life that left the word, until something of ours takes its place.
        is_former = SEQNOS in self._former_doubt and self._keeper.saved is None
        outrun = is_former or self._keeper.is_outrun
        doubted = frozenset([JOURNALS] * stale + [SEQNOS] * outrun)
        if self._doubt is None or doubted == self._doubted:
            return
        try:
            if doubted:
                self._doubt.write_text(" ".join(sorted(doubted)))
            else:
                self._doubt.unlink(missing_ok=True)
            self._doubted = doubted
        except OSError as error:
            self.counters["store_failed.doubt"] = self.counters.get("store_failed.doubt", 0) + 1
            log.error("store-failed doubt path=%s: %s", self._doubt, error.strerror)


def _read_doubt(path: Path | None) -> frozenset[str]:
    """Return what an earlier life left word of."""
    try:
        words = path.read_text(errors="replace").split() if path is not None else None
    except FileNotFoundError:
        return frozenset()
    except OSError:
        return frozenset((JOURNALS, SEQNOS))
    return frozenset() if words is None else frozenset(words or (JOURNALS,))  # none: of an earlier version
