"""Changes of tunnels that nobody announces: sessions that come and go, and peers that call from elsewhere."""

import time
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import NamedTuple

from babelwg.daemon.recorder import Note, silent
from babelwg.linux.tunnels.tunnel import SESSION_LIFE, SocketAddress, Tunnel, TunnelState
from babelwg.wireguard.timers import PROTOCOL_VALUES

# Implementation constants
UNANSWERED = (
    PROTOCOL_VALUES.rekey_after_time + PROTOCOL_VALUES.rekey_timeout
)  # seconds; who sends calls before


class Seen(NamedTuple):
    """How a tunnel was at the last look."""

    has_session: bool
    endpoint: SocketAddress | None


class TunnelWatch:
    """Compares what back ends report with what they reported before, and takes note of what differs."""

    def __init__(self) -> None:
        self.note: Note = silent
        self.was_set: Callable[[], None] = lambda: None  # called when a tunnel was told its settings
        self.suspect: Callable[[str], None] = lambda interface: None  # told whose handshakes are not answered
        self._seen: dict[str, Seen] = {}
        self._octets: dict[str, tuple[int, int]] = {}  # received and sent, at the last comparison

    def endpoint(self, interface: str) -> SocketAddress | None:
        """Return where the peer of a tunnel was at the last look."""
        seen = self._seen.get(interface)
        return seen.endpoint if seen else None

    def tell(self, what: str, tunnel: Tunnel, text: str, cause: str) -> None:
        """Take note of what was done to a tunnel, or happened to it."""
        about = {"peer": tunnel.peer, "interface": tunnel.interface}
        self.note(f"tunnel-{what}", f"the tunnel to {tunnel.peer} {text}", cause, **about)

    def tell_setting(self, tunnel: Tunnel, previous: Tunnel | None) -> None:
        """Take note that a tunnel was told its settings."""
        cause = "it is configured" if previous is None else "its settings changed"
        if previous is not None and previous.preshared_key != tunnel.preshared_key:
            cause = "its preshared key changed, and its session begins anew"
        self.tell("set", tunnel, "is set", cause)
        self.was_set()

    def tell_removal(self, tunnel: Tunnel, is_switched: bool) -> None:
        """Take note that a tunnel is gone: somebody switched it off, or the configuration is without it."""
        cause = "it is taken down" if is_switched else "it is not wanted any more"
        self.tell("removed", tunnel, "is removed", cause)

    def tell_next(self, peer: str) -> None:
        """Take note that another endpoint of a peer is tried."""
        text, cause = f"the next endpoint of {peer} is tried", "this one does not answer"
        self.note("endpoint-next", text, cause, peer=peer)

    def tell_loss(self, tunnels: int) -> None:
        """Take note that the data plane is gone with so many tunnels."""
        text = f"the data plane with {tunnels} tunnels is gone, and is started again"
        self.note("data-plane-lost", text, "its process ended", count=tunnels)

    def look(self, tunnels: Mapping[str, Tunnel], states: Mapping[str, TunnelState]) -> None:
        """Take in the states of tunnels, by interface."""
        for gone in self._seen.keys() - tunnels.keys():
            del self._seen[gone]
            self._octets.pop(gone, None)
        for name, state in states.items():
            if name not in tunnels:
                continue
            # 0.0 for never
            age = time.time() - state.latest_handshake if state.latest_handshake else None
            now = Seen(age is not None and age < SESSION_LIFE, state.endpoint)
            before = self._seen.get(name) or Seen(False, now.endpoint)
            self._seen[name] = now
            # A tunnel that is made anew, or for another key, has forgotten its handshake.
            loss = "the tunnel was set anew" if age is None else f"no handshake for {SESSION_LIFE:.0f} s"
            self._compare(name, tunnels[name].peer, before, now, loss)

    def is_quiet(self, interface: str, state: TunnelState) -> bool:
        """Return whether nothing came since the question before; suspect a link that sends and gets no session."""
        received, sent = self._octets.get(interface, (0, state.tx_bytes))
        self._octets[interface] = state.rx_bytes, state.tx_bytes
        speaks_in_vain = state.rx_bytes == received and state.tx_bytes > sent
        if speaks_in_vain and time.time() - state.latest_handshake > UNANSWERED:
            self.suspect(interface)
        # Octets tell that a session lives even when the clock has jumped.
        return state.rx_bytes in (0, received)

    def _compare(self, interface: str, peer: str, before: Seen, now: Seen, loss: str) -> None:
        where = endpoint_text(now.endpoint)
        about = {"peer": peer, "interface": interface, "endpoint": where}
        if now.has_session and not before.has_session:
            self.note("handshake-came", f"{peer} has a session with us", f"it answers at {where}", **about)
        elif before.has_session and not now.has_session:
            self.note("handshake-lost", f"the session with {peer} is over", loss, **about)
        if None not in (before.endpoint, now.endpoint) and before.endpoint != now.endpoint:
            old = endpoint_text(before.endpoint)
            text = f"{peer} is at {where} now (was {old})"
            self.note("endpoint-changed", text, None, **about, old_endpoint=old)


def endpoint_text(endpoint: SocketAddress | None) -> str | None:
    """Return an address and its port as people write them."""
    if endpoint is None:
        return None
    address = ip_address(endpoint[0])
    return f"[{address}]:{endpoint[1]}" if address.version == 6 else f"{address}:{endpoint[1]}"
