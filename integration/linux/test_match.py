"""The kernel's own entry for a packet: which prefix leads it, and that no answer of the kernel's is a failure."""

from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Any

import pytest

from babelwg.linux.netlink import RequestSocket
from babelwg.linux.netns import network_namespace
from babelwg.linux.routes import LOCAL, UNICAST, Route, look_up, match

RULES = """\
-4 rule add pref 6696 lookup 6696
-6 rule add pref 6696 lookup 6696
route add 10.0.0.0/8 dev lo table 6696 proto 42
route add throw 10.1.0.0/16 table 6696 proto 42
route add unreachable 10.2.0.0/16 table 6696 proto 42
route add prohibit 10.3.0.0/16
route add blackhole 10.1.4.0/24
-6 route add fd00::/16 dev lo table 6696 proto 42
-6 route add throw fd00:1::/32 table 6696 proto 42
-6 route add unreachable fd00:2::/32 table 6696 proto 42
-6 route add fd00:1::/48 dev lo
-6 route add blackhole fd00:1:4::/48
-6 route add prohibit fd00:1:5::/48
address add 192.0.2.1/32 dev lo
"""


@pytest.fixture
def requests(nodes: Any, needs: Callable[..., None]) -> Iterator[RequestSocket]:
    needs("ip")
    node = nodes.add("n")
    for line in RULES.splitlines():
        node.run("ip", *line.split())
    with network_namespace(node.pid):
        made = RequestSocket()
    yield made
    made.close()


def matched(requests: RequestSocket, address: str, source: str | None = None) -> Route | None:
    return match(requests, ip_address(address).packed, ip_address(source).packed if source else None)


@pytest.mark.parametrize(
    ("address", "prefix", "table", "kind"),
    [
        ("10.9.0.1", "10.0.0.0/8", 6696, UNICAST),
        ("192.0.2.1", "192.0.2.1/32", 255, LOCAL),
        ("fd00:9::1", "fd00::/16", 6696, UNICAST),
        ("fd00:1::1", "fd00:1::/48", 254, UNICAST),
    ],
)
def test_the_entry_that_leads_a_packet_is_told(
    address: str, prefix: str, table: int, kind: int, requests: RequestSocket
) -> None:
    found = matched(requests, address)
    assert found is not None
    assert (str(found.prefix), found.table, found.kind) == (prefix, table, kind)


@pytest.mark.parametrize(
    "address",
    [
        "10.1.1.1",
        "10.2.0.1",
        "10.1.4.1",
        "198.51.100.1",
        "fd00:2::1",
        "fd00:1:4::1",
        "fd00:1:5::1",
        "fd99::1",
    ],
)
def test_no_way_is_none_whatever_the_kernel_calls_it(address: str, requests: RequestSocket) -> None:
    assert matched(requests, address) is None
    assert matched(requests, address, "192.0.2.1" if "." in address else "fd00:9::9") is None
    found = look_up(requests, ip_address(address).packed, None)
    assert found is None or found.kind != UNICAST


def test_a_packet_from_far_away_is_led_though_no_way_goes_back(
    nodes: Any, needs: Callable[..., None]
) -> None:
    needs("ip")
    node = nodes.add("n")
    node.ip(
        "rule add pref 6680 from 10.60.0.0/16 lookup 6701",
        "route add 10.77.0.0/16 dev lo table 6701 proto 42",
    )
    node.sysctl("net.ipv4.ip_forward", "1")
    with network_namespace(node.pid):
        requests = RequestSocket()
    try:
        for check, table in (("0", 6701), ("1", None)):
            node.sysctl("net.ipv4.conf.all.rp_filter", check)
            node.sysctl("net.ipv4.conf.lo.rp_filter", check)
            found = matched(requests, "10.77.0.1", "10.60.0.1")
            assert (found and found.table) == table, f"reverse path check {check}"
            way = look_up(requests, ip_address("10.77.0.1").packed, ip_address("10.60.0.1").packed)
            assert (way and way.table) == table, f"reverse path check {check}"
        node.sysctl("net.ipv4.conf.all.rp_filter", "0")
        node.sysctl("net.ipv4.conf.lo.rp_filter", "0")
        assert matched(requests, "10.77.0.1", "10.61.0.1") is None
    finally:
        requests.close()
