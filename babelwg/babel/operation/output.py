"""From what waits in the outboxes to datagrams (RFC 8966, section 3.1)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from babelwg.babel.datagram import Datagram
from babelwg.babel.operation.acknowledgments import expect_acknowledgment
from babelwg.babel.operation.authentication import sign
from babelwg.babel.operation.delay import stamp_hello, stamp_ihu
from babelwg.babel.operation.dump import write_dump
from babelwg.babel.operation.queueing import room_in
from babelwg.babel.operation.sharing import write_changes
from babelwg.babel.operation.updates import build_update, is_harmless
from babelwg.babel.state import State
from babelwg.babel.tables.interface import REPEAT_DELAY, Interface
from babelwg.babel.tables.neighbour import Neighbour
from babelwg.babel.tables.outbox import Outbox, Withheld
from babelwg.babel.wire.encode import PacketWriter
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.seqno import seqno_add
from babelwg.babel.wire.tlv import AcknowledgmentRequest, Hello, Ihu

ACKNOWLEDGMENT_REQUEST_SIZE = 8  # octets, kept free in a packet of urgent updates
FLUSHED_UNDER_LOAD = 4  # outboxes at once
MOST_IN_PACKET = 200  # retractions that one packet may take while the kernel fails
ACKNOWLEDGMENT_INTERVAL = 0.2  # seconds that a neighbour may take to confirm urgent updates

T = TypeVar("T")
V = TypeVar("V")


def flush_in_order(state: State, ready: Sequence[tuple[Interface, Outbox]], now: float) -> list[Datagram]:
    """Return the datagrams of all outboxes that are ready, retractions of everything before other updates.

    What is announced beside such a retraction came after it was due, and would be retracted again.
    """
    datagrams: list[Datagram] = []
    if any(outbox.retracts_all for _, outbox in ready):
        # Hellos first all the same: a stranger's retraction would not be heeded.
        for interface, outbox in ready:
            if not outbox.retracts_all:
                datagrams += _flush_unpaced(state, interface, outbox, now)
        ready = sorted(ready, key=lambda pair: not pair[1].retracts_all)
    for interface, outbox in ready:
        datagrams += flush(state, interface, outbox, now)
    return datagrams


def flush(state: State, interface: Interface, outbox: Outbox, now: float) -> list[Datagram]:
    """Return the datagrams that may leave now; the rest of the outbox waits for its turn."""
    datagrams: list[Datagram] = []
    if not interface.neighbours:
        # Nobody listens, and announcing would narrow what we may select later.
        outbox.drop_updates()
    while outbox:
        ready_at = interface.pacer.ready_at(interface.parameters)
        if not outbox.unpaced and ready_at > now:
            # A table told again may wait until it is worth the while.
            state.sending.set(outbox.timer, ready_at if outbox.pressing else ready_at + REPEAT_DELAY)
            break
        writer = _writer(interface)
        _write_unpaced(state, interface, outbox, writer, now)
        if ready_at <= now and not outbox.unpaced:
            _write_paced(state, interface, outbox, writer, now)
        if writer:
            datagrams.append(_wrap(state, interface, outbox, writer, now))
        elif state.keeps_back and not (outbox.pressing or outbox.updates):
            break  # what waits for the kernel needs no timer
    return datagrams


def withhold(state: State, withheld: bool, now: float) -> None:
    """Keep all finite updates back from now on, or let those leave that waited."""
    if state.withheld == withheld:
        return
    state.withheld = withheld
    for interface in state.interfaces.values():
        for outbox in interface.all_outboxes():
            outbox.release()
            if outbox.paced and not withheld:
                state.sending.advance(outbox.timer, now)


def flush_by_worth(state: State, ready: Sequence[tuple[Interface, Outbox]], now: float) -> list[Datagram]:
    """Return the Hellos, IHUs and small TLVs of all outboxes that are ready, and the rest of some of them.

    What changes comes before full tables. The other outboxes have their turn when what came meanwhile was read.
    """
    datagrams = [d for interface, outbox in ready for d in _flush_unpaced(state, interface, outbox, now)]
    waiting = sorted((pair for pair in ready if pair[1]), key=lambda pair: not pair[1].pressing)
    for interface, outbox in waiting[:FLUSHED_UNDER_LOAD]:
        datagrams += flush(state, interface, outbox, now)
    for _, outbox in waiting[FLUSHED_UNDER_LOAD:]:
        state.sending.advance(outbox.timer, now)
    return datagrams


def _flush_unpaced(state: State, interface: Interface, outbox: Outbox, now: float) -> list[Datagram]:
    datagrams = []
    while outbox.unpaced:
        writer = _writer(interface)
        _write_unpaced(state, interface, outbox, writer, now)
        datagrams.append(_wrap(state, interface, outbox, writer, now))
    return datagrams


def _writer(interface: Interface) -> PacketWriter:
    return PacketWriter(interface.capacity, interface.link_local)


def _wrap(state: State, interface: Interface, outbox: Outbox, writer: PacketWriter, now: float) -> Datagram:
    port = state.parameters.port
    source, destination = (interface.link_local, port), (outbox.destination, port)
    data = writer.packet()
    if interface.parameters.keys:
        data = sign(state, interface, data, source, destination)
    interface.pacer.spend(len(data), interface.parameters, now)
    state.count("packets_sent")
    state.count("octets_sent", len(data))
    return Datagram(data, source, destination, interface.name, now)


def _write_unpaced(
    state: State, interface: Interface, outbox: Outbox, writer: PacketWriter, now: float
) -> None:
    """Write Hello, IHUs and small TLVs, built at the last moment so that they are true when they leave."""
    with_hello = outbox.hello is not None
    if outbox.hello is not None:
        interface.hello_seqno = seqno_add(interface.hello_seqno, 1)
        state.sent_hellos[interface.name] = interface.hello_seqno
        stamps = stamp_hello(state, interface, now)
        added = writer.add(Hello(interface.hello_seqno, outbox.hello, sub_tlvs=stamps))
        assert added, "a Hello fits in an empty packet"
        outbox.hello = None
    _write_all(outbox.ihus, lambda address: writer.add(_build_ihu(outbox.ihus[address], with_hello)))
    written = len(_take(outbox.small, writer.add))
    del outbox.small[:written]


def _build_ihu(neighbour: Neighbour, with_hello: bool) -> Ihu:
    # Without the Hello beside it, the neighbour could make nothing of the stamps (RFC 9616, §3.2).
    stamps = stamp_ihu(neighbour) if with_hello else ()
    interval = neighbour.interface.parameters.ihu_interval
    return Ihu(neighbour.address, neighbour.rxcost, interval, stamps)


def _write_paced(
    state: State, interface: Interface, outbox: Outbox, writer: PacketWriter, now: float
) -> None:
    """Write requests, answers, urgent updates and other updates, until the packet is full."""
    if not _write_all(outbox.requests, writer.add):
        return
    if state.keeps_back:
        _write_retractions(state, interface, outbox, writer, now)
        return
    if not _write_all(outbox.answers, lambda p: _write_answer(state, interface, writer, p, now)):
        return
    if outbox.urgent and not _write_urgent(state, interface, outbox, outbox.urgent, writer, now):
        return
    if outbox.updates:
        changes = write_changes(state, interface, outbox.updates, writer, 0, urgent=False, now=now)
        outbox.take_updates(changes.prefixes)
    if not outbox.updates:
        write_dump(state, interface, outbox, writer, now)


def _write_retractions(
    state: State, interface: Interface, outbox: Outbox, writer: PacketWriter, now: float
) -> None:
    """Write what no neighbour can follow, until the packet is full; what is finite stays where it waits."""

    answers, urgent, updates = _withhold(state, interface, outbox)
    for prefix in _take(answers, lambda p: _write_answer(state, interface, writer, p, now)):
        del outbox.answers[prefix]
    if urgent:
        _write_urgent(state, interface, outbox, urgent, writer, now)
    if updates:
        changes = write_changes(state, interface, updates, writer, 0, urgent=False, now=now)
        outbox.take_updates(changes.prefixes)


def _withhold(state: State, interface: Interface, outbox: Outbox) -> list[dict[Prefix, None]]:
    """Return of the answers, urgent and other updates the first that no neighbour can follow.

    What is finite before those is set aside: none that waits is looked at for each packet.
    """
    aside = outbox.withheld = outbox.withheld or Withheld()
    queues: list[tuple[dict[Prefix, Any], dict[Prefix, Any], bool, bool]] = [
        (outbox.answers, aside.answers, True, False),
        (outbox.urgent, aside.urgent, False, True),
        (outbox.updates, aside.updates, False, False),
    ]
    heads = []
    for queue, others, solicited, urgent in queues:
        head: dict[Prefix, None] = {}
        finite = []
        for prefix in queue:
            if not is_harmless(state, interface, prefix, solicited, urgent):
                finite.append(prefix)
                continue
            head[prefix] = None
            if len(head) == MOST_IN_PACKET:
                break
        for prefix in finite:
            copy = queue.pop(prefix)
            if prefix in others or room_in(state, others, 1):
                others[prefix] = copy
        heads.append(head)
    return heads


def _write_urgent(
    state: State,
    interface: Interface,
    outbox: Outbox,
    prefixes: Mapping[Prefix, Any],
    writer: PacketWriter,
    now: float,
) -> bool:
    """Write these of the urgent updates and ask for their acknowledgment; return whether no other ones wait."""
    before = writer.size
    spare = ACKNOWLEDGMENT_REQUEST_SIZE
    changes = write_changes(state, interface, prefixes, writer, spare, urgent=True, now=now)
    written = outbox.take_urgent(changes.prefixes)
    if writer.size > before:
        listeners = interface.listeners(outbox.destination)
        nonce = expect_acknowledgment(state, interface, listeners, written, changes.retracted, now)
        if nonce is not None:
            added = writer.add(AcknowledgmentRequest(nonce, ACKNOWLEDGMENT_INTERVAL))
            assert added, "its octets were kept free"
    return not outbox.urgent


def _write_answer(
    state: State, interface: Interface, writer: PacketWriter, prefix: Prefix, now: float
) -> bool:
    """Write the update for a prefix that was asked for; return whether it did not lack space."""
    update = build_update(state, interface, prefix, solicited=True, urgent=False, now=now)
    if update is None or writer.add(update):
        return True
    assert writer, "any update fits in an empty packet"
    return False


def _write_all(queue: dict[T, V], write: Callable[[T], bool]) -> bool:
    """Write the keys of a queue in order and remove them; return whether all fitted."""
    for item in _take(queue, write):
        del queue[item]
    return not queue


def _take(queue: Iterable[T], write: Callable[[T], bool]) -> list[T]:
    taken = []
    for item in queue:
        if not write(item):
            break
        taken.append(item)
    return taken
