"""The names of tunnels' interfaces: what another program renamed is found again, and gets its name back."""

import errno
import logging
from collections.abc import Callable

from babelwg.daemon.tunnel_notes import OUR_MARK, alias_for
from babelwg.linux.errors import KernelError
from babelwg.linux.links import IpRoute, alias_of, rename_link
from babelwg.linux.mirror import Link, Mirror
from babelwg.linux.tunnels.tunnel import Tunnel, TunnelError

log = logging.getLogger(__name__)


class TunnelNames:
    """Knows the interfaces of tunnels by their index and their alias, which a new name does not change."""

    def __init__(
        self, iproute: IpRoute, mirror: Mirror, tell: Callable[[str, Tunnel, str, str], None]
    ) -> None:
        self._iproute = iproute
        self._mirror = mirror
        self._tell = tell
        self._indices: dict[str, int] = {}

    def learn(self, name: str, index: int) -> None:
        """Take note of which interface is that of a tunnel."""
        self._indices[name] = index

    def forget(self, name: str) -> None:
        """Forget an interface that is gone; its index may be another's one day."""
        self._indices.pop(name, None)

    def is_in_place(self, name: str) -> bool:
        """Return whether the interface of this name is the one that the tunnel made."""
        link = self._mirror.link(name)
        return link is not None and self._indices.get(name) == link.index

    def astray(self, tunnel: Tunnel) -> Link | None:
        """Return the interface of a tunnel where it goes by a name that is not its own."""
        index, alias = self._indices.get(tunnel.interface), alias_for(tunnel)
        own = [link for link in self._mirror.links.values() if link.index == index or link.alias == alias]
        if any(link.name == tunnel.interface for link in own):
            return None
        return own[0] if own else None

    async def restore(self, tunnel: Tunnel) -> None:
        """Give the interface of a tunnel its name back where another program renamed it. Raises TunnelError."""
        link, name = self.astray(tunnel), tunnel.interface
        if link is None:
            return
        if self._mirror.link(name) is not None:
            raise _taken(name, link.name)
        try:
            await rename_link(self._iproute, link.index, name)
        except KernelError as error:
            if error.errno == errno.ENODEV:
                return  # gone meanwhile, and made anew like any that vanished
            if error.errno == errno.EEXIST:
                raise _taken(name, link.name) from error
            reason = f"another program renamed {name} to {link.name}, and it cannot be renamed back: {error}"
            raise TunnelError(reason, f"rename it back: `ip link set {link.name} name {name}`") from error
        log.warning("tunnel-renamed interface=%s: another program named it %s, renamed back", name, link.name)
        self._tell(
            "renamed", tunnel, f"has its interface's name {name} back", f"it was renamed to {link.name}"
        )

    async def refuse_stranger(self, name: str) -> None:
        """Raise TunnelError where an interface has this name that is none of ours."""
        # The alias outlives the state directory: without it a tunnel of ours would be a stranger's for ever.
        # It names a key, which may be another since: so any mark of ours counts.
        alias = await alias_of(self._iproute, name)
        if alias is not None and not alias.startswith(OUR_MARK):
            raise TunnelError(
                f"the interface name {name} is taken by something that is not ours",
                f"remove it (`ip link del {name}`), or give the peer another `interface`",
            )


def _taken(name: str, other: str) -> TunnelError:
    return TunnelError(
        f"another program renamed {name} to {other}, and its own name is taken meanwhile",
        f"rename or remove what is called {name} now: `ip link show {name}`",
    )
