"""One node: its services, how they start, reload, repair themselves and stop."""

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import SystemRandom
from types import TracebackType
from typing import Any, Self

from babelwg.babel.memory import SourceRecord
from babelwg.babel.parameters import Parameters
from babelwg.babel.speaker import Speaker
from babelwg.config import BabeldConfig, Config, ConfigErrors, public_of
from babelwg.daemon.control import ControlServer
from babelwg.daemon.lan import babeld_interfaces
from babelwg.daemon.queries import CHANGING, Queries
from babelwg.daemon.redistribute import own_xroutes, preferred_sources, redistributed_xroutes
from babelwg.daemon.routing import ADOPTION, RoutingService
from babelwg.daemon.store import Store
from babelwg.daemon.tunnels import TunnelService
from babelwg.linux.babelsocket import BabelSocket, holder_of_port
from babelwg.linux.errors import KernelError
from babelwg.linux.fib import KernelRoutes
from babelwg.linux.links import IpRoute, apply_node_addresses
from babelwg.linux.monitor import Monitor
from babelwg.linux.netlink import RequestSocket
from babelwg.linux.routes import TABLE_MAIN, Route
from babelwg.linux.rules import apply_rules, desired_rules
from babelwg.linux.sysctls import (
    apply_sysctls,
    desired_sysctls,
    reverse_path_sysctls,
    router_advertisement_sysctls,
)

log = logging.getLogger(__name__)

# Implementation constants
REPAIR_INTERVAL = 30.0  # seconds between comparisons of everything with the kernel
FAREWELL = 0.05  # seconds for the last retractions to leave


class Fatal(Exception):
    """Why the daemon cannot run: one sentence, and the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        self.code = code
        super().__init__(message)


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
        self.mode = "overlay" if isinstance(config, Config) else "babeld"
        self.started = time.time()
        self.config_path = config_path
        self._state_dir = state_dir
        self._socket_path = socket
        self._load = load
        self._stop = asyncio.Event()
        self._withdraw = False
        self._repair_soon = asyncio.Event()
        self._stack = contextlib.AsyncExitStack()
        self._seen_links: set[str] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

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
        if self._withdraw:
            await self._withdraw_all()
        await self._checkpoint()
        await self._stack.aclose()

    async def run(self) -> None:
        """Run until somebody asks to stop."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._repair()), group.create_task(self._release_adopted())]
            if isinstance(self.config, Config):
                tasks.append(group.create_task(self.tunnels.run()))
            await self._stop.wait()
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
        config = self._load()
        assert type(config) is type(self.config), "the command line names the kind of the file"
        notes = self._notes_on(config)
        self.config = config
        await self._apply_configuration()
        log.info("configuration-applied")
        return notes

    async def _start(self) -> None:
        self._check_permission()
        self.store = self._open_store()
        self.requests = RequestSocket()
        self._stack.callback(self.requests.close)
        self.routes = KernelRoutes(self.requests, self._table(), self._priority())
        self.monitor = Monitor(
            self.requests, self._table(), self._kernel_changed, self._route_lost, self.routes.interface_lost
        )
        self._stack.callback(self.monitor.close)
        self.routing = RoutingService(
            Speaker(self._router_id(), Parameters(), SystemRandom(), self.store.memory()),
            self._bind(),
            self.routes,
            self.monitor.mirror,
            self.store,
        )
        # A file in babeld's language alone means babeld's behaviour: no rules, and no routes but the learned ones.
        self.routing.guarding = isinstance(self.config, Config)
        self._stack.callback(self.routing.close)
        self.iproute = await self._stack.enter_async_context(IpRoute())
        control = self._socket_path.with_name("dataplane.sock")
        self.tunnels = TunnelService(self.iproute, self.routing, self.store, control, self._set_sysctls)
        self._stack.push_async_callback(self.tunnels.close)
        asyncio.get_running_loop().add_reader(self.monitor.fileno(), self.monitor.receive)
        self._stack.callback(asyncio.get_running_loop().remove_reader, self.monitor.fileno())
        await self._serve()
        await self._take_over()

    async def _serve(self) -> None:
        queries = Queries(self)
        server = ControlServer(self._socket_path, queries.methods(), CHANGING)
        queries.control = server
        try:
            await server.start()
        except FileExistsError as error:
            raise Fatal(
                f"{error}: stop it first, or give this one another --socket and --state-dir"
            ) from error
        except OSError as error:
            raise Fatal(f"cannot listen on {self._socket_path}: {error.strerror}") from error
        self._stack.push_async_callback(server.close)

    async def _take_over(self) -> None:
        names = set(self._interface_names())
        shared = [i for i, link in self.monitor.mirror.links.items() if link.name in names]
        adopted = self.routes.adopt(shared if self.routes.shared else None)
        if adopted:
            log.info("routes-adopted count=%d", adopted)
        await self._apply_configuration()

    async def _apply_configuration(self) -> None:
        config = self.config
        if isinstance(config, Config):
            self.routing.override = config.babel.override
            self.routing.sources = preferred_sources(a.address for a in config.node.addresses)
            self._set_sysctls([])
            await self._apply_kernel_side(config)
        self._apply_babeld_interfaces()
        self._apply_announcements()
        self.routing.guard()
        if isinstance(config, Config):
            await self.tunnels.configure(config)

    async def _apply_kernel_side(self, config: Config) -> None:
        try:
            await apply_node_addresses(self.iproute, [(a.address, a.plen) for a in config.node.addresses])
            await apply_rules(self.iproute, desired_rules(self.routes.table, config.tunnels.fwmark))
        except KernelError as error:
            log.error("kernel-refused %s", error)

    def _apply_babeld_interfaces(self) -> None:
        babeld = self._babeld()
        wanted = babeld_interfaces(babeld) if babeld else {}
        tunnels = {peer.interface for peer in self.config.peers} if isinstance(self.config, Config) else set()
        tunnels |= self.tunnels.actual.keys()
        for name in self.routing.wanted.keys() - wanted.keys() - tunnels:
            self.routing.want(name, None)
        for name, interface in wanted.items():
            if self.routing.wanted.get(name) != interface:
                self.routing.want(name, interface)

    def _apply_announcements(self) -> None:
        babeld = self._babeld()
        xroutes = redistributed_xroutes(babeld, self.monitor.mirror) if babeld else {}
        if isinstance(self.config, Config):
            xroutes |= own_xroutes(self.config)
        if xroutes != self.routing.announced:
            self.routing.announce(xroutes)

    def _babeld(self) -> BabeldConfig | None:
        if not isinstance(self.config, Config):
            return self.config
        babeld = self.config.babel.babeld
        # Beside tunnels, only what a line asks for: the addresses of the underlay are nobody's destination.
        return replace(babeld, implicit_local=False) if babeld else None

    def _interface_names(self) -> list[str]:
        babeld = self._babeld()
        names = list(babeld_interfaces(babeld)) if babeld else []
        return names + (
            [peer.interface for peer in self.config.peers] if isinstance(self.config, Config) else []
        )

    def _kernel_changed(self, what: set[str]) -> None:
        if what & {"link", "address", "overrun"}:
            names = {link.name for link in self.monitor.mirror.links.values()}
            for gone in self._seen_links - names:
                self.tunnels.interface_missing(gone)
            self._seen_links = names
            self.routing.sync_interfaces()
            self.tunnels.mend_addresses(self.monitor.mirror)
        if "main" in what:
            self.routing.guard()
        if what & {"main", "address", "link"} and self._babeld() is not None:
            self._apply_announcements()
        if what & {"rule", "overrun"}:
            self._repair_soon.set()

    def _route_lost(self, route: Route) -> None:
        self.routing.route_lost(route)

    async def _repair(self) -> None:
        """Compare with the kernel now and then, and soon after somebody changed rules or news were lost."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._repair_soon.wait(), REPAIR_INTERVAL)
            self._repair_soon.clear()
            if isinstance(self.config, Config):
                await self._apply_kernel_side(self.config)
                # Other programs set what is new to their taste a moment after we did.
                self._set_sysctls(list(self.tunnels.actual))
            repaired = self.routes.resync()
            if repaired:
                log.warning("routes-repaired count=%d", repaired)
            await self._checkpoint()

    async def _checkpoint(self) -> None:
        snapshot = self.routing.speaker.snapshot(asyncio.get_running_loop().time())
        self.store.save_hello_seqnos(snapshot.hello_seqnos)
        # While the memory of an earlier life is missing, the journal says so in a record of its own: it stays as it is.
        if not snapshot.recovering:
            self.store.tidy(
                [SourceRecord(s.prefix, s.router_id, s.seqno, s.metric) for s in snapshot.sources]
            )
        await asyncio.to_thread(self.store.fsync)

    async def _release_adopted(self) -> None:
        await asyncio.sleep(ADOPTION)
        released = self.routes.release()
        if released:
            log.info("routes-released count=%d: no neighbour confirmed them", released)

    async def _reload_logged(self) -> None:
        try:
            for note in await self.reload():
                log.warning("%s", note)
        except ConfigErrors as errors:
            log.error("configuration-refused, the old one stays:\n%s", errors)

    async def _withdraw_all(self) -> None:
        loop = asyncio.get_running_loop()
        self.routing.speaker.stop(loop.time())
        self.routing.pump()
        await asyncio.sleep(FAREWELL)
        self.routing.stopping = True
        self.routes.withdraw()
        if isinstance(self.config, Config):
            await self.tunnels.withdraw()
            await apply_rules(self.iproute, set())
            await apply_node_addresses(self.iproute, [])

    def _set_sysctls(self, tunnels: list[str]) -> None:
        if isinstance(self.config, Config) and not self.config.node.sysctls:
            return
        settings = {} if tunnels else router_advertisement_sysctls() | reverse_path_sysctls()
        changed, failed = apply_sysctls(settings | desired_sysctls(tunnels))
        for name, old in changed.items():
            log.info("sysctl-set %s was=%s", name, old)
        for name, reason in failed.items():
            log.warning("sysctl-refused %s: %s", name, reason)

    def _notes_on(self, config: Config | BabeldConfig) -> list[str]:
        if (
            isinstance(config, Config)
            and isinstance(self.config, Config)
            and config.babel.table != self.routes.table
        ):
            return ["the routing table changes at the next start only"]
        return []

    def _table(self) -> int:
        if isinstance(self.config, Config):
            return self.config.babel.table
        return self.config.export_table or TABLE_MAIN

    def _priority(self) -> int | None:
        return None if isinstance(self.config, Config) else self.config.kernel_priority

    def _wants_random_id(self) -> bool:
        babeld = self._babeld()
        return bool(babeld and babeld.random_id)

    def _router_id(self) -> bytes:
        babeld = self._babeld()
        return (babeld.router_id if babeld else None) or self.store.router_id

    def _bind(self) -> BabelSocket:
        babeld = self._babeld()
        port = babeld.protocol_port if babeld else 6696
        try:
            return BabelSocket(port)
        except KernelError as error:
            if error.errno == errno.EADDRINUSE:
                holder = holder_of_port(port) or "another routing daemon"
                raise Fatal(
                    f"UDP port {port} is held by {holder}: stop it first, two daemons cannot share it"
                ) from error
            raise Fatal(str(error)) from error

    def _check_permission(self) -> None:
        status = Path("/proc/self/status").read_text()
        effective = int(
            next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff")), 16
        )
        if not effective >> 12 & 1:  # CAP_NET_ADMIN
            raise Fatal("needs CAP_NET_ADMIN: run it as root", code=4)

    def _open_store(self) -> Store:
        """Lock and load the state directory: two daemons with one identity would ruin each other."""
        owner = str(public_of(self.config.node.private_key)) if isinstance(self.config, Config) else "babeld"
        try:
            self._state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._state_dir / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            self._stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            store = Store(self._state_dir, owner, self._wants_random_id())
        except BlockingIOError as error:
            raise Fatal(f"another daemon uses {self._state_dir}: stop it first") from error
        except OSError as error:
            raise Fatal(f"cannot write the state directory {self._state_dir}: {error.strerror}") from error
        self._stack.callback(store.close)
        return store
