"""The table of our routes against a kernel that answers as it is told."""

import errno
from collections.abc import Sequence

from babelwg.babel.wire.prefix import Prefix
from babelwg.linux.fib import KernelRoutes, RemoveRoute, SetRoute, plan_routes
from babelwg.linux.netlink import RTM_DELROUTE, RTM_NEWROUTE, Message, Refusal
from babelwg.linux.routes import THROW, UNREACHABLE, Route, read_route

LAN = Prefix.parse("10.9.0.0/24")
NET = Prefix.parse("2001:db8::/32")
NEXT_HOP = bytes.fromhex("fe80") + bytes(13) + b"\x02"


class FakeKernel:
    """A kernel that keeps the routes it is given and refuses the destinations it is told to."""

    def __init__(self) -> None:
        self.table: dict[Prefix, Route] = {}
        self.refuse: dict[Prefix, int] = {}
        self.batches: list[int] = []

    def request(self, requests: Sequence[tuple[int, int, bytes]]) -> list[Refusal]:
        self.batches.append(len(requests))
        return [self._one(kind, payload) for kind, _flags, payload in requests]

    def dump(self, kind: int, payload: bytes) -> list[Message]:
        del kind, payload
        return []

    def _one(self, kind: int, payload: bytes) -> Refusal:
        route = read_route(Message(kind, 0, 0, memoryview(payload)))
        assert route is not None
        if route.prefix in self.refuse:
            return Refusal(self.refuse[route.prefix])
        if kind == RTM_NEWROUTE:
            self.table[route.prefix] = route
            return Refusal(0)
        assert kind == RTM_DELROUTE
        return Refusal(0 if self.table.pop(route.prefix, None) else errno.ESRCH)


def routes(kernel: FakeKernel, table: int = 6696) -> KernelRoutes:
    return KernelRoutes(kernel, table)  # type: ignore[arg-type]


def test_plan_is_empty_when_nothing_changed() -> None:
    route = Route(NET, 6696, next_hop=NEXT_HOP, interface=3)
    assert plan_routes({NET: route}, {NET: route}) == []
    assert plan_routes({}, {NET: route}) == [RemoveRoute(route)]
    assert plan_routes({NET: route}, {}) == [SetRoute(route)]


def test_a_route_that_is_retracted_and_replaced_before_the_flush_is_one_request() -> None:
    kernel = FakeKernel()
    ours = routes(kernel)
    ours.learn(NET, NEXT_HOP, 3, b"")
    ours.flush()
    ours.retract(NET)
    ours.learn(NET, NEXT_HOP, 4, b"")
    ours.flush()
    assert kernel.batches == [1, 1]
    assert kernel.table[NET].interface == 4


def test_a_retracted_route_becomes_unreachable_and_a_forgotten_one_goes() -> None:
    kernel = FakeKernel()
    ours = routes(kernel)
    ours.learn(NET, NEXT_HOP, 3, b"")
    ours.flush()
    ours.retract(NET)
    ours.flush()
    assert kernel.table[NET].kind == UNREACHABLE
    ours.forget(NET)
    ours.flush()
    assert kernel.table == {}


def test_a_refused_route_is_told_once_counted_and_does_not_block_others() -> None:
    kernel = FakeKernel()
    kernel.refuse[NET] = errno.EINVAL
    ours = routes(kernel)
    ours.learn(NET, NEXT_HOP, 3, b"")
    ours.learn(LAN, NEXT_HOP, 3, b"")
    assert ours.flush() == [(NET, Refusal(errno.EINVAL))]
    assert set(kernel.table) == {LAN}
    ours.retry()
    assert ours.flush() == []  # the same refusal again is no news
    assert ours.counters["route_refused"] == 2
    kernel.refuse.clear()
    ours.retry()
    ours.flush()
    assert set(kernel.table) == {LAN, NET}
    assert ours.refused == {}


def test_a_guard_wins_over_a_learned_route_and_gives_way_again() -> None:
    kernel = FakeKernel()
    ours = routes(kernel)
    ours.learn(LAN, NEXT_HOP, 3, b"")
    ours.flush()
    ours.guard({LAN: Route(LAN, 6696, THROW)})
    ours.flush()
    assert kernel.table[LAN].kind == THROW
    ours.guard({})
    ours.flush()
    assert kernel.table[LAN].next_hop == NEXT_HOP


def test_a_route_that_somebody_else_removed_is_set_again() -> None:
    kernel = FakeKernel()
    ours = routes(kernel)
    ours.learn(NET, NEXT_HOP, 3, b"")
    ours.flush()
    gone = kernel.table.pop(NET)
    assert ours.lost(gone)
    ours.flush()
    assert NET in kernel.table


def test_the_removal_of_an_older_version_of_a_route_is_not_a_loss() -> None:
    kernel = FakeKernel()
    ours = routes(kernel)
    ours.learn(NET, NEXT_HOP, 3, b"")
    ours.flush()
    old = kernel.table[NET]
    ours.learn(NET, NEXT_HOP, 4, b"")
    ours.flush()
    assert not ours.lost(old)


def test_withdraw_removes_everything_that_is_ours() -> None:
    kernel = FakeKernel()
    ours = routes(kernel)
    ours.learn(NET, NEXT_HOP, 3, b"")
    ours.guard({LAN: Route(LAN, 6696, THROW)})
    ours.flush()
    ours.withdraw()
    assert kernel.table == {}


def test_a_route_that_must_not_be_written_is_counted_and_shown() -> None:
    kernel = FakeKernel()
    ours = routes(kernel, table=254)
    ours.learn(NET, NEXT_HOP, 3, b"")
    ours.flush()
    ours.refuse(NET, "it covers an endpoint")
    ours.flush()
    assert kernel.table == {}
    assert ours.refused == {NET: Refusal(0, "it covers an endpoint")}
    assert ours.counters["route_refused"] == 1
    ours.forget(NET)
    assert ours.refused == {}


def test_routes_over_an_interface_that_went_down_are_set_again() -> None:
    # The kernel drops IPv4 routes over it without telling.
    kernel = FakeKernel()
    ours = routes(kernel)
    ours.learn(LAN, NEXT_HOP, 3, b"")
    ours.learn(NET, NEXT_HOP, 4, b"")
    ours.flush()
    del kernel.table[LAN]
    ours.interface_lost(3)
    ours.flush()
    assert set(kernel.table) == {LAN, NET}
    assert kernel.batches == [2, 1]
