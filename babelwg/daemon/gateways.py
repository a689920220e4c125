"""Gateways: prefixes that are announced while checks over their uplink hold."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from babelwg.babel.wire.prefix import Prefix
from babelwg.config import Check, GatewayConfig
from babelwg.config.addresses import covers
from babelwg.daemon.health import Health
from babelwg.daemon.recorder import Note, silent
from babelwg.daemon.redistribute import Xroutes
from babelwg.linux.guards import is_operators
from babelwg.linux.mirror import Mirror
from babelwg.linux.probes.probe import probe
from babelwg.linux.probes.uplink import ProbeFailed

log = logging.getLogger(__name__)


class Gateway:
    """One gateway: its checks, one task for each, and whether it is announced."""

    def __init__(self, config: GatewayConfig, mark: int, mirror: Mirror) -> None:
        self.config = config
        self.mark = mark
        self.announced = False
        self.checks = [(check, Health(config.fall, config.rise)) for check in config.checks]
        self._mirror = mirror

    @property
    def uplink_up(self) -> bool:
        """Whether the uplink is there and up; true where none is named."""
        if self.config.interface is None:
            return True
        link = self._mirror.link(self.config.interface)
        return link is not None and link.up

    @property
    def healthy(self) -> bool:
        """Whether the prefix may be announced."""
        if not self.uplink_up:
            return False
        held = [health.healthy for _, health in self.checks]
        return all(held) if self.config.require_all or not held else any(held)

    @property
    def undecided(self) -> bool:
        """Whether nothing speaks against it yet, and too little for it."""
        if self.healthy or not self.uplink_up:
            return False
        spared = [not health.ever_failed for _, health in self.checks]
        return all(spared) if self.config.require_all else any(spared)

    @property
    def reason(self) -> str:
        """Why it is not announced, "" where it is."""
        if not self.uplink_up:
            return f"{self.config.interface} is down or not there"
        if self.healthy:
            return ""
        return "; ".join(f"{c}: {h.describe()}" for c, h in self.checks if not h.healthy)

    def uplink_lost(self) -> None:
        """Let every check begin anew: what it knew was of an uplink that is gone."""
        self.checks = [(check, Health(self.config.fall, self.config.rise)) for check, _ in self.checks]

    def has_route(self) -> bool:
        """Whether main has a route for what is announced."""
        destination = self.config.prefix.destination
        return any(is_operators(r) and covers(r.prefix, destination) for r in self._mirror.main.values())


class GatewayService:
    """Probes uplinks and calls back when what is to be announced has changed."""

    def __init__(self, mirror: Mirror, changed: Callable[[], None]) -> None:
        self.counters = {"probe_ok": 0, "probe_failed": 0, "announced": 0, "withdrawn": 0}
        self.gateways: list[Gateway] = []
        self.note: Note = silent
        self._mirror = mirror
        self._changed = changed
        self._tasks: dict[Gateway, list[asyncio.Task[None]]] = {}
        self._news = asyncio.Event()

    def configure(self, configs: tuple[GatewayConfig, ...], mark: int) -> None:
        """Have these gateways; one that did not change keeps its state and goes on."""
        known = {(gateway.config, gateway.mark): gateway for gateway in self.gateways}
        kept = [known.get((config, mark)) or Gateway(config, mark, self._mirror) for config in configs]
        for gateway in [gateway for gateway in self.gateways if gateway not in kept]:
            for task in self._tasks.pop(gateway):
                task.cancel()
        self.gateways = kept
        for gateway in kept:
            if gateway not in self._tasks:
                self._tasks[gateway] = [
                    asyncio.create_task(self._watch(gateway, number)) for number in range(len(gateway.checks))
                ]
        self._judge()
        self._news.set()

    async def close(self) -> None:
        """End all probes."""
        tasks = [task for tasks in self._tasks.values() for task in tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def links_changed(self) -> None:
        """Look at the uplinks: one that went away fails at once."""
        for gateway in self.gateways:
            if gateway.announced and not gateway.uplink_up:
                gateway.uplink_lost()
        if self._judge():
            self._changed()
        self._news.set()

    def xroutes(self) -> Xroutes:
        """Return what the healthy gateways announce."""
        return {g.config.prefix: (g.config.metric, "gateway") for g in self.gateways if g.announced}

    def override(self) -> tuple[Prefix, ...]:
        """Return the destinations for which main's route leads nowhere now, so that a learned one shall win."""
        return tuple(g.config.prefix for g in self.gateways if not g.announced)

    def undecided(self) -> frozenset[Prefix]:
        """Return what is not announced only because the checks have not been asked often enough."""
        return frozenset(gateway.config.prefix for gateway in self.gateways if gateway.undecided)

    async def wait_for_news(self) -> None:
        """Wait until a gateway may be another: a check has an answer, an uplink or the configuration has changed."""
        self._news.clear()
        await self._news.wait()

    def describe(self) -> list[dict[str, Any]]:
        """Return each gateway with its checks, for those who ask."""
        return [
            {
                "prefix": str(gateway.config.prefix),
                "metric": gateway.config.metric,
                "interface": gateway.config.interface,
                "state": "announced" if gateway.announced else "withdrawn",
                "reason": gateway.reason or None,
                "checks": [
                    {"check": str(check), "healthy": health.healthy, "latest": health.describe()}
                    for check, health in gateway.checks
                ],
            }
            for gateway in self.gateways
        ]

    async def _watch(self, gateway: Gateway, number: int) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            check, health = gateway.checks[number]
            reason = await self._probe(check, gateway)
            # After the uplink went, a result that was under way is of no use.
            if health is gateway.checks[number][1] and health.note(reason):
                word = "holds" if health.healthy else "failed"
                log.info("check-%s %s: %s", word, check, health.describe())
                about = {"gateway": str(gateway.config.prefix), "prefix": str(gateway.config.prefix)}
                self.note(f"check-{word}", f"check {check} {word}", health.describe(), **about)
                if self._judge():
                    self._changed()
            self._news.set()
            due = max(due + gateway.config.interval, loop.time())
            await asyncio.sleep(due - loop.time())

    async def _probe(self, check: Check, gateway: Gateway) -> str | None:
        try:
            await probe(check, gateway.config, gateway.mark)
        except ProbeFailed as failed:
            self.counters["probe_failed"] += 1
            return str(failed)
        except Exception:
            # A mistake of ours must not leave a gateway announced for ever.
            log.exception("internal-error")
            self.counters["probe_failed"] += 1
            return "internal error, see the log"
        self.counters["probe_ok"] += 1
        return None

    def _judge(self) -> bool:
        """Decide which gateways are announced; return whether that changed."""
        changed = False
        for gateway in self.gateways:
            if gateway.announced != gateway.healthy:
                changed, gateway.announced = True, gateway.healthy
                word = "announced" if gateway.announced else "withdrawn"
                self.counters[word] += 1
                log.info("gateway-%s prefix=%s %s", word, gateway.config.prefix, gateway.reason)
                prefix = str(gateway.config.prefix)
                cause = gateway.reason or ("its checks hold" if gateway.checks else "its uplink is up")
                text = f"the gateway {prefix} is {word}"
                self.note(f"gateway-{word}", text, cause, gateway=prefix, prefix=prefix)
        return changed
