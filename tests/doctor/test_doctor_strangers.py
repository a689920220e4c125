"""What other programs put in the way of our routes, as `status` hears of it."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from babelwg.babel.wire.prefix import Prefix
from babelwg.daemon.doctor import strangers as module
from babelwg.daemon.doctor.strangers import LONGEST_KEPT, StrangersReader, find_hindrances
from babelwg.linux import routes as module_routes
from babelwg.linux.errors import KernelError
from babelwg.linux.fib import KernelRoutes
from babelwg.linux.netlink import RTM_GETROUTE, RTM_NEWROUTE, Message
from babelwg.linux.routes import Route, dump_routes, pack_route
from tests.linux.fakekernel import FakeKernel

NEXT_HOP = bytes.fromhex("fe80") + bytes(13) + b"\x02"
P = Prefix.parse("10.1.0.0/16")
STATIC = 4


class Requests(FakeKernel):
    """A kernel that also holds routes of others, at any place."""

    def __init__(self) -> None:
        super().__init__()
        self.foreign: list[Route] = []
        self.broken = False
        self.dumps = 0

    def dump(self, kind: int, payload: bytes) -> list[Message]:
        self.dumps += 1
        if self.broken:
            raise KernelError("dump", "routes", 5)
        more = [
            r for r in self.foreign if kind == RTM_GETROUTE and (payload[0] == 2) == (r.prefix.family == 4)
        ]
        packed = [Message(RTM_NEWROUTE, 0, 0, pack_route(route)) for route in more]
        return super().dump(kind, payload) + packed

    def close(self) -> None:
        pass


class Monitor:
    """What the kernel tells by itself; a test says when it has told of others."""

    def __init__(self) -> None:
        self.foreign_news = 0
        self.untold = 0

    def receive(self) -> None:
        self.foreign_news, self.untold = self.foreign_news + self.untold, 0


@dataclass
class Bench:
    """A node with one learned route in its kernel."""

    node: Any
    kernel: Requests
    net: Path
    reader: StrangersReader

    def told(self) -> list[tuple[str, str]]:
        found = asyncio.run(find_hindrances(self.node, self.reader))
        return [(finding.check, finding.found) for finding in found]

    def set(self, path: str, value: str) -> None:
        (self.net / path).parent.mkdir(parents=True, exist_ok=True)
        (self.net / path).write_text(value)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    kernel: Any = Requests()
    fib = KernelRoutes(kernel, 6696)
    fib.learn(P, NEXT_HOP, 3, b"")
    fib.flush()
    monkeypatch.setattr(module, "RequestSocket", lambda: kernel)
    monkeypatch.setattr(module, "NET", tmp_path)
    tunnels = SimpleNamespace(actual={"bw-bravo": None})
    node: Any = SimpleNamespace(routes=fib, config=None, tunnels=tunnels, monitor=Monitor())
    node.kernel = SimpleNamespace(sysctls=True)
    return Bench(node, kernel, tmp_path, StrangersReader(node))


def test_a_healthy_kernel_hinders_nothing(bench: Bench) -> None:
    bench.set("ipv4/ip_forward", "1")
    bench.set("ipv4/conf/bw-bravo/rp_filter", "0")
    assert bench.told() == []


def test_a_foreign_route_in_our_table_is_told_and_more_so_when_it_beats_ours(bench: Bench) -> None:
    bench.kernel.foreign = [Route(P, 6696, interface=1, priority=2000, protocol=STATIC)]
    assert bench.told() == [("tables", "table 6696 holds 1 route of another program: 10.1.0.0/16")]
    bench.kernel.foreign = [Route(P, 6696, interface=1, priority=5, protocol=STATIC)]
    bench.node.monitor.untold = 1
    assert bench.told() == [("tables", "packets to 10.1.0.0/16 do not follow our routes")]


def test_a_strict_reverse_path_check_is_told_and_a_loose_one_is_not(bench: Bench) -> None:
    bench.set("ipv4/conf/bw-bravo/rp_filter", "2")
    assert bench.told() == []
    bench.set("ipv4/conf/bw-bravo/rp_filter", "1")
    assert [check for check, _ in bench.told()] == ["rp-filter"]


def test_forwarding_that_is_off_is_told_unless_the_operator_sets_it_himself(bench: Bench) -> None:
    bench.set("ipv4/ip_forward", "0")
    assert [check for check, _ in bench.told()] == ["forwarding"]
    bench.node.kernel.sysctls = False
    assert bench.told() == []


def test_a_kernel_that_does_not_tell_is_one_problem(bench: Bench) -> None:
    bench.kernel.broken = True
    assert bench.told() == [("routes", "the kernel does not tell its routes")]


def test_what_others_have_is_read_again_only_when_the_kernel_has_told_of_something(bench: Bench) -> None:
    assert bench.told() == []
    dumps = bench.kernel.dumps
    assert bench.told() == []
    assert bench.kernel.dumps == dumps
    bench.node.monitor.untold = 1
    bench.told()
    assert bench.kernel.dumps == 2 * dumps
    bench.node.routes.learn(Prefix.parse("10.2.0.0/16"), NEXT_HOP, 3, b"", 7000)
    bench.told()
    assert bench.kernel.dumps > 3 * dumps


def test_what_others_have_is_read_again_after_a_while_even_when_nothing_was_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.told()
    dumps = bench.kernel.dumps
    monkeypatch.setattr(module, "LONGEST_KEPT", 0.0)
    assert LONGEST_KEPT > 0
    bench.told()
    assert bench.kernel.dumps == 2 * dumps


def test_of_ten_thousand_routes_of_ours_none_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel: Any = Requests()
    for n in range(10_000):
        prefix = Prefix(6, bytes.fromhex("fd00") + n.to_bytes(2) + bytes(12), 32)
        kernel.places[6696, prefix] = Route(prefix, 6696)
    kernel.foreign = [Route(P, 6696, interface=1, priority=5, protocol=STATIC)]
    read: list[Message] = []
    real = module_routes.read_route
    monkeypatch.setattr(module_routes, "read_route", lambda message: read.append(message) or real(message))
    assert dump_routes(kernel, 6696, but=42) == kernel.foreign
    assert len(read) == 1
