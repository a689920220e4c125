"""Which selected routes reach the kernel: source tables, filters, endpoints, gateways and preferred sources."""

import errno
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import pytest

from babelwg.babel.events import RouteFlushed, RouteRetracted, RouteSelected
from babelwg.babel.policy import AllowAll, Announcement, InstallResult
from babelwg.babel.wire.prefix import Prefix
from babelwg.daemon.installer import RouteInstaller
from babelwg.linux.fib import KernelRoutes
from babelwg.linux.mirror import IFF_LOOPBACK, IFF_UP, InterfaceAddress, Link, Mirror
from babelwg.linux.netlink import Refusal
from babelwg.linux.routes import THROW, UNICAST, UNREACHABLE, Route
from tests.linux.fakekernel import FakeKernel
from tests.walkless import forbid_walks

NEXT_HOP = bytes.fromhex("fe80") + bytes(13) + b"\x02"
TUNNEL, WAN = 3, 9


def p(text: str) -> Prefix:
    return Prefix.parse(text)


def selected(prefix: str, metric: int = 96) -> RouteSelected:
    return RouteSelected(p(prefix), NEXT_HOP, "bw-a", metric, bytes(7) + b"\1", NEXT_HOP, 0, metric, "test")


class Speaker:
    """Remembers what it is told, and lets go of what it must refuse as the real one does."""

    def __init__(self) -> None:
        self.refused: frozenset[Prefix] = frozenset()
        self.policies: list[Any] = []
        self.metrics: dict[Prefix, int] = {}
        self.known: set[Prefix] = set()
        self.refused_ways: dict[Prefix, str] = {}

    def refuse_ways(self, ways: Iterable[tuple[RouteSelected, str]], now: float) -> None:
        del now
        self.refused_ways |= {selected.prefix: why for selected, why in ways}

    def allow_ways(self, now: float) -> None:
        del now
        self.refused_ways.clear()

    def learned_prefixes(self) -> set[Prefix]:
        return self.known

    def selected_metrics(self) -> dict[Prefix, int]:
        return self.metrics

    def refuse(self, prefixes: frozenset[Prefix], now: float) -> None:
        del now
        self.refused = prefixes

    def set_policy(self, policy: Any, now: float) -> None:
        del now
        self.policies.append(policy)


@dataclass
class Filters(AllowAll):
    """Sends what is below a prefix elsewhere."""

    result: InstallResult

    def install_result(self, announcement: Announcement) -> InstallResult:
        return self.result if announcement.prefix.family == 4 else InstallResult()


class Bench:
    """An installer with a kernel and a speaker that do as they are told."""

    def __init__(self, table: int = 6696) -> None:
        self.kernel = FakeKernel()
        self.speaker = Speaker()
        self.routes = KernelRoutes(self.kernel, table)  # type: ignore[arg-type]
        self.mirror = Mirror()
        self.mirror.set_link(Link(1, "lo", 65536, IFF_UP | IFF_LOOPBACK, ""))
        speaker: Any = self.speaker
        self.running = {"bw-a": TUNNEL}
        self.installer = RouteInstaller(speaker, self.routes, self.mirror, self.running)

    def main(self, *prefixes: str) -> None:
        for text in prefixes:
            route = Route(p(text), 254, next_hop=NEXT_HOP, interface=WAN, protocol=3, priority=0)
            self.mirror.main[route.prefix, 0, WAN, b""] = route
        self.installer.guard(0.0)

    def have(self, *texts: str) -> None:
        """Let lo have these addresses and no others, and the installer hear of those that went."""
        had, self.mirror.addresses = [*self.mirror.all_addresses()], {}
        for text in texts:
            packed = ip_address(text).packed
            self.mirror.set_address(InterfaceAddress(1, packed, 8 * len(packed), True))
        for lost in had:
            if not self.mirror.has_address(lost):
                self.installer.address_lost(lost)
        self.installer.settle_losses()
        self.installer.sync_sources()

    def tell(self, *events: Any) -> None:
        self.installer.handle(events, 0.0)
        self.routes.flush()
        self.installer.reconsider(0.0)

    def held(self, text: str, table: int = 6696) -> Route | None:
        return self.kernel.places.get((table, p(text)))


def test_the_seventeenth_source_is_refused_by_the_speaker_and_tried_again_when_one_goes() -> None:
    bench = Bench()
    texts = [f"0.0.0.0/0 from 10.{number}.0.0/16" for number in range(17)]
    bench.tell(*(selected(text) for text in texts))
    assert bench.speaker.refused == {p(texts[16])}
    assert "all 16 tables" in bench.routes.refused[p(texts[16])].detail
    bench.tell(RouteFlushed(p(texts[16]), "refused"))
    assert p(texts[16]) in bench.routes.refused  # the reason stays to be seen
    bench.tell(RouteFlushed(p(texts[3]), "gone"))
    assert bench.speaker.refused == frozenset()
    bench.tell(selected(texts[16]))
    assert bench.routes.refused == {}
    assert len(bench.kernel.rules) == 16


def test_what_had_no_place_and_is_known_no_more_is_forgotten() -> None:
    bench = Bench()
    texts = [f"0.0.0.0/0 from 10.{number}.0.0/16" for number in range(40)]
    bench.tell(*(selected(text) for text in texts))
    assert len(bench.speaker.refused) == 24
    bench.speaker.known = {p(texts[20])}
    bench.installer.tidy(0.0)
    assert set(bench.routes.refused) == {p(texts[20])}


def test_the_speaker_is_kept_from_what_the_kernel_refuses_and_may_try_again_now_and_then() -> None:
    bench = Bench()
    bench.kernel.refuse_next_hops[NEXT_HOP] = 113
    bench.tell(selected("2001:db8::/32"))
    prefix = p("2001:db8::/32")
    assert bench.speaker.refused_ways == {prefix: "no route to host"}
    bench.tell(RouteRetracted(prefix, "refused"))
    held = bench.held("2001:db8::/32")
    assert held is not None
    assert held.kind == UNREACHABLE
    bench.tell(RouteFlushed(prefix, "acknowledged"))
    assert bench.held("2001:db8::/32") is None
    assert bench.routes.refused[prefix].errno == 113
    bench.speaker.known = {prefix}
    bench.installer.tidy(0.0)
    assert bench.speaker.refused_ways == {}
    bench.tell(selected("2001:db8::/32"))
    assert bench.speaker.refused_ways == {prefix: "no route to host"}
    bench.kernel.refuse_next_hops.clear()
    bench.installer.retry(0.0)
    bench.tell(selected("2001:db8::/32"))
    assert bench.speaker.refused_ways == {}
    assert bench.routes.refused == {}


def test_where_somebody_elses_route_is_in_the_place_no_way_is_tried_until_it_may_have_gone() -> None:
    bench = Bench()
    prefix = p("2001:db8::/32")
    bench.kernel.refuse[prefix] = errno.EEXIST
    bench.tell(selected("2001:db8::/32"))
    assert (bench.speaker.refused, bench.speaker.refused_ways) == ({prefix}, {})
    bench.speaker.known = {prefix}
    bench.installer.tidy(0.0)
    assert bench.speaker.refused == frozenset()


def test_why_a_prefix_was_refused_is_forgotten_with_the_prefix() -> None:
    bench = Bench()
    bench.kernel.refuse_next_hops[NEXT_HOP] = 113
    bench.tell(selected("2001:db8::/32"))
    bench.tell(RouteRetracted(p("2001:db8::/32"), "refused"))
    bench.installer.tidy(0.0)
    assert p("2001:db8::/32") in bench.routes.refused, "it is still held unreachable"
    bench.tell(RouteFlushed(p("2001:db8::/32"), "acknowledged"))
    bench.installer.tidy(0.0)
    assert bench.routes.refused == {}


def test_a_filter_names_table_and_source_also_of_what_is_there() -> None:
    bench = Bench()
    bench.tell(selected("10.5.0.0/16"), selected("2001:db8::/32"))
    policy = Filters(InstallResult(50, ip_address("10.0.0.9").packed))
    bench.installer.set_policy(policy, 0.0)
    bench.routes.flush()
    moved = bench.held("10.5.0.0/16", 50)
    assert moved is not None
    assert moved.source == bytes([10, 0, 0, 9])
    assert bench.held("10.5.0.0/16") is None
    assert bench.held("2001:db8::/32") is not None
    assert bench.speaker.policies == [policy]
    bench.tell(RouteRetracted(p("10.5.0.0/16"), "lost"))
    held = bench.held("10.5.0.0/16", 50)
    assert held is not None
    assert held.kind == UNREACHABLE


@pytest.mark.parametrize(
    ("prefix", "source"),
    [
        ("2001:db8::/32", "fd00::1"),  # the first of the family
        ("::/0 from 2001:db8:a::/48", "2001:db8:a::5"),  # the first inside the source prefix
        ("::/0 from 2001:db8:c::/48", None),  # none of ours is inside
        ("10.0.0.0/8", "10.9.0.1"),
    ],
)
def test_the_preferred_source_does_not_contradict_the_source_prefix(prefix: str, source: str | None) -> None:
    bench = Bench()
    bench.tell(selected(prefix))
    own = ("fd00::1", "2001:db8:b::5", "2001:db8:a::5", "10.9.0.1")
    bench.have(*own)
    bench.installer.prefer_sources(tuple(ip_address(text).packed for text in own))
    bench.routes.flush()
    expected = ip_address(source).packed if source else b""
    assert bench.routes.learned[p(prefix)].source == expected
    bench.tell(selected(prefix, 97))
    assert bench.routes.learned[p(prefix)].source == expected


@pytest.mark.parametrize("prefix", ["198.51.0.0/16", "0.0.0.0/0 from 10.0.0.0/8"])
def test_in_main_what_covers_an_endpoint_is_refused_until_the_endpoint_goes(prefix: str) -> None:
    bench = Bench(254)
    bench.installer.guarding = True
    bench.installer.set_endpoints(frozenset({bytes([198, 51, 100, 1])}), 0.0)
    bench.tell(selected(prefix))
    assert bench.kernel.places == {}
    assert bench.speaker.refused == {p(prefix)}
    assert bench.routes.refused[p(prefix)] == Refusal(0, "it covers the endpoint 198.51.100.1 of a tunnel")
    assert bench.installer.set_endpoints(frozenset(), 0.0)
    assert bench.speaker.refused == frozenset()
    assert not bench.installer.set_endpoints(frozenset(), 0.0)


def test_a_gateway_leads_to_main_also_by_a_shorter_route_and_a_network_of_ours_does_not() -> None:
    bench = Bench()
    bench.main("::/0")
    bench.tell(selected("2001:db8::/32 from 2001::/16"))
    gateway, network = p("2001:db8:1::/48 from 2001:db8:a::/48"), p("2001:db8:2::/48 from 2001:db8:a::/48")
    bench.installer.set_announced({gateway: "gateway", network: "announce"}, 0.0)
    bench.routes.flush()
    kinds = {prefix: route.kind for (_, prefix), route in bench.kernel.places.items()}
    assert (kinds[gateway], kinds[network]) == (THROW, UNREACHABLE)
    assert gateway in bench.speaker.refused
    bench.installer.set_announced({}, 0.0)
    bench.routes.flush()
    assert not {gateway, network} & {prefix for _, prefix in bench.kernel.places}


def test_what_is_learned_makes_and_unmakes_copies_of_mains_routes_over_a_tunnel() -> None:
    """A socket bound to the tunnel's device honours no throw, so main's route is copied where ours covers it."""
    bench = Bench()
    route = Route(p("2001:db8::/64"), 254, next_hop=NEXT_HOP, interface=TUNNEL, protocol=3, priority=0)
    bench.mirror.main[route.prefix, 0, TUNNEL, b""] = route
    bench.main("2001:db8:1::/64")

    def kinds() -> list[int]:
        held = [bench.held("2001:db8::/64"), bench.held("2001:db8:1::/64")]
        return [r.kind for r in held if r is not None]

    bench.tell()
    assert kinds() == [THROW, THROW]
    bench.tell(selected("2001:db8::/32"))
    assert kinds() == [UNICAST, THROW]
    bench.tell(RouteFlushed(p("2001:db8::/32"), "gone"))
    assert kinds() == [THROW, THROW]


def test_a_copy_comes_when_babel_begins_on_its_interface_and_goes_with_what_it_copies_for() -> None:
    bench = Bench()
    del bench.running["bw-a"]
    route = Route(p("2001:db8::/64"), 254, next_hop=NEXT_HOP, interface=TUNNEL, protocol=3, priority=0)
    bench.mirror.main[route.prefix, 0, TUNNEL, b""] = route
    bench.main()
    bench.running["bw-a"] = TUNNEL
    bench.tell(selected("2001:db8::/32"))
    copied = bench.held("2001:db8::/64")
    assert copied is not None and copied.kind == UNICAST
    bench.tell(RouteRetracted(p("2001:db8::/32"), "gone"))
    thrown = bench.held("2001:db8::/64")
    assert thrown is not None and thrown.kind == THROW


def test_a_route_that_changes_no_copy_has_no_guard_planned_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    route = Route(p("2001:db8::/64"), 254, next_hop=NEXT_HOP, interface=TUNNEL, protocol=3, priority=0)
    bench.mirror.main[route.prefix, 0, TUNNEL, b""] = route
    bench.main("2001:db8:1::/64")
    bench.tell(selected("2001:db8::/32"))
    planned: list[float] = []
    plan = bench.installer._plan_guards
    monkeypatch.setattr(bench.installer, "_plan_guards", lambda now: (planned.append(now), plan(now)))
    bench.tell(selected("2001:db8:2::/48"), selected("10.0.0.0/8"))
    assert planned == []
    bench.tell(RouteFlushed(p("2001:db8::/32"), "gone"))
    assert planned == [0.0]


def test_the_kernels_priority_shows_the_metric_where_it_shall() -> None:
    bench = Bench(60)
    bench.installer.guarding = False
    bench.installer.reflecting = True
    bench.tell(selected("10.5.0.0/16", 100))
    held = bench.held("10.5.0.0/16", 60)
    assert held is not None
    assert held.priority == 1124
    bench.speaker.metrics = {p("10.5.0.0/16"): 200}
    bench.installer.tidy(0.0)
    bench.routes.flush()
    held = bench.held("10.5.0.0/16", 60)
    assert held is not None
    assert held.priority == 1224


def test_routes_prefer_no_address_that_the_kernel_lacks_and_do_again_when_it_is_back() -> None:
    bench = Bench(254)
    v4, v6 = ip_address("10.23.0.1").packed, ip_address("fd00:77::1").packed
    bench.have("10.23.0.1", "fd00:77::1")
    bench.installer.prefer_sources((v4, v6))
    bench.tell(selected("10.9.0.0/24"), selected("2001:db8::/32"))
    bench.have()
    bench.tell()
    assert [bench.routes.learned[p(t)].source for t in ("10.9.0.0/24", "2001:db8::/32")] == [b"", b""]
    assert bench.held("10.9.0.0/24", 254) == bench.routes.learned[p("10.9.0.0/24")]
    assert bench.speaker.refused == frozenset()
    bench.have("10.23.0.1", "fd00:77::1")
    bench.tell()
    held = [bench.held(text, 254) for text in ("10.9.0.0/24", "2001:db8::/32")]
    assert [route.source for route in held if route is not None] == [v4, v6]


def test_a_route_without_a_preferred_source_is_set_again_when_its_interface_loses_its_last_ipv4_address() -> (
    None
):
    bench = Bench()
    lan = InterfaceAddress(TUNNEL, bytes([192, 0, 2, 1]), 24, True)
    bench.mirror.set_address(lan)
    bench.tell(selected("10.9.0.0/24"))
    bench.kernel.places.clear()
    bench.mirror.drop_address(lan)
    bench.installer.address_lost(lan)
    # What comes with the same news is too late for the kernel, which has dropped the routes.
    bench.mirror.set_address(lan)
    bench.installer.settle_losses()
    bench.tell()
    assert bench.held("10.9.0.0/24") is not None


def test_addresses_that_no_route_needs_come_and_go_without_a_look_at_the_routes() -> None:
    bench = Bench()
    bench.installer.prefer_sources((ip_address("fd00:77::1").packed, ip_address("10.23.0.1").packed))
    bench.have("fd00:77::1", "10.23.0.1", "2001:db8:ffff::1", "192.0.2.1")
    bench.tell(selected("10.9.0.0/24"), selected("2001:db8::/32"))
    forbid_walks(bench.routes, "installed", "learned")
    bench.have("fd00:77::1", "10.23.0.1")
    bench.tell()
    assert bench.kernel.batches == [2]


def test_a_source_that_goes_is_preferred_by_no_route_as_soon_as_all_news_are_read() -> None:
    bench = Bench()
    own = ip_address("10.23.0.1").packed
    bench.installer.prefer_sources((own,))
    bench.have("10.23.0.1", "192.0.2.1")
    bench.tell(selected("10.9.0.0/24"))
    (lost,) = [address for address in bench.mirror.all_addresses() if address.address == own]
    bench.mirror.drop_address(lost)
    bench.installer.address_lost(lost)
    bench.installer.settle_losses()
    assert bench.routes.learned[p("10.9.0.0/24")].source == b""


def test_of_an_earlier_life_the_kernel_forwards_what_is_neither_selected_nor_retracted_since() -> None:
    bench = Bench()
    kept, sourced = "2001:db8:1::/48", "10.1.0.0/16 from 10.2.0.0/16"
    lost, taken, refused = "2001:db8:2::/48", "2001:db8:3::/48", "2001:db8:4::/48"
    bench.tell(*(selected(text) for text in (kept, sourced, lost, taken, refused)))
    bench.tell(RouteRetracted(p(refused), "retraction"))
    kernel: Any = bench.kernel
    bench.routes = KernelRoutes(kernel, 6696)
    speaker: Any = bench.speaker
    bench.installer = RouteInstaller(speaker, bench.routes, bench.mirror, bench.running)
    bench.routes.adopt([TUNNEL])
    assert bench.installer.adopted_ways() == {p(text) for text in (kept, sourced, lost, taken)}
    bench.tell(selected(taken), RouteRetracted(p(lost), "not-heard"))
    assert bench.installer.adopted_ways() == {p(kept), p(sourced)}
    held = bench.held(lost)
    assert held is not None
    assert held.kind == UNREACHABLE
    bench.routes.release()
    assert bench.installer.adopted_ways() == frozenset()
