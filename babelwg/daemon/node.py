"""One node: its services, how they start, reload, repair themselves and stop."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from random import SystemRandom
from types import TracebackType
from typing import Any, Self

from babelwg.babel.policy import Policy
from babelwg.babel.speaker import Speaker
from babelwg.babel.wire.prefix import Prefix
from babelwg.config import BabeldConfig, Config, ConfigErrors, PeerConfig
from babelwg.config.model import HELLO_INTERVAL
from babelwg.daemon.applying import (
    apply_announcements,
    apply_configuration,
    forget_former_interfaces,
    resume_tunnels,
    tunnel_names,
    wanted_interfaces,
)
from babelwg.daemon.checkpoints import Checkpoints
from babelwg.daemon.clock import Life
from babelwg.daemon.control import ControlServer
from babelwg.daemon.effective import (
    babeld_of,
    changes_at_restart,
    filter_tables,
    owner_of,
    parameters_of,
    priority_of,
    router_id_of,
    table_of,
    wants_random_id,
    wants_subtrees,
    with_babeld,
)
from babelwg.daemon.endless import run_endless
from babelwg.daemon.gateways import GatewayService
from babelwg.daemon.incidents import Incidents
from babelwg.daemon.kernelnews import KernelNews
from babelwg.daemon.kernelside import KernelSide
from babelwg.daemon.lag import LagMeter
from babelwg.daemon.lan import unheeded_directives
from babelwg.daemon.leaves import LeafRoutes
from babelwg.daemon.linkwatch.hints import TunnelHints
from babelwg.daemon.linkwatch.service import LinkWatch
from babelwg.daemon.local import LocalService
from babelwg.daemon.names import Names
from babelwg.daemon.notify import Notifier
from babelwg.daemon.recorder import Recorder, wiring
from babelwg.daemon.repair import Repair
from babelwg.daemon.routing import ADOPTION, FAREWELL, SETTLE, RoutingService
from babelwg.daemon.start import bind, check_permission, clear_main, listen, open_store
from babelwg.daemon.store import LAST_WAIT
from babelwg.daemon.tunnels import TunnelService
from babelwg.daemon.web.service import WebService
from babelwg.linux.errors import KernelError
from babelwg.linux.fib import KernelRoutes
from babelwg.linux.links import IpRoute
from babelwg.linux.netlink import RequestSocket
from babelwg.linux.routes import has_subtrees
from babelwg.linux.rules import has_rules

log = logging.getLogger(__name__)

# Implementation constant
RUN_DIRECTORY = Path("/run/babelwg")


class Node:
    """A running node. `load` reads the configuration anew and raises ConfigErrors."""

    def __init__(
        self,
        config: Config | BabeldConfig,
        config_path: Path,
        state_dir: Path,
        socket: Path,
        load: Callable[[], Config | BabeldConfig],
    ) -> None:
        self.config = config
        self.notifier = Notifier.from_environment()
        self.mode = "overlay" if isinstance(config, Config) else "babeld"
        self.life = Life()
        self.names = Names(self)
        self.recorder = Recorder(self.names)
        self.lag = LagMeter()
        self.config_path = config_path.absolute()
        self.incidents = Incidents()
        self.checkpoints = Checkpoints(self.checkpoint)
        self._state_dir = state_dir
        self._socket_path = socket
        self.load = load
        self._stop = asyncio.Event()
        self._withdraw = False
        self._stack = contextlib.AsyncExitStack()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.changing = asyncio.Lock()
        self.policy: Policy | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        wiring.note_stop(self, self._withdraw)
        try:
            # Nobody may start something new while things end.
            for server in (self.control, self.local, self.web):
                await server.close()
            for task in [*self._tasks]:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if self._withdraw:
                await self._withdraw_all()
            else:
                self.routing.pause()
            await self._last_checkpoint()
        finally:
            await self._stack.aclose()

    async def run(self) -> None:
        """Run until somebody asks to stop."""
        async with asyncio.TaskGroup() as group:
            self.links.start()
            began = asyncio.get_running_loop().time()
            endless: dict[str, Callable[[], Awaitable[None]]] = {
                "repair": self.repair.run,
                "checkpoints": self.checkpoints.run,
                "release": lambda: self._release_adopted(began),
                "lag": self.lag.run,
                "notify": lambda: self.notifier.run(self._summary),
            }
            if isinstance(self.config, Config):
                endless["tunnels"] = self.tunnels.run
            self.notifier.ready(self._summary())
            counters = self.routing.counters
            tasks = [group.create_task(run_endless(*each, counters)) for each in endless.items()]
            await self._stop.wait()
            self.notifier.stopping()
            for task in tasks:
                task.cancel()

    def request_stop(self, withdraw: bool) -> None:
        """Stop soon; `withdraw` retracts everything first and removes all that is ours."""
        self._withdraw = self._withdraw or withdraw
        self._stop.set()

    def request_reload(self) -> None:
        """Reload as soon as the loop is free; what is wrong goes to the log."""
        task = asyncio.create_task(self._reload_logged())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def reload(self) -> list[str]:
        """Apply the configuration as it stands now; return notes on what needs a restart. Raises ConfigErrors."""
        async with self.changing:
            with self.notifier.reloading():
                return await self._reload()

    async def _reload(self) -> list[str]:
        try:
            config = self.load()
        except ConfigErrors as errors:
            wiring.note_refusal(self, errors)
            raise
        assert type(config) is type(self.config), "the command line names the kind of the file"
        notes = changes_at_restart(self.config, config)
        # First what was asked, then what comes of it.
        wiring.note_reload(self, config)
        self.config = config
        self.store.set_owner(owner_of(config))
        await wiring.configure_recorder(self)
        await apply_configuration(self)
        log.info("configuration-applied")
        return notes + [f"{what}: {why}" for what, why in self.kernel.errors.items()]

    async def switch(self, peer: PeerConfig, *, down: bool, up: bool) -> None:
        """Take the tunnel of a peer down, bring it up, or one after the other."""
        async with self.changing:
            wiring.note_switch(self, peer, down, up)
            await self.tunnels.switch(peer, down, up)
            apply_announcements(self)

    def _summary(self) -> str:
        """Return what `systemctl status` shows of the node."""
        tunnels, problems = len(self.tunnels.actual), len(self.tunnels.problems)
        wrong = f", wrong with tunnels: {problems} (`babelwg status` tells)" if problems else ""
        return f"tunnels: {tunnels}, routes: {len(self.routes.learned)}{wrong}"

    async def amend(self, change: Callable[[BabeldConfig], BabeldConfig]) -> None:
        """Change what babeld's language says, until the next reload. Raises Mistake."""
        async with self.changing:
            self.config = with_babeld(self.config, change(babeld_of(self.config) or BabeldConfig()))
            await apply_configuration(self)

    async def _start(self) -> None:
        check_permission()
        owner, is_random = owner_of(self.config), wants_random_id(self.config)
        interval = (
            HELLO_INTERVAL if isinstance(self.config, BabeldConfig) else self.config.babel.hello_interval
        )
        self.store = open_store(self._state_dir, owner, is_random, self._socket_path, interval, self._stack)
        await wiring.configure_recorder(self, read_back=True)
        self._stack.push_async_callback(self.recorder.close)
        self._open_routing()
        self.local = LocalService(self.routing, self.amend)
        self._stack.push_async_callback(self.local.close)
        await self._open_services()
        wiring.attach_recorder(self)
        asyncio.get_running_loop().add_reader(self.monitor.fileno(), self.monitor.receive)
        self._stack.callback(asyncio.get_running_loop().remove_reader, self.monitor.fileno())
        self._adopt()
        resume_tunnels(self)
        forget_former_interfaces(self)
        self.web = WebService(self)
        self._stack.push_async_callback(self.web.close)
        await self._serve()
        wiring.note_start(self)
        async with self.changing:
            await apply_configuration(self)

    def _open_routing(self) -> None:
        self.requests = self._stack.enter_context(contextlib.closing(RequestSocket()))
        self.repair = self._stack.enter_context(contextlib.closing(Repair(self)))
        subtrees = wants_subtrees(self.config) and has_subtrees(self.requests)
        priority, shared = priority_of(self.config), self.mode == "babeld"
        self.routes = KernelRoutes(self.requests, table_of(self.config), priority, subtrees, shared)
        self.monitor = self._stack.enter_context(contextlib.closing(KernelNews(self))).monitor
        self.routing = RoutingService(
            Speaker(
                self.store.identity(router_id_of(self.config)),
                # A kernel that has no place at all for source-specific routes must not be given any (RFC 9079, §4).
                replace(parameters_of(self.config), source_specific=subtrees or has_rules(self.requests)),
                SystemRandom(),
                self.store.memory(router_id_of(self.config)),
            ),
            bind(parameters_of(self.config)),
            self.routes,
            self.monitor.mirror,
            self.store,
        )
        # A file in babeld's language alone means babeld's behaviour: no rules, and no routes but the learned ones.
        self.routing.installer.guarding = isinstance(self.config, Config)
        self._stack.callback(self.routing.close)
        links = LinkWatch(self.routing, self.requests, self.store)
        self.links = self._stack.enter_context(contextlib.closing(links))
        self.routing.give_up = self.links.give_up
        self.routing.note_work = self.lag.note_work

    async def _open_services(self) -> None:
        self.iproute = await self._stack.enter_async_context(IpRoute())
        # Not beside --socket: the data plane outlives this daemon, and the next one must find it.
        control = RUN_DIRECTORY / "dataplane.sock"
        self.kernel = KernelSide(self.iproute, self.requests, table_of(self.config))
        set_sysctls, mirror = self.kernel.set_new_tunnel_sysctls, self.monitor.mirror
        self.tunnels = TunnelService(self.iproute, self.routing, self.store, control, set_sysctls, mirror)
        self._stack.push_async_callback(self.tunnels.close)
        self.hints = self._stack.enter_context(contextlib.closing(TunnelHints(self.tunnels, self.links)))
        self.leaves = LeafRoutes(self.requests, self.monitor.mirror)
        self.gateways = GatewayService(self.monitor.mirror, self._gateways_changed)
        self._stack.push_async_callback(self.gateways.close)

    async def _serve(self) -> None:
        # It takes long to import, and neighbours wait for our first Hello; they are answered meanwhile.
        await asyncio.to_thread(import_module, "babelwg.daemon.queries")
        from babelwg.daemon.queries import CHANGING, Queries

        self.queries = queries = Queries(self)
        self.control = server = ControlServer(self._socket_path, queries.methods(), CHANGING)
        queries.context.control = server
        await listen(server, self._socket_path)
        self._stack.push_async_callback(server.close)

    def _adopt(self) -> None:
        """Take over the routes of an earlier life."""
        names = {*wanted_interfaces(self), *tunnel_names(self)}
        indices = [i for i, link in self.monitor.mirror.links.items() if link.name in names]
        adopted = self.routes.adopt(indices, filter_tables(self.config))
        if adopted:
            log.info("routes-adopted count=%d", adopted)
        if not self.routes.shared:
            clear_main(self.requests, self.monitor.mirror, self.store.tunnels())
        for directive in unheeded_directives(babeld_of(self.config)):
            log.warning("directive-not-acted-on %s", directive)

    def _gateways_changed(self) -> None:
        apply_announcements(self)
        self.routing.guard()

    def tidy(self) -> None:
        """Do what is due now and then and waits for nothing."""
        now = asyncio.get_running_loop().time()
        self.names.learn(now)  # also for the history, when nobody asks
        self.routing.installer.tidy(now)
        self.routing.pump()  # what the kernel refused before is tried at once, and what it refused now is given up

    async def checkpoint(self) -> None:
        """Keep what the next life needs."""
        now, speaker = asyncio.get_running_loop().time(), self.routing.speaker
        await self.store.save(speaker.hello_seqnos())
        # While the memory of an earlier life is missing, the journal says so in a record of its own: it stays as it is.
        if not speaker.recovering:
            await self.store.tidy(speaker.source_count, lambda: speaker.source_views(now))
        await self.store.tidy_routes(speaker.selected_count, speaker.selected_routes)
        await self.store.fsync()

    async def _last_checkpoint(self) -> None:
        try:
            async with asyncio.timeout(LAST_WAIT):
                await self.checkpoint()
        except TimeoutError:
            self.store.leave()

    async def _release_adopted(self, began: float) -> None:
        """Retract what earlier lives announced and nobody confirms; what the kernel forwards only with its route."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(began + SETTLE - loop.time())
        # A gateway that is not yet found to work has main's route still.
        self._retract_former(self.routing.installer.adopted_ways().union(self.gateways.override()))
        await asyncio.sleep(began + ADOPTION - loop.time())
        released = self.routes.release()
        if released:
            log.info("routes-released count=%d: no neighbour confirmed them", released)
        self._retract_former(waiting := self.gateways.undecided())
        # Checks may be far between, and until they say something else main forwards as it did.
        while waiting:
            await self.gateways.wait_for_news()
            if (undecided := self.gateways.undecided()) != waiting:
                self._retract_former(waiting := undecided)

    def _retract_former(self, forwarded: frozenset[Prefix]) -> None:
        self.routing.speaker.retract_former(asyncio.get_running_loop().time(), forwarded)
        self.routing.pump()

    async def _reload_logged(self) -> None:
        try:
            for note in await self.reload():
                log.warning("%s", note)
        except ConfigErrors as errors:
            log.error("configuration-refused, the old one stays:\n%s", errors)
        except (KernelError, OSError) as error:
            log.error("reload-failed: %s", error)

    async def _withdraw_all(self) -> None:
        loop = asyncio.get_running_loop()
        self.routing.speaker.stop(loop.time())
        self.routing.pump()
        babeld = babeld_of(self.config)
        await asyncio.sleep((babeld.shutdown_delay if babeld else None) or FAREWELL)
        self.routing.halt()
        try:
            self.routes.withdraw()
        except KernelError as error:
            log.error("routes-left in the kernel: %s", error)
        if isinstance(self.config, Config):
            await self.tunnels.withdraw()
            await self.kernel.withdraw()
