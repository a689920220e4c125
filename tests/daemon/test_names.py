"""Names: peers by what they originate, others by the hosts file."""

import asyncio
import os
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from babelwg.babel.routeview import RouteColumns, RouteView
from babelwg.babel.snapshot import Snapshot, SourceView, XrouteView
from babelwg.babel.wire.prefix import Prefix
from babelwg.config import BabelConfig, Config, Key, NodeConfig, PeerConfig, TunnelsConfig
from babelwg.config.keys import link_local
from babelwg.daemon.names import Names

BRAVO = Key(b"\x22" * 32)
OUR_ID, BRAVO_ID, FAR_ID, OTHER_ID = (bytes(7) + bytes([n]) for n in (1, 2, 3, 4))


def route(prefix: str, router_id: bytes, refmetric: int = 96, state: Any = "selected") -> RouteView:
    neighbour = link_local(BRAVO)
    metric = refmetric + 96
    return RouteView(
        Prefix.parse(prefix), router_id, neighbour, "bw-bravo", neighbour, 1, refmetric, metric, metric, state, 1, 1
    )  # fmt: skip


class Bench:
    """A node with one peer, whose tables a test lays ready; time and kernel are none."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.routes: list[RouteView] = []
        self.sources: tuple[SourceView, ...] = ()
        peer = PeerConfig("bravo", BRAVO, "bw-bravo")
        node = NodeConfig("alpha", Key(b"\x11" * 32), Path("node.key"))
        config = Config(node, TunnelsConfig(), BabelConfig(), (peer,), Path("c"))
        speaker = SimpleNamespace(
            snapshot=lambda now, with_sources: self.snapshot(),
            router_id=OUR_ID,
            summary=lambda now: self.snapshot(),
            route_columns=lambda now: RouteColumns.of(self.routes),
            source_views=lambda now: self.sources,
            originators=self.originators,
            prefixes=lambda: [*{route.prefix for route in self.routes}],
            routes_for=lambda prefix, now: [route for route in self.routes if route.prefix == prefix],
            links=lambda now: ((), self.links()),
        )
        self.node: Any = SimpleNamespace(
            config=config, config_path=directory / "c", routing=SimpleNamespace(speaker=speaker)
        )
        self.names = Names(self.node)

    def snapshot(self) -> Snapshot:
        xroutes = (XrouteView(Prefix.parse("10.0.0.1/32"), 0), XrouteView(Prefix.parse("10.1.0.0/16"), 0))
        return Snapshot(OUR_ID, 1, (), (), tuple(self.routes), xroutes, (), (), {}, False)

    def originators(self) -> dict[tuple[str, bytes], list[bytes]]:
        own: dict[tuple[str, bytes], list[bytes]] = {}
        for told in self.routes:
            if told.refmetric == 0:
                own.setdefault((told.interface, told.neighbour), []).append(told.router_id)
        return own

    def links(self) -> list[Any]:
        return [SimpleNamespace(address=address) for address in {route.neighbour for route in self.routes}]

    def hosts(self, text: str, when: int) -> None:
        path = self.directory / "hosts"
        path.write_text(text)
        os.utime(path, ns=(when, when))

    def learn(self) -> Names:
        self.names.learn(0.0)
        return self.names


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr("babelwg.daemon.names.SYSTEM_HOSTS", tmp_path / "elsewhere" / "hosts")
    return Bench(tmp_path)


def test_a_peer_is_known_by_what_it_announces_at_0_and_we_by_our_own_router_id(bench: Bench) -> None:
    bench.routes = [route("10.0.0.2/32", BRAVO_ID, 0), route("10.0.0.3/32", FAR_ID)]
    names = bench.learn()
    assert [names.origin(x) for x in (BRAVO_ID, FAR_ID, OUR_ID)] == ["bravo", None, "alpha"]
    assert (names.peer_on("bw-bravo"), names.peer_on("eth0")) == ("bravo", None)
    assert names.of_address(link_local(BRAVO)) == "bravo"


@pytest.mark.parametrize("line", ["00:00:00:00:00:00:00:03 far", "10.0.0.3 far", "10.3.0.0/16 far"])
def test_the_hosts_file_names_who_is_far(line: str, bench: Bench) -> None:
    bench.hosts(line, 1)
    bench.routes = [
        route("10.0.0.3/32", FAR_ID),
        route("10.3.0.0/16", FAR_ID),
        route("10.4.0.0/16", OTHER_ID),
    ]
    names = bench.learn()
    assert (names.origin(FAR_ID), names.origin(OTHER_ID)) == ("far", None)


def test_what_two_claim_names_nobody_and_a_retracted_claim_is_none(bench: Bench) -> None:
    bench.hosts("10.0.0.3 far", 1)
    bench.routes = [route("10.0.0.3/32", FAR_ID), route("10.0.0.3/32", OTHER_ID)]
    assert bench.learn().origin(FAR_ID) is None
    bench.routes[1] = bench.routes[1]._replace(state="retracted")
    assert bench.learn().origin(FAR_ID) == "far"
    bench.routes = []
    assert bench.learn().origin(FAR_ID) is None


def test_a_changed_file_is_read_again_and_a_missing_one_names_nobody(bench: Bench) -> None:
    bench.hosts("00:00:00:00:00:00:00:03 far", 1)
    assert bench.learn().origin(FAR_ID) == "far"
    bench.hosts("00:00:00:00:00:00:00:03 near\n10.0.0.3", 2)
    assert bench.learn().origin(FAR_ID) == "near"
    assert bench.names.hosts.complaints == ("line 2: a name is missing",)
    (bench.directory / "hosts").unlink()
    assert bench.learn().origin(FAR_ID) is None
    assert bench.names.hosts.complaints == ()


def test_beside_the_configuration_comes_before_the_systems(bench: Bench) -> None:
    system = bench.directory / "elsewhere"
    system.mkdir()
    (system / "hosts").write_text("00:00:00:00:00:00:00:03 system")
    assert bench.learn().origin(FAR_ID) == "system"
    bench.hosts("00:00:00:00:00:00:00:03 own", 1)
    assert bench.learn().origin(FAR_ID) == "own"


def test_a_name_leads_to_the_addresses_that_the_node_announces(bench: Bench) -> None:
    bench.hosts(f"{BRAVO} phone\n00:00:00:00:00:00:00:03 far remote\n10.9.0.9 unheard", 1)
    bench.routes = [
        route("10.0.0.2/32", BRAVO_ID, 0),
        route("10.0.0.3/32", FAR_ID, state="unfeasible"),
        route("10.3.0.0/16", FAR_ID),
        route("fd00::3/128", FAR_ID),
    ]

    async def ask() -> dict[str, list[str]]:
        names = ("bravo", "phone", "far", "remote", "alpha", "unheard", "nobody")
        return {name: [str(ip_address(a)) for a in bench.names.resolve(name)] for name in names}

    far = ["fd00::3", "10.0.0.3"]
    assert asyncio.run(ask()) == {
        "bravo": ["10.0.0.2"],
        "phone": ["10.0.0.2"],
        "far": far,
        "remote": far,
        "alpha": ["10.0.0.1"],
        "unheard": ["10.9.0.9"],
        "nobody": [],
    }
    assert bench.names.all() == ["alpha", "bravo", "far", "phone", "remote", "unheard"]


def test_another_name_is_shown_as_the_first_and_stands_for_all_that_is_known(bench: Bench) -> None:
    bench.routes = [route("10.0.0.2/32", BRAVO_ID, 0), route("10.0.0.3/32", FAR_ID)]
    lines = f"{BRAVO} b bee\n{FAR_ID.hex(':')} far farther\n10.0.0.3 far\n10.9.0.0/16 far\n"
    bench.hosts(lines, 1)
    # The hosts file is read at once, also before anybody has looked at the tables.
    assert bench.names.shown_as("farther") == {"far", "farther"}
    assert bench.names.identities("far") == {
        "far", FAR_ID.hex(":"), "10.0.0.3/32", "10.0.0.3", "10.9.0.0/16"
    }  # fmt: skip
    names = bench.learn()
    assert names.identities("farther") == names.identities("far") | {"farther"}
    near = {"bravo", "bw-bravo", BRAVO_ID.hex(":"), str(ip_address(link_local(BRAVO)))}
    assert names.identities("bravo") == near
    assert names.identities("bee") == near | {"bee"}
    assert names.shown_as("nobody") == {"nobody"}


@pytest.mark.parametrize("line", [f"{BRAVO_ID.hex(':')} house", f"{ip_address(link_local(BRAVO))} house"])
def test_a_peer_is_meant_by_what_the_hosts_file_calls_its_router_id_or_address(
    line: str, bench: Bench
) -> None:
    bench.routes = [route("10.0.0.2/32", BRAVO_ID, 0), route("10.0.0.3/32", FAR_ID)]
    bench.hosts(f"{line} home\n{FAR_ID.hex(':')} far", 1)
    names = bench.learn()
    assert names.shown_as("house") == {"house", "bravo"}
    assert names.shown_as("home") == {"home", "house", "bravo"}
    assert names.shown_as("far") == {"far"}
    assert {"house", "bravo", "bw-bravo"} <= names.identities("home")


def test_a_name_of_a_prefix_selects_the_peer_that_announces_it_and_is_no_name_of_it(bench: Bench) -> None:
    bench.routes = [route("10.0.0.50/32", BRAVO_ID, 0), route("10.0.0.3/32", FAR_ID)]
    bench.hosts("10.0.0.50 printer\n10.0.0.3 far", 1)
    names = bench.learn()
    assert names.shown_as("printer") == {"printer"}
    assert names.selected_by("printer") == {
        "printer", "10.0.0.50", "10.0.0.50/32",
        "bravo", "bw-bravo", BRAVO_ID.hex(":"), str(ip_address(link_local(BRAVO))),
    }  # fmt: skip
    assert names.selected_by("far") == names.identities("far")
    assert names.selected_by("nobody") == {"nobody"}


def test_a_peer_that_leaves_the_configuration_leaves_no_name(bench: Bench) -> None:
    bench.routes = [route("10.0.0.2/32", BRAVO_ID, 0)]
    assert bench.learn().origin(BRAVO_ID) == "bravo"
    bench.node.config = replace(bench.node.config, peers=())
    assert bench.learn().origin(BRAVO_ID) is None
    assert bench.names.peer_on("bw-bravo") is None
