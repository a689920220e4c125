"""What is said of a tunnel: its mark, its parameters for Babel, and what is wrong with it."""

from dataclasses import dataclass

from babelwg.babel.parameters import InterfaceParameters
from babelwg.config import Config, PeerConfig, link_local, public_of
from babelwg.linux.tunnels.tunnel import SocketAddress, Tunnel

OUR_MARK = "babelwg "  # begins the alias of every interface of ours


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a tunnel, in one sentence, and what to do."""

    reason: str
    hint: str = ""


def mistake(error: Exception) -> Problem:
    """Return a problem that nobody foresaw."""
    return Problem(f"unexpected: {type(error).__name__}: {error}", "please report the daemon's log")


def alias_for(tunnel: Tunnel) -> str:
    """Return the mark by which we know an interface as ours: the node's public key, and the interface's own name."""
    return f"{OUR_MARK}{public_of(tunnel.private_key)} {tunnel.interface}"


def tunnel_to(
    peer: PeerConfig, config: Config, backend: str, listen_port: int, endpoint: SocketAddress | None
) -> Tunnel:
    """Return the tunnel that a configuration wants to a peer."""
    return Tunnel(
        interface=peer.interface,
        peer=peer.name,
        backend=backend,
        private_key=config.node.private_key,
        public_key=peer.public_key,
        listen_port=listen_port,
        mtu=config.tunnels.mtu,
        fwmark=config.tunnels.fwmark,
        link_local=link_local(public_of(config.node.private_key)),
        preshared_key=peer.preshared_key,
        endpoint=endpoint,
        keepalive=peer.keepalive,
    )


def remembered(interface: str, backend: str, config: Config) -> Tunnel:
    """Return a tunnel of an earlier life, of which only the interface and the back end are known."""
    key = config.node.private_key
    return Tunnel(interface, interface, backend, key, key, 0, 0, 0, b"")


def parameters_of(config: Config, tunnel: Tunnel) -> InterfaceParameters:
    """Return the costs and intervals with which Babel runs on a tunnel."""
    babel = config.babel
    cost = next((peer.cost for peer in config.peers if peer.interface == tunnel.interface), 0)
    return InterfaceParameters(
        kind="tunnel",
        hello_interval=babel.hello_interval,
        update_interval=babel.effective_update_interval,
        cost=cost,
        mtu=tunnel.mtu,
    )
