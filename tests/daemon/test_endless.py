"""Tasks that never end, and fail."""

import asyncio
import errno
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from babelwg.babel.wire.prefix import Prefix
from babelwg.config import BabelConfig, Config, Key, NodeConfig, TunnelsConfig
from babelwg.config.babeld.model import BabeldConfig
from babelwg.daemon.endless import run_endless
from babelwg.daemon.kernelside import KernelSide
from babelwg.daemon.node import Node
from babelwg.daemon.repair import Repair
from babelwg.linux.errors import KernelError
from babelwg.linux.links import IpRoute, netlink_error
from babelwg.linux.netlink import Refusal
from tests.babel.bench import P
from tests.daemon.virtualtime import run

GATE = Prefix.parse("::/0")
REFUSAL = KernelError("talk to", "rtnetlink", errno.ENOBUFS)


def no_counts() -> dict[str, int]:
    return {"task_failed": 0, "internal_error": 0}


@pytest.mark.parametrize(
    ("error", "counted"),
    [(REFUSAL, "task_failed"), (OSError(28, "No space"), "task_failed"), (ValueError(), "internal_error")],
)
def test_a_task_that_fails_is_counted_and_begins_anew_ever_later(
    error: Exception, counted: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr("time.monotonic", loop.time)
        begun: list[float] = []
        counters = no_counts()

        async def fail() -> None:
            begun.append(loop.time())
            raise error

        task = asyncio.create_task(run_endless("repair", fail, counters))
        await asyncio.sleep(600.0)
        task.cancel()
        assert counters == no_counts() | {counted: len(begun)}
        return [later - sooner for sooner, later in pairwise(begun)]

    pauses = run(main())
    assert pauses[:4] == pytest.approx([1.0, 2.0, 4.0, 8.0])
    assert pauses[-1] == pytest.approx(60.0)
    assert "repair" in caplog.text


class PlayedNode(Node):
    """A node of which only the tasks that never end are there."""

    def __init__(self, directory: Path) -> None:
        super().__init__(BabeldConfig(), directory / "conf", directory, directory / "socket", BabeldConfig)
        self.refusals = 2
        self.is_tidy = False
        self.done: list[str] = []
        self.kept: list[
            tuple[float, frozenset[Prefix]]
        ] = []  # by the retraction of what was announced before

        async def run_forever(*what: object) -> None:
            await asyncio.Event().wait()

        async def calm(*what: object) -> None:
            return None

        async def configure(*what: object) -> None:
            self.done.append("repair")

        played: Any = SimpleNamespace
        self.lag = played(run=run_forever, calm=calm)
        self.links = played(start=lambda: None)
        self.local = played(configure=configure)
        self.routes = played(release=lambda: self._refuse("release"), learned={})
        self.tunnels = played(actual={}, problems={})
        self.gateways = played(override=lambda: (GATE,), undecided=frozenset)
        self.routing = played(
            counters=no_counts(),
            pump=lambda: None,
            speaker=played(retract_former=lambda now, forwarded: self.kept.append((now, forwarded))),
            installer=played(adopted_ways=lambda: frozenset([P])),
        )
        self.repair = Repair(self)
        self.repair._look = played(is_due=False)

    def tidy(self) -> None:
        if self.is_tidy:
            self._refuse("tidy")

    async def checkpoint(self) -> None:
        self._refuse("checkpoint")

    def _refuse(self, what: str) -> int:
        if self.refusals:
            self.refusals -= 1
            raise REFUSAL
        self.done.append(what)
        self.request_stop(withdraw=False)
        return 0


def test_routes_that_cannot_be_released_do_not_end_the_node_and_are_released_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        monkeypatch.setattr("time.monotonic", asyncio.get_running_loop().time)
        node = PlayedNode(tmp_path)
        await node.run()
        assert node.done == ["release"]
        assert node.routing.counters["task_failed"] == 2

    run(main())


def test_what_earlier_lives_announced_waits_only_where_the_kernel_forwards_it(tmp_path: Path) -> None:
    async def main() -> list[tuple[float, frozenset[Prefix]]]:
        node = PlayedNode(tmp_path)
        node.refusals = 0
        await node.run()
        return node.kept

    (settled, kept), (ended, rest) = run(main())
    assert (kept, rest) == ({P, GATE}, frozenset())
    assert ended - settled == pytest.approx(29.0)


def test_what_a_gateway_announced_waits_until_its_checks_have_decided(tmp_path: Path) -> None:
    async def main() -> list[tuple[float, frozenset[Prefix]]]:
        node, loop = PlayedNode(tmp_path), asyncio.get_running_loop()
        waits = [frozenset([GATE]), frozenset([GATE]), frozenset[Prefix]()]
        node.routes.release = lambda: 0
        node.gateways.undecided = lambda: waits.pop(0)
        node.gateways.wait_for_news = lambda: asyncio.sleep(20.0)
        began = loop.time()
        await node._release_adopted(began)
        return [(round(when - began), kept) for when, kept in node.kept]

    assert run(main()) == [(1, {P, GATE}), (30, {GATE}), (70, frozenset())]


def test_a_repair_that_fails_does_not_end_the_node_and_is_tried_again_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr("time.monotonic", loop.time)
        node = PlayedNode(tmp_path)
        node.is_tidy = True
        node.repair.ask(look=False)
        await node.run()
        assert node.done == ["repair", "repair", "repair", "tidy"]
        assert loop.time() < 10.0

    run(main())


def test_a_checkpoint_that_fails_does_not_end_the_node_and_is_tried_again_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr("time.monotonic", loop.time)
        node = PlayedNode(tmp_path)
        node.repair.ask(look=False)
        await node.run()
        assert node.done == ["repair", "checkpoint"]
        assert node.routing.counters["task_failed"] == 2
        assert loop.time() < 10.0

    run(main())


def test_tunnels_are_withdrawn_also_where_the_kernel_keeps_the_routes(tmp_path: Path) -> None:
    node = PlayedNode(tmp_path)
    node.routing.speaker.stop = lambda now: None
    node.routing.halt = lambda: node.done.append("nothing is read any more")
    node.routes.withdraw = lambda: node._refuse("withdraw")

    async def gone() -> None:
        node.done.append("tunnels")

    async def main() -> None:
        overlay = NodeConfig("here", Key(b"\x11" * 32), Path("node.key"))
        node.config = Config(overlay, TunnelsConfig(), BabelConfig(), (), tmp_path)
        node.tunnels.withdraw = node.kernel.withdraw = gone
        await node._withdraw_all()

    node.kernel = SimpleNamespace()  # type: ignore[assignment]
    run(main())
    assert node.done == ["nothing is read any more", "tunnels", "tunnels"]


def test_a_reload_that_the_kernel_refuses_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse() -> list[str]:
        raise REFUSAL

    node = PlayedNode(tmp_path)
    monkeypatch.setattr(node, "reload", refuse)
    run(node._reload_logged())
    assert "reload-failed: talk to rtnetlink" in caplog.text


@pytest.mark.parametrize("error", [netlink_error()(errno.ENOBUFS), OSError(errno.EMFILE, "too many")])
def test_addresses_that_cannot_be_set_are_a_problem_and_rules_are_set_all_the_same(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> tuple[dict[str, str], int]:
        iproute, asked = IpRoute(), []

        async def opened() -> Any:
            raise error

        monkeypatch.setattr(iproute, "_opened", opened)
        requests: Any = SimpleNamespace(
            ask=lambda *what: Refusal(errno.ENODEV),
            dump=lambda *what: [],
            request=lambda requests: asked.extend(requests) or [Refusal(0) for _ in requests],
        )
        side = KernelSide(iproute, requests, 6696)
        own = SimpleNamespace(address=bytes(16))
        config: Any = SimpleNamespace(
            node=SimpleNamespace(addresses=[own]), tunnels=SimpleNamespace(fwmark=0x6277)
        )
        await side.apply(config)
        return side.errors, len(asked)

    errors, rules = asyncio.run(main())
    assert errors.keys() == {"addresses"}
    assert rules == 5
