"""Source-specific routes in a real kernel: what it holds and where packets go."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

import pytest

from babelwg.babel.wire.prefix import Prefix
from babelwg.lab.netns.node import connect
from babelwg.linux.fib import KernelRoutes
from babelwg.linux.netlink import RequestSocket
from babelwg.linux.netns import network_namespace
from babelwg.linux.routes import Route, dump_routes, has_subtrees, look_up
from babelwg.linux.rules import NODE_PRIORITIES, Rule, apply_rules, desired_rules, read_rules

TABLE, MARK = 6696, 0x6277
# Addresses of the node itself, inside the source prefixes A (nested in W), W and none.
SOURCES = {
    4: {"A": "10.1.0.1", "W": "10.2.0.1", "-": "192.168.9.1"},
    6: {"A": "2001:db8:1:1::1", "W": "2001:db8:1:2::1", "-": "2001:db8:9::1"},
}
PREFIXES = {
    4: {"A": "10.1.0.0/16", "W": "10.0.0.0/8"},
    6: {"A": "2001:db8:1:1::/64", "W": "2001:db8:1::/48"},
}
# Destination, and the interface for each source: learned routes below lead to t-a, t-w and t-p, main's to lan.
EXPECTED = {
    4: {
        "203.0.113.9": {"A": "t-a", "W": "t-w", "-": "lan"},  # main's default stands against the plain one
        "172.16.1.1": {"A": "t-p", "W": "t-p", "-": "t-p"},  # the longer destination, learned, wins
        "172.17.1.1": {"A": "lan", "W": "lan", "-": "lan"},  # the longer destination, main's, wins
        "172.18.1.1": {"A": "t-w", "W": "t-w", "-": "t-p"},  # equal destinations: the longer source
    },
    6: {
        "2001:db8:ffff::9": {"A": "t-a", "W": "t-w", "-": "lan"},
        "2001:db8:16::1": {"A": "t-p", "W": "t-p", "-": "t-p"},
        "2001:db8:17::1": {"A": "lan", "W": "lan", "-": "lan"},
        "2001:db8:18::1": {"A": "t-w", "W": "t-w", "-": "t-p"},
    },
}
NETWORKS = {
    4: ("0.0.0.0/0", "172.16.0.0/16", "172.17.0.0/16", "172.18.0.0/16"),
    6: ("::/0", "2001:db8:16::/48", "2001:db8:17::/48", "2001:db8:18::/48"),
}
NEXT_HOPS = {4: bytes([192, 0, 2, 2]), 6: bytes.fromhex("fe80") + bytes(13) + b"\x02"}


@contextmanager
def requests_in(pid: int) -> Iterator[RequestSocket]:
    with network_namespace(pid):
        requests = RequestSocket()
    try:
        yield requests
    finally:
        requests.close()


def make_node(nodes: Any) -> Any:
    """A node with interfaces t-a, t-w, t-p (Babel's) and lan (main's), and routes of main."""
    node, other = nodes.add("n"), nodes.add("o")
    for name in ("t-a", "t-w", "t-p", "lan"):
        connect(node, other, name, name)
    node.ip("address add 192.168.9.1/32 dev lan", "address add 2001:db8:9::1/128 dev lan nodad")
    for family in (4, 6):
        for word in ("A", "W"):
            node.ip(f"address add {SOURCES[family][word]}/{32 if family == 4 else 128} dev lo")
        for network in (NETWORKS[family][0], NETWORKS[family][2]):
            node.ip(f"route add {network} dev lan proto static")
    return node


def learn_all(routes: KernelRoutes, indices: dict[str, int], family: int) -> None:
    default, mesh, _, both = NETWORKS[family]
    wide, narrow = (f" from {PREFIXES[family][word]}" for word in ("W", "A"))
    for text, interface in (
        (default + narrow, "t-a"),
        (default + wide, "t-w"),
        (default, "t-p"),
        (mesh, "t-p"),
        (both + wide, "t-w"),
        (both, "t-p"),
    ):
        assert routes.learn(Prefix.parse(text), NEXT_HOPS[6], indices[interface], b"")


def guard(routes: KernelRoutes, requests: RequestSocket) -> None:
    from babelwg.linux.guards import is_operators, plan_guards

    main = dump_routes(requests, 254)
    guards = plan_guards(main, routes.learned, (), TABLE)
    routes.guard(guards.values(), [route.prefix for route in main if is_operators(route)])


def device(node: Any, address: str, source: str, *more: str) -> str | None:
    words = node.run("ip", "route", "get", address, "from", source, *more, check=False).split()
    return words[words.index("dev") + 1] if "dev" in words and words[0] != "unreachable" else None


@pytest.mark.parametrize("subtrees", [True, False])
def test_packets_go_by_destination_first(nodes: Any, needs: Callable[..., None], subtrees: bool) -> None:
    needs("ip")
    node = make_node(nodes)
    indices = {
        line.split(": ")[1].split("@")[0]: int(line.split(":")[0])
        for line in node.run("ip", "-o", "link").splitlines()
    }
    with requests_in(node.pid) as requests:
        assert has_subtrees(requests)
        apply_rules(requests, desired_rules(TABLE, MARK), NODE_PRIORITIES)
        routes = KernelRoutes(requests, TABLE, subtrees=subtrees)
        for family in (4, 6):
            learn_all(routes, indices, family)
        guard(routes, requests)
        assert routes.flush() == []
        assert routes.resync() == 0
        for family in (4, 6):
            for destination, by_source in EXPECTED[family].items():
                for word, interface in by_source.items():
                    source = SOURCES[family][word]
                    assert device(node, destination, source) == interface, f"{destination} from {word}"
                    # WireGuard's own packets follow main alone.
                    marked = device(node, destination, source, "mark", str(MARK))
                    assert marked == "lan", f"{destination} from {word}, marked"
        # Held unreachable, a source's default does not fall back to the plain one.
        for family in (4, 6):
            routes.retract(Prefix.parse(f"{NETWORKS[family][0]} from {PREFIXES[family]['A']}"))
        routes.flush()
        for family in (4, 6):
            far = next(iter(EXPECTED[family]))
            assert device(node, far, SOURCES[family]["A"]) is None
            assert device(node, far, SOURCES[family]["W"]) == "t-w"
        again = KernelRoutes(requests, TABLE, subtrees=subtrees)
        assert again.adopt([]) == len(routes.installed)
        assert again.installed == routes.installed
        assert again.release() == len(routes.installed)
        assert [r for r in dump_routes(requests, 0) if r.protocol == 42] == []
        assert read_rules(requests, range(6680, 6696)) == set()


def test_a_plain_route_is_seen_beside_a_subtree(nodes: Any, needs: Callable[..., None]) -> None:
    # Linux by itself hides the plain route: if this fails without `Halves`, it still does.
    needs("ip")
    node = make_node(nodes)
    index = {n: int(node.run("cat", f"/sys/class/net/{n}/ifindex")) for n in ("t-a", "t-p")}
    with requests_in(node.pid) as requests:
        apply_rules(requests, desired_rules(TABLE, MARK), NODE_PRIORITIES)
        routes = KernelRoutes(requests, TABLE)
        routes.learn(Prefix.parse("2001:db8:18::/48 from 2001:db8:1::/48"), NEXT_HOPS[6], index["t-a"], b"")
        routes.learn(Prefix.parse("2001:db8:18::/48"), NEXT_HOPS[6], index["t-p"], b"")
        assert routes.flush() == []
        assert device(node, "2001:db8:18::1", SOURCES[6]["-"]) == "t-p"
        assert device(node, "2001:db8:18::1", SOURCES[6]["W"]) == "t-a"
        assert "dev t-p" in node.run("ip", "route", "get", "2001:db8:18::1")


def test_a_rule_comes_back_as_it_was_written(nodes: Any, needs: Callable[..., None]) -> None:
    needs("ip")
    node = nodes.add("n")
    wanted = desired_rules(TABLE, MARK) | {
        Rule(4, 6680, 6701, source="10.1.0.0/16"),
        Rule(6, 6683, 6702, source="2001:db8::/48"),
    }
    with requests_in(node.pid) as requests:
        everything = range(6679, 6698)
        assert apply_rules(requests, wanted, everything) == len(wanted)
        assert read_rules(requests, everything) == wanted
        assert apply_rules(requests, wanted, everything) == 0
        assert apply_rules(requests, set(), everything) == len(wanted)
        assert read_rules(requests, everything) == set()


def test_a_subtree_route_is_read_replaced_and_removed_as_itself(
    nodes: Any, needs: Callable[..., None]
) -> None:
    needs("ip")
    node, other = nodes.add("n"), nodes.add("o")
    connect(node, other, "e0", "e0")
    with requests_in(node.pid) as requests:
        routes = KernelRoutes(requests, TABLE)
        plain, sourced = Prefix.parse("::/0"), Prefix.parse("::/0 from 2001:db8:1::/48")
        index = int(node.run("cat", "/sys/class/net/e0/ifindex"))
        for prefix in (plain, sourced):
            routes.learn(prefix, NEXT_HOPS[6], index, b"")
        routes.flush()
        routes.retract(sourced)
        assert routes.flush() == []
        held = {route.prefix: route for route in dump_routes(requests, TABLE)}
        assert held == {prefix: routes.learned[prefix] for prefix in (plain, sourced)}
        assert isinstance(held[plain], Route)
        routes.forget(sourced)
        routes.flush()
        assert [route.prefix for route in dump_routes(requests, TABLE)] == [plain]


def test_the_way_of_packets_of_others_is_told_for_both_families(
    nodes: Any, needs: Callable[..., None]
) -> None:
    needs("ip")
    node, other = nodes.add("a"), nodes.add("b")
    connect(
        node, other, "lan", "lan", ["10.1.0.1/16", "2001:db8:a::1/64"], ["10.1.0.2/16", "2001:db8:a::2/64"]
    )
    connect(node, other, "t", "t", ["192.0.2.1/30"], ["192.0.2.2/30"])
    node.ip("rule add from 10.1.0.0/16 lookup 6701", "route add default via 192.0.2.2 table 6701")
    node.ip("route add ::/0 from 2001:db8:a::/48 via fe80::2 dev t")
    for name in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
        node.sysctl(name, "1")
    with requests_in(node.pid) as requests:
        for destination, source in (("203.0.113.9", "10.1.0.77"), ("2001:db8:f::9", "2001:db8:a::77")):
            found = look_up(requests, ip_address(destination).packed, ip_address(source).packed)
            assert found is not None, source
            assert found.interface == int(node.run("cat", "/sys/class/net/t/ifindex"))
        nobodys = ip_address("198.18.0.1").packed
        assert look_up(requests, ip_address("203.0.113.9").packed, nobodys) is None
