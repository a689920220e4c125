"""The mirror of the kernel, also after more news than its socket could hold."""

import socket
from collections.abc import Callable
from typing import Any

import pytest

from babelwg.babel.wire.prefix import Prefix
from babelwg.lab.netns.node import connect
from babelwg.linux.monitor import Monitor
from babelwg.linux.netlink import DONE, RequestSocket
from babelwg.linux.netns import network_namespace
from babelwg.linux.routes import UNREACHABLE, Route, look_up, remove_request, set_request
from integration.bench.common import wait

ROUTES = 3000


def open_monitor(pid: int, changed: Callable[[set[str]], None]) -> tuple[Monitor, RequestSocket]:
    lost: list[Route] = []
    with network_namespace(pid):
        requests = RequestSocket()
        return Monitor(requests, changed, lost.append, lambda index: None), requests


def test_the_mirror_follows_links_addresses_and_routes(nodes: Any, needs: Callable[..., None]) -> None:
    needs("ip")
    a, b = nodes.add("a"), nodes.add("b")
    told: set[str] = set()
    monitor, requests = open_monitor(a.pid, told.update)
    try:
        connect(a, b, "e0", "e0", ["192.0.2.1/24"], ["192.0.2.2/24"])
        a.run("ip", "route", "add", "172.16.0.0/12", "via", "192.0.2.2")
        wait("the news are here", lambda: bool(monitor.receive() or monitor.mirror.link("e0")))
        wait("the route is in", lambda: bool(monitor.receive() or has(monitor, "172.16.0.0/12")))
        link = monitor.mirror.link("e0")
        assert link is not None
        assert link.up
        assert monitor.mirror.ipv4(link.index) == socket.inet_aton("192.0.2.1")
        assert told >= {"link", "address", "main"}
        found = look_up(requests, socket.inet_aton("172.16.5.5"), None)
        assert found is not None
        assert (found.next_hop, found.interface) == (socket.inet_aton("192.0.2.2"), link.index)
        a.run("ip", "link", "del", "e0")
        wait("the link is gone", lambda: bool(monitor.receive() or monitor.mirror.link("e0") is None))
        wait("its route is gone", lambda: bool(monitor.receive() or not has(monitor, "172.16.0.0/12")))
    finally:
        monitor.close()
        requests.close()


@pytest.mark.parametrize("network", ["10.5.0.0/16", "2001:db8:5::/48"])
def test_routes_of_ours_are_news_only_when_others_change_them(
    network: str, nodes: Any, needs: Callable[..., None]
) -> None:
    needs("ip")
    a = nodes.add("a")
    told: set[str] = set()
    lost: list[Route] = []
    with network_namespace(a.pid):
        requests = RequestSocket()
        monitor = Monitor(requests, told.update, lost.append, lambda index: None)
    try:
        monitor.receive()
        told.clear()
        route = Route(Prefix.parse(network), 6696, UNREACHABLE)
        ours = [
            set_request(route, exclusive=False),
            remove_request(route),
            set_request(route, exclusive=False),
        ]
        assert requests.request(ours) == [DONE] * 3
        # Those that lead to leaves are of another protocol, and stand in the mirror like anybody's.
        foreign = Route(Prefix.parse(network), 254, UNREACHABLE, protocol=4)
        assert requests.request([set_request(foreign, exclusive=False)]) == [DONE]
        wait("it is told", lambda: bool(monitor.receive() or "main" in told))
        assert [route.prefix for route in monitor.mirror.main.values() if route.protocol == 4] == [
            foreign.prefix
        ]
        told.clear()
        family = "-6" if ":" in network else "-4"
        a.run("ip", family, "rule", "add", "lookup", "6696")
        wait("what came after ours is told", lambda: bool(monitor.receive() or told))
        assert (told, lost) == ({"rule"}, [])
        a.run("ip", family, "route", "flush", "table", "6696", "root", network)
        wait("the loss is told", lambda: bool(monitor.receive() or lost))
        assert [gone.prefix for gone in lost] == [route.prefix]
    finally:
        monitor.close()
        requests.close()


def test_after_an_overrun_everything_is_read_anew(nodes: Any, needs: Callable[..., None]) -> None:
    needs("ip")
    a, b = nodes.add("a"), nodes.add("b")
    connect(a, b, "e0", "e0", ["192.0.2.1/24"], ["192.0.2.2/24"])
    told: set[str] = set()
    monitor, requests = open_monitor(a.pid, told.update)
    try:
        shrink(monitor)
        a.ip(*(f"route add 10.{i >> 8}.{i & 255}.0/24 via 192.0.2.2" for i in range(ROUTES)))
        monitor.receive()
        assert monitor.overruns == 1
        assert "overrun" in told
        assert sum(route.prefix.plen == 24 for route in monitor.mirror.main.values()) == ROUTES + 1
    finally:
        monitor.close()
        requests.close()


def test_after_an_overrun_no_older_news_undoes_what_was_read(nodes: Any, needs: Callable[..., None]) -> None:
    needs("ip")
    a, b = nodes.add("a"), nodes.add("b")
    connect(a, b, "e0", "e0", ["192.0.2.1/24"], ["192.0.2.2/24"])
    monitor, requests = open_monitor(a.pid, lambda what: None)
    try:
        shrink(monitor)
        again = "route add 172.16.0.0/12 via 192.0.2.2"
        flood = [f"route add 10.{i >> 8}.{i & 255}.0/24 via 192.0.2.2" for i in range(ROUTES)]
        a.ip(again, "route del 172.16.0.0/12", *flood, again)
        monitor.receive()
        assert monitor.overruns == 1
        assert has(monitor, "172.16.0.0/12")
    finally:
        monitor.close()
        requests.close()


def test_routes_that_the_kernel_takes_back_in_silence_leave_the_mirror(
    nodes: Any, needs: Callable[..., None]
) -> None:
    needs("ip")
    a, b = nodes.add("a"), nodes.add("b")
    connect(a, b, "e0", "e0", ["192.0.2.1/24"], ["192.0.2.2/24"])
    monitor, requests = open_monitor(a.pid, lambda what: None)

    def gateways(prefix: str) -> set[bytes]:
        monitor.receive()
        wanted = Prefix.parse(prefix)
        return {route.next_hop for route in monitor.mirror.main.values() if route.prefix == wanted}

    try:
        a.run("ip", "route", "add", "default", "via", "192.0.2.2")
        wait("the default is in", lambda: gateways("0.0.0.0/0") == {socket.inet_aton("192.0.2.2")})
        # The news of the replacement do not name what was replaced.
        a.run("ip", "route", "replace", "default", "via", "192.0.2.3")
        wait("only the new one is in", lambda: gateways("0.0.0.0/0") == {socket.inet_aton("192.0.2.3")})
    finally:
        monitor.close()
        requests.close()


def has(monitor: Monitor, prefix: str) -> bool:
    return any(route.prefix == Prefix.parse(prefix) for route in monitor.mirror.main.values())


def shrink(monitor: Monitor) -> None:
    """Give the monitor's socket the smallest buffer that the kernel allows."""
    with socket.socket(fileno=socket.dup(monitor.fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)


def test_news_of_routes_and_rules_of_others_are_counted_and_those_of_ours_are_not(
    nodes: Any, needs: Callable[..., None]
) -> None:
    needs("ip")
    a, b = nodes.add("a"), nodes.add("b")
    connect(a, b, "e0", "e0", ["192.0.2.1/24"], ["192.0.2.2/24"])
    monitor, requests = open_monitor(a.pid, lambda what: None)
    try:
        for change in (
            "route add 10.1.0.0/16 via 192.0.2.2 table 6696",
            "route del 10.1.0.0/16 table 6696",
            "rule add from all lookup 9 priority 5000",
            "address del 192.0.2.1/24 dev e0",
            "link set e0 down",
        ):
            monitor.receive()
            before = monitor.foreign_news
            a.run("ip", *change.split())
            wait(change, lambda before=before: bool(monitor.receive() or monitor.foreign_news > before))
        # The kernel tells in order: once the link is told, the route of ours has been told too.
        a.run("ip", "route", "add", "unreachable", "10.2.0.0/16", "table", "6696", "proto", "42")
        before = monitor.foreign_news
        a.run("ip", "link", "add", "e1", "type", "veth", "peer", "e2")
        wait("the link is here", lambda: bool(monitor.receive() or monitor.mirror.link("e1")))
        assert monitor.foreign_news == before
    finally:
        monitor.close()
        requests.close()
