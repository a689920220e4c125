"""One peer as the checks see it: what the node knows of it, and what probes brought."""

from dataclasses import dataclass, field

from babelwg.babel.snapshot import NeighbourView
from babelwg.babel.wire.tlv import INFINITY
from babelwg.config import PeerConfig
from babelwg.daemon.tunnel_notes import Problem
from babelwg.linux.nftables import DropRule
from babelwg.linux.probes.knock import Knock
from babelwg.linux.tunnels.handshakes import SeenCaller, SignAges
from babelwg.linux.tunnels.tunnel import SESSION_LIFE, SocketAddress, TunnelState

# Implementation constants
CROSSING = 3.0  # seconds by which two handshakes that cross may differ; a repeated one comes later
RECENT = 20.0  # seconds: an unanswered call is repeated every five
HELLO_PATIENCE = 3.5  # of the Hello interval


@dataclass(frozen=True, slots=True)
class Probes:
    """What came back: round trips in seconds by size of packet in octets, knocks inside and outside the tunnel."""

    echoes: dict[int, float] = field(default_factory=dict)
    full: int = 0  # octets of the largest packet that the tunnel takes, 0 where it was not tried
    babel: Knock | None = None  # on the peer's port of Babel, through the tunnel
    outer: Knock | None = None  # on its endpoint
    host_answers: bool | None = None  # a ping to its endpoint, beside the tunnel
    problem: str | None = None  # why nothing could be sent


NO_SIGNS, NO_PROBES = SignAges(), Probes()


@dataclass(frozen=True, slots=True)
class Patient:
    """A peer, its tunnel, its session and its link, at one moment."""

    peer: PeerConfig
    exists: bool  # the interface is there
    up: bool
    has_link_local: bool
    ipv6_disabled: bool
    port: int  # UDP port on which we wait for it
    tunnel_problem: Problem | None = None
    name_problem: str | None = None  # why a name of its endpoints does not resolve
    endpoint: SocketAddress | None = None  # where we send to, or would
    state: TunnelState | None = None
    handshake_age: float | None = None  # seconds since the last one, None for never
    grows: bool = False  # something arrived from it while it was looked at
    tells: bool = True  # whether its back end tells how handshakes go
    signs: SignAges = NO_SIGNS
    callers: tuple[SeenCaller, ...] = ()  # those that call in vain from its address
    neighbour: NeighbourView | None = None
    probes: Probes = NO_PROBES
    babel_drops: tuple[DropRule, ...] = ()  # rules of ours that drop Babel here
    tunnel_drops: tuple[DropRule, ...] = ()  # and those that drop the tunnel's own packets

    @property
    def name(self) -> str:
        """The peer's name."""
        return self.peer.name

    def is_news(self, age: float | None) -> bool:
        """Return whether a sign is young, and none from before the last handshake that came to its end."""
        if age is None or age > RECENT:
            return False
        return self.handshake_age is None or age + CROSSING < self.handshake_age

    @property
    def has_session(self) -> bool:
        """Whether the last handshake is young enough for packets."""
        return self.handshake_age is not None and self.handshake_age < SESSION_LIFE

    @property
    def calls_in_vain(self) -> bool:
        """Whether its calls are taken here, and none of them became a session."""
        if self.grows or self.is_news(self.signs.taken):
            return True
        # A back end that tells nothing still counts the octets of a call that it took.
        heard = self.state is not None and self.state.rx_bytes > 0
        return not self.tells and heard and self.handshake_age is None

    @property
    def echoes(self) -> bool:
        """Whether a ping through the tunnel came back."""
        return bool(self.probes.echoes)

    @property
    def hears(self) -> bool:
        """Whether Hellos of it arrive."""
        n = self.neighbour
        return (
            n is not None
            and n.rxcost < INFINITY
            and n.last_heard < HELLO_PATIENCE * max(n.hello_interval, 0.5)
        )

    @property
    def is_heard(self) -> bool:
        """Whether it says that it hears us."""
        return self.neighbour is not None and self.neighbour.txcost < INFINITY
