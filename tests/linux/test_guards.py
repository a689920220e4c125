"""Throw routes keep look-up destination-first when our table is asked before main."""

from babelwg.babel.wire.prefix import Prefix
from babelwg.linux.guards import plan_guards
from babelwg.linux.routes import THROW, UNICAST, Route

MAIN = 254
OURS = 6696
LAN = Prefix.parse("10.9.0.0/24")
DEFAULT4 = Prefix.parse("0.0.0.0/0")
DEFAULT6 = Prefix.parse("::/0")
LAN6 = Prefix.parse("2001:db8:1::/48")
GATEWAY = bytes.fromhex("fe80") + bytes(13) + b"\x09"


def main_route(prefix: Prefix, interface: int = 3) -> Route:
    return Route(prefix, MAIN, interface=interface, protocol=2, priority=0)


def test_each_destination_of_main_gets_a_throw() -> None:
    guards = plan_guards([main_route(LAN), main_route(DEFAULT4)], {}, (), OURS)
    assert guards == {LAN: Route(LAN, OURS, THROW), DEFAULT4: Route(DEFAULT4, OURS, THROW)}


def test_an_overridden_destination_gets_none() -> None:
    assert plan_guards([main_route(DEFAULT4)], {}, (DEFAULT4,), OURS) == {}


def test_link_local_and_multicast_need_none() -> None:
    main = [main_route(Prefix.parse("fe80::/64")), main_route(Prefix.parse("ff00::/8"))]
    assert plan_guards(main, {}, (), OURS) == {}


def test_local_and_broadcast_routes_are_no_destinations_of_the_operator() -> None:
    assert (
        plan_guards([main_route(LAN)._replace(kind=2), main_route(LAN)._replace(kind=3)], {}, (), OURS) == {}
    )


def test_main_is_copied_where_the_covering_learned_route_uses_the_same_device() -> None:
    # A socket bound to that device would not honour a throw.
    learned = {DEFAULT6: Route(DEFAULT6, OURS, next_hop=GATEWAY, interface=3)}
    guards = plan_guards([main_route(LAN6)], learned, (), OURS)
    assert guards == {LAN6: Route(LAN6, OURS, UNICAST, interface=3)}


def test_the_longest_learned_route_decides_about_the_copy() -> None:
    closer = Prefix.parse("2001:db8::/32")
    learned = {
        DEFAULT6: Route(DEFAULT6, OURS, next_hop=GATEWAY, interface=3),
        closer: Route(closer, OURS, next_hop=GATEWAY, interface=7),
    }
    assert plan_guards([main_route(LAN6)], learned, (), OURS) == {LAN6: Route(LAN6, OURS, THROW)}
