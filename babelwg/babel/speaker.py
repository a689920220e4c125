"""A whole Babel speaker (RFC 8966): datagrams and time go in; datagrams, events and a deadline come out."""

from collections.abc import Container, Iterable, Set
from random import Random

from babelwg.babel.datagram import Datagram
from babelwg.babel.events import Event, RouteFlushed, RouteSelected
from babelwg.babel.explain import Explanation, explain
from babelwg.babel.memory import Heard, Memory, RouteRecord, SourceRecord
from babelwg.babel.operation.acknowledgments import (
    end_hold,
)
from babelwg.babel.operation.acquisition import lose_neighbour
from babelwg.babel.operation.answering import limit_seqno
from babelwg.babel.operation.delay import reprice_delay
from babelwg.babel.operation.dump import handle_update_timer
from babelwg.babel.operation.failure import (
    ask_neighbours,
    fail_link,
    handle_retry_timer,
    has_alternative,
    is_needed,
    restore_link,
)
from babelwg.babel.operation.feasibility import start_remembered_sources
from babelwg.babel.operation.hellos import send_scheduled_hello
from babelwg.babel.operation.introduction import handle_introduction_timer, introduce
from babelwg.babel.operation.keeping import changes_to_store, news_to_store, selected_routes
from babelwg.babel.operation.liveness import (
    handle_hello_timer,
    remember_hello_seqno,
    update_link,
)
from babelwg.babel.operation.output import flush_by_worth, flush_in_order, withhold
from babelwg.babel.operation.overload import is_late, note_lateness
from babelwg.babel.operation.pausing import pause
from babelwg.babel.operation.permission import has_ipv4, may_use_v4_via_v6
from babelwg.babel.operation.policy import apply_policy, retract_ipv4
from babelwg.babel.operation.probing import handle_probe_timer, note_traffic
from babelwg.babel.operation.queueing import queue_hello, queue_ordinary, queue_urgent, telling_together
from babelwg.babel.operation.reception import receive_datagram
from babelwg.babel.operation.recovery import (
    begin_interface,
    end_interface,
    wildcard_retraction,
)
from babelwg.babel.operation.restoration import forget_interfaces, restore_interface, retract_former
from babelwg.babel.operation.routes import retract_v4_via_v6
from babelwg.babel.operation.selection import retract_prefix, select_route
from babelwg.babel.parameters import InterfaceParameters, Parameters
from babelwg.babel.policy import AllowAll, Policy
from babelwg.babel.snapshot import Shown
from babelwg.babel.state import State
from babelwg.babel.tables.interface import Interface, InterfaceActions
from babelwg.babel.tables.neighbour import Cause
from babelwg.babel.tables.xroute import Xroute
from babelwg.babel.wire.prefix import Prefix, is_martian
from babelwg.babel.wire.seqno import MODULUS
from babelwg.babel.wire.tlv import (
    UNUSABLE_ROUTER_IDS,
)

FAREWELL_INTERVAL = 0.1  # seconds; neighbours that see no Hello within it let go of us
# So far does a Hello seqno jump when memory was lost; no small multiple of it comes near to where it began.
LOST_HELLOS = 20011


class Speaker(Shown):
    """A Babel speaker (RFC 8966) that performs no I/O.

    After any call that takes `now`, let `events()` reach the kernel, send `datagrams_to_send()` after storing
    `sources_to_store()`, `hellos_to_store()` and `routes_to_store()`, and come back no later than `next_deadline()`.
    """

    def __init__(
        self,
        router_id: bytes,
        parameters: Parameters,
        rng: Random,
        memory: Memory,
        policy: Policy | None = None,
    ) -> None:
        assert len(router_id) == 8 and router_id not in UNUSABLE_ROUTER_IDS, (
            "a router-id of 8 octets (§4.1.3)"
        )
        super().__init__(State(router_id, parameters, rng, memory, policy or AllowAll()))

    def add_interface(
        self, name: str, parameters: InterfaceParameters, link_local: bytes, now: float
    ) -> None:
        """Begin to speak on an interface."""
        state = self._state
        assert name not in state.interfaces, f"interface {name} is there already"
        actions = InterfaceActions(
            hello=lambda now: handle_hello_timer(state, interface, now),
            update=lambda now: handle_update_timer(state, interface, now),
            send=lambda now: state.ready.append((interface, interface.outbox)),
            probe=lambda now: handle_probe_timer(state, interface, now),
            introduce=lambda now: handle_introduction_timer(state, interface, now),
            retry=lambda now: handle_retry_timer(state, interface, now),
        )
        hello_seqno = self._first_hello_seqno(name)
        group = state.parameters.group
        interface = Interface(name, parameters, link_local, group, hello_seqno, actions, now)
        state.interfaces[name] = interface
        start_remembered_sources(state, now)
        begin_interface(state, interface, now)
        send_scheduled_hello(state, interface, 0.0, now)
        restore_interface(state, interface, now)
        introduce(state, interface, now)
        handle_update_timer(state, interface, now)

    def set_interface(
        self, name: str, parameters: InterfaceParameters, link_local: bytes, now: float
    ) -> None:
        """Change an interface; its neighbours and routes stay."""
        state = self._state
        interface = state.interfaces[name]
        if interface.parameters == parameters and interface.link_local == link_local:
            return
        had_ipv4 = has_ipv4(state, interface)
        interface.parameters, interface.link_local = parameters, link_local
        if had_ipv4 and not has_ipv4(state, interface):
            retract_ipv4(state, interface, now)
        for neighbour in interface.neighbours.values():
            if not may_use_v4_via_v6(state, interface):
                retract_v4_via_v6(state, neighbour, now)
            reprice_delay(neighbour)
            update_link(state, neighbour, now)
            interface.outbox.ihus[neighbour.address] = neighbour
        # A longer interval has to be promised before it is used (§3.4.1).
        send_scheduled_hello(state, interface, 0.0, now)
        handle_update_timer(state, interface, now)

    def remove_interface(self, name: str, now: float) -> None:
        """Stop speaking on an interface and forget its neighbours."""
        state = self._state
        interface = state.interfaces.pop(name)
        remember_hello_seqno(state, interface)
        state.hellos.cancel(interface.hello_timer)
        for timer in interface.timers():
            state.timers.cancel(timer)
        state.sending.cancel(interface.outbox.timer)
        for neighbour in list(interface.neighbours.values()):
            lose_neighbour(state, neighbour, "interface-removed", now)
        for association in interface.associations.values():
            state.sending.cancel(association.outbox.timer)
        end_interface(state, name, now)

    def announce(self, prefix: Prefix, metric: int, now: float) -> None:
        """Announce a prefix of ours, or change its metric."""
        state = self._state
        if is_martian(prefix):
            raise ValueError(f"{prefix} must not be routed")
        known = state.xroutes.get(prefix)
        if known is not None and known.metric == metric:
            return
        state.xroutes[prefix] = Xroute(prefix, metric)
        state.batches.outdate()
        if known is not None:
            queue_ordinary(state, prefix, now)
            return
        if end_hold(state, prefix):
            state.emit(RouteFlushed(prefix, "announced-here"))
        select_route(state, prefix, "announced-here", now)
        queue_urgent(state, prefix, now)

    def withdraw(self, prefix: Prefix, now: float) -> None:
        """Announce a prefix of ours no longer."""
        state = self._state
        if state.xroutes.pop(prefix, None) is None:
            return
        state.batches.outdate()
        select_route(state, prefix, "withdrawn", now)
        if (selection := state.routes.selected.get(prefix)) is not None:
            state.routes.selected[prefix] = selection._replace(supersedes=True)
        else:
            retract_prefix(state, prefix, Cause("withdrawn"), None, now)

    def refuse(self, prefixes: frozenset[Prefix], now: float) -> None:
        """Select and announce no learned route for exactly these prefixes: the kernel goes its own way there."""
        state = self._state
        changed = state.refused ^ prefixes
        state.refused = prefixes
        for prefix in changed & state.routes.by_prefix.keys():
            select_route(state, prefix, "refused" if prefix in prefixes else "allowed", now)

    def refuse_ways(self, ways: Iterable[tuple[RouteSelected, str]], now: float) -> None:
        """Use no more what was selected, until its next hop changes: the kernel refused it, for a reason in words."""
        state = self._state
        with telling_together(state, now):
            for selected, why in ways:
                interface = state.interfaces.get(selected.interface)
                neighbour = interface.neighbours.get(selected.neighbour) if interface else None
                route = neighbour.routes.get(selected.prefix) if neighbour else None
                if route is not None and route.next_hop == selected.next_hop:
                    state.routes.refused[route] = why
                    select_route(state, selected.prefix, "kernel-refused", now)

    def allow_ways(self, now: float) -> None:
        """Let all routes be tried again that the kernel refused."""
        state = self._state
        refused, state.routes.refused = state.routes.refused, {}
        with telling_together(state, now):
            for prefix in dict.fromkeys(route.prefix for route in refused):
                select_route(state, prefix, "kernel-retried", now)

    def withhold(self, withheld: bool, now: float) -> None:
        """Announce nothing that can be followed while the kernel lacks what it describes; what waited then leaves."""
        withhold(self._state, withheld, now)

    def set_policy(self, policy: Policy, now: float) -> None:
        """Let other filters decide what comes in, goes out and is used, from now on."""
        apply_policy(self._state, policy, now)

    def note_traffic(self, interface: str, now: float) -> None:
        """Measure delays more often for a while: packets of users flow through an interface."""
        if (found := self._state.interfaces.get(interface)) is not None and not self._state.stopped:
            note_traffic(self._state, found, now)

    def forget_interfaces(self, wanted: Container[str], now: float) -> None:
        """Lose what an earlier life had over interfaces that are not `wanted`, instead of waiting for them."""
        forget_interfaces(self._state, wanted, now)

    def retract_former(self, now: float, forwarded: Set[Prefix] = frozenset()) -> None:
        """Retract what only earlier lives announced, but for what the kernel has `forwarded` since."""
        retract_former(self._state, forwarded, now)

    def fail_link(self, interface: str, why: str, now: float, one_way: bool = False) -> None:
        """Use an interface no longer: the link behind it was found dead, for a reason in words.

        Where packets still come (`one_way`), the neighbour's Hellos do not show that it lives again.
        """
        if (found := self._state.interfaces.get(interface)) is not None and not self._state.stopped:
            fail_link(self._state, found, why, now, one_way)

    def restore_link(self, interface: str, now: float) -> None:
        """Use an interface again whose link was found dead: packets go both ways."""
        if (found := self._state.interfaces.get(interface)) is not None and not self._state.stopped:
            restore_link(self._state, found, now)

    def failed_links(self) -> frozenset[str]:
        """Return the interfaces whose links are known to be dead."""
        return frozenset(i.name for i in self._state.interfaces.values() if i.failed is not None)

    def has_alternative(self, interface: str) -> bool:
        """Return whether a prefix that is routed over an interface might be reached over another one, if asked for."""
        found = self._state.interfaces.get(interface)
        return found is not None and has_alternative(self._state, found)

    def is_needed(self, interface: str) -> bool:
        """Return whether a dead link may lead to what no other one leads to."""
        found = self._state.interfaces.get(interface)
        return found is not None and is_needed(self._state, found)

    def knows(self, interface: str, address: bytes) -> bool:
        """Return whether an address is that of a neighbour on an interface."""
        found = self._state.interfaces.get(interface)
        return found is not None and address in found.neighbours

    def ask(self, interface: str, now: float) -> None:
        """Have the neighbours on an interface acknowledge that they hear us (§3.3)."""
        if (found := self._state.interfaces.get(interface)) is not None and not self._state.stopped:
            ask_neighbours(self._state, found, now)

    def answers(self) -> list[tuple[str, float]]:
        """Return who has answered what was asked since the last call: interfaces, and seconds that it took."""
        answers, self._state.answers = self._state.answers, []
        return answers

    def limit_seqno(self, limit: int | None, now: float) -> None:
        """Use neither this seqno nor those after it, which a later life may use too; None: no life will."""
        if not self._state.stopped:
            limit_seqno(self._state, limit, now)

    def wanted_seqno(self) -> int | None:
        """Return the seqno from the limit on that was asked for, if any; it is taken when the limit has moved."""
        return self._state.wanted_seqno

    def receive_datagram(self, datagram: Datagram, now: float) -> None:
        """Do what a datagram says, or count why not."""
        if not self._state.stopped:
            receive_datagram(self._state, datagram, now)

    def handle_deadline(self, now: float, heard: float | None = None) -> None:
        """Do what has become due; of what came after `heard`, some is not read yet, and so nothing missed."""
        note_lateness(self._state, now)
        for timer in self._state.due(now, now if heard is None else min(heard, now)):
            timer.action(now)

    def next_deadline(self) -> float | None:
        """Return when the speaker wants to be called next, in monotonic seconds."""
        return self._state.next_deadline()

    def datagrams_to_send(self, now: float) -> list[Datagram]:
        """Return the datagrams that are due; what they announce narrows what is feasible from now on."""
        state = self._state
        for timer in state.sending.due(now):
            timer.action(now)
        ready, state.ready = state.ready, []
        state.chunks.clear()
        if len(ready) > 1 and is_late(state, now) and not state.stopped:
            return flush_by_worth(state, ready, now)
        return flush_in_order(state, ready, now)

    def events(self) -> list[Event]:
        """Return what happened since the last call."""
        return self._state.drain_events()

    def sources_to_store(self) -> list[SourceRecord]:
        """Return the changes of the source table since the last call."""
        return self._state.sources.drain_changes()

    def hellos_to_store(self) -> tuple[dict[str, int], dict[tuple[str, bytes], Heard]]:
        """Return what was sent, by interface, and heard, by interface and neighbour, since the last call."""
        state = self._state
        hellos = state.sent_hellos, state.heard_hellos
        state.sent_hellos, state.heard_hellos = {}, {}
        return hellos

    def routes_to_store(self) -> list[RouteRecord]:
        """Return the changes of the selected routes since the last call, but for those of prefixes that had none."""
        return changes_to_store(self._state) if self._state.rechosen else []

    @property
    def has_new_routes(self) -> bool:
        """Whether prefixes have selected routes that had none, of which the shell does not know yet."""
        return bool(self._state.newly_chosen)

    def new_routes_to_store(self, most: int | None = None) -> list[RouteRecord]:
        """Return the selected routes of prefixes that had none, `most` at a time; they may be stored at leisure."""
        return news_to_store(self._state, most)

    def selected_routes(self) -> list[RouteRecord]:
        """Return all selected routes as they are stored."""
        return selected_routes(self._state)

    def pause(self, now: float) -> None:
        """Send a last Hello, from which neighbours count until they let go of us, and what is lost; fall silent."""
        pause(self._state, now)

    def stop(self, now: float) -> None:
        """Retract everything on all interfaces, announce our silence, and fall silent."""
        state = self._state
        for interface in state.interfaces.values():
            self._take_leave(interface, now)
        state.stop()

    def take_leave(self, name: str, now: float) -> None:
        """Retract everything on one interface, which is to be removed next, and announce our silence there."""
        self._take_leave(self._state.interfaces[name], now)

    def explain(self, prefix: Prefix, now: float) -> Explanation:
        """Return why exactly this prefix is routed as it is."""
        return explain(self._state, prefix, now)

    def watch(self, wanted: bool) -> None:
        """Begin or cease to take note of the prefixes whose routes change in any way."""
        self._state.touched = {} if wanted else None

    def touched(self) -> list[Prefix]:
        """Return the prefixes whose routes may have changed since the last call; none unless watched."""
        if not self._state.touched:
            return []
        touched, self._state.touched = [*self._state.touched], {}
        return touched

    def _first_hello_seqno(self, name: str) -> int:
        """Return the seqno before the first Hello: remembered, or far from what neighbours expect."""
        state = self._state
        known = state.former_hello_seqnos.pop(name, None)
        if known is None:
            return state.rng.randrange(MODULUS)
        jump = LOST_HELLOS if state.memory_lost and name in state.memory.hello_seqnos else 0
        return (known + jump) % MODULUS

    def _take_leave(self, interface: Interface, now: float) -> None:
        state = self._state
        for outbox in interface.all_outboxes():
            outbox.clear()
            state.sending.cancel(outbox.timer)
        interface.outbox.small.append(wildcard_retraction(state))
        queue_hello(state, interface, FAREWELL_INTERVAL, 0.0, now)
        # Nothing may promise more after it.
        state.hellos.cancel(interface.hello_timer)
        for timer in interface.timers():
            state.timers.cancel(timer)
