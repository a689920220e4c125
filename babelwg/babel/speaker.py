"""A whole Babel speaker (RFC 8966): datagrams and time go in; datagrams, events and a deadline come out."""

from collections.abc import Callable
from random import Random
from typing import Any

from babelwg.babel.datagram import Datagram
from babelwg.babel.events import Event, PacketDropped, RouteFlushed, TlvDropped
from babelwg.babel.explain import Explanation, explain
from babelwg.babel.memory import Memory, SourceRecord
from babelwg.babel.operation.acknowledgments import (
    end_hold,
    handle_acknowledgment,
    handle_acknowledgment_request,
)
from babelwg.babel.operation.acquisition import handle_hello, lose_neighbour
from babelwg.babel.operation.authentication import authenticate
from babelwg.babel.operation.delay import handle_stamps, is_probe, reprice_delay
from babelwg.babel.operation.feasibility import start_remembered_sources
from babelwg.babel.operation.liveness import handle_hello_timer, handle_ihu, send_scheduled_hello, update_link
from babelwg.babel.operation.output import flush
from babelwg.babel.operation.permission import has_ipv4, may_use_v4_via_v6
from babelwg.babel.operation.policy import apply_policy, retract_ipv4
from babelwg.babel.operation.probing import handle_probe, handle_probe_timer, note_traffic
from babelwg.babel.operation.queueing import queue_hello, queue_ordinary, queue_urgent
from babelwg.babel.operation.recovery import (
    begin_interface,
    begin_purge,
    end_interface,
    handle_purge_acknowledgment,
    wildcard_retraction,
)
from babelwg.babel.operation.requests import handle_route_request, handle_seqno_request
from babelwg.babel.operation.routes import handle_update, retract_v4_via_v6
from babelwg.babel.operation.selection import retract_prefix, select_route
from babelwg.babel.operation.updates import handle_update_timer
from babelwg.babel.parameters import InterfaceParameters, Parameters
from babelwg.babel.policy import AllowAll, Policy
from babelwg.babel.snapshot import Shown
from babelwg.babel.state import State
from babelwg.babel.tables.interface import Interface, InterfaceActions
from babelwg.babel.tables.neighbour import Cause, Neighbour
from babelwg.babel.tables.xroute import Xroute
from babelwg.babel.wire.decode import Complaint, decode_packet
from babelwg.babel.wire.prefix import Prefix, is_martian
from babelwg.babel.wire.seqno import MODULUS
from babelwg.babel.wire.tlv import (
    UNUSABLE_ROUTER_IDS,
    Acknowledgment,
    AcknowledgmentRequest,
    Hello,
    Ihu,
    RouteRequest,
    SeqnoRequest,
    Tlv,
    Update,
)

FAREWELL_INTERVAL = 0.1  # seconds; neighbours that see no Hello within it let go of us
MAX_HELLOS = 4  # of one packet; a multicast and a unicast one are all that make sense
# So far does a Hello seqno jump when memory was lost; no small multiple of it comes near to where it began.
LOST_HELLOS = 20011
# What newer and other speakers send to each other is no mistake, so it is counted but not reported.
QUIET_COMPLAINTS = frozenset({"unknown-tlv", "unknown-ae", "mandatory-sub-tlv"})


class Speaker(Shown):
    """A Babel speaker (RFC 8966) that performs no I/O.

    After any call that takes `now`, let `events()` reach the kernel, send `datagrams_to_send()`
    after storing `sources_to_store()`, and come back no later than `next_deadline()`.
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
        )
        hello_seqno = self._first_hello_seqno(name)
        group = state.parameters.group
        interface = Interface(name, parameters, link_local, group, hello_seqno, actions)
        state.interfaces[name] = interface
        start_remembered_sources(state, now)
        begin_interface(state, interface, now)
        send_scheduled_hello(state, interface, 0.0, now)
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
        state.former_hello_seqnos[name] = interface.hello_seqno
        for timer in (interface.hello_timer, interface.update_timer, interface.probing.timer):
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
        select_route(state, prefix, "withdrawn", now)
        if (selection := state.routes.selected.get(prefix)) is not None:
            state.routes.selected[prefix] = selection._replace(supersedes=True)
        else:
            retract_prefix(state, prefix, Cause("withdrawn"), now)

    def refuse(self, prefixes: frozenset[Prefix], now: float) -> None:
        """Select and announce no learned route for exactly these prefixes: the kernel goes its own way there."""
        state = self._state
        changed = state.refused ^ prefixes
        state.refused = prefixes
        for prefix in changed & state.routes.by_prefix.keys():
            select_route(state, prefix, "refused" if prefix in prefixes else "allowed", now)

    def set_policy(self, policy: Policy, now: float) -> None:
        """Let other filters decide what comes in, goes out and is used, from now on."""
        apply_policy(self._state, policy, now)

    def note_traffic(self, interface: str, now: float) -> None:
        """Measure delays more often for a while: packets of users flow through an interface."""
        if (found := self._state.interfaces.get(interface)) is not None and not self._state.stopped:
            note_traffic(self._state, found, now)

    def receive_datagram(self, datagram: Datagram, now: float) -> None:
        """Do what a datagram says, or count why not."""
        state = self._state
        source, port = datagram.source
        interface = state.interfaces.get(datagram.interface)
        if state.stopped:
            return
        if interface is None:
            self._drop_packet(datagram, "interface-not-enabled")
        elif not _is_link_local(source):
            self._drop_packet(datagram, "not-link-local")
        elif port != state.parameters.port:
            self._drop_packet(datagram, "wrong-port")
        elif source == interface.link_local:
            self._drop_packet(datagram, "own-address")
        else:
            self._receive_packet(interface, datagram, now)

    def handle_deadline(self, now: float, heard: float | None = None) -> None:
        """Do what has become due; of what came after `heard`, some is not read yet, and so nothing missed."""
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
        return [datagram for interface, outbox in ready for datagram in flush(state, interface, outbox, now)]

    def events(self) -> list[Event]:
        """Return what happened since the last call."""
        return self._state.drain_events()

    def sources_to_store(self) -> list[SourceRecord]:
        """Return the changes of the source table since the last call."""
        return self._state.sources.drain_changes()

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
        known = state.former_hello_seqnos.get(name)
        if known is None:
            return state.rng.randrange(MODULUS)
        jump = LOST_HELLOS if state.memory_lost and name in state.memory.hello_seqnos else 0
        return (known + jump) % MODULUS

    def _receive_packet(self, interface: Interface, datagram: Datagram, now: float) -> None:
        state = self._state
        source = datagram.source[0]
        if interface.parameters.keys:
            refusal = authenticate(state, interface, datagram, now)
            if refusal is not None:
                self._drop_packet(datagram, refusal)
                return
        packet = decode_packet(datagram.data, source)
        if packet.refusal is not None:
            self._drop_packet(datagram, packet.refusal)
            return
        state.count("packets_received")
        state.count("octets_received", len(datagram.data))
        # A Hello makes the neighbour entry that all other TLVs need, wherever it stands in the packet.
        hellos = [tlv for tlv in packet.tlvs if isinstance(tlv, Hello)]
        for hello in hellos[:MAX_HELLOS]:
            handle_hello(state, interface, source, hello, now)
        if len(hellos) > MAX_HELLOS:
            state.count("tlv_dropped.hello-rate", len(hellos) - MAX_HELLOS)
        if (neighbour := interface.neighbours.get(source)) is not None:
            handle_stamps(state, neighbour, packet.tlvs, datagram.received, now)
            self._handle_tlvs(neighbour, packet.tlvs, now)
            if any(is_probe(hello) for hello in hellos[:MAX_HELLOS]):
                handle_probe(state, interface, now)
        elif packet.tlvs:
            self._drop_tlv(interface, source, Complaint("unknown-neighbour", "no Hello was heard before"))
        for complaint in packet.complaints:
            self._drop_tlv(interface, source, complaint)

    def _handle_tlvs(self, neighbour: Neighbour, tlvs: tuple[Tlv, ...], now: float) -> None:
        """Handle what concerns the link first, and its cost once, so that updates meet a settled link."""
        for tlv in tlvs:
            if isinstance(tlv, Ihu):
                handle_ihu(self._state, neighbour, tlv, now)
        if any(isinstance(tlv, Hello | Ihu) for tlv in tlvs):
            update_link(self._state, neighbour, now)
            begin_purge(self._state, neighbour, now)
        for tlv in self._affordable(neighbour, tlvs, now):
            if not isinstance(tlv, Hello | Ihu):
                _HANDLERS[type(tlv)](self._state, neighbour, tlv, now)

    def _affordable(self, neighbour: Neighbour, tlvs: tuple[Tlv, ...], now: float) -> tuple[Tlv, ...]:
        """Return what a neighbour may have us do now: all, or a packet without its updates and requests."""
        parameters = self._state.parameters
        work = sum(isinstance(tlv, _ROUTE_WORK) for tlv in tlvs)
        if neighbour.route_work.spend(work, parameters.route_work_burst, parameters.route_work, now):
            return tlvs
        self._state.count("tlv_dropped.rate", work)
        # An acknowledgment would say that we know of the retractions among what is dropped (§3.5.4).
        return tuple(tlv for tlv in tlvs if not isinstance(tlv, (*_ROUTE_WORK, AcknowledgmentRequest)))

    def _drop_packet(self, datagram: Datagram, reason: str) -> None:
        self._state.count(f"packet_dropped.{reason}")
        self._state.emit(PacketDropped(datagram.interface, datagram.source[0], reason))

    def _take_leave(self, interface: Interface, now: float) -> None:
        state = self._state
        for outbox in (interface.outbox, *(n.outbox for n in interface.neighbours.values())):
            outbox.clear()
            state.sending.cancel(outbox.timer)
        interface.outbox.small.append(wildcard_retraction(state))
        queue_hello(state, interface, FAREWELL_INTERVAL, 0.0, now)

    def _drop_tlv(self, interface: Interface, source: bytes, complaint: Complaint) -> None:
        self._state.count(f"tlv_dropped.{complaint.reason}")
        if complaint.reason not in QUIET_COMPLAINTS:
            self._state.emit(TlvDropped(interface.name, source, complaint.reason, complaint.message))


def _handle_any_acknowledgment(state: State, neighbour: Neighbour, tlv: Acknowledgment, now: float) -> None:
    handle_purge_acknowledgment(state, neighbour, tlv.opaque, now)
    handle_acknowledgment(state, neighbour, tlv, now)


def _is_link_local(address: bytes) -> bool:
    """Return whether an address is in fe80::/10 (§4)."""
    return len(address) == 16 and address[0] == 0xFE and address[1] & 0xC0 == 0x80


_ROUTE_WORK = (Update, RouteRequest, SeqnoRequest)

_HANDLERS: dict[type, Callable[[State, Neighbour, Any, float], None]] = {
    AcknowledgmentRequest: handle_acknowledgment_request,
    Acknowledgment: _handle_any_acknowledgment,
    Update: handle_update,
    RouteRequest: handle_route_request,
    SeqnoRequest: handle_seqno_request,
}
