"""The node's addresses on lo: set, found to be there, and missed when somebody took them away."""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from babelwg.linux.links import IpRoute, apply_node_addresses, have_node_addresses
from babelwg.linux.netlink import RequestSocket
from babelwg.linux.netns import network_namespace

ADDRESSES = [
    (socket.inet_pton(socket.AF_INET6, "fd00:77::1"), 128),
    (socket.inet_pton(socket.AF_INET, "10.23.0.1"), 32),
]


def test_addresses_are_there_until_somebody_takes_them_away(nodes: Any, needs: Callable[..., None]) -> None:
    needs("ip")
    node = nodes.add("a")
    with network_namespace(node.pid):
        requests = RequestSocket()

    async def apply() -> int:
        async with IpRoute() as iproute:
            with network_namespace(node.pid):
                return await apply_node_addresses(iproute, ADDRESSES)

    try:
        assert not have_node_addresses(requests, ADDRESSES)
        assert asyncio.run(apply()) == 2
        assert have_node_addresses(requests, ADDRESSES)
        assert not have_node_addresses(requests, ADDRESSES[:1])
        node.run("ip", "address", "add", "192.0.2.1/32", "dev", "lo")
        assert have_node_addresses(requests, ADDRESSES), "an address of the operator is none of ours"
        node.run("ip", "address", "del", "fd00:77::1/128", "dev", "lo")
        assert not have_node_addresses(requests, ADDRESSES)
        assert asyncio.run(apply()) == 1
        node.run("ip", "link", "set", "lo", "down")
        assert not have_node_addresses(requests, ADDRESSES)
    finally:
        requests.close()
