"""What kernel routes and addresses become, and on which interfaces Babel runs."""

from dataclasses import replace
from typing import Any

import pytest

from babelwg.babel.wire.prefix import Prefix
from babelwg.config import parse_babeld
from babelwg.daemon.lan import babeld_interfaces, unheeded_directives
from babelwg.daemon.redistribute import redistributed_xroutes, redistribution_facts
from babelwg.linux.mirror import IFF_LOOPBACK, IFF_UP, InterfaceAddress, Link, Mirror
from babelwg.linux.routes import THROW, Route

STATIC, BOOT, BABEL = 4, 3, 42


def p(text: str) -> Prefix:
    return Prefix.parse(text)


def config(text: str) -> Any:
    return parse_babeld(text, "conf")


def mirror_of(*routes: Route) -> Mirror:
    mirror = Mirror()
    mirror.set_link(Link(1, "lo", 65536, IFF_UP | IFF_LOOPBACK, ""))
    mirror.set_link(Link(2, "eth0", 1500, IFF_UP, ""))
    mirror.set_link(Link(3, "eth1", 1500, IFF_UP, ""))
    for number, route in enumerate(routes):
        mirror.tables.setdefault(route.table, {})[route.prefix, number, 0, b""] = route
    return mirror


def route(prefix: str, protocol: int = STATIC, table: int = 254, interface: int = 2, **more: Any) -> Route:
    return Route(p(prefix), table, interface=interface, protocol=protocol, priority=0, **more)


def announced(text: str, mirror: Mirror) -> dict[str, int]:
    found = redistributed_xroutes(config(text + "\nredistribute local deny"), mirror)
    return {str(prefix): metric for prefix, (metric, _) in found.items()}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("proto 4 metric 7", {"10.1.0.0/16": 7, "10.2.0.0/16": 7, "::/0 from 2001:db8:a::/48": 7}),
        ("ip 10.0.0.0/8 proto 4", {"10.1.0.0/16": 0, "10.2.0.0/16": 0}),
        ("proto 4 if eth1", {"10.2.0.0/16": 0}),
        ("proto 3 ip 10.0.0.0/8", {"10.3.0.0/16": 0}),
        ("ip 10.0.0.0/8", {"10.1.0.0/16": 0, "10.2.0.0/16": 0}),  # without proto none of protocol boot
        ("ip ::/0 eq 0 src-ip 2001:db8::/32", {"::/0 from 2001:db8:a::/48": 0}),
        ("ip ::/0 eq 0 src-eq 0", {}),
        ("ip 10.1.0.0/16 src-prefix 10.9.0.0/16", {"10.1.0.0/16 from 10.9.0.0/16": 0}),
        ("ip ::/0 proto 4 src-prefix 2001:db8:b::/48 metric 9", {"::/0 from 2001:db8:b::/48": 9}),
        ("proto 42", {}),
    ],
)
def test_routes_of_the_kernel_are_announced_by_filter(line: str, expected: dict[str, int]) -> None:
    mirror = mirror_of(
        route("10.1.0.0/16"),
        route("10.2.0.0/16", interface=3),
        route("10.3.0.0/16", BOOT),
        route("10.4.0.0/16", BABEL),
        route("::/0 from 2001:db8:a::/48"),
        route("10.5.0.0/16", kind=THROW),
    )
    assert announced(f"redistribute {line}", mirror) == expected


def test_only_the_imported_tables_are_announced_and_never_our_own_routes() -> None:
    mirror = mirror_of(
        route("10.1.0.0/16"),
        route("10.2.0.0/16", table=50),
        route("10.3.0.0/16", table=51),
        route("10.4.0.0/16", BABEL, table=50),
    )
    both = "import-table 50\nimport-table 51\nredistribute ip 10.0.0.0/8"
    assert announced(both, mirror) == {"10.2.0.0/16": 0, "10.3.0.0/16": 0}
    assert announced("redistribute ip 10.0.0.0/8", mirror) == {"10.1.0.0/16": 0}


def test_an_address_may_have_a_source_prefix_and_local_ones_stay_home() -> None:
    mirror = mirror_of()
    for text in ("127.0.0.1", "10.1.2.3"):
        packed = p(text).network
        mirror.addresses.setdefault(1, {})[packed, 32] = InterfaceAddress(1, packed, 32, True)
    found = announced("redistribute local ip 0.0.0.0/0 src-prefix 10.0.0.0/8", mirror)
    assert found == {"10.1.2.3/32 from 10.0.0.0/8": 0}


def links(*names: str) -> list[Link]:
    return [Link(number, name, 1500, IFF_UP, "") for number, name in enumerate(names, 2)]


def test_a_pattern_runs_babel_on_whatever_matches_and_a_name_comes_first() -> None:
    babeld = config("interface eth* type wired\ninterface eth1 type tunnel rxcost 7\ninterface *1 rxcost 9")
    wanted = babeld_interfaces(babeld, links("eth0", "eth1", "wlan1", "usb0"), set())
    assert {name: w.parameters.rxcost for name, w in wanted.items()} == {"eth0": 96, "eth1": 7, "wlan1": 9}
    assert babeld_interfaces(babeld, [], set()).keys() == {"eth1"}


def test_a_pattern_takes_neither_loopback_nor_tunnels_nor_parts_of_a_bridge() -> None:
    found = [
        Link(1, "lo", 65536, IFF_UP | IFF_LOOPBACK, ""),
        Link(2, "bw-a", 1420, IFF_UP, "tun"),
        Link(3, "eth0", 1500, IFF_UP, "", master=4),
        Link(4, "br0", 1500, IFF_UP, "bridge"),
    ]
    assert babeld_interfaces(config("interface *"), found, {"bw-a"}).keys() == {"br0"}
    # A name says it outright.
    assert babeld_interfaces(config("interface eth0"), found, {"bw-a"}).keys() == {"eth0"}


def test_each_kind_of_interface_has_its_own_timers_costs_and_split_horizon() -> None:
    text = (
        "default hello-interval 8\ninterface w type wireless\ninterface e type wired hello-interval 2\n"
        "interface t type tunnel rtt-min 20 max-rtt-penalty 50 enable-timestamps false\ninterface a"
    )
    wanted = babeld_interfaces(config(text), [], set())
    of = {name: w.parameters for name, w in wanted.items()}
    assert [(of[n].kind, of[n].rxcost, of[n].split_horizon, of[n].link_quality) for n in "weta"] == [
        ("wireless", 256, False, True),
        ("wired", 96, True, False),
        ("tunnel", 96, False, False),
        ("wired", 96, False, False),
    ]
    assert [(of[n].hello_interval, of[n].update_interval) for n in "we"] == [(8, 32), (2, 8)]
    assert (of["t"].rtt_min, of["t"].max_rtt_penalty, of["t"].timestamps) == (0.02, 50, False)
    assert (of["e"].max_rtt_penalty, of["e"].timestamps, of["e"].burst) == (0, False, 30_000)


def test_what_is_not_acted_on_is_named() -> None:
    text = "local-port 33123\nreflect-kernel-metric true\nlink-detect true\ninterface e probe-mtu true unicast true"
    assert unheeded_directives(config(text)) == ["interface e probe-mtu"]


def test_only_what_decides_about_announcements_asks_for_another_look() -> None:
    def facts(*addresses: InterfaceAddress, name: str = "eth0", flags: int = IFF_UP) -> object:
        mirror = Mirror()
        mirror.set_link(Link(3, name, 1500, flags, ""))
        mirror.addresses[3] = {(a.address, a.plen): a for a in addresses}
        return redistribution_facts(mirror)

    own = InterfaceAddress(3, bytes([192, 0, 2, 1]), 24, True)
    local = InterfaceAddress(3, bytes.fromhex("fe80") + bytes(13) + b"\1", 64, True)
    assert facts(own) == facts(own, local) == facts(own, flags=IFF_UP | 0x40)
    assert len({str(facts(own)), str(facts()), str(facts(own, name="eth1"))}) == 3
    assert facts(own) != facts(replace(own, usable=False))
