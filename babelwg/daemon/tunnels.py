"""From the configuration to tunnels: desired, actual, a plan, and an apply that goes on where one tunnel fails."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from babelwg.babel.parameters import InterfaceParameters
from babelwg.config import Config, PeerConfig, link_local, public_of
from babelwg.daemon.endpoints import EndpointResolver
from babelwg.daemon.routing import RoutingService, WantedInterface
from babelwg.daemon.store import Store
from babelwg.linux.errors import KernelError
from babelwg.linux.links import IpRoute, alias_of, set_up_tunnel
from babelwg.linux.monitor import Mirror
from babelwg.linux.tunnels.embedded import EmbeddedBackend
from babelwg.linux.tunnels.kernel import KernelBackend, kernel_has_wireguard
from babelwg.linux.tunnels.tunnel import (
    RemoveTunnel,
    Tunnel,
    TunnelBackend,
    TunnelError,
    TunnelOperation,
    TunnelState,
    plan_tunnels,
    settings_of,
)
from babelwg.linux.tunnels.uapi import UapiBackend

log = logging.getLogger(__name__)

# Implementation constants
RETRY = 3.0  # seconds until a tunnel that failed is tried again
CHECK_INTERVAL = 15.0  # seconds between looks at handshakes, for endpoint lists
HANDSHAKE_FRESH = 180.0  # seconds: WireGuard's REJECT_AFTER_TIME, after which a session is over
STATE_CONCURRENCY = 16


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a tunnel, in one sentence, and what to do."""

    reason: str
    hint: str = ""


class TunnelService:
    """Keeps the node's tunnels as the configuration wants them."""

    def __init__(
        self,
        iproute: IpRoute,
        routing: RoutingService,
        store: Store,
        control: Path,
        sysctls: Callable[[list[str]], None],
    ) -> None:
        self.actual: dict[str, Tunnel] = {}
        self.problems: dict[str, Problem] = {}
        self.backend_name: str | None = None
        self.config: Config | None = None
        self._iproute = iproute
        self._routing = routing
        self._store = store
        self._sysctls = sysctls
        self.embedded = EmbeddedBackend(control, self._data_plane_lost)
        self._kernel = KernelBackend(iproute)
        self._programs: dict[str, UapiBackend] = {}
        self.resolvers: dict[str, EndpointResolver] = {}
        self._wake = asyncio.Event()
        self._lock = asyncio.Lock()

    async def run(self) -> None:
        """Apply now and whenever something changed; try failed tunnels again; never returns."""
        while True:
            await self.reconcile()
            self._wake.clear()
            timeout = RETRY if self.problems else CHECK_INTERVAL
            try:
                await asyncio.wait_for(self._wake.wait(), timeout)
            except TimeoutError:
                await self._check()

    def wake(self) -> None:
        """Look again soon."""
        self._wake.set()

    async def configure(self, config: Config) -> None:
        """Take a new configuration and apply it; tunnels that it does not change are not touched."""
        if (
            self.backend_name is None
            or self.config is None
            or self.config.tunnels.backend != config.tunnels.backend
        ):
            self.backend_name = await self._choose_backend(config.tunnels.backend)
        self.config = config
        self._update_resolvers(config)
        await self.reconcile()
        self._refresh_parameters()

    async def reconcile(self) -> None:
        """Bring the tunnels to the desired ones; what fails is noted and tried again later."""
        if self.config is None:
            return
        async with self._lock:
            desired = self._desired(self.config)
            self._routing.endpoints = frozenset(t.endpoint[0] for t in desired.values() if t.endpoint)
            self._remember_old_tunnels(desired)
            plan = plan_tunnels(desired, self.actual)
            for operation in plan:
                await self._apply(operation)
            for name in self.problems.keys() - desired.keys():
                del self.problems[name]

    async def states(self) -> dict[str, TunnelState]:
        """Return what the back ends report of each tunnel; those that do not answer are left out."""
        gate = asyncio.Semaphore(STATE_CONCURRENCY)

        async def ask(name: str, tunnel: Tunnel) -> tuple[str, TunnelState | None]:
            async with gate:
                try:
                    return name, await self._backend(tunnel.backend).state(name)
                except TunnelError as error:
                    self.problems.setdefault(name, Problem(error.reason, error.hint))
                    return name, None

        answers = await asyncio.gather(*(ask(name, tunnel) for name, tunnel in [*self.actual.items()]))
        return {name: state for name, state in answers if state is not None}

    async def withdraw(self) -> None:
        """Remove all tunnels and end our data plane."""
        async with self._lock:
            for tunnel in [*self.actual.values()]:
                await self._apply(RemoveTunnel(tunnel))
            await self.embedded.shut_down()

    async def close(self) -> None:
        """Leave the tunnels as they are."""
        for resolver in self.resolvers.values():
            resolver.close()
        await self.embedded.detach()

    def mend_addresses(self, mirror: Mirror) -> None:
        """Set up again the tunnels that are up without their link-local address: going down takes it away."""
        for name, tunnel in [*self.actual.items()]:
            link = mirror.link(name)
            if link is not None and link.up and mirror.link_local(link.index) != tunnel.link_local:
                log.warning("tunnel-lost-its-address interface=%s: set again", name)
                del self.actual[name]
                self.wake()

    def interface_missing(self, name: str) -> None:
        """Make a tunnel anew whose interface went away behind our back."""
        if self.actual.pop(name, None) is not None:
            log.warning("tunnel-vanished interface=%s: made again", name)
            self.wake()

    def _data_plane_lost(self) -> None:
        lost = [name for name, tunnel in self.actual.items() if tunnel.backend == "embedded"]
        if lost:
            log.error("data-plane-lost tunnels=%d: started again", len(lost))
        for name in lost:
            del self.actual[name]
        self.wake()

    async def _choose_backend(self, wanted: str) -> str:
        if wanted != "auto":
            return wanted
        return "kernel" if await kernel_has_wireguard(self._iproute) else "embedded"

    def _backend(self, name: str) -> TunnelBackend:
        if name == "kernel":
            return self._kernel
        if name == "embedded":
            return self.embedded
        return self._programs.setdefault(name, UapiBackend(self._iproute, name))

    def backend_of(self, peer: PeerConfig) -> str:
        """Return the back end of a peer's tunnel."""
        if peer.backend and peer.backend != "auto":
            return peer.backend
        return self.backend_name or "embedded"

    def _desired(self, config: Config) -> dict[str, Tunnel]:
        local = link_local(public_of(config.node.private_key))
        shared = {peer.interface for peer in config.peers if self.backend_of(peer) == "embedded"}
        ports = self._store.ports(
            [peer.interface for peer in config.peers], shared, config.tunnels.listen_port
        )
        desired = {}
        for peer in config.peers:
            desired[peer.interface] = Tunnel(
                interface=peer.interface,
                peer=peer.name,
                backend=self.backend_of(peer),
                private_key=config.node.private_key,
                public_key=peer.public_key,
                listen_port=ports[peer.interface],
                mtu=config.tunnels.mtu,
                fwmark=config.tunnels.fwmark,
                link_local=local,
                preshared_key=peer.preshared_key,
                endpoint=self.resolvers[peer.name].current,
                keepalive=peer.keepalive,
            )
        return desired

    def _remember_old_tunnels(self, desired: dict[str, Tunnel]) -> None:
        """Count the tunnels of an earlier life among the actual ones, so that the plan removes what is not wanted."""
        for name, backend in self._store.tunnels().items():
            if name not in desired and name not in self.actual and self.config is not None:
                self.actual[name] = Tunnel(
                    name,
                    name,
                    backend,
                    self.config.node.private_key,
                    self.config.node.private_key,
                    0,
                    0,
                    0,
                    b"",
                )

    async def _apply(self, operation: TunnelOperation) -> None:
        tunnel = operation.tunnel
        try:
            if isinstance(operation, RemoveTunnel):
                await self._remove(tunnel)
            else:
                await self._set(tunnel)
            self.problems.pop(tunnel.interface, None)
        except TunnelError as error:
            self._note_problem(tunnel, Problem(error.reason, error.hint))
        except KernelError as error:
            self._note_problem(tunnel, Problem(str(error)))

    def _note_problem(self, tunnel: Tunnel, problem: Problem) -> None:
        if self.problems.get(tunnel.interface) != problem:
            log.error("tunnel-failed interface=%s peer=%s: %s", tunnel.interface, tunnel.peer, problem.reason)
        self.problems[tunnel.interface] = problem

    async def _set(self, tunnel: Tunnel) -> None:
        backend = self._backend(tunnel.backend)
        previous = self.actual.get(tunnel.interface)
        if previous is None or previous.mtu != tunnel.mtu:
            await self._create(backend, tunnel)
        await backend.configure(tunnel, previous)
        if previous is None or (previous.mtu, previous.link_local) != (tunnel.mtu, tunnel.link_local):
            await set_up_tunnel(
                self._iproute, tunnel.interface, tunnel.mtu, tunnel.link_local, _alias(tunnel)
            )
            self._sysctls([tunnel.interface])
        self.actual[tunnel.interface] = tunnel
        log.info("tunnel-set interface=%s peer=%s backend=%s", tunnel.interface, tunnel.peer, tunnel.backend)
        self._routing.want(tunnel.interface, WantedInterface(self._parameters(tunnel), tunnel.link_local))

    async def _create(self, backend: TunnelBackend, tunnel: Tunnel) -> None:
        name = tunnel.interface
        known = name in self._store.tunnels()
        # The alias outlives the state directory: without it a tunnel of ours would be a stranger's for ever.
        if not known and await alias_of(self._iproute, name) not in (None, _alias(tunnel)):
            raise TunnelError(
                f"the interface name {name} is taken by something that is not ours",
                f"remove it (`ip link del {name}`), or give the peer another `interface`",
            )
        # Remembered before it is made: a kill in between leaves nothing that nobody owns.
        self._store.add_tunnel(name, tunnel.backend)
        try:
            await backend.create(tunnel)
        except TunnelError:
            if not known:
                self._store.drop_tunnel(name)
            raise

    async def _remove(self, tunnel: Tunnel) -> None:
        self._routing.want(tunnel.interface, None)
        # First forgotten, so that its disappearance is no surprise.
        self.actual.pop(tunnel.interface, None)
        await self._backend(tunnel.backend).remove(tunnel.interface)
        self._store.drop_tunnel(tunnel.interface)
        log.info("tunnel-removed interface=%s peer=%s", tunnel.interface, tunnel.peer)

    def _parameters(self, tunnel: Tunnel) -> InterfaceParameters:
        assert self.config is not None
        babel = self.config.babel
        cost = next((peer.cost for peer in self.config.peers if peer.interface == tunnel.interface), 0)
        update = babel.update_interval or 4 * babel.hello_interval
        return InterfaceParameters(
            kind="tunnel",
            hello_interval=babel.hello_interval,
            update_interval=update,
            cost=cost,
            mtu=tunnel.mtu,
        )

    def _refresh_parameters(self) -> None:
        """Give Babel the costs and intervals of the present configuration, where they changed."""
        for tunnel in self.actual.values():
            wanted = WantedInterface(self._parameters(tunnel), tunnel.link_local)
            if self._routing.wanted.get(tunnel.interface) not in (None, wanted):
                self._routing.want(tunnel.interface, wanted)

    def _update_resolvers(self, config: Config) -> None:
        wanted = {peer.name: peer.endpoints for peer in config.peers}
        for name, resolver in [*self.resolvers.items()]:
            if wanted.get(name) != resolver.endpoints:
                resolver.close()
                del self.resolvers[name]
        for name, endpoints in wanted.items():
            if name not in self.resolvers:
                self.resolvers[name] = EndpointResolver(name, endpoints, self.wake)

    async def _check(self) -> None:
        """Look at every tunnel: put back what others changed, and leave endpoints that do not answer."""
        states = await self.states()
        for name, state in states.items():
            tunnel = self.actual.get(name)
            if tunnel is not None and state.settings != settings_of(tunnel):
                log.warning("tunnel-changed-by-another interface=%s: set again", name)
                del self.actual[name]
        self._rotate_endpoints(states)

    def _rotate_endpoints(self, states: dict[str, TunnelState]) -> None:
        """Where a peer has several addresses and the present one brought no session, go on to the next."""
        for peer in self.config.peers if self.config else ():
            state = states.get(peer.interface)
            silent = state is not None and time.time() - state.latest_handshake > HANDSHAKE_FRESH
            if len(peer.endpoints) > 1 and silent and self.resolvers[peer.name].next():
                log.info("endpoint-next peer=%s", peer.name)


def _alias(tunnel: Tunnel) -> str:
    """Return the mark by which we know an interface as ours: it names the node's public key."""
    return f"babelwg {public_of(tunnel.private_key)}"
