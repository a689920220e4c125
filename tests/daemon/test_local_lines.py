"""The lines of babeld's local protocol, letter for letter as babeld 1.12.1 was recorded to write them."""

from typing import Any

import pytest

from babelwg.babel.routeview import RouteView
from babelwg.babel.snapshot import InterfaceView, NeighbourView
from babelwg.babel.wire.prefix import Prefix
from babelwg.daemon.local.lines import (
    greeting,
    interface_text,
    make_identify,
    neighbour_text,
    route_text,
    xroute_text,
)
from integration.reader import LINE
from tests.daemon.localbench import A, interface, neighbour, route


def as_babeld(number: str) -> Any:
    return lambda key: number


@pytest.mark.conformance("LP-1")
def test_greeting_has_five_lines() -> None:
    assert greeting("babelwg-1", "vm", A) == [
        "BABEL 1.0",
        "version babelwg-1",
        "host vm",
        "my-id 02:00:00:00:00:00:00:0a",
        "ok",
    ]


@pytest.mark.conformance("LP-10", "LP-17")
@pytest.mark.parametrize(
    ("view", "line"),
    [
        (interface("fe80::f8c2:2bff:fe90:ecc6"), "interface cfcb up true ipv6 fe80::f8c2:2bff:fe90:ecc6"),
        (
            interface("fe80::8cd0:50ff:fe0a:f1a", "10.1.0.2"),
            "interface cfcb up true ipv6 fe80::8cd0:50ff:fe0a:f1a ipv4 10.1.0.2",
        ),
        (None, "interface cfcb up false"),
    ],
)
def test_interface_is_told_as_babeld_tells_it(view: InterfaceView | None, line: str) -> None:
    assert interface_text("cfcb", view) == line


@pytest.mark.conformance("LP-10", "LP-17")
@pytest.mark.parametrize(
    ("view", "line"),
    [
        (
            neighbour("fe80::8cd0:50ff:fe0a:f1a", "cfcb", reach=0b111111),
            "address fe80::8cd0:50ff:fe0a:f1a if cfcb reach fc00 ureach 0000 rxcost 96 txcost 96 cost 96",
        ),
        (
            neighbour("fe80::30d4:70ff:fef7:1617", "cfab", rtt=0.013855, penalty=3, cost=99),
            "address fe80::30d4:70ff:fef7:1617 if cfab reach ffff ureach 0000 rxcost 96 txcost 96"
            " rtt 13.855 rttcost 3 cost 99",
        ),
        (
            neighbour("fe80::1", "e0", reach=0b1, ureach=0b10, rxcost=65535, cost=65535),
            "address fe80::1 if e0 reach 8000 ureach 4000 rxcost 65535 txcost 96 cost 65535",
        ),
    ],
)
def test_neighbour_is_told_as_babeld_tells_it(view: NeighbourView, line: str) -> None:
    assert neighbour_text(view, as_babeld("558f3ea0f7c0")) == f"neighbour 558f3ea0f7c0 {line}"


@pytest.mark.conformance("LP-17")
@pytest.mark.parametrize(
    ("prefix", "metric", "line"),
    [
        (
            "::/0 from 2001:db8:c::/48",
            128,
            "::/0-2001:db8:c::/48 prefix ::/0 from 2001:db8:c::/48 metric 128",
        ),
        ("2001:db8:ffff::/48", 0, "2001:db8:ffff::/48-::/0 prefix 2001:db8:ffff::/48 from ::/0 metric 0"),
        ("0.0.0.0/0", 256, "0.0.0.0/0-0.0.0.0/0 prefix 0.0.0.0/0 from 0.0.0.0/0 metric 256"),
        ("192.0.2.3/32", 0, "192.0.2.3/32-0.0.0.0/0 prefix 192.0.2.3/32 from 0.0.0.0/0 metric 0"),
    ],
)
def test_xroute_is_told_as_babeld_tells_it(prefix: str, metric: int, line: str) -> None:
    assert xroute_text(Prefix.parse(prefix), metric) == f"xroute {line}"


@pytest.mark.conformance("LP-10", "LP-17")
@pytest.mark.parametrize(
    ("view", "installed", "line"),
    [
        (
            route("192.0.2.1/32", A, 192, 96, "fe80::8cd0:50ff:fe0a:f1a", "cfcb"),
            True,
            "prefix 192.0.2.1/32 from 0.0.0.0/0 installed yes id 02:00:00:00:00:00:00:0a metric 192"
            " refmetric 96 via fe80::8cd0:50ff:fe0a:f1a if cfcb",
        ),
        (
            route("::/0 from 2001:db8:c::/48", A, 224, 128, "fe80::f8c2:2bff:fe90:ecc6", "cfbc"),
            False,
            "prefix ::/0 from 2001:db8:c::/48 installed no id 02:00:00:00:00:00:00:0a metric 224"
            " refmetric 128 via fe80::f8c2:2bff:fe90:ecc6 if cfbc",
        ),
        (
            route("2001:db8:ffff::/48", A, 65535, 65535, "fe80::6462:20ff:fea4:46a5", "cfba"),
            True,
            "prefix 2001:db8:ffff::/48 from ::/0 installed yes id 02:00:00:00:00:00:00:0a metric 65535"
            " refmetric 65535 via fe80::6462:20ff:fea4:46a5 if cfba",
        ),
    ],
)
def test_route_is_told_as_babeld_tells_it(view: RouteView, installed: bool, line: str) -> None:
    # `via` is the neighbour, whatever the next hop is.
    assert str(route_text(view, installed, as_babeld("558f3ea0fad0"))) == f"route 558f3ea0fad0 {line}"


def test_ids_tell_entries_apart_and_stay() -> None:
    identify = make_identify(b"secret")
    views = [
        route(prefix, A, 96, 0, via, interface)
        for prefix in ("2001:db8::/32", "2001:db8::/33", "2001:db8::/32 from 2001:db8:1::/48", "10.0.0.0/8")
        for via in ("fe80::1", "fe80::2")
        for interface in ("e0", "e1")
    ]
    ids = [route_text(view, True, identify).start.split()[1] for view in views]
    assert len(set(ids)) == 16
    assert ids == [route_text(view, False, make_identify(b"secret")).start.split()[1] for view in views]
    assert ids[0] != route_text(views[0], True, make_identify(b"other")).start.split()[1]
    assert all(LINE["route"].fullmatch(f"add {route_text(view, True, identify)}") for view in views)
