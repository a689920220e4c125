"""Whether this kernel has WireGuard, asked of a netlink socket that answers as told."""

import asyncio
import errno
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pyroute2.netlink.exceptions import NetlinkError

from babelwg.linux.tunnels.kernel import kernel_has_wireguard


class Attributes(dict[str, Any]):
    """A message with attributes."""

    def get_attr(self, name: str) -> Any:
        return self.get(name)


class FakeRoute:
    """A netlink socket where making a link gives an error number, and where a link of a kind is there."""

    def __init__(self, code: int, kind: str) -> None:
        self.code = code
        self.kind = kind
        self.names: set[str] = set()

    async def link(self, verb: str, **what: Any) -> AsyncIterator[Attributes] | None:
        if verb == "dump":
            return self.links()
        self.names.add(what.get("ifname", ""))
        if verb == "add" and self.code:
            raise NetlinkError(self.code)
        return None

    async def links(self) -> AsyncIterator[Attributes]:
        yield Attributes(IFLA_LINKINFO=Attributes(IFLA_INFO_KIND=self.kind))

    async def link_lookup(self, ifname: str) -> list[int]:
        return [5]


@pytest.mark.parametrize(
    ("code", "kind", "has"),
    [
        (0, "wireguard", True),
        (errno.EOPNOTSUPP, "wireguard", False),
        (errno.EEXIST, "wireguard", True),
        (errno.EEXIST, "dummy", False),
    ],
)
def test_the_kernel_is_asked_with_a_name_that_no_peer_has(code: int, kind: str, has: bool) -> None:
    fake: Any = FakeRoute(code, kind)
    assert asyncio.run(kernel_has_wireguard(fake)) is has
    assert not any(name.startswith("bw-") or len(name) > 15 for name in fake.names)
