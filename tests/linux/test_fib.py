"""The table of our routes against a kernel that answers as it is told."""

import errno
from typing import Any

import pytest

from babelwg.babel.wire.prefix import Prefix
from babelwg.linux.errors import KernelError
from babelwg.linux.fib import KernelRoutes
from babelwg.linux.fibplan import RemoveRoute, SetRoute, plan_routes
from babelwg.linux.netlink import Refusal
from babelwg.linux.routes import THROW, UNREACHABLE, Route
from tests.linux.fakekernel import FakeKernel
from tests.walkless import forbid_walks

LAN = Prefix.parse("10.9.0.0/24")
NET = Prefix.parse("2001:db8::/32")
NEXT_HOP = bytes.fromhex("fe80") + bytes(13) + b"\x02"


def routes(kernel: FakeKernel, table: int = 6696) -> KernelRoutes:
    return KernelRoutes(kernel, table)  # type: ignore[arg-type]


def test_plan_is_empty_when_nothing_changed() -> None:
    route = Route(NET, 6696, next_hop=NEXT_HOP, interface=3)
    assert plan_routes({route.place: route}, {route.place: route}) == []
    assert plan_routes({}, {route.place: route}) == [RemoveRoute(route)]
    assert plan_routes({route.place: route}, {}) == [SetRoute(route)]


def test_a_route_of_another_priority_takes_the_old_ones_place() -> None:
    old = Route(NET, 6696, next_hop=NEXT_HOP, interface=3)
    new = old._replace(priority=7)
    assert plan_routes({new.place: new}, {old.place: old}) == [SetRoute(new), RemoveRoute(old)]


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


@pytest.mark.parametrize("code", [errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN, errno.EINTR])
def test_what_fails_in_passing_is_tried_again_at_the_next_flush(code: int) -> None:
    kernel = FakeKernel()
    ours = routes(kernel)
    ours.learn(LAN, NEXT_HOP, 3, b"")
    ours.flush()
    kernel.refuse = {NET: code, LAN: code}
    ours.learn(NET, NEXT_HOP, 3, b"")
    ours.forget(LAN)
    assert ours.flush() == []
    assert (ours.refusals.postponed, ours.take_failed(), ours.refused) == (2, {}, {})
    assert (ours.counters["route_refused"], ours.counters["route_postponed"]) == (0, 2)
    kernel.refuse.clear()
    ours.flush()
    assert ours.refusals.postponed == 0
    assert set(kernel.table) == {NET}


def test_what_fails_in_passing_is_refused_where_nobody_waits_for_it() -> None:
    kernel = FakeKernel()
    ours = routes(kernel)
    kernel.refuse = {NET: errno.ENOMEM}
    ours.learn(NET, NEXT_HOP, 3, b"")
    assert ours.flush(is_patient=False) == [(NET, Refusal(errno.ENOMEM))]
    assert (ours.refusals.postponed, ours.take_failed()) == (0, {NET: Refusal(errno.ENOMEM)})


def test_where_a_replacement_is_refused_the_former_way_stays_until_another_is_wanted() -> None:
    kernel = FakeKernel()
    bad = bytes.fromhex("20010db8") + bytes(11) + b"\x01"
    kernel.refuse_next_hops[bad] = errno.EHOSTUNREACH
    ours = routes(kernel)
    ours.learn(NET, NEXT_HOP, 3, b"")
    ours.learn(LAN, NEXT_HOP, 3, b"")
    ours.flush()
    assert ours.take_failed() == {}
    ours.learn(NET, bad, 4, b"")
    assert ours.flush() == [(NET, Refusal(errno.EHOSTUNREACH))]
    assert kernel.table[NET].next_hop == NEXT_HOP
    assert ours.take_failed() == {NET: Refusal(errno.EHOSTUNREACH)}
    ours.learn(NET, NEXT_HOP, 3, b"")
    assert ours.refused == {}, "the kernel has what is wanted"
    batches = len(kernel.batches)
    ours.flush()
    assert len(kernel.batches) == batches
    ours.learn(NET, bad, 4, b"")
    assert ours.flush() == [], "what was told before is no news"
    assert ours.take_failed() == {NET: Refusal(errno.EHOSTUNREACH)}
    ours.retract(NET)
    ours.flush()
    assert kernel.table[NET].kind == UNREACHABLE
    assert ours.refused == {NET: Refusal(errno.EHOSTUNREACH)}, "why stays to be seen"
    assert ours.resync() == 0
    ours.leave(NET)
    ours.flush()
    assert set(kernel.table) == {LAN}
    assert NET in ours.refused
    ours.learn(NET, NEXT_HOP, 3, b"")
    ours.flush()
    assert (ours.refused, ours.take_failed()) == ({}, {})


def test_a_route_that_somebody_else_replaced_is_set_again() -> None:
    kernel = FakeKernel()
    ours = routes(kernel)
    ours.learn(NET, NEXT_HOP, 3, b"")
    ours.flush()
    mine = kernel.table[NET]
    assert ours.replaced(mine) is None, "it is what it was"
    assert ours.replaced(mine._replace(kind=UNREACHABLE, priority=5)) is None, "it stands beside ours"
    assert ours.replaced(mine._replace(table=254, kind=UNREACHABLE)) is None
    kernel.places[mine.place] = mine._replace(kind=UNREACHABLE, next_hop=b"", interface=0, protocol=3)
    assert ours.replaced(kernel.table[NET]) == mine
    ours.flush()
    assert kernel.table[NET] == mine


def test_what_a_failing_socket_did_not_do_is_done_at_the_next_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = FakeKernel()
    ours = routes(kernel)
    ours.learn(LAN, NEXT_HOP, 3, b"")
    ours.flush()

    def fail(requests: object) -> None:
        raise KernelError("talk to", "rtnetlink", errno.ENOBUFS)

    ours.learn(NET, NEXT_HOP, 3, b"")
    ours.forget(LAN)
    with monkeypatch.context() as patch:
        patch.setattr(kernel, "request", fail)
        for _ in range(2):
            with pytest.raises(KernelError):
                ours.flush()
    assert ours.flush() == []
    assert set(kernel.table) == {NET}
    assert {prefix for _, prefix in ours.installed} == {NET}


def test_a_guard_wins_over_a_learned_route_and_gives_way_again() -> None:
    kernel = FakeKernel()
    ours = routes(kernel)
    ours.learn(LAN, NEXT_HOP, 3, b"")
    ours.flush()
    ours.guard([Route(LAN, 6696, THROW)])
    ours.flush()
    assert kernel.table[LAN].kind == THROW
    ours.guard([])
    ours.flush()
    assert kernel.table[LAN].next_hop == NEXT_HOP


def test_a_route_that_somebody_else_removed_is_set_again() -> None:
    kernel = FakeKernel()
    ours = routes(kernel)
    ours.learn(NET, NEXT_HOP, 3, b"")
    ours.flush()
    gone = kernel.places.pop((6696, NET))
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
    ours.guard([Route(LAN, 6696, THROW)])
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
    del kernel.places[6696, LAN]
    ours.interface_lost(3)
    ours.flush()
    assert set(kernel.table) == {LAN, NET}
    assert kernel.batches == [2, 1]


@pytest.mark.parametrize("family", [4, 6])
def test_one_change_among_ten_thousand_routes_looks_at_no_other_route(family: int) -> None:
    nets = {4: "10.{}.{}.0/24", 6: "2001:db8:{:x}:{:x}::/64"}
    kernel = FakeKernel()
    routes = KernelRoutes(kernel, 6696)  # type: ignore[arg-type]
    prefixes = [Prefix.parse(nets[family].format(n >> 8, n & 255)) for n in range(10_000)]
    for prefix in prefixes:
        routes.learn(prefix, NEXT_HOP, 3, b"")
    routes.flush()
    forbid_walks(routes, "learned", "installed", "_by_place", "refused")
    kernel.batches.clear()
    other = bytes.fromhex("fe80") + bytes(13) + b"\x09"
    routes.learn(prefixes[77], other, 4, b"")
    routes.flush()
    routes.forget(prefixes[78])
    routes.flush()
    routes.retract(prefixes[79])
    routes.flush()
    routes.flush()
    assert kernel.batches == [1, 1, 1]
    assert kernel.table[prefixes[77]].next_hop == other
    assert prefixes[78] not in kernel.table
    assert kernel.table[prefixes[79]].kind == UNREACHABLE


LOST, OTHER = bytes([10, 23, 0, 1]), bytes([10, 23, 0, 9])
LOST6 = bytes.fromhex("fd00") + bytes(13) + b"\x01"


def test_routes_over_an_interface_are_set_again_when_its_last_ipv4_address_goes() -> None:
    kernel = FakeKernel()
    ours = routes(kernel)
    ours.learn(LAN, NEXT_HOP, 3, b"")
    ours.learn(Prefix.parse("10.8.0.0/24"), NEXT_HOP, 4, b"")
    ours.learn(NET, NEXT_HOP, 3, b"")
    ours.flush()
    ours.losses.note(3, bytes([192, 0, 2, 1]), is_last=False, is_elsewhere=False)
    ours.flush()
    assert kernel.batches == [3], "another address of the interface is left"
    del kernel.places[6696, LAN]
    ours.losses.note(3, bytes([192, 0, 2, 1]), is_last=True, is_elsewhere=False)
    ours.settle_losses()
    assert not ours.is_installed(LAN)
    ours.flush()
    assert kernel.batches == [3, 1]
    assert kernel.table[LAN].interface == 3


@pytest.mark.parametrize(
    ("table", "is_elsewhere", "again"), [(254, False, [1]), (254, True, []), (6696, False, [])]
)
def test_routes_that_prefer_an_address_which_is_gone_are_set_again_where_the_kernel_drops_them(
    table: int, is_elsewhere: bool, again: list[int]
) -> None:
    kernel = FakeKernel()
    ours = routes(kernel, table)
    ours.learn(LAN, NEXT_HOP, 3, LOST)
    ours.learn(Prefix.parse("10.8.0.0/24"), NEXT_HOP, 3, OTHER)
    ours.flush()
    ours.losses.note(1, LOST, is_last=False, is_elsewhere=is_elsewhere)
    ours.flush()
    assert kernel.batches == [2, *again]


def test_a_route_that_goes_with_an_address_was_not_removed_by_another_program() -> None:
    kernel = FakeKernel()
    ours = routes(kernel, 254)
    ours.learn(LAN, NEXT_HOP, 3, LOST)
    ours.learn(NET, NEXT_HOP, 3, b"")
    ours.flush()
    ours.losses.note(1, LOST, is_last=False, is_elsewhere=False)
    assert not ours.lost(ours.learned[LAN])
    assert ours.lost(ours.learned[NET])
    ours.flush()
    assert kernel.batches == [2, 2]


def test_routes_of_an_earlier_life_that_prefer_an_address_go_with_it() -> None:
    kernel = FakeKernel()
    former = routes(kernel, 254)
    former.learn(LAN, NEXT_HOP, 3, LOST)
    former.flush()
    ours = routes(kernel, 254)
    ours.adopt([3])
    assert ours.losses.is_preferred(LOST)
    ours.losses.note(1, LOST, is_last=False, is_elsewhere=False)
    ours.flush()
    assert ours.installed == {}


def test_all_routes_are_looked_through_once_for_all_addresses_that_went() -> None:
    class Walked(dict[Any, Any]):
        walks = 0

        def values(self) -> Any:
            self.walks += 1
            return super().values()

    kernel = FakeKernel()
    ours = routes(kernel, 254)
    ours.learn(LAN, NEXT_HOP, 3, LOST)
    ours.learn(Prefix.parse("10.8.0.0/24"), NEXT_HOP, 4, b"")
    ours.learn(NET, NEXT_HOP, 5, LOST6)
    ours.flush()
    ours.installed = walked = Walked(ours.installed)
    ours.losses.note(1, LOST, is_last=True, is_elsewhere=False)
    ours.losses.note(4, OTHER, is_last=True, is_elsewhere=False)
    ours.losses.note(1, LOST6, is_last=False, is_elsewhere=False)
    ours.settle_losses()
    ours.settle_losses()
    assert walked.walks == 1
    ours.flush()
    assert kernel.batches == [3, 3]


def test_an_ipv6_route_whose_preferred_source_goes_is_told_of_it_again() -> None:
    kernel = FakeKernel()
    ours = routes(kernel, 254)
    ours.learn(NET, NEXT_HOP, 3, LOST6)
    ours.flush()
    kernel.places[254, NET] = kernel.places[254, NET]._replace(source=b"")
    ours.losses.note(1, LOST6, is_last=False, is_elsewhere=True)
    ours.prefer_sources(lambda prefix: b"")
    ours.flush()
    assert kernel.batches == [1], "the kernel has it as it is wanted now"
    ours.prefer_sources(lambda prefix: LOST6)
    ours.flush()
    assert kernel.table[NET].source == LOST6


def test_routes_of_an_earlier_life_stay_adopted_until_they_could_be_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = FakeKernel()
    former = routes(kernel)
    former.learn(LAN, NEXT_HOP, 3, b"")
    former.learn(NET, NEXT_HOP, 3, b"")
    former.flush()
    ours = routes(kernel)
    assert ours.adopt([3]) == 2
    ours.learn(NET, NEXT_HOP, 3, b"")

    def fail(requests: object) -> list[Refusal]:
        raise KernelError("talk to", "rtnetlink", errno.ENOBUFS)

    with monkeypatch.context() as patch:
        patch.setattr(kernel, "request", fail)
        with pytest.raises(KernelError):
            ours.release()
    assert ours.flush() == []
    assert set(kernel.table) == {LAN, NET}
    assert ours.release() == 1
    assert set(kernel.table) == {NET}


def test_after_a_lost_answer_the_kernel_is_looked_at_before_anything_is_taken_for_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = FakeKernel()
    ours = routes(kernel)
    ours.learn(NET, NEXT_HOP, 3, b"")
    ours.flush()
    honest = kernel.request

    def mute(requests: list[tuple[int, int, bytes]]) -> list[Refusal]:
        honest(requests)
        raise KernelError("talk to", "rtnetlink", errno.ENOBUFS)

    with monkeypatch.context() as patch:
        patch.setattr(kernel, "request", mute)
        ours.learn(NET, NEXT_HOP, 4, b"")
        ours.learn(LAN, NEXT_HOP, 4, b"")
        with pytest.raises(KernelError):
            ours.flush()
    ours.learn(NET, NEXT_HOP, 3, b"")  # as it was before the batch that the kernel has all the same
    ours.forget(LAN)
    ours.flush()
    assert {prefix: route.interface for prefix, route in kernel.table.items()} == {NET: 3}
    assert ours.installed == kernel.places
