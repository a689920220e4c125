"""Peers without Babel: what is announced for them, and the routes that lead to their tunnels."""

from types import SimpleNamespace
from typing import Any

from babelwg.babel.wire.prefix import Prefix
from babelwg.config import Config, InterfaceAddress, generate_private, public_of
from babelwg.config.model import BabelConfig, NodeConfig, PeerConfig, TunnelsConfig
from babelwg.daemon.leaves import PRIORITY_LEAF, PROTOCOL_LEAF, LeafRoutes, plan_leaves
from babelwg.daemon.redistribute import leaf_xroutes
from babelwg.linux.guards import is_operators
from babelwg.linux.netlink import Refusal
from babelwg.linux.routes import Route

PHONE6, PHONE4 = Prefix.parse("fd00:9::5/128"), Prefix.parse("10.9.0.5/32")
OWN4 = bytes([10, 9, 0, 1])


def leaf(prefix: Prefix, interface: int, source: bytes = b"") -> Route:
    return Route(prefix, 254, 1, b"", interface, source, PRIORITY_LEAF, PROTOCOL_LEAF)


def config(*leaves: Prefix) -> Config:
    key = generate_private()
    node = NodeConfig("n", key, private_key_file=None, addresses=(InterfaceAddress.parse("10.9.0.1/32"),))  # type: ignore[arg-type]
    peer = PeerConfig("phone", public_of(generate_private()), "bw-phone", leaf_addresses=leaves)
    other = PeerConfig("bravo", public_of(generate_private()), "bw-bravo")
    return Config(node, TunnelsConfig(), BabelConfig(), (peer, other), source=None)  # type: ignore[arg-type]


class Kernel:
    """A table main with links, which does what it is asked, or refuses."""

    def __init__(self) -> None:
        self.main: dict[Any, Route] = {}
        self.links = {"bw-phone": SimpleNamespace(index=7, up=True)}
        self.asked = 0
        self.errno = 0

    def link(self, name: str) -> Any:
        return self.links.get(name)

    def request(self, requests: list[Any]) -> list[Refusal]:
        self.asked += len(requests)
        return [Refusal(self.errno, "")] * len(requests)


def test_the_plan_sets_what_lacks_and_removes_what_is_stale_and_ours() -> None:
    operators = Route(PHONE4, 254, 1, b"", 3, b"", 0, 4)
    wanted = leaf(PHONE6, 7)
    assert plan_leaves([wanted], [operators]) == ([wanted], [])
    assert plan_leaves([wanted], [operators, wanted]) == ([], [])
    assert plan_leaves([], [operators, wanted]) == ([], [wanted])
    # A tunnel that was made anew has another index: what is set replaces the old route.
    assert plan_leaves([leaf(PHONE6, 8)], [wanted]) == ([leaf(PHONE6, 8)], [])


def test_a_route_to_a_leaf_stands_against_what_babel_learns() -> None:
    assert is_operators(leaf(PHONE6, 7))


def test_routes_come_and_go_with_tunnel_address_and_switch() -> None:
    kernel: Any = Kernel()
    leaves = LeafRoutes(kernel, kernel)
    phone = config(PHONE6, PHONE4)
    assert leaves._desired(phone, set()) == [leaf(PHONE6, 7), leaf(PHONE4, 7, OWN4)]
    assert leaves._desired(phone, {"phone"}) == []
    assert leaves._desired(config(), set()) == []
    kernel.links["bw-phone"].up = False
    assert leaves._desired(phone, set()) == []
    kernel.links.clear()
    assert leaves._desired(phone, set()) == []


def test_a_refusal_is_told_once(caplog: Any) -> None:
    kernel: Any = Kernel()
    leaves = LeafRoutes(kernel, kernel)
    kernel.errno = 1
    leaves.sync(config(PHONE6), set())
    leaves.sync(config(PHONE6), set())
    assert caplog.text.count("leaf-route-refused prefix=fd00:9::5/128 errno=1") == 1
    kernel.errno = 19  # the interface went meanwhile
    leaves.sync(config(PHONE6), set())
    assert caplog.text.count("leaf-route-refused") == 1
    assert kernel.asked == 3


def test_nothing_is_asked_where_all_is_as_it_should_be() -> None:
    kernel: Any = Kernel()
    kernel.main = {"key": leaf(PHONE6, 7)}
    LeafRoutes(kernel, kernel).sync(config(PHONE6), set())
    assert kernel.asked == 0


def test_leaves_are_announced_unless_their_tunnel_is_down() -> None:
    assert leaf_xroutes(config(PHONE6), set()) == {PHONE6: (0, "leaf")}
    assert leaf_xroutes(config(PHONE6), {"phone"}) == {}
