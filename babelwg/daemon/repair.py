"""Comparing a node with its kernel: now and then, and soon where somebody changed what is ours or news were lost."""

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from babelwg.config import Config
from babelwg.daemon.effective import babeld_of, repair_interval_of
from babelwg.daemon.recorder import wiring
from babelwg.daemon.waiting import wait_for_news
from babelwg.linux.errors import KernelError
from babelwg.linux.look import KernelLook
from babelwg.linux.pace import Pace

if TYPE_CHECKING:
    from babelwg.daemon.node import Node

log = logging.getLogger(__name__)

# Implementation constants: seconds
LONGEST_DEFERRAL = 60.0  # for which a comparison with the kernel waits while all is late
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 60.0  # between two that were asked for


class Repair:
    """Sets right what the kernel does not hold as it should."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._look = KernelLook()
        self._asked = asyncio.Event()
        self._looks = False  # at our routes too, whether or not it is time
        self._pace = Pace(FIRST_PAUSE, LONGEST_PAUSE)

    def close(self) -> None:
        """Look no more."""
        self._look.close()

    def ask(self, look: bool) -> None:
        """Compare soon; `look` at our routes too, where news of them may be lost."""
        self._looks = self._looks or look
        self._asked.set()

    async def run(self) -> None:
        """Compare for ever."""
        while True:
            await wait_for_news(self._asked, repair_interval_of(self._node.config))
            if self._asked.is_set():
                # What somebody changes again and again is set right ever later.
                await asyncio.sleep(self._pace.wait())
            await self._node.lag.calm(LONGEST_DEFERRAL, self._asked)
            await self._turn()

    async def _turn(self) -> None:
        node, began, was_asked = self._node, time.monotonic(), self._asked.is_set()
        looks, self._looks = self._looks, False
        self._asked.clear()
        try:
            async with node.changing:
                await self._repair(looks)
                await node.local.configure(babeld_of(node.config))
            node.tidy()
            node.checkpoints.ask()
        except Exception:
            self.ask(looks)  # when whoever runs us has waited
            raise
        finally:
            if was_asked:
                self._pace.note(began)

    async def _repair(self, looks: bool) -> None:
        node = self._node
        if isinstance(node.config, Config):
            await node.kernel.apply(node.config)
            # Other programs set what is new to their taste a moment after we did.
            node.kernel.set_tunnel_sysctls(list(node.tunnels.actual))
        if not (looks or self._look.is_due):
            return
        try:
            # It takes its time, in which Hellos have to leave.
            seen = await asyncio.to_thread(self._look.look, node.routes.tables(), node.routes.right)
            repaired = node.routes.resync(seen)
        except KernelError as error:
            log.error("kernel-refused %s", error)
            return
        wiring.note_repair(node, repaired)
