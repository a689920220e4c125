"""A look at a real kernel's tables: the same octets as long as nothing changes, others as soon as anything does."""

from collections.abc import Callable
from typing import Any

import pytest

from babelwg.lab.netns.node import connect
from babelwg.linux.look import KernelLook
from babelwg.linux.netlink import RequestSocket
from babelwg.linux.netns import network_namespace

ROUTES = 1500


@pytest.mark.parametrize("network", ["10.{}.{}.0/24", "2001:db8:{}:{}::/64"])
def test_a_look_sees_each_change_and_nothing_else(
    network: str, nodes: Any, needs: Callable[..., None]
) -> None:
    needs("ip")
    a, b = nodes.add("a"), nodes.add("b")
    connect(a, b, "e0", "e0", ["192.0.2.1/24"], ["192.0.2.2/24"])
    prefixes = [network.format(n >> 8, n & 255) for n in range(1, ROUTES + 1)]
    a.ip(*(f"route add {prefix} dev e0 table 6696 proto 42" for prefix in prefixes))
    looks, others = KernelLook(), []
    try:
        with network_namespace(a.pid):
            first = looks.look([6696, 6697], None)
            others = [RequestSocket() for _ in range(3)]  # they take numbers of sockets, and nothing more
        assert first.routes is not None
        assert len([route for route in first.routes if route.protocol == 42]) == ROUTES
        assert all(looks.look([6696, 6697], first.mark).routes is None for _ in range(3))
        a.ip("address add 192.0.2.77/24 dev lo", "route add 198.51.100.0/24 dev e0 table 6698")
        assert looks.look([6696, 6697], first.mark).routes is None
        for change in (
            f"route del {prefixes[7]} dev e0 table 6696",
            f"route add {prefixes[7]} dev lo table 6696 proto 42",
            f"route add unreachable {prefixes[9]} table 6697 proto 42",
        ):
            before = looks.look([6696, 6697], None).mark
            a.ip(change)
            after = looks.look([6696, 6697], before)
            assert after.routes is not None
            assert after.mark not in (before, first.mark)
    finally:
        looks.close()
        for other in others:
            other.close()
