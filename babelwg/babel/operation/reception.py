"""From a datagram to what its TLVs do, in an order that suits them (RFC 8966, section 4)."""

from collections.abc import Callable, Sequence
from typing import Any

from babelwg.babel.datagram import Datagram
from babelwg.babel.events import PacketDropped, TlvDropped
from babelwg.babel.operation.acknowledgments import (
    handle_acknowledgment,
    handle_acknowledgment_request,
)
from babelwg.babel.operation.acquisition import handle_hello
from babelwg.babel.operation.answering import handle_route_request, handle_seqno_request
from babelwg.babel.operation.authentication import authenticate
from babelwg.babel.operation.delay import handle_stamps, is_probe
from babelwg.babel.operation.failure import (
    handle_answer,
)
from babelwg.babel.operation.liveness import confirm, handle_ihu, update_link
from babelwg.babel.operation.probing import handle_probe
from babelwg.babel.operation.recovery import (
    begin_purge,
    handle_purge_acknowledgment,
)
from babelwg.babel.operation.routes import (
    handle_passage,
    handle_repeated,
    handle_update,
    remember_passage,
)
from babelwg.babel.state import State
from babelwg.babel.tables.interface import Interface
from babelwg.babel.tables.neighbour import Neighbour
from babelwg.babel.tables.route import Route
from babelwg.babel.wire.decode import NOTHING_KNOWN, Complaint, Said, decode_packet
from babelwg.babel.wire.prefix import is_link_local
from babelwg.babel.wire.recognition import Passage
from babelwg.babel.wire.tlv import (
    Acknowledgment,
    AcknowledgmentRequest,
    Hello,
    Ihu,
    RouteRequest,
    SeqnoRequest,
    Update,
)

# Implementation constants
MAX_HELLOS = 4  # of one packet; a multicast and a unicast one are all that make sense
# What newer and other speakers send to each other is no mistake, so it is counted but not reported.
QUIET_COMPLAINTS = frozenset({"unknown-tlv", "unknown-ae", "mandatory-sub-tlv"})


def receive_datagram(state: State, datagram: Datagram, now: float) -> None:
    """Do what a datagram says, or count why not."""
    source, port = datagram.source
    interface = state.interfaces.get(datagram.interface)
    if interface is None:
        _drop_packet(state, datagram, "interface-not-enabled")
    elif not is_link_local(source):
        _drop_packet(state, datagram, "not-link-local")
    elif port != state.parameters.port:
        _drop_packet(state, datagram, "wrong-port")
    elif source == interface.link_local:
        _drop_packet(state, datagram, "own-address")
    else:
        _receive_packet(state, interface, datagram, now)


def _receive_packet(state: State, interface: Interface, datagram: Datagram, now: float) -> None:
    source = datagram.source[0]
    if interface.parameters.keys:
        refusal = authenticate(state, interface, datagram, now)
        if refusal is not None:
            _drop_packet(state, datagram, refusal)
            return
    neighbour = interface.neighbours.get(source)
    packet = decode_packet(datagram.data, source, neighbour.heard if neighbour else NOTHING_KNOWN)
    if packet.refusal is not None:
        _drop_packet(state, datagram, packet.refusal)
        return
    state.count("packets_received")
    state.count("octets_received", len(datagram.data))
    # A Hello makes the neighbour entry that all other TLVs need, wherever it stands in the packet.
    hellos, ihus, others = _sort_out(packet.tlvs)
    for hello in hellos[:MAX_HELLOS]:
        handle_hello(state, interface, source, hello, now)
    if len(hellos) > MAX_HELLOS:
        state.count("tlv_dropped.hello-rate", len(hellos) - MAX_HELLOS)
    if (neighbour := interface.neighbours.get(source)) is not None:
        neighbour.presence.spoke = now
        if neighbour.multicast.presumed:
            confirm(state, neighbour, now)
        handle_stamps(state, neighbour, hellos, ihus, datagram.received, now)
        for ihu in ihus:
            handle_ihu(state, neighbour, ihu, now)
        # What concerns the link comes first, and its cost once, so that updates meet a settled link.
        if hellos or ihus:
            update_link(state, neighbour, now)
            begin_purge(state, neighbour, now)
        affordable = _affordable(state, neighbour, others, now)
        for tlv in affordable:
            _HANDLERS[type(tlv)](state, neighbour, tlv, now)
        if neighbour.asked_at is not None and any(map(_announces, affordable)):
            neighbour.asked_at = None
        for passage in packet.passages:
            remember_passage(state, neighbour, passage)
        if any(is_probe(hello) for hello in hellos[:MAX_HELLOS]):
            handle_probe(state, interface, now)
    elif packet.tlvs:
        _drop_tlv(state, interface, source, Complaint("unknown-neighbour", "no Hello was heard before"))
    for complaint in packet.complaints:
        _drop_tlv(state, interface, source, complaint)


def _sort_out(tlvs: Sequence[Said]) -> tuple[list[Hello], list[Ihu], Sequence[Said]]:
    """Return the Hellos, the IHUs and the rest."""
    hellos = [tlv for tlv in tlvs if isinstance(tlv, Hello)]
    ihus = [tlv for tlv in tlvs if isinstance(tlv, Ihu)]
    others = [tlv for tlv in tlvs if not isinstance(tlv, Hello | Ihu)] if hellos or ihus else tlvs
    return hellos, ihus, others


def _affordable(state: State, neighbour: Neighbour, tlvs: Sequence[Said], now: float) -> Sequence[Said]:
    """Return what a neighbour may have us do now: all, or a packet without its updates and requests."""
    parameters, account, kinds = state.parameters, neighbour.account, [*map(type, tlvs)]
    work, asked = sum(map(_ROUTE_WORK.__contains__, kinds)), kinds.count(AcknowledgmentRequest)
    may_work = account.route_work.spend(work, parameters.route_work_burst, parameters.route_work, now)
    # Who has said too much may still ask whether its link works.
    may_ask = not asked or account.answer_work.spend(
        asked, parameters.answer_work_burst, parameters.answer_work, now
    )
    if may_work and may_ask:
        return tlvs
    state.count("tlv_dropped.rate", (0 if may_work else work) + (0 if may_ask else asked))
    # An acknowledgment would say that we know of the retractions among what is dropped (§3.5.4).
    kept = [tlv for tlv in tlvs if not isinstance(tlv, AcknowledgmentRequest)]
    return kept if may_work else [tlv for tlv in kept if type(tlv) not in _ROUTE_WORK]


def _announces(tlv: Said) -> bool:
    """Return whether a TLV says anything of what its sender announces; a retraction of everything does not."""
    return isinstance(tlv, Route | Passage) or (isinstance(tlv, Update) and tlv.prefix is not None)


def _drop_packet(state: State, datagram: Datagram, reason: str) -> None:
    state.count(f"packet_dropped.{reason}")
    state.emit(PacketDropped(datagram.interface, datagram.source[0], reason))


def _drop_tlv(state: State, interface: Interface, source: bytes, complaint: Complaint) -> None:
    state.count(f"tlv_dropped.{complaint.reason}", complaint.count)
    if complaint.reason not in QUIET_COMPLAINTS:
        state.emit(TlvDropped(interface.name, source, complaint.reason, complaint.message))


def _handle_any_acknowledgment(state: State, neighbour: Neighbour, tlv: Acknowledgment, now: float) -> None:
    handle_answer(state, neighbour, tlv.opaque, now)
    handle_purge_acknowledgment(state, neighbour, tlv.opaque, now)
    handle_acknowledgment(state, neighbour, tlv, now)


_ROUTE_WORK = frozenset((Update, Route, Passage, RouteRequest, SeqnoRequest))

_HANDLERS: dict[type, Callable[[State, Neighbour, Any, float], None]] = {
    AcknowledgmentRequest: handle_acknowledgment_request,
    Acknowledgment: _handle_any_acknowledgment,
    Update: handle_update,
    Route: handle_repeated,
    Passage: handle_passage,
    RouteRequest: handle_route_request,
    SeqnoRequest: handle_seqno_request,
}
