"""Nodes of the simulator: a speaker while it runs, a kernel that forwards, and a disk."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from babelwg.babel.datagram import Datagram
from babelwg.babel.events import Event, RouteFlushed, RouteRetracted, RouteSelected, SeqnoIncreased
from babelwg.babel.memory import Heard, Memory, RouteRecord, SourceRecord
from babelwg.babel.parameters import InterfaceParameters, Parameters
from babelwg.babel.speaker import Speaker
from babelwg.babel.tables.source import Source
from babelwg.babel.wire.prefix import Prefix

LINK_LOCAL_PREFIX = bytes.fromhex("fe80000000000000")


class FibEntry(NamedTuple):
    """Where the kernel sends packets: to a node, or nowhere when it is None."""

    via: str | None


@dataclass(slots=True)
class Disk:
    """What survives a crash."""

    seqno: int
    sources: dict[Source, SourceRecord]
    hello_seqnos: dict[str, int]
    heard: dict[tuple[str, bytes], Heard] = field(default_factory=dict)
    routes: dict[Prefix, RouteRecord] = field(default_factory=dict)


class SimNode:
    """One node; `changed` is told of each change of its forwarding table."""

    def __init__(
        self, name: str, index: int, seed: int, changed: Callable[["SimNode", Prefix], None]
    ) -> None:
        self.name = name
        self.router_id = b"\x02" + index.to_bytes(7, "big")
        self.link_local = LINK_LOCAL_PREFIX + index.to_bytes(8, "big")
        self.fib: dict[Prefix, FibEntry] = {}
        self.xroutes: dict[Prefix, int] = {}
        self.interfaces: dict[str, InterfaceParameters] = {}  # by the node at the other end
        self.disk = Disk(0, {}, {})
        self.speaker: Speaker | None = None
        self.parameters = Parameters()
        self._rng = Random(f"{seed} {name}")
        self._changed = changed

    @property
    def running(self) -> bool:
        """Whether the speaker runs."""
        return self.speaker is not None

    def start(self, memory: Memory, now: float) -> None:
        """Run a new speaker on all interfaces, with an empty forwarding table."""
        for prefix in list(self.fib):
            del self.fib[prefix]
            self._changed(self, prefix)
        self.speaker = self._speaker(memory)
        for peer, parameters in self.interfaces.items():
            self.speaker.add_interface(peer, parameters, self.link_local, now)
        for prefix, metric in self.xroutes.items():
            self.speaker.announce(prefix, metric, now)

    def crash(self) -> None:
        """End the speaker without a word; the kernel goes on forwarding."""
        assert self.speaker is not None, f"{self.name} does not run"
        self.speaker = None

    def memory(self, lost: bool) -> Memory:
        """Return what a new speaker finds on the disk; a lost journal leaves seqno and Hello seqnos."""
        if lost:
            self.disk.sources.clear()
        sources = tuple(self.disk.sources.values())
        routes = tuple(self.disk.routes.values())
        self.disk.routes.clear()  # those that come to life again are stored again
        return Memory(
            self.disk.seqno, sources, dict(self.disk.hello_seqnos), lost, routes, dict(self.disk.heard)
        )

    def forget(self, peer: str) -> None:
        """Let the disk forget the link to a node that is gone for ever."""
        self.disk.hello_seqnos.pop(peer, None)
        self.disk.heard = {key: heard for key, heard in self.disk.heard.items() if key[0] != peer}

    def pump(self, now: float) -> tuple[list[Event], list[Datagram]]:
        """Do what the speaker asks, in the order that a daemon keeps: kernel, journal, network."""
        assert self.speaker is not None, f"{self.name} does not run"
        self.speaker.handle_deadline(now)
        events = self.speaker.events()
        self._carry_out(events, now)
        datagrams = self.speaker.datagrams_to_send(now)
        for record in self.speaker.sources_to_store():
            self._store(record)
        sent, heard = self.speaker.hellos_to_store()
        self.disk.hello_seqnos |= sent
        self.disk.heard |= heard
        for route in (*self.speaker.routes_to_store(), *self.speaker.new_routes_to_store()):
            if route.chosen is None:
                self.disk.routes.pop(route.prefix, None)
            else:
                self.disk.routes[route.prefix] = route
        return events, datagrams

    def _speaker(self, memory: Memory) -> Speaker:
        return Speaker(self.router_id, self.parameters, self._rng, memory)

    def _carry_out(self, events: list[Event], now: float) -> None:
        """Do in the kernel and on the disk what events say."""
        del now
        for event in events:
            self._apply(event)

    def _apply(self, event: Event) -> None:
        if isinstance(event, SeqnoIncreased):
            self.disk.seqno = event.seqno
        elif isinstance(event, RouteSelected):
            self._set(event.prefix, FibEntry(event.interface))
        elif isinstance(event, RouteRetracted):
            self._set(event.prefix, FibEntry(None))
        elif isinstance(event, RouteFlushed) and self.fib.pop(event.prefix, None) is not None:
            self._changed(self, event.prefix)

    def _set(self, prefix: Prefix, entry: FibEntry) -> None:
        self.fib[prefix] = entry
        self._changed(self, prefix)

    def _store(self, record: SourceRecord) -> None:
        source = Source(record.prefix, record.router_id)
        if record.seqno is None:
            self.disk.sources.pop(source, None)
        else:
            self.disk.sources[source] = record
