"""What may be set: the constants of appendix B and the bounds that protect a node."""

from dataclasses import dataclass
from typing import Literal

from babelwg.babel.wire.mac import MacKey

# Specification constants (RFC 8966)
PORT = 6696  # §5
GROUP = bytes.fromhex("ff020000000000000000000000010006")  # §5, ff02::1:6
HELLO_INTERVAL = 4.0  # seconds, appendix B
UPDATE_INTERVAL = 16.0  # seconds, appendix B
IHU_INTERVAL_FACTOR = 3  # of the Hello interval, appendix B
HOLD_FACTOR = 3.5  # of the interval the sender announced, appendix B
REQUEST_TIMEOUT = 2.0  # seconds before the first resend, doubled each time, appendix B
SOURCE_GC_TIME = 180.0  # seconds, appendix B
URGENT_TIMEOUT = 0.2  # seconds, appendix B
HOP_COUNT = 64  # §3.8.2.1
MAX_HELLO_JUMP = 16  # seqnos, appendix A.1
HISTORY_LENGTH = 16  # Hellos, appendix A.1
SMOOTHING_FACTOR = 3.0  # Hello intervals, appendix A.3
MIN_PACKET_SIZE = 512  # octets of UDP payload every speaker can receive, §4
UDP_IPV6_OVERHEAD = 48  # octets, §4
# Implementation constants: shorter promises are legal, but to act on each would make a neighbour's clock ours.
MIN_UPDATE_HOLD = 1.0  # seconds, what a shorter interval of an update or an IHU counts as
MIN_HELLO_INTERVAL = 0.05  # seconds, what a shorter interval of a Hello counts as
# seconds, what a longer interval of a Hello counts as while its sender never said that it hears us
MAX_UNCONFIRMED_INTERVAL = 60.0
LONGEST_HOLD = 2294.0  # seconds; 3.5 times the longest interval that fits in an update

Kind = Literal["tunnel", "wired", "wireless"]


@dataclass(frozen=True, slots=True)
class Parameters:
    """What concerns the whole node; times in seconds, sizes in octets."""

    port: int = PORT
    group: bytes = GROUP
    # A node that cannot install IPv4 routes with IPv6 next hops must not select them (RFC 9229, §2.2).
    v4_via_v6: bool = True
    # One whose kernel has no place for source-specific routes ignores them (RFC 9079, §4).
    source_specific: bool = True
    request_timeout: float = REQUEST_TIMEOUT
    source_gc_time: float = SOURCE_GC_TIME
    # Implementation constants: what a stranger can make grow is bounded.
    max_neighbours_per_interface: int = 512
    max_neighbours_per_tunnel: int = 2  # one is expected, and another while its address changes
    # How many new neighbours an interface takes in: a LAN of a hundred may start together, after that few come.
    acquisition: float = 4.0  # neighbours a second
    acquisition_burst: int = 128  # neighbours at once
    max_routes_per_neighbour: int = 32768
    max_routes: int = 262144
    max_sources: int = 262144
    max_pending_losses: int = 65536  # requests after losses of ours: nothing else brings a prefix back soon
    max_pending_requests: int = 16384  # those that neighbours cause
    max_pending_requests_per_neighbour: int = 4096
    max_requesters: int = 64  # of one pending request
    max_pending_acknowledgments: int = 4096
    max_pending_acknowledgments_per_interface: int = 512
    max_queued_answers: int = 32768  # per neighbour, and as many requests
    max_queued_updates: int = 262144  # per interface
    max_holds: int = 262144
    max_undrained_notices: int = 256
    # What one neighbour may have us do, and all addresses on a tunnel together: updates and requests, what it wants
    # acknowledged, and the routes that its link reprices.
    route_work: int = 5000  # TLVs a second
    route_work_burst: int = 40_000  # TLVs at once: a full table and some
    answer_work: int = 5000  # acknowledgments a second that it asks for
    answer_work_burst: int = 10_000  # acknowledgments at once: many times those of a full table
    link_work: int = 5000  # routes a second
    link_work_burst: int = 131_072  # routes at once: four times a full table
    # What neighbours are told of prefixes that keep changing through one of them.
    flap_work: int = 50_000  # updates a second
    flap_work_burst: int = 100_000  # updates at once
    # A source lives for three minutes, so that one neighbour fills no more than three quarters of the table.
    source_work: int = 500  # unknown sources a second
    source_work_burst: int = 100_000  # unknown sources at once
    # Implementation constants: our own pace.
    dump_interval: float = 2.0  # seconds between two full dumps to one neighbour, fewer for small tables
    acknowledgment_timeout: float = 0.5  # before the third copy of an urgent update, doubled each time
    update_copies: int = 5  # of an urgent update that nobody acknowledges, at most 5 (§3.7.2)
    significant_metric_change: int = 48  # half of what a tunnel without loss costs
    hysteresis_recheck: float = 1.0
    seek_pause_max: float = 16.0  # between two requests for a better path that stays unfeasible
    clearly_better: int = 16  # of metric, a sixth of a tunnel: a path that is better by so much is soon taken
    clear_delay: float = 0.75  # seconds for which it must have been so, unless it is better on average too
    calm_time: float = 60.0  # seconds after a change during which a slightly better path is not taken
    # Before the second wildcard retraction after a loss of memory, doubled each time: who takes in a full table
    # answers late, and a second one would take all of it back.
    purge_retry: float = 1.0
    purge_retry_max: float = 16.0


@dataclass(frozen=True, slots=True)
class InterfaceParameters:
    """What concerns one interface; the defaults are those of a tunnel."""

    kind: Kind = "tunnel"
    hello_interval: float = HELLO_INTERVAL
    update_interval: float = UPDATE_INTERVAL
    rxcost: int = 96  # what reception costs without loss: C of appendix A.2.1, 256 of A.2.2
    link_quality: bool = True  # loss raises the cost
    split_horizon: bool = True
    cost: int = 0  # added to what is measured
    mtu: int = 1420
    keys: tuple[
        MacKey, ...
    ] = ()  # each signs what we send, any of them vouches for what we receive (RFC 8967)
    accept_bad_signatures: bool = False  # believe also what none of them vouches for
    ipv4: bytes | None = None  # our packed IPv4 address on this interface
    v4_via_v6: bool = True  # IPv4 with IPv6 next hops (RFC 9229)
    unicast: bool = False  # updates go to each neighbour alone instead of to the group
    # Speakers of RFC 6126 would take a source-specific route for an ordinary one (RFC 9079, §6).
    rfc6126_compatible: bool = False
    # The RTT of a link (RFC 9616): below rtt_min it costs nothing, from rtt_max on max_rtt_penalty.
    timestamps: bool = True
    rtt_decay: int = 42  # weight of a new sample, of 256
    rtt_min: float = 0.010  # seconds
    rtt_max: float = 0.120  # seconds
    max_rtt_penalty: int = 150
    pace: float = 300_000.0  # octets per second of routing traffic
    burst: int = (
        30_000  # octets that may leave at once: what a loop that was late for a while has to make up for
    )

    @classmethod
    def wired(cls) -> "InterfaceParameters":
        """Return the defaults of a wired network."""
        return cls(kind="wired", link_quality=False, mtu=1500, timestamps=False, max_rtt_penalty=0)

    @classmethod
    def wireless(cls) -> "InterfaceParameters":
        """Return the defaults of a wireless network, where all may not hear all (§3.7.4)."""
        return cls(
            kind="wireless",
            rxcost=256,
            split_horizon=False,
            mtu=1500,
            burst=0,
            timestamps=False,
            max_rtt_penalty=0,
        )

    @property
    def packet_size(self) -> int:
        """Octets of UDP payload that a packet may have (§4)."""
        return min(max(MIN_PACKET_SIZE, self.mtu - UDP_IPV6_OVERHEAD), 65535 - UDP_IPV6_OVERHEAD)

    @property
    def ihu_interval(self) -> float:
        """Seconds between two IHUs as promised to neighbours."""
        return IHU_INTERVAL_FACTOR * self.hello_interval

    @property
    def point_to_point(self) -> bool:
        """Whether exactly one neighbour is expected."""
        return self.kind == "tunnel"
