"""The delay of links: stamps, samples, their average, and what it adds to a cost (RFC 9616)."""

from collections.abc import Sequence
from struct import Struct

from babelwg.babel.operation.liveness import update_link
from babelwg.babel.parameters import InterfaceParameters
from babelwg.babel.state import State
from babelwg.babel.tables.interface import Interface
from babelwg.babel.tables.neighbour import Neighbour
from babelwg.babel.wire.tlv import Hello, Ihu, SubTlv, SubTlvType

# Specification constants
MODULUS = 1 << 32  # of a stamp, in microseconds (§3.2)
MAX_AGE = 180.0  # seconds after which a stamp or a sample means nothing (§3.3)
# Implementation constants
SAMPLE_INTERVAL = 0.4  # seconds; samples that come closer together weigh less each
FIRST_SAMPLES = 4  # of which the smallest counts: a link that starts is slow once
ROUNDING = 1e-5  # seconds by which stamps may be wrong
PENALTY_STEP = 6  # a smaller change of the penalty is not worth the metrics of all routes
UNIT = 256  # of rtt_decay


def stamp_hello(state: State, interface: Interface, now: float) -> tuple[SubTlv, ...]:
    """Return the sub-TLV that says when a Hello left, if this interface measures (§3.2)."""
    if not interface.parameters.timestamps:
        return ()
    return (SubTlv(SubTlvType.TIMESTAMP, _STAMP.pack(_clock(state, now))),)


def stamp_ihu(neighbour: Neighbour) -> tuple[SubTlv, ...]:
    """Return the sub-TLV that echoes a neighbour's latest Hello; only for a packet with a stamped Hello (§3.2)."""
    found = neighbour.round_trip
    if not neighbour.interface.parameters.timestamps or found.origin is None or found.received is None:
        return ()
    return (SubTlv(SubTlvType.TIMESTAMP, _TWO_STAMPS.pack(found.origin, found.received)),)


def handle_stamps(
    state: State,
    neighbour: Neighbour,
    hellos: Sequence[Hello],
    ihus: Sequence[Ihu],
    received: float,
    now: float,
) -> None:
    """Take a sample of the delay from a packet that came at `received`, when it holds one (§3.2)."""
    if not hellos or not neighbour.interface.parameters.timestamps:
        return
    hello = next((s for t in hellos if (s := _stamps(state, t, 1))), None)
    if hello is None:
        return
    link_local = neighbour.interface.link_local
    ours = (t for t in ihus if t.address in (None, link_local))
    ihu = next((s for t in ours if (s := _stamps(state, t, 2))), None)
    arrival = _clock(state, received)
    if ihu is not None:
        _take_sample(state, neighbour, hello[0], ihu, arrival, now)
    neighbour.round_trip.origin, neighbour.round_trip.received = hello[0], arrival


def is_probe(hello: Hello) -> bool:
    """Return whether a Hello came out of turn so that both ends can measure."""
    stamped = any(sub.type == SubTlvType.TIMESTAMP for sub in hello.sub_tlvs)
    return stamped and not hello.interval and not hello.unicast


def handle_delay_timeout(state: State, neighbour: Neighbour, now: float) -> None:
    """Forget a delay that was not measured for long (§3.3)."""
    neighbour.round_trip.forget()
    update_link(state, neighbour, now)


def reprice_delay(neighbour: Neighbour) -> None:
    """Compute what the delay costs after the parameters changed."""
    found, parameters = neighbour.round_trip, neighbour.interface.parameters
    if not parameters.timestamps:
        found.forget()
        found.origin = found.received = None
    found.penalty = 0 if found.rtt is None else compute_penalty(parameters, found.rtt)


def compute_penalty(parameters: InterfaceParameters, rtt: float) -> int:
    """Return what a delay in seconds adds to the cost: nothing, ever more, then no more (§4.2)."""
    least, most = parameters.rtt_min, max(parameters.rtt_max, parameters.rtt_min + 0.001)
    share = (rtt - least) / (most - least)
    return round(parameters.max_rtt_penalty * min(max(share, 0.0), 1.0))


def _stamps(state: State, tlv: Hello | Ihu, count: int) -> tuple[int, ...] | None:
    """Return the stamps of a TLV; one that is too short is as good as none (§6)."""
    for sub in tlv.sub_tlvs:
        if sub.type == SubTlvType.TIMESTAMP:
            if len(sub.body) < 4 * count:
                state.count("sub_tlv_ignored.short-timestamp")
                return None
            found: tuple[int, ...] = (_STAMP if count == 1 else _TWO_STAMPS).unpack_from(sub.body)
            return found
    return None


def _take_sample(
    state: State, neighbour: Neighbour, departure: int, ihu: tuple[int, ...], arrival: int, now: float
) -> None:
    """Compute the delay from four stamps, unless they make no sense (§3.3) or tell of a link that was down."""
    origin, echoed = ihu
    found, began = neighbour.round_trip, neighbour.interface.began
    known = found.origin
    away, held = _since(arrival, origin), _since(departure, echoed)
    if away > MAX_AGE:
        state.count("rtt_discarded.origin-age")
    elif held > MAX_AGE or (known is not None and _since(departure, known) > MAX_AGE):
        state.count("rtt_discarded.hello-age")
    elif held > away:
        state.count("rtt_discarded.negative")
    elif away > now - began + ROUNDING:
        state.count("rtt_discarded.former-life")  # whose clock had another origin
    elif found.rtt is not None and not (neighbour.reachable and away <= now - found.since + ROUNDING):
        state.count("rtt_discarded.dead-link")  # a packet may have waited for the session of its tunnel
    else:
        _smooth(state, neighbour, away - held, now)


def _smooth(state: State, neighbour: Neighbour, sample: float, now: float) -> None:
    """Move the average towards a sample, by the time that has passed and not by the number of samples (§4.1)."""
    found, parameters = neighbour.round_trip, neighbour.interface.parameters
    found.samples += 1
    if found.rtt is None or (found.samples <= FIRST_SAMPLES and sample < found.rtt):
        found.rtt = sample
    else:
        # A sample weighs as much as rtt_decay says, and less when the one before it is younger than usual.
        elapsed = min(1.0, (now - found.sampled) / SAMPLE_INTERVAL)
        kept = (1 - min(parameters.rtt_decay, UNIT) / UNIT) ** elapsed if elapsed > 0 else 1.0
        found.rtt = kept * found.rtt + (1 - kept) * sample
    found.sampled = now
    state.timers.set(found.timer, now + MAX_AGE)
    wanted = compute_penalty(parameters, found.rtt)
    if wanted in (0, parameters.max_rtt_penalty) or abs(wanted - found.penalty) >= PENALTY_STEP:
        found.penalty = wanted


def _clock(state: State, moment: float) -> int:
    """Return a moment in microseconds, by a clock whose origin nobody else knows (§3.2)."""
    return (round(moment * 1e6) + state.clock_origin) % MODULUS


def _since(later: int, earlier: int) -> float:
    """Return the seconds between two stamps; what is in the future looks very old."""
    return ((later - earlier) % MODULUS) / 1e6


_STAMP = Struct(">I")
_TWO_STAMPS = Struct(">II")
