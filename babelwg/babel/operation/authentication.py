"""Which packets of an interface with keys are believed, and how ours are signed (RFC 8967, RFC 9467)."""

from hmac import compare_digest

from babelwg.babel.datagram import Datagram
from babelwg.babel.operation.hellos import send_scheduled_hello
from babelwg.babel.operation.queueing import urgent_delay
from babelwg.babel.state import State
from babelwg.babel.tables.association import MAX_COUNTER, Association
from babelwg.babel.tables.interface import Interface
from babelwg.babel.wire.mac import (
    RANDOM_SIZE,
    Address,
    Credentials,
    is_authentic,
    macs_of,
    read_credentials,
    seal,
)
from babelwg.babel.wire.tlv import HEADER_SIZE, ChallengeReply, ChallengeRequest

# Specification constants (RFC 8967), seconds
CHALLENGE_TIMEOUT = 30.0  # §4.3.1.1
CHALLENGE_PAUSE = 0.3  # between two challenges to one neighbour, §4.3.1.1
REPLY_PAUSE = 0.3  # between two replies to one neighbour, §4.3.1.2
ASSOCIATION_LIFETIME = 300.0  # since the last accepted packet, §4.4


def authenticate(state: State, interface: Interface, datagram: Datagram, now: float) -> str | None:
    """Return why a packet must be dropped, None when it may be believed."""
    refusal = _examine(state, interface, datagram, now)
    if refusal is not None and interface.parameters.accept_bad_signatures:
        # The operator is about to introduce keys: count what would be dropped, and take it (§3.1).
        state.count(f"packet_accepted_unproven.{refusal}")
        return None
    return refusal


def sign(state: State, interface: Interface, packet: bytes, source: Address, destination: Address) -> bytes:
    """Return a packet with the next counter of its interface and a MAC for each key (§4.2)."""
    if interface.counter == MAX_COUNTER or not interface.index:
        interface.index = state.rng.randbytes(RANDOM_SIZE)
        interface.counter = 0
    interface.counter += 1
    return seal(packet, interface.counter, interface.index, interface.parameters.keys, source, destination)


def _examine(state: State, interface: Interface, datagram: Datagram, now: float) -> str | None:
    data = datagram.data
    end = HEADER_SIZE + int.from_bytes(data[2:4], "big")
    if len(data) < HEADER_SIZE or end > len(data):
        return None  # the parser has a better word for it
    packet, trailer = data[:end], data[end:]
    if not macs_of(trailer):
        return "mac-missing"
    keys = interface.parameters.keys
    if not is_authentic(packet, trailer, keys, datagram.source, datagram.destination):
        return "mac-wrong"
    association = _association(state, interface, datagram.source[0], now)
    if association is None:
        return "mac-association-limit"
    credentials = read_credentials(packet[HEADER_SIZE:])
    multicast = datagram.destination[0][0] == 0xFF
    was_proven = association.index == credentials.index
    refusal = _judge(state, association, credentials, multicast, now)
    if refusal is None and not was_proven:
        # It has proven itself, and our Hellos before it could do so were lost on it as its own were on us.
        send_scheduled_hello(state, interface, urgent_delay(state, interface), now)
    if credentials.challenge is not None and refusal != "mac-replayed":
        _reply(state, association, credentials.challenge, multicast, now)
    return refusal


def _judge(
    state: State, association: Association, credentials: Credentials, multicast: bool, now: float
) -> str | None:
    """Return why a packet with a right MAC is still not believed: it may be an old one (§4.3)."""
    if credentials.counter is None:
        return "mac-no-packet-counter"
    if any(_answers(association, nonce, now) for nonce in credentials.replies):
        association.prove(credentials.index, credentials.counter, now)
        return None
    if association.index != credentials.index:
        _challenge(state, association, now)
        return "mac-unproven-index"
    window = association.multicast if multicast else association.unicast
    if not window.admit(credentials.counter):
        return "mac-replayed"
    association.last_accepted = now
    return None


def _association(state: State, interface: Interface, address: bytes, now: float) -> Association | None:
    """Return what is known of a neighbour whose MAC was right; None when the table is full."""
    table = interface.associations
    if (association := table.get(address)) is not None:
        if now - association.last_accepted > ASSOCIATION_LIFETIME:
            association.forget()
        return association
    for known, old in list(table.items()):
        if now - old.last_accepted > ASSOCIATION_LIFETIME:
            state.sending.cancel(old.outbox.timer)
            del table[known]
    if len(table) >= state.parameters.max_neighbours_per_interface:
        return None
    association = Association(
        address, lambda now: state.ready.append((interface, table[address].outbox)), now
    )
    table[address] = association
    return association


def _answers(association: Association, nonce: bytes, now: float) -> bool:
    """Return whether a nonce is the one that we sent, and came in time (§4.3.1.3)."""
    if association.nonce is None or now > association.nonce_expires:
        return False
    return compare_digest(association.nonce, nonce)


def _challenge(state: State, association: Association, now: float) -> None:
    """Ask a neighbour to prove that it lives now and not in a recording (§4.3.1.1)."""
    if now - association.challenged < CHALLENGE_PAUSE:
        state.count("challenge_suppressed.rate")
        return
    association.challenged = now
    association.nonce = state.rng.randbytes(RANDOM_SIZE)
    association.nonce_expires = now + CHALLENGE_TIMEOUT
    association.outbox.small.append(ChallengeRequest(association.nonce))
    state.sending.advance(association.outbox.timer, now)


def _reply(state: State, association: Association, nonce: bytes, multicast: bool, now: float) -> None:
    """Return a neighbour's nonce to it alone (§4.3.1.2)."""
    if multicast:
        state.count("challenge_ignored.multicast")
    elif now - association.replied < REPLY_PAUSE:
        state.count("challenge_ignored.rate")
    else:
        association.replied = now
        association.outbox.small.append(ChallengeReply(nonce))
        state.sending.advance(association.outbox.timer, now)
