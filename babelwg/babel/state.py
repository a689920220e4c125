"""Everything one speaker knows; each module of `operation` works on it."""

from collections import Counter
from collections.abc import Hashable, Iterator
from itertools import islice
from random import Random

from babelwg.babel.events import NOTICES, Event, SeqnoIncreased
from babelwg.babel.memory import Chosen, Heard, Memory, RouteRecord
from babelwg.babel.parameters import HOLD_FACTOR, Parameters
from babelwg.babel.policy import Policy
from babelwg.babel.tables.allowance import Allowance
from babelwg.babel.tables.batch import Batches
from babelwg.babel.tables.flaps import Flaps
from babelwg.babel.tables.hold import Hold, PendingAcknowledgment
from babelwg.babel.tables.interface import Interface
from babelwg.babel.tables.outbox import Chunk, Gathered, Outbox
from babelwg.babel.tables.request import HeldRequests, PendingRequest
from babelwg.babel.tables.route import Route, RouteTable, Undecided
from babelwg.babel.tables.source import Source, SourceTable
from babelwg.babel.tables.xroute import Permission, Xroute
from babelwg.babel.timers import Timer, Timers
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.seqno import seqno_lt

# Implementation constants: what strangers may make us raise our seqno
SEQNO_BURST = 16  # at once
SEQNO_RATE = 5.0  # a second
# Implementation constant
MAX_DUE = 256  # timers at once
UNDER_WAY = 4.0  # seconds at most from when an update is made until its receiver begins to hold it


class State:
    """The tables of section 3.2, the timers, and what waits for the shell."""

    def __init__(
        self, router_id: bytes, parameters: Parameters, rng: Random, memory: Memory, policy: Policy
    ) -> None:
        self.router_id = router_id
        self.seqno = memory.seqno
        self.seqno_limit: int | None = None  # which a later life of ours may use, and so this one must not
        self.parameters, self.policy = parameters, policy
        self.rng, self.memory = rng, memory
        self.interfaces: dict[str, Interface] = {}
        self.sources = SourceTable(memory.sources)
        self.source_timer: Timer | None = None
        self.longest_promise = 0.0  # seconds: of the update intervals that neighbours were told
        self.routes = RouteTable()
        self.undecided: dict[Prefix, Undecided] = {}
        self.undecided_timer: Timer | None = None
        self.xroutes: dict[Prefix, Xroute] = {}
        # Prefixes that our kernel would not follow us on: not selected, and so not announced.
        self.refused: frozenset[Prefix] = frozenset()
        # What the filters said about announcing a prefix, by interface; nothing where there are no filters.
        self.permissions: dict[Prefix, dict[str, Permission]] = {}
        self.next_nonce = rng.randrange(0x10000)
        self.clock_origin = rng.randrange(1 << 32)  # microseconds
        self.stopped = False
        self.withheld = False  # whether finite updates wait: the kernel lacks what they describe
        self.counters: Counter[str] = Counter()
        self._recall(memory)
        self._await_nothing()
        self._owe_nothing()

    def _recall(self, memory: Memory) -> None:
        """Set up what is left of earlier lives."""
        # Of interfaces that are not there now: their neighbours expect the numbers to go on.
        self.former_hello_seqnos = dict(memory.hello_seqnos)
        self.memory_lost = memory.lost or self.sources.incomplete
        # Routes of an earlier life, by interface, until it is there.
        self.remembered: dict[str, list[RouteRecord]] = {}
        for record in () if self.memory_lost else memory.routes:
            if record.chosen is not None:
                self.remembered.setdefault(record.chosen.interface, []).append(record)
        # What earlier lives announced, until it is retracted; and what was, of which later neighbours know nothing.
        self.former = {} if self.memory_lost else _announced(memory)
        self.bygone: dict[Prefix, None] = {}
        # What the last life had from silent neighbours; it stays stored until they speak or are given up.
        self.awaited: dict[Prefix, Chosen] = {}
        # After a loss of memory: interfaces where a neighbour may still route through our former life.
        self.gate: dict[str, Timer] = {}
        self.purge_until = float("-inf")
        self.purge_done: set[tuple[str, bytes]] = set()

    def _await_nothing(self) -> None:
        """Set up the timers, and what neighbours have still to say."""
        self.hellos = Timers()  # of what neighbours wait for, before all else
        self.timers = Timers()
        self.silences = Timers()  # of what ends when nothing is heard in time
        self.sending = Timers()
        self.heard = float("-inf")  # seconds; what came later may wait to be read
        self.lateness, self.late_at = 0.0, float("-inf")  # by how much we were late, and when, in seconds
        self.traffic_until = float("-inf")  # seconds; until then packets of users count as flowing
        self.flaps = Flaps()
        self.requests: dict[Source, PendingRequest] = {}
        self.caused_requests = 0  # of them, by neighbours; the others follow losses
        self.held_requests: HeldRequests = {}  # those for a seqno of ours at which the limit is
        # Which answers them: taken when it may be, whatever became of them.
        self.wanted_seqno: int | None = None
        self.seqno_work = Allowance()
        self.holds: dict[Prefix, Hold] = {}
        self.acknowledgments: dict[int, PendingAcknowledgment] = {}

    def _owe_nothing(self) -> None:
        """Set up what waits for neighbours or for the shell to take it."""
        self.ready: list[tuple[Interface, Outbox]] = []  # outboxes whose moment has come
        self.batches = Batches()
        # What was encoded of changes, for other interfaces on which the same leaves at the same moment.
        self.chunks: dict[tuple[Hashable, ...], Chunk] = {}
        self.gathered: Gathered | None = None  # while many prefixes change together
        self.sent_hellos: dict[str, int] = {}  # seqnos by interface, since the shell asked
        # By interface and neighbour, since the shell asked.
        self.heard_hellos: dict[tuple[str, bytes], Heard] = {}
        # Prefixes whose selected routes the shell has to store again, and those of which it has stored none.
        self.rechosen: dict[Prefix, None] = {}
        self.newly_chosen: dict[Prefix, None] = {}
        self.answers: list[tuple[str, float]] = []  # to what was asked for the shell: interface, seconds
        self.pending_events: list[Event] = []
        self.notices = 0
        # The prefixes whose routes changed in any way since somebody looked; None while nobody wants to know.
        self.touched: dict[Prefix, None] | None = None

    def due(self, now: float, heard: float) -> Iterator[Timer]:
        """Yield the timers that are due, those of silences by when the last was heard of what is read."""
        self.heard = heard
        yield from self.hellos.due(now)
        # Where much is due, Hellos leave in between.
        yield from islice(self.timers.due(now), MAX_DUE)
        # A Hello that waits to be read behind a full table is not missed.
        yield from self.silences.due(heard)

    @property
    def source_lifetime(self) -> float:
        """Seconds for which a source is kept that is announced no more: while neighbours may hold what was.

        Departs from RFC 8966 (section 3.7.3, appendix B), whose three minutes are too short where updates are more
        than 51 seconds apart.
        """
        held = HOLD_FACTOR * self.longest_promise + UNDER_WAY
        return max(self.parameters.source_gc_time, held)

    def next_deadline(self) -> float | None:
        """Return when the earliest timer is due."""
        nexts = (timers.next() for timers in (self.hellos, self.timers, self.silences, self.sending))
        return min((deadline for deadline in nexts if deadline is not None), default=None)

    @property
    def keeps_back(self) -> bool:
        """Whether nothing leaves that anybody can follow: the kernel lacks it, or nobody is there to end it."""
        return self.withheld or self.stopped

    def stop(self) -> None:
        """Do nothing more at any time."""
        self.hellos.clear()
        self.timers.clear()
        self.silences.clear()
        self.stopped = True

    def count(self, name: str, amount: int = 1) -> None:
        """Add to a counter."""
        self.counters[name] += amount

    def emit(self, event: Event) -> None:
        """Queue an event; of those that only inform, no more than a bounded number."""
        if type(event) in NOTICES:
            if self.notices >= self.parameters.max_undrained_notices:
                self.count("events_suppressed")
                return
            self.notices += 1
        self.pending_events.append(event)

    def touch(self, prefix: Prefix) -> None:
        """Take note that the routes for a prefix may have changed, if somebody wants to know."""
        if self.touched is not None:
            self.touched[prefix] = None

    def drain_events(self) -> list[Event]:
        """Return the queued events and forget them."""
        events, self.pending_events, self.notices = self.pending_events, [], 0
        return events

    def is_feasible_route(self, route: Route) -> bool:
        """Return whether what a route's neighbour announces cannot create a loop (§3.5.1)."""
        distance = self.sources.get(route.prefix, route.router_id)
        return distance is None or distance.admits(route.seqno, route.refmetric)

    def is_allowed(self, seqno: int) -> bool:
        """Return whether our seqno may become this one."""
        return self.seqno_limit is None or seqno_lt(seqno, self.seqno_limit)

    def may_increase_seqno(self, now: float) -> bool:
        """Return whether a request may raise our seqno now: each raise costs the shell a write to the disk."""
        if self.seqno_work.spend(1, SEQNO_BURST, SEQNO_RATE, now):
            return True
        self.count("request_ignored.seqno-rate")
        return False

    def increase_seqno(self, seqno: int) -> None:
        """Move our sequence number on (§3.8.1.2)."""
        assert self.is_allowed(seqno), f"seqno {seqno} may be used by a later life"
        self.seqno = seqno
        self.emit(SeqnoIncreased(self.seqno))

    def allocate_nonce(self) -> int:
        """Return the next opaque value for an Acknowledgment Request."""
        self.next_nonce = (self.next_nonce + 1) % 0x10000
        return self.next_nonce


def _announced(memory: Memory) -> dict[Prefix, None]:
    """Return the prefixes that neighbours may hold from an earlier life."""
    found = dict.fromkeys(record.prefix for record in memory.sources if record.seqno is not None)
    return found | dict.fromkeys(record.prefix for record in memory.routes)
