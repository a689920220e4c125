"""What a tunnel should be, what a back end can do with it, and the plan from the one set of tunnels to the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from babelwg.config.keys import Key

ANY_ADDRESS = ("0.0.0.0/0", "::/0")  # the allowed IPs of every tunnel: Babel decides, not WireGuard
SESSION_LIFE = 180.0  # seconds: WireGuard's REJECT_AFTER_TIME, after which a session is over
SocketAddress = tuple[bytes, int]  # packed address and port


@dataclass(frozen=True, slots=True)
class Tunnel:
    """One interface with one WireGuard peer; `endpoint` is what to tell the back end, None for nothing yet."""

    interface: str
    peer: str
    backend: str
    private_key: Key
    public_key: Key
    listen_port: int
    mtu: int
    fwmark: int
    link_local: bytes
    preshared_key: Key | None = None
    endpoint: SocketAddress | None = None
    keepalive: int = 0


@dataclass(frozen=True, slots=True)
class Settings:
    """What a back end was told and can be asked for; a preshared key of zeros is none."""

    public_key: bytes
    preshared_key: bytes
    keepalive: int
    fwmark: int
    listen_port: int
    allowed_ips: frozenset[str]


@dataclass(frozen=True, slots=True)
class TunnelState:
    """What a back end reports: octets, the handshake as Unix seconds (0.0 for never)."""

    endpoint: SocketAddress | None
    latest_handshake: float
    rx_bytes: int
    tx_bytes: int
    listen_port: int
    settings: Settings | None  # None while there is no peer


def settings_of(tunnel: Tunnel) -> Settings:
    """Return what a back end should report for a tunnel."""
    return Settings(
        tunnel.public_key.octets,
        preshared_key_of(tunnel),
        tunnel.keepalive,
        tunnel.fwmark,
        tunnel.listen_port,
        frozenset(ANY_ADDRESS),
    )


def preshared_key_of(tunnel: Tunnel) -> bytes:
    """Return the preshared key of a tunnel, of zeros for none."""
    return tunnel.preshared_key.octets if tunnel.preshared_key else bytes(32)


class TunnelError(Exception):
    """A tunnel that cannot be made or changed; `reason` is one sentence, `hint` says what to do."""

    def __init__(self, reason: str, hint: str = "") -> None:
        self.reason = reason
        self.hint = hint
        super().__init__(reason, hint)

    def __str__(self) -> str:
        return self.reason


class TunnelGone(TunnelError):
    """A tunnel that is not there any more, though it was: it can be made again."""


class TunnelBackend(Protocol):
    """One way to have WireGuard; every call may be repeated. All raise TunnelError."""

    name: str

    async def create(self, tunnel: Tunnel) -> None:
        """Make the interface exist."""

    async def configure(self, tunnel: Tunnel, previous: Tunnel | None) -> None:
        """Give the interface its keys, port, mark and peer; `previous` is what it was given before."""

    async def state(self, interface: str) -> TunnelState:
        """Return what the interface reports now."""

    async def remove(self, interface: str) -> None:
        """Make the interface go."""


@dataclass(frozen=True, slots=True)
class SetTunnel:
    """Make this tunnel exist as given."""

    tunnel: Tunnel


@dataclass(frozen=True, slots=True)
class RemoveTunnel:
    """Remove this tunnel."""

    tunnel: Tunnel


TunnelOperation = SetTunnel | RemoveTunnel


def plan_tunnels(desired: Mapping[str, Tunnel], actual: Mapping[str, Tunnel]) -> list[TunnelOperation]:
    """Return the operations that turn `actual` into `desired`, removals first; none when equal.

    A tunnel that changes its back end is removed before it is set: two programs cannot share an interface.
    """
    gone = [
        tunnel
        for name, tunnel in sorted(actual.items())
        if name not in desired or desired[name].backend != tunnel.backend
    ]
    plan: list[TunnelOperation] = [RemoveTunnel(tunnel) for tunnel in gone]
    plan += [SetTunnel(desired[name]) for name in sorted(desired) if actual.get(name) != desired[name]]
    return plan
