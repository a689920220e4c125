"""From the configuration to tunnels: desired, actual, a plan, and an apply that goes on where one tunnel fails."""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

from babelwg.config import Config, PeerConfig
from babelwg.daemon.endpoints import EndpointResolver
from babelwg.daemon.handshakes import HandshakeClock
from babelwg.daemon.routing import RoutingService, WantedInterface
from babelwg.daemon.store import Store
from babelwg.daemon.survey import PATIENCE, Survey, Told
from babelwg.daemon.tunnel_names import TunnelNames
from babelwg.daemon.tunnel_notes import (
    Problem,
    alias_for,
    mistake,
    parameters_of,
    remembered,
    tunnel_to,
)
from babelwg.daemon.tunnel_watch import TunnelWatch
from babelwg.daemon.waiting import wait_for_news
from babelwg.linux.errors import KernelError
from babelwg.linux.links import IpRoute, set_up_tunnel
from babelwg.linux.mirror import Mirror
from babelwg.linux.tunnels.embedded import EmbeddedBackend
from babelwg.linux.tunnels.kernel import KernelBackend, choose_backend
from babelwg.linux.tunnels.tunnel import (
    SESSION_LIFE,
    RemoveTunnel,
    Tunnel,
    TunnelBackend,
    TunnelError,
    TunnelGone,
    TunnelOperation,
    TunnelState,
    plan_tunnels,
    settings_of,
)
from babelwg.linux.tunnels.uapi import UapiBackend

log = logging.getLogger(__name__)

# Implementation constants
RETRY = 3.0  # seconds until a tunnel that failed is tried again
CHECK_INTERVAL = 30.0  # seconds between looks at handshakes, for endpoint lists
HANDSHAKE_FRESH = SESSION_LIFE


class TunnelService:
    """Keeps the node's tunnels as the configuration wants them."""

    def __init__(
        self,
        iproute: IpRoute,
        routing: RoutingService,
        store: Store,
        control: Path,
        sysctls: Callable[[list[str]], None],
        mirror: Mirror,
    ) -> None:
        self.actual: dict[str, Tunnel] = {}
        self.problems: dict[str, Problem] = {}
        self.backend_name: str | None = None
        self.config: Config | None = None
        self.watch = TunnelWatch()
        self.names = TunnelNames(iproute, mirror, self.watch.tell)
        self._mirror = mirror
        self._iproute = iproute
        self._routing = routing
        self._store = store
        self._sysctls = sysctls
        self.embedded = EmbeddedBackend(control, self._data_plane_lost)
        self._kernel = KernelBackend(iproute)
        self._programs: dict[str, UapiBackend] = {}
        self.resolvers: dict[str, EndpointResolver] = {}
        self.disabled: set[str] = set()  # names of peers that somebody took down; until then, or our end
        self._survey = Survey(self._ask)
        self._handshakes = HandshakeClock()
        self._wake = asyncio.Event()
        self._lock = asyncio.Lock()
        self._closing = False  # set by withdraw: from then on nothing is made any more
        self._silent: set[str] = set()  # interfaces whose problem is that they do not tell their state

    async def run(self) -> None:
        """Apply now and whenever something changed; try failed tunnels again; never returns."""
        loop = asyncio.get_running_loop()
        look = loop.time() + CHECK_INTERVAL
        while True:
            self._wake.clear()  # before the work: what happens meanwhile is not lost
            await self.reconcile()
            timeout = min(RETRY if self.problems else CHECK_INTERVAL, look - loop.time())
            await wait_for_news(self._wake, max(0.0, timeout))
            if loop.time() >= look:
                await self._check()
                look = loop.time() + CHECK_INTERVAL

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
            self.backend_name = await choose_backend(self._iproute, config.tunnels.backend)
        self.config = config
        self.disabled &= {peer.name for peer in config.peers}
        self._update_resolvers(config)
        await self.reconcile()
        self._refresh_parameters()

    async def reconcile(self) -> None:
        """Bring the tunnels to the desired ones; what fails is noted and tried again later."""
        async with self._lock:
            if self.config is None or self._closing:
                return
            desired = self._desired(self.config)
            self._routing.set_endpoints(frozenset(t.endpoint[0] for t in desired.values() if t.endpoint))
            self._remember_old_tunnels(desired)
            stuck, plan = set(), plan_tunnels(desired, self.actual)
            gone = [operation.tunnel.interface for operation in plan if isinstance(operation, RemoveTunnel)]
            await self._routing.take_leave(gone)
            for operation in plan:
                name = operation.tunnel.interface
                # What could not be removed is not made anew by another back end, which would forget the old one.
                if name not in stuck and not await self._apply(operation):
                    stuck.add(name)
            for name in self.problems.keys() - desired.keys():
                del self.problems[name]
                self._silent.discard(name)

    async def switch(self, peer: PeerConfig, down: bool, up: bool) -> None:
        """Remove the tunnel of a peer, and keep it away; make it again; or both."""
        if down:
            self.disabled.add(peer.name)
            await self.reconcile()
        if up:
            self.disabled.discard(peer.name)
            await self.reconcile()

    async def states(self) -> dict[str, TunnelState]:
        """Return what the back ends report of each tunnel; those that do not answer are left out."""
        return await self._survey.answers(self.actual)

    async def told(self) -> dict[str, Told]:
        """Return what each tunnel reports, or what it did last where it does not answer at once."""
        states = await self._survey.answers(self.actual, PATIENCE)
        return self._survey.told(self.actual, states)

    def ask_soon(self, name: str) -> None:
        """Have a tunnel tell its state, whose session may be new, to whoever watches."""
        if (tunnel := self.actual.get(name)) is not None:
            self._survey.ask(name, tunnel)

    async def withdraw(self) -> None:
        """Remove all tunnels and end our data plane."""
        self._closing = True
        async with self._lock:
            self._remember_old_tunnels({})  # also what failed, or waits for its next attempt
            for tunnel in [*self.actual.values()]:
                await self._apply(RemoveTunnel(tunnel))
            try:
                await self.embedded.shut_down()
            except TunnelError as error:
                log.error("data-plane-stays: %s", error)

    async def close(self) -> None:
        """Leave the tunnels as they are."""
        self._survey.close()
        for resolver in self.resolvers.values():
            resolver.close()
        await self.embedded.detach()

    def mend_addresses(self) -> None:
        """Set up again the tunnels that are up without their link-local address: going down takes it away."""
        for name, tunnel in [*self.actual.items()]:
            link = self._mirror.link(name)
            if link is not None and link.up and self._mirror.link_local(link.index) != tunnel.link_local:
                log.warning("tunnel-lost-its-address interface=%s: set again", name)
                self.watch.tell("lost-its-address", tunnel, "lost its link-local address", "it went down")
                del self.actual[name]
                self.wake()

    def interface_missing(self, name: str) -> None:
        """Make a tunnel anew whose interface went away behind our back, or rename it back."""
        if (tunnel := self.actual.pop(name, None)) is not None:
            if self.names.astray(tunnel) is None:
                self.names.forget(name)
                self.watch.tell("vanished", tunnel, "vanished and is made again", "not our doing")
                log.warning("tunnel-vanished interface=%s: made again", name)
            self.wake()

    def _data_plane_lost(self) -> None:
        lost = [name for name, tunnel in self.actual.items() if tunnel.backend == "embedded"]
        if lost:
            log.error("data-plane-lost tunnels=%d: started again", len(lost))
            self.watch.tell_loss(len(lost))
        for name in lost:
            del self.actual[name]
        self.wake()

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
        shared = {peer.interface for peer in config.peers if self.backend_of(peer) == "embedded"}
        ports = self._store.ports(
            [peer.interface for peer in config.peers], shared, config.tunnels.listen_port
        )
        desired = {}
        for peer in (p for p in config.peers if p.name not in self.disabled):
            backend, endpoint = self.backend_of(peer), self.resolvers[peer.name].current
            desired[peer.interface] = tunnel_to(peer, config, backend, ports[peer.interface], endpoint)
        return desired

    def _remember_old_tunnels(self, desired: dict[str, Tunnel]) -> None:
        """Count the tunnels of an earlier life among the actual ones, so that the plan removes what is not wanted."""
        for name, backend in self._store.tunnels().items():
            wanted = name in desired and desired[name].backend == backend
            if not wanted and name not in self.actual and self.config is not None:
                self.actual[name] = remembered(name, backend, self.config)

    async def _ask(self, name: str, tunnel: Tunnel) -> TunnelState | None:
        """Return what a tunnel reports; where it does not, its problem says so until it does again."""
        try:
            state = self._handshakes.corrected(name, await self._backend(tunnel.backend).state(name))
        except TunnelError as error:
            if self.actual.get(name) is tunnel and not self._lock.locked():
                self._note_silence(tunnel, Problem(error.reason, error.hint))
                if isinstance(error, TunnelGone):
                    self.interface_missing(name)
            return None
        except Exception as error:  # one tunnel must not end the daemon
            if self._note_silence(tunnel, mistake(error)):
                log.exception("internal-error interface=%s", name)
            return None
        if name in self._silent:
            self._silent.discard(name)
            self.problems.pop(name, None)
        self.watch.look(self.actual, {name: state})
        return state

    def _note_silence(self, tunnel: Tunnel, problem: Problem) -> bool:
        """Note that a tunnel does not tell its state; return whether that is news."""
        name = tunnel.interface
        if name in self.problems and name not in self._silent:
            return False  # why it could not be made says more
        self._silent.add(name)
        return self._note_problem(tunnel, problem)

    async def _apply(self, operation: TunnelOperation) -> bool:
        """Perform one operation, and return whether it succeeded; else its problem is noted."""
        tunnel = operation.tunnel
        self._silent.discard(tunnel.interface)
        try:
            if isinstance(operation, RemoveTunnel):
                await self._remove(tunnel)
            else:
                await self._set(tunnel)
            self.problems.pop(tunnel.interface, None)
            return True
        except TunnelError as error:
            self._note_problem(tunnel, Problem(error.reason, error.hint))
        except KernelError as error:
            self._note_problem(tunnel, Problem(str(error)))
        except Exception as error:  # one tunnel must not end the daemon
            if self._note_problem(tunnel, mistake(error)):
                log.exception("internal-error interface=%s", tunnel.interface)
        return False

    def _note_problem(self, tunnel: Tunnel, problem: Problem) -> bool:
        """Note what is wrong with a tunnel, and return whether that is news."""
        news = self.problems.get(tunnel.interface) != problem
        if news:
            log.error("tunnel-failed interface=%s peer=%s: %s", tunnel.interface, tunnel.peer, problem.reason)
            self.watch.tell("failed", tunnel, "failed", problem.reason)
        self.problems[tunnel.interface] = problem
        return news

    async def _set(self, tunnel: Tunnel) -> None:
        backend = self._backend(tunnel.backend)
        previous = self.actual.get(tunnel.interface)
        if previous is None or previous.mtu != tunnel.mtu:
            await self._create(backend, tunnel)
        await backend.configure(tunnel, previous)
        if previous is None or (previous.mtu, previous.link_local) != (tunnel.mtu, tunnel.link_local):
            name, alias = tunnel.interface, alias_for(tunnel)
            index = await set_up_tunnel(self._iproute, name, tunnel.mtu, tunnel.link_local, alias)
            self.names.learn(name, index)
            self._sysctls([tunnel.interface])
        self.actual[tunnel.interface] = tunnel
        log.info("tunnel-set interface=%s peer=%s backend=%s", tunnel.interface, tunnel.peer, tunnel.backend)
        self.watch.tell_setting(tunnel, previous)
        self._routing.want(tunnel.interface, self._wanted(tunnel))

    async def _create(self, backend: TunnelBackend, tunnel: Tunnel) -> None:
        name = tunnel.interface
        await self.names.restore(tunnel)
        known = name in self._store.tunnels()
        if not known:
            await self.names.refuse_stranger(name)
        # Remembered before it is made: a kill in between leaves nothing that nobody owns.
        await self._store.add_tunnel(name, tunnel.backend)
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
        await self.names.restore(tunnel)  # what has its name meanwhile is not ours to remove
        self.names.forget(tunnel.interface)
        await self._backend(tunnel.backend).remove(tunnel.interface)
        self._store.drop_tunnel(tunnel.interface)
        log.info("tunnel-removed interface=%s peer=%s", tunnel.interface, tunnel.peer)
        self.watch.tell_removal(tunnel, tunnel.peer in self.disabled)

    def _wanted(self, tunnel: Tunnel) -> WantedInterface | None:
        assert self.config is not None, "a tunnel is made from a configuration"
        if any(p.leaf_addresses for p in self.config.peers if p.interface == tunnel.interface):
            return None  # nobody there speaks Babel
        return WantedInterface(parameters_of(self.config, tunnel), tunnel.link_local)

    def _refresh_parameters(self) -> None:
        """Give Babel the costs and intervals of the present configuration, where they changed."""
        configured = {peer.interface for peer in self.config.peers} if self.config else set()
        for name in configured & self.actual.keys():
            wanted = self._wanted(self.actual[name])
            if self._routing.wanted.get(name) != wanted:
                self._routing.want(name, wanted)

    def _update_resolvers(self, config: Config) -> None:
        wanted = {peer.name: peer.endpoints for peer in config.peers}
        for name, resolver in [*self.resolvers.items()]:
            if wanted.get(name) != resolver.endpoints:
                resolver.close()
                del self.resolvers[name]
        for name, endpoints in wanted.items():
            if name not in self.resolvers:
                self.resolvers[name] = EndpointResolver(name, endpoints, self.wake, self.watch.note)

    async def _check(self) -> None:
        """Look at every tunnel: put back what others changed, and leave endpoints that do not answer."""
        asked = dict(self.actual)
        states = await self.states()
        # While tunnels are being changed, or where they were, the answer is not about what we now think.
        still = {} if self._lock.locked() else self.actual
        for name, state in states.items():
            tunnel = still.get(name)
            if tunnel is not None and tunnel is asked.get(name) and state.settings != settings_of(tunnel):
                log.warning("tunnel-changed-by-another interface=%s: set again", name)
                self.watch.tell("changed-by-another", tunnel, "is set again", "another program changed it")
                del self.actual[name]
                self.wake()
        self._rotate_endpoints(states)

    def _rotate_endpoints(self, states: dict[str, TunnelState]) -> None:
        """Where a peer has several addresses and the present one brought no session, go on to the next."""
        for peer in self.config.peers if self.config else ():
            state = states.get(peer.interface)
            if state is None:
                continue
            quiet = self.watch.is_quiet(peer.interface, state)
            old = time.time() - state.latest_handshake > HANDSHAKE_FRESH
            resolver = self.resolvers[peer.name]
            if not (quiet and old):
                continue
            if len(peer.endpoints) > 1 and resolver.next():
                log.info("endpoint-next peer=%s", peer.name)
                self.watch.tell_next(peer.name)
                self.wake()
            elif resolver.current not in (None, state.endpoint):
                # It roamed and is silent now: set again, the tunnel is told the configured endpoint.
                log.info("endpoint-again peer=%s", peer.name)
                self.actual.pop(peer.interface, None)
                self.wake()
